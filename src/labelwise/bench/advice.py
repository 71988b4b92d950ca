"""What somebody knows of a pool before any label is bought, how like it each set of the suite is, and where it lies outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10

from labelwise.bench.leaderboard import DataSet
from labelwise.bench.words import count, listed, ratio
from labelwise.checks import check_count, check_name, check_number
from labelwise.errors import InputError

BALANCED = 1.5  # largest over smallest class below which a person would say: balanced
KINDS = ("image", "text", "audio", "vectors", "signals", "several")


@dataclass(frozen=True)
class Facts:
    """A pool, and what may be spent on it. None: not known, and not compared.

    Attributes:
        pool: samples to choose from.
        classes: how many, two or more.
        budget: labels in all.
        start, batch: labels of the first round and of each later one.
        modalities: of a sample.
        kind: a row of `KINDS`; with several modalities always "several".
        imbalance: the largest over the smallest class, 1 or more.
        network: a neural network learns, not a linear model or a forest.

    Raises:
        InputError: a number that makes no sense; it says which and why.
    """

    pool: int
    classes: int
    budget: int
    start: int = 20
    batch: int = 50
    modalities: int = 1
    kind: str | None = None
    imbalance: float | None = None
    network: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.classes, bool) and self.classes in (0, 1):
            raise InputError(
                f"classes must be 2 or more; it is {self.classes}. The suite measures classification: it has nothing to "
                "say of regression, nor of one class."
            )
        for name, least in (
            ("pool", 2), ("classes", 2), ("budget", 1), ("start", 1), ("batch", 1), ("modalities", 1)
        ):  # fmt: skip
            check_count(getattr(self, name), name, least)
        if self.budget > self.pool:
            raise InputError(
                f"budget is {self.budget:,}, more than the pool, {self.pool:,}: then label everything, no strategy is needed."
            )
        if self.classes > self.pool:
            raise InputError(
                f"classes is {self.classes:,}, more than the pool, {self.pool:,}: some classes cannot have a sample there."
            )
        if self.start > self.budget:
            raise InputError(f"start is {self.start:,}, more than budget, {self.budget:,}.")
        if self.imbalance is not None:
            check_number(self.imbalance, "imbalance", 1)
        if self.kind is not None:
            check_name(self.kind, KINDS, "kind of data")
        if self.modalities > 1:
            if self.kind not in (None, "several"):
                raise InputError(
                    f"kind {self.kind!r} is of one modality, and there are {self.modalities}: leave it out, they are compared as several."
                )
            object.__setattr__(self, "kind", "several")
        elif self.kind == "several":
            raise InputError("kind 'several' takes --modalities 2 or more; it is 1.")


@dataclass(frozen=True)
class Likeness:
    """How like a pool a set is.

    Attributes:
        set: of the suite.
        steps: how far away, in steps: a factor of ten in a number is one, another kind of data is one.
        weight: 2^-steps.
        apart: what differs most, in words, the largest first.
    """

    set: DataSet
    steps: float
    weight: float
    apart: tuple[str, ...]


def numbers(facts: Facts | DataSet) -> dict[str, float | None]:
    """Return the numbers that are compared, by what they are called; each counts by its logarithm."""
    return {
        "samples": float(facts.pool),
        "classes": float(facts.classes),
        "labels a class": facts.budget / facts.classes,
        "imbalance": facts.imbalance,
    }


def likeness(facts: Facts, one: DataSet) -> Likeness:
    """Return how like a pool a set is: each factor of ten in a number halves it, and so does another kind of data.

    One rule for all differences, none of them tuned: with as few sets as there are, more could not be learnt.
    """
    mine, theirs = numbers(facts), numbers(one)
    away: dict[str, float] = {}
    for name, value in mine.items():
        other = theirs[name]
        if value is not None and other is not None:
            away[f"{name} × {_factor(other / value)}"] = abs(log10(other / value))
    several = one.kind == "several"
    if several != (facts.modalities > 1) or (facts.kind is not None and one.kind != facts.kind):
        away[f"{one.modalities} modalities" if several else one.kind] = 1.0
    steps = sum(away.values())
    largest = sorted((name for name, far in away.items() if far >= 0.3), key=lambda name: (-away[name], name))
    return Likeness(one, steps, 2.0**-steps, tuple(largest))


def _factor(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else ratio(value)


def nearest(facts: Facts, sets: Iterable[DataSet]) -> list[Likeness]:
    """Return the sets, the most like a pool first."""
    return sorted((likeness(facts, one) for one in sets), key=lambda like: (like.steps, like.set.name))


def groups(sets: Iterable[DataSet]) -> list[tuple[str, ...]]:
    """Return names of sets in groups that share no material: each group is one witness, however many sets it has."""
    found: list[tuple[set[str], list[str]]] = []
    for one in sets:
        mine, names = set(one.material) or {one.name}, [one.name]
        apart = []
        for parts, there in found:
            if parts & mine:
                mine |= parts
                names = there + names
            else:
                apart.append((parts, there))
        found = [*apart, (mine, names)]
    return sorted(tuple(sorted(names)) for _, names in found)


def about(facts: Facts | DataSet) -> str:
    """Return a pool in a few words: "image, 10 classes, 20,000 samples, 50 labels a class, classes up to 20 : 1"."""
    several = facts.modalities > 1
    words = [f"{facts.modalities} modalities" if several else facts.kind or ""]
    words += [
        f"{count(facts.classes)} classes",
        f"{count(facts.pool)} samples",
        f"{count(facts.budget / facts.classes)} labels a class",
    ]
    if facts.imbalance is not None and facts.imbalance >= BALANCED:
        words.append(f"classes up to {count(facts.imbalance)} : 1")
    return ", ".join(filter(None, words))


def short(one: DataSet) -> str:
    """Return a set for a narrow column: "image, 10 classes, 19k samples, 125 labels each, 20 : 1"."""
    samples = f"{one.pool / 1000:.0f}k" if one.pool >= 9_500 else count(one.pool)
    words = [
        f"{one.modalities} modalities" if one.modalities > 1 else one.kind,
        f"{count(one.classes)} classes",
    ]
    words += [f"{samples} samples", f"{count(one.budget / one.classes)} labels each"]
    return ", ".join([*words, *([f"{count(one.imbalance)} : 1"] if one.imbalance >= BALANCED else [])])


def outside(facts: Facts, sets: Sequence[DataSet]) -> list[str]:
    """Return, in sentences, where a pool lies outside of what the sets cover."""
    told = []
    for name, value in numbers(facts).items():
        known = sorted(v for one in sets if (v := numbers(one)[name]) is not None)
        if value is None or not known or known[0] <= value <= known[-1]:
            continue
        side, limit = ("most", known[-1]) if value > known[-1] else ("fewest", known[0])
        if name == "imbalance":
            side = "largest" if side == "most" else "smallest"
        told.append(
            f"{_capital(name)}: {_number(value)}, and the {side} that the suite has measured is {_number(limit)}."
        )
    kinds = sorted({one.kind for one in sets})
    if facts.kind is not None and facts.kind not in kinds:
        told.append(f"Kind: no set of the suite is {facts.kind}; there are {listed(kinds)}.")
    if facts.modalities > (most := max(one.modalities for one in sets)):
        told.append(f"Modalities: {facts.modalities}, and the most that the suite has measured is {most}.")
    if not facts.network:
        told.append(
            "Model: every set of the suite trains a neural network from scratch; with another model strategies may rank "
            "otherwise."
        )
    return told


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
