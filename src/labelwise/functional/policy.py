"""A policy that draws batches: Plackett-Luce over candidates, its gradient, returns, and running moments of a state.

No network here: logits come from anywhere, and `plackett_luce_gradient` is what goes back into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_ids, check_count, check_number, check_shape
from labelwise.errors import InputError, ShapeError

Floats = NDArray[np.float64]

LARGEST = 1e150  # of what is squared and added up


def plackett_luce(logits: Any, b: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return b rows, drawn one after another by the softmax of the logits that are left.

    Adds a Gumbel number to each logit and takes the b highest in order, which is the same distribution in one pass.

    Args:
        logits: (K,) finite.
        b: how many rows, at most K.
        rng: draws K numbers.

    Returns:
        (b,) distinct rows in the order of drawing.

    Raises:
        ShapeError: `logits` is not (K,).
        InputError: a logit is not finite, or b is negative or above K.

    Source:
        Plackett 1975, "The Analysis of Permutations"; Kool, van Hoof, Welling 2019, "Stochastic Beams and Where to Find
        Them".
    """
    z = _logits(logits)
    _at_most(b, z.size)
    keys = z + rng.gumbel(size=z.size)
    rows = np.argpartition(-keys, b - 1)[:b] if 0 < b < z.size else np.arange(z.size)[: b or 0]
    return np.asarray(rows[np.argsort(-keys[rows], kind="stable")], np.int64)


def plackett_luce_log_prob(logits: Any, order: Any) -> float:
    """Return ln π(a) = Σ_j (z_{a_j} - ln Σ_{x not among a_1..a_{j-1}} e^{z_x}) of rows drawn in this order.

    Args:
        logits: (K,) finite.
        order: (b,) distinct rows in [0, K), the first one drawn first.

    Returns:
        At most 0; 0 where nothing is drawn. Of all orders of b rows the probabilities sum to 1.

    Raises:
        ShapeError: `logits` or `order` has another shape.
        InputError: a logit is not finite, or `order` holds a row twice or one that is not there.

    Source:
        Plackett 1975; RL-MBA, policy.
    """
    z, a = _drawn(logits, order)
    if not a.size:
        return 0.0
    # no step is likelier than sure, whatever rounding says
    return float(np.minimum(z[a] - _log_sums(z, a), 0).sum())


def plackett_luce_gradient(logits: Any, order: Any) -> Floats:
    """Return ∂ ln π(a) / ∂ z_x = [x drawn] - Σ_{j: x still there at step j} e^{z_x - L_j}, in O(K).

    L_j is the logarithm of the sum over what is left at step j. Cumulative sums of e^{-L_j} are kept as logarithms:
    none overflows.

    Args, Raises, Source: as `plackett_luce_log_prob`.

    Returns:
        (K,) float64, at most 1 each, sums to 0: the same number added to all logits changes nothing.
    """
    z, a = _drawn(logits, order)
    gradient = np.zeros(z.size)
    if not a.size:
        return gradient
    steps = np.logaddexp.accumulate(-_log_sums(z, a))  # (b,) ln Σ_{i <= j} e^{-L_i}
    stays = np.full(z.size, steps[-1])
    stays[a] = steps
    gradient[a] = 1
    with np.errstate(under="ignore"):
        gradient -= np.exp(z + stays)
    return gradient


def entropy_of_first_step(logits: Any) -> float:
    """Return the entropy of softmax(z) in nats: how open it is which row is drawn first.

    Args:
        logits: (K,) finite, K >= 1.

    Returns:
        In [0, ln K].

    Raises:
        ShapeError: `logits` is not (K,) with K >= 1.
        InputError: a logit is not finite.
    """
    z = _logits(logits)
    if not z.size:
        raise ShapeError("logits must have shape (K,) with K >= 1; it is empty.")
    with np.errstate(under="ignore"):
        z = z - z.max()
        weights = np.exp(z)
        total = weights.sum()
        return float(max(np.log(total) - weights @ z / total, 0.0))


def discounted_returns(rewards: Any, gamma: float) -> Floats:
    """Return G_t = Σ_k γ^k r_{t+k}, what follows from round t on.

    Args:
        rewards: (T,) finite, in the order of rounds.
        gamma: γ in [0, 1]; 0 leaves each round its own reward.

    Returns:
        (T,) float64.

    Raises:
        ShapeError: `rewards` is not (T,).
        InputError: a reward is not finite or above 1e150, or γ is out of range.

    Source:
        Williams 1992, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning".
    """
    r = _bounded(rewards, "rewards", "T")
    discount = check_number(gamma, "gamma", 0, 1)
    found = np.empty(r.size)
    after = 0.0
    for t in range(r.size - 1, -1, -1):
        found[t] = after = float(r[t]) + discount * after
    return found


