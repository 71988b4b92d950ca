"""The campaign that chance would have run, out of the labels that an audited one has bought: what its models reach."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labelwise.campaign.auditing import audit_order, fitted_rounds
from labelwise.campaign.viewing import training_set
from labelwise.data.base import Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError
from labelwise.events import State
from labelwise.functional.audit import Gain, draws, gain
from labelwise.models.base import Recipe
from labelwise.seeds import generator

Ids = NDArray[np.int64]

DRAWS = 8  # pairs of fits: an interval of 7 degrees of freedom is a fifth wider than one of many
LEAST_VALIDATION = 50  # samples from which on validation data tell more than held-out random picks


def arms(task: Task, state: State) -> tuple[Ids, Ids, Ids]:
    """Return (common, chance, chosen): ids whose labels both sides start with, chance's own, the strategy's own.

    Common is the random start. Chance's are the labelled samples up to the last random pick in the order that random
    picks follow, whoever asked for them: a uniform sample of the pool without the start, and just what a campaign of that
    order alone would have bought. The strategy's are what it asked for, in the order of asking; a cold start is its own.

    Args:
        task: the samples.
        state: of a campaign with `plan.audit`.

    Raises:
        InputError: the campaign has no random picks yet.
    """
    drawn = {i for ask in state.asks for i in ask.audit}
    if state.opened is None or not drawn:
        raise InputError(
            "There are no random picks to compare with: the campaign was opened without plan.audit."
        )
    plan, labels, after = state.opened.plan, state.labels, fitted_rounds(state)
    start = [i for ask in state.asks if ask.round not in after for i in ask.ids]
    if (
        plan.cold
        and start != generator(plan.seed, "round", 0, "start").permutation(task.pool)[: len(start)].tolist()
    ):
        start = []
    common = [i for i in start if i in labels]
    known = drawn | set(start)
    order = audit_order(plan.seed, task.pool)
    order = order[~np.isin(order, start)].tolist()
    last = max(k for k, i in enumerate(order) if i in drawn)
    chance = [i for i in order[: last + 1] if i in labels]
    chosen = [i for ask in state.asks for i in ask.ids if i not in known and i in labels]
    return tuple(np.array(ids, dtype=np.int64) for ids in (common, chance, chosen))  # type: ignore[return-value]


def shadow_gain(
    task: Task,
    recipe: Recipe,
    state: State,
    *,
    count: int = DRAWS,
    progress: Callable[[int, int], None] | None = None,
) -> Gain:
    """Return what the strategy's labels bought over random ones, at the same number of labels; it costs 2 · count fits.

    Models of the recipe are fitted afresh on the start and random labels, and on the start and as many of the strategy's
    first picks (see `labelwise.functional.audit.draws`), and tested on validation samples where there are 50 or more, else
    on the random labels that neither of a pair learned from.

    It tells the gain at that number of labels, which lies early in the campaign, for accuracy on samples like those of the
    pool (or of the validation part). It does not tell the gain at the full budget: nobody has bought as many random labels.

    Args:
        task: the samples.
        recipe: of the campaign.
        state: of the campaign.
        count: pairs of fits.
        progress: told (fits done, fits).

    Raises:
        InputError: there are fewer than 6 random labels, or too few of the strategy's.
    """
    common, chance, chosen = arms(task, state)
    assert state.opened is not None
    seed = state.opened.plan.seed
    validation = len(task.validation) >= LEAST_VALIDATION
    right: tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]] = ([], [])
    made = draws(chance, chosen, count, generator(seed, "audit", "gain"))
    labels = state.labels
    n_labels = 0
    for k, draw in enumerate(made):
        held_out = Labelled(draw.held_out, np.array([labels[i] for i in draw.held_out.tolist()]))
        part = task.validation if validation else held_out
        for side, own in enumerate((draw.by_chance, draw.by_strategy)):
            train = training_set(task, {i: labels[i] for i in (*common.tolist(), *own.tolist())})
            n_labels = len(train) - len(task.given)
            predictor = recipe.fit(
                task.data,
                train,
                np.setdiff1d(task.pool, train.ids),
                task.validation if len(task.validation) else None,
                task.n_classes,
                generator(seed, "audit", "gain", k, "fit"),
            )
            probs = predictor.infer(task.data, part.ids, frozenset({"probs"})).need("probs")
            right[side].append(np.asarray(probs).argmax(axis=1) == part.y)
            if progress is not None:
                progress(2 * k + side + 1, 2 * count)
    return gain(*right, n_labels, held_out=not validation)


def gain_words(found: Gain, strategy: str) -> str:
    """Return the gain as a sentence that says what it holds for."""
    where = "random picks that neither model had learned from"
    if not found.held_out:
        where = f"{found.samples:,} validation samples"
    clear = "" if found.low > 0 or found.high < 0 else ", which these labels cannot tell from 0"
    by, low, high = (f"{100 * v:+.1f}".replace("-", "−") for v in (found.gain, found.low, found.high))
    return (
        f"With {found.labels:,} labels, those that {strategy} chose reach {found.strategy:.1%} and as many random ones "
        f"{found.chance:.1%}: {by} points (95 % interval {low} to {high}{clear}), on {where}, {found.draws} pairs of fits."
    )
