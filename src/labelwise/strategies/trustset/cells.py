"""The pool as a policy sees it: clusters, each cut into cells that may be chosen, and the moments that describe them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array
from labelwise.errors import InputError
from labelwise.functional.clouds import euclidean_costs, gaussian_distance, nearest_cloud
from labelwise.functional.clusters.quick import quick_kmeans, seeded_kmeans
from labelwise.functional.transport import sliced_wasserstein
from labelwise.strategies.trustset.parallel import allowed_threads, done

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
DISTANCES = ("exact", "sliced", "gaussian")
PROJECTIONS = 50
STATES = ("full", "pool")
SLACK = 1 + 1e-5  # moments are of float32
# Rows that centres are learnt from: means of a thousand rows a cluster hardly move with more.
OF_CLUSTERS, OF_CELLS = 10_000, 2_500


@dataclass(frozen=True)
class Layout:
    """How samples become states and actions.

    Attributes:
        clusters: C, of the pool.
        labelled_clusters: M, of the labelled set.
        actions: A, cells a cluster.
        distance: between a pool cluster and the labelled ones: see `DISTANCES`.
        prefilter: labelled clusters with the nearest centroids whose distances are computed.
        most_points: of each cloud that enter the distance of a reward; more are drawn from.
        nearest_points: of each cloud that enter the search of the nearest labelled cluster; likewise.
        state: "full", or "pool" without the nearest labelled cluster.
    """

    clusters: int
    labelled_clusters: int
    actions: int
    distance: str
    prefilter: int
    most_points: int
    nearest_points: int
    state: str


@dataclass(frozen=True, eq=False)
class Cells:
    """A pool cut into clusters and cells.

    Attributes:
        cluster: (n,) of each sample.
        cell: (n,) of each sample, over all clusters.
        cluster_of: (m,) of each cell.
        sizes: (m,) samples in each cell.
        states: (C', 4 D) or (C', 2 D): mean and variance of the nearest labelled cluster, then of the cluster itself.
        actions: (m, 2 D): mean and variance of each cell.
    """

    cluster: Ids
    cell: Ids
    cluster_of: Ids
    sizes: Ids
    states: Array
    actions: Array

    def inputs(self, which: Ids | None = None) -> Array:
        """Return (m, 6 D) or (m, 4 D): the state of each cell's cluster, and its action."""
        cells = np.arange(len(self.sizes)) if which is None else which
        return np.concatenate([self.states[self.cluster_of[cells]], self.actions[cells]], axis=1)


def cells_of(
    pool: Array, labelled: Array, layout: Layout, rng: np.random.Generator, threads: int | None = None
) -> Cells:
    """Return a `cut` on so many threads; None: all that may work."""
    from threadpoolctl import threadpool_limits

    threads = threads or allowed_threads()
    with threadpool_limits(1, user_api="blas"):  # the threads are ours: each product is reckoned by one
        return cut(pool, labelled, layout, rng, threads)


def cut(pool: Array, labelled: Array, layout: Layout, rng: np.random.Generator, threads: int = 1) -> Cells:
    """Return the pool in clusters and cells, each cluster beside the labelled cluster that is nearest to it.

    Args:
        pool: (n, D), n >= 1, memory maps welcome.
        labelled: (l, D); of none, the state's labelled part is all 0.
        layout: how many of each.
        rng: draws the seeds of k-means, and points from large clouds.
        threads: that look for cells and distances; their number changes no result.

    Raises:
        InputError: a row is not finite.

    Source:
        BRAL-T, algorithm 2; equation 7.
    """
    return begun(pool, labelled, layout, rng, threads).finish(threads)


@dataclass(frozen=True, eq=False)
class Begun:
    """A cut whose random numbers are drawn: all but the nearest labelled clusters is known.

    Attributes:
        cluster, cell, cluster_of: as in `Cells`.
        finish: returns the rest on so many threads.
    """

    cluster: Ids
    cell: Ids
    cluster_of: Ids
    finish: Callable[[int], Cells]


def begun(pool: Array, labelled: Array, layout: Layout, rng: np.random.Generator, threads: int = 1) -> Begun:
    """Draw everything of a `cut`, and leave its distances to whoever finishes it."""
    cluster = quick_kmeans(pool, layout.clusters, rng, most=OF_CLUSTERS)
    groups = members(cluster)

    def described(part: Array, refined: Callable[[], Ids]) -> tuple[Ids, Array]:
        within = refined()
        return within, moments(part, within)

    def parts() -> Iterator[Callable[[], tuple[Ids, Array]]]:
        for rows in groups:
            part = np.asarray(pool[rows])
            yield partial(described, part, seeded_kmeans(part, layout.actions, rng, most=OF_CELLS))

    cell = np.empty(len(cluster), np.int64)
    owners: list[int] = []
    cells = done(parts(), threads)
    for c, (rows, (within, found)) in enumerate(zip(groups, cells, strict=True)):
        cell[rows] = within + len(owners)
        owners += [c] * len(found)
    actions, cluster_of = np.concatenate([found for _, found in cells]), np.array(owners, np.int64)
    sizes = np.bincount(cell, minlength=len(owners))
    states = merged(actions, sizes, cluster_of)
    near: tuple[Array, list[Callable[[], int]]] | None = None
    if layout.state == "full" and len(labelled):
        near = _nearest_labelled(pool, groups, states, labelled, layout, rng)

    def finish(threads: int) -> Cells:
        full = states
        if layout.state == "full":
            nearest = near[0][done(near[1], threads)] if near else np.zeros_like(states)
            full = np.concatenate([nearest, states], axis=1)
        return Cells(cluster, cell, cluster_of, sizes, full, actions)

    return Begun(cluster, cell, cluster_of, finish)


