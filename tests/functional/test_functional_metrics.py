"""Metrics of predictions: literals, golden numbers, scikit-learn."""

import json
import tracemalloc

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional import metrics, scores
from labelwise.seeds import generator

P = np.array([[0.8, 0.2, 0.0], [0.4, 0.6, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]])
Y = np.array([0, 0, 1, 1])


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_metrics_by_hand():
    assert metrics.accuracy(P, Y) == 0.5  # predicted 0 1 0 1: the tie goes to the lowest class
    assert metrics.per_class_accuracy(P, Y) == [0.5, 0.5, None]
    assert_array_equal(metrics.confusion(Y, [0, 1, 0, 1], 3), [[1, 1, 0], [1, 1, 0], [0, 0, 0]])
    assert_array_equal(metrics.confusion([0, 0, 1], [0, 1, 1], 2), [[1, 1], [0, 1]])  # the true class by row
    assert metrics.macro_f1(Y, [0, 1, 0, 1], 3) == 0.5  # 2·1/(2+2) twice; class 2 occurs nowhere
    assert_allclose(metrics.nll(P, Y), -np.log([0.8, 0.4, 0.5, 0.9]).mean())
    assert_allclose(metrics.brier(P, Y), (0.08 + 0.72 + 0.5 + 0.02) / 4)  # 2·0.2², 2·0.6², 2·0.5², 2·0.1²


def test_ece_by_hand():
    # two bins (0, ½], (½, 1]: confidences .5 | .8 .6 .9; right 0 | 1 0 1: gaps .5 and 2.3 - 2 = .3 over n = 4
    assert_allclose(metrics.ece(P, Y, bins=2), (0.5 + 0.3) / 4)


def test_a_confidence_that_rounding_puts_above_1_is_in_the_last_bin():
    p = [[1.0005, 0.0], [0.99, 0.01]]  # wrong and right: |(0 - 1.0005) + (1 - 0.99)| / 2, not two gaps
    assert_allclose(metrics.ece(p, [1, 0], bins=1), 0.9905 / 2)


@pytest.mark.parametrize("case", ["main", "edge", "one_bin_calibrated", "all_wrong"])
def test_calibration_equals_golden_numbers(case):
    numbers = cases("calibration")[case]
    y, out = numbers["in"]["labels"], numbers["out"]
    p = numbers["in"]["probs"] if "probs" in numbers["in"] else softmax(numbers["in"]["logits"])
    bins, suffix = int(numbers["in"]["n_bins"]), "_before" if case == "main" else ""
    assert_allclose(metrics.ece(p, y, bins), out[f"ece{bins}{suffix}"], rtol=0, atol=1e-9)
    assert_allclose(metrics.brier(p, y), out[f"brier{suffix}"], rtol=0, atol=1e-9)
    if case != "edge":
        assert_allclose(metrics.nll(p, y), out[f"nll{suffix}"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 7, 100, 101])
def test_measure_equals_the_single_metrics_and_scikit_learn(classes):
    from sklearn.metrics import f1_score, log_loss, recall_score

    rng = generator(0, "tests", "measure", classes)
    p = rng.dirichlet(np.ones(classes), 400)
    y = rng.integers(0, classes - 1, 400)  # the last class never occurs
    got = json.loads(json.dumps(metrics.measure(p, y, classes)))
    pred = p.argmax(axis=1)
    here = np.unique(np.concatenate([y, pred]))
    assert_allclose(got["macro_f1"], f1_score(y, pred, labels=here, average="macro", zero_division=0))
    assert_allclose(got["nll"], log_loss(y, p, labels=np.arange(classes)))
    recalls = recall_score(y, pred, labels=np.unique(y), average=None)
    assert_allclose([r for r in got["per_class"] if r is not None], recalls)
    assert len(got["per_class"]) == classes
    assert got["per_class"][-1] is None
    assert got["count"] == 400
    for name in ("accuracy", "brier", "ece"):
        assert got[name] == getattr(metrics, name)(p, y)
    assert ("confusion" in got) == (classes <= 100)
    if classes <= 100:
        assert_array_equal(got["confusion"], metrics.confusion(y, pred, classes))


def test_a_sure_mistake_costs_a_finite_number():
    assert_allclose(metrics.nll([[1.0, 0.0]], [1]), -np.log(1e-12))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_sure_and_right_is_perfect(y):
    got = metrics.measure(np.eye(4)[y], y, 4)
    assert (got["accuracy"], got["nll"], got["brier"], got["ece"], got["macro_f1"]) == (1, 0, 0, 0, 1)


def test_bad_input_is_refused_in_words():
    with pytest.raises(InputError, match="row 1 is label 3; with 3 classes"):
        metrics.accuracy(P[:2], [0, 3])
    with pytest.raises(ShapeError, match=r"y must have shape \(n=4\)"):
        metrics.accuracy(P, [0, 1])
    with pytest.raises(DistributionError, match="row 0 .* sums to 2"):
        metrics.measure([[1.0, 1.0]], [0], 2)
    with pytest.raises(ShapeError, match=r"C=4"):
        metrics.measure(P, Y, 4)
    with pytest.raises(InputError, match="nothing to measure"):
        metrics.measure(np.empty((0, 3)), np.empty(0, int), 3)
    with pytest.raises(InputError, match="nothing to measure"):
        metrics.macro_f1([], [], 2)
    with pytest.raises(ShapeError, match="y_pred"):
        metrics.confusion([0, 1], [0], 2)


def test_thousands_of_classes_take_no_square_of_them():
    p, y = np.full((20, 5000), 1 / 5000, np.float32), np.arange(20)
    tracemalloc.start()
    try:
        got = metrics.per_class_accuracy(p, y)
        f1 = metrics.macro_f1(y, y[::-1], 5000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert got[:21] == [1.0, *[0.0] * 19, None]  # a tie of all classes goes to class 0
    assert f1 == 0
    assert peak < 10e6  # (C, C) counts would be 200 MB


@pytest.mark.parametrize("check", [metrics.accuracy, metrics.nll, scores.check_probs])
def test_negative_probabilities_that_sum_to_one_are_refused(check):
    p = np.array([[1.0, 0.0, 0.0], [0.7, 0.5, -0.2]])
    with pytest.raises(DistributionError, match="row 1 is no distribution: holds -0.2"):
        check(p) if check is scores.check_probs else check(p, [0, 0])


def test_labels_beyond_int64_are_named_as_they_are():
    with pytest.raises(InputError, match="row 0 is label 18446744073709551615; with 3 classes"):
        metrics.accuracy(P[:1], np.array([2**64 - 1], np.uint64))
