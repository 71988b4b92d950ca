"""Robust objectives in torch: equal to NumPy's, by autograd, over batches, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from functional.golden_numbers import cases
from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional import ambiguity, robust
from labelwise.functional import groups as groups_of
from labelwise.objectives.adversary import Variational, additive
from labelwise.objectives.robust import Dual, EarlyFusionDro, Known, Mean, MMDro, robust_mean
from labelwise.objectives.tails import Cvar, GroupDro
from labelwise.seeds import generator

losses_of = st.one_of(
    hnp.arrays(float, st.integers(1, 12), elements=st.integers(-2, 3).map(float)),
    hnp.arrays(float, st.integers(1, 12), elements=st.floats(-1e6, 1e6)),
)
SKEWED = generator(0, "tests", "objectives").exponential(size=300)
PLAIN = [Mean(), MMDro(0.5), Dual(0.5), EarlyFusionDro((0.2, 0.3)), Cvar(0.3)]


def weights(objective, losses, **known):
    return objective.begin().weigh(torch.tensor(losses), Known(**known)).numpy()


@settings(max_examples=60)
@given(losses_of, st.one_of(st.sampled_from([0.0, 1e-9, 1.0, 50.0]), st.floats(0, 20)))
def test_weights_equal_those_of_the_functions(losses, budget):
    scale = max(np.abs(losses).max(), 1e-300)
    exact = robust.chi2_worst_risk(losses, budget)
    assert_allclose(weights(Dual(budget), losses) @ losses, exact, rtol=0, atol=1e-7 * scale)
    q = weights(Dual(budget), losses)
    assert q.min() >= 0
    assert_allclose(q.sum(), 1)
    assert robust.chi2_divergence(q) <= budget * (1 + 1e-9) + 1e-12
    if losses.std() > 0.1:  # else ε counts
        assert_allclose(weights(MMDro(budget), losses), robust.variance_weights(losses, budget), atol=1e-5)
    for alpha in (0.07, 0.5, 1.0):
        got = weights(Cvar(alpha), losses)  # NumPy's may break a tie that rounding makes another way
        assert_allclose(got @ losses, robust.cvar(losses, alpha), rtol=0, atol=1e-12 * scale)
        assert_allclose(np.sort(got), np.sort(robust.cvar_weights(losses, alpha)), atol=1e-12)


@pytest.mark.parametrize("case", ["main", "tied_max", "constant", "two", "zero_one", "negative"])
def test_the_dual_equals_golden_numbers(case):
    given_, out = (cases("dro")[case][side] for side in ("in", "out"))
    for i, rho in enumerate(given_["rho"].tolist()):
        q = weights(Dual(rho), given_["losses"])
        assert_allclose(q @ given_["losses"], out["pearson_worst_risk"][i], rtol=0, atol=1e-9)
        assert_allclose(q, out["pearson_weights"][i], rtol=0, atol=1e-7)


def test_dual_and_closed_form_are_one_where_no_weight_is_negative_and_else_the_dual_is_lower():
    mild, wild = 0.1, 5.0
    assert robust.variance_form_holds(SKEWED, mild) and not robust.variance_form_holds(SKEWED, wild)
    assert_allclose(weights(MMDro(mild), SKEWED), weights(Dual(mild), SKEWED), atol=1e-9)
    got = robust_mean(MMDro(mild).begin(), torch.tensor(SKEWED))
    assert_allclose(got, SKEWED.mean() + np.sqrt(mild) * SKEWED.std(), rtol=1e-7)
    closed = weights(MMDro(wild), SKEWED) @ SKEWED
    assert closed < robust.variance_risk(SKEWED, wild)  # the clipped weights are a distribution
    radius = robust.chi2_divergence(weights(MMDro(wild), SKEWED))
    assert radius < wild
    # and as they are (l - η)₊ for some η, the worst one of the ball that they lie on
    assert_allclose(closed, robust.chi2_worst_risk(SKEWED, radius))


@pytest.mark.parametrize("objective", PLAIN, ids=lambda o: type(o).__name__)
def test_the_gradient_is_the_weighted_one(objective):
    losses = torch.tensor(SKEWED, requires_grad=True)
    value = robust_mean(objective.begin(), losses)
    torch.autograd.backward(value)
    q = weights(objective, SKEWED)
    assert_allclose(losses.grad, q)
    assert_allclose(value.detach(), q @ SKEWED)
    assert (q >= 0).all()


def test_the_gradient_of_the_closed_form_is_autograds():
    losses = torch.tensor(SKEWED, requires_grad=True)
    closed = losses.mean() + np.sqrt(0.1) * (losses.var(correction=0) + 1e-8).sqrt()
    torch.autograd.backward(closed)
    assert_allclose(weights(MMDro(0.1), SKEWED), losses.grad, rtol=1e-6)


def test_small_batches_are_seen_against_what_came_before():
    adversary = MMDro(1.0).begin()
    adversary.weigh(torch.tensor([0.0, 2.0]))  # mean 1, mean square 2
    q = adversary.weigh(torch.tensor([4.0, 6.0])).numpy()  # mean 5, mean square 26
    mean, square = 0.9 * 1 + 0.1 * 5, 0.9 * 2 + 0.1 * 26
    raised = 1 + (np.array([4.0, 6.0]) - mean) / np.sqrt(square - mean**2 + 1e-8)
    assert_allclose(q, raised / raised.sum())
    # all far below what came before: nothing is left to weigh, so all weigh the same
    assert_allclose(adversary.weigh(torch.tensor([-9.0, -8.0])), [0.5, 0.5])
    # a batch of 256 speaks for itself, and so does a new fit
    large = torch.tensor(SKEWED[:256])
    assert_allclose(adversary.weigh(large), weights(MMDro(1.0), SKEWED[:256]))
    assert_allclose(MMDro(1.0).begin().weigh(large[:5]), weights(MMDro(1.0, momentum=0.0), SKEWED[:5]))


def test_moments_over_many_small_batches_come_near_those_of_all():
    adversary = MMDro(1.0).begin()
    rng = generator(0, "tests", "batches")
    found = []
    for _ in range(400):
        adversary.weigh(torch.tensor(rng.exponential(size=16)))
        found.append([float(adversary.mean), float(adversary.variance)])
    assert_allclose(np.mean(found[50:], axis=0), [1, 1], atol=0.1)


def test_early_fusion_has_two_radii():
    rho = (0.3, 0.2)
    assert_allclose(EarlyFusionDro(rho).joint, 1.3 * 1.2 - 1)
    assert_allclose(EarlyFusionDro(rho, "perfect").joint, (np.sqrt(0.3) + np.sqrt(0.2)) ** 2)
    for radius, mode in (("product", "product_exact"), ("perfect", "perfect")):
        budget = ambiguity.modality_budget(rho, np.eye(2), mode)
        assert_allclose(
            weights(EarlyFusionDro(rho, radius), SKEWED), robust.chi2_worst_weights(SKEWED, budget), atol=1e-9
        )


def test_group_dro_takes_the_steps_of_the_function():
    rng = generator(0, "tests", "groups")
    adversary, q = GroupDro(3, step=0.5).begin(), np.full(3, 1 / 3)
    for _ in range(20):
        losses, groups = rng.exponential(size=30), np.r_[0, 1, 2, rng.integers(0, 3, 27)]
        got = adversary.weigh(torch.tensor(losses), Known(groups=torch.tensor(groups))).numpy()
        means = groups_of.group_means(losses, groups, 3)
        q = groups_of.group_step(q, means, 0.5)
        assert_allclose(adversary.q, q)
        assert_allclose(got @ losses, q @ means)
    # who is not in the batch keeps its weight, and the others share it
    got = adversary.weigh(torch.tensor([1.0, 1.0]), Known(groups=torch.tensor([1, 1]))).numpy()
    assert_allclose(got, [0.5, 0.5])
    assert adversary.q[0] > 0


# ------------------------------------------------------------------------------------------- the adversary


@settings(max_examples=40)
@given(
    hnp.arrays(float, (7, 2), elements=st.integers(-3, 3).map(float)),
    hnp.arrays(float, 2, elements=st.floats(0, 5)),
)
def test_additive_ratios_equal_those_of_the_function(directions, rho):
    got = additive(torch.tensor(directions), torch.tensor(rho).sqrt())
    assert_allclose(got, ambiguity.additive_weights(directions, rho), atol=1e-9)


def test_who_lacks_a_modality_is_not_moved_by_its_shift():
    h = torch.tensor([[1.0, 5.0], [3.0, 9.0], [99.0, 7.0]])
    there = torch.tensor([[True, True], [True, True], [False, True]])
    # h_0 = ∓½ among the first two; the second modality does not move
    assert_allclose(additive(h, torch.tensor([0.5, 0.0]), there), [0.5 / 3, 1.5 / 3, 1 / 3])
    nobody = torch.zeros_like(there)
    assert_allclose(additive(h, torch.tensor([0.5, 0.5]), nobody), np.full(3, 1 / 3))


@pytest.fixture(scope="module")
def two():
    """Losses that the first modality's embedding tells, and the second one's does not."""
    rng = np.random.default_rng(0)
    x = [torch.tensor(rng.standard_normal((200, d)), dtype=torch.float32) for d in (3, 5)]
    return x, (x[0][:, 0] > 0).double()


def fought(two, rho, steps=80):
    x, losses = two
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adversary = Variational(rho).begin([3, 5])
    for _ in range(steps):
        q = adversary.weigh(losses, Known(embeddings=x))
    return q


def test_the_adversary_comes_near_the_worst_shift_of_a_modality(two):
    # The worst h_1 is ∓√ρ by the sign that the loss is told by: E_Q l = ½ + √ρ/2, as of the exact ball.
    q = fought(two, (0.16, 0.0))
    worst = robust.chi2_worst_risk(two[1].numpy(), 0.16)
    assert 0.95 * worst < q @ two[1] < worst + 1e-6
    assert_allclose(robust.chi2_divergence(q), 0.16, rtol=1e-3)


def test_only_the_modality_that_may_shift_is_used(two):
    free, wrong = fought(two, (0.16, 0.0)) @ two[1], fought(two, (0.0, 0.16)) @ two[1]
    assert wrong < free - 0.05


def test_no_gradient_reaches_the_model(two):
    x = [part.clone().requires_grad_() for part in two[0]]
    losses = two[1].clone().requires_grad_()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adversary = Variational((0.1, 0.1)).begin([3, 5])
    value = robust_mean(adversary, losses, Known(embeddings=x))
    torch.autograd.backward(value)
    assert losses.grad is not None and all(part.grad is None for part in x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(robust_mean(adversary, losses, Known(embeddings=x)))


def test_constant_losses_and_a_single_sample_weigh_the_same():
    x = [torch.ones(1, 3), torch.ones(1, 5)]
    adversary = Variational((0.5, 3.0)).begin([3, 5])
    assert adversary.weigh(torch.tensor([2.0]), Known(embeddings=x)) == 1
    for objective in PLAIN:
        assert_allclose(weights(objective, [7.0]), [1.0])
        if not isinstance(objective, Cvar):
            assert_allclose(weights(objective, [7.0, 7.0, 7.0]), np.full(3, 1 / 3))
    assert torch.isfinite(next(adversary.ratios.parameters())).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MMDro(-0.1), "budget must be"),
        (lambda: MMDro(float("inf")), "budget must be"),
        (lambda: MMDro(0.1, momentum=1.0), "momentum must lie"),
        (lambda: Dual(float("nan")), "budget must be"),
        (lambda: EarlyFusionDro(()), "rho must be a list"),
        (lambda: EarlyFusionDro((0.1, -0.1)), r"rho\[1\] must be"),
        (lambda: EarlyFusionDro((0.1,), "sum"), "joint radius"),
        (lambda: Cvar(0.0), "alpha must be above 0"),
        (lambda: GroupDro(0), "n_groups must be"),
        (lambda: GroupDro(2, step=-1.0), "step must be"),
        (lambda: Variational((0.1,), lr=0.0), "lr must be above 0"),
        (lambda: Variational((0.1,)).begin([3, 5]), "2 embeddings and rho has 1"),
        (lambda: Variational((0.1,)).begin([3]).weigh(torch.ones(2)), "needs the embedding"),
        (lambda: GroupDro(2).begin().weigh(torch.ones(2)), "needs the group of each of 2 samples"),
        (lambda: robust_mean(Mean(), torch.ones(0)), "losses must be"),
        (lambda: robust_mean(Mean(), torch.ones(2, 2)), "losses must be"),
        (lambda: robust_mean(Mean(), torch.ones(2, dtype=torch.int64)), "must hold floats"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((InputError, ShapeError, UnknownName), match=words):
        call()
