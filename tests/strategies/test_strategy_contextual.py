"""Contextual diversity: k-center under the symmetric divergence, and a policy that learns to choose."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import DistributionError, InputError
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.strategies import contextual, make
from labelwise.strategies.contextual import CdalRl

torch = pytest.importorskip("torch")


def drawn(n, classes=4, seed=0):
    return generator(seed, "tests", "contextual").dirichlet(np.full(classes, 0.5), size=n)


def by_hand(pool, known, n):
    """Greedy k-center, every distance anew."""

    def distance(p, q):
        p, q = np.maximum(p, 1e-12), np.maximum(q, 1e-12)
        return 0.5 * ((p - q) * np.log(p / q)).sum()

    centres, rows = list(known), []
    for _ in range(n):
        far = [-1.0 if i in rows else min(distance(p, c) for c in centres) for i, p in enumerate(pool)]
        rows.append(int(np.argmax(far)))
        centres.append(pool[rows[-1]])
    return rows


def test_cdal_cs_is_k_center_under_the_symmetric_divergence():
    pool, known = drawn(40), drawn(5, seed=1)
    rows = selection.select("cdal-cs", {"probs": pool}, 8, labelled={"probs": known})
    assert_array_equal(rows, by_hand(pool, known, 8))


def view_of(probs):
    nobody = Signals(np.empty(0, np.int64))
    return View(Signals(np.arange(len(probs)), probs=probs), nobody, nobody, probs.shape[1])


def test_the_policy_learns_which_samples_make_a_diverse_set():
    even = np.full((30, 3), 1 / 3) + generator(0, "tests", "even").uniform(-0.02, 0.02, (30, 3))
    sure = 0.98 * np.eye(3)[np.arange(30) % 3] + 0.02 / 3
    probs = np.vstack([even / even.sum(axis=1, keepdims=True), sure])
    picks = [CdalRl(width=16, steps=60).propose(view_of(probs), 10, generator(s)).rows for s in range(4)]
    # by lot half of the 40 would be of the sure ones, give or take 3
    assert (np.concatenate(picks) >= 30).sum() >= 34


def test_a_step_whose_gradient_overflows_is_left_out(monkeypatch):
    made = contextual._policy
    steps = []

    def overflowing(*args):
        policy = made(*args)

        def spoilt(gradient):
            steps.append(gradient)
            return gradient * float("nan") if len(steps) == 2 else gradient

        next(policy.parameters()).register_hook(spoilt)
        return policy

    monkeypatch.setattr(contextual, "_policy", overflowing)
    found = CdalRl(width=4, steps=4).propose(view_of(drawn(20)), 5, generator(0))
    assert len(steps) == 4 and len(set(found.rows)) == 5
    assert all(
        r > 0 for r in found.notes["rewards"]
    )  # without numbers nothing would be drawn, which is worth 0


def test_rewards_are_noted_step_by_step():
    found = CdalRl(width=4, steps=3).propose(view_of(drawn(20)), 5, generator(0))
    assert len(found.notes["rewards"]) == 3
    assert all(isinstance(r, float) and r > 0 for r in found.notes["rewards"])
    assert found.scores is None


def test_only_its_candidates_are_looked_at_and_never_fewer_than_asked_for():
    strategy = CdalRl(width=4, steps=1, candidates=10)
    for n in (5, 10, 30, 99):
        strategy.propose(view_of(drawn(50)), n, generator(0)).check(50, n, "cdal-rl")


def test_its_seed_decides_and_no_global_generator():
    before = torch.get_rng_state()
    picks = [
        tuple(CdalRl(width=4, steps=2).propose(view_of(drawn(50)), 9, generator(seed)).rows)
        for seed in (0, 0, 1)
    ]
    assert picks[0] == picks[1]
    assert picks[0] != picks[2]
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_wrong_is_said():
    p = drawn(9)
    p[4] *= 2
    with pytest.raises(DistributionError, match="row 4"):
        selection.select("cdal-rl", {"probs": p}, 2)
    with pytest.raises(InputError, match="steps must be a whole number of at least 1"):
        make("cdal-rl", steps=0)
    with pytest.raises(InputError, match="rate must be a number of at least 0; it is -1"):
        make("cdal-rl", rate=-1)
