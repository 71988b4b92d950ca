"""`labelwise bank`: what the baselines of a relative reward score, run once and kept in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labelwise.cli.chosen import (
    Dry,
    Folder,
    Grid,
    Jobs,
    Only,
    Protocol,
    Scale,
    as_folder,
    chosen_bench,
    listed,
)
from labelwise.cli.running import build_bank, counted


def bank_command(
    grid: Grid = None,
    protocol: Protocol = None,
    folder: Folder = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The bank; default: in the folder, under the name that the runs give."
        ),
    ] = None,
    baselines: Annotated[
        str, typer.Option(help="Strategies that a reward is relative to, with commas between them.")
    ] = "core-gcn,badge,bmmal",
    jobs: Jobs = 1,
    scale: Scale = None,
    only: Only = None,
    dry: Dry = False,
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
    from labelwise.bench.places import BANK, named
    from labelwise.errors import InputError

    bench = chosen_bench(grid, protocol, scale, only)
    where = folder or Path("runs") / as_folder(bench.name)
    against = tuple(dict.fromkeys(name.strip() for name in baselines.split(",") if name.strip()))
    chosen = users(bench.specs) or bench.specs
    names = tuple(dict.fromkeys(n for spec in chosen for n in named(spec.strategy.params, BANK))) or (NAME,)
    if out is None and any(Path(name).name != name for name in names):
        raise InputError(f"The runs name {', '.join(names)}, outside of their folder: say where with --out.")
    if dry:
        for line in listed(baseline_specs(chosen, against), where):
            typer.echo(line)
        return
    for path in [out] if out is not None else [where / name for name in names]:
        mine = chosen if out is not None else users(chosen, path.name) or chosen
        made = build_bank(mine, where, path, against, jobs, bench.name)
        told = f"{counted(len(made.scores), 'protocol')}, compared with {', '.join(against)}"
        typer.echo(f"{told}. Bank: {path}")
