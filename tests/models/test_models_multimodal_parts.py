"""The parts of multimodal networks: fusion rules against NumPy's and golden numbers, temperature, bytes and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from functional.golden_numbers import cases
from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional.evidence import dempster_shafer, weighted_fusion
from labelwise.models.multimodal.calibration import LEAST, MOST, evidence_temperature
from labelwise.models.multimodal.fusion import RULES, fuse
from labelwise.models.multimodal.reading import Held
from labelwise.seeds import generator

GOLDEN = cases("evidential")
W = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)


def some(n=20, m=3, c=4):
    rng = generator(0, "tests", "fusion")
    present = rng.random((n, m)) < 0.7
    present[:, 0] |= ~present.any(1)
    return rng.gamma(0.5, 20, (n, m, c)), present


def test_rules_equal_those_of_numpy():
    e, present = some()
    told = {rule: fuse(rule, torch.tensor(e), torch.tensor(present), W).numpy() for rule in RULES}
    assert_allclose(told["weighted"], weighted_fusion(e, W.numpy(), present=present), rtol=1e-12)
    assert_allclose(told["dempster-shafer"], dempster_shafer(e, present=present), rtol=1e-12)
    for row in range(len(e)):
        here = e[row][present[row]]
        assert_allclose(told["mean"][row], here.mean(0), rtol=1e-12)
        p = ((here + 1) / (here + 1).sum(1, keepdims=True)).prod(0)
        got = told["product"][row] + 1
        assert_allclose(got / got.sum(), p / p.sum(), rtol=1e-10)


def test_rules_equal_golden_numbers():
    e = torch.tensor(GOLDEN["ds"]["in"]["evidence"]).movedim(0, 1)
    all_there = torch.ones(e.shape[:2], dtype=torch.bool)
    assert_allclose(
        fuse("dempster-shafer", e, all_there, W) + 1, GOLDEN["ds"]["out"]["alpha_3view"], rtol=1e-10
    )
    given = GOLDEN["weighted"]["in"]
    e, w = torch.tensor(given["evidence"]).movedim(0, 1), torch.tensor(given["weights"])
    assert_allclose(fuse("weighted", e, all_there, w) + 1, GOLDEN["weighted"]["out"]["alpha"], rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_laws_of_fusion(rule):
    e, present = some()
    whole, there = torch.tensor(e), torch.tensor(present)
    turn = [2, 0, 1]
    assert_allclose(
        fuse(rule, whole, there, W), fuse(rule, whole[:, turn], there[:, turn], W[turn]), rtol=1e-12
    )
    junk = torch.where(there[..., None], whole, torch.nan)
    assert_array_equal(fuse(rule, junk, there, W), fuse(rule, whole, there, W))
    assert (fuse(rule, whole, there, W) >= 0).all()
    assert_array_equal(fuse(rule, whole, torch.zeros_like(there), W), 0)
    alone = torch.tensor([[True, False, False]] * len(e))
    share = 0.2 if rule == "weighted" else 1
    assert_allclose(fuse(rule, whole, alone, W), share * e[:, 0], rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_gradients_of_fusion(rule):
    e, present = some(4)
    x = torch.tensor(e, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: fuse(rule, x, torch.tensor(present), W), (x,))


def test_an_unknown_rule_is_refused():
    with pytest.raises(UnknownName, match="fusion rule"):
        fuse("sum", torch.ones(1, 2, 2), torch.ones(1, 2, dtype=torch.bool), W[:2])


def nll(z, y, t):
    alpha = np.log1p(np.exp(z / t)) + 1
    return -np.log(alpha[np.arange(len(y)), y] / alpha.sum(1)).mean()


def test_the_temperature_is_the_best_of_a_fine_grid():
    rng = generator(0, "tests", "temperature")
    y = rng.integers(0, 4, 300)
    z = rng.normal(0, 1, (300, 4)) + 1.5 * np.eye(4)[y]
    found = evidence_temperature(z, y)
    grid = np.geomspace(LEAST, MOST, 2000)
    assert LEAST < found < MOST
    assert nll(z, y, found) <= min(nll(z, y, t) for t in grid) + 1e-12
    assert nll(z, y, found) < nll(z, y, 1.0)


def test_the_temperature_stays_within_its_bounds():
    y = np.array([0, 1, 2])
    assert evidence_temperature(np.eye(3) * 4 - 2, y) == pytest.approx(
        LEAST
    )  # all right: the surer, the better
    assert evidence_temperature(np.eye(3)[[1, 2, 0]] * 4, y) == pytest.approx(MOST)  # all wrong


def test_bad_input_of_the_temperature_is_refused():
    with pytest.raises(InputError, match="row 1 holds nan"):
        evidence_temperature([[0.0, 1], [np.nan, 0]], [0, 1])
    with pytest.raises(ShapeError):
        evidence_temperature([0.0, 1], [0, 1])
    with pytest.raises(InputError, match="empty"):
        evidence_temperature(np.empty((0, 2)), np.empty(0, np.int64))


def test_bytes_and_floats_come_back_as_they_were():
    rng = generator(0, "tests", "held")
    image = rng.integers(0, 256, (5, 3, 2, 1)).astype(np.uint8)
    table, there = rng.normal(size=(5, 3)).astype(np.float32), rng.random((5, 2)) < 0.5
    rows = np.concatenate(
        [image.reshape(5, -1), np.ascontiguousarray(table).view(np.uint8), there.view(np.uint8)], axis=1
    )
    held = Held(rows, ((True, (3, 2, 1)), (False, (3,))))
    for some in (slice(None), slice(1, 2), slice(0, 0), slice(4, 5)):
        (a, b), present = held.apart(torch.from_numpy(rows)[some])
        assert_array_equal(a, image[some])
        assert_array_equal(b, table[some])
        assert_array_equal(present, there[some])
    assert_array_equal(held.present(2), there)


def test_modality_dropout_drops_its_share_and_never_all():
    from labelwise.models.device import seeded
    from labelwise.models.multimodal.network import Branch, MultimodalNetwork

    branches = [Branch(torch.nn.Identity(), 2, 4, 3) for _ in range(3)]
    network = MultimodalNetwork(
        branches,
        None,
        None,
        weights=torch.full((3,), 1 / 3),
        learned=torch.ones(3, dtype=torch.bool),
        fusion="mean",
        modality_dropout=0.4,
    )
    there = torch.from_numpy(some(2000)[1])
    with seeded(0, torch.device("cpu")):
        kept = network.train()._kept(there)
    assert (kept <= there).all() and kept.any(1).all()
    whole = there.all(1)
    # each is kept with 0.6, and all three with 0.4³ too, where none would be
    assert_allclose(kept[whole].float().mean(), 0.6 + 0.4**3, atol=0.04)
    assert torch.equal(network.eval()._kept(there), there)
