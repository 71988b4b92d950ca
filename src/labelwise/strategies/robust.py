"""Asks where the worst shift of single modalities would hurt: unsure samples that it would make more of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.checks import Array, check_name, check_number
from labelwise.errors import InputError, ShapeError
from labelwise.functional import scores
from labelwise.functional.batches import kmeans_pp, top
from labelwise.functional.robust import Floats
from labelwise.functional.robust_gain import RIDGE, shift_weights
from labelwise.functional.stress import capped_losses
from labelwise.signals import Needs, Signals, View
from labelwise.strategies.base import Proposal, Strategy

UNCERTAINTY: dict[str, Callable[[Any], Array]] = {
    "margin": lambda probs: 1 + scores.smallest_margin(probs),
    "entropy": scores.entropy,
}
TEACHERS = ("labelled", "validation")


@dataclass(frozen=True)
class RobustGain(Strategy):
    """Ask for unsure samples that the worst shift of single modalities would make more of.

    Formula:
        argmax_u w_u s_u, s the uncertainty, w = (1 + Σ_m h_m(x_m))₊ scaled to mean 1 over the pool. h_m is
        E[l | x_m] - E[l], by ridge regression of known losses -ln p_y on the embedding of modality m, scaled to
        E h_m² = ρ_m: the additive density ratio within the χ² radii that raises the mean loss most.
    Cost:
        O(l D² + n D) time for embeddings D wide in all and l labelled samples, O(n M) memory; with `diverse`, that of
        k-means++ over all modal embeddings, O(n b D), besides.
    When:
        Single modalities may drift after training (another camera, other microphones), and the labels bought today must
        still do. With ρ = 0 it is margin or entropy sampling.
    Source:
        Ours; the additive density ratios are those of the variational objective, in the sets of "Distributionally Robust
        Multimodal Machine Learning", arXiv 2511.05716.
    Deviations:
        Nothing of it is published: no paper on robust multimodal learning selects samples.

    Attributes:
        rho: ρ, at least 0: one number for every modality, or a table that names them all.
        uncertainty: "margin", 1 - (p₍₁₎ - p₍₂₎), or "entropy".
        teacher: whose losses are carried over: those of "labelled" samples, which a network that fits them all has made
            small, or of "validation" samples, whose labels count as bought, too.
        diverse: draw with probability ∝ w_u s_u times the squared distance of the modal embeddings to those drawn before
            (k-means++), instead of the highest w_u s_u.
        ridge: penalty of the regression, above 0.
    """

    rho: float | Mapping[str, float] = 0.2
    uncertainty: str = "margin"
    teacher: str = "labelled"
    diverse: bool = False
    ridge: float = RIDGE

    def __post_init__(self) -> None:
        radii = self.rho if isinstance(self.rho, Mapping) else {"": self.rho}
        if not radii:
            raise InputError("rho must not be an empty table; give a number, or name modalities.")
        for name, value in radii.items():
            check_number(value, f"rho of {name!r}" if name else "rho", 0)
        check_name(self.uncertainty, tuple(UNCERTAINTY), "uncertainty")
        check_name(self.teacher, TEACHERS, "teacher")
        if not isinstance(self.diverse, bool):
            raise InputError(f"diverse must be true or false; it is {self.diverse!r}.")
        if not check_number(self.ridge, "ridge", 0) > 0:
            raise InputError(f"ridge must be above 0; it is {self.ridge!r}.")

    @property
    def needs(self) -> Needs:
        known = frozenset({"probs", "modal_embeddings", "present", "y"})
        pool = known - {"y"}
        return (
            Needs(pool=pool, labelled=known)
            if self.teacher == "labelled"
            else Needs(pool=pool, validation=known)
        )

    def propose(self, view: View, n: int, rng: np.random.Generator) -> Proposal:
        parts = view.pool.modal_embeddings or ()
        unsure = np.asarray(UNCERTAINTY[self.uncertainty](view.pool.need("probs")), np.float64).clip(min=0)
        weights, radii = np.ones(unsure.size), self._radii(view.modalities, len(parts))
        known = view.labelled if self.teacher == "labelled" else view.validation
        if unsure.size and len(known):
            weights = shift_weights(
                known_losses(known),
                known.modal_embeddings or (),
                parts,
                radii,
                labelled_there=known.need("present"),
                pool_there=view.pool.need("present"),
                ridge=self.ridge,
            )
        values = weights * unsure
        notes = {"most weight": float(weights.max(initial=1)), "weightless": float((weights == 0).mean())}
        if not self.diverse:
            return Proposal(top(values, n, rng), values, notes)
        drawn = values if values.any() else np.ones_like(values)
        return Proposal(kmeans_pp(np.concatenate(parts, axis=1), n, rng, weights=drawn), notes=notes)

    def _radii(self, modalities: tuple[str, ...], m: int) -> list[float]:
        if not m:
            raise ShapeError("robust-gain needs the embedding of at least one modality; there is none.")
        if not isinstance(self.rho, Mapping):
            return [float(self.rho)] * m
        for name in self.rho:
            check_name(name, modalities, "modality of this campaign")
        lacks = [name for name in modalities if name not in self.rho]
        if lacks or len(modalities) != m:
            raise InputError(
                f"rho must name every modality ({', '.join(lacks) or f'{m} embeddings, {len(modalities)} names'}). "
                "Write 0 for one that does not move."
            )
        return [float(self.rho[name]) for name in modalities]


def known_losses(known: Signals) -> Floats:
    """Return -ln p_y (l,) of samples whose classes are known, at most 13.8."""
    return capped_losses(known.need("probs"), known.need("y"))
