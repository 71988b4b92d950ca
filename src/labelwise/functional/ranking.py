"""Who ranks where over many settings, who beats whom, and how small a difference so few seeds can show."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, inf, isnan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_count, check_number, check_shape
from labelwise.errors import InputError
from labelwise.functional.curves import Interval, mean_interval, t_test

LEAST = 3  # pairs that a win or a loss needs: two that happen to agree would make p = 0


@dataclass(frozen=True)
class Friedman:
    """A test that all strategies rank alike.

    Attributes:
        statistic: Iman and Davenport's F; None where it is infinite, that is, where every setting has the same order.
        p: the probability of so uneven ranks if all strategies were alike.
        degrees: of freedom, of numerator and denominator.
    """

    statistic: float | None
    p: float
    degrees: tuple[int, int]


@dataclass(frozen=True)
class Outcomes:
    """At how many settings strategies beat one another.

    Attributes:
        wins: (A, A) settings at which the row is clearly better than the column; its transpose counts the losses.
        ties: (A, A) settings at which the two were compared and neither is.
    """

    wins: NDArray[np.int64]
    ties: NDArray[np.int64]


def ranks(scores: Any) -> NDArray[np.float64]:
    """Return (settings, A) ranks of each setting's strategies, 1 for the highest score, means of ranks where tied.

    Args:
        scores: (settings, A) higher is better.

    Raises:
        InputError: a value is not finite, or there is none.
    """
    values = as_array(scores, "scores").astype(np.float64)
    check_shape(values, "scores", ("settings", "A"), (None, None))
    if not values.size or not np.isfinite(values).all():
        raise InputError(f"scores must hold finite numbers only, and at least one; it is {values}.")
    higher = (values[:, None, :] > values[:, :, None]).sum(axis=2)  # how many are above each one
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)  # itself included
    return np.asarray(higher + (equal + 1) / 2, np.float64)


def friedman(scores: Any) -> Friedman:
    """Return the test that all strategies rank alike over settings.

    Args:
        scores: (settings, A) higher is better; settings >= 2, A >= 2.

    Raises:
        InputError: fewer settings or strategies, or a value that is not finite.

    Source:
        Friedman 1937; Iman and Davenport 1980, "Approximations of the critical region of the Friedman statistic", as
        recommended by Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets".

    Deviations:
        Ties are corrected for, as Conover 1999 does (Demšar's form is the same without ties). Where all settings have
        the same order F is infinite; p is then not 0 but the chance of that order, (1 / A!)^(settings - 1), below which
        no order of so few settings can be.
    """
    from scipy.special import fdtrc  # scipy is imported where it is used: `import labelwise` stays quick

    found = ranks(scores)
    n, k = found.shape
    if n < 2 or k < 2:
        raise InputError(f"scores must have 2 settings and 2 strategies or more; it has {n} and {k}.")
    degrees = (k - 1, (k - 1) * (n - 1))
    level = n * k * (k + 1) ** 2 / 4
    spread = (found**2).sum() - level
    if spread == 0:  # all tied everywhere
        return Friedman(0.0, 1.0, degrees)
    chi = (k - 1) * ((found.sum(axis=0) ** 2).sum() - n * level) / spread
    rest = n * (k - 1) - chi
    least = (1 / factorial(k)) ** (n - 1)
    if rest <= 1e-9:
        return Friedman(None, least, degrees)
    f = max(0.0, (n - 1) * chi / rest)
    return Friedman(float(f), float(max(least, fdtrc(*degrees, f))), degrees)


def critical_difference(strategies: int, settings: int, alpha: float = 0.05) -> float:
    """Return how far apart two mean ranks must be to differ at the level: q_alpha √(k (k + 1) / 6 N).

    Args:
        strategies: k >= 2.
        settings: N >= 1.
        alpha: the level, over all pairs together, in (0, 1).

    Raises:
        InputError: a value outside its range.

    Source:
        Nemenyi 1963, in Demšar 2006, section 3.2.2; q_alpha is the studentised range for infinite degrees of freedom
        over √2.
    """
    from scipy.stats import studentized_range

    k, n = check_count(strategies, "strategies", 2), check_count(settings, "settings", 1)
    level = _share(alpha, "alpha")
    return float(studentized_range.ppf(1 - level, k, np.inf) / sqrt(2) * sqrt(k * (k + 1) / (6 * n)))


def alike(mean_ranks: Any, difference: float) -> list[tuple[int, ...]]:
    """Return the largest groups, of two or more, in which no two mean ranks are `difference` or more apart.

    The bars of a critical-difference diagram, best first; each holds strategies' places in `mean_ranks`, best first.

    Args:
        mean_ranks: (A,).
        difference: see `critical_difference`.
    """
    values = as_array(mean_ranks, "mean_ranks").astype(np.float64)
    check_shape(values, "mean_ranks", ("A",), (None,))
    order = np.argsort(values, kind="stable")
    groups: list[tuple[int, ...]] = []
    reach = 0  # the first place that the last group does not hold
    for first in range(order.size):
        last = first
        while last + 1 < order.size and values[order[last + 1]] - values[order[first]] < difference:
            last += 1
        if last > first and last >= reach:
            groups.append(tuple(int(i) for i in order[first : last + 1]))
            reach = last + 1
    return groups


def holm(p: Any) -> NDArray[np.float64]:
    """Return p-values corrected for how many were looked at, in the given order.

    Args:
        p: (m,) in [0, 1].

    Source:
        Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    values = as_array(p, "p").astype(np.float64)
    check_shape(values, "p", ("m",), (None,))
    order = np.argsort(values, kind="stable")
    steps = np.minimum(1.0, values[order] * np.arange(values.size, 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(steps)
    return corrected


def win_tie_loss(scores: Any, alpha: float = 0.05) -> Outcomes:
    """Return at how many settings strategies beat one another, and at how many they cannot be told apart.

    A win: the mean paired difference is above 0 and the paired t-test has p < alpha after Holm's correction over all
    pairs of the setting. Pairs with fewer than three common seeds are not compared there.

    Args:
        scores: (settings, A, seeds) higher is better; missing seeds are NaN.
        alpha: the level of the test.
    """
    values = as_array(scores, "scores").astype(np.float64)
    check_shape(values, "scores", ("settings", "A", "seeds"), (None, None, None))
    n = values.shape[1]
    wins, ties = np.zeros((n, n), np.int64), np.zeros((n, n), np.int64)
    for setting in values:
        compared, p = [], []
        for i in range(n):
            for j in range(i + 1, n):
                d = setting[i] - setting[j]
                d = d[~np.isnan(d)]
                if d.size >= LEAST:
                    compared.append((i, j, float(d.mean())))
                    p.append(t_test(d))
        for (i, j, mean), corrected in zip(compared, holm(np.array(p)), strict=True):
            if corrected < alpha:
                wins[(i, j) if mean > 0 else (j, i)] += 1
            else:
                ties[i, j] += 1
                ties[j, i] += 1
    return Outcomes(wins, ties)


def detectable(deviation: float, pairs: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest true mean difference that a two-sided paired t-test finds with some power.

    Args:
        deviation: standard deviation of the paired differences, >= 0.
        pairs: how many, >= 2.
        power: the probability with which the test has p < alpha, in [alpha, 1).
        alpha: the level of the test, in (0, 1).

    Returns: in the unit of `deviation`.

    Raises:
        InputError: a value outside its range.

    Source:
        The noncentral t distribution, as in Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences",
        chapter 2; both tails are counted.
    """
    from scipy.optimize import brentq
    from scipy.special import nctdtr, stdtrit

    n = check_count(pairs, "pairs", 2)
    level, wanted = _share(alpha, "alpha"), _share(power, "power")
    if wanted < level:
        raise InputError(f"power must be alpha, {level:g}, or more; it is {wanted:g}.")
    spread = check_number(deviation, "deviation", 0)
    critical = float(stdtrit(n - 1, 1 - level / 2))

    def found(shift: float) -> float:
        far = float(nctdtr(n - 1, shift, -critical))
        # scipy has NaN where the far tail is nothing (below 1e-15)
        return float(1 - nctdtr(n - 1, shift, critical)) + (0.0 if isnan(far) else far) - wanted

    high = 1.0
    while found(high) < 0:
        high *= 2
    return float(brentq(found, 0.0, high, xtol=1e-10) if found(0.0) < 0 else 0.0) * spread / sqrt(n)


def paired_ratio(a: Any, b: Any) -> Interval:
    """Return the geometric mean of a / b over pairs with its 95 % interval (Student's t on logarithms).

    Args:
        a: (n,) above 0, one value a seed, n >= 1.
        b: (n,) above 0, of the same seeds in the same order.

    Raises:
        ShapeError: shapes differ.
        InputError: there is no pair, or a value is not a finite number above 0.
    """
    first, second = (as_array(v, name).astype(np.float64) for v, name in ((a, "a"), (b, "b")))
    check_shape(first, "a", ("n",), (None,))
    check_shape(second, "b", ("n",), first.shape)
    for values, name in ((first, "a"), (second, "b")):
        wrong = values[~((values > 0) & (values < inf))]
        if wrong.size:
            raise InputError(f"{name} must hold finite numbers above 0; it holds {wrong[0]}.")
    logs = mean_interval(np.log(first) - np.log(second))
    low, high = (None if end is None else float(np.exp(end)) for end in (logs.low, logs.high))
    return Interval(float(np.exp(logs.mean)), low, high, logs.n)


def _share(value: float, name: str) -> float:
    number = check_number(value, name, 0, 1)
    if not 0 < number < 1:
        raise InputError(f"{name} must lie between 0 and 1; it is {number:g}.")
    return number
