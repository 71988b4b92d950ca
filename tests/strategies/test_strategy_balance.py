"""RL-MBA: whom it asks for, what it is rewarded with, what it learns, what survives, and what carries over."""

import json
from dataclasses import replace

import numpy as np
import pytest
from balance_views import bank, made, outcome, part, played, rng, signals, view, with_weights
from numpy.testing import assert_allclose, assert_array_equal

import fake
from labelwise.campaign import Campaign, Plan
from labelwise.describing import describe
from labelwise.errors import InputError, UnknownName
from labelwise.events import Opened
from labelwise.functional.policy import plackett_luce, plackett_luce_gradient, plackett_luce_log_prob
from labelwise.oracle import SimulatedOracle
from labelwise.store.memory import MemoryStore
from labelwise.store.states import decode_state, encode_state
from labelwise.strategies import make
from labelwise.strategies.balance import learning
from labelwise.strategies.balance.learning import Action, Loss, learn, slope
from labelwise.strategies.balance.policy import PolicyNetwork, inputs_of, load_policy, save_policy

torch = pytest.importorskip("torch")
LOSS = Loss(0.1, 0.5, 0.5, 0.0, 0.9, 0.1, None)
STEP = {"lr": 1e-3, "weight_decay": 1e-4, "clip": 1.0}
OPENED = Opened(Plan(), {}, {"recipe": 1}, {"modalities": ["m0", "m1"], "validation": 20}, {})


def action(t=1, k=12, b=4, reward=None, **changes):
    draws = rng("action", t)
    return Action(
        t,
        draws.normal(size=12).astype(np.float32),
        draws.random((k, 5)).astype(np.float32),
        draws.permutation(k)[:b],
        draws.random(k),
        0.5,
        reward,
        **changes,
    )


def network(hidden=8):
    return PolicyNetwork(inputs_of(2), hidden, rng("network"))


def chance(net, one):
    return plackett_luce_log_prob(net.logits(one.inputs), one.order)


