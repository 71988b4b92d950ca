"""Risk of the worst of several groups of samples, and the weights by which an adversary comes to it."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_labels, check_count, check_number, check_shape
from labelwise.functional.robust import Floats, as_finite, as_weights


def group_means(losses: Any, groups: Any, n_groups: int) -> Floats:
    """Return each group's mean loss, (G,); 0 for a group without samples, so that `group_step` takes no side.

    Args:
        losses: (n,) finite.
        groups: (n,) group of each sample, in [0, G).
        n_groups: G.

    Raises:
        ShapeError: shapes do not match, or n = 0.
        InputError: a loss is not finite, or a group is out of range.
    """
    means, _ = _by_group(losses, groups, n_groups)
    return means


def worst_group(losses: Any, groups: Any, n_groups: int) -> int:
    """Return the group of the greatest mean loss among those that have samples; of equal ones the lowest.

    Args, Raises: as `group_means`. Its risk is `group_means(...)[worst_group(...)]`.
    """
    means, counts = _by_group(losses, groups, n_groups)
    return int(np.where(counts > 0, means, -inf).argmax())


def group_step(q: Any, means: Any, step: float) -> Floats:
    """Return q_g exp(step · L_g) / Z, one step of the adversary's weights of groups; the robust loss is q · L.

    Args:
        q: (G,) weights so far, non-negative; uniform at the start.
        means: (G,) L, as `group_means` gives them.
        step: step size, at least 0.

    Returns:
        (G,) non-negative, sums to 1.

    Raises:
        ShapeError: shapes do not match.
        InputError: a weight is negative or not finite, all are 0, a mean is not finite, or `step` is negative.

    Source:
        Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group Shifts", algorithm 1.
    """
    loss = as_finite(means, "means", ("G",))
    held = as_weights(q, "q", loss.size)
    size = check_number(step, "step", 0)
    behind = (loss / 2 - loss[held > 0].max() / 2).clip(max=0)  # halved, no difference overflows
    with np.errstate(over="ignore"):  # exp(-∞) = 0 is what is meant
        new = held * np.exp(size * behind * 2)
    return np.asarray(new / new.sum())


def _by_group(losses: Any, groups: Any, n_groups: int) -> tuple[Floats, NDArray[np.int64]]:
    values = as_finite(losses, "losses", ("n",))
    held = as_labels(groups, check_count(n_groups, "n_groups", 1), "groups")
    check_shape(held, "groups", ("n",), (values.size,))
    counts = np.bincount(held, minlength=n_groups).astype(np.int64)
    # Divided before they are summed: sums of large losses may not fit.
    means = np.bincount(held, weights=values / counts[held], minlength=n_groups)
    return means.astype(np.float64), counts
