"""What a few random picks tell for certain: accuracy with an exact interval, and what chance would have bought.

A campaign that audits draws a share of each batch at random. Two facts are used here, and nothing else:

- The model of a round answers the round's random picks before it learns from them. They are a uniform sample of what is
  left of the pool, so the share it gets right estimates its accuracy there without bias, whatever the strategy did.
- The picks follow one random order of the whole pool and pass over what was asked before. So the labels of everything
  up to the last pick, whoever asked for it, are those that a campaign without any strategy would have bought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count
from labelwise.errors import InputError

Ids = NDArray[np.int64]

LEAST_RECENT = (
    100  # answers that an estimate of "now" reaches back for: at 90 % its interval is ±7 points wide
)
HELD_OUT = 3  # one in so many random labels is kept from training, to test on
FEWEST = 6  # random labels below which a comparison of two trainings says nothing


def audit_count(share: float, asked: int, audited: int, size: int) -> int:
    """Return how many of the next `size` picks are random: k = ⌊share (asked + size) + 1/2⌋ - audited, in [0, size].

    The running total of random picks is the share of all picks, rounded half up, after every round. Nothing is drawn,
    so that the number tells neither of the labels nor of the strategy.

    Args:
        share: in [0, 1], taken as the decimal number it is written as: 0.1 is a tenth.
        asked: picks of earlier rounds that were audited.
        audited: random ones among these.
        size: picks of this round.

    Raises:
        InputError: a share outside [0, 1], or a count below 0.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share must lie in [0, 1]; it is {share}.")
    for name, count in (("asked", asked), ("audited", audited), ("size", size)):
        check_count(count, name)
    total = floor(Fraction(repr(float(share))) * (asked + size) + Fraction(1, 2))
    return min(max(total - audited, 0), size)


class Estimate(NamedTuple):
    """An accuracy by n random answers: the share of them that was right, and its 95 % interval."""

    accuracy: float
    low: float
    high: float
    right: int
    n: int


def estimate(right: int, n: int, level: float = 0.95) -> Estimate:
    """Return the share right / n with its Clopper-Pearson interval.

    Args:
        right: how many were right.
        n: of how many, at least 1.
        level: in (0, 1).

    Raises:
        InputError: n below 1, right outside [0, n], a level outside (0, 1).

    Source:
        Clopper, Pearson 1934, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial".
        Why this one and not the shorter Wilson interval: somebody acts on the lower end, n is small and accuracies lie
        near 1, where Wilson's covers less often than it says for some of them; this one never does. It keeps its promise
        for the mean accuracy of the models of several rounds, too: among sums of n independent answers with a given mean
        probability, the binomial has the heaviest tails beyond one from its mean (Hoeffding 1956, "On the Distribution
        of the Number of Successes in Independent Trials"); and drawing without replacement only narrows them (Hoeffding
        1963). For this reason there is no correction for the finite pool: it would narrow the interval by a share of
        n / 2N, under a hundredth where less than a fiftieth of the pool is drawn, and cost the promise above.
    """
    from scipy.special import betaincinv

    check_count(n, "n", 1)
    if not 0 <= right <= n:
        raise InputError(f"right must lie between 0 and n = {n}; it is {right}.")
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1; it is {level}.")
    tail = (1 - level) / 2
    low = float(betaincinv(right, n - right + 1, tail)) if right else 0.0
    high = float(betaincinv(right + 1, n - right, 1 - tail)) if right < n else 1.0
    return Estimate(right / n, low, high, right, n)


class Audited(NamedTuple):
    """One round's random picks that were answered.

    Attributes:
        round: counted from 0.
        labels: bought when the round's model was fitted.
        right: answers that the model had foreseen.
        n: answers.
        left: samples of the pool that had not been asked for when the picks were drawn from them.
    """

    round: int
    labels: int
    right: int
    n: int
    left: int


def windows(rounds: Sequence[Audited], least: int = LEAST_RECENT) -> list[list[Audited]]:
    """Return neighbouring rounds together, oldest first, so that each window has `least` answers if that can be.

    Built from the newest round backwards: the last window is the shortest span that says how things stand now. What is
    too little at the beginning joins the first window, unless there is no other.

    Args:
        rounds: in order; those without answers are passed over.
        least: answers.
    """
    check_count(least, "least", 1)
    made: list[list[Audited]] = []
    for one in reversed([r for r in rounds if r.n]):
        if not made or sum(r.n for r in made[-1]) >= least:
            made.append([])
        made[-1].append(one)
    if len(made) > 1 and sum(r.n for r in made[-1]) < least:
        early = made.pop()
        made[-1] += early
    return [sorted(window) for window in reversed(made)]


def pooled(rounds: Sequence[Audited], level: float = 0.95) -> Estimate:
    """Return the accuracy over some rounds: the mean, by answers, of their models' accuracies on what was left to each.

    While the model improves it lags behind the newest one, by half the improvement over the window.

    Raises:
        InputError: there is no answer.
    """
    return estimate(sum(r.right for r in rounds), sum(r.n for r in rounds), level)


