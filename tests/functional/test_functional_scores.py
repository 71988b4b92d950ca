"""Uncertainty scores: literals, golden numbers, laws, outside references, bad input."""

import shutil
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
from labelwise.functional import blocks, scores
from labelwise.functional.scores import entropy, largest_margin, least_confidence, smallest_margin
from labelwise.seeds import generator

ALL = [least_confidence, smallest_margin, largest_margin, entropy]
NAMES = {
    "least_confidence": (least_confidence, 1),
    "smallest_margin": (smallest_margin, -1),
    "largest_margin": (largest_margin, -1),
    "entropy": (entropy, 1),
}


def reference(p: np.ndarray) -> dict[str, np.ndarray]:
    """The definitions, row by row, by sorting."""
    s = np.sort(p, axis=1)
    second = s[:, -2] if p.shape[1] > 1 else s[:, -1]
    safe = np.where(p > 0, p, 1)
    return {
        "least_confidence": 1 - s[:, -1],
        "smallest_margin": second - s[:, -1],
        "largest_margin": s[:, 0] - s[:, -1],
        "entropy": -(safe * np.log(safe)).sum(axis=1),
    }


@st.composite
def distributions(draw, dtype=np.float64):
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 12)))
    raw = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 6)))  # few values: zeros and ties abound
    raw[:, 0] += raw.sum(axis=1) == 0
    return (raw / raw.sum(axis=1, keepdims=True)).astype(dtype)


def test_scores_by_hand():
    p = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0.5, 0.5, 0]])
    assert_allclose(least_confidence(p), [0.5, 0, 0.5])  # 1 - max
    assert_allclose(smallest_margin(p), [-0.25, -1, 0])  # -(best - second)
    assert_allclose(largest_margin(p), [-0.25, -1, -0.5])  # -(best - worst)
    assert_allclose(entropy(p), [1.5 * log(2), 0, log(2)])  # ½ ln 2 + 2 · ¼ ln 4 = 1.5 ln 2; 0; ln 2


