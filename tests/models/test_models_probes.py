"""Probes against closed forms on linear networks, a plain reference on others, and what they must not touch."""

import numpy as np
import pytest
import torch
from model_data import NOBODY, first, halves
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from labelwise.campaign import Campaign
from labelwise.data.base import ArrayDataset
from labelwise.data.task import Task
from labelwise.errors import TrainingError
from labelwise.events import Plan
from labelwise.models import make, probes
from labelwise.models.probes import BIM_EPS, BIM_STEPS, FAR, OVERSHOOT, PROBES, RHO, bim, boundary, deepfool
from labelwise.models.probes import sharpness as sharp
from labelwise.models.probes import sharpness_rise as rise
from labelwise.models.torch import TorchRecipe
from labelwise.seeds import generator
from labelwise.signals import Signals
from labelwise.store.memory import MemoryStore
from labelwise.strategies import make as strategy

ALL = frozenset(f"scalars.{name}" for name in PROBES)
SMALL = {"width": 4, "epochs": 2, "batch_size": 8, "device": "cpu"}


def linear(weight, bias):
    layer = nn.Linear(np.shape(weight)[1], np.shape(weight)[0])
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight))
        layer.bias.copy_(torch.as_tensor(bias))
    return layer.eval()


def drawn(classes, width=6, n=50):
    rng = generator(0, "tests", "probes", classes)
    weight, bias, x = rng.normal(size=(classes, width)), rng.normal(size=classes), rng.normal(size=(n, width))
    return weight, bias, x, torch.tensor(x, dtype=torch.float32)


def hidden(classes=4, width=6, seed=0):
    """A network with bends, its weights from a seed."""
    rng = generator(seed, "tests", "hidden")
    layers = nn.Sequential(
        linear(rng.normal(size=(12, width)), rng.normal(size=12)),
        nn.Tanh(),
        linear(rng.normal(size=(classes, 12)), rng.normal(size=classes)),
    )
    return layers.eval()


def test_the_boundary_by_hand():
    # x = (1, 0): logits 3, 1, -4. Class 1 is 2 / ‖(0, -1) - (3, 0)‖ ... with w = rows below: f_1 = 1 - 3 = -2,
    # w_1 = (1, 2) - (3, 0) = (-2, 2): 2 / √8 = 0.7071; f_2 = -7, w_2 = (-4, 0) - (3, 0) = (-7, 0): 7 / 7 = 1.
    # Code that forgets its running minimum answers with the last class, 1.
    network = linear([[3.0, 0], [1, 2], [-4, 0]], [0.0, 0, 0])
    x = torch.tensor([[1.0, 0]])
    assert_allclose(boundary(network, x), [2 / np.sqrt(8)], rtol=1e-6)
    r, flipped = deepfool(network, x)
    assert flipped.all()
    assert_allclose(r, [[-0.5, 0.5]], rtol=1e-6)  # 2 / 8 · (-2, 2): both logits are then 1.5


@pytest.mark.parametrize("classes", [2, 3, 11])
def test_on_a_linear_network_the_boundary_is_the_distance_to_the_nearest_hyperplane(classes):
    weight, bias, x, tensor = drawn(classes)
    logits = x @ weight.T + bias
    answer = logits.argmax(1)
    nearest = []
    for i, y in enumerate(answer):
        others = [k for k in range(classes) if k != y]
        nearest.append(
            min((logits[i, y] - logits[i, k]) / np.linalg.norm(weight[y] - weight[k]) for k in others)
        )
    assert_allclose(boundary(linear(weight, bias), tensor), nearest, rtol=1e-4)


def test_of_many_classes_the_ten_most_probable_others_are_tried():
    weight, bias, x, tensor = drawn(30)
    logits = x @ weight.T + bias
    order = np.argsort(-logits, axis=1)[:, :11]
    nearest = [
        min((logits[i, o[0]] - logits[i, k]) / np.linalg.norm(weight[o[0]] - weight[k]) for k in o[1:])
        for i, o in enumerate(order)
    ]
    assert_allclose(boundary(linear(weight, bias), tensor), nearest, rtol=1e-4)


@torch.no_grad()
def slow_deepfool(network, x, steps=50):
    """Algorithm 2 of the paper for one sample, with the overshoot of the authors' code."""
    start = int(network(x[None]).argmax())
    total = torch.zeros_like(x)
    for _ in range(steps):
        at = x + (1 + OVERSHOOT) * total
        logits = network(at[None])[0]
        if int(logits.argmax()) != start:
            break
        with torch.enable_grad():
            slopes = torch.autograd.functional.jacobian(lambda a: network(a[None])[0], at)
        f, w = logits - logits[start], slopes - slopes[start]
        ways = [(float(f[k].abs() / w[k].norm()), k) for k in range(len(f)) if k != start]
        k = min(ways)[1]
        total = total + f[k].abs() / w[k].norm() ** 2 * w[k]
    return float(total.norm())


