"""DeepFool and its kin over all modalities at once, and draws that differ in every layer with dropout."""

import numpy as np
import pytest
import torch
from model_data import NOBODY
from multimodal_data import SMALL, fit, holes, some, told
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from labelwise import Campaign, Plan, make
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.models.draws import dropout_layers
from labelwise.models.multimodal.network import Branch, Joint, MultimodalNetwork, Read
from labelwise.models.multimodal.recipe import MultimodalRecipe
from labelwise.models.probes import FAR, OVERSHOOT, PROBES, boundary, deepfool
from labelwise.oracle import SimulatedOracle
from labelwise.store.memory import MemoryStore

SCALARS = frozenset(f"scalars.{name}" for name in PROBES)


def linear(weight):
    layer = nn.Linear(len(weight[0]), len(weight), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
    return layer


def additive():
    """Two modalities of one and two numbers, whose projections' mean is the logits: linear for each set present."""
    branches = []
    for size in (1, 2):
        branch = Branch(nn.Identity(), size, 3, 3)
        branch.projection = linear([[1.0] * size, [0.0] * size, [0.0, 2.0][-size:]])
        branches.append(branch)
    network = MultimodalNetwork(
        branches,
        nn.Identity(),
        linear(np.eye(3).tolist()),
        weights=torch.tensor([0.5, 0.5]),
        learned=torch.tensor([True, True]),
        fusion="head",
        modality_dropout=0.0,
    )
    return network.eval()


def test_the_boundary_by_hand():
    # z = mean of W_m x_m over what is there, W_1 = (1, 0, 2)', W_2 = (1, 1; 0, 0; 0, 2): the distance is that to the
    # nearest of two planes; what is missing holds numbers that no distance may know of
    network = additive()
    joint = Joint(network)
    a, b = torch.tensor([[2.0], [2.0], [0.0]]), torch.tensor([[1.0, 0.0], [9.0, 9.0], [4.0, 0.0]])
    present = torch.tensor([[True, True], [True, False], [False, True]])
    rows = joint.rows(Read((a, b), present))
    weight = [p.projection.weight.detach().numpy() for p in network.branches]
    wanted = []
    for i, there in enumerate(present.numpy()):
        share = there / there.sum()
        w = np.hstack([s * part for s, part in zip(share, weight, strict=True)])
        x = np.hstack([a[i].numpy(), b[i].numpy()])
        z = w @ x
        y = z.argmax()
        gaps = [(z[y] - z[k]) / np.linalg.norm(w[y] - w[k]) for k in range(3) if k != y]
        wanted.append(min(gaps))
    found = boundary(joint, rows)
    assert_allclose(found, wanted, rtol=1e-5)
    r, flipped = deepfool(joint, rows)
    assert flipped.all()
    assert_array_equal(r[:, 3:], 0)  # what is present stays so
    assert_array_equal(r[1, 1:3], 0)  # what is missing stays where it was
    assert_array_equal(r[2, :1], 0)
    assert (r[0, :3] != 0).all()  # all modalities move together


@pytest.mark.parametrize("fusion", ["head", "dempster-shafer"])
def test_the_steps_flip_the_label_and_no_modality_that_is_missing_moves(fusion):
    data, y = some(present=holes())
    predictor = fit(MultimodalRecipe(fusion=fusion, **SMALL), data, y)
    ids, present = np.arange(12), holes()[:12]
    held = predictor.reading.read(data, ids)
    prepare = predictor.reading.preparation(held, torch.device("cpu"), channels_last=True)
    joint = Joint(predictor.network)
    rows = joint.rows(prepare(torch.from_numpy(held.rows.copy())))
    s = told(predictor, data, frozenset({"probs"}), ids)
    assert_allclose(joint(rows).softmax(1).detach(), s.probs, atol=1e-5)
    r, flipped = deepfool(joint, rows)
    assert flipped.float().mean() > 0.9
    moved = joint(rows + (1 + OVERSHOOT) * r).detach()
    before = moved.gather(1, torch.tensor(s.probs).argmax(1, keepdim=True))[:, 0]
    assert (moved.max(1).values - before >= 0)[flipped].all()
    assert (moved.max(1).values > before)[
        flipped
    ].float().mean() > 0.9  # some end on the boundary to the last bit
    sizes = [24, 40, 7]
    for m, part in enumerate(torch.split(r[:, :-3], sizes, dim=1)):
        assert_array_equal(part[~present[:, m]], 0)
    assert_array_equal(r[:, -3:], 0)
    distance = told(predictor, data, frozenset({"scalars.boundary"}), ids).scalars["boundary"]
    assert_allclose(distance[flipped.numpy()], r.norm(dim=1)[flipped], rtol=1e-3)


def test_probes_answer_beside_other_signals_whatever_the_block_and_leave_the_network():
    data, y = some(present=holes())
    predictor = fit(MultimodalRecipe(infer_batch=4, **SMALL), data, y)
    before = {name: value.clone() for name, value in predictor.network.state_dict().items()}
    ids = np.arange(6)
    both = told(predictor, data, SCALARS | {"probs"}, ids)
    assert both.names == SCALARS | {"probs"}
    for name, values in both.scalars.items():
        assert values.shape == (6,) and np.isfinite(values).all(), name
        assert (values >= 0).all() or name == "sharpness_rise"
    one = fit(MultimodalRecipe(infer_batch=50, **SMALL), data, y)
    for name, values in told(one, data, SCALARS, ids).scalars.items():
        assert_allclose(values, both.scalars[name], rtol=1e-2, atol=1e-4)
    for name, value in predictor.network.state_dict().items():
        assert torch.equal(value, before[name])
    assert told(predictor, data, SCALARS, NOBODY).scalars["boundary"].shape == (0,)


def test_where_nothing_is_read_no_step_flips_the_label():
    present = np.ones((40, 3), dtype=bool)
    present[:30, 0] = False  # so that `sound` is never learnt
    data, y = some(present=present)
    predictor = fit(MultimodalRecipe(**SMALL), data, y)
    only = np.zeros((40, 3), dtype=bool)
    only[:, 0] = True
    s = told(predictor, ArrayDataset(data.arrays, only), SCALARS, np.arange(5))
    assert_array_equal(s.scalars["boundary"], np.float32(FAR))
    assert np.isfinite(s.scalars["bim"]).all() and np.isfinite(s.scalars["sharpness"]).all()


@pytest.mark.parametrize("name", ["deepfool", "bim", "saal"])
def test_adversarial_strategies_run_on_several_modalities(name):
    data, y = some(40, present=holes())
    task = Task("three", data, ("a", "b", "c"), np.arange(30), Labelled(np.arange(30, 40), y[30:]))
    campaign = Campaign(
        task, MultimodalRecipe(**SMALL), make(name), MemoryStore(), Plan(start=9, batch=4, budget=13)
    )
    oracle = SimulatedOracle(y, 3)
    while ids := campaign.ask():
        campaign.tell(oracle.answer(ids))
    assert len(campaign.state.labels) == 13


@pytest.mark.parametrize("fusion", ["head", "weighted"])
def test_draws_differ_by_the_dropout_of_every_layer_that_has_some(fusion):
    data, y = some()
    recipe = MultimodalRecipe(fusion=fusion, dropout=0.5, draws=4, **SMALL)
    predictor = fit(recipe, data, y)
    network = predictor.network
    layers = dropout_layers(network)
    assert all(dropout_layers(branch.encoder) for branch in network.branches)
    apart = sum(len(dropout_layers(branch.encoder)) for branch in network.branches)
    assert len(layers) - apart == (1 if fusion == "head" else 0)  # before the fused head
    names = frozenset({"draws", "probs"})
    for kept in layers:
        for layer in layers:
            layer.p = 0.5 if layer is kept else 0.0
        s = told(predictor, data, names)
        assert (s.draws.std(axis=1).max(axis=1) > 1e-6).mean() > 0.9, (
            "equal draws are the known fault of BALD code"
        )
        assert not np.array_equal(s.draws[:, 0], s.probs)
    mutual = told(fit(recipe, data, y), data, names).draws
    entropy = lambda p: -(p * np.log(np.maximum(p, 1e-12))).sum(-1)  # noqa: E731
    assert (entropy(mutual.mean(1)) - entropy(mutual).mean(1) > 1e-6).mean() > 0.9
