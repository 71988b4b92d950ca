"""Whether bounds of the robust risk hold, and how much they give away: where they are attained, coverage, tightness."""

from __future__ import annotations

from typing import Any

import numpy as np

from labelwise.checks import as_array, check_shape
from labelwise.errors import InputError
from labelwise.functional.ambiguity import additive_directions
from labelwise.functional.robust import Floats, as_finite

SLACK = 1e-9  # of the bound's size: a bound that is attained holds, whatever rounding says


def tight_losses(directions: Any, rho: Any) -> Floats:
    """Return losses Σ_k √ρ_k φ_k / rms(φ_k), which attain the first order for independent modalities.

    Where the φ_k are uncorrelated, Var l = Σ ρ_k, and the shift 1 + Σ h_k of `additive_weights` with the same directions
    raises the mean by √(Σ ρ_k) √(Var l): no bound that knows ρ and Var l alone can be lower. That needs 1 + Σ h_k >= 0.

    Args:
        directions: (n, K) φ, what each modality's part of the loss says; centred here. A constant column adds nothing.
        rho: (K,) finite radii, at least 0.

    Returns:
        (n,) of mean 0; add a constant, or multiply by one above 0, and it stays true.

    Raises:
        ShapeError: shapes do not match, or n or K is 0.
        InputError: an entry is not finite, or a radius is negative.

    Source:
        Duchi, Namkoong 2019, "Variance-based Regularization with Convex Objectives", for one ball.

    Deviations:
        Stands for the minimax lower bound of arXiv 2511.05716, whose statement is not public.
    """
    return additive_directions(directions, rho)


def coverage(worst: Any, bounds: Any) -> float:
    """Return the share of shifts whose risk does not exceed its bound, in [0, 1].

    Args:
        worst: (S,) risk under each shift, finite.
        bounds: (S,) what was promised, or one number for all; may be infinite.

    Raises:
        ShapeError: shapes do not match, or there is no shift.
        InputError: a risk is not finite, or a bound is NaN.
    """
    risk, bound = _against(worst, bounds)
    return float(np.mean(risk <= bound + SLACK * np.abs(np.where(np.isinf(bound), 0, bound))))


def tightness(clean: float, worst: Any, bounds: Any) -> float:
    """Return how much of the promised excess the worst of the shifts used: (max worst - clean) / (its bound - clean).

    1 is a bound that is attained, above 1 one that failed; 0 where nothing got worse, and where the bound is infinite.

    Args:
        clean: the risk without a shift.
        worst, bounds: as `coverage`.

    Returns:
        At least 0; infinite where the bound promised no excess and there was some.

    Raises: as `coverage`.
    """
    risk, bound = _against(worst, bounds)
    start = float(as_finite([clean], "clean", ("one",))[0])
    row = int(risk.argmax())
    used, promised = float(risk[row]) - start, float(bound[row]) - start
    if used <= 0:
        return 0.0
    return used / promised if promised > 0 else float("inf")


def _against(worst: Any, bounds: Any) -> tuple[Floats, Floats]:
    risk = as_finite(worst, "worst", ("S",))
    bound = as_array(bounds, "bounds").astype(np.float64)
    if bound.ndim == 0:
        bound = np.full(len(risk), float(bound))
    check_shape(bound, "bounds", ("S",), (len(risk),))
    if np.isnan(bound).any():
        raise InputError(f"bounds: row {int(np.flatnonzero(np.isnan(bound))[0])} is NaN.")
    return risk, bound