def plain(state):
    """Return a state as nested lists, to compare two of them to the last bit."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, list):
        return [plain(value) for value in state]
    return (state.dtype.str, state.shape, state.tobytes()) if isinstance(state, np.ndarray) else state


# -- whom it asks for --------------------------------------------------------------------------------------------------


def test_a_policy_without_weights_draws_evenly_among_the_candidates():
    seen, drawn = view(), []
    strategy = with_weights(made(beta=0.0), seen, lambda w: None)  # candidates do not hang on clusters
    for seed in range(60):
        found = strategy.propose(seen, 2, rng("even", seed))
        drawn += found.rows.tolist()
        assert (
            found.notes["policy entropy"] == found.notes["policy preference"] == 1
            and found.notes["samples"][0]["probability"] == 0.1
        )  # 1 of κ b
        assert found.notes["policy log-probability"] == pytest.approx(-np.log(10 * 9), rel=1e-4)
    rows, counts = np.unique(drawn, return_counts=True)
    assert rows.size == 10
    assert counts.min() >= 2 and counts.max() <= 24  # 12 expected, standard deviation 3.1


def test_the_policy_reads_state_and_candidate_in_the_order_of_the_inputs():
    def reads(column, sign):
        def change(w):
            w["weight 0"][0, column] = sign
            w["weight 1"][0] = 50  # never below 0
            w["weight 2"][0, 0] = 1

        return change

    seen = view()
    for column, name, m in ((12, "score", None), (13, None, "m0"), (14, None, "m1"), (15, "difficulty", None), (16, "diversity", None)):  # fmt: skip
        for sign in (1, -1):
            strategy = with_weights(made(greedy=True), seen, reads(column, sign))
            samples = strategy.propose(seen, 6, rng("reads")).notes["samples"]
            told = [s[name] if name else s["modalities"][m]["uncertainty"] for s in samples]
            assert told == sorted(told, reverse=sign == 1)
            chances = [s["probability"] for s in samples]
            assert chances == sorted(chances, reverse=True) and chances[0] > 1 / 30  # of K = 5 · 6
    strategy = with_weights(
        made(greedy=True), seen, reads(0, 1)
    )  # the state is the same for all: best scores first
    told = [s["score"] for s in strategy.propose(seen, 6, rng("reads")).notes["samples"]]
    assert told == sorted(told, reverse=True)


def test_all_are_taken_where_the_pool_is_no_larger_and_nothing_is_learned_from_it():
    strategy = made()
    found = strategy.propose(view(8), 8, rng("all"))
    assert sorted(found.rows) == list(range(8))
    assert strategy.state_dict()["actions"] == []
    before = plain(strategy.state_dict()["network"])
    strategy.learn(outcome(1, 0.9))
    assert plain(strategy.state_dict()["network"]) == before
    assert strategy.state_dict()["last"]["reward"] == pytest.approx(0.4)
    same = part(20)
    same["modal_embeddings"] = tuple(np.ones((20, 4)) for _ in range(2))
    same["evidence"] = np.ones((20, 2, 3))
    assert len(set(made().propose(view(pool=same), 7, rng("same")).rows.tolist())) == 7
    nobody = replace(view(), pool=signals({k: v[:0] if k != "modal_embeddings" else tuple(p[:0] for p in v) for k, v in same.items()}, made().needs.pool))  # fmt: skip
    assert made().propose(nobody, 3, rng()).rows.size == 0


def test_three_modalities_and_weights_that_move():
    found = made(temperature=0.05).propose(view(modalities=3), 5, rng("three"))
    assert list(found.notes["modality weights"]) == ["m0", "m1", "m2"]
    weights, gaps = (np.array(list(found.notes[k].values())) for k in ("modality weights", "modality gaps"))
    assert_array_equal(np.argsort(weights), np.argsort(gaps))
    assert weights.sum() == pytest.approx(1, abs=1e-5) and np.ptp(weights) > 0.3


def test_the_notes_explain_the_round():
    strategy = played(made(), [0.1, 0.05])
    seen = view(t=3, fit={"loss average": 0.4})
    notes = strategy.propose(seen, 20, rng("notes")).notes
    assert set(notes) >= {
        "modality weights", "modality gaps", "reward kind", "reward", "baseline", "advantage", "policy entropy",
        "policy log-probability", "policy preference", "difficulty threshold", "losses", "updates", "mean difficulty", "mean diversity",
        "samples", "seconds",
    }  # fmt: skip
    assert notes["updates"] == 2 and notes["reward kind"] == "incremental"
    assert set(notes["losses"]) == {"policy", "modality", "difficulty"}
    assert set(notes["seconds"]) == {"features", "clusters", "score", "policy"}
    assert len(notes["samples"]) == 12
    first = notes["samples"][0]
    assert set(first) == {"id", "probability", "score", "difficulty", "diversity", "conflict", "modalities"}
    row = first["id"] - 1000
    evidence = seen.pool.evidence[row].astype(float)
    mean = (evidence + 1) / (evidence + 1).sum(axis=1, keepdims=True)
    for m, name in enumerate(("m0", "m1")):
        told = first["modalities"][name]
        assert told["guess"] == mean[m].argmax() and told["belief"] == pytest.approx(mean[m].max(), rel=1e-5)
        assert told["vacuity"] == pytest.approx(3 / (evidence[m] + 1).sum(), rel=1e-5)
        assert told["weight"] == notes["modality weights"][name] and told["present"] is True
        assert 0 <= told["uncertainty"] <= 1
    json.dumps(notes, allow_nan=False)


@pytest.mark.parametrize(
    "n, size, modalities, classes, params",
    [
        (6, 5, 2, 3, {}),  # all but one
        (40, 1, 2, 3, {}),
        (1, 1, 2, 3, {}),
        (40, 5, 6, 2, {}),
        (40, 5, 6, 3, {"features": "concat", "sign": -1}),
        (40, 5, 1, 2, {"uncertainty": "entropy"}),
        (40, 5, 2, 1, {"uncertainty": "entropy"}),
        (40, 5, 2, 1, {}),
        (40, 5, 3, 3, {"normalise": False, "alpha_role": "entropy", "difficulty": "reinforce"}),
    ],
)
def test_odd_sizes_and_samples_that_lack_modalities(n, size, modalities, classes, params):
    strategy = made(**params)
    needs = strategy.needs
    for t in range(1, 4):
        parts = [part(k, classes, modalities, seed=t) for k in (n, 9)]
        for held in parts:
            held["present"] = rng("odd", t).random(held["present"].shape) < 0.5
            held["present"][::3] = False  # a sample without any
            held["evidence"] = held["evidence"] * held["present"][..., None]
            held["modal_probs"] = np.where(held["present"][..., None], held["modal_probs"], np.float32(1 / classes))  # fmt: skip
        found = strategy.propose(view(n, classes, modalities, t=t, needs=needs, pool=parts[0], validation=parts[1]), size, rng("odd", t))  # fmt: skip
        assert len(set(found.rows.tolist())) == size
        json.dumps(dict(found.notes), allow_nan=False)
        for one in found.notes["samples"]:
            for heard in one["modalities"].values():
                assert (heard["guess"] is None) == (heard["belief"] is None) == (not heard["present"])
        strategy.learn(outcome(t, 0.4 + 0.1 * t))
    state = strategy.state_dict()
    assert state["updates"] == (0 if n == size else 3)
    assert all(np.isfinite(w).all() for w in state["network"].values())


# -- rewards -----------------------------------------------------------------------------------------------------------


def test_a_campaign_without_validation_labels_is_refused_before_anything_is_bought():
    bare = replace(OPENED, task={**OPENED.task, "validation": 0})
    with pytest.raises(InputError, match="Give the task a validation part"):
        made().begin(bare)


@pytest.mark.parametrize("file", (3, "", True))
def test_a_file_is_named_by_a_text(file):
    for name in ("bank", "policy"):
        with pytest.raises(InputError, match=f"{name} must be the name of a file; it is {file!r}"):
            made(**{name: file})


def test_rewards_by_hand(tmp_path):
    scores = {"0": {"badge": {"20": 0.4, "30": 0.6}, "core-gcn": {"20": 0.2, "30": 0.5}}}
    file = bank(tmp_path, OPENED, scores)
    for params, wanted in (
        ({}, 0.7 - 0.5),
        ({"reward": "absolute"}, 0.7),
        ({"bank": file}, 0.7 - 0.55),  # (0.6 + 0.5) / 2
        ({"bank": file, "reward": "incremental"}, 0.2),
    ):
        strategy = made(**params)
        strategy.begin(OPENED)
        played(strategy, [0.2])
        last = strategy.state_dict()["last"]
        assert last["reward"] == pytest.approx(wanted)
        assert last["advantage"] == pytest.approx(wanted)  # nothing to compare with yet
        assert strategy.state_dict()["baseline"] == pytest.approx(wanted)
    assert made(bank=file).reward_kind == "relative"


def test_rewards_are_smoothed_and_compared_with_a_moving_average():
    state = played(made(returns="one-step"), [0.1, 0.2]).state_dict()
    assert state["smoothed"] == pytest.approx(0.9 * 0.2 + 0.1 * 0.1)
    assert state["last"]["advantage"] == pytest.approx(0.19 - 0.1)
    assert state["baseline"] == pytest.approx(0.9 * 0.1 + 0.1 * 0.19)
    by_alpha = played(
        made(returns="one-step", alpha=0.4, alpha_role="reward-average"), [0.1, 0.2]
    ).state_dict()
    assert by_alpha["smoothed"] == pytest.approx(0.6 * 0.2 + 0.4 * 0.1)
    clipped = played(made(returns="one-step", advantage_clip=0.01), [0.1, 0.2]).state_dict()
    assert clipped["last"]["advantage"] == 0.01
    hard = played(made(difficulty="reinforce", reward_smoothing=0.0), [0.1]).state_dict()
    easiness = hard["last"]["losses"]["difficulty"]
    assert hard["actions"][0]["reward"] == pytest.approx(0.1 - 0.5 * easiness / 0.1)  # λ2 L_difficulty / α


def test_discounted_returns_look_back_over_all_rounds(monkeypatch):
    actions = [action(1, reward=0.1), action(2, reward=0.2), action(3, reward=0.4)]
    pulls = []
    monkeypatch.setattr(learning, "slope", lambda one, pull, loss, z: pulls.append(pull) or 0 * z)
    found = learn(network(), actions, 0.05, LOSS, **STEP)
    # less 0.05 each: 0.05, 0.15, 0.35; times -α
    assert_allclose(pulls, [-0.1 * (0.05 + 0.9 * (0.15 + 0.9 * 0.35)), -0.1 * (0.15 + 0.9 * 0.35), -0.035])
    assert found.advantage == pytest.approx(0.35)
    assert found.baseline == pytest.approx(0.9 * 0.05 + 0.1 * 0.4)
    one = learn(network(), actions, 0.05, replace(LOSS, gamma=None), **STEP)
    assert one.baseline == pytest.approx(0.9 * 0.05 + 0.1 * 0.4)
    pulls.clear()
    learn(network(), actions, 0.05, replace(LOSS, advantage=0.2), **STEP)
    assert_allclose(pulls, [-0.02, -0.02, -0.02])
    state = played(made(rounds=2), [0.1, 0.1, 0.1]).state_dict()
    assert [a["round"] for a in state["actions"]] == [2, 3]


@pytest.mark.parametrize("gamma", [0.9, None])
def test_what_all_rewards_share_teaches_nothing(gamma):
    """Lemma 1: a constant that the baseline knows leaves every update as it is, early rounds and late ones alike."""
    nets = []
    for shift in (0.0, 0.8):
        net, baseline = network(), shift
        for last in range(1, 4):
            told = [action(t, reward=0.1 * t + shift) for t in range(1, last + 1)]
            baseline = learn(net, told, baseline, replace(LOSS, gamma=gamma), **STEP).baseline
        nets.append(net)
    for a, b in zip(*(net.weights for net in nets), strict=True):
        assert_allclose(a.detach(), b.detach(), rtol=0, atol=1e-5)  # of steps of 1e-3


def test_a_bank_of_another_protocol_is_refused_and_one_that_changes_too(tmp_path):
    file = bank(tmp_path, OPENED, {"0": {"badge": {"30": 0.5}}})
    other = replace(OPENED, recipe={"recipe": 2})
    with pytest.raises(
        InputError, match=f"no bank of protocol {other.protocol}.*{OPENED.protocol}.*labelwise bank"
    ):
        made(bank=file).begin(other)
    with pytest.raises(InputError, match="There is no bank"):
        made(bank=str(tmp_path / "none.json")).begin(OPENED)
    strategy = made(bank=file)
    strategy.begin(OPENED)
    strategy.propose(view(), 5, rng("bank"))
    with pytest.raises(InputError, match="with 30 to 30 labels; it was asked for 31"):
        strategy.learn(outcome(1, 0.7, n_labelled=31))
    bank(tmp_path, OPENED, {"0": {"badge": {"30": 0.6}}})
    again = made(bank=file)
    again.begin(OPENED)
    again.load_state_dict(strategy.state_dict())
    with pytest.raises(InputError, match="has changed since the last round"):
        again.learn(outcome(1, 0.7))
    with pytest.raises(InputError, match="has changed since the last round"):
        again.propose(view(t=2), 5, rng("bank"))
    with pytest.raises(InputError, match="was not read"):
        played(made(bank=file), [0.1])


# -- what is learned ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("returns", ["discounted", "one-step"])
@pytest.mark.parametrize("reward", [0.3, -0.3])
def test_a_reward_makes_the_drawn_order_likelier_and_a_loss_less_likely(returns, reward):
    strategy = made(returns=returns, lambda1=0.0, lambda2=0.0)
    strategy.propose(view(), 5, rng("direction"))
    state = strategy.state_dict()
    pending = Action.from_dict(state["actions"][0])
    before = chance(PolicyNetwork.from_state(state["network"]), pending)
    strategy.learn(outcome(1, 0.5 + reward))
    after = chance(PolicyNetwork.from_state(strategy.state_dict()["network"]), pending)
    assert (after > before) == (reward > 0)


def test_imbalance_above_its_average_makes_a_batch_less_likely():
    for surplus in (0.02, -0.02):
        net, one = network(), action(reward=0.0, imbalance=0.05, surplus=surplus)
        before = chance(net, one)
        learn(net, [one, action(2, reward=0.0)], 0.0, replace(LOSS, difficulty=0.0, gamma=None), **STEP)
        assert (chance(net, one) < before) == (surplus > 0)


def test_the_difficulty_loss_is_the_mean_hinge_of_the_batch():
    one = replace(action(k=4, b=2), difficulty=np.array([0.1, 0.3, 0.9, 0.2]), order=np.array([2, 0]))
    assert_allclose(one.hinges, [0.4, 0.2, 0, 0.3])  # below the threshold, 0.5
    assert one.easiness == pytest.approx((0 + 0.4) / 2)


def test_the_difficulty_loss_moves_the_policy_to_hard_candidates():
    net, one = network(), action(k=40, reward=0.0)

    def expected(net):
        z = net.logits(one.inputs)
        p = np.exp(z - z.max())
        return p / p.sum() @ one.hinges

    before = expected(net)
    for _ in range(20):
        learn(net, [one], 0.0, LOSS, **STEP)
    assert expected(net) < before


def test_a_policy_learns_what_is_rewarded():
    """A bandit: a batch is worth the mean of its candidates' last input, evenly distributed from 0 to 1."""
    net, draws, average, rewards = network(), rng("bandit"), None, []
    for _ in range(250):
        inputs = draws.random((20, 5)).astype(np.float32)
        one = Action(1, np.zeros(12, np.float32), inputs, np.empty(0, np.int64), np.ones(20), 0.0)
        one = replace(one, order=plackett_luce(net.logits(one.inputs), 4, draws))
        rewards.append(float(inputs[one.order, 4].mean()))
        one = replace(one, reward=rewards[-1])
        average = learn(
            net, [one], average, replace(LOSS, gamma=None), lr=0.01, weight_decay=1e-4, clip=1.0
        ).baseline
    assert np.mean(rewards[:50]) == pytest.approx(0.5, abs=0.08)  # four of 20, 50 times: standard error 0.02
    assert np.mean(rewards[-50:]) > 0.7  # the best four of 20 have 0.88 on average


