"""Learning curves continued: literals, laws of the intervals, and curves that are none."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path

import numpy as np
import pytest

from labelwise.errors import InputError, ShapeError
from labelwise.functional.extrapolation import FAMILIES, extrapolate, raw_forecast, raw_step
from labelwise.functional.forecast import CALIBRATION, Calibration, labels_needed, predict, step
from labelwise.seeds import generator

LABELS = np.arange(1, 11) * 100.0
ROOT = Path(__file__).parent.parent.parent
# No shift and half widths of one scale, whatever the level: what comes out is the raw forecast.
PLAIN = Calibration(
    (0.9,), (0.1, 1.0), (0.0, 0.0), ((1.0,), (2.0,)), (0.0, 0.0), ((1.0,), (2.0,)), 1, ("a",), (1.0,) * 3
)


def power(n):
    return 0.95 - 0.5 * (n / 100) ** -0.8


@pytest.mark.parametrize(
    ("family", "curve"),
    [
        ("pow3", power),
        ("exp3", lambda n: 0.9 - 0.6 * np.exp(-n / 400)),
        ("mmf4", lambda n: 0.9 - 0.7 / (1 + (n / 300) ** 2)),
        ("wbl4", lambda n: 0.9 - 0.7 * np.exp(-((n / 500) ** 0.8))),
        ("pow4", lambda n: 0.95 - 0.7 * ((n + 200) / 300) ** -1.5),
        ("ilog2", lambda n: 0.98 - 0.5 / np.log1p(n / 60)),
    ],
)
def test_each_family_continues_its_own_curve(family, curve):
    """Twice the labels, to half a point: shapes that fit almost as well are believed, too."""
    found = extrapolate(LABELS, curve(LABELS), families=[family])
    mean, _ = raw_forecast(found, [2000.0])
    assert mean[0] == pytest.approx(curve(2000.0), abs=0.005)
    assert found.weights == {family: pytest.approx(1.0)}


def test_two_unknowns_by_hand():
    """One φ, x = n / now = 1/4, 1/2, 3/4, 1 and y = 0.9 - 0.2 φ exactly: a = 0.9, b = 0.2 must come back."""
    from labelwise.functional.extrapolation import _fit

    x = np.array([0.25, 0.5, 0.75, 1.0])
    phi = x[None] ** -0.5
    a, b, error = _fit(phi, 0.9 - 0.2 * phi[0], np.full(4, 0.25))
    assert (a[0], b[0], error[0]) == (pytest.approx(0.9), pytest.approx(0.2), pytest.approx(0, abs=1e-20))


def test_an_asymptote_stays_at_one_and_the_slope_is_then_fitted_anew():
    """Best without bounds: a = 1.2. With a = 1, b minimises Σ (1 - b φ - y)²: b = Σ φ (1 - y) / Σ φ²."""
    from labelwise.functional.extrapolation import _fit

    phi = np.array([[1.0, 0.8, 0.6, 0.4]])
    y = 1.2 - 0.6 * phi[0]
    a, b, _ = _fit(phi, y, np.full(4, 0.25))
    assert a[0] == 1.0
    assert b[0] == pytest.approx(float((phi[0] * (1 - y)).sum() / (phi[0] ** 2).sum()))


def test_weights_go_to_the_family_that_fits_and_sum_to_one():
    curve = 0.9 - 0.7 / (1 + (LABELS / 400) ** 3)  # a sigmoid: no power law looks like that
    found = extrapolate(LABELS, curve)
    assert sum(found.weights.values()) == pytest.approx(1.0)
    assert found.weights["mmf4"] > 0.5 > 0.001 > found.weights["pow3"]
    assert list(found.weights) == list(FAMILIES)


def test_the_same_curve_gives_the_same_forecast_whatever_the_unit_of_labels():
    """Shapes are in n / now: a hundred times as many labels at the same accuracies is the same curve."""
    y = power(LABELS) + 0.01 * np.sin(LABELS)
    one, two = (predict(extrapolate(k * LABELS, y), [k * 1500.0]) for k in (1, 100))
    assert (one.mean[0], one.low[0], one.high[0]) == pytest.approx((two.mean[0], two.low[0], two.high[0]))
    again = predict(extrapolate(LABELS, y), [1500.0])
    assert one.mean.tobytes() == again.mean.tobytes()


def test_intervals_grow_with_level_distance_and_noise():
    rng = generator(0, "noise")
    quiet, loud = (extrapolate(LABELS, power(LABELS) + s * rng.normal(size=10)) for s in (0.002, 0.03))
    assert loud.noise > 3 * quiet.noise
    for found in (quiet, loud):
        widths = []
        for level in CALIBRATION.levels:
            told = predict(found, [1100, 1500, 2000, 4000], level=level)
            assert ((told.low <= told.mean) & (told.mean <= told.high)).all()
            assert (told.low >= 0).all() and (told.high <= 1).all()
            widths.append(told.high - told.low)
        assert (np.diff(widths, axis=0) > 0).all()
    assert (widths[0] <= widths[-1]).all()
    assert predict(loud, [1500]).high - predict(loud, [1500]).low > predict(quiet, [1500]).high - predict(quiet, [1500]).low  # fmt: skip
    wide = predict(quiet, [1100, 2000])
    assert (wide.high - wide.low)[1] > (wide.high - wide.low)[0]


def test_calibration_interpolates_between_distances_and_stays_beyond():
    shift, half = PLAIN.at([0.0, 0.1, 1.0, 9.0], 0.9)
    assert half.tolist() == [1.0, 1.0, 2.0, 2.0] and shift.tolist() == [0.0] * 4
    middle = np.expm1((np.log1p(0.1) + np.log1p(1.0)) / 2)
    assert PLAIN.at(middle, 0.9)[1] == pytest.approx(1.5)
    found = extrapolate(LABELS, power(LABELS))
    mean, scale = raw_forecast(found, [2000.0])
    told = predict(found, [2000.0], calibration=PLAIN)
    assert told.high[0] - told.mean[0] == pytest.approx(2 * scale[0])
    assert told.mean[0] == mean[0]


def test_a_step_from_now_is_the_forecast_minus_what_was_measured_and_later_steps_know_neither_end():
    found = extrapolate(LABELS, power(LABELS) + 0.01 * np.cos(LABELS))
    told, more = predict(found, [1500]), step(found, 1500)
    assert (more.mean, more.low, more.high) == pytest.approx(
        (told.mean[0] - found.last, told.low[0] - found.last, told.high[0] - found.last)
    )
    mean, scale = raw_step(found, 1500, 2000)
    later = step(found, 2000, start=1500, calibration=PLAIN)
    assert later.mean == pytest.approx(mean) and later.high - later.mean == pytest.approx(2 * scale)
    means, _ = raw_forecast(found, [1500, 2000])
    assert mean == pytest.approx(means[1] - means[0])


def test_labels_needed_lie_in_order_and_invert_the_forecast():
    found = extrapolate(LABELS, power(LABELS))
    target = 0.89
    needed = labels_needed(found, target)
    assert needed.earliest <= needed.expected <= (needed.latest or needed.furthest)
    there, before = predict(found, [needed.expected]), predict(found, [needed.expected / 1.02])
    assert there.mean[0] >= target > before.mean[0]
    assert needed.furthest == 4000
    never = labels_needed(found, 0.999)
    assert (never.expected, never.latest) == (None, None)
    assert labels_needed(found, target, most=1100).furthest == 1100
    assert labels_needed(found, 0.5).expected == 1000  # reached already


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_constant_curve_stays(value):
    found = extrapolate(LABELS, np.full(10, value))
    assert found.noise == pytest.approx(0, abs=1e-12)
    mean, scale = raw_forecast(found, [1500.0, 4000.0])
    assert mean == pytest.approx([value, value]) and scale == pytest.approx([0.006, 0.006], abs=1e-6)
    told = predict(found, [1500.0])
    assert 0 <= told.low[0] <= told.mean[0] <= told.high[0] <= 1


def test_a_falling_curve_is_expected_to_stay_where_it_came_to():
    y = 0.9 - 0.03 * np.arange(10)
    mean, _ = raw_forecast(extrapolate(LABELS, y), [1100.0, 4000.0])
    assert mean[0] == pytest.approx(mean[1])
    # mean with weights (n / now)²
    assert mean[0] == pytest.approx(np.average(y, weights=LABELS**2))


def test_noise_alone_promises_nothing():
    y = 0.5 + 0.05 * generator(3, "noise").normal(size=10)
    found = extrapolate(LABELS, y)
    more = step(found, 1500)
    assert more.low < 0 < more.high and found.noise > 0.02


@pytest.mark.parametrize(
    "y", [[0.1, 0.9, 0.2, 0.8, 0.3], [0, 0, 0, 1, 1], [1, 1, 1, 1, 0.0], [0.2, 0.2, 0.2, 0.9, 0.1]]
)
def test_curves_that_are_none_still_give_an_ordered_forecast(y):
    found = extrapolate([10, 20, 40, 80, 81], y)
    told = predict(found, [81, 100, 1e6])
    assert np.isfinite([told.low, told.mean, told.high]).all()
    assert (told.low <= told.mean).all() and (told.mean <= told.high).all()


def test_what_cannot_be_forecast_is_said_in_words():
    y = power(LABELS)
    with pytest.raises(InputError, match="at least 4 measurements.*there are 3.*Each further round"):
        extrapolate(LABELS[:3], y[:3])
    with pytest.raises(InputError, match="lie in \\[0, 1\\]; it holds 1.2"):
        extrapolate(LABELS[:4], [0.1, 0.2, 1.2, 0.4])
    with pytest.raises(InputError, match="must grow; 200 is followed by 200"):
        extrapolate([100, 200, 200, 300], y[:4])
    with pytest.raises(InputError, match="at least 1"):
        extrapolate([0, 1, 2, 3], y[:4])
    with pytest.raises(InputError, match="finite"):
        extrapolate(LABELS[:4], [0.1, np.nan, 0.3, 0.4])
    with pytest.raises(ShapeError):
        extrapolate(LABELS, y[:4])
    with pytest.raises(InputError, match="pow3"):
        extrapolate(LABELS, y, families=["pow9"])
    found = extrapolate(LABELS, y)
    with pytest.raises(InputError, match="looks ahead.*1000.*900"):
        predict(found, [1100, 900])
    with pytest.raises(InputError, match="0.5, 0.8, 0.9, 0.95; it is 0.7"):
        predict(found, [1100], level=0.7)
    with pytest.raises(InputError, match="target"):
        labels_needed(found, 1.5)
    with pytest.raises(InputError, match="start must lie between 1000"):
        step(found, 1500, start=2000)


def test_a_forecast_takes_less_than_fifty_milliseconds():
    y = power(LABELS)
    extrapolate(LABELS, y)
    spent = []
    for _ in range(5):
        began = time.process_time()
        found = extrapolate(LABELS, y)
        predict(found, [1100, 1500, 2000])
        labels_needed(found, 0.9)
        spent.append(time.process_time() - began)
    assert min(spent) < 0.05


@pytest.fixture(scope="module")
def script():
    import sys

    place = str(ROOT / "benchmarks")
    sys.path.insert(0, place)
    try:
        yield importlib.import_module("forecast")
    finally:
        sys.path.remove(place)


def test_the_constants_are_those_of_the_committed_results(script):
    result = json.loads((ROOT / "benchmarks" / "results" / "forecast.json").read_text())
    assert script.CONSTANTS.read_text() == script.shipped(result)
    assert len(CALIBRATION.sources) >= 8 and CALIBRATION.curves > 2000


def test_nominal_ninety_holds_between_85_and_95_percent_on_material_left_out(script):
    held = json.loads((ROOT / "benchmarks" / "results" / "forecast.json").read_text())["held out"]["ensemble"]
    for ahead in script.AHEAD:
        rows = [row for row in held if row["ahead"] == ahead]
        assert (
            0.85
            <= importlib.import_module("forecast_tables").over_materials(
                rows, lambda row: row["covered"][script.LEVELS.index(0.9)]
            )
            <= 0.95
        )


def test_what_shares_material_with_the_held_out_set_is_left_out(script):
    assert script.material("fashion-lt-20") == script.material("fashion-mnist-mini") == ("fashion-mnist",)
    assert script.material("digit-pairs-weak") == ("mnist", "fsdd")
    assert script.material("womens-reviews-missing") == ("womens-reviews",)
    rows = [
        {"set": name, "ahead": 0.1, "ensemble": (0.0, 1.0)} for name in ("mnist", "digit-pairs", "trashnet")
    ]
    errors = script.Errors(rows, "ensemble")
    assert errors.apart("mnist", errors.groups) == ["trashnet"]
    assert errors.apart("trashnet", errors.groups) == ["mnist", "mnist and fsdd"]


def test_constants_are_quantiles_in_which_every_material_weighs_alike(script):
    """100 errors 0..99 of one material and one error of another: the other holds half of the weight."""
    rows = [{"set": "mnist", "ahead": 0.1, "ensemble": (float(k), 1.0)} for k in range(100)]
    rows += [{"set": "trashnet", "ahead": 0.1, "ensemble": (1000.0, 1.0)}]
    errors = script.Errors(rows, "ensemble")
    shift, _ = script.constants(errors, ["mnist"], stretched=False)
    assert shift[0] == pytest.approx(49.5)
    assert script.quantile(errors.z, script._alike(errors.group), 0.25) == pytest.approx(49.5, abs=1)
    assert script.quantile(errors.z, script._alike(errors.group), 0.75) == pytest.approx(1000)
