"""`labelwise report`: what some runs show, on the screen and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from labelwise.bench.results import Run
    from labelwise.data.truth import Simulation


def load_data(spec: Mapping[str, Any]) -> Simulation:
    """Return the data of a spec, for thumbnails, diversity and wrong labels."""
    from labelwise import data

    params = dict(spec["task"])
    return data.make(params.pop("name"), **params)


def _campaign(folder: Path) -> Run:
    """Return a project's campaign as a run in which people answered.

    Raises:
        InputError: its model was never measured.
    """
    from labelwise.bench.results import Run
    from labelwise.bench.settings import PEOPLE
    from labelwise.errors import InputError
    from labelwise.project import open_project

    project = open_project(folder)
    state, made = project.state(), project.settings
    if not any("accuracy" in fit.validation for fit in state.fits):
        raise InputError(
            f"A report of {folder} needs the model's accuracy, which was not measured yet. `labelwise status {folder}` says "
            "where the project stands, and what would measure it."
        )
    task, oracle = {"name": made.name}, {"name": PEOPLE}
    spec = {"task": task, "recipe": made.recipe, "strategy": made.strategy, "oracle": oracle}
    return Run(made.name, {**spec, "plan": made.plan.values()}, state, folder)


def report_command(
    runs: Annotated[list[Path], typer.Argument(help="A project's folder; or run files, or folders of them.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="The page. Beside report.html lie report.md, results.csv and .json; beside NAME.html NAME.md, …",
        ),
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
    """Write a page on a project, or on the runs in some folders: the answer, a table, and what explains it.

    Methods and settings of a protocol are called as it calls them.
    Unfinished runs are shown but enter no mean; files that cannot be read are named.

    Examples:

    labelwise report birds -o birds.html

    labelwise report runs/demo -o report.html
    """
    from rich.console import Console

    from labelwise.bench.names import noted_cases
    from labelwise.bench.report import write_report
    from labelwise.bench.results import read_runs
    from labelwise.bench.table import summary_table

    ours = len(runs) == 1 and (runs[0] / "project.toml").is_file()
    found, unreadable = ([_campaign(runs[0])], []) if ours else read_runs(runs)
    notes = [f"{path.name} could not be read and is left out: {reason}" for path, reason in unreadable]
    title = name or (runs[0].resolve().name if runs[0].is_dir() else runs[0].resolve().parent.name)
    written = write_report(
        found,
        out,
        name=title,
        about=about,
        load=load_data if data and not ours else None,
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
    if not ours:  # one campaign has nothing to be compared with
        console.print()
        console.print(summary_table(comparison))
    for setting in comparison.settings:
        for caveat in setting.caveats:
            console.print(caveat, markup=False)
    console.print(f"\nReport: {paths['html']}", markup=False, soft_wrap=True)