def test_an_update_is_one_step_of_adamw_on_the_total_loss():
    """The same by autograd on the formula, and torch's own optimiser and clipping."""
    loss = Loss(0.1, 0.5, 0.7, 0.05, 0.9, 0.1, None)
    actions = [
        action(1, reward=0.1, imbalance=0.03, surplus=0.01),
        action(2, reward=0.3, imbalance=0.01, surplus=-0.02),
        action(3, reward=-0.2),
    ]
    ours, theirs = network(), network()
    torch_step = torch.optim.AdamW(theirs.weights, lr=1e-2, weight_decay=1e-2)
    for _ in range(3):
        learn(ours, actions, 0.05, loss, lr=1e-2, weight_decay=1e-2, clip=0.5)
        total = torch.zeros(())
        for t, one in enumerate(actions):
            z = theirs._forward(one.inputs)
            log_prob = torch.zeros(())
            left = torch.ones(len(z), dtype=torch.bool)
            for row in one.order.tolist():
                log_prob = log_prob + z[row] - torch.logsumexp(z[left], 0)
                left = left & (torch.arange(len(z)) != row)
            advantage = sum(0.9**k * (a.reward - 0.05) for k, a in enumerate(actions[t:]))
            p = z.softmax(0)
            hinge = (p * torch.from_numpy(one.hinges).float()).sum()
            entropy = -(p * p.log()).sum()
            total = total - 0.1 * advantage * log_prob + 0.5 * (one.surplus or 0) * log_prob
            total = total + 0.7 * hinge - 0.05 * entropy
        torch_step.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(theirs.weights, 0.5)
        for a, b in zip(ours.weights, theirs.weights, strict=True):  # clipped by both
            assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-6)  # float32; gradients are about 0.1
            b.grad = a.grad.clone()  # where a gradient is rounding alone, Adam would make it a whole step
        torch_step.step()
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6, atol=1e-7)


