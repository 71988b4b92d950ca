"""Sequential GCN: it learns who is labelled, asks accordingly, and keeps to its candidates and its seed."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise.errors import InputError
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.strategies import make
from labelwise.strategies.graph import CoreGcn, UncertainGcn

torch = pytest.importorskip("torch")
EMBEDDED = frozenset({"embeddings"})


def corners(n, axes, seed):
    """n samples near some axes of the first orthant: what a ReLU might leave of a few kinds of samples."""
    rng = generator(seed, "tests", "corners")
    kinds = np.asarray(axes)[np.arange(n) % len(axes)]
    return (np.eye(6)[kinds] + rng.uniform(0, 0.2, (n, 6))).astype(np.float32), kinds


def seen(n=120, labelled=30):
    pool, kinds = corners(n, [0, 1, 2, 3], 0)
    known, _ = corners(labelled, [0, 1], 1)
    at = np.arange
    nobody = Signals(np.empty(0, np.int64))
    return View(
        Signals(at(n), embeddings=pool), Signals(at(labelled) + n, embeddings=known), nobody, 4
    ), kinds


def test_samples_unlike_the_labelled_ones_look_unlabelled_to_it():
    view, kinds = seen()
    strategy = UncertainGcn(steps=100, width=16, margin=0.0, rate=0.01)  # the surest of being unlabelled
    found = strategy.propose(view, 20, generator(0))
    assert set(kinds[found.rows]) <= {2, 3}
    probability = -found.scores
    assert probability[kinds < 2].min() > probability[kinds > 1].max()
    assert_array_equal(np.sort(found.scores)[::-1][:20], found.scores[found.rows])


def test_the_margin_is_the_probability_that_it_asks_for():
    view, kinds = seen()
    found = UncertainGcn(steps=100, width=16, margin=1.0, rate=0.01).propose(view, 20, generator(0))
    assert set(kinds[found.rows]) <= {0, 1}


@pytest.mark.parametrize("cls", [UncertainGcn, CoreGcn])
def test_only_its_candidates_are_looked_at(cls):
    view, _ = seen()
    few = cls(steps=2, width=4, candidates=10).propose(view, 10, generator(0))
    few.check(120, 10, "few")
    assert few.scores is None
    more = cls(steps=2, width=4, candidates=10).propose(view, 50, generator(0))  # a batch beyond them
    more.check(120, 50, "more")


@pytest.mark.parametrize("cls", [UncertainGcn, CoreGcn])
def test_its_seed_decides_and_no_global_generator(cls):
    view, _ = seen()
    before = torch.get_rng_state()
    picks = [
        tuple(cls(steps=5, width=8, candidates=60).propose(view, 9, generator(s)).rows) for s in (0, 0, 1)
    ]
    assert picks[0] == picks[1]
    assert picks[0] != picks[2]
    assert torch.equal(torch.get_rng_state(), before)


def test_core_gcn_spreads_over_what_is_unlike_the_labelled():
    view, kinds = seen()
    rows = CoreGcn(steps=50, width=32).propose(view, 2, generator(0)).rows
    assert set(kinds[rows]) == {2, 3}  # the two kinds that nobody labelled are the farthest


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and less than 1"),
        ({"dropout": "half"}, "dropout must be a number from 0 to 1"),
        ({"rate": -1}, "rate must be a number of at least 0"),
        ({"decay": float("nan")}, "decay must be a number of at least 0"),
        ({"unlabelled_weight": -1}, "unlabelled_weight must be a number of at least 0"),
        ({"margin": 1.1}, "margin must be a number from 0 to 1"),
        ({"space": "pixels"}, "No space is named 'pixels'"),
    ],
)
def test_parameters_are_checked(params, words):
    with pytest.raises(InputError, match=words):
        make("uncertain-gcn", **params)


def test_no_length_of_a_row_matters():
    view, _ = seen()
    parts = (view.pool, view.labelled)
    long = [Signals(part.ids, embeddings=part.embeddings.astype(np.float64) * 2.0**400) for part in parts]
    again = View(long[0], long[1], view.validation, 4)
    given = [Signals(part.ids, embeddings=part.embeddings.astype(np.float64)) for part in parts]
    view = View(given[0], given[1], view.validation, 4)
    rows = [UncertainGcn(steps=2).propose(v, 5, generator(0)).rows for v in (view, again)]
    assert_array_equal(*rows)


def test_a_bad_row_is_named():
    view, _ = seen()
    broken = view.labelled.embeddings.copy()
    broken[3, 2] = np.nan
    view = View(view.pool, Signals(view.labelled.ids, embeddings=broken), view.validation, 4)
    with pytest.raises(InputError, match="labelled embeddings: row 3 holds a NaN"):
        UncertainGcn(steps=1).propose(view, 2, generator(0))
