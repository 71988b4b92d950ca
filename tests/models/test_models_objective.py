"""Recipes that lower robust objectives: ERM to the bit where none is asked for, weights by hand, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, log, sqrt

import numpy as np
import pytest
import torch
from model_data import first, halves
from multimodal_data import SMALL, equal, fit, holes, some, told
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn.functional import cross_entropy

from labelwise.describing import describe
from labelwise.errors import InputError, UnknownName
from labelwise.functional.coupling import canonical_correlation, copula_correlation, soft_hgr
from labelwise.functional.evidential_loss import annealing
from labelwise.functional.robust import chi2_worst_risk, cvar, variance_weights
from labelwise.models import make
from labelwise.models.device import seeded, threads
from labelwise.models.loop import train
from labelwise.models.losses import adversary_of, mean_loss, task_loss
from labelwise.models.multimodal.network import Told
from labelwise.models.multimodal.recipe import MultimodalRecipe
from labelwise.models.objective import TABLE, begun, wished
from labelwise.models.setting import Setting
from labelwise.models.torch import load
from labelwise.models.training import Training
from labelwise.objectives.evidential import evidential_loss
from labelwise.seeds import generator

CPU = torch.device("cpu")
N, CLASSES, FEATURES = 120, 3, 6
NOTHING_SHIFTS = [
    {"name": "mmdro", "rho": 0},
    {"name": "dual", "rho": 0.0},
    {"name": "earlyfusion_dro", "rho": 0},
    {"name": "variational", "rho": 0},
    {"name": "cvar", "alpha": 1},
]
SHIFTS = [
    {"name": "mmdro", "rho": 2},
    {"name": "dual", "rho": 2},
    {"name": "earlyfusion_dro", "rho": 2},
    {"name": "variational", "rho": 2, "lr": 0.1},
    {"name": "cvar", "alpha": 0.3},
    {"name": "group_dro", "step": 1.0},
]
BOTH = {"mmdro", "dual", "cvar", "group_dro"}  # what a recipe that reads its input as one takes, too


def same(x):
    return x


def points():
    """Overlapping classes of unequal size: their losses differ."""
    g = torch.Generator().manual_seed(3)
    y = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), N, replacement=True, generator=g)
    return torch.randn(CLASSES, FEATURES, generator=g)[y] + 2 * torch.randn(N, FEATURES, generator=g), y


def trained(x, y, objective="erm", step=None, **settings):
    training = Training(**{"epochs": 8, "batch_size": 32, "lr": 0.05, "objective": objective, **settings})
    with threads(1), seeded(0, CPU):
        network = nn.Linear(FEATURES, CLASSES)
        done = train(network, x, y, training, torch.Generator().manual_seed(1), same, objective=step)
    return network, done


def losses_of(network, x, y):
    with torch.no_grad():
        return cross_entropy(network(x), y, reduction="none").numpy().astype(float)


def plain_step(answer, labels, epoch):
    """What every step lowered before there was a choice."""
    loss = cross_entropy(answer.float(), labels, label_smoothing=0.1)
    return loss, loss.detach()


def test_erm_trains_the_very_network_of_the_mean():
    x, y = points()
    before, wanted = trained(x, y, step=plain_step, label_smoothing=0.1)
    for given in ({}, {"objective": "erm"}, {"objective": {"name": "erm"}}):
        network, done = trained(x, y, label_smoothing=0.1, **given)
        assert_array_equal(network.weight.detach(), before.weight.detach())
        assert done.notes == wanted.notes


def test_erm_trains_the_very_multimodal_network_of_the_mean(monkeypatch):
    def before(self, told, y, epoch, adversary=None):
        assert adversary is None
        kl = self.kl * annealing(epoch, self.annealing)
        b, m, _ = told.evidence.shape
        each = evidential_loss(
            told.evidence.flatten(0, 1), y.repeat_interleave(m), self.evidential, kl_weight=kl
        )
        fused = cross_entropy(told.logits.float(), y, reduction="none")
        losses = (fused + self.unimodal * (each.view(b, m) * told.there).sum(1)) / (1 + self.unimodal * m)
        return losses.mean().float(), losses.detach().mean().float()

    data, y = some(present=holes())
    recipe = MultimodalRecipe(modality_dropout=0.2, dropout=0.1, **SMALL)
    now = told(fit(recipe, data, y), data)
    monkeypatch.setattr(MultimodalRecipe, "_objective", before)
    equal(now, told(fit(recipe, data, y), data))


@pytest.mark.parametrize("objective", NOTHING_SHIFTS, ids=lambda o: o["name"])
def test_where_nothing_may_shift_training_is_that_of_the_mean(objective):
    """For the variational one, too: what it draws moves no draw of the network's."""
    data, y = some(present=holes())
    recipe = MultimodalRecipe(**SMALL, optimiser="sgd", lr=0.05, dropout=0.1, modality_dropout=0.2)
    close = {"rtol": 1e-4, "atol": 1e-5}
    wanted = told(fit(recipe, data, y), data)
    equal(told(fit(replace(recipe, objective=objective), data, y), data), wanted, **close)


