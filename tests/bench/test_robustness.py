"""What shifts cost, read from runs: worst and mean, bounds and how they fared, methods paired by seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fabricated import run
from numpy.testing import assert_allclose
from shifted import RADII, corrupted, moved, simulated, standing

from labelwise.bench.promises import coupling, kept, promises
from labelwise.bench.robustness import (
    by_severity,
    clean,
    gain,
    mean,
    robust,
    shifts_of,
    worst,
    worst_control,
    worst_of,
    worst_risk,
)
from labelwise.functional.ambiguity import budget_risks

NAMES = ("m1", "m2")


def test_worst_and_mean_by_hand():
    found = shifts_of(corrupted(0.9, 0.05))
    # speech loses 0.1 a severity: 0.9 - 5 * 0.1; image half of that
    assert_allclose([worst(found), worst_of("image")(found), worst_of("speech")(found)], [0.4, 0.65, 0.4])
    # the mean severity is 3: image 0.75, speech 0.6, as many of both
    assert_allclose([mean(found), clean(found), worst_risk(found)], [0.675, 0.9, 0.75])
    assert found.modalities == ("image", "speech") and math.isnan(worst_of("sign")(found))
    assert by_severity(found, "speech", "blur") == pytest.approx(
        {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6, 4: 0.5, 5: 0.4}
    )
    assert by_severity(found, "speech", "hum") == {}


def test_controls_count_in_nothing_but_their_own_number():
    found = shifts_of(simulated(0.9, 0.5))
    assert worst_control(found) == 0.1
    assert worst(found) > 0.1 and worst_risk(found) < 3 and mean(found) > 0.7
    assert all(p.moved.kind != "control" for p in promises(found, NAMES, np.eye(2)))
    assert math.isnan(worst_control(shifts_of(corrupted(0.9, 0.1))))


@pytest.mark.parametrize(
    "analysis",
    [
        {},
        {"shifts": None},
        {"shifts": {"clean": {}, "moved": []}},
        {"shifts": {"clean": standing(0.5, 0.5), "moved": []}},
        {"shifts": {"clean": standing(0.5, 0.5), "moved": "all"}},
        {"shifts": {"clean": standing(math.nan, 0.5), "moved": [moved("a", "m", "noise", 0.5, 0.5)]}},
        {
            "shifts": {
                "clean": standing(0.5, 0.5),
                "moved": [{"name": "a"}, 7, moved("a", "m", "noise", 1.5, 0.5)],
            }
        },
    ],
    ids=range(7),
)
def test_an_analysis_of_another_shape_says_nothing(analysis):
    assert shifts_of(analysis) is None


def test_a_radius_that_is_none_is_not_known():
    for rho in ({}, {"m1": -1.0}, {"m1": math.inf}, {"m1": "much"}, 3, {"m1": 0.1, "m2": None}):
        told = {
            "shifts": {"clean": standing(0.5, 0.5), "moved": [moved("a", "m1", "mean up", 0.5, 0.5, rho=rho)]}
        }
        assert shifts_of(told).moved[0].rho is None


def test_bounds_from_mean_and_variance_are_those_of_the_losses():
    """The stored moments give what `budget_risks` makes of the losses themselves."""
    losses = np.array([0.1, 0.2, 0.9, 2.3, 0.05])
    gamma = np.array([[1, 0.3], [0.3, 1]])
    told = {
        "clean": {**standing(0.8, losses.mean()), "variance": losses.var()},
        "moved": [
            moved("both", None, "mean up", 0.7, 1.0, rho={"m1": 0.2, "m2": 0.5}),
            moved("one", "m2", "scale", 0.7, 1.0, rho={"m2": 0.5}),
        ],
    }
    both, one = promises(shifts_of({"shifts": told}), NAMES, gamma)
    assert_allclose(both.bounds, budget_risks(losses, [0.2, 0.5], gamma))
    assert_allclose(one.bounds, budget_risks(losses, [0, 0.5], gamma))


def test_coverage_and_tightness_by_hand():
    found = shifts_of(simulated(0.9, 0.5))
    fate = kept(found, promises(found, NAMES, np.eye(2)))
    assert fate.shifts == 3 * 2 * len(RADII) and set(fate.coverage) == {1.0}
    # half of what one modality may cost; of both together, half of √(ρ + ρ), which is first order for Γ = I
    assert_allclose(fate.tightness.first_order, 0.5)
    # of both: 0.5 √2 of √(2² - 1) and of √(2 + 2)
    assert_allclose(
        [fate.tightness.product_exact, fate.tightness.perfect], [0.5 * math.sqrt(2 / 3), 0.5 * math.sqrt(0.5)]
    )
    broken = shifts_of(simulated(0.9, 1.5))
    fate = kept(broken, promises(broken, NAMES, np.eye(2)))
    # mean shifts use 1.5 of the first order, changes of scale 0.75 of it
    assert fate.coverage.first_order == 0.5 and fate.tightness.first_order == pytest.approx(1.5)
    assert kept(found, ()) is None


def test_a_radius_of_a_modality_that_the_task_lacks_promises_nothing():
    assert promises(shifts_of(simulated(0.9, 0.5)), ("m1", "other"), np.eye(2)) != ()
    assert all(
        set(p.moved.rho) == {"m1"}
        for p in promises(shifts_of(simulated(0.9, 0.5)), ("m1", "other"), np.eye(2))
    )


@pytest.mark.parametrize(
    "task, beside",
    [
        ({"name": "copula", "correlation": 0.6}, 0.6),
        ({"name": "copula"}, 0.3),  # what the task has by itself
        ({"name": "copula", "correlation": -0.2}, -0.2),
        (
            {"name": "copula", "kind": "t", "correlation": 0.6},
            1.0,
        ),  # no number of a t copula is its maximal correlation
        ({"name": "digit-pairs"}, 1.0),
    ],
)
def test_the_coupling_is_known_of_simulated_data_only(task, beside):
    assert_allclose(coupling(task, NAMES), [[1, beside], [beside, 1]])


def test_methods_are_paired_by_the_seeds_that_both_have():
    one = robust(
        "a", [run("random", s, (0.9,), analysed={0: corrupted(0.9, 0.05 + s / 100)}) for s in (0, 1, 2)]
    )
    other = robust(
        "b", [run("random", s, (0.9,), analysed={0: corrupted(0.9, 0.06 + s / 100)}) for s in (1, 2, 3)]
    )
    found = gain(one, other, worst)
    assert found.n == 2 and found.mean == pytest.approx(0.1)  # 10 severities of speech cost 0.01 more
    assert (
        gain(one, robust("c", [run("random", 9, (0.9,), analysed={0: corrupted(0.9, 0.1)})]), worst) is None
    )
    assert gain(one, other, worst_control) is None
    assert robust("none", [run("random", 0, (0.9,))]) is None


def test_the_last_fit_within_the_span_speaks():
    told = run("random", 0, (0.5, 0.6, 0.7), analysed={t: corrupted(0.5 + t / 10, 0.01) for t in range(3)})
    one = robust("a", [told])
    assert list(one.history[0]) == [10, 20, 30] and one.shifts[0].accuracy == 0.7
    assert robust("a", [told], most=25).shifts[0].accuracy == 0.6
