"""Progress bars with count and ETA on standard error; silent when nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PHASES = {
    "decode": "reading",
    "fit": "fitting",
    "cross-fit": "cross-fitting",
    "look": "reading",
    "compare": "comparing",
    "measure": "measuring",
    "infer": "scoring",
    "predict": "predicting",
}


@contextmanager
def phase_bar(unit: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function that is told (done, total, phase) and keeps one bar up to date.

    Args:
        unit: what is counted, e.g. "labels bought".
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + ", ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        line = bar.add_task("", total=None)

        def tell(done: int, total: int, phase: str) -> None:
            bar.update(line, completed=done, total=total, description=phase)

        yield tell


@contextmanager
def phase_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Yield what is told (phase, done, total): a line a phase, count and ETA."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:>13}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        lines: dict[str, TaskID] = {}

        def tell(phase: str, done: int, total: int) -> None:
            if phase not in lines:
                lines[phase] = bar.add_task(_PHASES.get(phase, phase), total=total)
            bar.update(lines[phase], completed=done, total=total)

        yield tell
