"""Learning curves continued by many shapes at once: what is known, and how much the shapes disagree about what is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, check_name
from labelwise.errors import InputError
from labelwise.functional.curves import as_curve

Floats = NDArray[np.float64]

LEAST = 4  # measurements of a curve
_RECENT = 2.0  # a measurement at n labels weighs (n / now)^2: early points tell little of where a curve goes
_MISFIT = 0.005  # accuracy; no shape is believed to fit better than this, whatever four points say
_FLOOR = 0.006  # accuracy; the least scale of an error, where a curve shows no noise at all


@dataclass(frozen=True)
class Family:
    """One shape that learning curves have, a - b φ(x) with x = labels / labels now, on a grid of what φ has inside.

    Attributes:
        name: as Viering and Loog call it.
        grid: (g, k) every φ that is tried: g choices of k parameters.
        falls: (x (m,), grid) -> φ (g, m), positive and falling in x.
    """

    name: str
    grid: Floats
    falls: Callable[[Floats, Floats], Floats]


def _grid(*axes: Floats) -> Floats:
    return np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)


_FAMILIES = (
    Family("pow3", _grid(np.geomspace(0.05, 4, 40)), lambda x, g: x ** -g[:, :1]),
    Family(
        "pow4",
        _grid(np.geomspace(0.02, 2, 8), np.geomspace(0.2, 6, 16)),
        lambda x, g: ((x + g[:, :1]) / (1 + g[:, :1])) ** -g[:, 1:],
    ),
    Family("exp3", _grid(np.geomspace(0.1, 12, 40)), lambda x, g: np.exp(-g[:, :1] * x)),
    Family(
        "wbl4",
        _grid(np.geomspace(0.3, 2, 8), np.geomspace(0.3, 10, 14)),
        lambda x, g: np.exp(-g[:, 1:] * x ** g[:, :1]),
    ),
    Family(
        "mmf4",
        _grid(np.geomspace(0.3, 6, 12), np.geomspace(0.02, 6, 18)),
        lambda x, g: 1 / (1 + (x / g[:, 1:]) ** g[:, :1]),
    ),
    Family("ilog2", _grid(np.geomspace(0.005, 1, 16)), lambda x, g: 1 / np.log1p(x / g[:, :1])),
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _FAMILIES}


@dataclass(frozen=True)
class Extrapolation:
    """A curve and all its continuations.

    Attributes:
        labelled, accuracy: (r,) the measurements.
        noise: spread of the measurements around the curve, in accuracy.
        weights: name of a family -> its share of the forecast; they sum to 1.
        parts: for each family its continuations a - b φ: (a, b, weight), each (g,); weights of all sum to 1.
    """

    labelled: Floats
    accuracy: Floats
    noise: float
    weights: Mapping[str, float]
    parts: Mapping[str, tuple[Floats, Floats, Floats]]

    @property
    def now(self) -> float:
        """Labels of the last measurement."""
        return float(self.labelled[-1])

    @property
    def last(self) -> float:
        """The last measurement."""
        return float(self.accuracy[-1])


def extrapolate(labelled: Any, accuracy: Any, *, families: Sequence[str] = tuple(FAMILIES)) -> Extrapolation:
    """Return all continuations a - b φ(n) of a learning curve, each weighted by how well it fits what was measured.

    For every φ of every family, a and b come from least squares in closed form, with b >= 0 and a <= 1: curves rise
    towards an accuracy that exists. With nothing to start from there is no bad start, and the same curve always gives
    the same forecast. A curve that falls or stays has b = 0: it is expected to stay. The weight of a φ is its
    likelihood times the same share for each family, so that a family with many parameters, most of which fit badly,
    pays for them.

    Args:
        labelled: (r,) labels at each measurement, r >= 4, growing, from 1 on.
        accuracy: (r,) in [0, 1], or any other measure in [0, 1] that should rise.
        families: names out of `FAMILIES`.

    Raises:
        ShapeError: shapes differ.
        InputError: fewer than four measurements, a measure outside [0, 1], labels that do not grow, an unknown family.

    Source:
        Viering, Loog 2022, "The Shape of Learning Curves: a Review", table 1: POW3, POW4, EXP3, WBL4 (Weibull, also
        called Janoschek), MMF4 (Morgan, Mercer, Flodin 1975), ILOG2. Weighting shapes instead of choosing one:
        Domhan, Springenberg, Hutter 2015, "Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks
        by Extrapolation of Learning Curves", section 3.

    Deviations:
        - What is inside φ lies on a grid instead of being searched; weights are its likelihood, not samples of a chain.
        - Measurements weigh (n / now)², for curves of real campaigns start with a part that no family has.
        - ILOG2 has a shift inside its logarithm, which would else be 0 at one label.
    """
    x, y = as_curve(labelled, accuracy)
    if x.size < LEAST:
        raise InputError(
            f"A forecast needs at least {LEAST} measurements of a learning curve; there {'is' if x.size == 1 else 'are'} "
            f"{x.size}. Each further round adds one."
        )
    if x[0] < 1:
        raise InputError(f"labelled must be at least 1 everywhere; the first is {x[0]:g}.")
    if y.min() < 0 or y.max() > 1:
        raise InputError(f"accuracy must lie in [0, 1]; it holds {y[(y < 0) | (y > 1)][0]:g}.")
    for name in families:
        check_name(name, list(FAMILIES), "family")
    x, now = x / x[-1], x
    share = x**_RECENT / (x**_RECENT).sum()
    fitted = {name: _fit(FAMILIES[name].falls(x, FAMILIES[name].grid), y, share) for name in families}
    # r measurements with normal errors of unknown size, and one prior share a family
    logs = {
        name: -0.5 * x.size * np.log(error + _MISFIT**2) - np.log(error.size)
        for name, (_, _, error) in fitted.items()
    }
    top = max(float(values.max()) for values in logs.values())
    raw = {name: np.exp(values - top) for name, values in logs.items()}
    total = sum(float(values.sum()) for values in raw.values())
    parts = {name: (a, b, raw[name] / total) for name, (a, b, _) in fitted.items()}
    error = sum(float(w @ fitted[name][2]) for name, (_, _, w) in parts.items())
    return Extrapolation(
        labelled=now,
        accuracy=y,
        noise=float(np.sqrt(error * x.size / (x.size - 3))),  # a, b and what is inside φ were fitted
        weights={name: float(w.sum()) for name, (_, _, w) in parts.items()},
        parts=parts,
    )


def _fit(phi: Floats, y: Floats, share: Floats) -> tuple[Floats, Floats, Floats]:
    """Return a <= 1, b >= 0 and the mean squared error of a - b φ for every φ, (g, r); `share` (r,) sums to 1."""
    mean_phi, mean_y = phi @ share, float(y @ share)
    away = phi - mean_phi[:, None]
    # a φ that is flat where it was measured says nothing: b = 0
    variance = np.maximum((away * away) @ share, np.finfo(float).tiny)
    b = np.maximum(0.0, -(away @ (share * (y - mean_y))) / variance)
    a = mean_y + b * mean_phi
    over = a > 1
    square = np.maximum((phi * phi) @ share, np.finfo(float).tiny)
    b = np.where(over, (phi @ (share * (1 - y))) / square, b)
    a = np.where(over, 1.0, a)
    gap = y - (a[:, None] - b[:, None] * phi)
    return a, b, (gap * gap) @ share


def _continued(found: Extrapolation, at: Floats) -> tuple[Floats, Floats]:
    """Return every continuation at some counts, (cells, k) in [0, 1], and the weights, (cells,)."""
    x = at / found.now
    values = [
        a[:, None] - b[:, None] * FAMILIES[name].falls(x, FAMILIES[name].grid)
        for name, (a, b, _) in found.parts.items()
    ]
    weights = np.concatenate([w for _, _, w in found.parts.values()])
    return np.clip(np.concatenate(values), 0.0, 1.0), weights


def raw_forecast(found: Extrapolation, at: Any) -> tuple[Floats, Floats]:
    """Return mean and scale at some counts, each (k,), before calibration.

    The scale is what is not known of a measurement there: its noise, the disagreement of the continuations, a floor.

    Raises:
        InputError: a count is below the last measurement, or not finite.
    """
    counts = np.atleast_1d(as_array(at, "labels").astype(np.float64))
    if not np.isfinite(counts).all() or (counts < found.now).any():
        bad = counts[~np.isfinite(counts) | (counts < found.now)][0]
        raise InputError(f"A forecast looks ahead: labels must be at least {found.now:g}, the last measured; {bad:g} is not.")  # fmt: skip
    values, weights = _continued(found, counts)
    mean = weights @ values
    return mean, np.sqrt(found.noise**2 + weights @ (values - mean) ** 2 + _FLOOR**2)


def raw_step(found: Extrapolation, start: float, stop: float) -> tuple[float, float]:
    """Return mean and scale of the difference between two counts, before calibration."""
    values, weights = _continued(found, np.array([start, stop]))
    rise = values[:, 1] - values[:, 0]
    mean = float(weights @ rise)
    return mean, float(np.sqrt(2 * found.noise**2 + weights @ (rise - mean) ** 2 + _FLOOR**2))
