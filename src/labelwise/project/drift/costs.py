"""What shifts of single modalities may make of an error that is known on the old data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labelwise.functional.ambiguity import Budgets, certificate, modality_budgets
from labelwise.functional.robust import Floats, variance_risk


@dataclass(frozen=True)
class Costs:
    """What shifts may make of the error, by the four readings of `labelwise.functional.ambiguity.Budgets`.

    Attributes:
        budgets: B; infinite where Γ is singular.
        at_most: E + √B √Var of the known errors, and no more than 1.
        certified: the same with what the choice of the known samples may hide, with probability 1 - δ; no more than 1.
    """

    budgets: Budgets
    at_most: Budgets
    certified: Budgets

    @property
    def most(self) -> float:
        """The greatest of the four."""
        return max(self.at_most)

    @property
    def most_certified(self) -> float:
        """The greatest of the four with the choice of the known samples."""
        return max(self.certified)


def costs(errors: Floats, rho: Sequence[float], gamma: Floats, delta: float) -> Costs:
    """Return what shifts by these radii may make of an error.

    Args:
        errors: (n,) in [0, 1], of known samples that the model has not learned from.
        rho: (K,) radii.
        gamma: (K, K) Γ.
        delta: δ of the certificate.
    """
    budgets = modality_budgets(rho, gamma)
    return Costs(
        budgets,
        Budgets(*(min(1.0, variance_risk(errors, b)) for b in budgets)),
        Budgets(*(min(1.0, certificate(errors, b, 1.0, delta)) for b in budgets)),
    )
