"""Stratified parts, long tails and imbalance, and the tasks that are cut with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.data.draws import (
    allocate,
    carve,
    draw,
    imbalanced,
    long_tail_sizes,
    size_of,
    standardise,
    stratified,
)
from labelwise.data.splits import TEST, TRAIN, UNUSED, VALIDATION, Samples, build
from labelwise.data.truth import Simulation
from labelwise.errors import EmptyPool, InputError, ShapeError, UnknownName
from labelwise.seeds import generator

rng = generator(0, "test", "splits")


def made_up(sizes, *, validation=0, test=0, name="made up") -> Samples:
    """Class k has sizes[k] training samples; the others are spread evenly; "table" is the row."""
    y = [np.repeat(np.arange(len(sizes)), sizes)]
    part = [np.full(sum(sizes), TRAIN)]
    for n, which in ((validation, VALIDATION), (test, TEST)):
        y.append(np.arange(n) % len(sizes))
        part.append(np.full(n, which))
    labels = np.concatenate(y)
    order = generator(0, "test", "made up").permutation(len(labels))
    arrays = {"table": np.arange(len(labels), dtype=np.float32)[:, None]}
    names = tuple(f"class {k}" for k in range(len(sizes)))
    return Samples(name, arrays, labels[order], names, np.concatenate(part)[order].astype(np.int8))


counts_of_classes = st.lists(st.integers(0, 40), min_size=1, max_size=12)


@pytest.mark.parametrize(
    "counts, n, wanted",
    [
        ([50, 30, 20], 10, [5, 3, 2]),  # exact shares
        ([5, 5, 5], 4, [2, 1, 1]),  # 4/3 each: floors 1 1 1, the rest to the first of equal remainders
        ([97, 2, 1], 10, [8, 1, 1]),  # shares 9.7 0.2 0.1: everyone one at least, the largest pays
        ([97, 2, 1], 2, [2, 0, 0]),  # fewer than classes: 1.94 0.04 0.02, by remainder only
        ([3, 3], 99, [3, 3]),  # no more than there are
        ([0, 4], 2, [0, 2]),
    ],
)
def test_allocate_by_hand(counts, n, wanted):
    assert_array_equal(allocate(np.array(counts), n), wanted)


def test_allocate_leaves_behind_what_it_is_told_to():
    assert_array_equal(allocate(np.array([10, 2, 1]), 13, leave=1), [9, 1, 0])


@given(counts_of_classes, st.integers(0, 600), st.integers(0, 2))
def test_allocate_gives_the_sum_that_is_asked_for_and_never_too_much(counts, n, leave):
    counts = np.array(counts)
    spare = np.maximum(counts - leave, 0)
    sizes = allocate(counts, n, leave=leave)
    assert sizes.sum() == min(n, spare.sum())
    assert (sizes >= 0).all()
    assert (sizes <= spare).all()
    if n >= np.count_nonzero(spare):
        assert (sizes[spare > 0] >= 1).all()
    if not leave and n < counts.sum() and (quota := n * counts / counts.sum()).min() >= 1:
        assert (np.abs(sizes - quota) < 1).all()  # largest remainders: never a whole sample off


def test_draw_takes_exactly_the_sizes_and_no_sample_twice():
    y = rng.integers(0, 4, 200)
    sizes = np.array([3, 0, 7, 500])
    rows = draw(y, sizes, generator(0, "test"))
    assert len(np.unique(rows)) == len(rows)
    assert_array_equal(np.bincount(y[rows], minlength=4), np.minimum(sizes, np.bincount(y)))


def test_draw_takes_each_sample_of_a_class_equally_often():
    y = np.repeat([0, 1], 5)
    often = np.zeros(10)
    for seed in range(2000):
        often[draw(y, np.array([2, 1]), generator(seed, "test"))] += 1
    # 2000 · 2/5 = 800 and 2000 · 1/5 = 400; five standard deviations are 5 · sqrt(2000 p q) = 110 and 89
    assert_allclose(often[:5], 800, atol=110)
    assert_allclose(often[5:], 400, atol=89)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=200), st.floats(0.01, 0.9))
def test_carve_splits_into_disjoint_parts_with_every_class_that_can_spare_one(labels, share):
    y = np.array(labels)
    part = carve(y, share, generator(1, "test"), "validation")
    rest = np.delete(np.arange(len(y)), part)
    assert_array_equal(np.union1d(part, rest), np.arange(len(y)))
    assert len(part) + len(rest) == len(y)
    counts = np.bincount(y)
    assert set(np.flatnonzero(counts > 1)) <= set(y[part])  # each class of two or more is there
    assert set(y[rest]) == set(y)  # and no class is used up


def test_carve_of_nothing_is_nothing():
    assert carve(np.arange(9) % 3, 0.0, generator(0, "t"), "validation").size == 0
    assert carve(np.arange(9) % 3, 0, generator(0, "t"), "validation").size == 0


@pytest.mark.parametrize(
    "wanted, total, size", [(0.25, 10, 2), (0.0, 10, 0), (7, 10, 7), (0, 0, 0), (0.99, 1000, 990)]
)
def test_size_of_by_hand(wanted, total, size):
    assert size_of(wanted, total, "n") == size


@pytest.mark.parametrize("wanted", [1.0, -0.1, float("nan"), -1, 10, 11, True])
def test_size_of_refuses_what_leaves_nothing_over(wanted):
    with pytest.raises(InputError, match="validation"):
        size_of(wanted, 10, "validation")


def test_stratified_of_nobody_is_nobody():
    assert stratified(np.empty(0, np.int64), 5, generator(0, "t")).size == 0


# ------------------------------------------------------------------------------------------------- profiles


@pytest.mark.parametrize(
    "n_max, n_classes, factor, total",
    [
        # realised sizes of CIFAR10-LT and CIFAR100-LT with factors 10, 20, 50 (specification 2.7)
        (5000, 10, 10, 20_431),
        (5000, 10, 20, 17_023),
        (5000, 10, 50, 13_996),
        (500, 100, 10, 19_573),
        (500, 100, 20, 15_907),
        (500, 100, 50, 12_608),
    ],
)
def test_long_tails_have_the_published_sizes(n_max, n_classes, factor, total):
    sizes = long_tail_sizes(n_max, factor, n_classes)
    assert sizes.sum() == total
    assert sizes[0] == n_max
    assert sizes[-1] == n_max // factor


def test_a_long_tail_of_factor_one_is_flat():
    assert_array_equal(long_tail_sizes(7, 1, 4), [7, 7, 7, 7])


@pytest.mark.parametrize("factor", [0.5, 0, -3, float("inf"), float("nan")])
def test_a_long_tail_refuses_a_factor_below_one(factor):
    with pytest.raises(InputError, match="long_tail"):
        long_tail_sizes(10, factor, 4)


def test_the_imbalance_of_ten_classes_has_its_expected_size():
    y = np.repeat(np.arange(10), 5000)
    kept = imbalanced(y, 10, generator(0, "test"))
    # Σ 5000 p = 27,500 with p = (k + 1)/10; variance 5000 Σ p (1 - p) = 5000 · (5.5 - 3.85) = 8,250 = 90.8²
    deviation = 90.8
    assert abs(len(kept) - 27_500) < 5 * deviation
    assert_array_equal(kept[y[kept] == 9], np.flatnonzero(y == 9))  # class 9 is kept with probability 1


# ----------------------------------------------------------------------------------------------------- build


def rows_of(simulation: Simulation, ids) -> np.ndarray:
    """Which rows of the made-up samples these ids are."""
    return simulation.task.data.batch(np.asarray(ids))["table"][:, 0].astype(int)


@settings(max_examples=60)
@given(
    st.lists(st.integers(3, 30), min_size=2, max_size=5),
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from([None, 0.0, 0.05, 0.3, 2]),
    st.sampled_from([None, 4, 1000]),
    st.sampled_from([None, 3]),
    st.sampled_from([None, 4.0]),
    st.booleans(),
)
def test_parts_are_disjoint_and_hold_the_right_samples(
    sizes, n_validation, n_test, validation, pool, test_size, long_tail, subset
):
    samples = made_up(sizes, validation=n_validation, test=n_test)
    classes = list(range(len(sizes)))[::-1][:2] if subset else None
    made = build(
        samples,
        seed=3,
        validation=validation,
        pool=pool,
        test_size=test_size,
        long_tail=long_tail,
        classes=classes,
    )
    task = made.task
    test = task.test.ids if task.test is not None else np.empty(0, np.int64)
    everyone = np.concatenate([task.pool, task.validation.ids, test])
    assert_array_equal(np.sort(everyone), np.arange(len(task.data)))  # disjoint, exhaustive
    origin = rows_of(made, np.arange(len(task.data)))
    assert len(set(origin)) == len(origin)
    chosen = classes if classes is not None else list(range(len(sizes)))
    assert_array_equal(np.array(chosen)[made.truth], samples.y[origin])  # truth is the sample's own label
    assert_array_equal(made.truth[task.validation.ids], task.validation.y)
    assert (samples.part[rows_of(made, test)] == TEST).all()
    assert (samples.part[rows_of(made, np.concatenate([task.pool, task.validation.ids]))] != TEST).all()
    whole_test = np.flatnonzero((samples.part == TEST) & np.isin(samples.y, chosen))
    assert len(test) == (len(whole_test) if test_size is None else min(test_size, len(whole_test)))
    if pool is not None:
        assert len(task.pool) <= pool


def test_the_pool_has_the_size_asked_for_beside_its_validation_part():
    samples = made_up([500, 300, 200])
    made = build(samples, pool=100)  # 100 / 0.95 = 105.3, so 105 of which 5 validate
    assert (len(made.task.pool), len(made.task.validation)) == (100, 5)
    made = build(samples, pool=100, validation=40)
    assert (len(made.task.pool), len(made.task.validation)) == (100, 40)
    assert_array_equal(np.bincount(made.truth[made.task.validation.ids]), [20, 12, 8])


def test_the_default_carves_five_per_cent():
    assert len(build(made_up([500, 300, 200])).task.validation) == 50


def test_an_official_validation_part_stays_as_it_is_unless_another_is_asked_for():
    samples = made_up([50, 50], validation=20)
    made = build(samples)
    assert_array_equal(rows_of(made, made.task.validation.ids), np.flatnonzero(samples.part == VALIDATION))
    merged = build(samples, validation=0).task
    assert (len(merged.pool), len(merged.validation)) == (120, 0)
    assert len(build(samples, validation=0.1).task.validation) == 12


def test_parity_asks_for_even_and_odd():
    samples = made_up([10, 10, 10, 10], test=8)
    made = build(samples, parity=True)
    assert made.task.classes == ("even", "odd")
    origin = rows_of(made, np.arange(len(made.task.data)))
    assert_array_equal(made.truth, samples.y[origin] % 2)
    some = build(samples, parity=True, classes=[1, 2])
    assert_array_equal(some.truth, samples.y[rows_of(some, np.arange(len(some.task.data)))] % 2)


def test_classes_may_be_named_and_keep_the_order_given():
    made = build(made_up([10, 10, 10]), classes=["class 2", 0])
    assert made.task.classes == ("class 2", "class 0")


def test_the_test_part_is_untouched_by_long_tail_and_imbalance():
    samples = made_up([100, 100, 100], test=90)
    plain = build(samples)
    for bent in (build(samples, long_tail=20), build(samples, imbalance=True)):
        assert_array_equal(rows_of(bent, bent.task.test.ids), rows_of(plain, plain.task.test.ids))
        assert len(bent.task.pool) < len(plain.task.pool)


def test_a_long_tail_task_has_the_sizes_of_the_profile():
    made = build(made_up([100, 100, 100]), long_tail=100, validation=0)
    assert_array_equal(np.bincount(made.truth[made.task.pool]), [100, 10, 1])  # 100 · 100^(-k/2)


def test_a_seed_changes_the_draws_and_nothing_else():
    samples = made_up([100, 100], test=20)
    first, again, other = (build(samples, seed=s, pool=50, test_size=5) for s in (1, 1, 2))
    assert first.task.fingerprint() == again.task.fingerprint()
    assert first.task.fingerprint() != other.task.fingerprint()
    assert len(first.task.pool) == len(other.task.pool)


def test_nothing_is_copied_where_every_sample_stays():
    samples = made_up([10, 10])
    assert np.shares_memory(build(samples).task.data.arrays["table"], samples.arrays["table"])


def test_unused_samples_are_in_no_part():
    samples = made_up([10, 10])
    part = samples.part.copy()
    part[:4] = UNUSED
    made = build(Samples("x", samples.arrays, samples.y, samples.classes, part))
    assert not set(rows_of(made, np.arange(len(made.task.data)))) & {0, 1, 2, 3}


@pytest.mark.parametrize(
    "params, words",
    [
        ({"classes": [0]}, "at least two classes"),
        ({"classes": [0, 0]}, "distinct"),
        ({"classes": [0, 7]}, "classes 0 to 2"),
        ({"classes": [-1, 0]}, "at least 0"),
        ({"validation": 1.0}, "share"),
        ({"validation": 300}, "leave something"),
        ({"validation": -0.2, "pool": 5}, "share"),
        ({"pool": 0}, "pool must be"),
        ({"test_size": 0}, "test_size must be"),
        ({"long_tail": 10, "imbalance": True}, "either"),
        ({"long_tail": 0.1}, "long_tail"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(InputError, match=words):
        build(made_up([100, 100, 100], test=9), **params)


def test_an_unknown_class_name_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'class 1'"):
        build(made_up([10, 10]), classes=["clas 1", 0])


def test_a_pool_that_is_empty_is_refused():
    with pytest.raises(EmptyPool):
        build(made_up([0, 0], test=4))


def test_samples_of_uneven_length_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        Samples("x", {"a": np.zeros(3)}, np.array([0, 1]), ("a", "b"), np.zeros(2, np.int8))


# ---------------------------------------------------------------------------------------------------- truth


def test_the_task_of_a_simulation_does_not_hold_the_labels_of_its_pool():
    task = build(made_up([40, 40], test=20)).task
    for part in (task.validation, task.test, task.given):
        assert not np.intersect1d(part.ids, task.pool).size
    fields = {name for name in vars(task) if isinstance(getattr(task, name), np.ndarray)}
    assert fields == {"pool"}


def test_a_truth_that_contradicts_the_task_is_refused():
    made = build(made_up([40, 40], test=20))
    wrong = made.truth.copy()
    wrong[made.task.test.ids[0]] ^= 1
    with pytest.raises(InputError, match="of the test part has another label"):
        Simulation(made.task, wrong)
    with pytest.raises(ShapeError):
        Simulation(made.task, made.truth[1:])
    with pytest.raises(InputError, match="labels run from 0 to 1"):
        Simulation(made.task, made.truth + 1)
    with pytest.raises(InputError, match="needs a key"):
        Simulation(made.task, made.truth, keys=("one",))


def test_the_truth_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        build(made_up([4, 4])).truth[0] = 1


# ---------------------------------------------------------------------------------------------- standardise


def test_standardise_by_hand():
    # column 0: mean 2, deviation 1 over the first two rows; column 1 constant; column 2 lacks a number
    values = np.array([[1, 5, np.nan], [3, 5, 4], [5, 9, 6]], float)
    wanted = [[-1, 0, 0], [1, 0, 0], [3, 0, 0]]
    assert_allclose(standardise(values, np.array([True, True, False])), wanted)


def test_standardise_does_not_look_at_the_other_rows():
    values = rng.normal(size=(50, 3))
    rows = np.arange(50) < 30
    bent = values.copy()
    bent[30:] *= 100
    assert_array_equal(standardise(values, rows)[:30], standardise(bent, rows)[:30])
    assert_allclose(standardise(values, rows)[:30].mean(axis=0), 0, atol=1e-6)  # float32
    assert_allclose(standardise(values, rows)[:30].std(axis=0), 1, atol=1e-6)


def test_standardise_gives_zeros_for_a_column_nobody_knows():
    values = np.full((4, 2), np.nan)
    assert_array_equal(standardise(values, np.ones(4, bool)), np.zeros((4, 2)))
