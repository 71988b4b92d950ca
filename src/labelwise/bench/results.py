"""Runs as they lie in their files: the spec, every round, and what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelwise.errors import InputError, StoreError
from labelwise.events import Fitted, State, replay


@dataclass(frozen=True)
class Run:
    """One campaign of a benchmark.

    Attributes:
        id: the spec's id, the file's stem.
        spec: the spec as plain values: task, recipe, strategy, plan, oracle (see `bench.spec.Spec`).
        state: every ask, answer and fit.
        path: the file.
    """

    id: str
    spec: Mapping[str, Any]
    state: State
    path: Path

    @property
    def finished(self) -> bool:
        """True if the budget is spent and the last fit measured."""
        return self.state.over

    @property
    def strategy(self) -> str:
        return str(self.spec["strategy"]["name"])

    @property
    def seed(self) -> int:
        return int(self.spec["plan"]["seed"])

    @property
    def fits(self) -> tuple[Fitted, ...]:
        """One fit for each point of the learning curve: `n_labelled`, `test` (or `validation`) metrics, `seconds`."""
        return self.state.fits


def read_run(path: Path) -> Run:
    """Return the run in a file.

    Raises:
        InputError: the file is a store, but of no benchmark run.
        StoreError: the file is no store, or damaged.
    """
    from labelwise.store.sql import SqlStore

    store = SqlStore(path, create=False, readonly=True)
    try:
        state = replay(store.read())
    finally:
        store.close()
    if state.opened is None or "spec" not in state.opened.notes:
        raise InputError(f"{path} holds a campaign, but no benchmark run: it names no spec.")
    return Run(path.stem, state.opened.notes["spec"], state, path)


def read_runs(places: Iterable[Path]) -> tuple[list[Run], list[tuple[Path, str]]]:
    """Return the runs in files or folders, ordered by (task, strategy, seed), and (file, reason) of the unreadable.

    Raises:
        InputError: there is no such file or folder, or not one run in any of them.
    """
    files: list[Path] = []
    for place in map(Path, places):
        if not place.exists():
            raise InputError(
                f"There is no file or folder {place}; give a folder that `labelwise bench` wrote."
            )
        files += sorted(place.glob("*.db")) if place.is_dir() else [place]
    runs, bad = [], []
    for path in files:
        try:
            runs.append(read_run(path))
        except (InputError, StoreError) as error:
            bad.append((path, str(error)))
    if not runs:
        reason = f" The first file says: {bad[0][1]}" if bad else ""
        raise InputError(f"No benchmark run was found in {', '.join(str(p) for p in places)}.{reason}")
    return sorted(runs, key=lambda r: (str(r.spec["task"]), r.strategy, r.seed, r.id)), bad