def test_deepfool_equals_the_paper_s_algorithm_on_a_network_with_bends():
    network, (_, _, _, x) = hidden(), drawn(4, n=30)
    r, flipped = deepfool(network, x)
    assert flipped.all()
    assert (network(x + (1 + OVERSHOOT) * r).argmax(1) != network(x).argmax(1)).all()
    assert_allclose(boundary(network, x), [slow_deepfool(network, one) for one in x], rtol=1e-3)


def test_a_sample_on_a_boundary_is_at_distance_0():
    network = linear([[1.0, 0], [0, 1]], [0.0, 0])
    assert_array_equal(boundary(network, torch.tensor([[2.0, 2], [3, 1]])), [0, torch.tensor(2.0).sqrt()])


@pytest.mark.parametrize("classes", [1, 3])
def test_labels_that_cannot_flip_get_finite_numbers_above_all_others(classes):
    network = linear(np.zeros((classes, 4)), np.arange(classes, dtype=float))
    x = torch.ones(2, 4)
    assert_array_equal(boundary(network, x), [FAR] * 2)
    assert_allclose(bim(network, x), BIM_EPS * BIM_STEPS * np.sqrt(4), rtol=1e-6)
    assert np.isfinite(sharp(network, x).numpy()).all()
    if classes == 1:
        assert_array_equal(sharp(network, x), 0)
        assert_array_equal(rise(network, x), 0)


@pytest.mark.parametrize("scale", [1.0, 1e4])  # the probabilities of the second are 0 and 1 in float32
def test_bim_on_two_classes_takes_as_many_steps_as_the_lead_needs(scale):
    weight, bias, x, tensor = drawn(2)
    lead = np.abs((x @ weight.T + bias) @ [1, -1])
    step = BIM_EPS * np.abs(weight[0] - weight[1]).sum()  # what a step of ε sign(w) takes from the lead
    steps = np.floor(lead / step) + 1
    assert (steps < BIM_STEPS).all()
    sizes = bim(linear(scale * weight, scale * bias), tensor)
    assert_allclose(sizes, steps * BIM_EPS * np.sqrt(6), rtol=1e-4)


def test_bim_follows_the_gradient_of_the_loss():
    network, (_, _, _, x) = hidden(seed=1), drawn(4, n=20)
    expected = []
    for one in x:
        start, moved = network(one[None]).argmax(1), torch.zeros_like(one)
        while int(network((one + moved)[None]).argmax()) == int(start):
            at = (one + moved).requires_grad_()
            loss = nn.functional.cross_entropy(network(at[None]), start)
            moved = moved + BIM_EPS * torch.autograd.grad(loss, at)[0].sign()
        expected.append(float(moved.norm()))
    assert_allclose(bim(network, x), expected, rtol=1e-4)


def losses(weight, bias, x, y):
    logits = x @ weight.T + bias
    top = logits.max()
    return top + np.log(np.exp(logits - top).sum()) - logits[y]


@pytest.mark.parametrize("classes", [2, 5])
def test_sharpness_on_a_linear_network_in_numpy(classes):
    weight, bias, x, tensor = drawn(classes)
    after, before = [], []
    for one in x:
        logits = weight @ one + bias
        p = np.exp(logits - logits.max())
        p /= p.sum()
        y = logits.argmax()
        slope = p - np.eye(classes)[y]  # of the loss, with respect to the logits
        g, h = np.outer(slope, one), slope
        length = np.sqrt(((weight * g) ** 2).sum() + ((bias * h) ** 2).sum())
        moved = weight + RHO * weight**2 * g / length, bias + RHO * bias**2 * h / length
        before.append(losses(weight, bias, one, y))
        after.append(losses(*moved, one, y))
    network = linear(weight, bias)
    assert_allclose(sharp(network, tensor), after, rtol=1e-4, atol=1e-7)
    assert_allclose(rise(network, tensor), np.subtract(after, before), rtol=1e-3, atol=1e-6)
    assert (rise(network, tensor) >= 0).all()


