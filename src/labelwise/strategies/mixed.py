"""Strategies made of strategies: a share of random, a warm-up, a switch from a low to a high budget."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from labelwise.checks import check_count, check_number
from labelwise.errors import InputError
from labelwise.signals import Needs, View
from labelwise.strategies.base import Outcome, Proposal, State, Strategy


@dataclass(frozen=True)
class Mixed(Strategy):
    """Ask for some samples drawn evenly, and for the rest as another strategy would.

    Formula:
        n - r rows by `then`, and r drawn evenly from all others; r is share · n, a fraction decided by lot, so that
        the share is right on average however small the batch.
    Cost:
        That of `then`; O(n) beside it.
    When:
        A biased batch would hurt, or `then` keeps asking in one corner: a little of random repairs both.
    Source:
        Sutton, Barto 2018, "Reinforcement Learning: An Introduction", section 2.2 (epsilon-greedy choice).
    Deviations:
        Of a batch, the share is exact up to rounding, where epsilon-greedy draws a lot for each sample.

    Attributes:
        then: the strategy that asks for the rest.
        share: of the batch that is drawn evenly, from 0 to 1.
    """

    then: Strategy = "margin"  # type: ignore[assignment]  # `make` gives the strategy of this name
    share: float = 0.2

    inner: ClassVar[tuple[str, ...]] = ("then",)

    def __post_init__(self) -> None:
        _check_made(self)
        check_number(self.share, "share", 0, 1)

    @property
    def needs(self) -> Needs:
        return self.then.needs

    @property
    def cold_needs(self) -> Needs:
        return self.then.cold_needs

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        pool = len(view.pool)
        size = min(n, pool)
        drawn = min(size, int(self.share * size + rng.random()))
        if drawn < size:
            found = self.then.propose(view.only(self.needs), size - drawn, rng)
        else:
            found = Proposal(np.empty(0, np.int64))
        others = np.ones(pool, bool)
        others[found.rows] = False
        even = rng.choice(np.flatnonzero(others), size=drawn, replace=False)
        return Proposal(
            np.concatenate([found.rows, even]), found.scores, {**found.notes, "drawn_evenly": drawn}
        )

    def learn(self, outcome: Outcome) -> None:
        self.then.learn(outcome)

    def state_dict(self) -> dict[str, State]:
        return _states(self)

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        _load_states(self, state)


@dataclass
class _Switch(Strategy):
    """Lets the first of two strategies propose until there are labels enough, then the second.

    An outcome is heard by the one that proposed the batch; its name is stored beside the states of both.
    """

    proposer: str = field(default="", init=False, compare=False)

    @abstractmethod
    def early(self, n_labelled: int, n_classes: int, round_: int) -> bool:
        """Tell whether it is still the first one's turn."""

    @property
    def needs(self) -> Needs:
        every = [getattr(self, name).needs for name in self.inner]
        return Needs(
            frozenset().union(*(needs.pool for needs in every)),
            frozenset().union(*(needs.labelled for needs in every)),
            frozenset().union(*(needs.validation for needs in every)),
        )

    @property
    def cold_needs(self) -> Needs:
        # Before any label it is the first one's turn; if not (labels = 0), its needs are those of the second.
        first, second = (getattr(self, name).cold_needs for name in self.inner)
        return first if self.early(0, 1, 0) else second  # type: ignore[no-any-return]

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        first, second = self.inner
        # While nothing is labelled, as after passes only, no round counts: the turn must be the one of `cold_needs`.
        round_ = view.round if len(view.labelled) else 0
        self.proposer = first if self.early(len(view.labelled), view.n_classes, round_) else second
        turn: Strategy = getattr(self, self.proposer)
        found = turn.propose(view.only(turn.needs), n, rng)
        return Proposal(found.rows, found.scores, {**found.notes, "proposed_by": self.proposer})

    def learn(self, outcome: Outcome) -> None:
        if self.proposer:
            getattr(self, self.proposer).learn(outcome)

    def state_dict(self) -> dict[str, State]:
        own = {"proposer": self.proposer} if self.proposer else {}
        return own | _states(self)

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        self.proposer = state.get("proposer", "")
        _load_states(self, state)