def test_one_step_returns_learn_from_the_newest_round_and_the_imbalance_before_it():
    z = rng("z").normal(size=12)
    one = action()
    assert_allclose(slope(one, 0.3, None, z), 0.3 * plackett_luce_gradient(z, one.order))
    net = network()
    old = [action(1, reward=9.0, imbalance=1.0, surplus=1.0), action(2, reward=9.0), action(3, reward=0.0)]
    still = learn(
        net, old, 0.0, replace(LOSS, gamma=None, difficulty=0.0), lr=1e-3, weight_decay=0.0, clip=None
    )
    assert still.norm == 0  # round 1 is too long ago, round 2 has no imbalance yet, round 3 no advantage
    old[1] = replace(old[1], imbalance=1.0, surplus=1.0)
    assert learn(net, old, 0.0, replace(LOSS, gamma=None, difficulty=0.0), **STEP).norm > 0


def test_the_gaps_that_follow_a_batch_are_remembered_with_it():
    strategy = played(made(), [0.1], after=True)
    first, pending = strategy.state_dict()["actions"]
    gaps = np.array(list(strategy.propose(view(t=2, seed=2), 5, rng("last")).notes["modality gaps"].values()))
    assert first["imbalance"] == pytest.approx(gaps.var(), rel=1e-4) and first["surplus"] == 0
    assert pending["reward"] is None and pending["imbalance"] is None
    later = played(made(), [0.1, 0.1], after=True).state_dict()
    one, two = (a["imbalance"] for a in later["actions"][:2])
    assert later["actions"][1]["surplus"] == pytest.approx(two - one)
    assert later["modality baseline"] == pytest.approx(0.9 * one + 0.1 * two)


