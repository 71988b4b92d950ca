"""Asks so that rare classes get their labels, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_labels, check_name
from labelwise.errors import InputError
from labelwise.functional.batches import balanced_boundaries, galaxy, tailor
from labelwise.functional.batches.bandit import DISCOUNT, discounted
from labelwise.functional.heads import linear_head
from labelwise.signals import Needs, View
from labelwise.strategies.base import Outcome, Proposal, State, Strategy


@dataclass(frozen=True)
class Galaxy(Strategy):
    """Ask halfway between samples of a class and samples of others, on the line on which each class orders all.

    Formula:
        Classes take turns: all samples sorted by p_c - max p; the midpoint of the shortest path between a labelled
        sample of c and a labelled sample not of c that leads through unlabelled ones.
    Cost:
        O(C n log n) once and O(n) a pick, n with the labelled; 4 n bytes a class whose turn it was, 64 MiB at most:
        beyond them a pick takes O(n log n).
    When:
        Extreme imbalance, where uncertainty asks within the big classes; some labels of each class must be there.
    Source:
        Zhang, Katz-Samuels, Nowak 2022, "GALAXY: Graph-based Active Learning at the Extreme".
    Deviations:
        There each label is known before the next sample is asked for; in a batch the predicted one stands in. Turns go on
        about where those of the last round ended, else classes beyond the batch would never have one. Classes without a
        labelled sample are passed over; the public code draws at random for them.
    """

    needs: ClassVar[Needs] = Needs(pool=frozenset({"probs"}), labelled=frozenset({"probs", "y"}))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        rows = galaxy(
            view.pool.need("probs"),
            n,
            labelled_probs=view.labelled.need("probs"),
            labelled_y=view.labelled.need("y"),
            first=view.round * n % view.n_classes,
            rng=rng,
        )
        return Proposal(rows)


@dataclass(frozen=True)
class Base(Strategy):
    """Ask for as many samples for each class, those nearest to the boundary between it and all others.

    Formula:
        For each c the b/C lowest (z_ŷ - z_c) / ‖w_ŷ - w_c‖ for samples of another predicted class ŷ, and the lowest of it
        over all other classes for samples predicted as c.
    Cost:
        O(n D (D + C)) for the last layer, O(n C + C² D) for distances; O(n + C D) memory.
    When:
        Imbalanced pools with many classes, on a frozen or pretrained embedding.
    Source:
        Emam et al. 2021, "Active Learning at the ImageNet Scale".
    Deviations:
        The weights w of the last layer are recovered from its inputs and outputs, by least squares; where the last layer
        is not linear an error says so. Which classes get one more, where C does not divide the batch, is drawn.

    Attributes:
        distance: "boundary", in the space of embeddings; "margin": z_ŷ - z_c, which needs no embeddings.
    """

    distance: str = "boundary"

    def __post_init__(self) -> None:
        check_name(self.distance, ("boundary", "margin"), "distance")

    @property
    def needs(self) -> Needs:
        embeddings = {"embeddings"} if self.distance == "boundary" else set()
        return Needs(pool=frozenset({"logits"} | embeddings))

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        logits = view.pool.need("logits")
        if self.distance == "margin" or not len(logits):
            return Proposal(balanced_boundaries(logits, n, rng=rng))
        head = linear_head(view.pool.need("embeddings"), logits, centred=True)
        rows = balanced_boundaries(logits, n, weight=head.weight, rng=rng)
        return Proposal(rows, notes={"unexplained by a linear layer": head.residual})


@dataclass
class Tailor(Strategy):
    """Let several strategies take turns, and favour the ones that have been finding samples of rare classes.

    Formula:
        For each sample of a batch: θ_i ~ Dirichlet(α_i) for each arm i, v_c = 1 / max(1, n_c), negative where c has over
        half of all labels; arm argmax_i θ_i · v gives its next sample. Once labels are there, α ← 0.9 α + finds.
    Cost:
        That of all arms, and O(k C) a sample for k arms; its memory beside theirs is O(k C + n).
    When:
        It is not known which strategy suits an imbalanced pool; batches of some tens or more, so that arms are compared.
    Source:
        Zhang, Shao, Verma, Nowak 2023, "Algorithm Selection for Deep Active Learning with Imbalanced Datasets".
    Deviations:
        The authors' code draws θ from Dirichlet(α + 1). Samples passed on by annotators count for no arm.

    Attributes:
        arms: the strategies, at least one; by default four that prefer different samples.
    """

    arms: tuple[Strategy, ...] = ("margin", "entropy", "badge", "galaxy")  # type: ignore[assignment]  # see `make`
    alpha: NDArray[np.float64] | None = field(default=None, init=False, compare=False, repr=False)
    asked: NDArray[np.int64] = field(
        default_factory=lambda: np.empty((0, 2), np.int64), init=False, compare=False, repr=False
    )  # (b, 2) id and arm of the last batch

    inner: ClassVar[tuple[str, ...]] = ("arms",)

    def __post_init__(self) -> None:
        self.arms = (self.arms,) if isinstance(self.arms, Strategy) else tuple(self.arms)
        for arm in self.arms or ("nothing",):
            if not isinstance(arm, Strategy):
                raise InputError(
                    f"arms of Tailor must be Strategies, at least one; there is {arm!r}. labelwise.make takes names."
                )

    @property
    def needs(self) -> Needs:
        every = [arm.needs for arm in self.arms]
        return Needs(
            frozenset().union(*(needs.pool for needs in every)),
            frozenset({"y"}).union(*(needs.labelled for needs in every)),
            frozenset().union(*(needs.validation for needs in every)),
        )

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        y = as_labels(view.labelled.need("y"), view.n_classes, "y of the labelled samples")
        self._hear(view.labelled.ids, y, view.n_classes)
        n = min(n, len(view.pool))
        found = [arm.propose(view.only(arm.needs), n, rng).rows for arm in self.arms]
        counts = np.bincount(y, minlength=view.n_classes)
        rows, arms = tailor(found, self.alpha, counts, n, rng)
        self.asked = np.column_stack([view.pool.ids[rows], arms])
        return Proposal(rows, notes={"samples an arm": np.bincount(arms, minlength=len(self.arms)).tolist()})

    def _hear(self, ids: NDArray[np.int64], y: NDArray[np.int64], classes: int) -> None:
        """Count what each arm's samples of the last batch turned out to be."""
        if self.alpha is None or self.alpha.shape != (len(self.arms), classes):
            self.alpha = np.ones((len(self.arms), classes))
        if len(self.asked):
            _, at, where = np.intersect1d(self.asked[:, 0], ids, assume_unique=True, return_indices=True)
            self.alpha = discounted(self.alpha, self.asked[at, 1], y[where], DISCOUNT)

    def learn(self, outcome: Outcome) -> None:
        for arm in self.arms:
            arm.learn(outcome)

    def state_dict(self) -> dict[str, State]:
        states = {str(i): arm.state_dict() for i, arm in enumerate(self.arms)}
        own = {} if self.alpha is None else {"alpha": self.alpha, "asked": self.asked}
        learned = {i: state for i, state in states.items() if state}
        return own | ({"arms": learned} if learned else {})

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        self.alpha = state.get("alpha")
        self.asked = state.get("asked", np.empty((0, 2), np.int64))
        for i, arm in enumerate(self.arms):
            arm.load_state_dict(state.get("arms", {}).get(str(i), {}))