@dataclass
class WarmUp(_Switch):
    """Ask as one strategy would until something is learned, then as another.

    Formula:
        `first` while fewer than `labels` samples are labelled and fewer than `rounds` rounds were asked, then `then`.
    Cost:
        That of the strategy whose turn it is; the signals that either needs are computed in every round.
    When:
        `then` needs a predictor that is worth being asked, and the start batch alone does not make one.
    Source:
        Common practice; compared by Chandra et al. 2021, "On Initial Pools for Deep Active Learning".
    Deviations:
        None.

    Attributes:
        first: proposes until the switch.
        then: proposes after it.
        labels: labelled samples at which the switch is made; None: no number of them makes it.
        rounds: rounds after which the switch is made, none counting before the first label; None: no number of them
            makes it. Where both are None, the switch is made at ten labels a class. Where both are given, at
            whichever comes first.
    """

    first: Strategy = "random"  # type: ignore[assignment]  # `make` gives the strategy of this name
    then: Strategy = "margin"  # type: ignore[assignment]
    labels: int | None = None
    rounds: int | None = None

    inner: ClassVar[tuple[str, ...]] = ("first", "then")

    def __post_init__(self) -> None:
        _check_made(self)
        for name in ("labels", "rounds"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)

    def early(self, n_labelled: int, n_classes: int, round_: int) -> bool:
        if self.labels is None and self.rounds is None:
            return n_labelled < 10 * n_classes
        few = self.labels is None or n_labelled < self.labels
        return few and (self.rounds is None or round_ < self.rounds)


@dataclass
class Regime(_Switch):
    """Ask for typical samples while labels are few, and for uncertain ones once they are not.

    Formula:
        `low` while fewer than per_class · C samples are labelled, then `high`.
    Cost:
        That of the strategy whose turn it is; the signals that either needs are computed in every round.
    When:
        Budgets that start at a few labels a class, where uncertainty misleads, and grow beyond. With a `low` that
        needs features only, a campaign may let it choose the first batch, too.
    Source:
        Hacohen, Dekel, Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets".
    Deviations:
        The switch is a fixed number of labels a class; Hacohen, Weinshall 2023, "How to Select Which Active
        Learning Strategy is Best Suited for Your Specific Problem and Budget", train extra predictors to choose it.

    Attributes:
        low: proposes while labels are few.
        high: proposes after the switch.
        per_class: labels a class, on average, at which the switch is made.
    """

    low: Strategy = "typiclust"  # type: ignore[assignment]  # `make` gives the strategy of this name
    high: Strategy = "margin"  # type: ignore[assignment]
    per_class: float = 10.0

    inner: ClassVar[tuple[str, ...]] = ("low", "high")

    def __post_init__(self) -> None:
        _check_made(self)
        check_number(self.per_class, "per_class", 0)

    def early(self, n_labelled: int, n_classes: int, round_: int) -> bool:
        return n_labelled < self.per_class * n_classes


def _check_made(outer: Strategy) -> None:
    for name in outer.inner:
        if not isinstance(getattr(outer, name), Strategy):
            raise InputError(
                f"{name} of {type(outer).__name__} must be a Strategy; it is {getattr(outer, name)!r}. "
                "labelwise.make takes names."
            )


def _states(outer: Strategy) -> dict[str, State]:
    """Return what the inner strategies must keep, each under its own key; nothing for those that learn nothing."""
    states: dict[str, Any] = {name: getattr(outer, name).state_dict() for name in outer.inner}
    return {name: state for name, state in states.items() if state}


def _load_states(outer: Strategy, state: Mapping[str, State]) -> None:
    for name in outer.inner:
        getattr(outer, name).load_state_dict(state.get(name, {}))