@pytest.mark.parametrize(
    "params, weight, difficulty, entropy, gamma",
    [
        ({}, 0.2, 0.4, 0.03, 0.7),
        ({"alpha_role": "entropy"}, 1.0, 0.4, 0.23, 0.7),
        ({"alpha_role": "reward-average"}, 1.0, 0.4, 0.03, 0.7),
        ({"difficulty": "reinforce"}, 0.2, 0.0, 0.03, 0.7),
        ({"returns": "one-step"}, 0.2, 0.4, 0.03, None),
    ],
)
def test_every_parameter_weighs_what_it_is_named_for(monkeypatch, params, weight, difficulty, entropy, gamma):
    found = []
    monkeypatch.setattr(
        "labelwise.strategies.balance.strategy.learn",
        lambda *args, **step: found.append((args[3], step)) or learn(*args, **step),
    )
    given = {"alpha": 0.2, "lambda1": 0.3, "lambda2": 0.4, "entropy": 0.03, "gamma": 0.7, "lr": 0.01,
             "baseline_smoothing": 0.6, "advantage_clip": 5.0, "weight_decay": 0.02, "clip": 0.5}  # fmt: skip
    played(made(**given, **params), [0.1])
    assert found == [
        (
            Loss(weight, 0.3, difficulty, entropy, gamma, 0.6, 5.0),
            {"lr": 0.01, "weight_decay": 0.02, "clip": 0.5},
        )
    ]


