"""One round's agent: rehearse inside the labelled set, learn rewards, and say how well it would have predicted them."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.functional.blocks import thread_count
from labelwise.strategies.trustset.buffer import Buffer
from labelwise.strategies.trustset.cells import Floats, Layout
from labelwise.strategies.trustset.episodes import Episode, episode
from labelwise.strategies.trustset.reward import RewardNetwork


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
        seconds: of each phase.
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
    **training: Any,
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
        training: steps, batch, lr and standardise of `RewardNetwork.train`.

    Source:
        BRAL-T, algorithms 1 and 3.
    """
    buffer, lessons = Buffer(), Lessons(seconds={"rehearsals": 0.0, "network": 0.0})
    overall: list[float] = []
    inside: list[float] = []
    clusters = empty = 0
    threads = _allowed_threads()
    for pair in range(pairs):
        start = perf_counter()
        seen = episode(x, trusted, share, layout, rng, threads)
        lessons.seconds["rehearsals"] += perf_counter() - start
        clusters += len(seen.cells.states)
        empty += seen.empty
        start = perf_counter()
        if len(buffer) and 3 * pair >= 2 * pairs:  # the network has not seen this rehearsal yet
            every, within = agreement(network, seen)
            overall.append(every)
            inside.append(within)
        buffer.add(seen)
        lessons.error = network.train(buffer, rng, **training)
        lessons.seconds["network"] += perf_counter() - start
    lessons.correlation, lessons.within = _mean(overall), _mean(inside)
    lessons.buffer, lessons.empty = len(buffer), empty / max(clusters, 1)
    return lessons


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


def _allowed_threads() -> int:
    """Return how many threads may work: no more than the caller lets linear algebra have."""
    from threadpoolctl import threadpool_info

    return min(
        [thread_count(), *(int(p["num_threads"]) for p in threadpool_info() if p["user_api"] == "blas")]
    )


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
