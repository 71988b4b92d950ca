"""Bait as a strategy: what it says of itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from strategy_views import view

from labelwise.errors import InputError
from labelwise.functional.batches import bait
from labelwise.seeds import generator
from labelwise.strategies import make


def test_bait_asks_what_the_function_tells_and_says_in_which_form():
    seen = view(make("bait").needs, 40, 4)
    for params, form in (({}, "full"), ({"form": "diagonal", "lam": 0.1}, "diagonal")):
        found = make("bait", **params).propose(seen, 6, generator(0))
        wanted = bait(
            seen.pool.probs,
            seen.pool.embeddings,
            6,
            labelled_probs=seen.labelled.probs,
            labelled_embeddings=seen.labelled.embeddings,
            lam=params.get("lam", 1.0),
            form=form,
        )
        assert_array_equal(found.rows, wanted)
        assert found.notes == {"form": form}
        assert found.scores is None


def test_bait_leaves_samples_that_are_certain_to_the_last():
    seen = view(make("bait").needs, 30, 3, labelled=0)
    probs = seen.pool.probs.copy()
    probs[:10] = np.eye(3)[np.arange(10) % 3]
    rows = bait(probs, seen.pool.embeddings, 20)
    assert not set(rows) & set(range(10))


@pytest.mark.parametrize("params", [{"lam": -1}, {"lam": "x"}, {"oversample": 0}, {"form": "whole"}])
def test_wrong_parameters_are_refused_when_it_is_made(params):
    with pytest.raises(InputError, match=next(iter(params))):
        make("bait", **params)


def test_auto_computes_on_the_cpu_where_the_device_lacks_float64(monkeypatch):
    seen = view(make("bait").needs, 20, 3, labelled=4)
    seen = replace(
        seen,
        pool=replace(seen.pool, embeddings=seen.pool.embeddings.astype(np.float32)),
        labelled=replace(seen.labelled, embeddings=seen.labelled.embeddings.astype(np.float32)),
    )
    wanted = make("bait").propose(seen, 5, generator(0)).rows
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert_array_equal(make("bait", device="auto").propose(seen, 5, generator(0)).rows, wanted)