def fit(recipe, data, y):
    return recipe.fit(data, first(40, y), NOBODY, None, 2, generator(0, "tests"))


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_a_predictor_answers_probes_block_by_block_and_stays_as_it_was(name):
    data, y = halves(40, (8, 8))
    told = []
    whole = fit(make(name, **SMALL), data, y).infer(data, np.arange(40), ALL | {"probs"})
    predictor = fit(make(name, **SMALL, infer_batch=7, dropout=0.0), data, y)
    before = {key: value.clone() for key, value in predictor.network.state_dict().items()}
    grads = [p.grad.clone() for p in predictor.network.parameters()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    with torch.inference_mode():
        parts = predictor.infer(data, np.arange(40), ALL, lambda *at: told.append(at))
    assert parts.names == ALL
    assert whole.names == ALL | {"probs"}
    for probe in PROBES:
        assert parts.scalars[probe].dtype == np.float32
        assert_allclose(parts.scalars[probe], whole.scalars[probe], rtol=1e-3, atol=1e-5)
    assert told[-1] == (40, 40)
    assert len(told) == 6
    for key, value in predictor.network.state_dict().items():
        assert_array_equal(value, before[key])
    for p, grad in zip(predictor.network.parameters(), grads, strict=True):
        assert_array_equal(p.grad, grad)
    assert not predictor.network.training
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_probes_repeat_to_the_bit_and_nobody_has_none():
    data, y = halves(40, (8, 8))
    a, b = (fit(make("cnn", **SMALL), data, y).infer(data, np.arange(20), ALL) for _ in range(2))
    for probe in PROBES:
        assert_array_equal(a.scalars[probe], b.scalars[probe])
    nobody = fit(make("cnn", **SMALL), data, y).infer(data, NOBODY, ALL)
    assert {probe: len(values) for probe, values in nobody.scalars.items()} == dict.fromkeys(PROBES, 0)


def test_a_network_that_begins_in_place_is_probed_too():
    table = generator(0, "tests", "in place").normal(size=(40, 3))
    y = (table[:, 0] > 0).astype(int)

    def own(shape, classes):
        return nn.Sequential(nn.Hardtanh(-9, 9, inplace=True), nn.Linear(3, classes))

    recipe = TorchRecipe(own, epochs=3, batch_size=8, device="cpu")
    told = fit(recipe, ArrayDataset({"table": table}), y).infer(
        ArrayDataset({"table": table}), np.arange(9), ALL
    )
    assert isinstance(told, Signals)
    assert (told.scalars["boundary"] < FAR).all()


def test_probes_are_given_for_the_pool_only():
    gives = make("cnn").gives
    assert gives.pool - gives.labelled == gives.pool - gives.validation == ALL


@pytest.mark.parametrize("name,recipe", [("deepfool", "dfal"), ("bim", "mlp"), ("saal", "mlp")])
def test_a_campaign_by_probes_asks_the_same_after_restarts(name, recipe):
    data, y = halves(60, (8, 8))
    task = Task("halves", data, ("a", "b"), np.arange(60))

    def run(fresh):
        store, asks, made = MemoryStore(), [], make(recipe, **SMALL)
        plan = Plan(seed=3, start=6, batch=4, budget=18, candidates=20)
        campaign = Campaign(task, made, strategy(name), store, plan)
        while ids := campaign.ask():
            asks.append(ids)
            campaign.tell([(i, int(y[i])) for i in ids])
            if fresh:
                campaign = Campaign(task, made, strategy(name), store)
        return asks

    once = run(fresh=False)
    assert sum(map(len, once)) == 18
    assert run(fresh=True) == once


def test_a_probe_that_is_no_number_is_refused():
    data, y = halves(40, (8, 8))
    predictor = fit(make("mlp", **SMALL), data, y)
    with torch.no_grad():
        predictor.network.head.weight.fill_(1e38)
    with pytest.raises(
        TrainingError, match=r"scalars\.sharpness must be numbers; the network gives sample 3 "
    ):
        predictor.infer(data, np.arange(3, 9), frozenset({"scalars.sharpness"}))


def test_sharpness_of_many_at_once_is_that_of_one_at_a_time(monkeypatch):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(108, 4)).eval()
    x = torch.randn(70, 1, 8, 8)  # more than one block
    together = sharp(network, x)
    monkeypatch.setattr(probes, "AT_ONCE", 0)
    alone = sharp(network, x)
    assert together.shape == (70,) and together.std() > 0
    assert torch.allclose(together, alone, atol=1e-6)


def test_sharpness_reads_networks_whose_path_depends_on_values():
    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 3), nn.Linear(2, 3)])

        def forward(self, x):
            return self.layers[int(x.sum() > 0)](x)

    torch.manual_seed(0)
    fork = Fork().eval()
    x = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    each = torch.cat([sharp(fork.layers[0], x[1:]), sharp(fork.layers[1], x[:1])])
    # ε scales with the weights that move, and the other branch has no slope
    assert torch.allclose(sharp(fork, x), each.flip(0), atol=1e-6)