def test_the_policy_computes_on_one_thread_whatever_torch_may_use():
    network, x = PolicyNetwork(3, 4, rng("threads")), np.ones((6, 3), np.float32)
    seen, before = [], torch.get_num_threads()

    def gradient(z):
        seen.append(torch.get_num_threads())
        return np.ones_like(z)

    torch.set_num_threads(2)
    try:
        network.step([(x, gradient)], lr=0.1, weight_decay=0.0, clip=None)
        network.logits(x)
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_weights_begin_within_one_over_the_root_of_their_inputs():
    first, a, last, b = (w.detach().numpy() for w in network(64).weights)
    for w, inputs in ((first, 17), (a, 17), (last, 64), (b, 64)):
        assert np.abs(w).max() <= inputs**-0.5
        assert w.size < 9 or (
            abs(w.mean()) < 3 * inputs**-0.5 / np.sqrt(3 * w.size) and np.ptp(w) > inputs**-0.5
        )


def test_what_was_not_asked_by_it_teaches_it_nothing():
    fresh = made()
    fresh.learn(outcome(1, 0.9))  # another strategy's round
    assert fresh.state_dict() == {}
    strategy = played(made(), [0.1])
    heard = plain(strategy.state_dict())
    strategy.learn(outcome(1, 0.6))  # twice, as of one object that stands in two places
    strategy.learn(outcome(2, 0.9))  # another's again
    assert plain(strategy.state_dict()) == heard
    strategy.propose(view(t=3), 5, rng("other"))
    first, pending = strategy.state_dict()["actions"]
    assert first["imbalance"] is None  # what round 2 bought changed the gaps, too
    assert pending["round"] == 3
    strategy.propose(view(t=5), 5, rng("other"))
    assert [a["round"] for a in strategy.state_dict()["actions"]] == [1, 5]  # never rewarded, forgotten


