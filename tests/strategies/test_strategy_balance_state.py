"""RL-MBA: what the policy sees of a round, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from balance_views import made, part, rng, signals, view
from numpy.testing import assert_allclose, assert_array_equal

from labelwise import select
from labelwise.errors import InputError, MissingSignal, ShapeError
from labelwise.functional.scores import entropy
from labelwise.functional.unified import diversity, fused_features, unified_score
from labelwise.signals import Signals
from labelwise.strategies.balance.state import (
    Balance,
    Looks,
    entropies,
    evidential,
    look,
    measure_balance,
    state_vector,
    width_of,
)

LOOKS = Looks("amcb", 1, 0.1, 0.05, "evidential", True, "mean", 5, 0.5, 5, 0.5)
Y = np.array([0, 1, 0, 1])
PROBS = np.array([[0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [0.1, 0.9]])
RIGHT, ZEROS = np.eye(2)[Y] * 0.8 + 0.1, np.tile([0.9, 0.1], (4, 1))


def validation(**changes):
    parts = {"probs": PROBS, "modal_probs": np.stack([RIGHT, ZEROS], axis=1), "y": Y} | changes
    there = np.ones(np.shape(parts["modal_probs"])[:2], bool)
    return Signals(np.arange(4), **{"present": there} | parts)


def test_validation_metrics_gaps_and_weights_by_hand():
    found = measure_balance(validation(), 2, LOOKS)
    # three of four are right; each sample is alone in its bin of 15: (0.2 + 0.3 + 0.6 + 0.1) / 4
    surprise = -np.log([0.8, 0.7, 0.4, 0.9]).mean() / np.log(2)
    assert_allclose(found.metrics, [0.75, surprise, 0.3])
    assert_allclose(found.gaps, [1 - 0.75, 0.5 - 0.75])
    first = 1 / (1 + np.exp(-5))  # softmax of (0.25, -0.25) / 0.1
    assert_allclose(found.weights, [0.9 * first + 0.05, 0.9 * (1 - first) + 0.05])


def test_the_sign_turns_the_weights_around_and_equal_ones_ignore_the_gaps():
    plus, minus = (measure_balance(validation(), 2, replace(LOOKS, sign=s)).weights for s in (1, -1))
    assert_allclose(plus, minus[::-1])
    assert_array_equal(measure_balance(validation(), 2, replace(LOOKS, weights="equal")).weights, [0.5, 0.5])


def test_one_modality_has_all_the_weight():
    found = measure_balance(validation(modal_probs=RIGHT[:, None]), 2, LOOKS)
    assert_array_equal(found.weights, [1.0])
    assert made().propose(view(modalities=1), 5, rng("one")).rows.size == 5


def test_a_sure_mistake_counts_as_no_more_than_guessing():
    wrong = np.eye(2)[1 - Y]
    assert measure_balance(validation(probs=wrong), 2, LOOKS).metrics[1] == 1  # 27.6 nats over ln 2, capped


def test_a_missing_modality_is_no_guess_of_the_first_class():
    """What it lacks speaks neither for a head nor against it; the fusion is measured on all four, 3/4 right."""
    there = np.array([[True, True], [True, True], [True, False], [True, True]])
    even = np.where(there[..., None], np.stack([RIGHT, ZEROS], axis=1), 0.5)
    found = measure_balance(validation(modal_probs=even, present=there), 2, LOOKS)
    assert_allclose(found.gaps, [1 - 0.75, 1 / 3 - 0.75])  # right in the first of its three
    for filled in (RIGHT, 1 - RIGHT):  # whatever stands there
        other = np.where(there[..., None], even, filled[:, None])
        assert_array_equal(
            measure_balance(validation(modal_probs=other, present=there), 2, LOOKS).gaps, found.gaps
        )
    nobody = there & [True, False]
    assert_allclose(measure_balance(validation(present=nobody), 2, LOOKS).gaps[1], 1 / 2 - 0.75)  # guesses


def test_a_single_class_has_nothing_to_be_surprised_at():
    ones = np.ones((4, 1))
    held = validation(probs=ones, modal_probs=np.ones((4, 2, 1)), y=np.zeros(4, np.int64))
    assert_allclose(measure_balance(held, 1, LOOKS).metrics, [1, 0, 0])


def test_the_state_in_its_order():
    balance = Balance(np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5]), np.array([0.6, 0.4]))
    fit = {"gradient norm": 3.0, "loss slope": -2.0, "loss average": 1.0, "loss": 9.0}
    assert_allclose(
        state_vector(balance, 0.7, 0.8, fit), [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 1, -2, 3, 0.6, 0.4]
    )
    told_nothing = state_vector(balance, 0.7, 0.8, {"loss slope": float("nan")})
    assert_array_equal(told_nothing[7:10], 0)
    assert width_of(2) == 12 and width_of(3) == 14


def test_shapley_values_and_coalitions_cannot_be_seen():
    for uncertainty in ("evidential", "entropy"):
        needs = made(uncertainty=uncertainty).needs
        assert "coalitions" not in needs.pool | needs.labelled | needs.validation


E2 = np.array(
    [[[8.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [8.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[4.0, 4.0], [1.0, 1.0]]]
)


def variance(alpha):
    """Return U over its maximum: mean variance of class probabilities of a Dirichlet, (1 - Σp²) / (C (S + 1))."""
    alpha = np.asarray(alpha, float)
    s, c = alpha.sum(), len(alpha)
    return (1 - ((alpha / s) ** 2).sum()) / (c * (s + 1)) / ((1 - 1 / c) / (c * (c + 1)))


def test_difficulty_by_hand():
    each, fused = evidential(E2, np.array([0.75, 0.25]), np.ones((4, 2), bool), normalise=True)
    assert_allclose(each[0], [variance([9, 1]), 1])  # no evidence: as hard as can be
    assert_allclose(each[3], [variance([5, 5]), variance([2, 2])])
    assert_allclose(fused, [variance([7, 1]), variance([3, 1]), 1, variance([4.25, 4.25])])
    raw = evidential(E2, np.array([0.75, 0.25]), np.ones((4, 2), bool), normalise=False)[1]
    assert_allclose(raw, fused / 12)  # (1 - 1/2) / (2 · 3) is 1/12


def test_a_missing_modality_is_no_evidence_whatever_stands_in_its_place():
    present = np.array([[True, False], [True, True], [False, False], [True, True]])
    filled = E2.copy()
    filled[~present] = 99.0
    empty = np.where(present[..., None], E2, 0)
    w = np.array([0.5, 0.5])
    for got, wanted in zip(
        evidential(filled, w, present, normalise=True), evidential(empty, w, np.ones((4, 2), bool), normalise=True),
        strict=True,
    ):  # fmt: skip
        assert_allclose(got, wanted)
    probs = rng("missing").dirichlet(np.ones(3), (4, 2))
    found = entropies(probs, present)
    assert_array_equal(found[~present], 1)
    assert_allclose(found[present], entropy(probs[present]) / np.log(3))


def test_candidates_are_the_highest_scores_and_their_inputs_are_scaled_over_the_pool():
    seen = view(80)
    weights = np.array([0.7, 0.3])
    found = look(seen, 6, weights, LOOKS, rng("look"))
    scaled = [(x - x.min()) / np.ptp(x) for x in (*found.uncertainty.T, found.difficulty, found.diversity)]
    q = weights @ np.array(scaled[:2]) + 0.5 * scaled[3]
    assert_allclose(found.scores, q)
    assert_array_equal(found.candidates, np.argsort(-q, kind="stable")[:30])  # κ b = 5 · 6
    assert_allclose(found.inputs, np.column_stack([q, *scaled])[found.candidates], rtol=1e-6)
    assert found.threshold == np.quantile(found.difficulty, 0.5)
    assert set(found.seconds) == {"features", "clusters", "score"}
    few = look(seen, 70, weights, replace(LOOKS, kappa=1.2), rng("look"))
    assert len(few.candidates) == 80  # not more than the pool holds
    for kappa, n, size in ((1.01, 6, 7), (1.1, 10, 11), (1e308, 6, 80)):  # 1.1 · 10 is 11.000000000000002
        assert len(look(seen, n, weights, replace(LOOKS, kappa=kappa), rng("look")).candidates) == size


@pytest.mark.parametrize("how", ["mean", "concat"])
def test_diversity_is_that_of_the_fused_features_that_are_there(how):
    arrays = part(80)
    arrays["present"] = rng("there").random((80, 2)) < 0.7
    weights = np.array([0.8, 0.2])
    looks = replace(LOOKS, features=how, iterations=1, beta=0.3)
    found = look(view(pool=arrays), 12, weights, looks, rng("look"))
    fused = fused_features(arrays["modal_embeddings"], weights, present=arrays["present"], how=how)
    assert_array_equal(found.diversity, diversity(fused, 12, rng("look"), iterations=1))
    assert_allclose(found.scores, unified_score(found.uncertainty, found.diversity, weights, beta=0.3))


def test_without_evidence_difficulty_is_the_weighted_entropy():
    strategy = made(uncertainty="entropy")
    assert strategy.needs.pool == {"modal_probs", "modal_embeddings", "present"}
    arrays = part(40)
    seen = view(needs=strategy.needs, pool=arrays)
    found = look(seen, 5, np.array([0.7, 0.3]), replace(LOOKS, uncertainty="entropy"), rng("entropy"))
    wanted = np.column_stack([entropy(arrays["modal_probs"][:, m]) for m in range(2)]) / np.log(3)
    assert_allclose(found.uncertainty, wanted)
    assert_allclose(found.difficulty, wanted @ [0.7, 0.3])
    notes = strategy.propose(seen, 5, rng("entropy")).notes
    assert notes["samples"][0]["conflict"] is None
    assert notes["samples"][0]["modalities"]["m0"]["vacuity"] is None


def test_validation_may_lack_a_class_but_not_be_empty():
    one = {name: value[:1] for name, value in part(30).items() if name != "modal_embeddings"}
    held = {k: one[k] for k in ("probs", "modal_probs", "present", "y")}
    pool = part(20)
    arrays = {k: pool[k] for k in ("evidence", "modal_embeddings", "present")}
    assert select("rl-mba", arrays, 4, validation=held, hidden=4).size == 4
    with pytest.raises(InputError, match="measures on validation samples .* Give the task a validation part"):
        select("rl-mba", arrays, 4, validation={k: v[:0] for k, v in held.items()}, hidden=4)
    with pytest.raises(
        MissingSignal, match="rl-mba needs modal_probs, present, probs, y of the validation samples"
    ):
        select("rl-mba", arrays, 4)


def test_arrays_that_do_not_fit_are_refused_in_words():
    seen, arrays, needs = view(20), part(20), made().needs
    for change, words in (
        ({"modal_embeddings": arrays["modal_embeddings"][:1]}, "must be M=2 arrays"),
        (
            {"modal_embeddings": (arrays["modal_embeddings"][0], np.ones((20, 7)))},
            'm0 4, m1 7. .* set features="concat"',
        ),
        ({"evidence": -arrays["evidence"]}, "evidence is finite and at least 0"),
        ({"present": np.ones((20, 3), bool), "evidence": np.ones((20, 3, 3))}, "present of the pool samples"),
    ):
        with pytest.raises((InputError, ShapeError), match=words):
            made().propose(replace(seen, pool=signals(arrays | change, needs.pool)), 5, rng("bad"))
    odd = signals(
        arrays | {"modal_embeddings": (arrays["modal_embeddings"][0], rng().normal(size=(20, 7)))}, needs.pool
    )
    assert made(features="concat").propose(replace(seen, pool=odd), 5, rng("concat")).rows.size == 5
    with pytest.raises(InputError, match=r"floor must be at most 1 / 2 with 2 modalities; it is 0.6"):
        made(floor=0.6).propose(seen, 5, rng("floor"))
