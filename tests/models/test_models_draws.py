"""Draws of a network: dropout masks that belong to the draw, not to the sample, the block or the call."""

import numpy as np
import pytest
import torch
from model_data import NOBODY, first, halves
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from labelwise.errors import InputError, MissingSignal
from labelwise.models import make
from labelwise.models.draws import Masks, dropout_layers
from labelwise.models.torch import TorchRecipe, load
from labelwise.seeds import generator

DRAWS = frozenset({"draws"})
SMALL = {"width": 4, "epochs": 2, "batch_size": 8, "device": "cpu", "dropout": 0.5, "draws": 6}


def fit(recipe, data, y, seed=0, n=40, **more):
    return recipe.fit(data, first(n, y), NOBODY, None, 2, generator(seed, "tests"), **more)


def draws(predictor, data, ids=None, names=DRAWS):
    return predictor.infer(data, np.arange(len(data)) if ids is None else ids, names)


@pytest.mark.parametrize("network", ["cnn", "mlp", "resnet18"])
def test_draws_are_distributions_that_differ_and_repeat(network):
    data, y = halves(40, (8, 8))
    a, b = (draws(fit(TorchRecipe(network, **SMALL), data, y), data).draws for _ in range(2))
    assert a.shape == (40, 6, 2)
    assert_allclose(a.sum(2), 1, atol=1e-6)
    assert len({tuple(a[0, s]) for s in range(6)}) > 1  # equal draws are the known fault of public BALD code
    assert_array_equal(a, b)
    other = draws(fit(TorchRecipe(network, **SMALL), data, y, seed=1), data).draws
    assert not np.array_equal(a, other)
    seeds = {fit(TorchRecipe(network, **SMALL), data, y, seed=s, n=8).seed for s in range(2)}
    assert len(seeds) == 2  # masks of their own, not other weights alone


def test_draws_by_hand():
    data, y = halves(40, (8, 8))
    predictor = fit(TorchRecipe("cnn", **SMALL), data, y)
    told = draws(predictor, data, names=frozenset({"draws", "embeddings", "probs"}))
    masks = Masks(predictor.network, predictor.seed, 6)
    rows = masks._mask(0, predictor.network.dropout, torch.empty(1, 16)).numpy()
    assert_array_equal(rows[0], 1)
    assert set(np.unique(rows[1:])) == {0.0, 2.0}  # kept with probability 1/2, and doubled
    head = predictor.network.head
    logits = (told.embeddings[:, None] * rows) @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    e = np.exp(logits)
    p = e / e.sum(2, keepdims=True)
    assert_allclose(told.probs, p[:, 0], atol=1e-5)
    assert_allclose(told.draws, p[:, 1:], atol=1e-5)


def test_layers_of_one_width_have_masks_of_their_own():
    masks = Masks(nn.Sequential(nn.Dropout(), nn.Dropout()), 7, 3)
    first, second = (masks._mask(i, layer, torch.empty(1, 64))[1:] for i, layer in enumerate(masks.layers))
    assert not torch.equal(first, second)


def test_a_mask_keeps_its_share():
    layer = nn.Dropout(0.2)
    rows = Masks(nn.Sequential(layer), 7, 4)._mask(0, layer, torch.empty(1, 5000))[1:]
    # 20,000 coins of 0.8: the standard deviation of their mean is 0.0028; five of them
    assert abs(float((rows > 0).float().mean()) - 0.8) < 0.015
    assert_allclose(rows[rows > 0], 1.25, rtol=1e-6)


@pytest.mark.parametrize("network", ["cnn", "mlp"])
def test_draws_side_by_side_equal_one_pass_a_draw(network):
    data, y = halves(40, (8, 8))
    predictor = fit(TorchRecipe(network, **SMALL), data, y)
    told = draws(predictor, data).draws
    masks = Masks(predictor.network, predictor.seed, 6)
    x = torch.from_numpy(data.batch(np.arange(40))["image"][..., None])
    a, b = next(iter(predictor.reader.scales.values())).factors()
    x = (x * torch.from_numpy(a) + torch.from_numpy(b)).permute(0, 3, 1, 2).contiguous()
    for s in range(6):
        with torch.no_grad(), masks.on(range(s + 1, s + 2)):
            alone = predictor.network(x)[0].softmax(1).numpy()
        assert_allclose(told[:, s], alone, atol=1e-5)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_draws_depend_neither_on_the_block_nor_on_the_company(block):
    data, y = halves(40, (8, 8))
    a = draws(fit(TorchRecipe("mlp", **SMALL), data, y), data).draws
    predictor = fit(TorchRecipe("mlp", **SMALL, infer_batch=block), data, y)
    assert_allclose(draws(predictor, data).draws, a, atol=1e-6)
    some = np.array([31, 2, 17])
    assert_allclose(draws(predictor, data, some).draws, a[some], atol=1e-6)


