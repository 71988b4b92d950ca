"""EL2N, GraNd and SuperLoss: literals, golden numbers, gradients, bad input."""

from math import e, log, sqrt

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.importance import el2n, grand, super_loss, super_loss_weight
from labelwise.seeds import generator


def test_el2n_by_hand():
    p = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    assert_allclose(el2n(p, [0, 0, 1]), [0, sqrt(2), sqrt(0.5)])  # right, wrong, undecided
    assert_allclose(grand(p, [[3.0, 4.0]] * 3, [0, 0, 1], bias=False), [0, 5 * sqrt(2), 5 * sqrt(0.5)])
    assert_allclose(grand(p, [[3.0, 4.0]] * 3, [0, 0, 1]), [0, sqrt(2 * 26), sqrt(0.5 * 26)])


@pytest.mark.parametrize("case", ["main", "c2", "uniform"])
def test_el2n_and_grand_equal_golden_numbers(case):
    numbers = cases("el2n_grand")[case]
    y, z, p, out = numbers["in"]["labels"], numbers["in"]["features"], numbers["out"]["probs"], numbers["out"]
    assert_allclose(el2n(p, y), out["el2n"], rtol=0, atol=1e-10)
    assert_allclose(grand(p, z, y), out["grand_wb"], rtol=0, atol=1e-10)
    assert_allclose(grand(p, z, y, bias=False), out["grand_w"], rtol=0, atol=1e-10)
    for k in range(len(p)):
        assert_allclose(el2n(p[k], y), out["el2n_per_model"][k], rtol=0, atol=1e-10)
        assert_allclose(el2n(p[k], y), out["grand_b_per_model"][k], rtol=0, atol=1e-10)  # the bias' gradient
        assert_allclose(grand(p[k], z[k], y), out["grand_wb_per_model"][k], rtol=0, atol=1e-10)
    if case == "main":  # the norm of the mean is another thing than the mean of norms
        assert np.abs(el2n(p, y) - out["norm_of_mean_residual"]).max() > 0.01


def test_el2n_keeps_its_digits_where_a_sample_is_learnt():
    p = [[1 - 1e-9, 1e-9]]
    assert_allclose(el2n(p, [0]), sqrt(2) * 1e-9, rtol=1e-6)


def test_grand_is_the_norm_of_torchs_gradient():
    torch = pytest.importorskip("torch")
    rng = generator(0, "tests", "grand")
    z, y = rng.normal(size=(5, 4)), rng.integers(3, size=5)
    layer = torch.nn.Linear(4, 3).double()
    probs = layer(torch.from_numpy(z)).softmax(dim=1)
    wanted = []
    for i in range(5):
        layer.zero_grad()
        torch.nn.functional.cross_entropy(
            layer(torch.from_numpy(z[i : i + 1])), torch.tensor(y[i : i + 1])
        ).backward()
        wanted.append(sqrt(sum(float((p.grad**2).sum()) for p in layer.parameters())))
    assert_allclose(grand(probs, torch.from_numpy(z), y), wanted, rtol=1e-12)


def test_super_loss_by_hand():
    tau = log(10)
    assert_allclose(super_loss_weight([tau, tau + 1, tau + 2], tau, 1.0), [1, 0.7035, 0.5671], atol=5e-5)
    assert_allclose(super_loss_weight([tau + 1, tau + 2], tau, 0.25), [0.4263, 0.3005], atol=5e-5)
    assert_array_equal(
        super_loss_weight([tau - 2 / e - 1e-9, 0, -5], tau, 1.0), [e, e, e]
    )  # clamped, and no NaN
    assert_allclose(super_loss([tau, 0], tau, 1.0), [0, -tau * e + 1])
    assert_allclose(super_loss_weight([0, 1, 9], 1.0, 1e9), [1, 1, 1], atol=1e-8)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_super_loss_equals_golden_numbers(row):
    numbers = cases("superloss")["grid"]
    losses, tau, lam = (
        numbers["in"]["task_loss"],
        float(numbers["in"]["tau"]),
        float(numbers["in"]["lam"][row]),
    )
    out = {name: values[row] for name, values in numbers["out"].items()}
    branch = out["at_branch_point"].astype(bool)  # a square root's singularity: half the digits
    got = super_loss_weight(losses, tau, lam)
    assert_allclose(got[~branch], out["sigma"][~branch], rtol=0, atol=1e-9)
    assert_allclose(got[branch], out["sigma"][branch], rtol=0, atol=1e-6)
    assert_array_equal(got[out["clamped"].astype(bool) & ~branch], e)
    assert_allclose(got[~branch], out["grad"][~branch], rtol=0, atol=1e-9)
    assert_allclose(super_loss(losses, tau, lam), out["superloss"], rtol=0, atol=1e-9)
    assert_allclose(super_loss(losses, tau, lam).mean(), out["superloss_mean"], rtol=0, atol=1e-9)
    assert_allclose(tau - 2 * lam / e, out["clamp_threshold"], rtol=0, atol=1e-9)


