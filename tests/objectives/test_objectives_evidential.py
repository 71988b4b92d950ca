"""Evidential losses in torch: against NumPy's and golden numbers, gradients against finite differences, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from functional.golden_numbers import cases
from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional import evidential_loss as plain
from labelwise.objectives.evidential import LOSSES, dirichlet_kl, evidential_loss
from labelwise.seeds import generator

GOLDEN = cases("evidential")
KINDS = {"squared_error": "mse", "log_likelihood": "log", "digamma": "digamma"}


def some(n=30, c=5, largest=1e4):
    rng = generator(0, "tests", "evidential", n)
    return np.exp(rng.uniform(np.log(1e-6), np.log(largest), (n, c))), rng.integers(0, c, n)


def test_by_hand():
    # no evidence, three classes: ψ(3) - ψ(1) = 1 + 1/2; ln 3; (2/3)² + 2 (1/3)² + 3 · (2/9) / 4 = 5/6
    nothing, y = torch.zeros(1, 3), torch.tensor([1])
    for kind, wanted in (("digamma", 1.5), ("log_likelihood", np.log(3)), ("squared_error", 5 / 6)):
        assert_allclose(evidential_loss(nothing, y, kind, kl_weight=1.0), [wanted], rtol=1e-14)
    # two classes, α = (2, 1): ln Γ(3) - ln Γ(2) + ψ(2) - ψ(3) = ln 2 - 1/2
    assert_allclose(dirichlet_kl(torch.tensor([1.0, 0.0])), np.log(2) - 0.5, rtol=1e-14)


def test_the_names_are_those_of_numpy():
    assert plain.LOSSES == LOSSES


@pytest.mark.parametrize("kind", LOSSES)
def test_losses_equal_golden_numbers(kind):
    data, out = GOLDEN["edl"]["in"], GOLDEN["edl"]["out"]
    evidence, y = torch.tensor(data["evidence"]), torch.tensor(data["labels"])
    for row, step in enumerate(data["step"]):
        weight = plain.annealing(int(step), int(data["annealing_step"]))
        got = evidential_loss(evidence, y, kind, kl_weight=weight)
        assert_allclose(got, out[f"{KINDS[kind]}_per_sample"][row], rtol=1e-10)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("kl_weight", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_losses_equal_those_of_numpy(kind, kl_weight, dtype):
    e, y = some()
    evidence = torch.tensor(e, dtype=dtype)
    got = evidential_loss(evidence, torch.tensor(y), kind, kl_weight=kl_weight)
    wanted = plain.evidential_loss(evidence.double().numpy(), y, kind, kl_weight=kl_weight)
    assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)


def test_kl_equals_that_of_numpy_on_any_axes():
    e = some(12)[0].reshape(3, 4, 5)
    assert_allclose(dirichlet_kl(torch.tensor(e)), plain.dirichlet_kl(e), rtol=1e-9, atol=1e-11)
    assert dirichlet_kl(torch.zeros(2, 4)).tolist() == [0, 0]


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_equal_finite_differences_of_numpy(kind):
    e, y = some(6, 4, largest=50)
    evidence = torch.tensor(e, requires_grad=True)
    evidential_loss(evidence, torch.tensor(y), kind, kl_weight=0.7).sum().backward()
    for row, column in np.ndindex(e.shape):
        h = 1e-4 * max(1e-3, e[row, column])
        if e[row, column] < h:
            continue
        up, down = e.copy(), e.copy()
        up[row, column] += h
        down[row, column] -= h
        rise = [plain.evidential_loss(x, y, kind, kl_weight=0.7)[row] for x in (up, down)]
        assert_allclose(evidence.grad[row, column], (rise[0] - rise[1]) / (2 * h), rtol=1e-4, atol=1e-6)


def test_half_precision_is_computed_in_double():
    e, y = some(8, largest=100)
    rough = torch.tensor(e, dtype=torch.bfloat16)
    got = evidential_loss(rough, torch.tensor(y))
    assert got.dtype == torch.float64
    assert_allclose(got, plain.evidential_loss(rough.double().numpy(), y), rtol=1e-9)


def test_bad_input_is_refused():
    e, y = torch.ones(3, 2), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(UnknownName):
        evidential_loss(e, y, "digama")
    with pytest.raises(InputError, match="kl_weight"):
        evidential_loss(e, y, kl_weight=-1)
    with pytest.raises(InputError, match="int64"):
        evidential_loss(e.long(), y)
    with pytest.raises(ShapeError, match=r"\(3, 2\) and \(2,\)"):
        evidential_loss(e, y[:2])
