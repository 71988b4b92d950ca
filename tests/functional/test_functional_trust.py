"""The TrustSet and its scores: by hand, against finite differences, golden numbers and a plain sort."""

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.importance import super_loss
from labelwise.functional.trust import second_set, trust_scores, trust_set
from labelwise.seeds import generator

Y = np.array([0, 0, 0, 1, 1, 2])
SCORES = np.array([0.1, 0.9, 0.5, 0.3, 0.2, 0.7])  # means of the classes: 0.5, 0.25, 0.7


def test_scores_by_hand():
    # EL2N = √(¼² + ¼²) = √2/4; loss -ln ¾ = 0.2877, β = 0.2877 - ln 2 = -0.4055, W(β/2) = -0.2640, σ* = e^0.2640
    # the other label: EL2N = 3√2/4; loss ln 4, β = ln 2, W(0.3466) = 0.2657 as 0.2657 e^0.2657 = 0.3466
    probs = [[0.75, 0.25], [0.75, 0.25], [0.5, 0.5]]
    wanted = [np.sqrt(2) / 4 * 1.3021, 3 * np.sqrt(2) / 4 * np.exp(-0.2657), np.sqrt(0.5)]
    assert_allclose(trust_scores(probs, [0, 1, 0]), wanted, rtol=1e-4)
    assert_allclose(trust_scores(probs, [0, 1, 0], lam=None), np.sqrt([2 / 16, 18 / 16, 1 / 2]))
    # τ = the loss: weight 1, whatever λ
    assert_allclose(trust_scores(probs[:1], [0], tau=-np.log(0.75), lam=0.3), np.sqrt(2) / 4)
    # ‖z‖² + 1 = 4 + 4 + 1
    grand = trust_scores(probs[:1], [0], lam=None, embeddings=[[2.0, -2.0]])
    assert_allclose(grand, 3 * np.sqrt(2) / 4)
    assert_allclose(trust_scores(probs[:1], [0], embeddings=[[2.0, -2.0]]), 3 * wanted[0], rtol=1e-4)


@pytest.mark.parametrize("lam, classes, limit", [(1.0, 10, 1.567), (0.25, 10, 2.119), (0.25, 100, 4.421)])
def test_easy_samples_weigh_e(lam, classes, limit):
    """The weight saturates at e where the loss is at most ln C - 2 λ/e."""
    loss = np.array([0.0, limit / 2, limit - 0.001, limit + 0.001])
    told = np.exp(-loss)
    probs = np.repeat(((1 - told) / (classes - 1))[:, None], classes, axis=1)
    probs[:, 0] = told
    y = np.zeros(4, np.int64)
    norms = trust_scores(probs, y, lam=None)
    weights = trust_scores(probs, y, lam=lam)[1:] / norms[1:]
    assert_allclose(weights[:2], np.e, rtol=1e-12)
    # near the branch point the weight falls as a square root, steeply
    assert 0.8 * np.e < weights[2] < np.e * (1 - 1e-3)
    assert norms[0] == trust_scores(probs, y, lam=lam)[0] == 0  # learnt: nothing is left to teach


def test_a_label_that_the_model_rules_out_is_not_trusted():
    probs, y = [[1.0, 0.0], [0.999, 0.001], [0.6, 0.4]], [1, 1, 1]
    scores = trust_scores(probs, y)
    assert scores[0] == 0
    assert 0 < scores[1] < scores[2]  # doubtful labels rank below hard ones
    assert_array_equal(np.argsort(trust_scores(probs, y, lam=None)), [2, 1, 0])
    assert trust_scores(np.array(probs, np.float32), y)[0] == 0


def test_scores_are_the_norm_of_the_gradient_of_the_super_loss():
    rng = generator(0, "tests", "trust")
    logits, y = 2 * rng.normal(size=(20, 4)), rng.integers(4, size=20)

    def loss(z):
        return super_loss(np.log(np.exp(z).sum(axis=1)) - z[np.arange(20), y], np.log(4), 0.7)

    step, slopes = 1e-6, []
    for j in range(4):
        right, left = logits.copy(), logits.copy()
        right[:, j] += step
        left[:, j] -= step
        slopes.append((loss(right) - loss(left)) / (2 * step))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    got = trust_scores(probs, y, lam=0.7)
    assert_allclose(got, np.linalg.norm(slopes, axis=0), rtol=1e-6, atol=1e-8)


