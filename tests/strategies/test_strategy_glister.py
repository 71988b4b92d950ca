"""GLISTER as a strategy: whom the batch is to help."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError
from labelwise.functional.batches import glister
from labelwise.seeds import generator
from labelwise.strategies import make


def part(n, seed, labels=True):
    rng = generator(seed, "tests", "glister strategy")
    arrays = {"probs": rng.dirichlet(np.ones(3), n), "embeddings": rng.normal(size=(n, 4))}
    return arrays | ({"y": rng.integers(3, size=n)} if labels else {})


def wanted(pool, held, n):
    return glister(
        pool["probs"], pool["embeddings"], n, validation_probs=held["probs"],
        validation_embeddings=held["embeddings"], validation_y=held["y"], eta=0.01,
    )  # fmt: skip


def test_it_helps_the_validation_samples_and_the_labelled_where_there_are_none():
    pool, labelled, validation = part(50, 0, False), part(9, 1), part(12, 2)
    rows = selection.select("glister", pool, 7, labelled=labelled, validation=validation)
    assert_array_equal(rows, wanted(pool, validation, 7))
    none = {name: values[:0] for name, values in validation.items()}
    rows = selection.select("glister", pool, 7, labelled=labelled, validation=none)
    assert_array_equal(rows, wanted(pool, labelled, 7))
    picks = {
        tuple(selection.select("glister", pool, 7, labelled=none, validation=none, seed=s)) for s in range(5)
    }
    assert len(picks) == 5


def test_it_looks_at_so_many_validation_samples_at_most():
    found = selection.proposal(
        "glister", part(50, 0, False), 7, labelled=part(9, 1), validation=part(12, 2), most=5
    )
    assert found.notes == {"validation samples": 5}


def test_wrong_parameters_are_refused():
    with pytest.raises(InputError, match="eta"):
        make("glister", eta=-1.0)
    with pytest.raises(InputError, match="most"):
        make("glister", most=0)
