"""Temperature scaling and reliability: literals, golden numbers, laws, bad input."""

from math import inf, log

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional import calibration, metrics
from labelwise.functional.calibration import fit_temperature, logit_nll, reliability, tempered
from labelwise.seeds import generator


def test_a_temperature_by_hand():
    # one class leads by 2 and is right three times out of four: σ(2/T) = 3/4 where 2/T = ln 3
    z, y = [[2.0, 0.0]] * 4, [0, 0, 0, 1]
    assert_allclose(fit_temperature(z, y), 2 / log(3), rtol=1e-12)
    assert_allclose(tempered(z, 2 / log(3))[0], [0.75, 0.25])
    assert_allclose(logit_nll(z, y, 2 / log(3)), -(0.75 * log(0.75) + 0.25 * log(0.25)))


def test_the_temperature_equals_the_golden_minimiser():
    numbers = cases("calibration")["main"]
    z, y, out = numbers["in"]["logits"], numbers["in"]["labels"], numbers["out"]
    t = fit_temperature(z, y)
    assert_allclose(t, out["T"], rtol=0, atol=1e-6)
    after = tempered(z, t)
    assert_allclose(metrics.nll(after, y), out["nll_after"], rtol=0, atol=1e-6)
    assert_allclose(logit_nll(z, y, t), out["nll_after"], rtol=0, atol=1e-9)
    assert_allclose(metrics.ece(after, y), out["ece15_after"], rtol=0, atol=1e-6)
    assert_allclose(metrics.brier(after, y), out["brier_after"], rtol=0, atol=1e-6)
    assert_allclose(metrics.accuracy(after, y), out["accuracy_after"], rtol=0, atol=1e-12)
    for when, p in (("before", tempered(z, 1.0)), ("after", after)):
        bins = reliability(p.max(axis=1), p.argmax(axis=1) == y, 15)
        assert_array_equal(bins.counts, out[f"bin_counts_{when}"])
        assert_allclose(bins.confidence, out[f"bin_conf_{when}"], rtol=0, atol=1e-6)
        assert_allclose(bins.accuracy, out[f"bin_acc_{when}"], rtol=0, atol=1e-6)
        assert_allclose(
            np.abs(bins.accuracy - bins.confidence).max(), out[f"mce15_{when}"], rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("case", ["main", "separable", "constant_logits", "anti"])
def test_likelihoods_over_temperatures_equal_golden_numbers(case):
    numbers = cases("calibration")[case]
    z, y = numbers["in"]["logits"], numbers["in"]["labels"]
    got = [logit_nll(z, y, t) for t in numbers["in"]["T_grid"]]
    assert_allclose(got, numbers["out"]["nll_at_T_grid"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case, wanted", [("separable", 0.0), ("anti", inf), ("constant_logits", 1.0)])
def test_data_without_a_best_temperature_get_the_limit(case, wanted):
    numbers = cases("calibration")[case]["in"]
    z, y = numbers["logits"], numbers["labels"]
    assert fit_temperature(z, y) == wanted
    p = tempered(z, wanted)
    assert_allclose(p.sum(axis=1), 1)
    if case == "separable":
        assert_array_equal(p, np.eye(p.shape[1])[y])
    elif case == "anti":
        assert_allclose(p, 1 / p.shape[1])


def test_calibration_of_golden_probabilities():
    for case in ("edge", "one_bin_calibrated", "all_wrong"):
        numbers = cases("calibration")[case]
        p, y, bins = numbers["in"]["probs"], numbers["in"]["labels"], int(numbers["in"]["n_bins"])
        found = reliability(p.max(axis=1), p.argmax(axis=1) == y, bins)
        gap = np.abs(found.accuracy - found.confidence)
        assert_allclose((gap * found.counts).sum() / len(p), numbers["out"][f"ece{bins}"], rtol=0, atol=1e-9)
        assert_allclose(calibration.ece(p, y, bins), numbers["out"][f"ece{bins}"], rtol=0, atol=1e-9)
        if case == "edge":
            assert_array_equal(found.counts, numbers["out"]["bin_counts"])
            assert_allclose(found.confidence, numbers["out"]["bin_conf"], rtol=0, atol=1e-9)
            assert_allclose(found.accuracy, numbers["out"]["bin_acc"], rtol=0, atol=1e-9)
            assert_allclose(gap.max(), numbers["out"]["mce8"], rtol=0, atol=1e-9)


def test_entropy_of_tempered_logits_equals_golden_numbers():
    from labelwise.functional.scores import entropy

    numbers = cases("quota_misc")["entropy"]
    z, out = numbers["in"]["logits"], numbers["out"]
    for row, t in enumerate(numbers["in"]["T"]):
        p = tempered(z, float(t))
        assert_allclose(entropy(p), out["entropy"][row], rtol=0, atol=1e-10)
        assert_allclose(entropy(p) / log(z.shape[1]), out["entropy_normalised"][row], rtol=0, atol=1e-10)
        assert_allclose(p.max(axis=1), out["max_prob"][row], rtol=0, atol=1e-10)


def test_empty_bins_equal_golden_numbers():
    numbers = cases("quota_misc")["empty_bins"]
    found = reliability(numbers["in"]["confidence"], numbers["in"]["correct"], int(numbers["in"]["n_bins"]))
    out = numbers["out"]
    assert_array_equal(found.counts, out["counts"])
    assert_allclose(found.confidence, out["bin_conf"], rtol=0, atol=1e-12)
    assert_allclose(found.accuracy, out["bin_acc"], rtol=0, atol=1e-12)
    gap = np.abs(found.accuracy - found.confidence)
    assert_allclose((gap * found.counts).sum() / found.counts.sum(), out["ece"], rtol=0, atol=1e-12)
    assert_allclose(gap.max(), out["mce"], rtol=0, atol=1e-12)
    assert (found.counts == 0).sum() == out["n_empty"]


def test_no_samples_fill_no_bin():
    """The golden ECE of nothing is 0; `ece` refuses to measure nothing, and its bins are empty."""
    numbers = cases("quota_misc")["zero_samples"]
    found = reliability([], [], int(numbers["in"]["n_bins"]))
    assert (np.abs(found.accuracy - found.confidence) * found.counts).sum() == numbers["out"]["ece"]
    with pytest.raises(InputError, match="nothing to measure"):
        calibration.ece(np.empty((0, 2)), [])


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10_000), n=st.integers(1, 30), classes=st.integers(1, 5), scale=st.floats(1e-6, 1e6)
)
def test_no_other_temperature_is_likelier(seed, n, classes, scale):
    rng = generator(seed, "tests", "temperature")
    z, y = scale * rng.normal(size=(n, classes)), rng.integers(classes, size=n)
    t = fit_temperature(z, y)
    others = [logit_nll(z, y, scale * other) for other in (0.01, 0.1, 0.5, 1, 2, 10, 100)]
    if t == 0:
        assert logit_nll(z, y, scale * 1e-6) <= min(others)
    elif t < inf:
        assert logit_nll(z, y, t) <= min(others) + 1e-12 * (1 + min(others))
        if classes > 1:  # with one class every T is as good
            assert_allclose(fit_temperature(7 * z, y), 7 * t, rtol=1e-6)
    else:
        assert log(classes) <= min(others) + 1e-12


def test_labels_no_better_than_chance_have_no_temperature():
    assert (
        fit_temperature([[1.0, 0.0], [1.0, 0.0]], [0, 1]) == np.inf
    )  # exactly even: the slope at 1/T = 0 is 0


def test_tempered_stays_finite_and_keeps_ties():
    z = np.array([[1e4, -1e4, 1e4], [0.0, 1.0, 2.0]])
    for t in (0.0, 1e-300, 1e-3, 1.0, 1e300, inf):
        p = tempered(z, t)
        assert_allclose(p.sum(axis=1), 1)
        assert p[0, 0] == p[0, 2]
    assert_array_equal(tempered(z, 0.0), [[0.5, 0, 0.5], [0, 0, 1]])


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="logits: row 1 holds nan"):
        fit_temperature([[0.0, 1.0], [np.nan, 0.0]], [0, 0])
    with pytest.raises(InputError, match="row 0 is label 2; with 2 classes"):
        fit_temperature([[0.0, 1.0]], [2])
    with pytest.raises(ShapeError, match=r"y must have shape \(n=1\)"):
        fit_temperature([[0.0, 1.0]], [0, 1])
    with pytest.raises(InputError, match="nothing to fit"):
        fit_temperature(np.empty((0, 2)), [])
    with pytest.raises(ShapeError, match="at least one class"):
        tempered(np.empty((2, 0)), 1.0)
    with pytest.raises(InputError, match="temperature must be at least 0; it is -1"):
        tempered([[0.0]], -1)
    with pytest.raises(InputError, match="temperature must be above 0; it is 0"):
        logit_nll([[0.0]], [0], 0)
    with pytest.raises(InputError, match=r"confidence: row 1 is 1\.5, not in \[0, 1\]"):
        reliability([0.5, 1.5], [1, 0])
