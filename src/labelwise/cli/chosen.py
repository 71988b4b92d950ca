"""The options by which commands choose runs, declared once: a file or a named protocol, its scale, and which part of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labelwise.bench.spec import Bench, Spec

Grid = Annotated[Path | None, typer.Argument(help="A TOML file: one spec, and a grid of values to vary.")]
Protocol = Annotated[
    str | None,
    typer.Option(help="A named protocol instead of a file, e.g. uncertainty/mnist or rl-mba/main."),
]
Folder = Annotated[
    Path | None, typer.Option("--folder", "-f", help="Where the runs go; default: runs/NAME of the bench.")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", help="Processes at a time.")]
Scale = Annotated[
    str | None, typer.Option(help="mini (the default), or a scale that the file names, e.g. full.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        help="Keep the runs of this case, strategy or task; again for more of one axis, or of another."
    ),
]
Dry = Annotated[bool, typer.Option("--dry", help="Only list what would run.")]


def as_folder(name: str) -> str:
    """Return the name of a bench as that of one folder: a file from a stranger must not choose another place."""
    return "".join(c if c.isalnum() or c in " -_." else "-" for c in name).strip(" .") or "bench"


def chosen_bench(
    grid: Path | None, protocol: str | None, scale: str | None, only: Sequence[str] | None
) -> Bench:
    """Return the bench of a file or of a named protocol.

    Raises:
        InputError: both are given, or neither; or the file is none.
    """
    from labelwise.bench.protocols import find
    from labelwise.bench.spec import read_bench
    from labelwise.errors import InputError

    if (grid is None) == (protocol is None):
        raise InputError("Give a TOML file or --protocol NAME, one of the two.")
    return read_bench(grid if grid is not None else find(protocol or ""), scale, only or ())


def listed(specs: Sequence[Spec], folder: Path) -> Iterator[str]:
    """Yield a line for each run: its id, whether it is finished, and what it is."""
    from labelwise.bench.launch import is_finished
    from labelwise.errors import StoreError

    for spec in specs:
        try:
            state = "finished" if is_finished(spec, folder) else "to run"
        except StoreError:
            state = "damaged"
        yield f"{spec.id}  {state:8}  {spec.task.name}  {spec.strategy.name}  seed {spec.plan.seed}"
