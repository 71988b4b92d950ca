"""BRAL-T made better: the TrustSet in expectation, straight on the pool, spread over cells of one sample each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_labels, check_number
from labelwise.errors import InputError
from labelwise.functional.batches.spreading import spread
from labelwise.functional.trust import balancing_weights, expected_trust
from labelwise.signals import Needs, View
from labelwise.strategies.base import Outcome, Proposal, State, Strategy
from labelwise.strategies.trustset.cells import Floats, cells_of
from labelwise.strategies.trustset.strategy import BralT, known


@dataclass
class BralTPlus(BralT):
    """Ask for what the TrustSet would hold of the pool, on average over the labels that the predictor thinks likely.

    Formula:
        score = Σ_y p_y w_y σ*(-ln p_y) ‖p - onehot(y)‖, w_y ∝ 1 / n_y of the labelled set; of the `over` b best, the
        best one of each of b k-means clusters. While exp(H(mean p) + `correction` (C - 1) / 2 l) / C of the pool is at least
        `evenness`, l the number of labels, and the labels of its first round do not contradict even classes (χ² test,
        p >= `doubt`), `otherwise` asks.
    Cost:
        O(n C) time, k-means of `over` b samples into at most 500 clusters; O(over b D) memory; or that of `otherwise`.
        No rehearsals unless `reward` is above 0.
    When:
        Imbalanced and long-tailed pools, where it asks for likely members of rare classes; on those that look balanced
        it is the strategy in `otherwise`. It remembers its first labels: a new pool wants a new object. Its probabilities must say something: with an untrained predictor take `coreset` or
        `typiclust`.
    Source:
        Ours, from BRAL-T: its score (SuperLoss times EL2N), balance and clusters, without its detour through rewards.
    Deviations:
        From BRAL-T, each with its ablation in the protocol `bral-t/plus`:
        - The score is taken in expectation over the pool's labels; BRAL-T carries it over by clusters.
        - Balance comes from weights of classes, not from equal numbers in a set.
        - Cells hold one sample each, so that nothing is cut off at random.
        - Weights for rare classes have nothing to win where classes are even; there another strategy asks.
        - The learned reward is off: as a tilt of the score it gained no accuracy. With `reward` above 0 it comes back, in
          rounds whose reward correlation is at least `least_correlation`.

    Attributes:
        otherwise: the strategy for pools that look balanced.
        evenness: exp(H) / C of the pool's mean probabilities, in [1 / C, 1], from which on they do; above 1: never.
        correction: how much is added to H for what a few labels alone make uneven: 1 is the bias of the entropy of l labels
            of even classes (Miller 1955), 0 adds nothing.
        doubt: below this p of the first labels' χ² test they do not, whatever the pool's probabilities say.
        balance: exponent of 1 / n_y; 0 for no balance.
        over: candidates for each sample of the batch, at least 1; 1 for no spreading.
        reward: how much one deviation of the predicted reward counts, in logarithms of the score; 0: nothing is learnt,
            and of BRAL-T's fields only lam, tau and curriculum matter.
        least_correlation: of rewards and predictions in rehearsals the network had not seen, below which a round goes
            without it.
    """

    otherwise: Strategy = "cluster-margin"  # type: ignore[assignment]  # see `make`
    evenness: float = 0.94
    correction: float = 1.0
    doubt: float = 0.01
    balance: float = 1.0
    over: float = 3.0
    reward: float = 0.0
    least_correlation: float = 0.2
    first: float | None = field(default=None, init=False, compare=False, repr=False)  # p of the first labels

    inner: ClassVar[tuple[str, ...]] = ("otherwise",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.otherwise, Strategy):
            raise InputError(
                f"otherwise must be a Strategy; it is {self.otherwise!r}. labelwise.make takes names."
            )
        check_number(self.evenness, "evenness", 0)
        check_number(self.correction, "correction", 0)
        check_number(self.doubt, "doubt", 0, 1)
        check_number(self.balance, "balance", 0)
        check_number(self.over, "over", 1)
        check_number(self.reward, "reward")
        check_number(self.least_correlation, "least_correlation", -1, 1)
        if self.reward < 0:
            raise InputError(f"reward must be at least 0; it is {self.reward!r}.")

    @property
    def needs(self) -> Needs:  # type: ignore[override]  # BRAL-T always reads the labelled set's predictions
        labelled = {"y"} if self.reward == 0 else {"y", "embeddings", "probs"}
        other = self.otherwise.needs
        return Needs(
            other.pool | {"embeddings", "probs"}, other.labelled | frozenset(labelled), other.validation
        )

    def learn(self, outcome: Outcome) -> None:
        self.otherwise.learn(outcome)

    def state_dict(self) -> dict[str, State]:
        other = self.otherwise.state_dict()
        own: dict[str, State] = {"first": self.first} if self.first is not None else {}
        return own | ({"agent": self.agent} if self.agent else {}) | ({"otherwise": other} if other else {})

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        self.first = state.get("first")
        self.agent = dict(state.get("agent", {}))
        self.otherwise.load_state_dict(state.get("otherwise", {}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        start = perf_counter()
        y = as_labels(view.labelled.need("y"), view.n_classes, "y of the labelled samples")
        weights = balancing_weights(y, view.n_classes, self.balance)
        probs = view.pool.need("probs")
        if self.first is None and y.size:
            self.first = even_chance(y, view.n_classes)
        first = 1.0 if self.first is None else self.first
        even = evenness(probs)
        if (
            y.size
        ):  # of a predictor that has seen few labels, the pool's classes look as uneven as those labels
            even = min(1.0, even * float(np.exp(self.correction * (view.n_classes - 1) / (2 * y.size))))
        notes: dict[str, Any] = {"evenness": round(even, 4), "even first labels, p": round(first, 4)}
        if even >= self.evenness and first >= self.doubt:
            other = self.otherwise.propose(view.only(self.otherwise.needs), n, rng)
            return replace(other, notes={**other.notes, **notes})
        notes["class weights"] = [round(float(w), 4) for w in weights[:1000]]
        lam = self.lam if self.curriculum else None
        scores = expected_trust(probs, class_weights=weights, lam=lam, tau=self.tau)
        if self.reward > 0:
            tilt, told = self._tilt(view, y, n, rng)
            scores, notes = scores * np.exp(tilt), notes | told
        rows = spread(scores, view.pool.need("embeddings"), n, self.over, rng)
        guessed = np.asarray(probs[rows]).argmax(axis=1) if rows.size else np.empty(0, np.int64)
        notes["predicted classes asked"] = np.bincount(guessed, minlength=view.n_classes).tolist()[:1000]
        return Proposal(rows, scores, notes | {"seconds": {"selection": perf_counter() - start}})

    def _tilt(
        self, view: View, y: NDArray[np.int64], n: int, rng: np.random.Generator
    ) -> tuple[Floats, dict[str, Any]]:
        """Return what the learned reward adds to the logarithm of each score, (n,), and what to note."""
        layout = self.layout(view.n_classes)
        pool, x = self._embeddings(view)
        trusted = self.trusted(self.scores(view, y), y, view.n_classes, n)
        network, lessons = self._network(view, x, trusted, layout, rng)
        told = {
            "reward correlation": known(lessons.correlation),
            "reward correlation within clusters": known(lessons.within),
        }
        # a kept agent is judged by the rehearsals that it was trained on
        judged = self.agent.get("correlation") if self.reuse else known(lessons.correlation)
        healthy = judged is not None and judged >= self.least_correlation
        told["reward used"] = network is not None and healthy
        if network is None or not healthy or not len(pool):
            return np.zeros(len(pool)), told
        cells = cells_of(pool, x, layout, rng)
        predicted = self._predicted(network, cells)
        # at most 0, so that no score overflows
        return self.reward * ((predicted - predicted.max()) / (predicted.std() or 1.0))[cells.cell], told


def evenness(probs: Any) -> float:
    """Return exp(H) / C of the mean of probabilities, (n, C): 1 where classes are equally frequent; 0 without a sample."""
    if not len(probs):
        return 0.0
    mean = np.asarray(np.mean(probs, axis=0, dtype=np.float64))
    entropy = -np.sum(mean * np.log(np.maximum(mean, np.finfo(float).tiny)))
    return float(np.exp(entropy)) / mean.size


def even_chance(y: NDArray[np.int64], n_classes: int) -> float:
    """Return the p-value of Pearson's χ² test that labels come from even classes; 1 without labels or with one class."""
    from scipy.special import chdtrc

    if not len(y) or n_classes < 2:
        return 1.0
    expected = len(y) / n_classes
    counts = np.bincount(y, minlength=n_classes)
    return float(chdtrc(n_classes - 1, np.square(counts - expected).sum() / expected))
