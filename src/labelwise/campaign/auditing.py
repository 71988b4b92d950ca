"""The random picks of a campaign with `plan.audit`: which they are, what the model said of them, what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.task import Task
from labelwise.events import Asked, State
from labelwise.functional.audit import Audited, audit_count
from labelwise.models.base import Predictor, Progress, Recipe
from labelwise.seeds import generator

Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Picks:
    """The random picks of one round, in the order of the draw.

    Attributes:
        ids: (k,) of the samples.
        notes: what the model of the round says of them: "said", its class of each, and "sure", that class's
            probability; and "unreadable", how many were passed over because their probabilities are not finite, where
            there are any. {} where the recipe gives no probabilities of the pool.
    """

    ids: Ids
    notes: dict[str, Any]

    def mixed(self, proposed: Ids, rng: np.random.Generator) -> Ids:
        """Return the ids to ask for: both kinds, at places that tell nothing, the proposed ones in their order."""
        if not self.ids.size:
            return proposed
        places = rng.choice(self.ids.size + proposed.size, self.ids.size, replace=False)
        ids = np.empty(self.ids.size + proposed.size, np.int64)
        taken = np.zeros(ids.size, bool)
        taken[places] = True
        ids[places], ids[~taken] = self.ids, proposed
        return ids


NO_PICKS = Picks(np.empty(0, np.int64), {})


def audit_order(seed: int, pool: Ids) -> Ids:
    """Return the pool in the random order that audits follow: the same for every strategy, unknown to all of them."""
    return generator(seed, "audit").permutation(pool)


def fitted_rounds(state: State) -> frozenset[int]:
    """Return the rounds that were asked after a fit; those before it are the start, and are not audited."""
    return frozenset(fit.round for fit in state.fits)


def picks(
    task: Task,
    recipe: Recipe,
    predictor: Predictor,
    state: State,
    pool: Ids,
    size: int,
    progress: Progress | None = None,
) -> Picks:
    """Return the random picks of the round about to be asked.

    They are the next ones in the campaign's random order that were not asked for and that the predictor can read. The
    order of what was not asked for depends on nothing that happened, so that they are a uniform sample of it.

    Args:
        task: the samples.
        recipe: of the predictor.
        predictor: fitted in this round; it answers before it learns from them.
        state: before this round.
        pool: ids that may be asked for.
        size: of the round, both kinds together.
        progress: told (done, total).
    """
    plan = state.opened.plan if state.opened is not None else None
    if plan is None or not plan.audit:
        return NO_PICKS
    after = fitted_rounds(state)
    before = [ask for ask in state.asks if ask.round in after]
    asked, audited = sum(len(ask.ids) for ask in before), sum(len(ask.audit) for ask in before)
    wanted = audit_count(plan.audit, asked, audited, size)
    order = audit_order(plan.seed, task.pool)
    waiting = order[np.isin(order, pool)]
    if "probs" not in recipe.gives.pool:
        return Picks(waiting[:wanted], {})
    found: list[int] = []
    said: list[int] = []
    sure: list[float] = []
    at = 0
    while len(found) < wanted and at < waiting.size:
        block = waiting[at : at + wanted - len(found)]
        at += block.size
        told = predictor.infer(task.data, block, frozenset({"probs"}), progress)
        probs = np.asarray(told.need("probs"))
        good = np.isfinite(probs).all(axis=1)
        found += block[good].tolist()
        said += probs[good].argmax(axis=1).tolist()
        sure += [round(float(p), 4) for p in probs[good].max(axis=1)]
    notes: dict[str, Any] = {"said": said, "sure": sure} if found else {}
    if at > len(found):
        notes["unreadable"] = at - len(found)
    return Picks(np.array(found, dtype=np.int64), notes)


def audited(state: State) -> list[Audited]:
    """Return what came of the random picks of each round; rounds of which no pick was answered yet have n = 0.

    A pass is no answer: what is estimated holds for samples that people can tell. Where an answer was corrected, the
    newer counts. Rounds whose fit keeps no word of the model are left out.
    """
    if state.opened is None:
        return []
    notes = {fit.round: fit.analysis.get("audit") for fit in state.fits}
    labels = {fit.round: fit.n_labelled for fit in state.fits}
    given = int(state.opened.task.get("given", 0))
    left = int(state.opened.task["pool"])
    found = []
    for ask in state.asks:
        if said := _said(ask, notes.get(ask.round)):
            answers = [(state.labels.get(i), c) for i, c in zip(ask.audit, said, strict=True)]
            known = [label == c for label, c in answers if label is not None]
            found.append(Audited(ask.round, labels[ask.round] - given, sum(known), len(known), left))
        left -= len(ask.ids)
    return found


def _said(ask: Asked, notes: Any) -> list[int]:
    """Return what the model said of a round's random picks; [] where that was not kept, or in another shape."""
    said = notes.get("said") if isinstance(notes, dict) else None
    return said if isinstance(said, list) and len(said) == len(ask.audit) else []
