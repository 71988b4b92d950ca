"""`labelwise drift`: have new data moved away from a project's, in which modality, what may that cost, what to label."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labelwise.cli.people import Folder, Json
from labelwise.cli.progress import phase_bars

if TYPE_CHECKING:
    from labelwise.project.drift import Drift

DRIFTED = 4  # exit code with --fail-on-drift


def drift_command(
    project: Folder,
    new: Annotated[
        Path, typer.Option("--new", help="A folder of images or a table, as the project is made of.")
    ],
    images: Annotated[
        Path | None, typer.Option(help="The folder of the new table's images; default: the table's own.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Labels to recommend; default: the plan's batch.", min=1)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the samples worth a label to this CSV file.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page (.html) or a picture (.svg).")] = None,
    level: Annotated[float, typer.Option(help="Probability of a false alarm.")] = 0.05,
    width: Annotated[
        float, typer.Option(help="How closely to know the new error, ±; labels are counted for it.")
    ] = 0.05,
    reads: Annotated[
        str,
        typer.Option(
            help="Compare by modal (each modality's embeddings), embeddings, or inputs; auto: the first there is."
        ),
    ] = "auto",
    draws: Annotated[int, typer.Option(help="Draws of chance for each radius.", min=1)] = 199,
    fail: Annotated[
        bool, typer.Option("--fail-on-drift", help="Exit with code 4 if anything moved.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say whether new data differ from a project's, in which modality, and what that may cost.

    Example: labelwise drift birds --new photos-of-june/ --out to-label.csv

    How far each modality moved (a χ² radius, by a classifier that tells new
    from old) stands beside the radii that chance alone shows. What the error
    may rise to holds if labels given inputs stay as they were. Nothing is
    recorded, and new samples do not become part of the project.

    Exit code 0: all is well, moved or not; 4: with --fail-on-drift, it moved.
    """
    from labelwise.cli.drift_page import check_report, write_report
    from labelwise.errors import InputError
    from labelwise.project.drift import drift
    from labelwise.project.folder import open_project

    opened = open_project(project)
    for option, path in (("--out", out), ("--report", report)):
        if path is not None and not path.absolute().parent.is_dir():  # said before anything is fitted
            raise InputError(f"There is no folder {path.parent} for {option}. Make it first.")
    if report is not None:
        check_report(report)
    options = {} if budget is None else {"budget": budget}
    with phase_bars() as tell:
        found = drift(
            opened, new, images=images, progress=tell, level=level, width=width, reads=reads, draws=draws, **options
        )  # fmt: skip
    columns, rows = picked(found, opened.settings.classes, "file" if opened.settings.source.images else "row")
    if out is not None:
        from labelwise.project.disk import whole_file
        from labelwise.project.sheet import write_rows

        with whole_file(out) as file:
            write_rows(file, columns, rows)
    if report is not None:
        write_report(found, report, opened.settings.name, new, rows, columns)
    if as_json:
        typer.echo(json.dumps({"project": opened.settings.name, **as_plain(found), "samples": rows}))
    else:
        _print(found)
        if out is not None:
            typer.echo(f"{len(rows):,} samples written to {out}.")
        if report is not None:
            typer.echo(f"Report: {report}")
    if fail and found.moved:
        raise typer.Exit(DRIFTED)


def picked(found: Drift, classes: tuple[str, ...], name: str) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Return the samples worth a label as columns and rows, the column label empty."""
    columns = (
        name,
        "kind",
        "density ratio",
        "uncertainty",
        "score",
        "suggestion",
        "confidence",
        "label",
    )
    rows = [
        {
            name: pick.key,
            "kind": pick.stratum,
            "density ratio": round(pick.ratio, 4),
            "uncertainty": round(pick.uncertainty, 4),
            "score": round(pick.score, 4),
            "suggestion": classes[pick.suggestion],
            "confidence": round(pick.confidence, 4),
            "label": None,
        }
        for pick in found.whom.picks
    ]
    return columns, rows


def as_plain(found: Drift) -> dict[str, Any]:
    """Return what was found as JSON values; what is infinite becomes null."""
    from labelwise.cli.drift_words import headline

    values = {
        "drift": bool(found.moved),
        "moved": list(found.moved),
        "headline": headline(found),
        "reads": found.reads,
        "samples compared": found.n_new,
        "modalities": [{**asdict(one), "moved": one.moved, "hidden": one.hidden} for one in found.modalities],
        "gamma": found.gamma,
        "known": {
            "part": found.known.part,
            "samples": len(found.known),
            "error": found.known.error,
            "variance": found.known.variance,
        },
        "costs": _costs(found.costs),
        "unseen": _costs(found.unseen),
        "weighted": None if found.weighted is None else found.weighted._asdict(),
        "believed": found.believed,
        "labels": {
            "budget": found.whom.budget,
            "strata": [asdict(one) for one in found.whom.strata],
            "for the width": found.labels,
            "width": found.width,
            "width with the budget": found.told,
            "delta": found.delta,
        },
        "level": found.level,
        "left out": [{"sample": key, "why": why} for key, why in found.left_out],
    }
    return {key: _finite(value) for key, value in values.items()}


def _costs(costs: Any) -> dict[str, Any]:
    return {name: getattr(costs, name)._asdict() for name in ("budgets", "at_most", "certified")}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _print(found: Drift) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from labelwise.bench.words import percent
    from labelwise.cli.drift_words import READINGS, headline, sentences, short

    console = Console(highlight=False)
    console.print(Text(headline(found), style="bold"), soft_wrap=not console.is_terminal)

    def table(*columns: str) -> Table:
        made = Table(box=None, pad_edge=False, header_style="dim")
        for k, column in enumerate(columns):
            made.add_column(column, justify="right" if k else "left")
        return made

    moved = table("modality", "old", "new", "radius", "by chance", "p (Holm)", "moved")
    for one in found.modalities:
        chance = f"{one.chance_low:.2f} to {one.chance_high:.2f}"
        moved.add_row(
            Text(one.name), f"{one.old:,}", f"{one.new:,}", f"{one.measured:.2f}", chance, short(one.p), one.by or "no"
        )  # fmt: skip
    cost = table("error at most", *READINGS.values())
    for words, told in (("on known samples", found.costs.at_most), ("with chance", found.costs.certified)):
        cost.add_row(words, *(percent(getattr(told, name)) for name in READINGS))
    where = table("where to label", "samples", "model's error", "labels")
    for stratum in found.whom.strata:
        where.add_row(
            Text(stratum.name), f"{stratum.samples:,}", percent(stratum.error), f"{stratum.labels:,}"
        )
    console.print()
    console.print(moved)
    if any(one.counted for one in found.modalities):
        console.print()
        console.print(cost)
    console.print()
    console.print(where)
    console.print()
    for line in sentences(found):
        console.print(Text(line), soft_wrap=not console.is_terminal)
