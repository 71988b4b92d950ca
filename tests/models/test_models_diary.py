"""The diary of a training: its averages, slope and norms by hand, and that it changes nothing."""

import numpy as np
import pytest
import torch
from model_data import NOBODY, first, halves
from multimodal_data import SMALL, fit, some
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from labelwise.models import make
from labelwise.models.diary import Diary
from labelwise.models.loop import train
from labelwise.models.multimodal.recipe import MultimodalRecipe
from labelwise.models.training import Training
from labelwise.seeds import generator

KEYS = ("loss average", "loss slope", "gradient norm")


def test_averages_and_slope_by_hand():
    # losses 4, 2 in the first epoch, 3, 1, 2 in the second; gradient (3, 4)·k in step k: norms 5, 10, 15, 20, 25
    # average: 4, 3.8, 3.72, 3.448, 3.3032; norm: 5, 5.5, 6.45, 7.805, 9.5245
    # slope through (-1, 3), (0, 1), (1, 2): (-3 + 2) / 2 = -0.5
    layer, diary = nn.Linear(2, 1, bias=False), Diary(0.1)
    for epoch in ((4.0, 2.0), (3.0, 1.0, 2.0)):
        diary.epoch()
        for loss in epoch:
            k = 1 if layer.weight.grad is None else float(layer.weight.grad[0, 0]) / 3 + 1
            layer.weight.grad = k * torch.tensor([[3.0, 4.0]])
            diary.step(torch.tensor(loss), layer)
    assert_allclose([diary.notes()[key] for key in KEYS], [3.3032, -0.5, 9.5245], rtol=1e-6)


def test_a_step_that_overflowed_is_left_out_and_no_step_is_0():
    layer, diary = nn.Linear(2, 1, bias=False), Diary()
    assert diary.notes() == dict.fromkeys(KEYS, 0.0)
    diary.epoch()
    for grad in (1.0, np.inf, np.nan):
        layer.weight.grad = torch.tensor([[grad, 0.0]])
        diary.step(torch.tensor(1.0), layer)
    assert diary.notes() == {"loss average": 1.0, "loss slope": 0.0, "gradient norm": 1.0}


@pytest.mark.parametrize("clip", [None, 0.5])
def test_a_diary_changes_no_weight_and_sees_norms_before_they_are_clipped(clip):
    data, y = halves(24, (4,))
    x, labels = torch.tensor(data.arrays["image"]).float() / 255, torch.tensor(y)
    training = Training(epochs=1, batch_size=24, clip=clip, optimiser="sgd", lr=0.1, device="cpu")
    weights, notes = [], {}
    for diary in (None, Diary()):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = nn.Linear(4, 2)
        start = [p.detach().clone() for p in network.parameters()]
        done = train(network, x, labels, training, torch.Generator().manual_seed(0), lambda b: b, diary=diary)
        weights.append([p.detach().numpy() for p in network.parameters()])
        notes = done.notes
    for a, b in zip(*weights, strict=True):
        assert_array_equal(a, b)
    assert notes["loss average"] == pytest.approx(notes["loss"], rel=1e-6)
    if clip is None:  # a step of plain SGD is lr times the gradient
        moved = sum(
            float((a - torch.tensor(b)).square().sum()) for a, b in zip(start, weights[1], strict=True)
        )
        assert notes["gradient norm"] == pytest.approx(moved**0.5 / 0.1, rel=1e-4)
    else:
        assert notes["gradient norm"] != pytest.approx(0.5, rel=1e-3)


def test_multimodal_recipes_keep_one_and_others_do_not():
    data, y = some()
    predictor = fit(MultimodalRecipe(**SMALL), data, y)
    assert set(KEYS) <= set(predictor.notes)
    assert all(np.isfinite(predictor.notes[key]) for key in KEYS)
    assert predictor.notes["gradient norm"] > 0
    one = MultimodalRecipe(**{**SMALL, "epochs": 3, "batch_size": 30})
    assert fit(one, data, y).notes["loss slope"] == 0  # an epoch of one step
    images, labels = halves(24, (4, 4))
    plain = make("mlp", epochs=1, device="cpu").fit(images, first(24, labels), NOBODY, None, 2, generator(0))
    assert not set(KEYS) & set(plain.notes)
