"""BRAL-T as its paper has it: a TrustSet of the labelled samples, and a reward network that finds its like in the pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_labels, check_count, check_name, check_number
from labelwise.errors import InputError
from labelwise.functional.backend import points
from labelwise.functional.clusters.partition import rows_of
from labelwise.functional.trust import second_set, trust_scores, trust_set
from labelwise.signals import Needs, View
from labelwise.strategies.base import Proposal, State, Strategy
from labelwise.strategies.trustset.agent import Lessons, rehearse
from labelwise.strategies.trustset.cells import (
    DISTANCES,
    STATES,
    Cells,
    Floats,
    Layout,
    cells_of,
    members,
    shares,
)
from labelwise.strategies.trustset.parallel import allowed_threads
from labelwise.strategies.trustset.reward import RewardNetwork

SHOWN = 12  # cells, and samples of the TrustSet, that the notes name
TARGETS = ("trust-set", "diff-set")


@dataclass
class BralT(Strategy):
    """Ask for clusters that look like the labelled samples which still teach most, as a network learnt to tell.

    Formula:
        TrustSet T: of each class the top ⌊b / C⌋ by σ*(-ln p_y) ‖p - onehot(y)‖. Reward of a cell a of cluster c of a
        pretended pool U' ⊂ L: -W₁(U'_c^a, T ∩ U'_c). R_φ(L_min, U_c, U_c^a), trained on it, ranks the cells of the pool.
    Cost:
        k-means of |L| rows and C A transports a rehearsal, then 20 steps of the network: seconds a round with the
        defaults; O(n C D) for the pool; memory O(|L| D), one cluster of the pool, and a buffer of 30 C (A + 2) rows of 2 D
        numbers.
    When:
        Imbalanced or long-tailed pools, and some hundred labels: the TrustSet needs several samples of each class. Look
        at the reward correlation in its notes: near 0 it chooses blindly.
    Source:
        "Labeled TrustSet Guided: Combining Batch Active Learning with Reinforcement Learning" (BRAL-T).
    Deviations:
        - What the paper leaves open is a field below: the TrustSet's size, the split of a rehearsal, scope, truncation.
        - Clusters come from k-means (the paper names no method), at most 10 iterations, learnt from at most 10,000 rows of the
          pool, and 2,500 of a cluster.
        - Equation 7 looks at the `prefilter` labelled clusters with the nearest means, and at `nearest_points` of each
          cloud; rewards at `most_points`.
        - Rewards are distances between sets (equation 8); algorithm 3 prints moments.
        - Inputs and rewards are standardised; SGD at 0.01 hardly moves otherwise.
        - A cluster without TrustSet members gives no reward: where none has any, the five nearest members stand in.
        - With fewer than two labelled samples there is nothing to rehearse: cells are then taken in a random order.

    Attributes:
        size_factor: of the TrustSet, in batches.
        score: "el2n", or "grand" with the embeddings' norms.
        lam: λ of the SuperLoss; 1 for about ten classes, 0.25 for a hundred or an imbalanced pool.
        tau: τ of the SuperLoss in nats; None: ln C.
        curriculum: False leaves the SuperLoss out (the ablation "w/o CL").
        target: "trust-set", or "diff-set": the samples that come next (the ablation DiffSet).
        clusters: of the pool; None: as many as classes.
        labelled_clusters: of the labelled set; None: as many as `clusters`.
        actions: cells a cluster.
        labelled_share: of the labelled set that stays labelled in a rehearsal.
        pairs: rehearsals a round.
        steps: of the network after each.
        replay: rewards a step looks at.
        lr: of the network.
        hidden: units of its two layers.
        standardise: scale inputs and rewards by the buffer's statistics.
        distance: "exact" (W1), "sliced" (50 directions), or "gaussian" (W2 of diagonal Gaussians).
        prefilter: labelled clusters that equation 7 looks at.
        most_points: of each cloud that enter the distance of a reward.
        nearest_points: of each cloud that enter the search of the nearest labelled cluster.
        scope: "per-cluster": the same share of the batch from every cluster; "global": one ranking.
        truncate: what is taken of a cell that is larger than its share: "random", or "nearest" to its mean.
        state: "full", or "pool" without the nearest labelled cluster.
        reuse: rounds in which a new agent is trained, and kept until the next; none: a new one every round.
        device: where the network computes.
    """

    size_factor: float = 1.0
    score: str = "el2n"
    lam: float = 1.0
    tau: float | None = None
    curriculum: bool = True
    target: str = "trust-set"
    clusters: int | None = None
    labelled_clusters: int | None = None
    actions: int = 5
    labelled_share: float = 0.1
    pairs: int = 30
    steps: int = 20
    replay: int = 100
    lr: float = 0.01
    hidden: int = 512
    standardise: bool = True
    distance: str = "exact"
    prefilter: int = 5
    most_points: int = 512
    nearest_points: int = 128
    scope: str = "per-cluster"
    truncate: str = "random"
    state: str = "full"
    reuse: tuple[int, ...] = ()
    device: str = "cpu"
    agent: dict[str, State] = field(default_factory=dict, init=False, compare=False, repr=False)

    needs: ClassVar[Needs] = Needs(
        pool=frozenset({"embeddings"}), labelled=frozenset({"embeddings", "probs", "y"})
    )

    def __post_init__(self) -> None:
        points = ("most_points", "nearest_points")
        for name in ("actions", "pairs", "steps", "replay", "hidden", "prefilter", *points):
            check_count(getattr(self, name), name, 1)
        for name in ("clusters", "labelled_clusters"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name, 1)
        for name in ("size_factor", "lam", "lr"):
            if not check_number(getattr(self, name), name, 0) > 0:
                raise InputError(f"{name} must be above 0; it is {getattr(self, name)!r}.")
        if self.tau is not None:
            check_number(self.tau, "tau")
        check_number(self.labelled_share, "labelled_share", 0, 1)
        check_name(self.score, ("el2n", "grand"), "score")
        check_name(self.target, TARGETS, "target")
        check_name(self.distance, DISTANCES, "distance")
        check_name(self.scope, ("per-cluster", "global"), "scope")
        check_name(self.truncate, ("random", "nearest"), "truncate")
        check_name(self.state, STATES, "state")
        if not isinstance(self.reuse, tuple | list):
            raise InputError(f"reuse must list rounds, such as (0, 20); it is {self.reuse!r}.")
        self.reuse = tuple(sorted(check_count(t, "a round of reuse") for t in self.reuse))

    # -- a round ---------------------------------------------------------------------------------------------------

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        start = perf_counter()
        layout = self.layout(view.n_classes)
        pool, x = self._embeddings(view)
        if not len(pool):
            return Proposal(np.empty(0, np.int64))
        y = as_labels(view.labelled.need("y"), view.n_classes, "y of the labelled samples")
        scores = self.scores(view, y)
        trusted = self.trusted(scores, y, view.n_classes, n)
        seconds = {"trust set": perf_counter() - start}
        threads, found = allowed_threads(), list[Cells]()

        def look(threads: int = max(1, threads - 1)) -> None:  # beside the network, which has one of them
            found.append(cells_of(pool, x, layout, rng, threads))

        network, lessons = self._network(view, x, trusted, layout, rng, look)
        start = perf_counter()
        if not found:  # nothing was rehearsed
            look(threads)
        cells = found[0]
        predicted = self._predicted(network, cells) if network else rng.random(len(cells.sizes))
        taken = shares(predicted, cells.cluster_of, cells.sizes, n, self.scope)
        rows = self._rows(view, cells, predicted, taken, rng)
        waited = lessons.seconds.get("selection", 0.0)
        seconds |= {**lessons.seconds, "selection": waited + perf_counter() - start}
        notes = _notes(view, y, scores, trusted, lessons, cells, predicted, taken, rows, network is not None)
        return Proposal(rows, notes={**notes, "seconds": seconds})

    def layout(self, n_classes: int) -> Layout:
        """Return how samples become states and actions, for so many classes."""
        clusters = self.clusters or n_classes
        return Layout(
            clusters,
            self.labelled_clusters or clusters,
            self.actions,
            self.distance,
            self.prefilter,
            self.most_points,
            self.nearest_points,
            self.state,
        )

    def scores(self, view: View, y: NDArray[np.int64]) -> Floats:
        """Return how much each labelled sample still teaches, (l,)."""
        return trust_scores(
            view.labelled.need("probs"),
            y,
            lam=self.lam if self.curriculum else None,
            tau=self.tau,
            embeddings=view.labelled.need("embeddings") if self.score == "grand" else None,
        )

    def trusted(self, scores: Floats, y: NDArray[np.int64], n_classes: int, n: int) -> NDArray[np.bool_]:
        """Return which labelled samples are the target, (l,)."""
        size = max(1, round(self.size_factor * n))
        pick = trust_set if self.target == "trust-set" else second_set
        mask = np.zeros(len(y), bool)
        mask[pick(scores, y, n_classes, size)] = True
        if not mask.any():  # no class has a second rank yet
            mask[trust_set(scores, y, n_classes, size)] = True
        return mask

    def _embeddings(self, view: View) -> tuple[Array, Array]:
        """Return those of the pool and of the labelled set, checked: (n, D) and (l, D)."""
        pool = points(view.pool.need("embeddings"), "embeddings of the pool samples")
        given = view.labelled.need("embeddings")
        # rehearsals shuffle the rows: one that cannot be clustered is to be named here
        x = rows_of(given, "embeddings of the labelled samples", width=pool.shape[1])
        return pool, np.asarray(x.array)

    def _predicted(self, network: RewardNetwork, cells: Cells) -> Floats:
        predicted = network.predict(cells.inputs())
        if not np.isfinite(predicted).all():
            raise InputError(
                "The reward network's predictions are not finite: its steps were too long for these inputs. "
                f"Lower lr ({self.lr:g}), or let standardise be True."
            )
        return predicted

    def _network(
        self,
        view: View,
        x: Array,
        trusted: NDArray[np.bool_],
        layout: Layout,
        rng: np.random.Generator,
        after: Callable[[], None] | None = None,
    ) -> tuple[RewardNetwork | None, Lessons]:
        """Return the reward network, trained now or kept from an earlier round; None where nothing can be learnt.

        Where one is trained, `after` is called beside it: see `rehearse`.
        """
        if len(x) < 2:
            return None, Lessons()
        width = (6 if self.state == "full" else 4) * x.shape[1]
        network = RewardNetwork(width, self.hidden, rng, self.device)
        stage = sum(t <= view.round for t in self.reuse)
        if self.reuse and self.agent.get("stage") == stage and self.agent.get("width") == width:
            network.load_state_dict(self.agent["network"])
            return network, Lessons()
        lessons = rehearse(
            network,
            x,
            trusted,
            layout,
            rng,
            share=self.labelled_share,
            pairs=self.pairs,
            steps=self.steps,
            batch=self.replay,
            lr=self.lr,
            standardise=self.standardise,
            after=after,
        )
        if self.reuse:
            self.agent = {"stage": stage, "width": width, "network": network.state_dict()}
            self.agent["correlation"] = known(lessons.correlation)
        return network, lessons

    def _rows(
        self, view: View, cells: Cells, predicted: Floats, taken: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the rows to ask for, the best cells first."""
        pool, groups = view.pool.need("embeddings"), members(cells.cell)
        picked = []
        for cell in np.argsort(-predicted, kind="stable"):
            if taken[cell]:
                order = self._order(pool, groups[cell], rng)
                picked.append(groups[cell][order[: taken[cell]]])
        return np.concatenate(picked) if picked else np.empty(0, np.int64)

    def _order(self, pool: Array, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return in which order the samples of one cell, these rows of the pool, are taken."""
        if self.truncate == "random":
            return rng.permutation(len(rows))
        x = np.asarray(pool[rows])
        return np.argsort(np.linalg.norm(x - x.mean(axis=0, dtype=np.float64), axis=1), kind="stable")

    # -- what survives ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, State]:
        return dict(self.agent)

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        self.agent = dict(state)


def _notes(
    view: View,
    y: NDArray[np.int64],
    scores: Floats,
    trusted: NDArray[np.bool_],
    lessons: Lessons,
    cells: Cells,
    predicted: Floats,
    taken: NDArray[np.int64],
    rows: NDArray[np.int64],
    learnt: bool,
) -> dict[str, Any]:
    """Return what a report shows of a round: the policy's health, the TrustSet, and what was chosen."""
    best = np.flatnonzero(trusted)
    best = best[np.argsort(-scores[best], kind="stable")]
    chosen = [cell for cell in np.argsort(-predicted, kind="stable").tolist() if taken[cell]]
    starts = np.concatenate([[0], np.cumsum(taken[chosen])]).astype(int)
    return {
        "reward correlation": known(lessons.correlation),
        "reward correlation within clusters": known(lessons.within),
        "rewards in the buffer": lessons.buffer,
        "share of clusters without TrustSet": round(lessons.empty, 4),
        "error of the reward network": known(lessons.error),
        "TrustSet": {
            "size": int(trusted.sum()),
            "classes": np.bincount(y[trusted], minlength=view.n_classes).tolist()[:1000],
            "ids": view.labelled.ids[best[:SHOWN]].tolist(),
            "scores": [round(float(s), 4) for s in scores[best[:SHOWN]]],
        },
        "cells": len(cells.sizes),
        "chosen": [
            {
                "cluster": int(cells.cluster_of[cell]),
                "cell": cell,
                "samples": int(cells.sizes[cell]),
                "taken": int(taken[cell]),
                "predicted reward": round(float(predicted[cell]), 5) if learnt else None,
                "ids": view.pool.ids[rows[starts[i] : starts[i + 1]][:4]].tolist(),
            }
            for i, cell in enumerate(chosen[:SHOWN])
        ],
    }


def known(value: float) -> float | None:
    """Return a number as a note holds it; None for NaN."""
    return None if np.isnan(value) else round(value, 4)
