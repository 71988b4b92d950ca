"""ALFA-Mix and DropQuery ask among the samples whose predictions change, with the layer recovered from signals."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError, MissingSignal
from labelwise.functional.batches import kmeans_among
from labelwise.functional.feature_mixing import class_means, dropout_changes, mixing_flips
from labelwise.seeds import generator
from labelwise.strategies import make

NAMES = ("alfa-mix", "drop-query")


def drawn(n=120, classes=4, width=6):
    rng = generator(0, "tests", "feature space")
    z, w, b = rng.normal(size=(n, width)), rng.normal(size=(classes, width)), rng.normal(size=classes)
    known = {"embeddings": rng.normal(size=(9, width)), "y": np.array([0, 0, 1, 3, 3, 3, 1, 0, 0])}  # no 2
    return {"embeddings": z, "logits": z @ w.T + b}, known, w


@pytest.mark.parametrize("unit", [True, False])
def test_alfa_mix_asks_among_the_samples_that_flip(unit):
    pool, known, w = drawn()
    flips = mixing_flips(
        pool["embeddings"], pool["logits"], w, class_means(known["embeddings"], known["y"]), epsilon=0.3
    )
    assert 10 < flips.sum() < 110
    found = selection.proposal("alfa-mix", pool, 7, labelled=known, seed=2, epsilon=0.3, unit=unit)
    assert_array_equal(
        found.rows, kmeans_among(pool["embeddings"], flips, 7, generator(2, "select"), unit=unit)
    )
    assert found.notes["candidates"] == flips.sum()
    assert found.notes["unexplained by a linear layer"] == 0
    assert found.scores is None


@pytest.mark.parametrize("masks, p", [(3, 0.75), (2, 0.3)])
def test_drop_query_asks_among_the_samples_that_most_masks_change(masks, p):
    pool, _, w = drawn()
    rng = generator(2, "select")
    changes = dropout_changes(pool["embeddings"], pool["logits"], w, rng, masks=masks, p=p)
    unsure = changes >= 2  # of 3 masks, and of 2: one of two is not more than half
    assert 10 < unsure.sum() < 110
    found = selection.proposal("drop-query", pool, 7, seed=2, masks=masks, p=p)
    assert_array_equal(found.rows, kmeans_among(pool["embeddings"], unsure, 7, rng, unit=True))
    assert found.notes["candidates"] == unsure.sum()


def test_logarithms_of_probabilities_do_as_logits():
    pool, known, _ = drawn()
    logs = pool["logits"] - np.log(np.exp(pool["logits"]).sum(axis=1, keepdims=True))
    for name in NAMES:
        rows = selection.select(name, pool, 7, labelled=known, seed=1)
        other = selection.select(name, pool | {"logits": logs}, 7, labelled=known, seed=1)
        assert_array_equal(rows, other)


@pytest.mark.parametrize("name, params", [("alfa-mix", {"epsilon": 0.0}), ("drop-query", {"p": 0.0})])
def test_where_nothing_changes_rows_are_drawn(name, params):
    pool, known, _ = drawn()
    picks = [selection.select(name, pool, 7, labelled=known, seed=seed, **params) for seed in range(40)]
    assert len({tuple(rows) for rows in picks}) == 40
    assert len(set(np.concatenate(picks))) > 90  # of 120 in 280 draws


def test_where_few_change_they_are_all_asked_for():
    pool, known, _ = drawn()
    one = selection.proposal("alfa-mix", pool, 60, labelled=known, seed=0, epsilon=0.05)
    other = selection.proposal("alfa-mix", pool, 60, labelled=known, seed=1, epsilon=0.05)
    few = one.notes["candidates"]
    assert 0 < few < 30
    assert_array_equal(one.rows[:few], other.rows[:few])
    assert set(one.rows[few:]) != set(other.rows[few:])


def test_alfa_mix_works_before_any_label():
    pool, known, _ = drawn()
    found = selection.proposal("alfa-mix", pool, 7, labelled={k: v[:0] for k, v in known.items()})
    assert found.notes["candidates"] == 0
    assert len(set(found.rows.tolist())) == 7


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_that_is_not_linear_is_said(name):
    pool, known, _ = drawn()
    with pytest.raises(InputError, match="logits are not linear in embeddings"):
        selection.select(name, pool | {"logits": np.tanh(pool["logits"])}, 7, labelled=known)


def test_what_is_wrong_is_said():
    pool, known, _ = drawn()
    with pytest.raises(MissingSignal, match="alfa-mix needs embeddings, y of the labelled samples"):
        selection.select("alfa-mix", pool, 7)
    hole = pool["embeddings"].copy()
    hole[5] = np.nan
    with pytest.raises(InputError, match="embeddings of the pool samples: row 5"):
        selection.select("drop-query", pool | {"embeddings": hole}, 7)
    with pytest.raises(InputError, match=r"anchors must have shape \(n, D=6\)"):
        selection.select("alfa-mix", pool, 7, labelled=known | {"embeddings": known["embeddings"][:, :3]})
    with pytest.raises(InputError, match="label 4"):
        selection.select("alfa-mix", pool, 7, labelled=known | {"y": known["y"] + 1})
    for name, params in (
        ("alfa-mix", {"epsilon": -1}),
        ("drop-query", {"p": 1}),
        ("drop-query", {"masks": 0}),
    ):
        with pytest.raises(InputError, match="must be"):
            make(name, **params)
