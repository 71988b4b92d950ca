"""Learning loss: the ranking loss to the digit, and a module that knows what the classifier gets wrong."""

import numpy as np
import pytest
import torch
from model_data import NOBODY, digits, first, halves
from numpy.testing import assert_allclose
from scipy.stats import spearmanr
from torch import nn

from functional.golden_numbers import cases
from labelwise.data.base import Labelled
from labelwise.errors import InputError, ShapeError
from labelwise.models.companions.learning_loss import LearningLossRecipe, ranking_loss
from labelwise.models.torch import TorchRecipe
from labelwise.seeds import generator

CASES = cases("learning_loss")
LOSSES = sorted(set(CASES) - {"query"})
TINY = 1e-12  # the golden file's


def tensors(case):
    given = CASES[case]["in"]
    predicted = torch.from_numpy(given["predicted"]).requires_grad_()
    return predicted, torch.from_numpy(given["target"]), float(given["margin"])


@pytest.mark.parametrize("case", LOSSES)
def test_ranking_loss_and_its_gradient_are_the_golden_ones(case):
    predicted, target, margin = tensors(case)
    loss = ranking_loss(predicted, target, margin)
    loss.backward()
    assert_allclose(loss.item(), CASES[case]["out"]["loss"], atol=TINY, rtol=0)
    assert_allclose(predicted.grad, CASES[case]["out"]["grad"], atol=TINY, rtol=0)


@pytest.mark.parametrize("case", LOSSES)
def test_each_pair_costs_what_the_golden_file_says(case):
    predicted, target, margin = tensors(case)
    for i, (cost, sign) in enumerate(
        zip(*(CASES[case]["out"][k] for k in ("per_pair", "sign")), strict=True)
    ):
        pair = [i, len(target) - 1 - i]
        ends = predicted.detach()[pair].requires_grad_()
        assert_allclose(ranking_loss(ends, target[pair], margin).item(), cost, atol=TINY, rtol=0)
        # a margin that no pair reaches makes the loss margin - s (l_i - l_j): its slope in l_i is -s
        ranking_loss(ends, target[pair], 1e6).backward()
        assert ends.grad.tolist() == [-sign, sign]


def test_ranking_loss_by_hand():
    # pairs (0, 3) and (1, 2): true order 1 < 4 and 5 > 2; predicted differences 3 and 0.25 with margin 1:
    # max(0, 1 + 3) = 4 and max(0, 1 - 0.25) = 0.75; their mean is 2.375
    predicted, target = torch.tensor([3.0, 0.5, 0.25, 0.0]), torch.tensor([1.0, 5.0, 2.0, 4.0])
    assert ranking_loss(predicted, target).item() == 2.375


def test_equal_losses_count_as_the_first_being_smaller():
    predicted = torch.tensor([0.0, 0.0], requires_grad=True)
    ranking_loss(predicted, torch.ones(2)).backward()
    assert predicted.grad.tolist() == [1.0, -1.0]


def test_no_gradient_flows_into_the_target():
    target = torch.rand(4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    predicted = torch.zeros(4, requires_grad=True)
    ranking_loss(predicted, target).backward()
    assert target.grad is None


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((0,), (0,)), ((4,), (2,)), ((2, 1), (2, 1))])
def test_odd_and_unequal_batches_are_refused(shapes):
    with pytest.raises(ShapeError, match="the same even B of at least 2"):
        ranking_loss(*(torch.zeros(shape) for shape in shapes))


def held_out(joint_epochs=20):
    data, y = digits()
    order = generator(0, "tests", "losses").permutation(len(y))
    train, rest = order[:200], order[200:1200]
    recipe = LearningLossRecipe(width=8, epochs=10, batch_size=32, device="cpu", joint_epochs=joint_epochs)
    predictor = recipe.fit(data, Labelled(train, y[train]), rest, None, 10, generator(1, "tests"))
    seen = predictor.infer(data, rest, frozenset({"probs", "scalars.predicted_loss"}))
    true = -np.log(seen.probs[np.arange(len(rest)), y[rest]] + 1e-30)
    return spearmanr(seen.scalars["predicted_loss"], true)


@pytest.mark.parametrize("joint_epochs", [20, 5])
def test_predicted_losses_rank_true_ones_of_samples_never_seen(joint_epochs):
    # 1,000 samples in random order correlate by 0 ± 0.03
    assert held_out(joint_epochs).statistic > 0.3


def classifier_s_logits(recipe, data, y):
    predictor = recipe.fit(data, first(40, y), NOBODY, None, 2, generator(0))
    return predictor.infer(data, np.arange(60), frozenset({"logits"})).logits


def test_without_joint_epochs_the_classifier_is_the_plain_one():
    data, y = halves(60, (8, 8))
    fields = {"network": "cnn", "width": 4, "epochs": 3, "batch_size": 8, "device": "cpu"}
    plain = classifier_s_logits(TorchRecipe(**fields), data, y)
    apart = classifier_s_logits(LearningLossRecipe(**fields, joint_epochs=0), data, y)
    joint = classifier_s_logits(LearningLossRecipe(**fields), data, y)
    assert_allclose(apart, plain, atol=1e-4)  # means of the loss are summed in another order
    assert np.abs(joint - plain).max() > 0.01


def test_a_network_without_maps_is_refused():
    def linear(shape, n_classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), n_classes))

    data, y = halves(60, (8, 8))
    with pytest.raises(InputError, match="has no activation layer"):
        classifier_s_logits(LearningLossRecipe(linear, epochs=1, device="cpu"), data, y)


@pytest.mark.parametrize("field", ["ranking", "margin"])
def test_weights_must_be_positive(field):
    with pytest.raises(InputError, match=f"{field} must be above 0; it is 0"):
        LearningLossRecipe(**{field: 0})
