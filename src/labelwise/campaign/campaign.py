"""Ask and tell until the budget is spent: the only place where a recipe and a strategy meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.campaign.auditing import NO_PICKS, Picks, picks
from labelwise.campaign.measuring import measured, stressed, watched
from labelwise.campaign.opening import check_same, opening
from labelwise.campaign.telling import Refused, judge
from labelwise.campaign.viewing import cold_view, training_set, view_of
from labelwise.checks import check_count
from labelwise.data.base import Labelled
from labelwise.data.task import Task
from labelwise.describing import describe, plain
from labelwise.errors import BadAnswer, Conflict, InputError
from labelwise.events import Asked, Event, Fitted, Opened, Plan, State, replay
from labelwise.models.base import Predictor, Progress, Recipe
from labelwise.oracle import Answer
from labelwise.proposing import proposed
from labelwise.seeds import generator
from labelwise.signals import Needs, View
from labelwise.store.base import Store
from labelwise.strategies.base import Outcome, Proposal, Strategy

__all__ = ["Campaign", "Plan", "Refused", "describe"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Campaign:
    """Buys labels round by round: `while ids := campaign.ask(): campaign.tell(oracle.answer(ids))`.

    `ask` fits, measures, lets a learned policy hear what its last batch bought, and proposes; `tell` only records.
    Both may be called by different processes on different days: everything lies in the store, and reopening a store
    with the same arguments goes on where it stood.

    Args:
        task: the samples and who is pool, validation and test.
        recipe: how to fit.
        strategy: what to ask for.
        store: where events lie; an empty one opens a new campaign.
        plan: seed, batch sizes, budget; None takes the stored plan.
        notes: JSON values kept with the opening (a benchmark's spec, a project's name).
        progress: called as (what, done, total) during long steps.

    Raises:
        MissingSignal: the strategy needs a signal that neither recipe nor task gives, in words, at once.
        InputError: the store was opened with another plan, strategy, recipe or task.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        strategy: Strategy,
        store: Store,
        plan: Plan | None = None,
        *,
        notes: Mapping[str, Any] | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.task, self.recipe, self.strategy, self.store = task, recipe, strategy, store
        self.predictor: Predictor | None = None  # of the newest fit of this object; None before one
        self._initial = deepcopy(strategy.state_dict())
        self._progress = progress
        extra = {"features"} if task.features is not None else set()
        gives = Needs(
            recipe.gives.pool | extra,
            recipe.gives.labelled | extra | {"y"},
            recipe.gives.validation | extra | {"y"},
        )
        strategy.needs.check(gives, type(strategy).__name__, type(recipe).__name__)
        self._state = replay(store.read())
        if self._state.opened is None:
            if plan is None:
                raise InputError(
                    "A new campaign needs a plan: how many labels to start with, a batch, a budget."
                )
            self._open(plan, notes or {})
        check_same(self._opened, plan, strategy, recipe, task)
        self.plan = self._opened.plan
        strategy.begin(self._opened)
        self._pool_mask = np.zeros(len(task.data), bool)
        self._pool_mask[task.pool] = True

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the campaign stands, read afresh from the store."""
        self._state = replay(self.store.read(self._state.seen), self._state)
        return self._state

    @property
    def over(self) -> bool:
        """True when the budget (or the pool) is spent and the last labels were fitted and measured."""
        return self.state.over

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(self, n: int | None = None) -> tuple[int, ...]:
        """Return the ids that wait for an answer; () when the campaign is over. Asking again is harmless.

        Args:
            n: how many to ask for this time instead of the plan's batch; ignored while ids are open.
        """
        if n is not None:
            check_count(n, "n", 1)
        while True:
            state = self.state
            if state.open_ids:
                return state.open_ids
            if state.over:
                return ()
            events, learned = self._next(state, n)
            if not events:
                return ()
            try:
                self._record(events, state, learned)
            except Conflict:
                continue  # somebody asked or corrected meanwhile: read what they wrote and decide anew

    def _next(self, state: State, n: int | None) -> tuple[list[Event], dict[str, Any] | None]:
        """Return the events of one ask and the learned state that belongs to them."""
        t, room = len(state.asks), state.room
        pool = self._pool(state)
        labels = state.labels
        train = training_set(self.task, labels)
        cold = self.plan.cold and self._label_free()
        size = min(room, n or (self.plan.start if t == 0 and not len(self.task.given) else self.plan.batch))
        if len(train) == 0 and size == 0:
            return [], None
        stored = self.store.state()
        self.strategy.load_state_dict(stored.get("strategy", self._initial))
        if len(train) == 0:  # nothing to learn from: round 0, or only passes so far
            proposal, candidates = self._start(pool, size, t, cold)
            return [self._asked(t, candidates, proposal)], self._learned(stored)
        seconds: dict[str, float] = {}
        predictor = self._fit(train, pool, t, stored.get("predictor"), seconds)
        start = perf_counter()
        validation, test, analysis = self._measure(predictor, state)
        drawn = picks(self.task, self.recipe, predictor, state, pool, size, self._phase("measure"))
        if drawn.notes:
            analysis["audit"] = drawn.notes
        seconds["measure"] = perf_counter() - start
        # A fit of this very round was there before: a correction came after the end, and the outcome was heard then.
        # A round of random picks alone, which the strategy had no part in, has no outcome for it.
        own = state.asks and len(state.asks[-1].audit) < len(state.asks[-1].ids)
        if state.fits and own and state.fits[-1].round < t:
            start = perf_counter()
            before = state.fits[-1].validation
            self.strategy.learn(Outcome(t - 1, len(train), before, validation))
            seconds["learn"] = perf_counter() - start
        events: list[Event] = []
        if size:
            events.append(self._choose(predictor, train, pool, drawn, size, t, seconds))
        fit = {k: float(v) for k, v in predictor.notes.items()}
        fitted = Fitted(t, len(train), state.seen, validation, test, fit, seconds, _now(), analysis)
        events.insert(0, fitted)
        return events, self._learned(stored, predictor)

    def _choose(
        self,
        predictor: Predictor,
        train: Labelled,
        pool: NDArray[np.int64],
        drawn: Picks,
        size: int,
        t: int,
        seconds: dict[str, float],
    ) -> Asked:
        """Return the ask of a round: what was drawn at random, and what the strategy proposes of the rest."""
        proposal, candidates = Proposal(np.empty(0, np.int64)), pool
        if own := size - drawn.ids.size:
            start = perf_counter()
            rest = np.setdiff1d(pool, drawn.ids, assume_unique=True) if drawn.ids.size else pool
            candidates = self._candidates(rest, t, own)
            view = view_of(
                self.task, predictor, self.strategy.needs, candidates, train, t, self._phase("infer")
            )
            seconds["infer"] = perf_counter() - start
            start = perf_counter()
            proposal = self._propose(view, own)
            seconds["propose"] = perf_counter() - start
        return self._asked(t, candidates, proposal, drawn)

    def _learned(
        self, stored: Mapping[str, Any], predictor: Predictor | None = None
    ) -> dict[str, Any] | None:
        """Return the state to store with this ask; None where there is none, and none is stored that it must replace."""
        learned: dict[str, Any] = {**stored, "strategy": self.strategy.state_dict()}
        if self.recipe.warm and predictor is not None:
            learned["predictor"] = dict(predictor.state_dict())
        return learned if stored or any(learned.values()) else None

    def _fit(
        self, train: Labelled, pool: NDArray[np.int64], t: int, previous: Any, seconds: dict[str, float]
    ) -> Predictor:
        start = perf_counter()
        predictor = self.recipe.fit(
            self.task.data,
            train,
            pool,
            self.task.validation if len(self.task.validation) else None,
            self.task.n_classes,
            self._rng(t, "fit"),
            previous=previous if self.recipe.warm else None,
            progress=self._phase("fit"),
        )
        seconds["fit"] = perf_counter() - start
        self.predictor = predictor
        return predictor

    def _measure(
        self, predictor: Predictor, state: State
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return metrics on validation and on test data, and the analysis."""
        tell = self._phase("measure")
        validation, analysis = measured(self.task, self.recipe, predictor, self.task.validation, tell)
        test, of_test = measured(self.task, self.recipe, predictor, self.task.test, tell)
        before = state.fits[-1].analysis.get("watched") if state.fits else None
        labelled = np.fromiter(state.labels, np.int64)
        heard = watched(self.task, self.recipe, predictor, labelled, before, self.plan.seed, tell)
        return validation, test, {**(of_test or analysis), **stressed(self.task, predictor, tell), **heard}

    def _start(
        self, pool: NDArray[np.int64], size: int, t: int, cold: bool
    ) -> tuple[Proposal, NDArray[np.int64]]:
        """Return the proposal of a round without any label: random and common to all strategies, unless cold."""
        if cold and self.task.features is not None:
            candidates = self._candidates(pool, t, size)
            view = cold_view(self.task, candidates, t)
            return self._propose(view, size), candidates
        rows = self._rng(t, "start").permutation(pool.size)[:size]
        return Proposal(rows), pool

    def _propose(self, view: View, size: int) -> Proposal:
        who, rng = type(self.strategy).__name__, self._rng(view.round, "propose")
        return proposed(self.strategy, view, size, rng, who=who, on_bad_sample="quarantine")

    def fit(self, state: State | None = None) -> Predictor:
        """Return the predictor that `ask` would fit on the answers so far; nothing is measured or recorded.

        Args:
            state: fit as of this earlier state instead (a cold recipe gives the predictor of that day again).

        Raises:
            InputError: there is no label to learn from.
        """
        at = state or self.state
        train = training_set(self.task, at.labels)
        if len(train) == 0:
            raise InputError("There is no label yet to fit a model on. Tell some answers first.")
        return self._fit(train, self._pool(at), len(at.asks), self.store.state().get("predictor"), {})

    # -- telling ---------------------------------------------------------------------------------------------------

    def tell(self, answers: Iterable[Answer | tuple[int, int | None]], *, correct: bool = False) -> None:
        """Record answers; some now and some later is fine. Never trains. All or nothing.

        Args:
            answers: `Answer`s, or (id, label) pairs; label None is a pass.
            correct: allow a second, different answer for an id; both stay in the store, the newer counts.

        Raises:
            BadAnswer: an answer is refused (unknown id, never asked, told before, no such class); nothing is
                recorded then. `tell_some` keeps the good ones.
        """
        _, refused = self._tell(answers, correct=correct, all_or_nothing=True)
        if refused:
            more = f" ({len(refused) - 1} more are refused, too.)" if len(refused) > 1 else ""
            raise BadAnswer(refused[0].why + more)

    def tell_some(
        self, answers: Iterable[Answer | tuple[int, int | None]], *, correct: bool = False
    ) -> tuple[tuple[Answer, ...], tuple[Refused, ...]]:
        """Record every answer that can be, and return (recorded, refused with the reason in words)."""
        return self._tell(answers, correct=correct, all_or_nothing=False)

    def _tell(
        self, answers: Iterable[Answer | tuple[int, int | None]], *, correct: bool, all_or_nothing: bool
    ) -> tuple[tuple[Answer, ...], tuple[Refused, ...]]:
        given = list(answers)
        while True:
            state = self.state
            good, refused, events = judge(
                given, state, len(self.task.data), self.task.n_classes, correct=correct, at=_now()
            )
            if not events or (refused and all_or_nothing):
                return tuple(good), tuple(refused)
            try:
                self._record(events, state)
            except Conflict:
                continue  # somebody told meanwhile: judge against what they wrote
            return tuple(good), tuple(refused)

    def _record(self, events: list[Event], state: State, learned: dict[str, Any] | None = None) -> None:
        """Append behind `state`, and fold what was appended without reading it back."""
        self.store.append(events, after=state.seen, state=learned)
        self._state = replay(events, state)

    # -- small parts -----------------------------------------------------------------------------------------------

    @property
    def _opened(self) -> Opened:
        if self._state.opened is None:
            raise InputError("This campaign was never opened.")
        return self._state.opened

    def _open(self, plan: Plan, notes: Mapping[str, Any]) -> None:
        opened = opening(plan, self.strategy, self.recipe, self.task, notes, _now())
        with suppress(
            Conflict
        ):  # another process opened it first; check_same decides if it is the same campaign
            self.store.append([opened], after=0)
        self._state = replay(self.store.read())

    def _rng(self, t: int, what: str) -> np.random.Generator:
        return generator(self.plan.seed, "round", t, what)

    def _pool(self, state: State) -> NDArray[np.int64]:
        """Ids that may still be asked for, ascending."""
        mask = self._pool_mask.copy()
        mask[list(state.answers)] = False
        mask[list(state.open_ids)] = False
        return np.flatnonzero(mask)

    def _candidates(self, pool: NDArray[np.int64], t: int, size: int) -> NDArray[np.int64]:
        if self.plan.candidates is None or max(size, self.plan.candidates) >= pool.size:
            return pool
        drawn = self._rng(t, "candidates").choice(pool, max(size, self.plan.candidates), replace=False)
        return np.sort(drawn)

    def _label_free(self) -> bool:
        needs = self.strategy.cold_needs
        return needs.pool <= {"features"} and needs.labelled <= {"features"} and not needs.validation

    def _asked(
        self, t: int, candidates: NDArray[np.int64], proposal: Proposal, drawn: Picks = NO_PICKS
    ) -> Asked:
        rows = proposal.rows
        ids = drawn.mixed(candidates[rows], self._rng(t, "audit"))
        scores = None if proposal.scores is None else tuple(float(s) for s in proposal.scores[rows])
        notes = plain(dict(proposal.notes))
        return Asked(t, tuple(ids.tolist()), scores, notes, _now(), tuple(drawn.ids.tolist()))

    def _phase(self, what: str) -> Progress | None:
        if self._progress is None:
            return None
        tell = self._progress
        return lambda done, total: tell(what, done, total)
