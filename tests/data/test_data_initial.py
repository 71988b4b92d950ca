"""Samples labelled before a campaign begins, and the shared parameters that every task shows."""

from __future__ import annotations

import inspect
import typing
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fake import FakeRecipe
from labelwise.campaign import Campaign, Plan
from labelwise.data import TABLE, make
from labelwise.data.draws import initial_set
from labelwise.data.shaping import Builder, Shape, shaped
from labelwise.data.splits import TEST, TRAIN, Samples, build
from labelwise.errors import EmptyPool, InputError
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore
from labelwise.strategies import make as make_strategy


def made_up(sizes, test: int = 0) -> Samples:
    """Class k has sizes[k] training samples, in a random order; "table" is the row."""
    y = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.arange(test) % len(sizes)])
    part = np.repeat([TRAIN, TEST], [sum(sizes), test]).astype(np.int8)
    order = generator(0, "test", "made up").permutation(len(y))
    table = np.arange(len(y), dtype=np.float32)[:, None]
    return Samples("x", {"table": table}, y[order], tuple(f"c{k}" for k in range(len(sizes))), part[order])


def imbalanced_ten() -> Samples:
    """Class k has 400 (k + 1) samples, in all 22,000; classes 0 to 4 (6,000 samples) are the rarer half."""
    return made_up([400 * (k + 1) for k in range(10)])


# --------------------------------------------------------------------------------------------------- which


def test_the_paper_s_twisted_sets_hold_950_and_50_of_the_two_halves():
    for how, rare in (("twisted-main", 50), ("twisted-rare", 950)):
        task = build(imbalanced_ten(), initial=how).task
        assert len(task.given) == 1000
        assert np.count_nonzero(task.given.y < 5) == rare


def test_the_rarer_half_is_found_by_size_and_not_by_place():
    # classes 0 and 3 have the fewest samples: of twenty, one (5 %) comes from them
    main = build(made_up([30, 90, 60, 20]), initial="twisted-main", initial_size=20, validation=0).task
    rare = build(made_up([30, 90, 60, 20]), initial="twisted-rare", initial_size=20, validation=0).task
    assert np.isin(main.given.y, [0, 3]).sum() == 1
    assert np.isin(rare.given.y, [0, 3]).sum() == 19


def test_of_three_classes_one_is_rare_and_of_equals_the_first():
    made = build(made_up([50, 50, 50]), initial="twisted-rare", initial_size=40).task
    assert_array_equal(np.bincount(made.given.y, minlength=3)[0], 38)  # 40 - round(0.05 · 40)


def test_inside_a_half_and_at_random_every_sample_is_drawn_equally_often():
    y = np.repeat([0, 1, 2, 3], [2, 6, 8, 12])  # rare: 0 and 1, eight samples; main: twenty
    sizes = np.bincount(y)
    often = {how: np.zeros(len(y)) for how in ("random", "twisted-rare")}
    for seed in range(2000):
        for how, seen in often.items():
            seen[initial_set(y, sizes, how, 7, generator(seed, "test"))] += 1
    # random: 2000 · 7/28 = 500, five deviations 5 · sqrt(2000 · 1/4 · 3/4) = 97
    assert_allclose(often["random"], 500, atol=97)
    # twisted: round(0.05 · 7) = 0 of the main classes, 7 of 8: 1750, five deviations 5 · sqrt(2000 · 7/64) = 74
    assert_allclose(often["twisted-rare"], np.repeat([1750, 0], [8, 20]), atol=74)


@settings(max_examples=40)
@given(
    st.lists(st.integers(30, 60), min_size=2, max_size=5),
    st.sampled_from(["random", "twisted-main", "twisted-rare"]),
    st.integers(1, 25),
    st.sampled_from([None, 60]),
    st.integers(0, 3),
)
def test_given_samples_leave_the_pool_and_nothing_else_changes(sizes, how, n, pool, seed):
    samples = made_up(sizes, test=9)
    plain = build(samples, seed=seed, pool=pool).task
    task = build(samples, seed=seed, pool=pool, initial=how, initial_size=n).task
    assert len(task.given) == n
    assert len(task.pool) == len(plain.pool) - n
    rows = {name: task.data.batch(ids)["table"][:, 0].astype(int) for name, ids in
            (("pool", task.pool), ("given", task.given.ids), ("all", np.arange(len(task.data))))}  # fmt: skip
    assert_array_equal(rows["all"], plain.data.batch(np.arange(len(plain.data)))["table"][:, 0])
    together = np.sort(np.concatenate([rows["pool"], rows["given"]]))
    assert_array_equal(together, plain.data.batch(plain.pool)["table"][:, 0])  # a part of the pool, no other
    assert_array_equal(task.given.y, samples.y[rows["given"]])
    assert_array_equal(task.validation.ids, plain.validation.ids)
    assert_array_equal(task.test.ids, plain.test.ids)


