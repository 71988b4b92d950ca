"""Scores of posterior draws, (n, S, C) -> (n,): how much the draws of a predictor disagree; higher means ask sooner.

A draw is one answer of one possible predictor: a dropout mask, a member of a committee or of a deep ensemble. Scores
of single samples read each sample's draws alone; `epig` (and `labelwise.functional.batches.batch_bald`) also relate
samples to one another, for which draw s must come from the same predictor (the same masks) for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_array, check_count, check_shape
from labelwise.errors import InputError, ShapeError
from labelwise.functional.blocks import Kernel, block_rows, sweep
from labelwise.functional.distributions import refuse, tolerance_of
from labelwise.functional.mixtures import TINY, mixed_entropy, mixtures_a_pass

Floats = NDArray[np.float64]
# Scores a block of draws: (r, S, C) float64 distributions -> (r,).
Rule = Callable[[Floats], Floats]
# Makes a rule; called once a thread with the most samples of a block, so that the rule may own its buffers.
Maker = Callable[[int], Rule]


def variation_ratio(draws: Any, *, block: int | None = None, threads: int | None = None) -> Floats:
    """Return 1 - (votes of the most voted class) / S; a draw votes for its most probable class, the lowest of equals.

    0 where all draws agree on the class, however unsure each is.

    Args:
        draws: (n, S, C) posterior draws of class probabilities, rows sum to 1; any float type, memory maps and torch
            tensors welcome.
        block: samples worked on at a time; None: as many as fill about 3 MiB.
        threads: threads to use; None: see `labelwise.functional.blocks.thread_count`.

    Returns:
        (n,) float64 in [0, 1 - 1/min(S, C)]. Neither `block` nor `threads` changes it.

    Raises:
        ShapeError: `draws` is not (n, S, C) with S, C >= 1.
        DistributionError: a draw has a negative or non-finite entry or does not sum to 1; the message names it.

    Source:
        Freeman 1965, "Elementary Applied Statistics"; for draws Gal, Islam, Ghahramani 2017, "Deep Bayesian Active
        Learning with Image Data".

    Deviations:
        DeepAL+ calls 1 - max p of a single pass "variation ratio"; that is `least_confidence`.
    """
    return _score(draws, lambda x: 1 - _votes(x).max(axis=1) / x.shape[1], block, threads)


def vote_entropy(draws: Any, *, block: int | None = None, threads: int | None = None) -> Floats:
    """Return the entropy in nats of the draws' votes, each for its most probable class (the lowest of equals).

    Args, Raises: as `variation_ratio`.

    Returns:
        (n,) float64 in [0, ln min(S, C)].

    Source:
        Dagan, Engelson 1995, "Committee-Based Sampling for Training Probabilistic Classifiers".

    Deviations:
        Not divided by ln min(S, C), which changes no ranking.
    """
    return _score(draws, lambda x: _entropy(_votes(x) / x.shape[1]), block, threads)


def mean_std(draws: Any, *, block: int | None = None, threads: int | None = None) -> Floats:
    """Return the mean over classes of the standard deviation over draws (the population's, divided by S).

    Args, Raises: as `variation_ratio`.

    Returns:
        (n,) float64 in [0, 1/2]; exactly 0 where all draws are equal.

    Source:
        Kampffmeyer, Salberg, Jenssen 2016, "Semantic Segmentation of Small Objects and Modeling of Uncertainty in
        Urban Remote Sensing Images Using Deep Convolutional Neural Networks"; for active learning Gal, Islam,
        Ghahramani 2017.
    """

    def rule(x: Floats) -> Floats:
        off = x - x[:, :1]  # from the first draw, so that equal draws leave exact zeros
        off -= off.mean(axis=1, keepdims=True)
        return np.asarray(np.sqrt(np.square(off, out=off).mean(axis=1)).mean(axis=1))

    return _score(draws, rule, block, threads)


def predictive_entropy(draws: Any, *, block: int | None = None, threads: int | None = None) -> Floats:
    """Return H[p̄], the entropy in nats of the draws' mean: what is unknown in all, noise of the labels included.

    Args, Raises: as `variation_ratio`.

    Returns:
        (n,) float64 in [0, ln C].

    Source:
        Gal, Islam, Ghahramani 2017, "Deep Bayesian Active Learning with Image Data".
    """
    return _score(draws, lambda x: _entropy(x.mean(axis=1)), block, threads)


def expected_entropy(draws: Any, *, block: int | None = None, threads: int | None = None) -> Floats:
    """Return (1/S) Σ_s H[p_s], the mean entropy of the draws in nats: what would stay unknown if the predictor were known.

    Args, Returns, Raises, Source: as `predictive_entropy`.
    """
    return _score(draws, lambda x: _entropy(x).mean(axis=1), block, threads)


def bald(draws: Any, *, block: int | None = None, threads: int | None = None) -> Floats:
    """Return H[p̄] - (1/S) Σ_s H[p_s]: the nats that the sample's label tells about the predictor (mutual information).

    Args, Raises: as `variation_ratio`.

    Returns:
        (n,) float64 in [0, ln min(S, C)].

    Source:
        Houlsby, Huszár, Ghahramani, Lengyel 2011, "Bayesian Active Learning for Classification and Preference
        Learning".
    """

    def rule(x: Floats) -> Floats:
        gain = _entropy(x.mean(axis=1)) - _entropy(x).mean(axis=1)
        return np.asarray(np.maximum(gain, 0))  # rounding may end a hair below zero

    return _score(draws, rule, block, threads)


def consensus_divergence(draws: Any, *, block: int | None = None, threads: int | None = None) -> Floats:
    """Return (1/S) Σ_s KL(p_s ‖ p̄), how far the members of a committee are from their consensus, in nats.

    The same number as `bald`: Σ_s Σ_c p_sc (ln p_sc - ln p̄_c) / S = H[p̄] - (1/S) Σ_s H[p_s]. Committees know it under
    this name.

    Args, Returns, Raises: as `bald`.

    Source:
        McCallum, Nigam 1998, "Employing EM and Pool-Based Active Learning for Text Classification".
    """
    return bald(draws, block=block, threads=threads)


def of_mean(
    score: Callable[..., Array], draws: Any, *, block: int | None = None, threads: int | None = None
) -> Floats:
    """Return a score of the draws' mean probabilities, e.g. `of_mean(scores.smallest_margin, draws)`.

    The (n, C) means are never held as a whole.

    Args:
        score: a function of `labelwise.functional.scores`, (r, C) -> (r,).
        draws, block, threads: as `variation_ratio`.

    Returns:
        (n,) float64.

    Raises: as `variation_ratio`.
    """

    def rule(x: Floats) -> Floats:
        mean = x.mean(axis=1)
        mean /= mean.sum(
            axis=1, keepdims=True
        )  # draws in short types sum to one but for what a float64 may not miss
        return np.asarray(score(mean, threads=1))

    return _score(draws, rule, block, threads)


def epig(
    draws: Any,
    target_draws: Any,
    *,
    answers: int | None = None,
    rng: np.random.Generator | None = None,
    block: int | None = None,
    threads: int | None = None,
) -> Floats:
    """Return the expected predictive information gain: nats that a label tells about the targets' labels, on average.

    EPIG(x) = mean over targets x* of I(y; y* | x, x*) = H[y] - Σ_j ω_j H[y | answer j], where the answers j are all
    pairs of a target and a class, ω_j is how probable the pair is, and y | j mixes the draws by how well each predicted
    that answer. Whatever the predictor does not know but no target depends on counts nothing, unlike in `bald`.

    Args:
        draws: (n, S, C) posterior draws; draw s from the same predictor for all samples and targets.
        target_draws: (m, S, C) draws of samples like those that will be predicted, m >= 1.
        answers: look at no more than so many of the m C answers, drawn in proportion to their probability; None: all.
        rng: draws the answers; needed where `answers` < m C.
        block, threads: as `variation_ratio`.

    Returns:
        (n,) float64, at least 0 and at most `bald`, but for the noise of drawn answers. O(n min(answers, m C) S C) time,
        no array of size n m or C².

    Raises:
        ShapeError: the arrays are not (n, S, C) and (m, S, C) with m, S, C >= 1.
        DistributionError: a draw is no distribution; the message names it.
        InputError: answers have to be drawn and there is no rng.

    Source:
        Bickford Smith, Kirsch, Farquhar, Gal, Foster, Rainforth 2023, "Prediction-Oriented Bayesian Active Learning".

    Deviations:
        The paper sums over all m C answers; drawing some of them is ours, for tasks of many classes.
    """
    array = as_draws(draws)
    targets = as_draws(target_draws, "target_draws")
    check_shape(targets, "target_draws", ("m", "S", "C"), (None, *array.shape[1:]))
    if not len(targets):
        raise InputError("target_draws is empty; EPIG needs at least one target.")
    _score(targets, lambda x: x[:, 0, 0], block, threads, "target_draws")  # for its look at every value
    weights = _answers(targets, answers, rng)
    classes = array.shape[2]

    def make(rows: int) -> Rule:
        left = mixed_entropy(weights, rows, classes, np)
        return lambda x: np.maximum(_entropy(x.mean(axis=1)) - left(x), 0)

    each = max(array.shape[1], min(len(weights), mixtures_a_pass(classes)))
    return _sweep(array, make, block_rows(8 * classes * each, block), threads)


def _answers(targets: Array, answers: int | None, rng: np.random.Generator | None) -> Floats:
    """Return for each answer (target, class) how it weighs the draws: (J, S), see `mixed_entropy`."""
    m, s, classes = targets.shape
    if answers is None or check_count(answers, "answers", 1) >= m * classes:
        told = np.moveaxis(targets.astype(np.float64), 1, 2).reshape(m * classes, s)
        told = told[told.any(axis=1)]
        return np.asarray(told / told.sum())
    if rng is None:
        raise InputError(
            f"{answers} of {m * classes} answers have to be drawn; give an rng, or answers=None for all."
        )
    # Answers are spread evenly over the targets; each is a class drawn by the target's mean probabilities.
    which = np.minimum(((np.arange(answers) + rng.random()) * m / answers).astype(np.int64), m - 1)
    level = 1 - rng.random(answers)  # in (0, 1], which no class of probability 0 is drawn by
    weights = np.empty((answers, s))
    for target in np.unique(which):
        p = targets[target].astype(np.float64)
        steps = np.cumsum(p.sum(axis=0))
        here = np.flatnonzero(which == target)
        weights[here] = p[:, np.searchsorted(steps, level[here] * steps[-1])].T
    return np.asarray(weights / (answers * weights.sum(axis=1, keepdims=True)))


def as_draws(draws: Any, name: str = "draws") -> Array:
    """Return draws as an array (n, S, C); values are looked at where they are scored.

    Raises:
        ShapeError: other axes, no draw or no class.
    """
    array = as_array(draws, name)
    check_shape(array, name, ("n", "S", "C"), (None, None, None))
    if 0 in array.shape[1:]:
        raise ShapeError(f"{name} must have at least one draw and one class; it has shape {array.shape}.")
    return array


def _votes(x: Floats) -> NDArray[np.int64]:
    """Return (r, C) how many draws have each class as their most probable one."""
    r, _, classes = x.shape
    cells = x.argmax(axis=2) + classes * np.arange(r)[:, None]
    return np.bincount(cells.reshape(-1), minlength=r * classes).reshape(r, classes)


def _entropy(p: Floats) -> Floats:
    """Return the entropies of distributions along the last axis, in nats."""
    return np.asarray(np.maximum(-np.vecdot(p, np.log(np.maximum(p, TINY))), 0))


def _score(draws: Any, rule: Rule, block: int | None, threads: int | None, name: str = "draws") -> Floats:
    array = as_draws(draws, name)
    return _sweep(
        array, lambda rows: rule, block_rows(8 * array.shape[1] * array.shape[2], block), threads, name
    )


def _sweep(array: Array, make: Maker, rows: int, threads: int | None, name: str = "draws") -> Floats:
    """Check and score in one pass, block by block; scores are differences of near numbers, so all is float64."""
    n, s, classes = array.shape
    tolerance = tolerance_of(array.dtype)
    scores = np.empty(n)

    def kernel(most: int) -> Kernel:
        ones = np.ones(classes)
        rule = make(most)

        def work(part: Array, first: int) -> None:
            x = np.ascontiguousarray(part, dtype=np.float64)
            off = np.abs(np.vecdot(x, ones) - 1).max()
            if not off <= tolerance or x.min() < 0:  # NaN is neither above nor below
                refuse(
                    x.reshape(-1, classes),
                    tolerance,
                    lambda i: f"{name}: row {first + i // s}, draw {i % s}",
                )
            scores[first : first + len(x)] = rule(x)

        return work

    sweep(array, kernel, rows=rows, threads=threads)
    return scores
