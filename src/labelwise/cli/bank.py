"""`labelwise bank`: what the baselines of a relative reward score, run once and kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labelwise.cli.running import build_bank, counted


def bank_command(
    grid: Annotated[
        Path | None, typer.Argument(help="A TOML file with the runs that will read the bank.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="A named protocol instead of a file, e.g. rl-mba/main.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", "-f", help="Where the runs of the baselines go; default: runs/NAME."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The bank; default: in the folder, under the name that the runs give."
        ),
    ] = None,
    baselines: Annotated[
        str, typer.Option(help="Strategies that a reward is relative to, with commas between them.")
    ] = "core-gcn,badge,bmmal",
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes at a time.")] = 1,
    scale: Annotated[
        str | None, typer.Option(help="mini (the default), or a scale that the file names, e.g. full.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Keep the runs of this case, strategy or task, as in `bench`.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Only list what would run.")] = False,
) -> None:
    """Run the baselines of RL-MBA's reward once, offline, and keep their validation accuracy in a file.

    Example: labelwise bank --protocol rl-mba/main --only digit-halves --jobs 2

    The reward of [bold]rl-mba[/bold] is relative: its accuracy minus the mean of CoreGCN, BADGE and BMMAL with as many
    labels, from the same start, seed by seed. These run here under the task, recipe and plan of every run that names a
    bank (strategy = {name = "rl-mba", bank = "bank.json"}), or of every run where none does.

    One file holds the banks of several tasks and plans, found by their protocol; a campaign with another recipe, task or
    plan is refused. Runs that are finished are read, not repeated, and seeds can be added later. [bold]labelwise
    bench[/bold] does all this by itself when a bank is missing.
    """
    from labelwise.bench.bank import NAME, baseline_specs, users
    from labelwise.bench.launch import is_finished
    from labelwise.bench.places import BANK, named
    from labelwise.bench.protocols import find
    from labelwise.bench.spec import read_bench
    from labelwise.cli.bench import as_folder
    from labelwise.errors import InputError, StoreError

    if (grid is None) == (protocol is None):
        raise InputError("Give a TOML file or --protocol NAME, one of the two.")
    bench = read_bench(grid if grid is not None else find(protocol or ""), scale, only or ())
    where = folder or Path("runs") / as_folder(bench.name)
    against = tuple(dict.fromkeys(name.strip() for name in baselines.split(",") if name.strip()))
    chosen = users(bench.specs) or bench.specs
    names = tuple(dict.fromkeys(n for spec in chosen for n in named(spec.strategy.params, BANK))) or (NAME,)
    if out is None and any(Path(name).name != name for name in names):
        raise InputError(f"The runs name {', '.join(names)}, outside of their folder: say where with --out.")
    if dry:
        for spec in baseline_specs(chosen, against):
            try:
                state = "finished" if is_finished(spec, where) else "to run"
            except StoreError:
                state = "damaged"
            typer.echo(f"{spec.id}  {state:8}  {spec.task.name}  {spec.strategy.name}  seed {spec.plan.seed}")
        return
    for path in [out] if out is not None else [where / name for name in names]:
        mine = chosen if out is not None else users(chosen, path.name) or chosen
        made = build_bank(mine, where, path, against, jobs, bench.name)
        told = f"{counted(len(made.scores), 'protocol')}, compared with {', '.join(against)}"
        typer.echo(f"{told}. Bank: {path}")
