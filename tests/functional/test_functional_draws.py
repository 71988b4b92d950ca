"""Scores of posterior draws: literals, golden numbers, definitions, laws, bad input."""

import tracemalloc
from math import log

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional import scores
from labelwise.functional.draws import (
    bald,
    consensus_divergence,
    epig,
    expected_entropy,
    mean_std,
    of_mean,
    predictive_entropy,
    variation_ratio,
    vote_entropy,
)
from labelwise.seeds import generator

SINGLE = {
    "variation_ratio": variation_ratio,
    "vote_entropy": vote_entropy,
    "mean_std": mean_std,
    "predictive_entropy": predictive_entropy,
    "expected_entropy": expected_entropy,
    "bald": bald,
    "consensus_divergence": consensus_divergence,
}
every_score = pytest.mark.parametrize("score", SINGLE.values(), ids=SINGLE.keys())


def entropy(p):
    p = np.asarray(p, np.float64)
    return -np.sum(np.where(p > 0, p, 1) * np.log(np.where(p > 0, p, 1)), axis=-1)


def reference(x):
    """The definitions, sample by sample, for (n, S, C) draws."""
    votes = np.array([[np.sum(sample.argmax(axis=1) == c) for c in range(x.shape[2])] for sample in x])
    mean = x.mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        kl = np.where(x > 0, x * np.log(x / mean[:, None]), 0).sum(axis=2).mean(axis=1)
    return {
        "variation_ratio": 1 - votes.max(axis=1) / x.shape[1],
        "vote_entropy": entropy(votes / x.shape[1]),
        "mean_std": x.std(axis=1).mean(axis=1),
        "predictive_entropy": entropy(mean),
        "expected_entropy": entropy(x).mean(axis=1),
        "bald": entropy(mean) - entropy(x).mean(axis=1),
        "consensus_divergence": kl,
    }


def reference_epig(x, t):
    """Σ over y, y* of p(y, y*) ln p(y, y*) / (p(y) p(y*)), the mean over targets: the paper's equation."""
    found = np.zeros(len(x))
    for i, sample in enumerate(x):
        for target in t:
            joint = sample.T @ target / len(sample)  # (C, C), the mean over draws
            apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
            there = joint > 0
            found[i] += np.sum(joint[there] * np.log(joint[there] / apart[there])) / len(t)
    return found


@st.composite
def draws(draw, dtype=np.float64):
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(1, 5)))
    raw = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 4)))  # few values: zeros and ties abound
    raw[..., 0] += raw.sum(axis=-1) == 0
    return (raw / raw.sum(axis=-1, keepdims=True)).astype(dtype)


def test_scores_by_hand():
    # sample 0: two sure draws that disagree; sample 1: two draws that are even and agree (both vote for class 0)
    x = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]])
    assert_allclose(variation_ratio(x), [0.5, 0])
    assert_allclose(vote_entropy(x), [log(2), 0])
    assert_array_equal(mean_std(x), [0.5, 0])  # 0 and 1 are each half away from their mean
    assert_allclose(predictive_entropy(x), [log(2), log(2)])
    assert_allclose(expected_entropy(x), [0, log(2)], atol=1e-15)
    assert_allclose(
        bald(x), [log(2), 0], atol=1e-15
    )  # the first tells which predictor is right, the second nothing
    assert_allclose(epig(x, x[:1]), [log(2), 0], atol=1e-15)  # y of sample 0 is y* itself
    assert_allclose(epig(x, x[1:]), [0, 0], atol=1e-15)  # nobody tells anything about a coin


