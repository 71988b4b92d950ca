"""RL-MBA as its paper has it: a policy that weighs modalities, looks for what is hard, and learns from what it bought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from time import perf_counter

import numpy as np

from labelwise.checks import check_count, check_name, check_number
from labelwise.errors import InputError
from labelwise.events import Opened
from labelwise.functional.policy import Moments, moving_average, plackett_luce
from labelwise.functional.unified import HOW
from labelwise.signals import Needs, View
from labelwise.strategies.balance.agent import (
    carried,
    check_bank,
    check_campaign,
    check_fits,
    followed,
    fresh,
)
from labelwise.strategies.balance.bank import Baseline, read_bank
from labelwise.strategies.balance.learning import Action, Loss, learn
from labelwise.strategies.balance.notes import notes_of
from labelwise.strategies.balance.policy import PolicyNetwork, inputs_of, load_policy
from labelwise.strategies.balance.state import Looks, check_validation, look, measure_balance, state_vector
from labelwise.strategies.base import Outcome, Proposal, State, Strategy

REWARDS = ("relative", "absolute", "incremental")
ROLES = ("policy-weight", "entropy", "reward-average")
_LOOKS = tuple(Looks.__dataclass_fields__)


@dataclass
class RlMba(Strategy):
    """Ask for what a policy draws from the hardest and most diverse samples, modalities weighed by what they know.

    Formula:
        w = softmax(Δ / τ), Δ_m = accuracy of modality m's head - that of the fusion. α_f = 1 + Σ_m w_m e_m;
        U = 1/C Σ_c Var[p_c] of Dirichlet(α_f). q = Σ_m w_m ũ_m + β d̃. The κ b highest q are the candidates; an MLP gives
        each a logit from the state of the round and its own numbers; the batch is drawn by Plackett-Luce. Reward: validation
        accuracy minus that of the baselines in a bank. AdamW on
        Σ_t -α A_t ln π(a_t) + λ1 L_modality + λ2 L_difficulty, A_t = Σ_k γ^k (r_{t+k} - b).
    Cost:
        O(n M C) time for difficulty, five iterations of k-means with b centres, O(n b D), which rules; the policy reads κ b
        rows and learns from at most `rounds` times as many. Memory O(n (M + D)).
    When:
        Two or more modalities of unequal worth, and validation labels to spare: it measures on them in every round. With
        a handful of rounds the policy hardly decides: candidates' chances differ by a few percent (note "policy
        preference"), and what is left is an even draw among the highest q. To learn more, go on from the policy of
        other campaigns.
    Source:
        Zeng et al. 2026, "Label What Matters: Modality-Balanced and Difficulty-Aware Multimodal Active Learning" (RL-MBA).
    Deviations:
        - What the paper leaves open is a field below, and a row of the table in docs/systems/rl-mba.md.
        - Softmax does not see what all gaps share: sign=1 favours the modality that is better alone and balances nothing.
        - The formula of the total loss is in no source; that above reads α, λ1, λ2 in their order.
        - L_modality learns by the score function on the gaps of the next round, against a moving average, one update late.
        - Returns are those of the rewards so far: every update is one step on all rounds kept, without a correction for
          how the policy has moved since it drew.
        - b is a moving average of rewards and is subtracted from each, as late rounds have shorter returns than early ones.
        - A head's accuracy is over the samples that have its modality.
        - Without a bank the reward is the gain in accuracy ("incremental"); the note "reward kind" tells which it is.

    Attributes:
        weights: "amcb", or "equal" (the ablation "w/ EFDA").
        sign: 1 favours the modality that is better alone, -1 the weaker one.
        temperature: τ of the weights.
        floor: what no weight falls below.
        uncertainty: "evidential", or "entropy" of each modality's probabilities; then U is their weighted mean (the
            ablation "w/ AMCB", together with lambda2=0).
        normalise: divide u_m and U by their largest possible value.
        features: how modalities become one feature row: "mean", or "concat" for unequal widths.
        iterations: of k-means.
        beta: weight of diversity in q.
        kappa: candidates a label.
        quantile: q of the threshold τ_u, over the pool.
        reward: "relative" to the bank, "absolute" accuracy, or "incremental"; None: relative where a bank is given,
            else incremental.
        bank: file of the baselines' accuracies, made by `labelwise bank` under the same protocol.
        returns: "discounted", or "one-step", where each round has its own reward alone.
        gamma: γ.
        rounds: newest rounds that an update looks at.
        reward_smoothing: η of the rewards' moving average, what the former one weighs.
        baseline_smoothing: what a new reward weighs in the baseline b.
        advantage_clip: largest size of an advantage; None: no limit.
        alpha: α.
        alpha_role: what α is: "policy-weight" of the policy's loss, "entropy" its bonus (then the policy's loss weighs
            1), or "reward-average", in place of reward_smoothing (likewise).
        lambda1: λ1, of L_modality.
        lambda2: λ2, of L_difficulty.
        difficulty: how L_difficulty is learned from: "relaxed", its expectation for the first draw, or "reinforce",
            subtracted from the reward.
        entropy: bonus for an open first draw.
        hidden: units of the policy.
        lr: of AdamW.
        weight_decay: of AdamW.
        clip: largest norm of the gradient; None: no limit.
        policy: file of a policy to start from, see `labelwise.strategies.balance.policy.save_policy`.
        frozen: only use the policy, do not learn.
        greedy: take the highest logits in place of a draw.
    """

    weights: str = "amcb"
    sign: int = 1
    temperature: float = 0.1
    floor: float = 0.05
    uncertainty: str = "evidential"
    normalise: bool = True
    features: str = "mean"
    iterations: int = 5
    beta: float = 0.5
    kappa: float = 5
    quantile: float = 0.5
    reward: str | None = None
    bank: str | None = field(default=None, repr=False)
    returns: str = "discounted"
    gamma: float = 0.9
    rounds: int = 10
    reward_smoothing: float = 0.1
    baseline_smoothing: float = 0.1
    advantage_clip: float | None = None
    alpha: float = 0.1
    alpha_role: str = "policy-weight"
    lambda1: float = 0.5
    lambda2: float = 0.5
    difficulty: str = "relaxed"
    entropy: float = 0.0
    hidden: int = 128
    lr: float = 1e-3
    weight_decay: float = 1e-4
    clip: float | None = 1.0
    policy: str | None = field(default=None, repr=False)
    frozen: bool = False
    greedy: bool = False
    agent: dict[str, State] = field(default_factory=dict, init=False, compare=False, repr=False)
    opened: Opened | None = field(default=None, init=False, compare=False, repr=False)
    baseline: Baseline | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_name(self.weights, ("amcb", "equal"), "weighing of modalities")
        check_name(self.uncertainty, ("evidential", "entropy"), "uncertainty")
        check_name(self.features, HOW, "way to fuse features")
        check_name(self.returns, ("discounted", "one-step"), "kind of returns")
        check_name(self.alpha_role, ROLES, "role of alpha")
        check_name(self.difficulty, ("relaxed", "reinforce"), "way to learn from the difficulty")
        if self.reward is not None:
            check_name(self.reward, REWARDS, "reward")
        if isinstance(self.sign, bool) or self.sign not in (1, -1):
            raise InputError(f"sign must be 1 or -1; it is {self.sign!r}.")
        for name in ("floor", "quantile", "gamma", "reward_smoothing", "baseline_smoothing"):
            check_number(getattr(self, name), name, 0, 1)
        for name in ("beta", "alpha", "lambda1", "lambda2", "entropy", "weight_decay"):
            check_number(getattr(self, name), name, 0)
        check_number(self.kappa, "kappa", 1)
        for name in ("temperature", "lr", "clip", "advantage_clip"):
            value = getattr(self, name)
            if value is None and name in ("clip", "advantage_clip"):
                continue
            if not check_number(value, name, 0) > 0:
                raise InputError(f"{name} must be above 0; it is {value!r}.")
        check_count(self.iterations, "iterations")
        for name in ("hidden", "rounds"):
            check_count(getattr(self, name), name, 1)
        for name in ("normalise", "frozen", "greedy"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be true or false; it is {getattr(self, name)!r}.")
        for name in ("bank", "policy"):
            file = getattr(self, name)
            if file is None:
                continue
            if not isinstance(file, str | PathLike) or not str(file):
                raise InputError(f"{name} must be the name of a file; it is {file!r}.")
            setattr(self, name, str(file))
        if self.alpha_role == "reward-average":
            check_number(self.alpha, "alpha, as the average of rewards,", 0, 1)
        if self.reward == "relative" and self.bank is None:
            raise InputError(
                'reward="relative" compares with the baselines in a bank; name its file as bank, or make one: '
                "`labelwise bank`. Without one: reward='incremental'."
            )
        if self.difficulty == "reinforce" and not self._weight:
            raise InputError(
                'difficulty="reinforce" divides by alpha; set it above 0, or difficulty="relaxed".'
            )

    @property
    def reward_kind(self) -> str:
        """What a reward is: "relative", "absolute" or "incremental"."""
        return self.reward or ("relative" if self.bank is not None else "incremental")

    @property
    def needs(self) -> Needs:
        of = "evidence" if self.uncertainty == "evidential" else "modal_probs"
        return Needs(
            pool=frozenset({of, "modal_embeddings", "present"}),
            validation=frozenset({"probs", "modal_probs", "present", "y"}),
        )

    @property
    def _weight(self) -> float:
        """What the policy's loss weighs."""
        return self.alpha if self.alpha_role == "policy-weight" else 1.0

    # -- a campaign ------------------------------------------------------------------------------------------------

    def begin(self, opened: Opened) -> None:
        check_campaign(self.opened, opened)
        check_validation(opened.task["validation"])
        self.opened = opened
        if self.policy is not None:
            check_fits(load_policy(self.policy), len(opened.task["modalities"]), self.hidden, self.policy)
        if self.reward_kind == "relative":
            assert self.bank is not None
            self.baseline = read_bank(self.bank).of(opened.protocol, opened.plan.seed)

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        if not len(view.pool):
            return Proposal(np.empty(0, np.int64))
        looks = Looks(**{name: getattr(self, name) for name in _LOOKS})
        balance = measure_balance(view.validation, view.n_classes, looks)
        m = balance.gaps.size
        agent = self.agent or self._start(m, rng)
        check_fits(agent, m, self.hidden, self.policy)
        check_bank(agent, self.baseline, self.bank)
        network = PolicyNetwork.from_state(agent["network"])
        pool = look(view, n, balance.weights, looks, rng)
        start = perf_counter()
        vector = state_vector(balance, float(pool.difficulty.mean()), float(pool.diversity.mean()), view.fit)
        moments = Moments.from_dict(agent["moments"]).seen(vector)
        action = Action(
            view.round,
            moments.standardise(vector).astype(np.float32),
            pool.inputs,
            np.empty(0, np.int64),
            pool.difficulty[pool.candidates],
            pool.threshold,
        )
        logits = network.logits(action.inputs)
        b = min(n, len(view.pool))
        order = np.argsort(-logits, kind="stable")[:b] if self.greedy else plackett_luce(logits, b, rng)
        action = replace(action, order=order)
        agent = followed(agent, view.round, balance.gaps, self.baseline_smoothing)
        kept = [body for body in agent["actions"] if body["reward"] is not None]
        if n < len(view.pool) and not self.frozen:  # else there was no choice to learn from
            kept.append(action.to_dict())
        told = {"moments": moments.to_dict(), "actions": kept[-self.rounds :], "asked": view.round}
        self.agent = {**agent, **told}
        if self.baseline is not None:
            self.agent["bank"] = self.baseline.digest
        seconds = {**pool.seconds, "policy": perf_counter() - start}
        notes = notes_of(
            view, balance, pool, action, logits, self.agent, evidential=self.uncertainty == "evidential"
        )
        return Proposal(pool.candidates[order], notes={**notes, "seconds": seconds})

    def learn(self, outcome: Outcome) -> None:
        if self.agent.get("asked") != outcome.round:
            return  # another one's batch, or heard of before
        check_bank(self.agent, self.baseline, self.bank)
        raw = self._reward(outcome)
        smoothing = self.alpha if self.alpha_role == "reward-average" else self.reward_smoothing
        smoothed = moving_average(self.agent["smoothed"], raw, 1 - smoothing)
        last = {"reward": raw, "smoothed reward": smoothed, "baseline": self.agent["baseline"]}
        self.agent = {**self.agent, "smoothed": smoothed, "last": last, "asked": None}
        actions = [Action.from_dict(body) for body in self.agent["actions"]]
        if self.frozen or not actions or actions[-1].reward is not None:
            return
        newest = actions.pop()
        if self.difficulty == "reinforce":
            smoothed -= self.lambda2 * newest.easiness / self._weight
        actions.append(replace(newest, reward=smoothed))
        network = PolicyNetwork.from_state(self.agent["network"])
        loss = Loss(
            self._weight,
            self.lambda1,
            self.lambda2 if self.difficulty == "relaxed" else 0.0,
            self.entropy + (self.alpha if self.alpha_role == "entropy" else 0.0),
            self.gamma if self.returns == "discounted" else None,
            self.baseline_smoothing,
            self.advantage_clip,
        )
        lesson = learn(
            network,
            actions,
            self.agent["baseline"],
            loss,
            lr=self.lr,
            weight_decay=self.weight_decay,
            clip=self.clip,
        )
        told = {"advantage": lesson.advantage, "gradient norm": lesson.norm, "losses": lesson.losses}
        self.agent |= {
            "network": network.state_dict(),
            "actions": [action.to_dict() for action in actions],
            "baseline": lesson.baseline,
            "updates": self.agent["updates"] + 1,
            "last": {**last, **told},
        }

    def _start(self, modalities: int, rng: np.random.Generator) -> dict[str, State]:
        """Return the state before the first batch: of the file that is named, or fresh."""
        if self.policy is None:
            return fresh(PolicyNetwork(inputs_of(modalities), self.hidden, rng), modalities, self.reward_kind)
        return carried(load_policy(self.policy), self.reward_kind)

    def _reward(self, outcome: Outcome) -> float:
        """Return what the batch of a round was worth, by validation accuracy."""
        after = float(outcome.after["accuracy"])
        if self.reward_kind == "absolute":
            return after
        if self.reward_kind == "incremental":
            return after - float(outcome.before["accuracy"])
        if self.baseline is None:
            raise InputError(
                f"The bank {self.bank} was not read: rl-mba must hear of its campaign by `begin`."
            )
        return after - self.baseline.at(outcome.n_labelled)

    def state_dict(self) -> dict[str, State]:
        return dict(self.agent)

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        self.agent = dict(state)
