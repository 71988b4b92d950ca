"""The SuperLoss in torch: against NumPy and SciPy, fifty decimal digits, golden numbers and autograd."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import e, inf, log

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from functional.golden_numbers import cases
from labelwise.errors import InputError
from labelwise.functional import importance
from labelwise.objectives.losses import super_loss, super_loss_weight

DTYPES = [torch.float64, torch.float32]
# SciPy's own W loses half the digits within 1e-6 of its branch point; these β stay clear of it and of the clamp.
WIDE = np.concatenate(
    [[-1e6, -10, -1, -0.74], -2 / e + np.logspace(-2, 0, 30), np.logspace(-12, 15, 60), [0.0]]
)


def losses(values, dtype=torch.float64):
    return torch.tensor(np.asarray(values), dtype=dtype)


def truth(beta):
    """Return exp(-W(β/2)) by bisection with 50 digits; β as the number that the float is, above -2/e."""
    with localcontext() as context:
        context.prec = 50
        half, low, high = Decimal(float(beta)) / 2, Decimal(-1), Decimal(50)
        for _ in range(120):
            middle = (low + high) / 2
            if middle * middle.exp() < half:
                low = middle
            else:
                high = middle
        return float((-low).exp())


def test_weights_by_hand():
    tau = log(10)
    got = super_loss_weight(losses([tau, tau + 1, tau + 2]), tau, 1.0)
    assert_allclose(got, [1, 0.7035, 0.5671], atol=5e-5)
    # β/2 = w e^w at w = 1, 2: the weight is e^-w, the value 2 λ w + λ w²
    hard = losses([2 * e, 4 * e**2])
    assert_allclose(super_loss_weight(hard, 0.0, 1.0), [1 / e, 1 / e**2], rtol=1e-14)
    assert_allclose(super_loss(hard, 0.0, 1.0), [3, 8], rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau,lam", [(0.0, 1.0), (2.0, 0.25), (1.5, 1024.0)])  # floats of either type
def test_weights_and_values_equal_those_of_scipy(dtype, tau, lam):
    x = losses(tau + lam * WIDE, dtype)
    # the rounding of τ + λ β moves some of them close to the clamp, where SciPy's digits end
    x = x[((x.double() - tau) / lam + 2 / e).abs() > 1e-3]
    wanted = x.double().numpy()
    digits = 1e-12 if dtype == torch.float64 else 1e-6
    got, values = super_loss_weight(x, tau, lam), super_loss(x, tau, lam)
    assert got.dtype == values.dtype == dtype
    assert_allclose(got, importance.super_loss_weight(wanted, tau, lam), rtol=digits, atol=digits)
    assert_allclose(values, importance.super_loss(wanted, tau, lam), rtol=digits, atol=digits * lam)


@pytest.mark.parametrize("dtype", DTYPES)
def test_hard_samples_keep_the_digits_of_their_small_weights(dtype):
    x = losses(np.logspace(0, 15, 40), dtype)
    wanted = importance.super_loss_weight(x.double().numpy(), 0.0, 1.0)
    digits = 1e-14 if dtype == torch.float64 else 1e-6
    assert_allclose(super_loss_weight(x, 0.0, 1.0), wanted, rtol=digits, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_are_exact_beside_the_branch_point(dtype):
    edge = torch.tensor(-2 / e, dtype=dtype)
    step = torch.finfo(dtype).eps
    x = edge + torch.logspace(np.log10(step), -1, 25, dtype=dtype)
    x = x[x.double() > -2 / e]
    got = super_loss_weight(x, 0.0, 1.0)
    assert_allclose(got, [truth(value) for value in x.tolist()], rtol=8 * step)
    assert (got.diff() <= 0).all() and got[0] < e


@pytest.mark.parametrize("dtype", DTYPES)
def test_easy_samples_weigh_exactly_e(dtype):
    below = torch.nextafter(torch.tensor(-2 / e, dtype=dtype), torch.tensor(-1.0, dtype=dtype))
    x = torch.stack([below, *losses([-0.74, -1, -1e30, -inf], dtype)])
    assert_array_equal(super_loss_weight(x, 0.0, 1.0), torch.full((5,), e, dtype=dtype))
    # (loss - τ) e + λ
    assert_allclose(super_loss(x[1:3], 0.0, 1.0), [1 - 0.74 * e, 1 - e], rtol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float16, torch.bfloat16])
def test_an_impossible_label_weighs_nothing_and_nan_stays_nan(dtype):
    x = losses([inf, np.nan, 1.0], dtype).requires_grad_(True)
    weights, values = super_loss_weight(x, 1.0, 0.5), super_loss(x, 1.0, 0.5)
    assert weights.dtype == values.dtype == dtype
    assert_array_equal(weights.float(), [0, np.nan, 1])
    assert_array_equal(values.detach().float(), [inf, np.nan, 0])
    values.sum().backward()
    assert_array_equal(x.grad.float(), [0, np.nan, 1])


def test_half_precision_is_computed_in_float32():
    x = losses([0.5, 2.0, 6.0], torch.float16)
    assert torch.equal(super_loss_weight(x, 2.3, 0.25), super_loss_weight(x.float(), 2.3, 0.25).half())
    assert torch.equal(super_loss(x, 2.3, 0.25), super_loss(x.float(), 2.3, 0.25).half())


@pytest.mark.parametrize("row", [0, 1, 2])
def test_super_loss_equals_golden_numbers(row):
    numbers = cases("superloss")["grid"]
    tau, lam = float(numbers["in"]["tau"]), float(numbers["in"]["lam"][row])
    x = losses(numbers["in"]["task_loss"]).requires_grad_(True)
    out = {name: values[row] for name, values in numbers["out"].items()}
    branch = out["at_branch_point"].astype(bool)  # a square root's singularity: half the digits of the input
    got, values = super_loss_weight(x, tau, lam), super_loss(x, tau, lam)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    assert_allclose(got[~branch], out["sigma"][~branch], rtol=0, atol=1e-12)
    assert_allclose(slopes[~branch], out["grad"][~branch], rtol=0, atol=1e-9)
    assert_allclose(got[branch], out["sigma"][branch], rtol=0, atol=1e-6)
    assert_array_equal(got[out["clamped"].astype(bool) & ~branch], e)
    assert_allclose(values.detach(), out["superloss"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("lam", [0.25, 1.0, 2.0])
def test_the_gradient_of_logits_equals_golden_numbers(lam):
    numbers = cases("superloss")["logits"]
    logits = losses(numbers["in"]["logits"]).requires_grad_(True)
    y, tau, out = torch.tensor(numbers["in"]["labels"]), float(numbers["in"]["tau"]), numbers["out"]
    plain = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    assert_allclose(super_loss_weight(plain, tau, lam), out[f"sigma_lam{lam}"], rtol=0, atol=1e-12)
    mean = super_loss(plain, tau, lam).mean()
    assert_allclose(mean.detach(), out[f"superloss_mean_lam{lam}"], rtol=0, atol=1e-12)
    mean.backward()
    assert_allclose(logits.grad, out[f"dmeanloss_dlogits_lam{lam}"], rtol=0, atol=1e-12)


def test_autograd_gives_the_weight_and_so_do_differences():
    x = losses(np.linspace(0.01, 9, 60)).requires_grad_(True)
    super_loss(x, 2.0, 0.7).sum().backward()
    assert torch.equal(x.grad, super_loss_weight(x, 2.0, 0.7))
    with torch.no_grad():
        step = 1e-6
        slope = (super_loss(x + step, 2.0, 0.7) - super_loss(x - step, 2.0, 0.7)) / (2 * step)
    assert_allclose(x.grad, slope, atol=1e-8)  # a weight's change is at most 1/p of the step, p = √(eβ + 2)
    assert not super_loss_weight(x, 2.0, 0.7).requires_grad


def test_large_lambda_leaves_the_loss_but_for_tau():
    x = losses([0.0, 1, 5, 20])
    assert_allclose(super_loss_weight(x, 2.3, 1e9), np.ones(4), atol=2e-8)
    assert_allclose(super_loss(x, 2.3, 1e9), x - 2.3, atol=1e-6)


def test_any_shape_is_weighed_and_the_input_stays():
    x = losses(np.arange(6.0)).reshape(2, 3)
    before = x.clone()
    assert_array_equal(super_loss(x, 1.0, 1.0).ravel(), super_loss(x.ravel(), 1.0, 1.0))
    assert torch.equal(x, before)
    assert super_loss_weight(losses([]), 1.0, 1.0).shape == (0,)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_numbers_without_waiting():
    x = losses(WIDE)
    wanted, there = super_loss(x, 0.0, 1.0), x.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = super_loss(there, 0.0, 1.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_allclose(got.cpu(), wanted, rtol=1e-12, atol=1e-12)


def test_what_is_wrong_is_said():
    for lam in (0.0, -1.0, np.nan, inf):
        with pytest.raises(InputError, match="lam must be"):
            super_loss_weight(losses([1.0]), 1.0, lam)
    with pytest.raises(InputError, match="tau must be a number; it is nan"):
        super_loss(losses([1.0]), np.nan, 1.0)
    with pytest.raises(InputError, match=r"loss must hold floats; it holds torch.int64"):
        super_loss(torch.tensor([1, 2]), 1.0, 1.0)
