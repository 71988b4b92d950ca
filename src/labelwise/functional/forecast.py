"""What more labels would buy: forecasts of a learning curve, with intervals calibrated on committed curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_number
from labelwise.errors import InputError
from labelwise.functional.extrapolation import Extrapolation, raw_forecast, raw_step
from labelwise.functional.forecast_constants import CONSTANTS

Floats = NDArray[np.float64]

FURTHEST = 3.0  # labels ahead per label there is, so four times as many: committed curves say no more


@dataclass(frozen=True)
class Calibration:
    """How far forecasts were off on committed curves, in units of their own scale; made by benchmarks/forecast.py.

    Attributes:
        levels: of the intervals that can be asked for.
        ahead: (h,) labels ahead per label there is, growing; between them constants are interpolated.
        shift: (h,) median error.
        half: (h, levels) half widths around it.
        step_shift, step_half: the same for the difference of two counts ahead, by the farther of them.
        curves: how many learning curves they rest on.
        sources: the data sets that those are of.
        covered: share of measurements in 90 % intervals, on data sets left out: their mean, the least, the greatest.
    """

    levels: tuple[float, ...]
    ahead: tuple[float, ...]
    shift: tuple[float, ...]
    half: tuple[tuple[float, ...], ...]
    step_shift: tuple[float, ...]
    step_half: tuple[tuple[float, ...], ...]
    curves: int
    sources: tuple[str, ...]
    covered: tuple[float, float, float]

    def at(self, ahead: Any, level: float, *, step: bool = False) -> tuple[Floats, Floats]:
        """Return shift and half width, each like `ahead`; nearer and farther than known, those of the last known.

        Raises:
            InputError: the level is none of the calibrated ones.
        """
        if level not in self.levels:
            known = ", ".join(f"{x:g}" for x in self.levels)
            raise InputError(f"level must be one of the calibrated ones, {known}; it is {level:g}.")
        shift, half = (self.step_shift, self.step_half) if step else (self.shift, self.half)
        x, known_x = np.log1p(np.asarray(ahead, np.float64)), np.log1p(self.ahead)
        column = [row[self.levels.index(level)] for row in half]
        return np.interp(x, known_x, shift), np.interp(x, known_x, column)


CALIBRATION = Calibration(**CONSTANTS)


@dataclass(frozen=True)
class Forecast:
    """What is expected at some counts of labels: each (k,), low <= mean <= high, accuracies in [0, 1].

    Attributes:
        labels: the counts.
        mean: the middle of the forecast; as often too low as too high.
        low, high: between them the measurement falls with probability `level`.
        level: of the interval.
    """

    labels: Floats
    mean: Floats
    low: Floats
    high: Floats
    level: float


@dataclass(frozen=True)
class Step:
    """What some labels more change: the difference of two accuracies, and where it lies with probability `level`."""

    mean: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Needed:
    """At how many labels a target is reached; None: not within `furthest` labels.

    Attributes:
        expected: where the middle of the forecast reaches it.
        earliest: where the upper end of the interval does.
        latest: where the lower end does.
        furthest: the farthest count that was looked at.
    """

    expected: int | None
    earliest: int | None
    latest: int | None
    furthest: int


def predict(
    found: Extrapolation, at: Any, *, level: float = 0.9, calibration: Calibration = CALIBRATION
) -> Forecast:
    """Return what this campaign will measure at some counts of labels, with an interval.

    Intervals are normalised errors on committed curves of other data sets, which weigh alike whatever their number of
    curves: a new data set is like one more of them, not like one more curve.

    Args:
        found: of `extrapolate`.
        at: (k,) counts, not below the last measurement. Beyond 4 times as many, no committed curve says how sure that is.
        level: one of the calibrated levels.
        calibration: the constants.

    Raises:
        InputError: a count is below the last measurement, or the level is not calibrated.

    Source:
        Lei, G'Sell, Rinaldo, Tibshirani, Wasserman 2018, "Distribution-Free Predictive Inference for Regression",
        section 5.2 (locally weighted). Dunn, Wasserman, Ramdas 2023, "Distribution-Free Prediction Sets for Two-Layer
        Hierarchical Models", section 3.1 (pooled distribution functions).
    """
    mean, scale = raw_forecast(found, at)
    counts = np.atleast_1d(np.asarray(at, np.float64))
    shift, half = calibration.at(counts / found.now - 1, level)
    middle = mean + shift * scale
    low, high = (np.clip(middle + sign * half * scale, 0.0, 1.0) for sign in (-1, 1))
    return Forecast(counts, np.clip(middle, 0.0, 1.0), low, high, level)


def step(
    found: Extrapolation,
    stop: float,
    *,
    start: float | None = None,
    level: float = 0.9,
    calibration: Calibration = CALIBRATION,
) -> Step:
    """Return how much higher the measurement at `stop` labels will be than that at `start`, with an interval.

    From the last measurement on (start None) this is the forecast minus that measurement, which is known, noise and
    all; between two counts ahead, both are unknown and their errors go together.

    Raises:
        InputError: not now <= start < stop, or the level is not calibrated.
    """
    if start is None or start == found.now:
        told = predict(found, [stop], level=level, calibration=calibration)
        mean, low, high = (float(v[0]) - found.last for v in (told.mean, told.low, told.high))
        return Step(mean, low, high, level)
    if not found.now <= start < stop:
        raise InputError(f"start must lie between {found.now:g}, the last measured, and stop, {stop:g}; it is {start:g}.")  # fmt: skip
    mean, scale = raw_step(found, start, stop)
    shift, half = calibration.at(stop / found.now - 1, level, step=True)
    middle, width = mean + float(shift) * scale, float(half) * scale
    low, high = (float(np.clip(middle + sign * width, -1.0, 1.0)) for sign in (-1, 1))
    return Step(float(np.clip(middle, -1.0, 1.0)), low, high, level)


def labels_needed(
    found: Extrapolation,
    target: float,
    *,
    level: float = 0.9,
    most: int | None = None,
    calibration: Calibration = CALIBRATION,
) -> Needed:
    """Return at how many labels a measure reaches a target: expected, at the earliest and at the latest.

    Args:
        found: of `extrapolate`.
        target: in (0, 1].
        level: of the forecasts that are inverted; a target is reached within [earliest, latest] about as often.
        most: look no farther; None and anything beyond four times the labels there are: four times as many.
        calibration: the constants.

    Raises:
        InputError: the target is no measure, or the level is not calibrated.
    """
    wanted = check_number(target, "target", 0.0, 1.0)
    limit = int(found.now * (1 + FURTHEST))
    limit = limit if most is None else max(int(found.now), min(limit, int(most)))
    counts = np.unique(np.round(np.geomspace(found.now, limit, 200)))
    told = predict(found, counts, level=level, calibration=calibration)

    def first(values: Floats) -> int | None:
        there = np.flatnonzero(values >= wanted)
        return int(counts[there[0]]) if there.size else None

    return Needed(first(told.mean), first(told.high), first(told.low), limit)