def test_the_seed_decides_who_is_given():
    samples = imbalanced_ten()
    first, again, other = (build(samples, seed=s, initial="random", validation=0).task for s in (1, 1, 2))
    assert first.fingerprint() == again.fingerprint()
    assert not np.array_equal(first.given.ids, other.given.ids)


def test_without_a_start_nobody_is_given():
    assert len(build(imbalanced_ten()).task.given) == 0


@pytest.mark.parametrize(
    "params, words",
    [
        ({"initial": "main"}, "initial must be one of random, twisted-main, twisted-rare; it is 'main'"),
        ({"initial_size": 30}, "initial_size = 30 says how many.*say how they are drawn"),
        ({"initial": "random", "initial_size": 0}, "initial_size must be .*at least 1"),
        ({"initial": "random", "initial_size": 0.1}, "initial_size must be a whole number"),
        ({"initial": "random"}, "initial_size must leave something over of 95 samples; it is 1000"),
        # ten samples are rare, and none of them validates: 19 of 20 cannot come from them
        (
            {"initial": "twisted-rare", "initial_size": 20, "validation": 0},
            "takes 19 of 20 samples from the rarest 1 of 2 classes; the pool has 10 of theirs",
        ),
        (
            {"initial": "twisted-main", "initial_size": 99, "validation": 0},
            "takes 94 of 99 samples from the most frequent 1 of 2 classes; the pool has 90 of theirs",
        ),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_words(params, words):
    with pytest.raises(InputError, match=words):
        build(made_up([10, 90]), **params)


def test_a_campaign_begins_with_its_strategy_and_does_not_count_what_was_given():
    simulation = build(made_up([110, 100], test=20), initial="random", initial_size=40)
    task = simulation.task
    plan = Plan(seed=0, start=50, batch=30, budget=60)
    campaign = Campaign(task, FakeRecipe(), make_strategy("random"), MemoryStore(), plan)
    oracle = SimulatedOracle(simulation.truth, task.n_classes)
    asked = []
    while ids := campaign.ask():
        asked.append(ids)
        campaign.tell(oracle.answer(ids))
    assert [len(ids) for ids in asked] == [30, 30]  # no random start, and the whole budget is spent
    assert not {i for ids in asked for i in ids} & set(task.given.ids.tolist())
    assert [fit.n_labelled for fit in campaign.state.fits] == [40, 70, 100]


# ------------------------------------------------------------------------------------------ shared parameters


def keyword_only(function) -> dict[str, inspect.Parameter]:
    found = inspect.signature(function).parameters.items()
    return {name: p for name, p in found if p.kind is p.KEYWORD_ONLY}


def test_the_list_of_types_names_the_parameters_of_build():
    types = typing.get_type_hints(build)
    assert typing.get_type_hints(Shape) == {name: types[name] for name in keyword_only(build)}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_task_shows_the_shared_parameters_with_their_defaults(name):
    module, _, attribute = TABLE[name].partition(":")
    builder = getattr(import_module(module), attribute)
    shown = keyword_only(builder)
    other = {"validation": 0.1} if name in ("digits", "digit-halves") else {}
    for parameter, wanted in keyword_only(build).items():
        assert shown[parameter].default == other.get(parameter, wanted.default)
    assert not [p for p in inspect.signature(builder).parameters.values() if p.kind is p.VAR_KEYWORD]


def test_a_wrong_parameter_is_refused_before_anything_is_read():
    def load():
        raise AssertionError("it was read")

    with pytest.raises(TypeError, match="sede"):
        Builder(load)(sede=1)
    with pytest.raises(InputError, match="no parameter 'inital'. Did you mean 'initial'"):
        make("digits", inital="random")


def test_a_default_of_its_own_reaches_the_function():
    @shaped(validation=0.5)
    def task(size, *, grey=False, **shape):
        return size, grey, shape

    assert task(3) == (
        3,
        False,
        {**{n: p.default for n, p in keyword_only(build).items()}, "validation": 0.5},
    )
    assert task(3, validation=0.25, grey=True)[1:2] == (True,)
    assert task(3, validation=0.25)[2]["validation"] == 0.25


def test_a_pool_that_only_the_start_would_empty_is_refused():
    with pytest.raises((InputError, EmptyPool)):
        build(made_up([5, 5]), initial="random", initial_size=10, validation=0)
