"""What an objective may know when a fit begins: the modalities, how far each may move, how strongly they are coupled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from labelwise.checks import Array, check_name
from labelwise.errors import InputError
from labelwise.functional.ambiguity import as_coupling
from labelwise.functional.coupling import LEAST, coupling
from labelwise.functional.robust import Floats
from labelwise.seeds import generator

Rho = float | Mapping[str, float]
Gamma = str | float | Sequence[Sequence[float]]
MEASURED = ("gaussian_copula", "hgr", "soft_hgr")
COUPLINGS = ("one", *MEASURED)
MOST_PAIRS = 2**25  # of numbers of two modalities, whose correlations take 256 MiB


@dataclass(frozen=True, eq=False)
class Setting:
    """What is known when a fit begins.

    Attributes:
        n_classes: C.
        modalities: in the dataset's order; none where the network reads its input as one.
        there: (n, M) bool, which modalities the training samples have.
        inputs: () -> M arrays (n, F_m), the training samples as the network reads them; only a measured Γ asks.
        width: of each modality's embedding.
        device: where the network is.
        seed: halves the samples that a measured Γ is fitted and held to.
    """

    n_classes: int
    modalities: tuple[str, ...] = ()
    there: NDArray[np.bool_] | None = None
    inputs: Callable[[], Sequence[Array]] | None = None
    width: int = 1
    device: torch.device | str = "cpu"
    seed: int = 0

    def radii(self, rho: Rho) -> tuple[float, ...]:
        """Return ρ_k of each modality; that of a modality which no sample has is 0: it cannot be read, nor move.

        Raises:
            InputError: a table lacks a modality.
            UnknownName: it names one that the dataset lacks.
        """
        if not isinstance(rho, Mapping):
            found = [rho] * max(1, len(self.modalities))
        else:
            for name in rho:
                check_name(name, self.modalities, "modality of this dataset")
            lacks = [name for name in self.modalities if name not in rho]
            if lacks:
                raise InputError(
                    f"objective.rho must name every modality; {', '.join(lacks)} has none. Write 0 for one that does "
                    "not move."
                )
            found = [rho[name] for name in self.modalities]
        held = (self.there is None or bool(self.there[:, k].any()) for k in range(len(found)))
        return tuple(float(radius) if has else 0.0 for radius, has in zip(found, held, strict=True))

    def coupling(self, gamma: Gamma) -> Floats:
        """Return Γ (M, M). What cannot be measured for want of samples is 1, the most there can be."""
        size = max(1, len(self.modalities))
        if isinstance(gamma, Sequence) and not isinstance(gamma, str):
            return as_coupling(gamma, size)
        found = np.full((size, size), 1.0 if isinstance(gamma, str) else float(gamma))
        np.fill_diagonal(found, 1)
        if gamma in MEASURED and self.inputs is not None and self.there is not None:
            read = self.inputs()
            for i in range(size):
                for j in range(i):
                    both = self.there[:, i] & self.there[:, j]
                    if both.sum() >= LEAST:
                        found[i, j] = found[j, i] = self._measured(str(gamma), read, both, i, j)
        return found

    def _measured(self, kind: str, read: Sequence[Array], rows: NDArray[np.bool_], i: int, j: int) -> float:
        x, y = read[i], read[j]
        if kind != "soft_hgr" and x.shape[1] * y.shape[1] > MOST_PAIRS:
            raise InputError(
                f"objective.gamma={kind!r} compares all {x.shape[1]} numbers of {self.modalities[i]!r} with all "
                f"{y.shape[1]} of {self.modalities[j]!r}: too many. Take 'soft_hgr', give a number, or take 'one'."
            )
        rng = generator(self.seed, "coupling", i, j)
        return float(coupling([x[rows], y[rows]], kind, rng)[0, 1])