@pytest.mark.parametrize("objective", SHIFTS, ids=lambda o: o["name"])
def test_a_shift_changes_the_fit_and_the_same_arguments_give_the_same_one(objective):
    data, y = some(present=holes())
    plain = MultimodalRecipe(**SMALL)
    recipe = replace(plain, objective=objective)
    a, b = (fit(recipe, data, y) for _ in range(2))
    assert a.notes == b.notes
    equal(told(a, data), told(b, data))
    assert np.abs(told(a, data).logits - told(fit(plain, data, y), data).logits).max() > 1e-3


@pytest.mark.parametrize("name", ["mlp", "learning-loss", "waal", "vaal", "dfal"])
def test_every_recipe_of_networks_trains_with_it(name):
    data, y = halves(24, (8, 8))
    y[:6] = 1 - y[:6]
    narrow = {"vaal": {"width_vae": 2, "units": 8}, "waal": {"units": 8}, "learning-loss": {"units": 8}}
    recipe = make(
        name, network="mlp", width=8, epochs=2, batch_size=8, device="cpu", optimiser="sgd", lr=0.05,
        **narrow.get(name, {}),
    )  # fmt: skip
    found = {}
    for objective in ("erm", NOTHING_SHIFTS[0], NOTHING_SHIFTS[4], *(s for s in SHIFTS if s["name"] in BOTH)):
        made = replace(recipe, objective=objective)
        predictor = made.fit(data, first(16, y), np.arange(16, 24), None, 2, generator(0, "tests"))
        found[str(objective)] = predictor.infer(data, np.arange(24), frozenset({"logits"})).need("logits")
    for objective in (NOTHING_SHIFTS[0], NOTHING_SHIFTS[4]):
        assert_allclose(found[str(objective)], found["erm"], atol=1e-4)
    for objective in SHIFTS:
        if objective["name"] in BOTH:
            assert np.abs(found[str(objective)] - found["erm"]).max() > 1e-3


def test_what_is_lowered_is_lower_than_after_training_by_the_mean():
    """A linear model of all samples at once: both problems are convex and have one optimum."""
    x, y = points()
    settings = {"epochs": 100, "batch_size": N}
    mean = losses_of(trained(x, y, **settings)[0], x, y)
    for objective, risk in (
        ({"name": "dual", "rho": 0.5}, lambda v: chi2_worst_risk(v, 0.5)),
        ({"name": "mmdro", "rho": 0.5}, lambda v: variance_weights(v, 0.5) @ v),
        ({"name": "cvar", "alpha": 0.4}, lambda v: cvar(v, 0.4)),
        ({"name": "group_dro", "step": 0.1}, lambda v: max(v[y == c].mean() for c in range(CLASSES))),
    ):
        robust = losses_of(trained(x, y, objective, **settings)[0], x, y)
        assert risk(robust) < 0.98 * risk(mean), objective
        assert robust.mean() > mean.mean()


