"""When to stop buying labels: published criteria that need no label, each told with its value and threshold.

They advise and decide nothing. All but the last read what the models of successive rounds say of one fixed random part
of the pool, the stop set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from labelwise.checks import as_array, check_number, check_shape
from labelwise.errors import ShapeError
from labelwise.functional.scores import entropy

STABLE, STABLE_ROUNDS = 0.99, 3
ROUNDING = 1e-12  # of a mean of three
CERTAIN = 0.05
CONVERGED, CONVERGED_ROUNDS = 0.001, 3


def kappa(one: Any, other: Any) -> float:
    """Return Cohen's kappa of two models' classes: (p_o - p_e) / (1 - p_e), agreement beyond what chance gives.

    p_o is the share of samples on which they agree, p_e that which two such models agree on if they answer
    independently. 1: they agree everywhere; 0: as by chance; below 0: less. NaN where both know one class only, the same:
    0 / 0, for models that say the same of everything agree whatever they have learnt.

    Args:
        one: (n,) class indices, n >= 1.
        other: (n,) class indices of the same samples.

    Raises:
        ShapeError: the two differ in length, or there is no sample.

    Source:
        Cohen 1960, "A Coefficient of Agreement for Nominal Scales".
    """
    a, b = as_array(one, "one"), as_array(other, "other")
    check_shape(a, "one", ("n",), (None,))
    check_shape(b, "other", ("n",), (a.size,))
    if not a.size:
        raise ShapeError("kappa needs samples; there is none.")
    agree = float(np.mean(a == b))
    classes = np.union1d(a, b)
    if classes.size == 1:
        return float("nan")
    by_chance = float(sum(np.mean(a == c) * np.mean(b == c) for c in classes))
    return (agree - by_chance) / (1 - by_chance)


def mean_uncertainty(probs: Any) -> float:
    """Return the mean of H(p) / ln C over samples: 0 where all are certain, 1 where none knows anything.

    Args:
        probs: (n, C) class probabilities, n >= 1, C >= 2.

    Source:
        Zhu, Wang, Hovy 2008, "Learning a Stopping Criterion for Active Learning for Word Sense Disambiguation and Text
        Classification" (overall uncertainty).
    """
    array = as_array(probs, "probs")
    return float(np.mean(entropy(array), dtype=np.float64) / np.log(array.shape[1]))


@dataclass(frozen=True)
class Watch:
    """What one fit said of the stop set.

    Attributes:
        round: that was about to be asked.
        labels: the fit learned from.
        kappa: with the fit before, over the whole stop set; None for the first.
        changed: share of its unlabelled samples whose class is not that of the fit before; None for the first.
        uncertainty: `mean_uncertainty` of its unlabelled samples; None where all are labelled.
        confidence: their mean highest probability: the model's own estimate of its accuracy.
    """

    round: int
    labels: int
    kappa: float | None
    changed: float | None
    uncertainty: float | None
    confidence: float | None


@dataclass(frozen=True)
class Advice:
    """What one criterion says.

    Attributes:
        criterion: its name.
        value: now; None where it cannot be told yet.
        rule: what the value is held against, in words.
        stop: whether it says stop now; None where it cannot be told yet.
        since: the round from which it has said so without a break; None if it does not say stop.
        first: the round in which it said so first, where one who obeys would have stopped; None if it never did.
        source: author and year.
    """

    criterion: str
    value: float | None
    rule: str
    stop: bool | None
    since: int | None
    first: int | None
    source: str


def stabilised(watched: Sequence[Watch]) -> Advice:
    """Return whether predictions are stable: the mean kappa of the last 3 pairs of successive fits is 0.99 or more.

    Source:
        Bloodgood, Vijay-Shanker 2009, "A Method for Stopping Active Learning Based on Stabilizing Predictions and the
        Need for User-Adjustable Stopping", section 4 (threshold 0.99, window 3). Deviation: a stop set of at most 1,000
        samples where theirs has 2,000.
    """
    values = _means([w.kappa for w in watched], STABLE_ROUNDS)
    return _told(
        "stabilising predictions",
        f"mean kappa of the last {STABLE_ROUNDS} rounds at least {STABLE}",
        watched,
        values,
        [None if v is None else v >= STABLE - ROUNDING for v in values],
        "Bloodgood, Vijay-Shanker 2009",
    )


def certain(watched: Sequence[Watch]) -> Advice:
    """Return whether the model is certain of what is left: its mean uncertainty there is below 0.05.

    Source:
        Zhu, Wang, Hovy 2008 (see `mean_uncertainty`). Deviations: entropies are divided by ln C, so that one threshold
        fits any number of classes; a random part of the unlabelled samples stands for all.
    """
    values = [w.uncertainty for w in watched]
    return _told(
        "overall uncertainty",
        f"mean entropy / ln C of what is left below {CERTAIN}",
        watched,
        values,
        [None if v is None else v < CERTAIN for v in values],
        "Zhu, Wang, Hovy 2008",
    )


def unchanged(watched: Sequence[Watch]) -> Advice:
    """Return whether no unlabelled sample of the stop set changed its class between the last two fits.

    Source:
        Zhu, Wang, Hovy 2008, "Multi-Criteria-Based Strategy to Stop Active Learning for Data Annotation"
        (classification change). Deviation: a random part of the unlabelled samples stands for all.
    """
    values = [w.changed for w in watched]
    return _told(
        "classification change",
        "no sample that is left changed its class",
        watched,
        values,
        [None if v is None else v == 0 for v in values],
        "Zhu, Wang, Hovy 2008",
    )


def converged(watched: Sequence[Watch]) -> Advice:
    """Return whether the model's own estimate of its accuracy has stopped rising.

    The value is the median of the last 3 mean confidences minus the median of the 3 before, a round; it says stop where
    that is at least 0, below 0.001, and the newest median is the highest so far.

    Source:
        Laws, Schütze 2008, "Stopping Criteria for Active Learning of Named Entity Recognition" (performance convergence
        by gradient). Deviations: mean confidence in the place of an estimated F-score; windows of 3 rounds and a
        threshold of a tenth of a point a round, for campaigns of tens of rounds where theirs have hundreds.
    """
    n = CONVERGED_ROUNDS
    told = [w.confidence for w in watched]
    medians = [_median(told[max(0, k - n + 1) : k + 1], n) for k in range(len(told))]
    values: list[float | None] = []
    stops: list[bool | None] = []
    for k, now in enumerate(medians):
        before = medians[k - n] if k >= n else None
        if now is None or before is None:
            values.append(None)
            stops.append(None)
            continue
        rise = (now - before) / n
        highest = now >= max(m for m in medians[: k + 1] if m is not None)
        values.append(rise)
        stops.append(0 <= rise < CONVERGED and highest)
    return _told(
        "performance convergence",
        f"rise of mean confidence below {CONVERGED} a round, at its highest",
        watched,
        values,
        stops,
        "Laws, Schütze 2008",
    )


def advice(watched: Sequence[Watch]) -> tuple[Advice, ...]:
    """Return what every criterion says that needs nothing but the stop set; () where no fit watched one.

    Args:
        watched: one of each fit, in order.
    """
    if not watched:
        return ()
    return tuple(ask(watched) for ask in (stabilised, certain, unchanged, converged))


def worth(gain: float, labels: int, price: float, value: float, since: int | None = None) -> Advice:
    """Return whether the next labels cost more than they are expected to bring.

    The value is gain · value / (labels · price), what is expected back for each unit that is spent.

    Args:
        gain: expected rise of accuracy, in points (hundredths), of the next labels.
        labels: how many they are, at least 1.
        price: of one label, above 0, in any currency.
        value: of one point of accuracy, in the same.
        since: the round whose forecast it is.

    Raises:
        InputError: a number is not finite or out of its range.
    """
    check_number(gain, "gain")
    check_number(labels, "labels", 1)
    check_number(value, "value", 0)
    check_number(price, "price", np.nextafter(0, 1))
    back = gain * value / (labels * price)
    stop = back < 1
    at = since if stop else None
    return Advice(
        "expected gain < cost",
        back,
        f"{labels:,} labels bring back less than they cost",
        stop,
        at,
        at,
        "decision theory: stop where the marginal gain is below the marginal cost",
    )


def watch_of(found: Mapping[str, Any], round: int, labels: int) -> Watch | None:
    """Return what a stored fit said of the stop set; None where it holds nothing of the kind, or in another shape."""
    values = [found.get(name) for name in ("kappa", "changed", "uncertainty", "confidence")]
    if not found or any(isinstance(v, bool) or not isinstance(v, float | int | None) for v in values):
        return None
    return Watch(round, labels, *values)


def _means(values: Sequence[float | None], width: int) -> list[float | None]:
    """Return running means of the last `width` values, None where one of them is missing."""
    means: list[float | None] = []
    for k in range(len(values)):
        known = [v for v in values[max(0, k - width + 1) : k + 1] if v is not None]
        means.append(sum(known) / width if len(known) == width else None)
    return means


def _median(values: Sequence[float | None], width: int) -> float | None:
    known = [v for v in values if v is not None]
    return median(known) if len(known) == width else None


def _told(
    criterion: str,
    rule: str,
    watched: Sequence[Watch],
    values: Sequence[float | None],
    stops: Sequence[bool | None],
    source: str,
) -> Advice:
    """Return the newest value and verdict, since when it stands, and when it came first."""
    since = None
    for watch, stop in zip(reversed(watched), reversed(stops), strict=True):
        if not stop:
            break
        since = watch.round
    first = next((w.round for w, stop in zip(watched, stops, strict=True) if stop), None)
    return Advice(criterion, values[-1], rule, stops[-1], since, first, source)
