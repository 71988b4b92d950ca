"""The reward network: it learns what choosing a cell is worth, and is asked about cells nobody has labels of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.functional.backend import placed
from labelwise.strategies.trustset.episodes import Episode

Floats = NDArray[np.float64]


@dataclass
class Buffer:
    """All states, actions and rewards seen so far; states once a cluster, not once a cell.

    Attributes:
        states: (s, 4 D).
        actions: (k, 2 D).
        state_of: (k,) rows of `states`.
        rewards: (k,).
    """

    states: list[Array] = field(default_factory=list)
    actions: list[Array] = field(default_factory=list)
    state_of: list[NDArray[np.int64]] = field(default_factory=list)
    rewards: list[Floats] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.rewards))

    def add(self, seen: Episode) -> None:
        """Take in what one rehearsal showed."""
        offset = sum(map(len, self.states))
        self.states.append(seen.cells.states)
        self.actions.append(seen.cells.actions[seen.rewarded])
        self.state_of.append(seen.cells.cluster_of[seen.rewarded] + offset)
        self.rewards.append(seen.rewards)

    def joined(self) -> tuple[Array, Array, NDArray[np.int64], Floats]:
        """Return states, actions, the state of each action, and rewards as one array each."""
        return (
            np.concatenate(self.states),
            np.concatenate(self.actions),
            np.concatenate(self.state_of),
            np.concatenate(self.rewards),
        )


@dataclass(frozen=True, eq=False)
class Scale:
    """What makes inputs and rewards of mean 0 and deviation 1; a column without spread stays at 0.

    Attributes:
        mean: (F,) of the inputs.
        spread: (F,) likewise.
        reward_mean: of the rewards.
        reward_spread: likewise.
    """

    mean: Array
    spread: Array
    reward_mean: float
    reward_spread: float

    @staticmethod
    def of(states: Array, actions: Array, state_of: NDArray[np.int64], rewards: Floats) -> Scale:
        """Return the scale of a buffer; a state counts as often as it has actions."""
        weights = np.bincount(state_of, minlength=len(states)).astype(np.float64)
        mean_s = weights @ states / weights.sum()
        spread_s = np.sqrt(weights @ np.square(states - mean_s) / weights.sum())
        mean = np.concatenate([mean_s, actions.mean(axis=0, dtype=np.float64)])
        spread = np.concatenate([spread_s, actions.std(axis=0, dtype=np.float64)])
        # less than rounding of the mean is no spread at all
        spread = np.where(spread > 1e-6 * np.maximum(np.abs(mean), 1e-30), spread, np.inf)
        off = float(rewards.std())
        return Scale(
            mean.astype(np.float32), spread.astype(np.float32), float(rewards.mean()), off if off > 0 else 1.0
        )

    @staticmethod
    def none(width: int) -> Scale:
        """Return the scale that changes nothing."""
        return Scale(np.zeros(width, np.float32), np.ones(width, np.float32), 0.0, 1.0)


class RewardNetwork:
    """Two hidden layers with ReLU and one number out, trained by stochastic gradient descent on squared errors.

    Args:
        width: F, of the inputs.
        hidden: units of each hidden layer.
        rng: draws the weights, as `nn.Linear` does.
        device: where torch computes: "cpu", "cuda", "mps", or "auto".

    Raises:
        InputError: there is no such device.

    Source:
        BRAL-T, equations 9 and 10, algorithm 3; appendix B: two layers of 512, SGD at 0.01.
    """

    def __init__(self, width: int, hidden: int, rng: np.random.Generator, device: str = "cpu") -> None:
        import torch

        draws = torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))
        self.scale = Scale.none(width)
        sizes = [(hidden, width), (hidden, hidden), (1, hidden)]
        self.weights: list[Any] = []  # tensors
        for out, into in sizes:
            bound = into**-0.5
            for shape in ((out, into), (out,)):
                drawn = torch.empty(shape).uniform_(-bound, bound, generator=draws)
                self.weights.append(placed(drawn, device, doubles=False))
        self.device = self.weights[0].device

    def train(
        self,
        buffer: Buffer,
        rng: np.random.Generator,
        *,
        steps: int,
        batch: int,
        lr: float,
        standardise: bool = True,
    ) -> float:
        """Take so many steps on batches drawn from the buffer; return the last step's mean squared error.

        The error is in units of the rewards' spread where they are standardised.
        """
        import torch

        states, actions, state_of, rewards = buffer.joined()
        width = states.shape[1] + actions.shape[1]
        self.scale = Scale.of(states, actions, state_of, rewards) if standardise else Scale.none(width)
        goals = (rewards - self.scale.reward_mean) / self.scale.reward_spread
        for weight in self.weights:
            weight.requires_grad_(True)
        descent = torch.optim.SGD(self.weights, lr=lr)
        error = 0.0
        for _ in range(steps):
            rows = rng.choice(len(goals), min(batch, len(goals)), replace=False)
            x = np.concatenate([states[state_of[rows]], actions[rows]], axis=1)
            said = self._forward(self._tensor(x))
            loss = torch.mean((said - self._tensor(goals[rows], scaled=False)) ** 2)
            descent.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            descent.step()
            error = float(loss.detach())
        for weight in self.weights:
            weight.requires_grad_(False)
        return error

    def predict(self, inputs: Array) -> Floats:
        """Return the reward of each row of inputs, (m, F) to (m,), in units of the rewards."""
        import torch

        with torch.no_grad():
            said = self._forward(self._tensor(inputs)).cpu().numpy()
        return np.asarray(said * self.scale.reward_spread + self.scale.reward_mean, np.float64)

    def _forward(self, x: Any) -> Any:
        from torch.nn.functional import linear, relu

        first, a, second, b, last, c = self.weights
        return linear(relu(linear(relu(linear(x, first, a)), second, b)), last, c)[:, 0]

    def _tensor(self, values: Array, *, scaled: bool = True) -> Any:
        import torch

        array = (values - self.scale.mean) / self.scale.spread if scaled else values
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.device)

    def state_dict(self) -> dict[str, Any]:
        """Return weights and scale as arrays and numbers."""
        return {
            **{f"weight {i}": w.detach().cpu().numpy().copy() for i, w in enumerate(self.weights)},
            "mean": self.scale.mean,
            "spread": self.scale.spread,
            "reward mean": self.scale.reward_mean,
            "reward spread": self.scale.reward_spread,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        import torch

        self.weights = [
            torch.from_numpy(np.array(state[f"weight {i}"], np.float32)).to(self.device)
            for i in range(len(self.weights))
        ]
        self.scale = Scale(
            np.asarray(state["mean"], np.float32),
            np.asarray(state["spread"], np.float32),
            float(state["reward mean"]),
            float(state["reward spread"]),
        )