def test_a_step_weighs_as_the_worst_shift_and_reports_the_mean():
    # even logits lose ln 3; one of 3 loses ln(1 + 2 e^-3) where it is right
    logits = torch.tensor([[0.0, 0, 0], [3, 0, 0], [3, 0, 0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 0, 1])
    losses = np.array([log(3), log(1 + 2 * np.exp(-3)), log(2 + np.exp(3))])
    training = Training(objective={"name": "mmdro", "rho": 0.04})
    adversary = adversary_of(training, y)
    assert adversary.slope == 0.2
    lowered, mean = task_loss(logits, y, training, adversary)
    weights = (1 + 0.2 * (losses - losses.mean()) / losses.std()) / 3
    assert weights.min() > 0
    assert_allclose(float(lowered.detach()), weights @ losses, rtol=1e-7)
    assert_allclose(float(mean), losses.mean(), rtol=1e-12)
    assert not mean.requires_grad
    lowered.backward()
    pull = logits.detach().softmax(1) - torch.eye(3)[y]
    assert_allclose(logits.grad, weights[:, None] * pull.numpy(), rtol=1e-6)


def test_a_multimodal_step_weighs_the_losses_of_samples_and_reports_the_mean():
    rng = generator(0, "tests", "objective")
    e, logits, y = rng.exponential(2, (5, 2, 3)), rng.normal(size=(5, 3)), np.array([0, 1, 2, 0, 1])
    parts = (torch.zeros(5, 4), torch.zeros(5, 2, 3), torch.tensor(e), torch.zeros(5, 2, 4))
    answer = Told(torch.tensor(logits), *parts, torch.ones(5, 2, dtype=torch.bool), None)
    recipe = MultimodalRecipe(kl=0, objective={"name": "dual", "rho": {"b": 0.3, "a": 0.1}, "gamma": 0.5})
    adversary = begun(recipe.objective, Setting(3, ("a", "b")))
    lowered, mean = recipe._objective(answer, torch.tensor(y), 0, adversary)
    fused = np.log(np.exp(logits).sum(1)) - logits[np.arange(5), y]
    each = sum(evidential_loss(torch.tensor(e[:, m]), torch.tensor(y)).numpy() for m in range(2))
    losses = (fused + each) / 3
    assert_allclose(float(mean), losses.mean(), rtol=1e-5)
    # B = 0.1 + 0.3 + 2 · 0.5 √(0.1 · 0.3)
    assert_allclose(float(lowered), chi2_worst_risk(losses, 0.4 + sqrt(0.03)), rtol=1e-5)


def test_what_a_fit_reports_and_patience_watches_is_the_mean():
    x, y = points()
    network, done = trained(x, y, objective={"name": "cvar", "alpha": 0.1}, lr=1e-12, epochs=1)
    assert_allclose(done.notes["loss"], mean_loss(network, x, y, same, 64), rtol=1e-5)
    training = Training(epochs=3, objective="mmdro", patience=2)
    done = train(network, x, y, training, torch.Generator().manual_seed(1), same, validation=(x, y))
    assert_allclose(done.notes["validation_loss"], mean_loss(network, x, y, same, 64), rtol=1e-6)


def test_radii_go_by_name_and_a_modality_that_nobody_has_cannot_move():
    there = np.array([[True, False, True], [True, False, False]])
    setting = Setting(2, ("a", "b", "c"), there)
    assert setting.radii({"c": 3, "a": 1, "b": 2}) == (1.0, 0.0, 3.0)
    assert setting.radii(0.5) == (0.5, 0.0, 0.5)
    assert Setting(2).radii(0.5) == (0.5,)
    adversary = begun({"name": "mmdro", "rho": 0.25}, setting)  # all Γ 1: B = (√0.25 + √0.25)² = 1
    assert adversary.slope == 1
    with pytest.raises(InputError, match="b, c has none"):
        setting.radii({"a": 1})
    with pytest.raises(UnknownName, match="No modality of this dataset is named 'd'"):
        setting.radii({"a": 1, "b": 1, "c": 1, "d": 1})


def test_the_coupling_is_given_or_measured_on_samples_that_have_both():
    rng = generator(0, "tests", "coupling of a recipe")
    parts = [rng.normal(size=(30, 2)) for _ in range(3)]
    parts[1][:, 0] += 2 * parts[0][:, 1]
    there = np.ones((30, 3), bool)
    there[:5, 0] = False
    there[3:, 2] = False  # too few have it to measure anything
    setting = Setting(2, ("a", "b", "c"), there, lambda: parts)
    got = setting.coupling("gaussian_copula")
    wanted = copula_correlation(parts[0][5:], parts[1][5:])
    assert 0.5 < wanted < 1
    assert_allclose(got, [[1, wanted, 1], [wanted, 1, 1], [1, 1, 1]])
    for kind, measure in (("hgr", canonical_correlation), ("soft_hgr", soft_hgr)):
        got = setting.coupling(kind)
        wanted = measure(parts[0][5:], parts[1][5:], generator(0, "coupling", 1, 0))
        assert 0.5 < wanted < 1
        assert_allclose(got, [[1, wanted, 1], [wanted, 1, 1], [1, 1, 1]])
    assert_array_equal(setting.coupling("one"), np.ones((3, 3)))
    assert_array_equal(Setting(2, ("a", "b")).coupling(-0.2), [[1, -0.2], [-0.2, 1]])
    assert_array_equal(Setting(2, ("a", "b")).coupling([[1, 0.4], [0.4, 1]]), [[1, 0.4], [0.4, 1]])
    assert_array_equal(Setting(2).coupling("gaussian_copula"), [[1]])
    wide = Setting(2, ("a", "b"), np.ones((30, 2), bool), lambda: [np.zeros((30, 6000))] * 2)
    with pytest.raises(InputError, match="too many"):
        wide.coupling("gaussian_copula")
    assert_array_equal(wide.coupling("soft_hgr"), np.eye(2))  # constant columns say nothing


def test_a_measured_coupling_is_read_as_the_network_reads():
    data, y = some(present=holes())
    objective = {"name": "dual", "gamma": "gaussian_copula", "rho": {"sound": 0.5, "shape": 0, "table": 1}}
    fit(MultimodalRecipe(**SMALL, objective=objective), data, y)


def test_an_objective_is_kept_as_plain_values_and_described(tmp_path):
    objective = {"name": "mmdro", "rho": np.float64(0.5), "gamma": np.ones((1, 1))}
    recipe = make("mlp", width=4, epochs=1, batch_size=8, device="cpu", objective=objective)
    objective["rho"] = -1
    assert json.loads(json.dumps(recipe.objective)) == {"name": "mmdro", "rho": 0.5, "gamma": [[1.0]]}
    assert describe(recipe)["objective"] == recipe.objective
    data, y = halves(12, (4, 4))
    predictor = recipe.fit(data, first(10, y), np.empty(0, np.int64), None, 2, generator(0))
    predictor.save(tmp_path / "kept.safetensors")
    kept = load(tmp_path / "kept.safetensors", device="cpu")
    assert kept.recipe.objective == recipe.objective
    for name in TABLE:
        assert wished(name) == wished({"name": name})


@pytest.mark.parametrize(
    "recipe, objective, words",
    [
        ("multimodal", "mmdor", "Did you mean 'mmdro'"),
        ("multimodal", {"name": "mmdro", "rh": 1}, "objective.rh is unknown for 'mmdro'. Did you mean 'rho'"),
        ("multimodal", None, "objective must be a name"),
        ("multimodal", {"rho": 1}, "objective must be a name"),
        ("multimodal", {"name": "mmdro", "rho": {"a": -1}}, "rho of 'a' must be a number of at least 0"),
        ("multimodal", {"name": "dual", "rho": inf}, "objective.rho must be a number"),
        ("multimodal", {"name": "dual", "rho": {}}, "empty table"),
        ("multimodal", {"name": "dual", "gamma": 1.5}, "objective.gamma must be a number from -1 to 1"),
        ("multimodal", {"name": "dual", "gamma": [[1, 0.3], [0.3, 2]]}, r"entry \(1, 1\) is 2"),
        ("multimodal", {"name": "dual", "gamma": "hrg"}, "Did you mean 'hgr'"),
        ("multimodal", {"name": "dual", "budget": "first"}, "Did you mean 'first_order'"),
        ("multimodal", {"name": "dual", "budget": "precision"}, "infinite .* give a gamma"),
        ("multimodal", {"name": "mmdro", "momentum": 1}, r"momentum must lie in \[0, 1\)"),
        ("multimodal", {"name": "earlyfusion_dro", "radius": "sum"}, "No joint radius"),
        ("multimodal", {"name": "variational", "lr": 0}, "lr must be above 0"),
        ("multimodal", {"name": "variational", "hidden": 0}, "hidden must be a whole number"),
        ("multimodal", {"name": "cvar", "alpha": 0}, "alpha must be above 0"),
        ("multimodal", {"name": "group_dro", "groups": "site"}, "classes are the only groups"),
        ("multimodal", {"name": "group_dro", "step": -1}, "step must be a number"),
        ("mlp", "variational", "Take recipe 'multimodal'"),
        ("mlp", {"name": "earlyfusion_dro"}, "Take recipe 'multimodal'"),
        ("mlp", {"name": "mmdro", "rho": {"image": 1}}, "rho must be a number here"),
    ],
)
def test_what_makes_no_sense_is_refused(recipe, objective, words):
    with pytest.raises(InputError, match=words):
        make(recipe, objective=objective)


def test_super_loss_and_an_objective_are_refused_together_and_a_fit_refuses_an_infinite_budget():
    with pytest.raises(InputError, match="choose one of them"):
        Training(super_loss=0.25, objective="cvar")
    assert Training(super_loss=0.25, objective={"name": "erm"}).super_loss == 0.25
    data, y = some()
    recipe = MultimodalRecipe(**SMALL, objective={"name": "mmdro", "budget": "precision", "gamma": 1.0})
    with pytest.raises(InputError, match="'precision' is infinite"):
        fit(recipe, data, y)
    wrong = replace(recipe, objective={"name": "mmdro", "gamma": [[1, 0.2], [0.2, 1]]})
    with pytest.raises(InputError, match="gamma must have shape"):
        fit(wrong, data, y)
