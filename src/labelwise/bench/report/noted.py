"""What strategies noted of their asks, read with care: a note of another shape than expected counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labelwise.bench.results import Run

MOST_IDS = 12  # thumbnails of one group
MOST = 1e15  # a larger number is a mistake, and no figure can hold it


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


@dataclass(frozen=True)
class Heard:
    """What one modality said of a sample that was asked for; None where it was not noted.

    Attributes:
        present: False where the sample lacks it.
        uncertainty, vacuity, weight, belief: in [0, 1].
        guess: class index.
    """

    present: bool
    uncertainty: float | None
    vacuity: float | None
    weight: float | None
    guess: int | None
    belief: float | None


@dataclass(frozen=True)
class Explained:
    """Why one sample was asked for; None where it was not noted.

    Attributes:
        id: the sample.
        numbers: of "probability", "score", "difficulty", "diversity" and "conflict" those that were noted.
        modalities: name -> what it said.
    """

    id: int
    numbers: Mapping[str, float]
    modalities: Mapping[str, Heard]


REASONS = ("score", "difficulty", "diversity", "conflict", "probability")


def number(notes: Mapping[str, Any], name: str) -> float | None:
    """Return a finite number of a size that can be drawn, or None."""
    value = notes.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MOST < value < MOST:
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


def weights(notes: Mapping[str, Any], name: str = "modality weights") -> dict[str, float]:
    """Return modality -> number of a round's notes; {} where there are none."""
    told = notes.get(name)
    if not isinstance(told, Mapping):
        return {}
    found = {str(modality): number(told, modality) for modality in told}
    return {modality: value for modality, value in found.items() if value is not None}


def explained(notes: Mapping[str, Any], n_classes: int) -> tuple[Explained, ...]:
    """Return the samples that a round's notes explain, in the order of asking; () where there are none."""
    told = notes.get("samples")
    found = []
    for one in told[:MOST_IDS] if isinstance(told, list | tuple) else ():
        if not isinstance(one, Mapping) or len(counts([one.get("id")])) != 1:
            return ()
        heard = one.get("modalities")
        known = {name: value for name in REASONS if (value := number(one, name)) is not None}
        said = {
            str(name): _heard(part, n_classes)
            for name, part in (heard.items() if isinstance(heard, Mapping) else ())
            if isinstance(part, Mapping)
        }
        found.append(Explained(int(one["id"]), known, said))
    return tuple(found)


def _heard(told: Mapping[str, Any], n_classes: int) -> Heard:
    def share(name: str) -> float | None:
        value = number(told, name)
        return value if value is not None and 0 <= value <= 1 else None

    guess = counts([told.get("guess")])
    return Heard(
        told.get("present") is not False,
        share("uncertainty"),
        share("vacuity"),
        share("weight"),
        guess[0] if guess and guess[0] < n_classes else None,
        share("belief"),
    )