def whole(left: Estimate, answered: int, unanswered: int) -> tuple[float, float, float]:
    """Return (accuracy, low, high) of the labels of a whole pool: people's where they answered, the model's elsewhere.

    People's answers are taken as right. (answered + unanswered · accuracy) / (answered + unanswered).

    Args:
        left: the model's accuracy on what is left.
        answered: samples of the pool with a label.
        unanswered: samples left to the model.

    Raises:
        InputError: counts below 0, or a pool of nothing.
    """
    check_count(answered, "answered")
    check_count(unanswered, "unanswered")
    total = check_count(answered + unanswered, "answered + unanswered", 1)
    share = unanswered / total
    return (1 - share * (1 - left.accuracy), 1 - share * (1 - left.low), 1 - share * (1 - left.high))


class Draw(NamedTuple):
    """One draw of two training sets of equal size, and random samples that neither holds."""

    by_chance: Ids
    by_strategy: Ids
    held_out: Ids


def draws(chance: Any, chosen: Any, count: int, rng: np.random.Generator) -> list[Draw]:
    """Return training sets that show what a strategy's labels are worth against random ones, at the same number.

    In each draw a third of the random labels is held out; chance trains on the others, the strategy on as many of its own
    first picks, drawn without replacement from as many as there are random labels (held-out ones left out, the next
    picks in their place). So both sides are thinned alike, and both stand for the campaign's beginning: what the
    strategy asked for while it had not many more labels than chance has here.

    Args:
        chance: (p,) ids of a random sample of the pool, labelled.
        chosen: (q,) ids that the strategy asked for, labelled, in the order of asking; some may be in `chance`, too.
        count: how many draws.
        rng: for them.

    Raises:
        InputError: fewer than 6 random labels, or too few picks to train on as many.
    """
    chance, chosen = np.asarray(chance, dtype=np.int64), np.asarray(chosen, dtype=np.int64)
    check_count(count, "count", 2)
    if chance.size < FEWEST:
        raise InputError(f"A comparison needs at least {FEWEST} random labels; there are {chance.size}.")
    out = chance.size // HELD_OUT
    train = chance.size - out
    made = []
    for _ in range(count):
        shuffled = rng.permutation(chance)
        held_out, by_chance = shuffled[:out], shuffled[out:]
        own = chosen[~np.isin(chosen, held_out)][: chance.size]
        if own.size < train:
            raise InputError(f"The strategy must have {train} labels to compare; it has {own.size}.")
        by_strategy = rng.permutation(own)[:train]
        made.append(Draw(np.sort(by_chance), np.sort(by_strategy), held_out))
    return made


@dataclass(frozen=True)
class Gain:
    """What as many labels bought, chosen by the strategy and drawn by chance.

    Attributes:
        labels: that each model learned from, the common start included.
        chance: mean accuracy after random labels.
        strategy: mean accuracy after the strategy's.
        gain: strategy - chance.
        low: lower end of the 95 % interval of the gain.
        high: upper end.
        draws: how many pairs of models.
        samples: that each pair was tested on.
        held_out: True: on random picks that the pair did not learn from; False: on validation samples.
    """

    labels: int
    chance: float
    strategy: float
    gain: float
    low: float
    high: float
    draws: int
    samples: int
    held_out: bool


def gain(
    chance: Sequence[Any], strategy: Sequence[Any], labels: int, *, held_out: bool, level: float = 0.95
) -> Gain:
    """Return the gain of a strategy over chance from what pairs of models got right.

    Its variance is (1/J + 1/2) s² with s² the variance of the J draws' gains: draws overlap, and the correction allows for
    it (1/2 is held-out over training samples). On validation samples, which are the same in each draw, the variance of
    their mean gain is added. Student's t with J - 1 degrees of freedom.

    Args:
        chance: for each draw (n,) whether the model of random labels was right; at least 2 draws.
        strategy: for each draw (n,) the same samples, the model of the strategy's labels.
        labels: that each learned from.
        held_out: the samples are each draw's own held-out ones; False: the same validation samples in all draws.
        level: of the interval.

    Raises:
        InputError: fewer than 2 draws, a draw without samples, or sides that do not fit.

    Source:
        Nadeau, Bengio 2003, "Inference for the Generalization Error", equation 9 (corrected resampled t-test).
        Deviation: the second term for validation samples.
    """
    from scipy.special import stdtrit

    pairs = [
        (np.asarray(a, dtype=float), np.asarray(b, dtype=float))
        for a, b in zip(chance, strategy, strict=True)
    ]
    if len(pairs) < 2 or any(a.shape != b.shape or a.ndim != 1 or not a.size for a, b in pairs):
        raise InputError(
            "gain needs two draws at least, each with the same samples, one or more, on both sides."
        )
    each = np.array([np.mean(b - a) for a, b in pairs])
    variance = (1 / len(each) + 1 / (HELD_OUT - 1)) * each.var(ddof=1)
    if not held_out:
        by_sample = np.mean([b - a for a, b in pairs], axis=0)
        variance += by_sample.var(ddof=1) / by_sample.size if by_sample.size > 1 else 0.0
    half = float(stdtrit(len(each) - 1, (1 + level) / 2) * np.sqrt(variance))
    mean = float(each.mean())
    return Gain(
        labels,
        float(np.mean([a.mean() for a, _ in pairs])),
        float(np.mean([b.mean() for _, b in pairs])),
        mean,
        mean - half,
        mean + half,
        len(each),
        pairs[0][0].size,
        held_out,
    )