def test_one_object_serves_one_campaign():
    strategy = made()
    strategy.begin(OPENED)
    strategy.begin(replace(OPENED))  # reopened
    for other in (
        replace(OPENED, plan=Plan(seed=1)),
        replace(OPENED, recipe={}),
        replace(OPENED, at="later"),
    ):
        with pytest.raises(InputError, match="served another campaign.*Make one for each campaign"):
            strategy.begin(other)


def test_a_frozen_policy_stays_as_it_is():
    strategy = made(frozen=True)
    strategy.propose(view(), 5, rng("frozen"))
    before = plain(strategy.state_dict()["network"])
    played(strategy, [0.3, 0.1])
    state = strategy.state_dict()
    assert plain(state["network"]) == before and state["updates"] == 0 and state["actions"] == []
    assert state["moments"]["count"] == 3  # it still gets to know what is usual here


# -- restarts ----------------------------------------------------------------------------------------------------------


def test_a_policy_that_dies_between_asking_and_learning_learns_the_same():
    alive = played(made(), [0.1, 0.2])
    alive.propose(view(t=3), 5, rng("crash"))
    stored = encode_state({"strategy": alive.state_dict()})
    reborn = made()
    reborn.load_state_dict(decode_state(stored)["strategy"])
    for one in (alive, reborn):
        one.learn(outcome(3, 0.8))
    assert plain(reborn.state_dict()) == plain(alive.state_dict())
    for one in (alive, reborn):
        one.propose(view(t=4), 5, rng("after"))
    assert plain(reborn.state_dict()) == plain(alive.state_dict())


def test_a_campaign_reopened_before_every_round_asks_and_learns_the_same():
    plan = Plan(seed=1, start=6, batch=4, budget=26)
    oracle = SimulatedOracle(fake.truth(), 3)

    def run(*, reopened):
        store, found, strategy = MemoryStore(), [], made()
        while True:
            strategy = made() if reopened else strategy
            campaign = Campaign(fake.task(), fake.FakeRecipe(), strategy, store, plan)
            if not (ids := campaign.ask()):
                return found, plain(store.state()["strategy"])
            found.append(ids)
            campaign.tell(oracle.answer(ids))

    asked, state = run(reopened=True)
    assert (asked, state) == run(reopened=False)
    assert state["updates"] == 5


# -- policies as files -------------------------------------------------------------------------------------------------


def test_a_policy_goes_on_with_other_classes(tmp_path):
    file = tmp_path / "policy.safetensors"
    taught = played(made(), [0.1, 0.2], after=True).state_dict()
    save_policy(file, taught, {"task": "digits"})
    assert load_policy(file)["about"] == {"task": "digits"}
    strategy = made(policy=str(file))
    strategy.begin(OPENED)
    strategy.propose(view(classes=7), 5, rng("transfer"))
    state = strategy.state_dict()
    assert plain(state["network"]) == plain(taught["network"])
    assert state["moments"]["count"] == taught["moments"]["count"] + 1
    assert state["updates"] == 2 and state["baseline"] == taught["baseline"]
    assert [a["round"] for a in state["actions"]] == [1] and state["smoothed"] is None
    strategy.learn(outcome(1, 0.8))
    assert strategy.state_dict()["updates"] == 3
    absolute = made(policy=str(file), reward="absolute")
    absolute.propose(view(), 5, rng("transfer"))
    assert absolute.state_dict()["baseline"] is None  # one of other rewards says nothing


