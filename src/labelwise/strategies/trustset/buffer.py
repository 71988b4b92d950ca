"""What rehearsals have shown so far, and the scale of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.strategies.trustset.episodes import Episode

Floats = NDArray[np.float64]


class Stack:
    """Arrays one below the other, never copied: rows are looked up by number."""

    def __init__(self) -> None:
        self.parts: list[Array] = []
        self.starts = [0]

    def __len__(self) -> int:
        return self.starts[-1]

    @property
    def width(self) -> int:
        """Columns of each array."""
        return int(self.parts[0].shape[1])

    def append(self, part: Array) -> None:
        """Put an array below the others."""
        self.parts.append(part)
        self.starts.append(len(self) + len(part))

    def take(self, rows: NDArray[np.int64]) -> Array:
        """Return some rows, in the order of their numbers."""
        found = np.empty((len(rows), self.width), self.parts[0].dtype)
        order = np.argsort(rows, kind="stable")
        cuts = np.searchsorted(rows[order], self.starts)
        for part, start, low, high in zip(self.parts, self.starts, cuts, cuts[1:], strict=False):
            found[order[low:high]] = part[rows[order[low:high]] - start]
        return found


class Buffer:
    """All states, actions and rewards seen so far; states once a cluster, not once a cell.

    Attributes:
        states: (s, 4 D).
        actions: (k, 2 D).
        state_of: (k,) rows of `states`, ascending.
        rewards: (k,).
        mean: (6 D,) of the inputs; a state counts as often as it has actions.
        squares: (6 D,) sums of their squares about it.
    """

    def __init__(self) -> None:
        self.states, self.actions = Stack(), Stack()
        self.state_of = np.empty(0, np.int64)
        self.rewards: Floats = np.empty(0)
        self.mean: Floats = np.zeros(1)
        self.squares: Floats = np.zeros(1)

    def __len__(self) -> int:
        return len(self.rewards)

    def add(self, seen: Episode) -> None:
        """Take in what one rehearsal showed."""
        states, actions = seen.cells.states, seen.cells.actions[seen.rewarded]
        owners = seen.cells.cluster_of[seen.rewarded]
        weights = np.bincount(owners, minlength=len(states)).astype(np.float64)
        means, squares = [], []
        for rows, count in ((states, weights), (actions, np.ones(len(actions)))):
            means.append(count @ rows / len(actions))
            squares.append(count @ np.square(rows - means[-1]))
        step = np.concatenate(means) - self.mean
        old, new = len(self), len(actions)
        self.mean = self.mean + step * (new / (old + new))
        self.squares = self.squares + np.concatenate(squares) + np.square(step) * (old * new / (old + new))
        self.state_of = np.concatenate([self.state_of, owners + len(self.states)])
        self.rewards = np.concatenate([self.rewards, seen.rewards])
        self.states.append(states)
        self.actions.append(actions)


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
    def of(buffer: Buffer) -> Scale:
        """Return the scale of a buffer."""
        spread = np.sqrt(buffer.squares / len(buffer))
        # less than rounding of the mean is no spread at all
        spread = np.where(spread > 1e-6 * np.maximum(np.abs(buffer.mean), 1e-30), spread, np.inf)
        off = float(buffer.rewards.std())
        return Scale(
            buffer.mean.astype(np.float32),
            spread.astype(np.float32),
            float(buffer.rewards.mean()),
            off if off > 0 else 1.0,
        )

    @staticmethod
    def none(width: int) -> Scale:
        """Return the scale that changes nothing."""
        return Scale(np.zeros(width, np.float32), np.ones(width, np.float32), 0.0, 1.0)