@pytest.mark.parametrize("case", ["main", "edge", "c2", "c1"])
@pytest.mark.parametrize("name", NAMES)
def test_scores_equal_golden_numbers(case, name):
    numbers = cases("uncertainty")[case]
    if name not in numbers["out"]:
        assert (case, name) == ("c1", "smallest_margin")  # undefined there; ours is 0, tested below
        return
    score, sign = NAMES[name]
    got = score(numbers["in"]["probs"])
    assert_allclose(sign * got, numbers["out"][name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_order_equals_golden_order(name):
    numbers = cases("uncertainty")["main"]
    got = NAMES[name][0](numbers["in"]["probs"])
    assert_array_equal(np.argsort(-got, kind="stable"), numbers["out"][f"order_{name}"])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_scores_equal_their_definitions(dtype, data):
    p = data.draw(distributions(dtype))
    tolerance = 1e-12 if dtype == np.float64 else 1e-6  # a few units in the last place of numbers up to ln 12
    for name, wanted in reference(p.astype(np.float64)).items():
        got = NAMES[name][0](p)
        assert got.dtype == dtype
        assert_allclose(got, wanted, rtol=0, atol=tolerance)


@given(p=distributions())
def test_tied_leads_have_margin_zero_exactly(p):
    s = np.sort(p, axis=1)
    tied = s[:, -1] == s[:, -2] if p.shape[1] > 1 else np.ones(len(p), bool)
    assert_array_equal(smallest_margin(p) == 0, tied)


@pytest.mark.parametrize("score", ALL)
def test_one_class_leaves_no_doubt(score):
    assert_array_equal(score(np.ones((4, 1))), np.zeros(4))


@pytest.mark.parametrize("score", ALL)
def test_negative_zero_is_a_probability(score):
    assert_array_equal(score(np.array([[1.0, -0.0, 0.0]])), score(np.array([[1.0, 0.0, 0.0]])))
    assert_array_equal(score(np.array([[-0.0, 1.0]])), score(np.array([[0.0, 1.0]])))


def test_entropy_never_falls_below_zero():
    # -1.0005 ln 1.0005 = -5e-4: a sum within the tolerance leaves certainty, not less than none
    assert_array_equal(entropy([[1.0005, 0.0]]), [0])


@given(p=distributions())
def test_more_even_probabilities_never_score_lower(p):
    mixed = 0.7 * p + 0.3 / p.shape[1]
    for score in ALL:
        assert (score(mixed) >= score(p) - 1e-12).all()


@settings(max_examples=30)
@given(p=distributions(np.float32), block=st.integers(1, 50), threads=st.integers(1, 4))
def test_neither_block_nor_threads_change_a_bit(p, block, threads):
    for score in ALL:
        assert_array_equal(score(p, block=block, threads=threads), score(p, threads=1))


@pytest.mark.parametrize("score", ALL)
def test_layout_and_kind_of_array_do_not_matter(score, tmp_path):
    p = generator(0, "tests", "layout").dirichlet(np.ones(7), 500)
    wanted = score(p)
    np.save(tmp_path / "p.npy", p)
    read_only = p.copy()
    read_only.flags.writeable = False
    layouts = {
        "fortran": np.asfortranarray(p),
        "memory map": np.load(tmp_path / "p.npy", mmap_mode="r"),
        "read-only": read_only,
        "big-endian": p.astype(">f8"),
        "every second of twice the columns": np.repeat(p, 2, axis=1)[:, ::2],
        "longdouble": p.astype(np.longdouble),
    }
    for name, array in layouts.items():
        assert_array_equal(score(array, block=64), score(p, block=64), err_msg=name)
    assert_array_equal(wanted, score(p.tolist()))


@pytest.mark.parametrize("score", ALL)
def test_float16_is_scored_as_float32(score):
    p = generator(0, "tests", "half").dirichlet(np.ones(5), 300).astype(np.float16)
    got = score(p)
    assert got.dtype == np.float32
    assert_array_equal(got, score(p.astype(np.float32)))


@pytest.mark.parametrize("score", ALL)
def test_torch_tensors_score_as_arrays_do(score):
    torch = pytest.importorskip("torch")
    p = generator(0, "tests", "torch").dirichlet(np.ones(5), 20).astype(np.float32)
    assert_array_equal(score(torch.from_numpy(p).requires_grad_()), score(p))


@pytest.mark.parametrize("score", ALL)
def test_inputs_are_left_as_they_were(score):
    p = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    before = p.copy()
    score(p)
    assert_array_equal(p, before)


def test_no_rows_give_no_scores():
    for score in ALL:
        assert score(np.empty((0, 3))).shape == (0,)


@pytest.mark.parametrize("score", ALL)
@pytest.mark.parametrize(
    "row, wrong",
    [
        ([0.6, 0.5, 0.0], "sums to 1.1"),
        ([1.2, -0.2, 0.0], "holds -0.2, and no probability is negative"),
        ([1.0001, -0.0001, 0.0], "holds -0.0001, and no probability is negative"),
        ([float("nan"), 0.5, 0.5], "holds nan"),
        ([float("inf"), 0.0, 0.0], "holds inf"),
        ([0.0, 0.0, 0.0], "sums to 0"),
    ],
)
def test_a_row_that_is_no_distribution_is_named(score, row, wrong):
    p = np.full((1000, 3), 1 / 3)
    p[277] = row
    p[900] = [2, 0, 0]  # a later one in another thread's share must not be named instead
    for threads in (1, 3):
        with pytest.raises(DistributionError) as caught:
            score(p, block=100, threads=threads)
        assert str(caught.value) == f"probs: row 277 is no distribution: {wrong}."


@pytest.mark.parametrize("dtype, off, good", [("f2", 8e-3, 1), ("f2", 0.013, 0), ("f4", 4e-3, 1), ("f4", 5.5e-3, 0), ("f8", 8e-4, 1), ("f8", 2e-3, 0)])  # fmt: skip
def test_tolerance_follows_the_type(dtype, off, good):
    p = np.array([[0.5, 0.5 + off]], dtype)  # TOLERANCE: 1e-2, 5e-3, 1e-3
    if good:
        assert least_confidence(p).shape == (1,)
    else:
        with pytest.raises(DistributionError):
            least_confidence(p)


@pytest.mark.parametrize(
    "bad", [np.ones(3), np.ones((2, 0)), np.ones((2, 2, 2)), [[0.5, 0.5], [1.0]], [["a"]], None]
)
def test_wrong_shapes_are_refused(bad):
    with pytest.raises(ShapeError):
        least_confidence(bad)


def test_a_wrong_thread_count_is_refused(monkeypatch):
    with pytest.raises(InputError, match="threads must be a whole number of at least 1; it is 0"):
        entropy(np.ones((2, 1)), threads=0)
    for wrong in ("two", "0", "-1", ""):
        monkeypatch.setenv("LABELWISE_THREADS", wrong)
        with pytest.raises(InputError, match=f"LABELWISE_THREADS must be .*; it is '{wrong}'"):
            entropy(np.ones((2, 1)))


@pytest.mark.parametrize("cores, threads", [(1, 1), (5, 5), (64, 8)])
def test_there_is_a_thread_a_core_and_no_more_than_8(monkeypatch, cores, threads):
    monkeypatch.delenv("LABELWISE_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert blocks.thread_count() == threads


def test_the_environment_sets_the_thread_count(monkeypatch):
    monkeypatch.setenv("LABELWISE_THREADS", "3")
    assert blocks.thread_count() == 3


@pytest.mark.parametrize("log2_is_fast", [True, False])
def test_either_logarithm_gives_nats(monkeypatch, log2_is_fast):
    p = generator(0, "tests", "nats").dirichlet(np.ones(9), 50)
    monkeypatch.setattr(
        scores, "_logarithm", lambda size: (np.log2, log(2)) if log2_is_fast else (np.log, 1.0)
    )
    assert_allclose(entropy(p), reference(p)["entropy"], atol=1e-12)


@pytest.mark.parametrize("score", ALL)
def test_memory_beside_the_array_stays_small(score):
    p = np.full((400_000, 20), 0.05, np.float32)  # 32 MB
    score(p[:10])  # imports
    tracemalloc.start()
    try:
        score(p, threads=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16e6  # scores 1.6 MB, two threads with a block of 3 MiB and its row starts each


def test_the_compiled_kernel_is_there_where_a_compiler_is():
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: the margin comes from NumPy")
    assert scores._rows is not None, "labelwise was installed without its compiled kernel: install it again"


@pytest.mark.skipif(scores._rows is None, reason="no compiled kernel: nothing to compare")
@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([np.float32, np.float64]), st.integers(1, 9))
def test_the_compiled_margin_equals_that_of_numpy_bit_for_bit(data, dtype, block):
    p = data.draw(distributions(dtype))
    p[0] *= np.where(p[0] == 0, -1, 1).astype(dtype)  # -0.0 is no negative probability
    compiled = smallest_margin(p, block=block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "_rows", None)
        assert_array_equal(compiled, smallest_margin(p, block=block))


@pytest.mark.skipif(scores._rows is None, reason="no compiled kernel")
@pytest.mark.parametrize("bits, out", [(np.zeros(7, np.uint32), np.zeros(2, np.float32)),
                                       (np.zeros(4, np.uint32), np.zeros(2, np.float64)),
                                       (np.zeros(4, np.uint16), np.zeros(2, np.float16)),
                                       (np.zeros(3, np.uint32), np.zeros(0, np.float32))])  # fmt: skip
def test_the_compiled_kernel_refuses_buffers_that_do_not_fit(bits, out):
    with pytest.raises(ValueError, match="same item size and whole rows"):
        scores._rows.smallest_margin(bits, out)