def test_a_policy_for_other_modalities_or_units_is_refused(tmp_path):
    file = tmp_path / "policy.safetensors"
    save_policy(file, played(made(), [0.1]).state_dict())
    three = replace(OPENED, task={**OPENED.task, "modalities": ["a", "b", "c"]})
    for spoil in (lambda s: s.begin(three), lambda s: s.propose(view(modalities=3), 5, rng("m"))):
        with pytest.raises(InputError, match="trained with 2 modalities; these samples have 3"):
            spoil(made(policy=file))
    with pytest.raises(InputError, match="has 8 hidden units; this strategy has 16. Set hidden=8"):
        made(policy=file, hidden=16).begin(OPENED)
    with pytest.raises(InputError, match="There is no policy to save yet"):
        save_policy(file, made().state_dict())
    with pytest.raises(InputError, match="cannot be written"):
        save_policy(tmp_path / "no" / "p", played(made(), [0.1]).state_dict())


def test_what_is_no_policy_is_refused(tmp_path):
    from safetensors.numpy import save_file

    file = tmp_path / "policy.safetensors"
    with pytest.raises(InputError, match="There is no policy .*none"):
        load_policy(tmp_path / "none")
    file.write_bytes(b"no safetensors at all")
    with pytest.raises(InputError, match="is no policy of rl-mba"):
        load_policy(file)
    state = played(made(), [0.1]).state_dict()
    arrays = {k: v for k, v in state["network"].items() if k != "steps"}
    taken = {
        k: state[k]
        for k in ("modalities", "moments", "baseline", "modality baseline", "reward kind", "updates")
    }
    told = {"format": "labelwise-policy/1", "about": {}, "steps": 1, **taken}
    for changes, spoiled, words in (
        ({"format": "labelwise-policy/9"}, {}, "its format is"),
        ({"modalities": 3}, {}, "weight 0 must be"),
        ({"modalities": True}, {}, "modalities is True"),
        ({"baseline": "much"}, {}, "baseline is 'much'"),
        ({"updates": -1}, {}, "updates is -1"),
        ({"steps": -1}, {}, "steps is -1"),
        ({"steps": 1e400}, {}, "steps is inf"),
        ({"moments": {"count": 1}}, {}, "mean is missing|mean"),
        ({}, {"weight 0": arrays["weight 0"] * np.nan}, "weight 0 must be .* finite"),
        ({}, {"square 1": arrays["square 1"] - 1}, "square 1 holds a negative number"),
        ({}, {"mean 3": np.zeros(2, np.float32)}, "mean 3 must be"),
    ):
        save_file(arrays | spoiled, file, metadata={"labelwise": json.dumps(told | changes)})
        with pytest.raises(InputError, match=words):
            load_policy(file)
    save_file(arrays, file)
    with pytest.raises(InputError, match="is no policy of rl-mba"):
        load_policy(file)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params, words",
    [
        ({"weights": "ambc"}, "amcb"),
        ({"sign": 0}, "sign must be 1 or -1"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"floor": 2}, "floor must be a number from 0 to 1"),
        ({"uncertainty": "entropie"}, "entropy"),
        ({"features": "sum"}, "mean"),
        ({"kappa": 0.5}, "kappa must be a number of at least 1"),
        ({"quantile": 1.5}, "quantile"),
        ({"reward": "relative"}, "labelwise bank"),
        ({"reward": "relativ"}, "relative"),
        ({"returns": "all"}, "discounted"),
        ({"gamma": 2}, "gamma"),
        ({"alpha_role": "bonus"}, "role of alpha"),
        ({"alpha_role": "reward-average", "alpha": 2.0}, "alpha, as the average of rewards"),
        ({"difficulty": "reinforce", "alpha": 0}, "divides by alpha"),
        ({"rounds": 0}, "rounds"),
        ({"lr": 0}, "lr must be above 0"),
        ({"clip": -1}, "clip"),
        ({"frozen": 1}, "frozen must be true or false"),
        ({"shapley": True}, "cannot be made"),
    ],
)
def test_parameters_that_break_a_rule_are_refused(params, words):
    with pytest.raises((InputError, UnknownName), match=words):
        make("rl-mba", **params)


def test_a_campaign_remembers_its_parameters_and_not_what_it_learned():
    told = describe(played(made(), [0.1]))
    assert told["temperature"] == 0.1 and told["class"].endswith("strategy:RlMba")
    assert "agent" not in told and "baseline" not in told
