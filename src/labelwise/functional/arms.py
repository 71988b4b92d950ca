"""A bandit over a few arms whose rewards are noisy: Thompson sampling, and how sure it is that an arm beats the first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_labels, check_count, check_number, check_shape
from labelwise.errors import InputError

Floats = NDArray[np.float64]


class Belief(NamedTuple):
    """What is believed of each arm's mean reward: independent normal distributions."""

    mean: Floats  # (K,)
    variance: Floats  # (K,) above 0

    def draw(self, rng: np.random.Generator) -> int:
        """Return the arm whose mean is the highest in a draw from the belief: Thompson sampling."""
        return int((self.mean + rng.standard_normal(self.mean.size) * np.sqrt(self.variance)).argmax())

    def signal(self) -> Floats:
        """Return how many deviations each arm's mean lies above the first one's, (K,); 0 for the first."""
        lead = self.mean - self.mean[0]
        return np.asarray(lead / np.sqrt(self.variance + self.variance[0]))


def belief(arms: object, rewards: object, k: int, *, prior: float = 1.0) -> Belief:
    """Return the belief about K arms after some rewards.

    Rewards count in their own deviations from their own mean, so that their scale does not matter; noise is taken to be 1
    and means to be drawn from N(0, prior²): mean = n r̄ / (n + 1 / prior²), variance = 1 / (n + 1 / prior²).

    Args:
        arms: (T,) whole numbers from 0 to K - 1, who played.
        rewards: (T,) finite.
        k: K >= 1.
        prior: how far means are expected to lie apart, in deviations of a reward; above 0.

    Raises:
        ShapeError: shapes do not match.
        InputError: an arm is out of range, a reward is not finite, or `prior` is not above 0.

    Source:
        Thompson 1933, "On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of Two Samples";
        the normal form is textbook knowledge.
    """
    k = check_count(k, "k", 1)
    played = as_labels(arms, k, "arms")
    r = as_array(rewards, "rewards").astype(np.float64)
    check_shape(r, "rewards", ("T",), (played.size,))
    if not np.isfinite(r).all():
        raise InputError(f"rewards must be finite; they hold {r[~np.isfinite(r)][0]}.")
    if not check_number(prior, "prior", 0) > 0:
        raise InputError(f"prior must be above 0; it is {prior!r}.")
    z = r - r.mean() if r.size else r
    deviation = float(np.sqrt(np.mean(z * z))) if r.size else 0.0
    if deviation:
        z = z / deviation
    precision = np.bincount(played, minlength=k) + 1 / prior**2
    return Belief(np.bincount(played, weights=z, minlength=k) / precision, 1 / precision)
