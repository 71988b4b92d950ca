"""CAL, FALCUN and discriminative selection do as their formulas say."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError
from labelwise.functional.batches.falcun import falcun
from labelwise.functional.disagreement import contrastive
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.strategies import make


def drawn(n, classes=3, width=2, seed=0):
    rng = generator(seed, "tests", "disagreement")
    return {
        "probs": rng.dirichlet(np.ones(classes), size=n),
        "embeddings": rng.normal(size=(n, width)),
    }


def test_cal_asks_for_the_highest_contrast():
    pool, known = drawn(30), drawn(8, seed=1)
    found = selection.proposal("cal", pool, 6, labelled=known, k=3)
    wanted = contrastive(pool["probs"], pool["embeddings"], known["probs"], known["embeddings"], 3)
    assert_array_equal(found.rows, np.argsort(-wanted)[:6])
    assert found.scores is None


def test_cal_finds_the_sample_that_its_neighbours_contradict():
    z = np.array([[0.0], [0.1], [5.0], [5.1]])
    p = np.array([[0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]])
    known = {"embeddings": np.array([[0.05], [5.05]]), "probs": np.array([[0.95, 0.05], [0.05, 0.95]])}
    rows = selection.select("cal", {"probs": p, "embeddings": z}, 1, labelled=known, k=1)
    assert rows.tolist() == [1]


def test_falcun_draws_with_its_gamma():
    pool = drawn(30)
    for gamma in (1.0, 10.0):
        strategy = make("falcun", gamma=gamma)
        rows = selection.select(strategy, {"probs": pool["probs"]}, 6, seed=4)
        assert_array_equal(rows, falcun(pool["probs"], 6, generator(4, "select"), gamma=gamma))


def corners(n, seed):
    """n samples about three corners, and which."""
    rng = generator(seed, "tests", "corners of a triangle")
    kinds = np.arange(n) % 3
    return np.array([[0, 0], [5, 0], [0, 5]])[kinds] + rng.normal(scale=0.5, size=(n, 2)), kinds


def test_discriminative_asks_where_nobody_labelled_first_and_then_where_it_has_not_asked():
    pool, kinds = corners(90, 0)
    known, labelled_kinds = corners(60, 1)
    known = known[labelled_kinds == 0]
    one = make("discriminative", parts=1)
    rows = selection.select(one, {"embeddings": pool}, 20, labelled={"embeddings": known})
    assert 0 not in kinds[rows]
    turns = make("discriminative", parts=20)
    rows = selection.select(turns, {"embeddings": pool}, 20, labelled={"embeddings": known})
    assert (np.bincount(kinds[rows], minlength=3) >= [0, 5, 5]).all()


def test_discriminative_works_on_features_and_before_any_label():
    pool, _ = corners(40, 0)
    strategy = make("discriminative", space="features")
    rows = selection.select(strategy, {"features": pool}, 7, labelled={"features": pool[:0]})
    assert len(set(rows.tolist())) == 7


@pytest.mark.parametrize("n", [1, 3, 7, 10, 23, 40, 99])
@pytest.mark.parametrize("parts", [1, 4, 10])
def test_turns_share_a_batch_exactly(n, parts):
    pool, known = corners(40, 0)[0], corners(6, 1)[0]
    strategy = make("discriminative", parts=parts)
    rows = selection.select(strategy, {"embeddings": pool}, n, labelled={"embeddings": known})
    assert len(set(rows.tolist())) == min(n, 40)


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("cal", {"k": 0}, "k must be a whole number of at least 1"),
        ("falcun", {"gamma": -1}, "gamma must be a number of at least 0"),
        ("falcun", {"gamma": "x"}, "gamma must be a number of at least 0"),
        ("discriminative", {"parts": 0}, "parts must be a whole number of at least 1"),
        ("discriminative", {"device": "cuda"}, "device must be 'cpu'"),
    ],
)
def test_parameters_are_checked(name, params, words):
    with pytest.raises(InputError, match=words):
        make(name, **params)


def test_discriminative_counts_what_it_asks_for_as_labelled():
    labelled = generator(0, "tests", "discriminative turns").normal(size=(10, 2))
    noise = generator(0, "tests", "discriminative pool").normal(size=(20, 2))
    pool = 0.1 * noise + np.repeat([[12.0, 0.0], [0.0, 4.0]], 10, axis=0)
    parts = [Signals(np.arange(20), embeddings=pool), Signals(np.arange(20, 30), embeddings=labelled)]
    rows = (
        make("discriminative", parts=4).propose(View(*parts, Signals(np.arange(0)), 2), 8, generator(0)).rows
    )
    # two samples of one cloud are enough for the other to be less like the labelled ones
    assert_array_equal(rows // 10, [0, 0, 1, 1, 0, 0, 1, 1])
