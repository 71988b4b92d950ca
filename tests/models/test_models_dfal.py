"""The recipe of DFAL: adversarial twins of the labelled samples are learned from, too."""

import numpy as np
import pytest
import torch
from model_data import NOBODY, first, halves
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.models import make
from labelwise.models.answering import as_tensor, preparation
from labelwise.models.dfal import DfalRecipe, with_twins
from labelwise.models.torch import TorchRecipe
from labelwise.seeds import generator

SMALL = {"width": 4, "epochs": 2, "batch_size": 8, "device": "cpu"}
NAMES = frozenset({"logits", "scalars.boundary"})


def fit(recipe, data, y, n=40, **more):
    return recipe.fit(data, first(n, y), NOBODY, None, 2, generator(0, "tests"), **more)


@pytest.mark.parametrize("network,shape", [("cnn", (8, 8)), ("cnn", (6, 8, 3)), ("mlp", (8, 8))])
def test_twins_stand_across_the_boundary_with_the_labels_of_their_samples(network, shape):
    data, y = halves(40, shape)
    predictor = fit(TorchRecipe(network, **{**SMALL, "width": 16, "epochs": 5}), data, y)
    prepare = preparation(predictor.reader, torch.device("cpu"), channels_last=True)
    x = as_tensor(predictor.reader.read(data, np.arange(40)), torch.device("cpu"))
    both, labels = with_twins(predictor.network, x, torch.tensor(y), prepare, 7)
    assert len(both) == 80
    assert_array_equal(labels, np.r_[y, y])
    with torch.no_grad():
        mine, original = predictor.network(prepare(both))[0], predictor.network(prepare(x))[0]
    assert_allclose(mine[:40], original, atol=1e-5)  # as floats, the samples are what they were as bytes
    own = torch.arange(40), original.argmax(1)
    lead = mine[40:][own] - mine[40:].scatter(1, own[1][:, None], -torch.inf).amax(1)
    assert (lead < 1e-4).all()  # a label flips within rounding, and a batch of other size rounds otherwise
    assert (original[own] - original.scatter(1, own[1][:, None], -torch.inf).amax(1)).mean() > 0.5


def test_a_fit_repeats_and_differs_from_one_without_twins():
    data, y = halves(40, (8, 8))
    recipe = make("dfal", **SMALL)
    assert isinstance(recipe, DfalRecipe)
    a, b = (fit(recipe, data, y).infer(data, np.arange(40), NAMES) for _ in range(2))
    assert_array_equal(a.logits, b.logits)
    assert_array_equal(a.scalars["boundary"], b.scalars["boundary"])
    longer = fit(TorchRecipe(**{**SMALL, "epochs": 4}), data, y)
    assert not np.array_equal(longer.infer(data, np.arange(40), NAMES).logits, a.logits)


def test_notes_and_progress_tell_of_both_trainings():
    data, y = halves(40, (8, 8))
    heard = []
    predictor = fit(make("dfal", **SMALL), data, y, progress=lambda *at: heard.append(at))
    assert predictor.notes["epochs"] == 4
    assert 30 < predictor.notes["twins"] <= 40
    shares = [done / total for done, total in heard]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_warm_fit_goes_on():
    data, y = halves(40, (8, 8))
    recipe = make("dfal", **SMALL, warm=True)
    one = fit(recipe, data, y, n=20)
    a, b = (fit(recipe, data, y, previous=one.state_dict()) for _ in range(2))
    assert a.notes["epochs_in_all"] == 8
    assert_array_equal(*(p.infer(data, np.arange(40), NAMES).logits for p in (a, b)))


def test_one_sample_is_enough():
    data, y = halves(4, (8, 8))
    assert fit(make("dfal", **SMALL), data, y, n=1).notes["epochs"] == 4