def test_scores_equal_golden_numbers():
    numbers = cases("superloss")["logits"]
    z, y = numbers["in"]["logits"], numbers["in"]["labels"]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    for lam in numbers["in"]["lam"]:
        wanted = numbers["out"][f"score_sigma_times_el2n_lam{lam}"]
        assert_allclose(trust_scores(p, y, lam=float(lam)), wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "size, wanted",
    [
        (1, [1, 3, 5]),  # at least one of each class
        (3, [1, 3, 5]),
        (4, [1, 3, 5]),  # the place left over goes to class 2, which has no second sample
        (5, [1, 2, 3, 5]),  # the second one to class 0
        (6, [1, 2, 3, 4, 5]),
        (8, [1, 2, 0, 3, 4, 5]),
        (600, [1, 2, 0, 3, 4, 5]),
    ],
)
def test_a_trust_set_by_hand(size, wanted):
    assert trust_set(SCORES, Y, 3, size).tolist() == wanted


@pytest.mark.parametrize(
    "size, wanted",
    [(1, [2, 4]), (3, [2, 4]), (4, [2, 4]), (5, [0, 4]), (6, [0]), (8, []), (600, [])],
)
def test_a_second_set_by_hand(size, wanted):
    # size 5: class 0 has ranks 1-2 in the first set and rank 3 in the second
    assert second_set(SCORES, Y, 3, size).tolist() == wanted


def test_a_class_without_samples_takes_no_place_that_is_left():
    # C = 4, size 5: N = 1, one place left: not for class 3, which has no sample, but for class 2, which has one
    assert trust_set(SCORES, Y, 4, 5).tolist() == [1, 3, 5]
    assert trust_set(SCORES, Y, 4, 6).tolist() == [1, 2, 3, 5]
    assert trust_set([], np.empty(0, np.int64), 4, 6).tolist() == []
    assert second_set([], np.empty(0, np.int64), 4, 6).tolist() == []


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3)), min_size=1, max_size=24), st.integers(0, 30)
)
def test_both_sets_are_the_first_and_the_next_ranks_of_each_class(samples, size):
    y, scores = (np.array(part) for part in zip(*samples, strict=True))
    first, second = trust_set(scores, y, 4, size), second_set(scores, y, 4, size)
    assert not set(first) & set(second)
    means = [scores[y == c].mean() if (y == c).any() else -np.inf for c in range(4)]
    left = max(size - 4 * max(size // 4, 1), 0)
    extra = sorted(range(4), key=lambda c: (-means[c], c))[:left]
    for c in range(4):
        ranked = sorted(np.flatnonzero(y == c), key=lambda i: (-scores[i], i))
        n = max(size // 4, 1) + (c in extra)
        assert [i for i in first if y[i] == c] == ranked[:n]
        assert [i for i in second if y[i] == c] == ranked[n : 2 * n]


def test_what_is_wrong_is_said():
    probs = np.full((3, 2), 0.5)
    with pytest.raises(ShapeError, match=r"probs must have shape \(n, C\); it has shape \(3, 3, 2\)"):
        trust_scores(np.full((3, 3, 2), 0.5), [0, 1, 0])
    with pytest.raises(ShapeError, match=r"probs must have shape \(n, C\)"):
        trust_scores(np.full((3, 3, 2), 0.5), [0, 1, 0], lam=None)
    with pytest.raises(InputError, match="row 2 is label 2; with 2 classes"):
        trust_scores(probs, [0, 1, 2])
    with pytest.raises(DistributionError, match="row 0 is no distribution"):
        trust_scores(probs + 0.1, [0, 1, 0])
    for lam in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(InputError, match="lam must be finite and above 0"):
            trust_scores(probs, [0, 1, 0], lam=lam)
    with pytest.raises(InputError, match="tau must be finite"):
        trust_scores(probs, [0, 1, 0], tau=np.inf)
    with pytest.raises(InputError, match="embeddings: row 1 is not finite"):
        trust_scores(probs, [0, 1, 0], embeddings=[[1.0], [np.nan], [1.0]])
    for choose in (trust_set, second_set):
        with pytest.raises(ShapeError, match="scores must have shape"):
            choose([0.1, 0.2], [0, 1, 0], 2, 4)
        with pytest.raises(InputError, match="row 2 is label 2"):
            choose([0.1, 0.2, 0.3], [0, 1, 2], 2, 4)
        with pytest.raises(InputError, match="at least 0; it is -1"):
            choose([0.1, 0.2, 0.3], [0, 1, 0], 2, -1)
        with pytest.raises(InputError, match="NaN"):
            choose([0.1, np.nan, 0.3], [0, 1, 0], 2, 4)
