"""WAAL: penalty and losses to the digit, both signs, and an estimate that grows with the distance."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from functional.golden_numbers import cases
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.errors import InputError, ShapeError
from labelwise.models.companions.waal import (
    WaalRecipe,
    critic_loss,
    gradient_norms,
    gradient_penalty,
    wasserstein_estimate,
)
from labelwise.seeds import generator

CASE = cases("waal")["critic"]
CLOSE = {"atol": 1e-9, "rtol": 0}  # the golden file's


@pytest.fixture
def golden():
    return {k: torch.from_numpy(np.asarray(v)) for k, v in CASE["in"].items()}, CASE["out"]


def critic_of(given):
    def critic(z):
        hidden = torch.relu(z @ given["W1"].T + given["b1"])
        return torch.sigmoid(hidden @ given["W2"].T + given["b2"])[:, 0]

    return critic


def test_critic_penalty_and_losses_are_the_golden_ones(golden):
    given, out = golden
    critic, mu = critic_of(given), float(given["mu"])
    of_unlabelled, of_labelled = critic(given["h_s"]), critic(given["h_t"])
    assert_allclose(of_unlabelled, out["d_s"], **CLOSE)
    assert_allclose(of_labelled, out["d_t"], **CLOSE)
    between = given["h_s"] + given["interp"] * (given["h_t"] - given["h_s"])
    points = torch.cat([between, given["h_s"], given["h_t"]])
    assert_allclose(gradient_norms(critic, points).detach(), out["gradient_norms"], **CLOSE)
    penalty = gradient_penalty(critic, given["h_s"], given["h_t"], given["interp"])
    assert_allclose(penalty.item(), out["gradient_penalty"], **CLOSE)
    distance = wasserstein_estimate(of_unlabelled, of_labelled, float(given["gamma"]))
    assert_allclose(distance, out["wasserstein"], **CLOSE)
    assert_allclose(wasserstein_estimate(of_unlabelled, of_labelled), out["wasserstein_gamma1"], **CLOSE)
    assert_allclose(critic_loss(distance, penalty, mu).item(), out["critic_loss_standard_sign"], **CLOSE)
    as_published = critic_loss(distance, penalty, mu, code_sign=True)
    assert_allclose(as_published.item(), out["critic_loss_code_sign"], **CLOSE)
    # the published classifier's term; its second part is a constant to the features and is not computed in training
    assert_allclose((mu * distance + 5 * mu * penalty).item(), out["feature_term"], **CLOSE)


def test_a_linear_critic_has_one_slope_everywhere():
    slope = torch.tensor([3.0, 4.0])
    first, second = torch.zeros(5, 2), torch.ones(5, 2)
    penalty = gradient_penalty(lambda z: z @ slope, first, second, torch.full((5, 1), 0.3))
    assert penalty.item() == 16.0  # (‖(3, 4)‖ - 1)² = 4²


def test_the_penalty_teaches_the_critic_and_leaves_the_features_alone():
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    features = torch.ones(2, 2, requires_grad=True)
    gradient_penalty(lambda z: z @ weight, features, torch.zeros(2, 2), torch.rand(2, 1)).backward()
    assert_allclose(weight.grad, [2 * 4 * 0.6, 2 * 4 * 0.8], rtol=1e-6)  # 2 (‖w‖ - 1) w / ‖w‖
    assert features.grad is None


def test_samples_of_different_shapes_are_refused():
    with pytest.raises(ShapeError, match="must have the same shape"):
        gradient_penalty(lambda z: z[:, 0], torch.zeros(3, 2), torch.zeros(2, 2), torch.zeros(3, 1))


def shifted(by, **fields):
    """The critic's notes and values where unlabelled samples lie further out by so much."""
    rng = generator(0, "tests", "shift")
    x = rng.normal(size=(400, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    x[200:, 1] += by
    data = ArrayDataset({"table": x})
    recipe = WaalRecipe("mlp", width=32, epochs=40, device="cpu", labelled_weight=1.0, units=64, **fields)
    pool = np.arange(200, 400)
    predictor = recipe.fit(data, Labelled(np.arange(200), y[:200]), pool, None, 2, generator(0))
    found = predictor.infer(data, np.arange(400), frozenset({"scalars.critic"})).scalars["critic"]
    return predictor.notes, found[200:].mean() - found[:200].mean()


@pytest.mark.slow
def test_the_estimate_grows_with_the_shift():
    estimates = [shifted(by)[1] for by in (0.0, 1.0, 3.0)]
    assert abs(estimates[0]) < 0.1
    assert estimates[0] + 0.1 < estimates[1] < estimates[2] - 0.1


@pytest.mark.slow
def test_the_published_sign_rewards_steep_critics():
    right, published = (shifted(1.0, code_sign=sign)[0]["gradient_penalty"] for sign in (False, True))
    assert published > 10 * right


def test_the_labelled_part_counts_as_the_pool_is_larger():
    """γ = |L| / |U|: with few labels the critic is hardly held down where they are."""
    rng = generator(0, "tests", "ratio")
    x = rng.normal(size=(420, 4)).astype(np.float32)
    data, y = ArrayDataset({"table": x}), (x[:, 0] > 0).astype(np.int64)
    train = Labelled(np.arange(20), y[:20])
    means = []
    for gamma in (None, 20 / 400, 1.0):
        # of the 400 a quarter is read, and all are counted
        few = {"labelled_weight": gamma, "units": 32, "most_unlabelled": 100}
        recipe = WaalRecipe("mlp", width=16, epochs=30, device="cpu", **few)
        predictor = recipe.fit(data, train, np.arange(20, 420), None, 2, generator(0))
        found = predictor.infer(data, np.arange(420), frozenset({"scalars.critic"}))
        means.append(found.scalars["critic"].mean())
    assert means[0] == means[1] > means[2]


def test_features_learn_to_be_alike():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4)).astype(np.float32)
    x[40:, 0] += 3
    data, train = ArrayDataset({"table": x}), Labelled(np.arange(40), (x[:40, 1] > 0).astype(np.int64))
    apart = []
    for mu in (1e-6, 3.0):  # Adam moves the critic as far with either
        recipe = WaalRecipe(
            "mlp", width=16, epochs=20, batch_size=20, device="cpu", mu=mu, labelled_weight=1.0, units=32
        )
        fitted = recipe.fit(data, train, np.arange(40, 80), None, 2, generator(2))
        apart.append(fitted.notes["wasserstein"])
    assert apart[1] < apart[0] - 0.02  # 0.04 lower; 0.08 higher if the features helped the critic


@pytest.mark.parametrize("fields", [{"mu": 0}, {"labelled_weight": -1.0}, {"penalty_weight": -1.0}])
def test_weights_that_make_no_sense_are_refused(fields):
    (name,) = fields
    with pytest.raises(InputError, match=f"{name} must be "):
        WaalRecipe(**fields)