def test_the_layers_before_the_first_dropout_run_once():
    data, y = halves(40, (8, 8))
    predictor = fit(TorchRecipe("cnn", **SMALL), data, y)
    seen = []
    predictor._fast.blocks.register_forward_hook(lambda _layer, x, _out: seen.append(len(x[0])))
    draws(predictor, data, names=frozenset({"draws", "probs", "logits", "embeddings"}))
    assert seen == [40]


def test_other_signals_are_the_same_beside_draws():
    data, y = halves(40, (8, 8))
    predictor = fit(TorchRecipe("mlp", **SMALL), data, y)
    names = frozenset({"probs", "logits", "embeddings"})
    alone, beside = draws(predictor, data, names=names), draws(predictor, data, names=names | DRAWS)
    for name in names:
        assert_allclose(beside.need(name), alone.need(name), atol=1e-5)
    assert beside.embeddings.shape == (40, 4)


class Residual(nn.Module):
    """Dropout in the middle, channels of maps in one place, and a way round it."""

    def __init__(self, classes):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 5, 3), nn.Conv2d(5, 5, 3, padding=1)
        self.maps, self.units, self.head = nn.Dropout2d(0.5), nn.Dropout(0.5), nn.Linear(5, classes)

    def forward(self, x):
        x = self.first(x)
        x = x + self.maps(self.second(x)).relu()
        return self.head(self.units(x.mean(dim=(2, 3))))


def test_a_network_of_ones_own_draws_wherever_it_drops():
    data, y = halves(40, (8, 8))
    recipe = TorchRecipe(lambda shape, classes: Residual(classes), draws=5, epochs=2, device="cpu")
    predictor = fit(recipe, data, y)
    told = draws(predictor, data, names=frozenset({"draws", "probs", "embeddings"}))
    assert told.draws.shape == (40, 5, 2)
    assert told.embeddings.shape == (40, 5)
    assert len(dropout_layers(predictor.network)) == 2
    masks = Masks(predictor.network, predictor.seed, 5)
    assert masks._mask(0, predictor.network.maps, torch.empty(3, 5, 6, 6)).shape == (6, 5, 1, 1)
    small = fit(TorchRecipe(recipe.network, draws=5, epochs=2, device="cpu", infer_batch=3), data, y)
    assert_allclose(draws(small, data).draws, told.draws, atol=1e-6)
    assert np.ptp(told.draws[0, :, 0]) > 0


def test_nobody_is_drawn_for_nobody():
    data, y = halves(40, (8, 8))
    for network in ("mlp", lambda shape, classes: Residual(classes)):
        predictor = fit(TorchRecipe(network, **SMALL), data, y)
        assert draws(predictor, data, NOBODY).draws.shape == (0, 6, 2)


def test_a_saved_predictor_draws_the_same(tmp_path):
    data, y = halves(40, (8, 8))
    predictor = fit(make("cnn", **SMALL), data, y)
    predictor.save(tmp_path / "p.safetensors")
    again = load(tmp_path / "p.safetensors", device="cpu")
    assert_array_equal(draws(again, data).draws, draws(predictor, data).draws)


def test_a_warm_fit_from_a_stored_state_draws_the_same():
    data, y = halves(40, (8, 8))
    recipe = make("mlp", **SMALL, warm=True)
    state = fit(recipe, data, y).state_dict()
    a, b = (draws(fit(recipe, data, y, seed=1, previous=state), data).draws for _ in range(2))
    assert_array_equal(a, b)


def test_what_is_given_depends_on_the_recipe():
    with_draws, without = make("cnn", dropout=0.2, draws=2).gives, make("cnn", dropout=0.2).gives
    assert with_draws.pool - without.pool == with_draws.labelled - without.labelled == DRAWS


def test_draws_that_would_be_equal_are_refused():
    with pytest.raises(
        InputError, match="draws=5 needs dropout above 0: without dropout all draws are equal"
    ):
        make("cnn", draws=5)
    with pytest.raises(InputError, match="draws must be a whole number"):
        make("cnn", dropout=0.5, draws=-1)
    data, y = halves(40, (8, 8))

    def plain(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.0), nn.Linear(64, classes))

    with pytest.raises(InputError, match=r"draws=2 needs a network with an nn\.Dropout of p above 0"):
        fit(TorchRecipe(plain, draws=2, epochs=1, device="cpu"), data, y)
    with pytest.raises(MissingSignal, match=r"asked for draws\. Give the recipe dropout and draws\."):
        draws(fit(TorchRecipe("mlp", width=4, epochs=1, device="cpu"), data, y), data)
