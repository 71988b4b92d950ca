"""Which new samples to label, and how many of which kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from labelwise.data.base import Ids
from labelwise.functional.drift import allocated
from labelwise.functional.robust import Floats
from labelwise.functional.scores import smallest_margin
from labelwise.functional.shift import domain_ratios
from labelwise.project.drift.comparing import ABSENCE, SPREAD, Moved, joint_basis
from labelwise.project.drift.seeing import Seen
from labelwise.seeds import generator

LIKE_OLD = "like the old data"
_UNLIKE = 0.9  # of the old samples are less unlike the old ones
_LEAST_DEVIATION = 0.1  # a model is too sure of what it has not seen


@dataclass(frozen=True)
class Stratum:
    """New samples of one kind.

    Attributes:
        name: what they are like.
        samples: how many there are.
        error: what the model expects of its own error on them, the mean of 1 - its highest probability.
        labels: of the budget, in proportion to samples · √(error (1 - error)), the root at least 0.1.
    """

    name: str
    samples: int
    error: float
    labels: int


@dataclass(frozen=True)
class Pick:
    """A new sample worth a label.

    Attributes:
        id: its number among the new data.
        key: its file, or the name of its row.
        stratum: which kind it is of.
        ratio: how much more likely it is under the new data than under the old, as estimated; 1 where nothing moved.
        uncertainty: 1 - (p₍₁₎ - p₍₂₎) of the model's probabilities, in [0, 1].
        score: ratio, cut at its 99th percentile, times uncertainty.
        suggestion: class index that the model would give.
        confidence: the probability of that.
    """

    id: int
    key: str
    stratum: str
    ratio: float
    uncertainty: float
    score: float
    suggestion: int
    confidence: float


@dataclass(frozen=True)
class Whom:
    """What to label.

    Attributes:
        budget: labels, as many as there are samples at most.
        strata: kinds of new samples, those unlike the old ones first.
        picks: `budget` samples, of each stratum its share with the highest scores; highest scores first.
    """

    budget: int
    strata: tuple[Stratum, ...]
    picks: tuple[Pick, ...]


def whom(
    old: Seen, new: Seen, ids: Ids, probs: NDArray[np.float64], moved: Sequence[Moved], budget: int, seed: int
) -> Whom:
    """Return which new samples to label.

    A sample is unlike the old data in a modality that moved if its density ratio there is above that of nine in ten
    old samples; of several modalities it belongs to the one where it is so most.

    Args:
        old: the old samples that new ones were compared with.
        new: all new samples.
        ids: (n,) their numbers.
        probs: (n, C) what the model says of them.
        moved: each modality beside the old data.
        budget: labels to allocate.
        seed: of the classifiers' folds.
    """
    names = _strata(old, new, moved, seed)
    found = [one for one in moved if one.counted]
    ratios = np.ones(len(ids))
    if found:
        x, z = joint_basis(old, new, [one.name for one in found])
        squares = any(one.by == SPREAD for one in found)
        ratios = 1 / domain_ratios(z, x, generator(seed, "drift", "ratios"), squares=squares)
    unsure = np.asarray(1 + smallest_margin(probs), np.float64)
    scores = np.minimum(ratios, np.percentile(ratios, 99)) * unsure
    doubt = 1 - probs.max(axis=1)
    kinds = sorted(set(names.tolist()), key=lambda name: (name == LIKE_OLD, name))
    rows = [np.flatnonzero(names == kind) for kind in kinds]
    errors = [float(doubt[part].mean()) for part in rows]
    deviations = [max(_LEAST_DEVIATION, sqrt(error * (1 - error))) for error in errors]
    labels = allocated([len(part) for part in rows], deviations, budget).tolist()
    best = [part[np.argsort(-scores[part], kind="stable")[:n]] for part, n in zip(rows, labels, strict=True)]
    chosen = np.concatenate(best)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    strata = [Stratum(k, len(part), e, n) for k, part, e, n in zip(kinds, rows, errors, labels, strict=True)]
    picks = [
        Pick(
            id=int(ids[row]),
            key=str(ids[row]),
            stratum=str(names[row]),
            ratio=float(ratios[row]),
            uncertainty=float(unsure[row]),
            score=float(scores[row]),
            suggestion=int(probs[row].argmax()),
            confidence=float(probs[row].max()),
        )
        for row in chosen.tolist()
    ]
    return Whom(sum(labels), tuple(strata), tuple(picks))


def _strata(old: Seen, new: Seen, moved: Sequence[Moved], seed: int) -> NDArray[np.object_]:
    """Return what each new sample is like, (n,)."""
    names = np.full(len(new.there), LIKE_OLD, dtype=object)
    most: Floats = np.ones(len(names))
    for m, one in enumerate(moved):
        here = new.there[:, m]
        if one.by == ABSENCE:
            fewer = one.share_new < one.share_old
            names[~here if fewer else here] = f"{'without' if fewer else 'with'} {one.name}"
        elif one.by:
            x, z = joint_basis(_only(old, m), _only(new, m), [one.name])
            squares = one.by == SPREAD
            rng = generator(seed, "drift", "strata", one.name)
            limit = np.quantile(domain_ratios(x, z, rng, squares=squares), _UNLIKE)
            beyond = np.zeros(len(names))
            beyond[here] = 1 / domain_ratios(z, x, rng, squares=squares) / limit
            names[beyond > most] = f"unlike the old in {one.name}"
            most = np.maximum(most, beyond)
    return names


def _only(seen: Seen, m: int) -> Seen:
    """Return one modality of the samples that have it."""
    rows = np.flatnonzero(seen.there[:, m])
    return Seen((seen.names[m],), (seen.parts[m][rows],), seen.there[rows][:, [m]])
