"""Training with the SuperLoss: wrong labels teach less, a large λ changes nothing, and reports keep the plain loss."""

from __future__ import annotations

from dataclasses import replace
from math import e, exp, log

import numpy as np
import pytest
import torch
from model_data import first, halves
from numpy.testing import assert_allclose
from torch import nn
from torch.nn.functional import cross_entropy

from labelwise.errors import InputError
from labelwise.models import make
from labelwise.models.device import seeded
from labelwise.models.loop import train
from labelwise.models.losses import mean_loss, task_loss
from labelwise.models.training import Training
from labelwise.objectives.losses import super_loss_weight
from labelwise.seeds import generator

CPU = torch.device("cpu")
N, CLASSES, FEATURES = 200, 4, 10


def same(x):
    return x


def noisy(seed):
    """Return x, true classes and labels, of which three in ten are wrong."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, CLASSES, (N,), generator=g)
    x = 1.5 * torch.randn(CLASSES, FEATURES, generator=g)[y] + torch.randn(N, FEATURES, generator=g)
    wrong = torch.rand(N, generator=g) < 0.3
    return x, y, torch.where(wrong, (y + torch.randint(1, CLASSES, (N,), generator=g)) % CLASSES, y)


def fitted(x, labels, **settings):
    with seeded(0, CPU):
        network = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES))
    training = Training(**{"epochs": 15, "batch_size": 64, "lr": 0.01, **settings})
    return network, train(network, x, labels, training, torch.Generator().manual_seed(1), same)


def test_wrong_labels_weigh_less_and_the_true_classes_are_missed_less():
    missed, weights = {None: 0, 0.25: 0}, []
    for seed in range(3):
        x, y, labels = noisy(seed)
        for lam in missed:
            network, _ = fitted(x, labels, super_loss=lam)
            with torch.no_grad():
                logits = network(x)
            missed[lam] += int((logits.argmax(1) != y).sum())
        got = super_loss_weight(cross_entropy(logits, labels, reduction="none"), log(CLASSES), 0.25)
        weights.append([float(got[labels == y].mean()), float(got[labels != y].mean())])
    assert missed[0.25] < 0.6 * missed[None]  # measured: 14 and 43 of 600
    assert all(wrong < right / 3 for right, wrong in weights)


def test_a_large_lambda_trains_as_plain_cross_entropy():
    x, _, labels = noisy(0)
    settings = {"optimiser": "sgd", "lr": 0.1, "label_smoothing": 0.1, "epochs": 5}
    (plain, told), (large, same_told) = (fitted(x, labels, super_loss=lam, **settings) for lam in (None, 1e8))
    other, _ = fitted(x, labels, super_loss=0.25, **settings)
    assert_allclose(large[0].weight.detach(), plain[0].weight.detach(), atol=1e-5)  # float32, 20 steps
    assert_allclose(same_told.notes["loss"], told.notes["loss"], rtol=1e-5)
    assert (other[0].weight - plain[0].weight).abs().max() > 1e-2


def test_a_step_lowers_the_super_loss_and_reports_the_plain_one():
    # even logits lose ln 4; one logit of 5 loses ln(1 + 3 e^-5) where it is right and ln(3 + e^5) where it is wrong
    logits = torch.tensor([[0.0, 0, 0, 0], [5, 0, 0, 0], [5, 0, 0, 0]], dtype=torch.float64)
    y, lam, tau = torch.tensor([0, 0, 1]), 0.25, log(4)
    losses = [log(4), log(1 + 3 * exp(-5)), log(3 + exp(5))]
    lowered, plain = task_loss(logits.requires_grad_(True), y, Training(super_loss=lam))
    assert_allclose(plain, np.mean(losses), rtol=1e-12)
    assert not plain.requires_grad
    lowered.backward()
    pull = (logits.detach().softmax(1) - torch.eye(4)[y]).norm(dim=1) / 3  # of the mean cross-entropy
    weights = (logits.grad.norm(dim=1) / pull).numpy()
    assert_allclose(weights[:2], [1, e], rtol=1e-12)
    w = -log(weights[2])
    assert_allclose(w * exp(w), (losses[2] - tau) / (2 * lam), rtol=1e-12)


def test_notes_hold_the_plain_loss_and_patience_watches_it():
    x, _, labels = noisy(0)
    network, done = fitted(x, labels, super_loss=0.25, lr=1e-12, epochs=1)
    assert_allclose(done.notes["loss"], mean_loss(network, x, labels, same, 64), rtol=1e-5)
    with seeded(0, CPU):
        network = nn.Linear(FEATURES, CLASSES)
    training = Training(epochs=3, super_loss=0.25, patience=2)
    done = train(network, x, labels, training, torch.Generator().manual_seed(1), same, validation=(x, labels))
    assert_allclose(done.notes["validation_loss"], mean_loss(network, x, labels, same, 64), rtol=1e-6)


@pytest.mark.parametrize("name", ["mlp", "learning-loss", "waal", "vaal", "dfal"])
def test_every_recipe_of_networks_trains_with_it(name):
    data, y = halves(24, (8, 8))
    y[:6] = 1 - y[:6]
    narrow = {"vaal": {"width_vae": 2, "units": 8}, "waal": {"units": 8}, "learning-loss": {"units": 8}}
    recipe = make(
        name, network="mlp", width=8, epochs=3, batch_size=8, device="cpu", optimiser="sgd", lr=0.05,
        **narrow.get(name, {}),
    )  # fmt: skip
    found, told = {}, {}
    for lam in (None, 1e8, 0.25):
        rng = generator(0, "tests", "super loss")
        made = replace(recipe, super_loss=lam)
        predictor = made.fit(data, first(16, y), np.arange(16, 24), None, 2, rng)
        found[lam] = predictor.infer(data, np.arange(24), frozenset({"logits"})).need("logits")
        told[lam] = predictor.notes["loss"]
    assert_allclose(found[1e8], found[None], atol=1e-3)
    assert_allclose(told[1e8], told[None], atol=1e-4)
    assert np.abs(found[0.25] - found[None]).max() > 1e-2
    assert told[0.25] > 0  # plain: the SuperLoss of easy samples is negative


@pytest.mark.parametrize("lam", [0.0, -1.0, float("inf"), float("nan")])
def test_a_lambda_that_makes_no_sense_is_refused(lam):
    with pytest.raises(InputError, match=r"super_loss must lie in \(0, inf\)"):
        Training(super_loss=lam)