def test_super_loss_of_logits_equals_golden_numbers():
    numbers = cases("superloss")["logits"]
    z, y, tau = numbers["in"]["logits"], numbers["in"]["labels"], float(numbers["in"]["tau"])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    losses = -np.log(p[np.arange(len(y)), y])
    assert_allclose(losses, numbers["out"]["ce"], rtol=0, atol=1e-9)
    for lam in numbers["in"]["lam"]:
        got, out = super_loss_weight(losses, tau, lam), numbers["out"]
        assert_allclose(got, out[f"sigma_lam{lam}"], rtol=0, atol=1e-9)
        assert_allclose(
            super_loss(losses, tau, lam), out[f"superloss_per_sample_lam{lam}"], rtol=0, atol=1e-9
        )
        assert_allclose(
            super_loss(losses, tau, lam).mean(), out[f"superloss_mean_lam{lam}"], rtol=0, atol=1e-9
        )
        assert_allclose(got * el2n(p, y), out[f"score_sigma_times_el2n_lam{lam}"], rtol=0, atol=1e-9)
        gradient = got[:, None] * (p - np.eye(p.shape[1])[y]) / len(y)
        assert_allclose(gradient, out[f"dmeanloss_dlogits_lam{lam}"], rtol=0, atol=1e-9)


def test_tau_may_be_the_mean_of_the_losses():
    numbers = cases("superloss")["tau_modes"]
    losses, tau = numbers["in"]["losses"], float(numbers["out"]["tau_mean"])
    got = super_loss_weight(losses, losses.mean(), 1.0)
    assert_allclose(got, super_loss_weight(losses, tau, 1.0), rtol=1e-12)
    assert_array_equal(got > 1, losses < tau)


@given(
    losses=hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1e6)),
    tau=st.floats(0, 10),
    lam=st.floats(1e-3, 1e3),
)
def test_super_loss_is_least_at_its_weight_and_falls_with_the_loss(losses, tau, lam):
    weights, values = super_loss_weight(losses, tau, lam), super_loss(losses, tau, lam)
    assert ((weights >= 0) & (weights <= e)).all()
    order = np.argsort(losses)
    assert (np.diff(weights[order]) <= 1e-7).all()
    for other in (0.5, 0.99, 1.01, 2):
        sigma = np.minimum(weights * other, e)
        there = sigma > 0
        wanted = (losses - tau)[there] * sigma[there] + lam * np.log(sigma[there]) ** 2
        assert (values[there] <= wanted + 1e-9 * (1 + np.abs(wanted))).all()


def test_the_slope_of_super_loss_is_its_weight():
    losses, step = np.linspace(0.1, 8, 50), 1e-6
    slope = (super_loss(losses + step, 2.0, 0.7) - super_loss(losses - step, 2.0, 0.7)) / (2 * step)
    assert_allclose(slope, super_loss_weight(losses, 2.0, 0.7), atol=1e-7)


def test_an_impossible_label_weighs_nothing():
    assert_array_equal(super_loss_weight([np.inf], 1.0, 1.0), [0])
    assert_array_equal(super_loss([np.inf], 1.0, 1.0), [np.inf])


def test_what_is_wrong_is_said():
    p = np.full((3, 2), 0.5)
    with pytest.raises(ShapeError, match=r"y must have shape \(n=3\)"):
        el2n(p, [0, 1])
    with pytest.raises(InputError, match="row 2 is label 2; with 2 classes"):
        el2n(p, [0, 1, 2])
    with pytest.raises(DistributionError, match="row 1 is no distribution"):
        el2n([[0.5, 0.5], [0.9, 0.5]], [0, 0])
    with pytest.raises(ShapeError, match=r"embeddings must have shape \(K=1, n=3, D\)"):
        grand(p, np.ones((2, 4)), [0, 0, 0])
    with pytest.raises(InputError, match="embeddings: row 1 is not finite"):
        grand(p, [[1.0], [np.nan], [1.0]], [0, 0, 0])
    with pytest.raises(InputError, match="loss: row 1 is NaN"):
        super_loss([1.0, np.nan], 1.0, 1.0)
    for lam in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="lam must be finite and above 0"):
            super_loss_weight([1.0], 1.0, lam)
    with pytest.raises(InputError, match="tau must be finite"):
        super_loss_weight([1.0], np.nan, 1.0)
