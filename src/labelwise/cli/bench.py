"""`labelwise demo`, `run` and `bench`: campaigns with a simulated annotator, with progress and an ETA."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from labelwise.cli.chosen import (
    Dry,
    Folder,
    Grid,
    Jobs,
    Only,
    Protocol,
    Scale,
    Seeds,
    Suite,
    TimeLimit,
    as_folder,
    chosen_bench,
    is_done,
    listed,
    seconds_of,
)
from labelwise.cli.running import TimeUp, command_line, cores, counted, run_all, see_to_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labelwise.bench.report import Report
    from labelwise.bench.spec import Bench

_FEW = 4  # settings whose findings are printed one by one


def _cases(bench: Bench) -> dict[str, Mapping[str, str]]:
    return {spec.id: cases for spec, cases in zip(bench.specs, bench.cases, strict=True)}


def _report(bench: Bench, folder: Path, out: Path) -> Report:
    """Write the report of finished runs, and print what it found."""
    from rich.console import Console

    from labelwise.bench.report import write_report
    from labelwise.bench.results import read_run
    from labelwise.bench.run import run_file
    from labelwise.bench.table import summary_table
    from labelwise.cli.report import load_data

    runs = [read_run(run_file(folder, spec)) for spec in bench.specs]
    written = write_report(
        runs,
        out,
        name=bench.name,
        about=bench.about,
        load=load_data,
        cases=_cases(bench),
        printed=bench.printed,
    )
    console = Console()
    settings = written.comparison.settings
    headlines = [written.comparison.headline]
    if 1 < len(settings) <= _FEW:
        headlines = [f"{setting.title}: {setting.headline}" for setting in settings]
    for line in headlines:
        console.print(line, highlight=False, markup=False)
    console.print()
    console.print(summary_table(written.comparison))
    if bench.printed is not None:
        where = f"{written.paths['html']}#printed"
        console.print(
            f"What {bench.printed.paper.source} printed stands beside these numbers in {where}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return written


def _where(written: Report) -> None:
    typer.echo(f"\nReport: {written.paths['html']}")


def _ahead(written: Report) -> None:
    """Print what more labels would buy one campaign of each setting."""
    from rich.console import Console

    from labelwise.bench.outlook import sentences
    from labelwise.bench.report.forecast import ahead

    console = Console()
    console.print("\nWhat more labels would buy:", highlight=False)
    for setting, group in zip(written.comparison.settings, written.comparison.groups, strict=True):
        if (coming := ahead(setting, group)) is not None:
            whose, told = coming
            words = f"{setting.title}, {whose}: {' '.join(sentences(told))}"
            console.print(words, highlight=False, markup=False)


def demo_command(
    folder: Annotated[Path, typer.Option("--folder", help="Where runs and report go.")] = Path("demo"),
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Processes at a time; default: one a core.")
    ] = None,
) -> None:
    """Compare strategies on real handwritten digits, five seeds each (two to three minutes on two cores).

    Whole digits: random, margin and bral-t-plus. Digits cut in two halves, as two modalities: random, bmmal and
    rl-mba-plus. Then: what more labels would buy.

    Shows progress, prints the tables, and writes a report to look at. Stop it whenever you like: the same command goes
    on where it stopped.
    """
    from labelwise.bench.protocols import find
    from labelwise.bench.spec import read_bench

    bench = read_bench(find("demo"))
    run_all(bench.specs, folder, jobs or cores(), bench.name, _cases(bench))
    written = _report(bench, folder, folder / "report.html")
    _ahead(written)
    _where(written)


def bench_command(
    grid: Grid = None,
    protocol: Protocol = None,
    suite: Suite = None,
    folder: Folder = None,
    jobs: Jobs = 1,
    scale: Scale = None,
    only: Only = None,
    seeds: Seeds = None,
    time_limit: TimeLimit = None,
    report: Annotated[
        bool, typer.Option(help="Write report.html beside the runs when all are finished.")
    ] = True,
    dry: Dry = False,
) -> None:
    """Run every spec of a grid, one process each; finished runs are skipped, unfinished ones go on.

    Example: labelwise bench grid.toml --jobs 2

    [bold]grid.toml[/bold] holds the tables of one spec and the values to vary:

    \\[task]      name = "digits"
    \\[recipe]    name = "logistic"
    \\[plan]      start = 20, batch = 20, budget = 300
    \\[grid]      "strategy.name" = \\["random", "margin"]
                "plan.seed" = \\[0, 1, 2, 3, 4]

    Named cases, e.g. \\[axis.set.digits], may stand beside it; --only digits --only random runs a part of them.

    [bold]--suite core[/bold] runs every strategy of the table on every set at hand: days of work for two cores, so take it in
    parts, which all go into one folder and one report:

    labelwise bench --suite core --scale smoke --jobs 2   the whole in small, a few minutes

    labelwise bench --suite core --seeds 0-4 --time-limit 8h --jobs 2   a night of it; again tomorrow goes on

    labelwise bench --suite core --only digits --jobs 2   one set with all of its strategies
    """
    until = None if time_limit is None else monotonic() + seconds_of(time_limit)
    bench = chosen_bench(grid, protocol, scale, only, suite, seeds)
    where = folder or Path("runs") / as_folder(bench.name)
    if dry:
        for line, cases in zip(listed(bench.specs, where), bench.cases, strict=True):
            named = f"  ({', '.join(f'{axis} {case}' for axis, case in cases.items())})" if cases else ""
            typer.echo(f"{line}{named}")
        return
    try:
        see_to_files(bench.specs, where, jobs, bench.name, until)
        run_all(bench.specs, where, jobs, bench.name, _cases(bench), until)
    except TimeUp:
        done = sum(is_done(spec, where) for spec in bench.specs)
        typer.echo(
            f"{done} of {counted(len(bench.specs), 'run')} finished: the time limit of {time_limit} is over, and what was "
            f"running then was finished. The same command goes on; labelwise report {quote(str(where))} shows what is there."
        )
        return
    if report:
        _where(_report(bench, where, where / "report.html"))


def run_command(
    spec: Annotated[Path, typer.Argument(help="A TOML file with one spec (or a grid of one).")],
    folder: Annotated[Path, typer.Option("--folder", "-f", help="Where the run's file goes.")] = Path("runs"),
) -> None:
    """Run one spec in this process, to its end or from where it stopped.

    Example: labelwise run spec.toml
    """
    from labelwise.bench.run import run
    from labelwise.bench.spec import read_bench
    from labelwise.cli.progress import phase_bar
    from labelwise.errors import InputError

    bench = read_bench(spec)
    if len(bench.specs) != 1:
        raise InputError(
            f"{spec} describes {len(bench.specs)} runs; use `labelwise bench {spec}` for a grid."
        )
    with phase_bar("labels bought") as tell:
        done = run(bench.specs[0], folder, notes={"command": command_line(), "bench": bench.name}, tell=tell)
    last = done.fits[-1] if done.fits else None  # none where every answer was a pass
    measured = (last.test or last.validation) if last else {}
    accuracy = f": accuracy {measured['accuracy']:.3f}" if measured else ""
    typer.echo(f"{counted(last.n_labelled if last else 0, 'label')}{accuracy}")
    typer.echo(f"Run: {done.path}")
