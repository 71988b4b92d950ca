"""Corruption and missing modalities: laws that hold for every kind, and small cases by hand."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.bench.spec import read_spec
from labelwise.data import TABLE, corrupted, make, missing
from labelwise.data.base import Gathered
from labelwise.data.files import as_text
from labelwise.data.splits import TEST, TRAIN, Samples, build
from labelwise.errors import InputError, UnknownName
from labelwise.models.inputs import Reader
from labelwise.seeds import generator

N = 60
EVERY = [("image", "noise"), ("table", "noise"), ("image", "blur"), ("text", "word-dropout")]
EVERY += [(modality, "zeros") for modality in ("image", "text", "table")]


def samples(n: int = N, **change) -> Samples:
    rng = generator(0, "test", "weakening")
    arrays = {
        "image": rng.integers(0, 256, (n, 5, 6), dtype=np.uint8),
        "text": as_text([f"one  two three four five {k}" for k in range(n)]),
        "table": (rng.standard_normal((n, 3)) * [1, 10, 0]).astype(np.float32),
    }
    part = np.where(np.arange(n) % 4 == 0, TEST, TRAIN).astype(np.int8)
    values = {
        "name": "three",
        "arrays": arrays,
        "y": np.arange(n) % 3,
        "classes": ("a", "b", "c"),
        "part": part,
    }
    return Samples(**{**values, "features": np.ones((n, 2), np.float32), **change})


def three(**params):
    return build(samples(), validation=6, **params)


def whole(simulation):
    return simulation.task.data.batch(np.arange(len(simulation.task.data)))


def same(one, two) -> bool:
    return all(np.array_equal(one[name], two[name]) for name in one) and set(one) == set(two)


def rows_that_differ(one, two, modality) -> set[int]:
    a, b = whole(one)[modality], whole(two)[modality]
    return set(np.flatnonzero([not np.array_equal(x, y) for x, y in zip(a, b, strict=True)]))


def train_ids(task) -> set[int]:
    return set(task.pool) | set(task.validation.ids) | set(task.given.ids)


# -------------------------------------------------------------------------------------------- laws of both


@pytest.mark.parametrize("modality, kind", EVERY)
def test_a_sample_suffers_the_same_in_any_order_and_any_batch(modality, kind):
    data = corrupted(three(), modality, kind, 0.6, seed=3, parts=("train", "test")).task.data
    together = data.batch(np.arange(N))[modality]
    order = generator(0, "test", "order").permutation(N)
    assert_array_equal(data.batch(order)[modality], together[order])
    assert_array_equal(np.array([data.batch(np.array([k]))[modality][0] for k in range(N)]), together)
    again = corrupted(three(), modality, kind, 0.6, seed=3, parts=("train", "test")).task.data
    assert_array_equal(again.batch(np.arange(N))[modality], together)


@pytest.mark.parametrize("modality, kind", EVERY)
def test_only_the_named_modality_of_the_named_part_suffers(modality, kind):
    clean = three()
    test = set(clean.task.test.ids)
    for parts, touched in (
        (("train",), train_ids(clean.task)),
        (("test",), test),
        (("train", "test"), set(range(N))),
    ):
        worse = corrupted(clean, modality, kind, 1.0, parts=parts)
        assert rows_that_differ(clean, worse, modality) == touched
        for other in {"image", "text", "table"} - {modality}:
            assert not rows_that_differ(clean, worse, other)
        assert_array_equal(worse.truth, clean.truth)
        for part in ("validation", "test", "given"):
            assert_array_equal(getattr(worse.task, part).y, getattr(clean.task, part).y)
        assert_array_equal(worse.task.pool, clean.task.pool)


@pytest.mark.parametrize("modality, kind", EVERY)
def test_an_amount_of_0_changes_nothing(modality, kind):
    clean = three()
    assert corrupted(clean, modality, kind, 0) is clean
    assert corrupted(clean, modality, kind, 1.0, parts=()) is clean
    assert missing(clean, {modality: 0.0}) is clean


@pytest.mark.parametrize("modality, kind", [pair for pair in EVERY if pair[1] != "blur"])
def test_another_seed_draws_something_else(modality, kind):
    one, two = (corrupted(three(), modality, kind, 0.5, seed=seed) for seed in (1, 2))
    assert rows_that_differ(one, two, modality)


def test_the_data_of_the_simulation_given_stay_as_they_were():
    clean = three()
    before = whole(clean)
    whole(corrupted(clean, "image", "noise", 1.0))
    whole(missing(clean, {"image": 1.0, "text": 0.5}))
    assert same(before, whole(clean))


def test_features_that_show_the_clean_samples_are_left_out():
    assert three().task.features is not None
    assert three(corrupt={"modality": "table", "kind": "noise", "amount": 1.0}).task.features is None
    assert three(missing={"table": 0.5}).task.features is None


# ------------------------------------------------------------------------------------------------- by hand


def test_noise_has_the_asked_share_of_the_modality_s_own_spread():
    n = 4000
    table = (generator(0, "test", "spread").standard_normal((n, 2)) * [1, 10]).astype(np.float32)
    made = build(Samples("t", {"table": table}, np.arange(n) % 2, ("a", "b"), np.full(n, TRAIN, np.int8)))
    added = whole(corrupted(made, "table", "noise", 0.5))["table"] - table
    # the spread is measured on 1,024 samples: within 5 standard errors, 1 / sqrt(2 · 1024) = 2.2 % each
    assert_allclose(added.std(axis=0), [0.5, 5.0], rtol=0.11)
    assert np.abs(added.mean(axis=0) / [0.5, 5.0]).max() < 5 / np.sqrt(n)


def test_a_constant_column_stays_and_bytes_stay_bytes():
    worse = whole(corrupted(three(), "table", "noise", 2.0, parts=("train", "test")))["table"]
    assert not worse[:, 2].any()
    image = whole(corrupted(three(), "image", "noise", 5.0))["image"]
    assert image.dtype == np.uint8 and {0, 255} <= set(image.ravel())


def test_blur_spreads_one_bright_pixel_and_keeps_its_light():
    image = np.zeros((8, 21, 21, 3), np.float32)
    image[:, 10, 10, 1] = 1.0
    made = build(
        Samples("t", {"image": image}, np.arange(8) % 2, ("a", "b"), np.full(8, TRAIN, np.int8)), validation=0
    )
    soft = whole(corrupted(made, "image", "blur", 1.5))["image"][0]
    assert_allclose(soft[..., 1].sum(), 1.0, rtol=1e-5)  # far from the border nothing is lost
    assert not soft[..., [0, 2]].any()  # channels do not mix
    # a Gaussian: at distance d the share of the middle is exp(-d² / 2σ²)
    assert_allclose(soft[10, 13, 1] / soft[10, 10, 1], np.exp(-(3**2) / (2 * 1.5**2)), rtol=1e-4)


def test_words_that_stay_stay_in_order_and_more_dropout_takes_more():
    texts = [
        whole(corrupted(three(), "text", "word-dropout", p, seed=4, parts=("train", "test")))["text"]
        for p in (0.2, 0.6, 1.0)
    ]
    assert set(texts[2]) == {""}
    for k in range(N):
        given_words = f"one two three four five {k}".split()
        few, many = texts[1][k].split(), texts[0][k].split()
        assert [w for w in given_words if w in many] == many
        assert set(few) <= set(many)
    kept = sum(len(t.split()) for t in texts[0])
    # 360 words, each kept with probability 0.8: 288 ± 5 · 7.6
    assert abs(kept - 288) < 38


def test_zeros_take_whole_samples_that_count_as_present():
    clean, worse = three(), three(corrupt={"modality": "text", "kind": "zeros", "amount": 0.5})
    batch = whole(worse)
    assert "present" not in batch
    lost = rows_that_differ(clean, worse, "text")
    assert 0 < len(lost) < len(train_ids(clean.task))
    assert all(batch["text"][k] == "" for k in lost)
    assert lost <= rows_that_differ(clean, corrupted(clean, "text", "zeros", 0.8), "text")


def test_what_is_not_there_does_not_suffer():
    present = np.ones((N, 3), bool)
    present[:30, 1] = False
    arrays = samples().arrays
    made = build(
        samples(present=present), corrupt={"modality": "text", "kind": "word-dropout", "amount": 1.0}
    )
    assert_array_equal(whole(made)["text"][:30], arrays["text"][:30])
    assert_array_equal(whole(made)["present"], present)


# ------------------------------------------------------------------------------------------------- missing


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.3, 0.9, 1.0]), min_size=3, max_size=3), st.integers(0, 99))
def test_no_sample_ever_lacks_everything(rates, seed):
    there = generator(seed, "test", "present").random((N, 3)) < 0.6
    there[~there.any(axis=1), 0] = True
    made = build(samples(present=there), validation=6)
    fewer = missing(
        made, dict(zip(("image", "text", "table"), rates, strict=True)), seed=seed, parts=("train", "test")
    )
    batch = whole(fewer)
    present = batch["present"]
    assert present.any(axis=1).all()
    assert not (present & ~there).any()  # nothing comes back that was not there
    alone = there.sum(axis=1) == 1
    assert_array_equal(present[alone], there[alone])
    order = np.arange(N)[::-7]
    assert_array_equal(fewer.task.data.batch(order)["present"], present[order])


def test_missing_values_are_zeros_and_empty_texts_and_all_else_stays():
    clean, fewer = three(), three(missing={"image": 0.4, "text": 0.4})
    batch, before = whole(fewer), whole(clean)
    for column, name in enumerate(("image", "text", "table")):
        gone = ~batch["present"][:, column]
        assert_array_equal(batch[name][~gone], before[name][~gone])
        assert all(not np.any(value) if name != "text" else value == "" for value in batch[name][gone])
        assert gone.any() == (name != "table")
    assert batch["present"][clean.task.test.ids].all()
    both = whole(three(missing={"text": 0.4}, missing_parts=["train", "test"]))["present"]
    assert not both[clean.task.test.ids].all()


def test_shares_of_missing_are_as_derived():
    n = 6000
    table = np.ones((n, 1), np.float32)
    made = build(
        Samples("t", {"a": table, "b": table}, np.arange(n) % 2, ("x", "y"), np.full(n, TRAIN, np.int8)),
        validation=0,
    )
    gone = ~whole(missing(made, {"a": 0.5, "b": 0.4}, seed=1))["present"]
    # 0.5 and 0.4 by draw; both by 0.2, and then, u / rate being uniform for either, half of them get a back:
    # a lacks 0.5 - 0.1, b lacks 0.4 - 0.1; five standard errors are 0.032
    assert_allclose(gone.mean(axis=0), [0.4, 0.3], atol=0.032)
    assert_allclose(gone.any(axis=1).mean(), 0.7, atol=0.032)


def test_a_larger_rate_of_one_modality_takes_it_from_the_same_samples_and_more():
    some, more = (~whole(missing(three(), {"text": p}, seed=2))["present"][:, 1] for p in (0.3, 0.7))
    assert not (some & ~more).any() and more.sum() > some.sum()


def test_a_network_reads_missing_as_the_mean_of_those_that_are_there():
    fewer = three(missing={"table": 0.5})
    data, ids = fewer.task.data, fewer.task.pool
    gone = ~data.batch(ids)["present"][:, 2]
    assert gone.any()
    read = Reader.measure(data, ids, ["table"]).read(data, ids)
    assert_allclose(read[gone], 0, atol=1e-6)


# ---------------------------------------------------------------------------------------- as task parameters


def test_every_simulated_task_can_be_weakened_and_shifted():
    from importlib import import_module

    for place in TABLE.values():
        module, _, attribute = place.partition(":")
        parameters = inspect.signature(getattr(import_module(module), attribute)).parameters
        assert {"corrupt", "missing", "missing_parts", "shifts", "shifts_size"} <= set(parameters), place


def test_the_fingerprint_tells_weakened_tasks_apart_and_sound_ones_are_as_before():
    variants = [
        {},
        {"corrupt": {"modality": "top", "kind": "noise", "amount": 0.5}},
        {"corrupt": {"modality": "top", "kind": "noise", "amount": 1.0}},
        {"corrupt": {"modality": "top", "kind": "noise", "amount": 1.0, "parts": ["test"]}},
        {
            "corrupt": [
                {"modality": "top", "kind": "blur", "amount": 1.0},
                {"modality": "bottom", "kind": "zeros", "amount": 0.5},
            ]
        },
        {"missing": {"top": 0.3}},
        {"missing": {"top": 0.3, "bottom": 0.3}},
        {"missing": {"top": 0.3}, "missing_parts": ["test"]},
    ]
    made = [make("digit-halves", pool=200, **one).task.fingerprint()["sha256"] for one in variants]
    assert len(set(made)) == len(variants)
    none = {"corrupt": [], "missing": {}}
    assert make("digit-halves", pool=200, **none).task.fingerprint()["sha256"] == made[0]


def test_a_spec_can_say_it():
    task = {
        "name": "digit-halves",
        "corrupt": {"modality": "top", "kind": "noise", "amount": 1.0},
        "missing": {"bottom": 0.3},
    }
    spec = read_spec({"task": task, "recipe": {"name": "logistic"}})
    assert make(spec.task.name, **spec.task.params).task.data.modalities == ("top", "bottom")
    clean = read_spec({"task": {"name": "digit-halves"}, "recipe": {"name": "logistic"}})
    assert spec.id != clean.id


NOISE = {"modality": "image", "kind": "noise", "amount": 1.0}


@pytest.mark.parametrize(
    "params, words",
    [
        ({"corrupt": {**NOISE, "modality": "imgae"}}, "no modality 'imgae'. Did you mean 'image'"),
        (
            {"corrupt": {**NOISE, "kind": "noice"}},
            "No kind of corruption is named 'noice'. Did you mean 'noise'",
        ),
        ({"corrupt": {**NOISE, "amont": 1}}, "no key 'amont'. Did you mean 'amount'"),
        ({"corrupt": {"modality": "image", "kind": "noise"}}, "must say its amount"),
        ({"corrupt": "noise"}, "list of such; it is 'noise'"),
        ({"corrupt": 3}, "list of such; it is 3"),
        ({"corrupt": [3]}, "list of such; it holds 3"),
        ({"corrupt": {**NOISE, "amount": -1}}, "amount of noise must be a number from 0 to 100; it is -1"),
        ({"corrupt": {**NOISE, "kind": "zeros", "amount": 1.5}}, "from 0 to 1; it is 1.5"),
        ({"corrupt": {**NOISE, "parts": "test"}}, "parts must be a list"),
        ({"corrupt": {**NOISE, "parts": ["tset"]}}, "No part is named 'tset'. Did you mean 'test'"),
        ({"corrupt": {**NOISE, "modality": "text"}}, "'noise' is for bytes or floats; modality 'text'"),
        ({"corrupt": {**NOISE, "modality": "table", "kind": "blur"}}, "'blur' is for images"),
        ({"corrupt": {**NOISE, "kind": "word-dropout"}}, "'word-dropout' is for texts; modality 'image'"),
        ({"missing": {"imgae": 0.3}}, "no modality 'imgae'. Did you mean 'image'"),
        ({"missing": {"image": 1.3}}, "missing.image must be a number from 0 to 1; it is 1.3"),
        ({"missing": 0.3}, "must be a table of modalities and rates"),
        ({"missing_parts": ["tset"]}, "No part is named 'tset'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(params, words):
    with pytest.raises(InputError, match=words):
        three(**params)


def test_two_corruptions_of_one_kind_draw_apart():
    zeros = {"modality": "top", "kind": "zeros", "amount": 0.3}
    once, twice = (make("digit-halves", corrupt=c).task for c in (zeros, [zeros, zeros]))
    gone = [
        ~task.data.batch(task.pool)["top"].reshape(len(task.pool), -1).any(axis=1) for task in (once, twice)
    ]
    assert gone[1][gone[0]].all()  # the first is as it is alone
    # 0.3 + 0.7 · 0.3 = 0.51 of 1,213: a deviation of 1.4 %
    assert_allclose(gone[1].mean(), 0.51, atol=0.06)


def test_an_unknown_kind_is_an_unknown_name():
    with pytest.raises(UnknownName):
        corrupted(three(), "image", "salt", 1.0)


def test_the_only_modality_cannot_be_missing():
    with pytest.raises(InputError, match="has only 'image'"):
        make("digits", missing={"image": 0.1})


# ------------------------------------------------------------------------------------------------ gathering


def test_rows_of_a_source_are_looked_up_batch_by_batch():
    source = np.arange(40, dtype=np.uint8).reshape(5, 2, 4)
    rows = np.arange(N) % 5
    made = build(
        samples(arrays={"image": rows, "table": samples().arrays["table"]}, sources={"image": source}),
        validation=6,
    )
    assert isinstance(made.task.data, Gathered)
    assert np.shares_memory(made.task.data.sources["image"], source)
    ids = np.array([7, 3, 59])
    assert_array_equal(made.task.data.batch(ids)["image"], source[[2, 3, 4]])
    with pytest.raises(InputError, match=r"Rows of 'image' must be in \[0, 5\); they run from 0 to 5"):
        build(samples(arrays={"image": np.arange(N) % 6}, sources={"image": source}))
