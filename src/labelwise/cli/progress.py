"""A progress bar with rate and ETA on standard error; silent when nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
