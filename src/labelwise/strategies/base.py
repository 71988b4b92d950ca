"""The contract of a strategy: a view in, rows out; a learned policy also hears what its last batch bought."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_ids, check_name, frozen
from labelwise.errors import InputError
from labelwise.events import Opened
from labelwise.signals import Needs, View

# What may be stored: numbers, strings, None, arrays, and dicts or lists of them. Never a pickle.
State = Any


@dataclass(frozen=True, eq=False)
class Proposal:
    """Rows of `view.pool` to ask for, and why.

    Attributes:
        rows: (b,) distinct rows, in the order of asking.
        scores: (n,) one score a pool row, higher = ask sooner; None where a batch has no per-sample score.
        notes: shown in reports: weights, predicted rewards, phase seconds. Numbers, strings and lists of them.
    """

    rows: NDArray[np.int64]
    scores: Array | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", frozen(as_ids(self.rows, "proposal.rows")))

    def check(self, pool: int, n: int, who: str) -> None:
        """Raise unless this holds exactly min(n, pool) rows of a pool of that size (law B).

        Raises:
            InputError: the strategy called `who` broke its contract; nothing was asked.
        """
        wanted = min(n, pool)
        outside = int(((self.rows < 0) | (self.rows >= pool)).sum())
        if self.rows.size != wanted or outside:
            raise InputError(
                f"{who} breaks the contract of strategies: of {pool} pool rows it must propose {wanted}; "
                f"it proposed {self.rows.size}, {outside} of them outside the pool."
            )


@dataclass(frozen=True)
class Outcome:
    """What the last batch bought, measured on validation data only.

    Attributes:
        round: the round that was answered.
        n_labelled: labels the new predictor was fitted on.
        before: validation metrics of the predictor that proposed the batch.
        after: validation metrics of the predictor fitted with it.
    """

    round: int
    n_labelled: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class Strategy(ABC):
    """Turns a view into rows to ask for. Only `propose` is required.

    A proposal holds exactly min(n, pool) distinct rows whatever the data, reads nothing but the declared needs, and
    draws only from `rng`. Scores: higher means ask sooner.

    Attributes:
        inner: names of the fields that hold strategies; the class is then a dataclass. `make` takes for such a field
            a strategy's name, a table {"name": ..., its parameters}, a Strategy, or a list of these (held as a
            tuple), and gives the class made strategies only. A default may be a name, too.
        cheats: it knows the pool's labels, so only a simulation may run it: see `labelwise.strategies.cheating`.
    """

    inner: ClassVar[tuple[str, ...]] = ()
    cheats: ClassVar[bool] = False

    @property
    def needs(self) -> Needs:
        """The signals that it reads; most strategies set a class constant of this name."""
        return Needs()

    @property
    def cold_needs(self) -> Needs:
        """The signals that it reads in a round without any label; where these are features only, it may be cold."""
        return self.needs

    @abstractmethod
    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        """Return which n pool rows to ask for next (all of them if the pool is smaller)."""

    def begin(self, opened: Opened) -> None:
        """Hear, whenever a campaign is opened or reopened, what campaign it is; raise InputError to refuse it."""
        for name in self.inner:
            held = getattr(self, name)
            for one in held if isinstance(held, tuple) else (held,):
                one.begin(opened)

    def learn(self, outcome: Outcome) -> None:  # noqa: B027 - a documented no-op, most strategies learn nothing
        """Hear what the last batch bought; learned policies override this."""

    def state_dict(self) -> dict[str, State]:
        """Return everything that must survive a restart: numbers, strings, arrays, nested dicts."""
        return {}

    def load_state_dict(self, state: Mapping[str, State]) -> None:  # noqa: B027 - stateless by default
        """Take back what `state_dict` returned."""


@dataclass(frozen=True)
class InSpace(Strategy):
    """A strategy that looks at where samples lie, in one of two spaces.

    Attributes:
        space: "embeddings" of the predictor, which change as it learns, or "features", which are label-free and there
            before any label: with them a campaign may choose its first batch too.
        device: "cpu" computes with NumPy; "cuda", "cuda:1", "mps" with torch there; "auto" where it finds one.
    """

    space: str = "embeddings"
    device: str = "cpu"

    reads_labelled: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_name(self.space, ("embeddings", "features"), "space")

    @property
    def needs(self) -> Needs:
        space = frozenset({self.space})
        return Needs(pool=space, labelled=space if self.reads_labelled else frozenset())
