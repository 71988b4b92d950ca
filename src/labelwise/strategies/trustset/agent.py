"""One round's agent: rehearse inside the labelled set, learn rewards, and say how well it would have predicted them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.strategies.trustset.buffer import Buffer
from labelwise.strategies.trustset.cells import Floats, Layout
from labelwise.strategies.trustset.episodes import Episode, Started, started
from labelwise.strategies.trustset.parallel import ahead, allowed_threads
from labelwise.strategies.trustset.reward import RewardNetwork, batches

DRAWN = 3  # rehearsals drawn before their distances are sought: each holds its part of the labelled set
READY = 12  # rehearsals ready before the network asks for them: time that is left for what comes after


@dataclass
class Lessons:
    """What an agent went through, for the report.

    Attributes:
        correlation: mean over the last third of the rehearsals of Spearman's rank correlation between rewards and what
            the network said of them before it learnt from them; NaN where there were too few.
        within: the same inside each cluster, where a quota for each makes nothing else matter.
        buffer: how many rewards were collected.
        empty: share of clusters that held none of the TrustSet.
        error: mean squared error of the last batch, in units of the rewards' variance where they are standardised.
        seconds: of each phase; rehearsals, and what comes after them, run beside the network: theirs are those that were
            waited for.
    """

    correlation: float = float("nan")
    within: float = float("nan")
    buffer: int = 0
    empty: float = 0.0
    error: float = float("nan")
    seconds: dict[str, float] = field(default_factory=dict)


def rehearse(
    network: RewardNetwork,
    x: Array,
    trusted: NDArray[np.bool_],
    layout: Layout,
    rng: np.random.Generator,
    *,
    share: float,
    pairs: int,
    steps: int,
    batch: int,
    lr: float,
    standardise: bool = True,
    after: Callable[[], None] | None = None,
) -> Lessons:
    """Train a reward network on so many rehearsals, some steps after each, and return how it went.

    Args:
        network: to train, in place.
        x: (l, D) embeddings of the labelled set, l >= 2.
        trusted: (l,) True for the TrustSet.
        layout: how samples become states and actions.
        rng: draws everything.
        share: of the labelled set that stays labelled in a rehearsal.
        pairs: rehearsals.
        steps, batch, lr, standardise: of `RewardNetwork.train`.
        after: called once all random numbers of the rehearsals are drawn, beside the network's last steps.

    Source:
        BRAL-T, algorithms 1 and 3.
    """
    from threadpoolctl import threadpool_limits

    buffer, lessons = Buffer(), Lessons(seconds={"rehearsals": 0.0, "network": 0.0})
    overall: list[float] = []
    inside: list[float] = []
    clusters = empty = 0
    threads = allowed_threads()
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))  # the threads are ours: see `_lessons`
        taught = _lessons(x, trusted, layout, rng, share, pairs, steps, batch, threads, stack, after)
        for pair in range(pairs):
            start = perf_counter()
            seen, draws = next(taught)
            lessons.seconds["rehearsals"] += perf_counter() - start
            clusters += len(seen.cells.states)
            empty += seen.empty
            start = perf_counter()
            if len(buffer) and 3 * pair >= 2 * pairs:  # the network has not seen this rehearsal yet
                every, within = agreement(network, seen)
                overall.append(every)
                inside.append(within)
            buffer.add(seen)
            lessons.error = network.learn(buffer, draws, lr=lr, standardise=standardise)
            lessons.seconds["network"] += perf_counter() - start
        if after:
            start = perf_counter()
            next(taught, None)  # waits for it, and raises what it raised
            lessons.seconds["selection"] = perf_counter() - start
    lessons.correlation, lessons.within = _mean(overall), _mean(inside)
    lessons.buffer, lessons.empty = len(buffer), empty / max(clusters, 1)
    return lessons


Lesson = tuple[Episode, list[NDArray[np.int64]]]


def _lessons(
    x: Array,
    trusted: NDArray[np.bool_],
    layout: Layout,
    rng: np.random.Generator,
    share: float,
    pairs: int,
    steps: int,
    batch: int,
    threads: int,
    stack: ExitStack,
    after: Callable[[], None] | None,
) -> Iterator[Lesson]:
    """Yield each rehearsal, and the rows of the buffer that the steps after it look at.

    With two threads, one makes the next rehearsals beside the caller's network; of more, one draws them and the others
    find the last ones' distances. All random numbers are drawn in turn, by one thread, and each product is reckoned by one thread:
    so that neither their number nor who is faster changes a digit.
    """

    def begun() -> Iterator[tuple[Started, list[NDArray[np.int64]]]]:
        total = 0
        for _ in range(pairs):
            one = started(x, trusted, share, layout, rng)
            total += one.rewards
            yield one, batches(total, rng, steps=steps, batch=batch)
        if after:
            after()

    def finished(many: Iterator[tuple[Started, list[NDArray[np.int64]]]], helpers: int) -> Iterator[Lesson]:
        for one, draws in many:
            yield one.finish(helpers), draws

    if threads == 1:
        return finished(begun(), 1)
    early = begun() if threads == 2 else stack.enter_context(closing(ahead(begun(), DRAWN)))
    return stack.enter_context(closing(ahead(finished(early, max(1, threads - 2)), READY)))


def agreement(network: RewardNetwork, seen: Episode) -> tuple[float, float]:
    """Return Spearman's correlation of predicted and true rewards, over all cells and as a mean over clusters."""
    said = network.predict(seen.cells.inputs(seen.rewarded))
    cluster_of = seen.cells.cluster_of[seen.rewarded]
    inside = [
        rank_correlation(said[cluster_of == c], seen.rewards[cluster_of == c]) for c in np.unique(cluster_of)
    ]
    return rank_correlation(said, seen.rewards), _mean(inside)


def rank_correlation(a: Floats, b: Floats) -> float:
    """Return Spearman's rank correlation with mean ranks for ties; NaN where one side has no two values."""
    from scipy.stats import rankdata

    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
