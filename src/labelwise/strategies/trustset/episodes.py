"""Rehearsals inside the labelled set: part of it plays the pool, and its labels say what choosing a cell was worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.functional.clouds import short_costs, transport_cost
from labelwise.strategies.trustset.cells import Cells, Floats, Ids, Layout, begun, distance, drawn, members
from labelwise.strategies.trustset.parallel import done

NEAREST = 5  # TrustSet members that stand in where a rehearsal's pool has none


@dataclass(frozen=True, eq=False)
class Episode:
    """One rehearsal.

    Attributes:
        cells: the pretended pool in clusters and cells.
        rewarded: (k,) cells whose cluster holds a part of the TrustSet.
        rewards: (k,) minus the distance from each of these to that part.
        empty: clusters without any of the TrustSet.
    """

    cells: Cells
    rewarded: Ids
    rewards: Floats
    empty: int


def episode(
    x: Array,
    trusted: NDArray[np.bool_],
    share: float,
    layout: Layout,
    rng: np.random.Generator,
    threads: int = 1,
) -> Episode:
    """Return one rehearsal on the labelled set: a part L' stays labelled, the rest U' plays the pool.

    L' holds max(C, ⌊share l⌋) samples, yet at most half of them. Rewards are -d(U'^a_c, T_c) with T_c what of the
    TrustSet lies in cluster c; clusters without any are left out. Where no cluster has any, T_c are the five members of
    the TrustSet nearest to the cluster's mean.

    Args:
        x: (l, D) embeddings of the labelled set, l >= 2.
        trusted: (l,) True for the TrustSet, not all False.
        share: of the labelled set that stays labelled.
        layout: how many clusters and cells, and which distance.
        rng: draws the split and all that follows.
        threads: that look for transports; their number changes no result.

    Source:
        BRAL-T, algorithm 2; equation 8.
    """
    return started(x, trusted, share, layout, rng).finish(threads)


@dataclass(frozen=True, eq=False)
class Started:
    """A rehearsal whose random numbers are drawn.

    Attributes:
        rewards: how many it will show.
        finish: returns it, on so many threads.
    """

    rewards: int
    finish: Callable[[int], Episode]


def started(
    x: Array, trusted: NDArray[np.bool_], share: float, layout: Layout, rng: np.random.Generator
) -> Started:
    """Draw everything of an `episode`, and leave its distances to whoever finishes it."""
    order = rng.permutation(len(x))
    held = min(max(layout.labelled_clusters, int(share * len(x))), len(x) // 2)
    apart, pool = order[:held], order[held:]
    played = x[pool]
    cells = begun(played, x[apart], layout, rng)
    inside = trusted[pool]
    rewarded, work = [], []
    empty = 0
    lost = not inside.any()
    for rows, those in zip(members(cells.cluster), members(cells.cluster_of), strict=True):
        target = rows[inside[rows]]
        empty += not target.size
        if target.size:
            cloud = played[target]
        elif lost:
            everyone = np.flatnonzero(trusted)
            mean = played[rows].mean(axis=0, dtype=np.float64)
            off = np.linalg.norm(x[everyone] - mean, axis=1)
            cloud = x[everyone[np.argsort(off, kind="stable")[:NEAREST]]]
        else:
            continue
        work.append(_rewards(played, rows, cells.cell[rows], those, cloud, layout, rng))
        rewarded.append(those)
    which = np.concatenate(rewarded)

    def finish(threads: int) -> Episode:
        return Episode(cells.finish(threads), which, np.concatenate(done(work, threads)), empty)

    return Started(len(which), finish)


def _rewards(
    pool: Array, rows: Ids, cell: Ids, those: Ids, target: Array, layout: Layout, rng: np.random.Generator
) -> Callable[[], Floats]:
    """Return what finds minus the distance from each cell of one cluster to the cluster's part of the TrustSet.

    Everything random is drawn before it returns.
    """
    groups = [drawn(rows[cell == a], layout.most_points, rng) for a in those]
    cloud = target[drawn(np.arange(len(target)), layout.most_points, rng)]
    if layout.distance != "exact":
        found = np.array([-distance(pool[group], cloud, layout.distance, rng) for group in groups])
        return lambda: found

    def transported() -> Floats:
        costs = short_costs(pool[np.concatenate(groups)], cloud)  # one product for the whole cluster
        ends = np.cumsum([group.size for group in groups])[:-1]
        return np.array([-transport_cost(part) for part in np.split(costs, ends)])

    return transported
