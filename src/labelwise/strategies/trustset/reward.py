"""The reward network: it learns what choosing a cell is worth, and is asked about cells nobody has labels of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.functional.backend import placed
from labelwise.strategies.trustset.buffer import Buffer, Scale

Floats = NDArray[np.float64]
STRIPE = 128  # rows whose products with one another are computed twice


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

        The error is in units of the rewards' variance where they are standardised.
        """
        return self.learn(
            buffer, batches(len(buffer), rng, steps=steps, batch=batch), lr=lr, standardise=standardise
        )

    def learn(
        self, buffer: Buffer, draws: list[NDArray[np.int64]], *, lr: float, standardise: bool = True
    ) -> float:
        """Take a step on each of these batches of the buffer's rows; return the error as `train` does."""
        scale = Scale.of(buffer) if standardise else Scale.none(len(buffer.mean))
        self.scale = scale
        goals = (buffer.rewards - scale.reward_mean) / scale.reward_spread
        error = 0.0
        for some in [draws] if self._few(draws, buffer) else [[draw] for draw in draws]:
            error = self._descend(some, buffer, goals, lr)
        return error

    def _few(self, draws: list[NDArray[np.int64]], buffer: Buffer) -> bool:
        """Return whether these steps cost less together, in multiplications of the first layer: see `_descend`."""
        rows = np.unique(np.concatenate(draws))
        states, actions = len(np.unique(buffer.state_of[rows])), len(rows)
        hidden, width = self.weights[0].shape
        wide = buffer.actions.width
        taken = sum(map(len, draws))
        # of products between rows half are computed, the others mirrored; a step looks at half the rows on average
        together = (2 * hidden + states / 2) * states * (width - wide)
        together += (2 * hidden + actions / 2) * actions * wide
        return bool(together + taken * actions * hidden / 2 < 2 * taken * width * hidden)

    def _descend(self, draws: list[NDArray[np.int64]], buffer: Buffer, goals: Floats, lr: float) -> float:
        """Take a step for each of the draws, and return the last one's error.

        A step moves the first layer by products with its own rows, so what the layer answers to a later step's rows
        follows from their products with the earlier ones. Where rows are few, that is far cheaper than to move the
        layer every time; it is moved once, at the end. States are multiplied once, however many actions they have.
        """
        import torch

        first, a, second, b, last, c = self.weights
        rows, places = _by_appearance(np.concatenate(draws))
        which, owners = np.unique(buffer.state_of[rows], return_inverse=True)
        split = self.weights[0].shape[1] - buffer.actions.width
        states = self._tensor(buffer.states.take(which), slice(0, split))
        actions = self._tensor(buffer.actions.take(rows), slice(split, None))
        wanted = torch.from_numpy(goals[rows].astype(np.float32)).to(self.device, first.dtype)
        own = torch.from_numpy(owners).to(self.device)
        of_states, of_actions = first[:, :split], first[:, split:]
        answers = (states @ of_states.T)[own].add_(a).addmm_(actions, of_actions.T)
        if len(draws) > 1:
            products = _products(actions)
            products += _products(states).add_(1)[own][:, own]  # 1: of the bias
        slopes = torch.zeros_like(answers)
        lengths = [len(draw) for draw in draws]
        looked = torch.from_numpy(places).to(self.device)
        steps, goal_of = torch.split(looked, lengths), torch.split(wanted[looked], lengths)
        # rows are in the order in which steps first look at them
        known = [0, *(np.maximum.accumulate([places[:end].max() for end in np.cumsum(lengths)]) + 1).tolist()]
        backward, turned, weights = torch.ops.aten.threshold_backward, second.T, last[0]
        for at, goal, before in zip(steps, goal_of, known, strict=False):
            # few and whole calls: each waits for its turn with what else runs in Python
            one = answers[at]
            if before:
                one.addmm_(products[:, :before][at], slopes[:before], alpha=-lr)
            one.relu_()
            two = (one @ turned).add_(b).relu_()
            off = (two @ weights).add_(c).sub_(goal)
            down = off * (2 / len(at))
            down_two = backward(torch.outer(down, weights), two, 0)
            down_one = backward(down_two @ second, one, 0)
            weights.sub_((down @ two).mul_(lr))
            c.sub_(down.sum().mul_(lr))
            second.addmm_(down_two.T, one, alpha=-lr)
            b.sub_(down_two.sum(0).mul_(lr))
            slopes.index_add_(0, at, down_one)
        member = torch.zeros(len(which), len(rows), dtype=first.dtype, device=self.device)
        member[own, torch.arange(len(rows))] = 1  # a product adds in the same order everywhere
        of_states.addmm_((member @ slopes).T, states, alpha=-lr)
        of_actions.addmm_(slopes.T, actions, alpha=-lr)
        a.sub_(lr * slopes.sum(0))
        return float(off.square().mean())

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

    def _tensor(self, values: Array, columns: slice = slice(None)) -> Any:
        """Return these columns of some inputs, standardised."""
        import torch

        array = values - self.scale.mean[columns]
        array /= self.scale.spread[columns]
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


def batches(total: int, rng: np.random.Generator, *, steps: int, batch: int) -> list[NDArray[np.int64]]:
    """Return so many batches of distinct rows of a buffer that holds `total`; all rows where there are fewer."""
    return [rng.choice(total, min(batch, total), replace=False) for _ in range(steps)]


def _by_appearance(drawn: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct rows in the order in which they first appear, and the place of each row among them."""
    rows, first, places = np.unique(drawn, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rows[order], rank[places]


def _products(x: Any) -> Any:
    """Return the products of all rows with one another, (n, D) to (n, n); those above the diagonal are mirrored."""
    import torch

    found = torch.empty(len(x), len(x), dtype=x.dtype, device=x.device)
    for low in range(0, len(x), STRIPE):
        high = min(low + STRIPE, len(x))
        torch.mm(x[low:high], x[:high].T, out=found[low:high, :high])
        found[:low, low:high] = found[low:high, :low].T
    return found
