"""The laws that every strategy of the table keeps, whatever the data."""

import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from strategy_views import KINDS, made, view

from labelwise import selection
from labelwise.errors import InputError, MissingSignal
from labelwise.seeds import generator
from labelwise.signals import Needs, Signals, View
from labelwise.strategies import TABLE

every_strategy = pytest.mark.parametrize("name", sorted(TABLE))


def propose(name, view_, n, seed=0):
    return made(name).propose(view_, n, generator(seed, "tests", "contract"))


def check(found, pool, n):
    """Law B: exactly min(n, pool) distinct rows of the pool; scores, if any, one a row and no NaN."""
    rows = found.rows
    assert rows.dtype == np.int64
    assert rows.shape == (min(n, pool),)
    assert len(set(rows.tolist())) == rows.size
    assert rows.size == 0 or (rows.min() >= 0 and rows.max() < pool)  # rows, not the ids, which start at 1000
    if found.scores is not None:
        assert found.scores.shape == (pool,)
        assert not np.isnan(found.scores).any()


@every_strategy
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 7, 31])
def test_a_proposal_holds_min_n_pool_distinct_rows(name, kind, classes, n):
    strategy = made(name)
    check(propose(name, view(strategy.needs, 30, classes, kind), n), 30, n)


@every_strategy
@pytest.mark.parametrize("labelled", [0, 1])
@pytest.mark.parametrize("n", [5, 40])
def test_a_proposal_holds_however_few_are_labelled(name, labelled, n):
    check(propose(name, view(made(name).needs, 30, 4, labelled=labelled), n), 30, n)


@every_strategy
@settings(max_examples=20, deadline=None)
@given(
    pool=st.integers(1, 40),
    classes=st.integers(1, 6),
    n=st.integers(1, 50),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32),
)
def test_a_proposal_holds_whatever_the_pool(name, pool, classes, n, kind, seed):
    check(propose(name, view(made(name).needs, pool, classes, kind, seed), n, seed), pool, n)


@every_strategy
def test_eleven_thousand_classes_are_no_obstacle(name):
    check(propose(name, view(made(name).needs, 60, 11_000), 20), 60, 20)


@every_strategy
def test_the_same_arguments_give_the_same_proposal(name):
    first, second = (propose(name, view(made(name).needs, 50, 4), 10, seed=3) for _ in range(2))
    assert_array_equal(first.rows, second.rows)
    if first.scores is not None:
        assert_array_equal(first.scores, second.scores)


@every_strategy
def test_ids_change_nothing(name):
    seen = view(made(name).needs, 40, 3)

    def renamed(part: Signals) -> Signals:
        parts = {s: getattr(part, s) for s in part.names if not s.startswith("scalars.")}
        return Signals(part.ids[::-1] * 7, **parts, scalars=part.scalars)

    other = View(renamed(seen.pool), renamed(seen.labelled), renamed(seen.validation), 3, seen.modalities, 1)
    assert_array_equal(propose(name, seen, 9).rows, propose(name, other, 9).rows)


# Where equals abound by nature, the lowest row goes first, and a permuted pool has another lowest row.
TIED = {
    "log-determinant": "every row has similarity 1 to itself: all first gains are equal",
    "cluster-margin": "clusters of equal size take turns in the order of their rows",
    "bral-t-plus": "falls back on cluster-margin",
}


@every_strategy
def test_a_permuted_pool_gives_the_same_samples_where_nothing_is_drawn(name):
    needs = made(name).needs
    seen = view(needs, 60, 4)
    picked = {tuple(propose(name, seen, 9, seed=s).rows) for s in range(4)}
    if len(picked) > 1 or name in TIED:  # it draws, or breaks ties
        return
    order = generator(0, "tests", "permuted").permutation(60)
    other = View(seen.pool.take(order), seen.labelled, seen.validation, 4, seen.modalities, 1)
    assert set(order[propose(name, other, 9).rows].tolist()) == set(picked.pop())


@every_strategy
@pytest.mark.parametrize("kind", ["random", "constant"])
def test_no_draw_comes_from_a_global_generator(name, kind, monkeypatch):
    def poison(*args, **kwargs):
        raise AssertionError("a global generator was used")

    before = np.random.get_state()[1].copy()  # noqa: NPY002 - to see that nobody touches it
    for function in ("seed", "rand", "randn", "random", "randint", "choice", "shuffle", "permutation", "normal",
                     "uniform", "random_sample", "standard_normal", "default_rng"):  # fmt: skip
        monkeypatch.setattr(np.random, function, poison)
    check(propose(name, view(made(name).needs, 30, 3, kind), 8), 30, 8)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@every_strategy
def test_the_view_and_the_strategy_are_left_as_they_were(name):
    strategy = made(name)
    seen = view(strategy.needs, 40, 3)
    twin = view(strategy.needs, 40, 3)
    strategy.propose(seen, 9, generator(0))
    for part in ("pool", "labelled", "validation"):
        for signal in getattr(seen, part).names:
            got, wanted = (getattr(v, part).need(signal) for v in (seen, twin))
            assert_array_equal(np.asarray(got), np.asarray(wanted))