def members(groups: Ids) -> list[Ids]:
    """Return the rows of each group, ascending."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.cumsum(np.bincount(groups))[:-1])


def moments(x: Array, groups: Ids) -> Array:
    """Return the mean and the variance of each group's rows along every axis, (g, 2 D) float32.

    Raises:
        InputError: a variance is above what float32 holds.
    """
    kind = np.result_type(x.dtype, np.float32)
    out = np.empty((int(groups.max()) + 1, 2 * x.shape[1]), np.float32)
    with np.errstate(over="ignore"):
        for g, rows in enumerate(members(groups)):
            part = np.asarray(x[rows], kind)
            share = np.full(len(part), 1 / len(part), kind)
            off = part - part[0]  # rows that are all the same have no variance, to the last digit
            mean = share @ off
            off -= mean
            out[g] = np.concatenate([part[0] + mean, share @ np.square(off, out=off)])
    if not np.isfinite(out).all():
        raise InputError("embeddings are too large: their variance is above 3e38. Scale them down.")
    return out


def merged(described: Array, sizes: Ids, groups: Ids) -> Array:
    """Return the moments of groups of cells from those of the cells, (g, 2 D) float32."""
    share = np.zeros((int(groups.max()) + 1, len(sizes)))
    share[groups, np.arange(len(sizes))] = sizes
    share /= share.sum(axis=1, keepdims=True)
    means, variances = np.split(described, 2, axis=1)
    mean = (share @ means).astype(np.float32)
    variance = share @ (variances + np.square(means - mean[groups], dtype=np.float64))
    return np.concatenate([mean, variance.astype(np.float32)], axis=1)


def distance(x: Array, y: Array, kind: str, rng: np.random.Generator) -> float:
    """Return how far two clouds are apart, where it is not exact: see `DISTANCES`."""
    if kind == "gaussian":
        return gaussian_distance(x, y)
    return sliced_wasserstein(x, y, 1, n_projections=PROJECTIONS, rng=rng)


def drawn(rows: Ids, most: int, rng: np.random.Generator) -> Ids:
    """Return some rows, at most so many of them."""
    return rows if rows.size <= most else rng.choice(rows, most, replace=False)


def _nearest_labelled(
    pool: Array, groups: list[Ids], states: Array, labelled: Array, layout: Layout, rng: np.random.Generator
) -> tuple[Array, list[Callable[[], int]]]:
    """Return the moments of the labelled clusters, and what finds the one nearest to each cluster of the pool."""
    home = quick_kmeans(labelled, layout.labelled_clusters, rng)
    described, homes = moments(labelled, home), members(home)
    width = pool.shape[1]
    apart = euclidean_costs(states[:, :width], described[:, :width])
    near = np.argsort(apart, axis=1, kind="stable")[:, : layout.prefilter]
    # W1 is at least what lies between the means, and at most what spreading every point evenly costs
    spread = [m[:, width:].sum(axis=1, dtype=np.float64) for m in (states, described)]
    most = np.sqrt(np.square(apart) + spread[0][:, None] + spread[1]) * SLACK
    choices = []
    for c, (rows, ahead) in enumerate(zip(groups, near, strict=True)):
        if layout.distance == "exact":
            ahead = ahead[apart[c, ahead] <= most[c, ahead].min()]
        choices.append(_choice(pool, rows, labelled, [homes[m] for m in ahead], ahead, layout, rng))
    return described, choices


def _choice(
    pool: Array,
    rows: Ids,
    labelled: Array,
    homes: list[Ids],
    names: Ids,
    layout: Layout,
    rng: np.random.Generator,
) -> Callable[[], int]:
    """Return what finds the name of the labelled cluster that is nearest to some rows of the pool.

    Everything random is drawn before it returns.
    """
    if len(homes) == 1:
        return lambda: int(names[0])
    own = drawn(rows, layout.nearest_points, rng)
    clouds = [drawn(home, layout.nearest_points, rng) for home in homes]

    def far() -> list[Array]:
        return [np.asarray(labelled[cloud]) for cloud in clouds]

    if layout.distance == "exact":
        return lambda: int(names[nearest_cloud(np.asarray(pool[own]), far())])
    x = np.asarray(pool[own])
    at = int(np.argmin([distance(x, cloud, layout.distance, rng) for cloud in far()]))
    return lambda: int(names[at])


def shares(predicted: Any, cluster_of: Ids, sizes: Ids, n: int, scope: str) -> Ids:
    """Return how many samples to take of each cell, n in all or everything there is.

    Args:
        predicted: (m,) rewards; cells are taken from high to low, ties in their order.
        cluster_of: (m,).
        sizes: (m,).
        n: the batch.
        scope: "per-cluster": each cluster has the same quota, n / C', what is left over going to the clusters with the
            best cells, and what a small cluster lacks to the best cells anywhere; "global": one ranking of all cells.

    Source:
        BRAL-T, section 4.2 ("for each unlabeled cluster ... pick them from high to low"); both readings.
    """
    order = np.argsort(-np.asarray(predicted), kind="stable")
    taken = np.zeros(len(sizes), np.int64)
    n = min(n, int(sizes.sum()))
    if scope == "per-cluster":
        clusters = int(cluster_of.max()) + 1
        ranked = list(dict.fromkeys(cluster_of[order].tolist()))  # best cell first
        quota = np.full(clusters, n // clusters)
        quota[ranked[: n % clusters]] += 1
        for cell in order:
            taken[cell] = min(sizes[cell], quota[cluster_of[cell]])
            quota[cluster_of[cell]] -= taken[cell]
    left = n - int(taken.sum())
    for cell in order:
        more = min(int(sizes[cell] - taken[cell]), left)
        taken[cell] += more
        left -= more
    return taken
