"""The options by which commands choose runs, declared once: a file or a named protocol, its scale, and which part of it."""

from __future__ import annotations

import re
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
Suite = Annotated[
    str | None,
    typer.Option(
        help="Several protocols at once, in one folder and one report: core (every strategy of the table), or a TOML file.",
    ),
]
Seeds = Annotated[str | None, typer.Option(help="Keep the runs of these seeds, e.g. 0-4, or 0,3, or 0-4,10.")]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        "--time-limit",
        help="Start no run after this time, e.g. 90s, 30m, 2h or 1h30m; those that are running are finished.",
    ),
]
Dry = Annotated[bool, typer.Option("--dry", help="Only list what would run.")]


_TIME = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_SEEDS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)
_MOST = 100_000  # seeds in one range: more is a slip of the finger


def seeds_of(words: str) -> tuple[int, ...]:
    """Return the seeds that words such as "0-4" or "0,3" mean, ascending, each once.

    Raises:
        InputError: they mean none.
    """
    from labelwise.errors import InputError

    found: set[int] = set()
    for part in words.split(","):
        match = _SEEDS.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < first + _MOST:
            raise InputError(f"--seeds must be like 0-4 or 0,3 or 0-4,10; it is {words!r}.")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def seconds_of(words: str) -> int:
    """Return the seconds that words such as "90s", "30m", "2h" or "1h30m" mean.

    Raises:
        InputError: they mean none.
    """
    from labelwise.errors import InputError

    match = _TIME.fullmatch(words.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    if not (total := 3600 * hours + 60 * minutes + seconds):
        raise InputError(f"--time-limit must be like 90s, 30m, 2h or 1h30m; it is {words!r}.")
    return total


def as_folder(name: str) -> str:
    """Return the name of a bench as that of one folder: a file from a stranger must not choose another place."""
    return "".join(c if c.isalnum() or c in " -_." else "-" for c in name).strip(" .") or "bench"


def chosen_bench(
    grid: Path | None,
    protocol: str | None,
    scale: str | None,
    only: Sequence[str] | None,
    suite: str | None = None,
    seeds: str | None = None,
) -> Bench:
    """Return the bench of a file, of a named protocol or of a suite, with the runs of some seeds.

    Raises:
        InputError: several are given, or none; or the file is none; or no run has such a seed.
    """
    from labelwise.bench import protocols, suites
    from labelwise.bench.spec import read_bench
    from labelwise.errors import InputError

    if sum(one is not None for one in (grid, protocol, suite)) != 1:
        raise InputError("Give one of these: a TOML file, --protocol NAME or, to bench, --suite NAME.")
    wanted = seeds_of(seeds) if seeds is not None else None
    if suite is not None:
        bench = suites.read_suite(suites.find(suite), scale, only or ())
    else:
        bench = read_bench(grid if grid is not None else protocols.find(protocol or ""), scale, only or ())
    return bench if wanted is None else bench.with_seeds(wanted)


def is_done(spec: Spec, folder: Path) -> bool:
    """Return True if the folder holds the finished run of this spec; a damaged file holds none."""
    from labelwise.bench.launch import is_finished
    from labelwise.errors import StoreError

    try:
        return is_finished(spec, folder)
    except StoreError:
        return False


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
