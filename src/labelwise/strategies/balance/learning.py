"""How the policy of RL-MBA learns: actions that wait for their rewards, returns, and one step on the total loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.functional.policy import (
    discounted_returns,
    entropy_of_first_step,
    moving_average,
    plackett_luce_gradient,
    plackett_luce_log_prob,
)
from labelwise.strategies.balance.policy import PolicyNetwork

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Action:
    """One drawn batch, with all it takes to say how likely the policy would draw it now.

    Attributes:
        round: that asked.
        state: (S,) float32, standardised as it was then.
        candidates: (K, M + 3) float32.
        order: (b,) candidates in the order of drawing.
        difficulty: (K,) U of the candidates.
        threshold: τ_u of the round.
        reward: smoothed; None while it is waited for.
        imbalance: variance of the gaps that followed; None until the next round is seen.
        surplus: the imbalance above its moving average; None as that.
    """

    round: int
    state: NDArray[np.float32]
    candidates: NDArray[np.float32]
    order: NDArray[np.int64]
    difficulty: Floats
    threshold: float
    reward: float | None = None
    imbalance: float | None = None
    surplus: float | None = None

    @property
    def inputs(self) -> Array:
        """What the policy reads, (K, S + M + 3)."""
        state = np.broadcast_to(self.state, (len(self.candidates), self.state.size))
        return np.concatenate([state, self.candidates], axis=1)

    @property
    def hinges(self) -> Floats:
        """[τ_u - U]_+ of the candidates, (K,)."""
        return np.maximum(self.threshold - self.difficulty, 0)

    @property
    def easiness(self) -> float:
        """L_difficulty, the mean of the hinges over the batch."""
        return float(self.hinges[self.order].mean())

    def to_dict(self) -> dict[str, Any]:
        """Return its fields, as a store takes them."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Self:
        """Return the action of `to_dict`."""
        return cls(**{f.name: body[f.name] for f in fields(cls)})


@dataclass(frozen=True)
class Loss:
    """What each part of the total loss weighs.

    Attributes:
        policy: of -Σ A ln π.
        modality: λ1.
        difficulty: λ2, of the relaxed hinge; 0 where it goes into the reward.
        entropy: of the entropy bonus.
        gamma: γ of the returns; None: every round has its own reward only, and the newest alone is learned from.
        baseline: η of the moving average that rewards are compared with.
        advantage: largest size of an advantage; None: no limit.
    """

    policy: float
    modality: float
    difficulty: float
    entropy: float
    gamma: float | None
    baseline: float
    advantage: float | None


@dataclass(frozen=True)
class Lesson:
    """What an update was.

    Attributes:
        advantage: of the newest action.
        baseline: what the next rewards are compared with.
        losses: "policy", -A ln π, and "difficulty" of the newest action, "modality" of the newest one known.
        norm: of the gradient before it was clipped.
    """

    advantage: float
    baseline: float
    losses: dict[str, float | None]
    norm: float


def learn(
    network: PolicyNetwork, actions: list[Action], baseline: float | None, loss: Loss, **step: Any
) -> Lesson:
    """Take one step on Σ_t of policy, modality and difficulty loss of rounds whose reward is known; say what it was.

    The returns of rewards so far stand for the returns of the whole campaign: with each round that is heard of they
    grow into these. So late rounds have shorter returns than early ones, and one baseline for all returns would only
    tell early from late; it is subtracted from each reward instead, A_t = Σ_k γ^k (r_{t+k} - b), and what all rewards
    share cancels. The modality loss of a round needs the next view, which comes after its reward: it joins one update
    later. With one-step returns the newest action is the only one, but for that.

    Args:
        network: moved in place.
        actions: of one campaign in the order of rounds, all rewarded, at least one.
        baseline: b, what rewards are compared with; None: 0, as nothing was heard of yet.
        loss: weights.
        step: lr, weight_decay and clip of `PolicyNetwork.step`.
    """
    rewards = np.array([0.0 if action.reward is None else action.reward for action in actions])
    advantages = discounted_returns(rewards - (baseline or 0.0), loss.gamma or 0.0)
    if loss.advantage is not None:
        advantages = np.clip(advantages, -loss.advantage, loss.advantage)
    newest = len(actions) - 1
    batches: list[tuple[Array, Callable[[Floats], Floats]]] = []
    for t, (action, advantage) in enumerate(zip(actions, advantages.tolist(), strict=True)):
        learns = t == newest or loss.gamma is not None
        surplus = action.surplus if learns or t == newest - 1 else None
        if learns or surplus is not None:
            pull = loss.modality * (surplus or 0.0) - (loss.policy * advantage if learns else 0.0)
            batches.append((action.inputs, partial(slope, action, pull, loss if learns else None)))
    last = actions[newest]
    chance = plackett_luce_log_prob(network.logits(last.inputs), last.order)
    known = [action.imbalance for action in actions if action.imbalance is not None]
    return Lesson(
        advantage=float(advantages[newest]),
        baseline=moving_average(baseline, float(rewards[newest]), loss.baseline),
        losses={
            "policy": -float(advantages[newest]) * chance,
            "modality": known[-1] if known else None,
            "difficulty": last.easiness,
        },
        norm=network.step(batches, **step),
    )


def slope(action: Action, pull: float, loss: Loss | None, z: Floats) -> Floats:
    """Return the gradient of pull · ln π(a) + λ2 Σ_x p_x [τ_u - U(x)]_+ - entropy · H with respect to logits z, (K,).

    p is the softmax of z, the first draw. Without `loss` the first term alone.
    """
    found = pull * plackett_luce_gradient(z, action.order)
    if loss is None or not (loss.difficulty or loss.entropy):
        return found
    p = np.exp(z - z.max())
    p /= p.sum()
    hinges = action.hinges
    found += loss.difficulty * p * (hinges - p @ hinges)
    if loss.entropy:  # ∂H/∂z = -p (ln p + H)
        logs = np.log(np.maximum(p, np.finfo(np.float64).tiny))
        found += loss.entropy * p * (logs + entropy_of_first_step(z))
    return found