def moving_average(before: float | None, new: float, rate: float) -> float:
    """Return (1 - η) before + η new; `new` itself where there was nothing before.

    Args:
        before: the average so far, or None.
        new: finite.
        rate: η in [0, 1].

    Raises:
        InputError: a number is not finite, or η is out of range.

    Deviations:
        RL-MBA does not say where its averages start; from 0 they would be too small for the first rounds.
    """
    value, share = check_number(new, "new"), check_number(rate, "rate", 0, 1)
    return value if before is None else (1 - share) * check_number(before, "before") + share * value


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and variance of S features over what was seen so far, kept in one pass without cancellation.

    Attributes:
        count: how many observations.
        mean: (S,) their mean, 0 before the first.
        m2: (S,) the sum of squares about the mean; m2 / count is the variance.

    Raises:
        ShapeError: `mean` and `m2` are not (S,) both.
        InputError: a number is not finite, or `count` or one of `m2` is negative.

    Source:
        Welford 1962, "Note on a Method for Calculating Corrected Sums of Squares and Products".
    """

    count: int
    mean: Floats
    m2: Floats

    def __post_init__(self) -> None:
        check_count(self.count, "count")
        mean, m2 = (_finite(getattr(self, name), name, "S") for name in ("mean", "m2"))
        check_shape(m2, "m2", ("S",), mean.shape)
        if (m2 < 0).any():
            raise InputError(f"m2 must be at least 0; feature {int(np.argmin(m2))} is {m2.min()}.")
        for name, array in (("mean", mean), ("m2", m2)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def none(cls, size: int) -> Self:
        """Return the moments of `size` features before anything was seen."""
        size = check_count(size, "size")
        return cls(0, np.zeros(size), np.zeros(size))

    def seen(self, x: Any) -> Self:
        """Return the moments with one observation more.

        Args:
            x: (S,) finite, at most 1e150 in size.

        Raises:
            ShapeError: another shape.
            InputError: a value is not finite or too large.
        """
        value = self._one(x)
        count = self.count + 1
        off = value - self.mean
        mean = self.mean + off / count
        return type(self)(count, mean, self.m2 + off * (value - mean))

    def standardise(self, x: Any) -> Floats:
        """Return (x - mean) / std, the deviation counted as 1 before two observations and where it is 0.

        Args, Raises: as `seen`.

        Returns:
            (S,) float64, always finite.
        """
        value = self._one(x)
        std = np.sqrt(self.m2 / max(self.count, 1))
        std = np.where((std > 0) & (self.count > 1), std, 1.0)
        largest = np.finfo(np.float64).max
        with np.errstate(over="ignore"):
            return np.asarray(np.clip((value - self.mean) / std, -largest, largest))

    def to_dict(self) -> dict[str, Any]:
        """Return count and numbers as JSON takes them; `from_dict` gives back the same to the last digit."""
        return {"count": self.count, "mean": self.mean.tolist(), "m2": self.m2.tolist()}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Self:
        """Return moments from what `to_dict` gave.

        Raises:
            ShapeError: `mean` and `m2` are no lists of numbers of one length.
            InputError: a key is missing, or a number is wrong.
        """
        missing = [key for key in ("count", "mean", "m2") if key not in body]
        if missing:
            raise InputError(f"Moments need count, mean and m2; {missing[0]} is missing.")
        return cls(body["count"], as_array(body["mean"], "mean"), as_array(body["m2"], "m2"))

    def _one(self, x: Any) -> Floats:
        value = _bounded(x, "x", "S")
        check_shape(value, "x", ("S",), self.mean.shape)
        return value


def _log_sums(z: Floats, a: NDArray[np.int64]) -> Floats:
    """Return (b,) L_j, the logarithm of Σ e^z over what is left when the j-th row is drawn."""
    left = np.ones(z.size, bool)
    left[a] = False
    others = z[left]
    after = -np.inf
    if others.size:
        most = others.max()
        with np.errstate(under="ignore"):
            after = most + np.log(np.exp(others - most).sum())
    return np.asarray(np.logaddexp.accumulate(np.append(after, z[a[::-1]]))[:0:-1])


def _drawn(logits: Any, order: Any) -> tuple[Floats, NDArray[np.int64]]:
    z, a = _logits(logits), as_ids(order, "order")
    wrong = a[(a < 0) | (a >= z.size)]
    if wrong.size:
        raise InputError(f"order must hold rows from 0 to {z.size - 1}; {int(wrong[0])} is none.")
    return z, a


def _logits(logits: Any) -> Floats:
    return _bounded(logits, "logits", "K")


def _at_most(b: int, k: int) -> None:
    if check_count(b, "b") > k:
        raise InputError(f"b must be at most the number of candidates, {k}; it is {b}.")


def _finite(values: Any, name: str, letter: str) -> Floats:
    array = as_array(values, name).astype(np.float64)
    check_shape(array, name, (letter,), (None,))
    wrong = np.flatnonzero(~np.isfinite(array))
    if wrong.size:
        raise InputError(f"{name} must be finite; number {int(wrong[0])} is {array[wrong[0]]}.")
    return array


def _bounded(values: Any, name: str, letter: str) -> Floats:
    array = _finite(values, name, letter)
    if array.size and np.abs(array).max() > LARGEST:
        raise InputError(
            f"{name} must be at most {LARGEST:g} in size; it holds {array[np.abs(array).argmax()]:g}."
        )
    return array