@every_strategy
def test_a_more_uncertain_sample_is_never_asked_later(name):
    """Law S: mix one sample's probabilities with the even ones; its rank by score must not fall."""
    if name in {"pseudo-score", "grand-oracle", "bral-t-plus"}:
        pytest.skip("ranks by the weight of a sample in training, which is no uncertainty")
    needs = made(name).needs
    seen = view(needs, 40, 4)
    before = propose(name, seen, 5).scores
    if "probs" not in needs.pool or before is None:
        assert name not in {"least-confidence", "margin", "largest-margin", "entropy"}
        return
    for row in range(0, 40, 5):
        p = seen.pool.probs.copy()
        p[row] = 0.5 * p[row] + 0.5 / 4
        parts = {s: getattr(seen.pool, s) for s in seen.pool.names if not s.startswith("scalars.")}
        pool = Signals(seen.pool.ids, **(parts | {"probs": p}), scalars=seen.pool.scalars)
        after = propose(name, View(pool, seen.labelled, seen.validation, 4, seen.modalities, 1), 5).scores
        assert (after > after[row]).sum() <= (before > before[row]).sum()


@every_strategy
@pytest.mark.slow
def test_memory_grows_with_n_and_not_with_its_square(name):
    needs = made(name).needs
    seen = view(needs, 50_000, 10)
    propose(name, view(needs, 50, 10), 10)  # imports
    tracemalloc.start()
    try:
        propose(name, seen, 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6  # (n, n) in float32 would be 10 GB, (n, C·D) with D = 512 would be 1 GB


@every_strategy
def test_what_is_needed_and_not_given_is_said(name):
    needs = made(name).needs
    if not needs.pool:
        assert name == "random"
        return
    with pytest.raises(MissingSignal, match=f"{name} needs .* of the pool samples; the call gives y?"):
        selection.select(name, Signals(np.arange(3)), 1)


@every_strategy
@pytest.mark.parametrize("layout", ["torch", "fortran", "float32", "float16", "memory map"])
def test_the_kind_of_array_does_not_matter(name, layout, tmp_path):
    needs = made(name).needs
    seen = view(needs, 40, 3)

    def rounded(part: Signals) -> dict[str, np.ndarray]:  # to values that float16 holds exactly
        arrays = {}
        for signal in sorted(part.names):
            value = part.need(signal)
            if isinstance(value, tuple):
                continue
            floats = value.dtype.kind == "f"
            arrays[signal] = value.astype(np.float16).astype(np.float32) if floats else np.array(value)
        return arrays

    def laid(array: np.ndarray, key: str) -> object:
        if layout == "torch":
            return pytest.importorskip("torch").from_numpy(array)
        if layout == "fortran":
            return np.asfortranarray(array)
        if layout == "memory map":
            np.save(tmp_path / f"{key}.npy", array)
            return np.load(tmp_path / f"{key}.npy", mmap_mode="r")
        return array.astype(layout) if array.dtype.kind == "f" else array

    if any("modal_embeddings" in part for part in (needs.pool, needs.labelled, needs.validation)):
        pytest.skip("modal embeddings are a tuple; their strategies test layouts of their own")
    given_ = {part: rounded(getattr(seen, part)) for part in ("pool", "labelled", "validation")}
    if not given_["pool"]:
        given_["pool"] = {"features": np.ones((40, 2), np.float32)}
    picked = []
    for change in (lambda array, key: array, laid):
        arrays = {p: {k: change(v, f"{p}-{k}") for k, v in parts.items()} for p, parts in given_.items()}
        picked.append(
            selection.select(
                made(name),
                arrays["pool"],
                9,
                labelled=arrays["labelled"],
                validation=arrays["validation"],
                seed=1,
            )
        )
    assert_array_equal(picked[0], picked[1])


JUNK = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.text(max_size=3),
    st.lists(st.lists(st.floats(width=16), max_size=4), max_size=4),
    st.sampled_from(
        [np.ones((4, 2)) / 2, np.ones(4), np.ones((3, 2)), np.array("x"), np.array([[1j]]), b"p", object]
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    name=st.one_of(st.sampled_from(sorted(TABLE)), JUNK),
    pool=st.one_of(JUNK, st.dictionaries(st.one_of(st.sampled_from(["probs", "embeddings", "features", "ids", "y", "logits", "scalars.critic", "modal_embeddings"]), st.text(max_size=3)), JUNK, max_size=3)),
    labelled=st.one_of(st.none(), st.dictionaries(st.sampled_from(["probs", "embeddings", "y"]), JUNK, max_size=2)),
    n=st.one_of(st.integers(-2, 9), JUNK),
    seed=st.one_of(st.integers(), JUNK),
    params=st.dictionaries(st.sampled_from(["blocks", "weights"]), JUNK, max_size=1),
)  # fmt: skip
def test_select_is_right_or_says_what_is_wrong(name, pool, labelled, n, seed, params):
    rows = None
    with suppress(InputError):  # any other exception fails the test
        rows = selection.select(name, pool, n, labelled=labelled, seed=seed, **params)
    if rows is not None:
        assert len(set(rows.tolist())) == rows.size <= n
        assert rows.size >= 1


def test_needs_of_the_table_are_well_formed():
    for name in TABLE:
        assert isinstance(made(name).needs, Needs)
