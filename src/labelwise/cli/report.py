"""`labelwise report`: what some runs show, on the screen and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from labelwise.data.truth import Simulation


def load_data(spec: Mapping[str, Any]) -> Simulation:
    """Return the data of a spec, for thumbnails, diversity and wrong labels."""
    from labelwise import data

    params = dict(spec["task"])
    return data.make(params.pop("name"), **params)


def report_command(
    runs: Annotated[list[Path], typer.Argument(help="Run files, or folders of them.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The page; report.md, results.csv and .json go beside it.")
    ] = Path("report.html"),
    name: Annotated[str | None, typer.Option(help="Shown on the page; default: the folder's name.")] = None,
    about: Annotated[str, typer.Option(help="A sentence shown on the page.")] = "",
    data: Annotated[
        bool, typer.Option(help="Load the data for thumbnails, diversity and wrong labels.")
    ] = True,
    latent: Annotated[
        bool,
        typer.Option(
            "--latent", help="Show the latent space of lost classes; fits those models again from the runs."
        ),
    ] = False,
    latent_worst: Annotated[
        bool,
        typer.Option(
            "--latent-worst", help="The same; where no class was lost, of the class that ends worst."
        ),
    ] = False,
    latent_seconds: Annotated[
        float, typer.Option(min=0, help="Seconds of fitting that one such picture may cost.")
    ] = 20.0,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="Of audited runs also fit models on as many random and chosen labels, and compare them.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON instead of words.")
    ] = False,
) -> None:
    """Compare the runs in some folders: the answer, a table, and a page that explains them.

    Methods and settings of a protocol are called as it calls them.
    Unfinished runs are shown but enter no mean; files that cannot be read are named.

    Example: labelwise report runs/demo -o report.html
    """
    from rich.console import Console

    from labelwise.bench.names import noted_cases
    from labelwise.bench.report import write_report
    from labelwise.bench.results import read_runs
    from labelwise.bench.table import summary_table

    found, unreadable = read_runs(runs)
    notes = [f"{path.name} could not be read and is left out: {reason}" for path, reason in unreadable]
    title = name or (runs[0].resolve().name if runs[0].is_dir() else runs[0].resolve().parent.name)
    written = write_report(
        found,
        out,
        name=title,
        about=about,
        load=load_data if data else None,
        notes=notes,
        failing="worst" if latent_worst else "lost" if latent else "",
        latent_seconds=latent_seconds,
        audits=audit,
        cases=noted_cases(found),
    )
    comparison, paths = written.comparison, written.paths
    if as_json:
        typer.echo(
            json.dumps({**comparison.to_dict(), "report": {kind: str(p) for kind, p in paths.items()}})
        )
        return
    console = Console(highlight=False)
    for words in (comparison.headline, *notes):
        console.print(words, markup=False)
    console.print()
    console.print(summary_table(comparison))
    for setting in comparison.settings:
        for caveat in setting.caveats:
            console.print(caveat, markup=False)
    console.print(f"\nReport: {paths['html']}", markup=False, soft_wrap=True)
