"""What strategies noted of their asks, read with care: a note of another shape than expected counts as absent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labelwise.bench.results import Run

MOST_IDS = 12  # thumbnails of one group


@dataclass(frozen=True)
class TrustSet:
    """The labelled samples that a round took for its target.

    Attributes:
        size: samples.
        classes: of each class.
        ids: some of them, best first.
        scores: theirs.
    """

    size: int
    classes: tuple[int, ...]
    ids: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Chosen:
    """One cell of the pool from which samples were taken.

    Attributes:
        cluster, cell: their numbers.
        samples: it holds.
        taken: of them.
        reward: predicted; None where nothing was learnt.
        ids: some of those taken.
    """

    cluster: int
    cell: int
    samples: int
    taken: int
    reward: float | None
    ids: tuple[int, ...]


def number(notes: Mapping[str, Any], name: str) -> float | None:
    """Return a finite number, or None."""
    value = notes.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def numbers(values: Any) -> tuple[float, ...]:
    """Return a list of finite numbers; () for anything else."""
    if not isinstance(values, list | tuple):
        return ()
    found = [number({"": value}, "") for value in values]
    known = tuple(value for value in found if value is not None)
    return known if len(known) == len(found) else ()


def counts(values: Any) -> tuple[int, ...]:
    """Return a list of whole numbers from 0; () for anything else."""
    found = numbers(values)
    return tuple(map(int, found)) if all(v >= 0 and v == int(v) for v in found) else ()


def trust_set(notes: Mapping[str, Any]) -> TrustSet | None:
    """Return the TrustSet of a round's notes, or None."""
    told = notes.get("TrustSet")
    if not isinstance(told, Mapping):
        return None
    classes, ids, scores = counts(told.get("classes")), counts(told.get("ids")), numbers(told.get("scores"))
    size = number(told, "size")
    if size is None or not classes or len(ids) != len(scores):
        return None
    return TrustSet(int(size), classes, ids[:MOST_IDS], scores[:MOST_IDS])


def chosen(notes: Mapping[str, Any]) -> tuple[Chosen, ...]:
    """Return the cells of a round's notes, in their order; () where there are none."""
    told = notes.get("chosen")
    cells = []
    for one in told if isinstance(told, list | tuple) else ():
        if not isinstance(one, Mapping):
            return ()
        whole = counts([one.get(key) for key in ("cluster", "cell", "samples", "taken")])
        if len(whole) != 4:
            return ()
        cells.append(Chosen(*whole, number(one, "predicted reward"), counts(one.get("ids"))))
    return tuple(cells)


def seconds(notes: Mapping[str, Any]) -> dict[str, float]:
    """Return phase -> seconds of a round's notes; {} where there are none."""
    told = notes.get("seconds")
    if not isinstance(told, Mapping):
        return {}
    found = {str(phase): number(told, phase) for phase in told}
    return {phase: value for phase, value in found.items() if value is not None}


def labels_before(run: Run) -> dict[int, int]:
    """Return round -> labels bought when it was chosen."""
    opened = run.state.opened
    given = 0 if opened is None else int(opened.task.get("given", 0))
    return {fit.round: fit.n_labelled - given for fit in run.fits}