@pytest.mark.parametrize("case", ["mc_main", "mc_edge", "mc_T1", "mc_c2"])
def test_scores_equal_golden_numbers(case):
    numbers = cases("uncertainty")[case]
    x, out = np.moveaxis(numbers["in"]["mc_probs"], 0, 1), numbers["out"]
    for name in ("variation_ratio", "mean_std", "predictive_entropy", "expected_entropy", "bald"):
        wanted = out["variation_ratio_votes" if name == "variation_ratio" else name]
        assert_allclose(SINGLE[name](x), wanted, rtol=0, atol=1e-12, err_msg=name)
    assert_allclose(of_mean(scores.least_confidence, x), out["least_confidence_of_mean"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", ["mc_main", "mc_c2"])
@pytest.mark.parametrize("name", ["bald", "mean_std", "variation_ratio"])
def test_orders_equal_golden_orders(case, name):
    numbers = cases("uncertainty")[case]
    order = numbers["out"]["order_variation_ratio_votes" if name == "variation_ratio" else f"order_{name}"]
    got = SINGLE[name](np.moveaxis(numbers["in"]["mc_probs"], 0, 1))
    assert_array_equal(np.argsort(-got, kind="stable"), order)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_scores_equal_their_definitions(dtype, data):
    x = data.draw(draws(dtype))
    for name, wanted in reference(x.astype(np.float64)).items():
        got = SINGLE[name](x)
        assert got.dtype == np.float64
        assert_allclose(got, wanted, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-7, err_msg=name)


@given(data=st.data())
def test_epig_equals_its_definition_and_is_never_above_bald(data):
    x = data.draw(draws())
    targets = data.draw(st.integers(1, 3))
    t = generator(data.draw(st.integers(0, 99))).dirichlet(np.ones(x.shape[2]), (targets, x.shape[1]))
    got = epig(x, t)
    assert_allclose(got, reference_epig(x, t), rtol=0, atol=1e-12)
    assert (got <= bald(x) + 1e-12).all()


def test_drawn_answers_come_close_to_all_answers():
    rng = generator(0, "tests", "epig")
    x, t = rng.dirichlet(np.full(6, 0.3), (30, 5)), rng.dirichlet(np.full(6, 0.3), (20, 5))
    exact = epig(x, t)
    drawn = np.array([epig(x, t, answers=60, rng=generator(seed)) for seed in range(40)])
    # 60 of 120 answers: one estimate is off by 0.06 (standard deviation), a mean of 40 by 0.01; five of them
    assert np.abs(drawn.mean(axis=0) - exact).max() < 0.05
    assert 0.005 < drawn.std(axis=0).mean() < 0.1
    assert_array_equal(epig(x, t, answers=120), exact)


def test_drawn_answers_favour_no_target_and_no_class():
    rng = np.random.default_rng(0)
    # the first targets depend on nothing; the others' classes are unlike in how probable they are and what they tell
    t = np.concatenate([np.full((4, 6, 3), 1 / 3), rng.dirichlet([0.3, 0.1, 0.03], (4, 6))])
    x = rng.dirichlet(np.full(3, 0.05), (10, 6))
    drawn = np.array([epig(x, t, answers=20, rng=generator(seed)) for seed in range(100)])
    assert np.abs(drawn.mean(axis=0) - epig(x, t)).max() < 0.007  # any bias of these would be above 0.012


def test_equal_draws_tell_nothing_and_never_less():
    x = np.repeat(generator(0, "tests", "equal").dirichlet(np.ones(3), (200, 1)), 7, axis=1)
    assert 0 <= bald(x).min() <= bald(x).max() < 1e-15  # one in three is a hair below 0 before it is cut
    assert epig(x, x[:3]).min() >= 0


def test_a_target_that_no_draw_gives_a_class_is_no_trouble():
    x = np.array([[[0.5, 0.5, 0.0], [0.2, 0.8, 0.0]]])
    assert_allclose(epig(x, x), reference_epig(x, x), atol=1e-15)
    assert np.isfinite(epig(x, x, answers=2, rng=generator(0))).all()


@given(x=draws())
def test_equal_draws_tell_nothing(x):
    same = np.repeat(x[:, :1], 3, axis=1)
    assert_array_equal(mean_std(same), 0)
    assert_array_equal(variation_ratio(same), 0)
    assert_allclose(bald(same), 0, atol=1e-15)


@settings(max_examples=30, deadline=None)
@given(x=draws(np.float32), block=st.integers(1, 20), threads=st.integers(1, 3))
def test_neither_block_nor_threads_change_a_bit(x, block, threads):
    for score in SINGLE.values():
        assert_array_equal(score(x, block=block, threads=threads), score(x, threads=1))
    assert_array_equal(epig(x, x[:2], block=block, threads=threads), epig(x, x[:2], threads=1))


@pytest.mark.parametrize("layout", ["fortran", "memory map", "torch", "float16", "big-endian", "longdouble"])
def test_layout_and_kind_of_array_do_not_matter(layout, tmp_path):
    x = generator(0, "tests", "draws").dirichlet(np.ones(4), (50, 3))
    laid = np.asfortranarray(x)
    if layout == "memory map":
        np.save(tmp_path / "x.npy", x)
        laid = np.load(tmp_path / "x.npy", mmap_mode="r")
    elif layout == "torch":
        laid = pytest.importorskip("torch").from_numpy(x).requires_grad_()
    elif layout == "float16":
        laid = x.astype(np.float16)
        x = laid.astype(np.float32)
    elif layout != "fortran":
        laid = x.astype(">f8" if layout == "big-endian" else np.longdouble)
    for score in (*SINGLE.values(), lambda a: epig(a, a[:5])):
        assert_array_equal(score(laid), score(x))


def test_the_best_known_are_found_among_the_scores():
    assert scores.bald is bald
    assert scores.variation_ratio is variation_ratio
    assert scores.mean_std is mean_std
    assert scores.predictive_entropy is predictive_entropy


def test_no_samples_give_no_scores():
    for score in SINGLE.values():
        assert score(np.empty((0, 2, 3))).shape == (0,)


@every_score
@pytest.mark.parametrize(
    "row, wrong",
    [
        ([0.6, 0.5, 0.0], "sums to 1.1"),
        ([1.2, -0.2, 0.0], "holds -0.2, and no probability is negative"),
        ([float("nan"), 0.5, 0.5], "holds nan"),
        ([float("inf"), 0.0, 0.0], "holds inf"),
    ],
)
def test_a_draw_that_is_no_distribution_is_named(score, row, wrong):
    x = np.full((500, 4, 3), 1 / 3)
    x[277, 2] = row
    x[400, 0] = [2, 0, 0]
    for threads in (1, 3):
        with pytest.raises(DistributionError) as caught:
            score(x, block=50, threads=threads)
        assert str(caught.value) == f"draws: row 277, draw 2 is no distribution: {wrong}."


def test_bad_targets_are_named():
    x = np.full((3, 2, 2), 0.5)
    with pytest.raises(DistributionError, match="target_draws: row 0, draw 1 is no distribution"):
        epig(x, [[[0.5, 0.5], [0.5, 0.7]]])
    with pytest.raises(ShapeError, match=r"target_draws must have shape \(m, S=2, C=2\)"):
        epig(x, np.full((3, 3, 2), 0.5))
    with pytest.raises(InputError, match="at least one target"):
        epig(x, x[:0])
    with pytest.raises(InputError, match="2 of 6 answers have to be drawn; give an rng"):
        epig(x, x, answers=2)
    with pytest.raises(InputError, match="answers must be a whole number of at least 1"):
        epig(x, x, answers=0, rng=generator(0))


@pytest.mark.parametrize("dtype, off", [(np.float16, 0.008), (np.float32, 0.004), (np.float64, 0.0008)])
def test_what_its_type_may_miss_is_no_error_in_the_mean_either(dtype, off):
    x = np.full((3, 4, 2), 0.5, dtype)
    x[1] += dtype(off / 2)  # was bfloat16, or was printed
    for score in (scores.least_confidence, scores.smallest_margin, scores.entropy):
        assert_allclose(of_mean(score, x), score(np.full((3, 2), 0.5)), atol=1e-12)


@pytest.mark.parametrize("bad", [np.ones((2, 2)), np.ones((2, 0, 2)), np.ones((2, 2, 0)), None, [[["a"]]]])
def test_wrong_shapes_are_refused(bad):
    with pytest.raises(ShapeError):
        bald(bad)


def test_memory_beside_the_arrays_stays_small():
    x = np.full((40_000, 10, 10), 0.1, np.float32)  # 16 MB
    epig(x[:10], x[:2])  # imports
    tracemalloc.start()
    try:
        bald(x, threads=2)
        epig(x[:2000], x[:50], threads=2)  # all pairs of samples and answers would be 80 MB
        of_mean(scores.entropy, x, threads=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40e6  # scores 0.3 MB, two threads with a few blocks of 3 MiB each
