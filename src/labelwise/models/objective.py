"""The table of what a recipe may lower: name -> its parameters, and how they become the adversary of one fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from labelwise.checks import Array, check_count, check_name, check_number
from labelwise.errors import InputError, did_you_mean
from labelwise.functional.ambiguity import Budgets, as_coupling, modality_budget
from labelwise.functional.coupling import LEAST, copula_correlation
from labelwise.functional.robust import Floats
from labelwise.objectives.adversary import Variational
from labelwise.objectives.robust import (
    MOMENTUM,
    RADII,
    Adversary,
    Dual,
    EarlyFusionDro,
    MMDro,
    Objective,
    below_one,
)
from labelwise.objectives.tails import Cvar, GroupDro

Rho = float | Mapping[str, float]
Gamma = str | float | Sequence[Sequence[float]]
COUPLINGS = ("one", "gaussian_copula")
GROUPS = ("class",)
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
    """

    n_classes: int
    modalities: tuple[str, ...] = ()
    there: NDArray[np.bool_] | None = None
    inputs: Callable[[], Sequence[Array]] | None = None
    width: int = 1
    device: torch.device | str = "cpu"

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
        if gamma == "gaussian_copula" and self.inputs is not None and self.there is not None:
            read = self.inputs()
            for i in range(size):
                for j in range(i):
                    both = self.there[:, i] & self.there[:, j]
                    if both.sum() >= LEAST:
                        found[i, j] = found[j, i] = self._measured(read[i], read[j], both, i, j)
        return found

    def _measured(self, x: Array, y: Array, rows: NDArray[np.bool_], i: int, j: int) -> float:
        if x.shape[1] * y.shape[1] > MOST_PAIRS:
            raise InputError(
                f"objective.gamma='gaussian_copula' compares all {x.shape[1]} numbers of {self.modalities[i]!r} with all "
                f"{y.shape[1]} of {self.modalities[j]!r}: too many. Give a number, or take 'one'."
            )
        return copula_correlation(x[rows], y[rows])


@dataclass(frozen=True, kw_only=True)
class Wish:
    """An objective as a recipe names it: its parameters, looked at.

    Attributes:
        modal: it is about several modalities, each by itself.
    """

    modal: ClassVar[bool] = False

    def check(self, *, several: bool) -> None:
        """Raise InputError unless a recipe that knows its modalities apart (`several`), or not, can lower it."""

    def made(self, setting: Setting) -> Objective | None:
        """Return the objective of a fit; None: the mean of all losses."""
        return None


@dataclass(frozen=True, kw_only=True)
class _Radii(Wish):
    """What knows of shifts by modality.

    Attributes:
        rho: χ² radius, at least 0: one number for every modality, or a table that names them all.
    """

    rho: Rho = 0.1

    def __post_init__(self) -> None:
        if isinstance(self.rho, Mapping):
            if not self.rho:
                raise InputError(
                    "objective.rho must not be an empty table; give a number, or name modalities."
                )
            for name, value in self.rho.items():
                check_number(value, f"objective.rho of {name!r}", 0)
        else:
            check_number(self.rho, "objective.rho", 0)

    def check(self, *, several: bool) -> None:
        if not several and isinstance(self.rho, Mapping):
            raise InputError(
                f"objective.rho must be a number here: this recipe reads its input as one modality; it is {self.rho!r}. "
                "Recipe 'multimodal' takes a table."
            )


@dataclass(frozen=True, kw_only=True)
class _Budgeted(_Radii):
    """What lowers the risk over one ball whose radius B comes of ρ and Γ.

    Attributes:
        gamma: Γ, how strongly modalities depend on one another: "one", the most there can be; a number in [-1, 1] for
            all pairs; (M, M) in the dataset's order; or "gaussian_copula", measured on the training inputs.
        budget: which reading of B, a field of `labelwise.functional.ambiguity.Budgets`.
    """

    gamma: Gamma = "one"
    budget: str = "first_order"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.budget, Budgets._fields, "budget")
        if isinstance(self.gamma, str):
            check_name(self.gamma, COUPLINGS, "coupling of modalities")
        elif isinstance(self.gamma, Sequence):
            as_coupling(self.gamma, len(self.gamma))
        else:
            check_number(self.gamma, "objective.gamma", -1, 1)

    def check(self, *, several: bool) -> None:
        super().check(several=several)
        if several and self.budget == "precision" and isinstance(self.gamma, str) and self.gamma == "one":
            self._radius_is(float("inf"))

    def radius(self, setting: Setting) -> float:
        """Return B."""
        return self._radius_is(
            modality_budget(setting.radii(self.rho), setting.coupling(self.gamma), self.budget)
        )

    def _radius_is(self, found: float) -> float:
        if found == float("inf"):
            raise InputError(
                f"The budget {self.budget!r} is infinite for this rho and gamma: no training can heed shifts of any "
                "size. Under 'precision' modalities may not determine one another: give a gamma whose entries beside "
                "the diagonal are inside (-1, 1), such as 0.3, or take budget='perfect'."
            )
        return found


@dataclass(frozen=True, kw_only=True)
class Erm(Wish):
    """The mean of all losses."""


@dataclass(frozen=True, kw_only=True)
class ClosedForm(_Budgeted):
    """`labelwise.objectives.robust.MMDro`.

    Attributes:
        momentum: share of the past in the moving moments, in [0, 1).
    """

    momentum: float = MOMENTUM

    def __post_init__(self) -> None:
        super().__post_init__()
        below_one(self.momentum, "objective.momentum")

    def made(self, setting: Setting) -> Objective:
        return MMDro(self.radius(setting), self.momentum)


@dataclass(frozen=True, kw_only=True)
class Exact(_Budgeted):
    """`labelwise.objectives.robust.Dual`."""

    def made(self, setting: Setting) -> Objective:
        return Dual(self.radius(setting))


@dataclass(frozen=True, kw_only=True)
class EarlyFusion(_Radii):
    """`labelwise.objectives.robust.EarlyFusionDro`.

    Attributes:
        radius: "product" or "perfect".
    """

    modal: ClassVar[bool] = True

    radius: str = "product"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.radius, RADII, "joint radius")

    def made(self, setting: Setting) -> Objective:
        return EarlyFusionDro(setting.radii(self.rho), self.radius)


@dataclass(frozen=True, kw_only=True)
class ByModality(_Radii):
    """`labelwise.objectives.adversary.Variational`.

    Attributes:
        hidden: units of each modality's function.
        lr: learning rate of the adversary.
    """

    modal: ClassVar[bool] = True

    hidden: int = 32
    lr: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.hidden, "objective.hidden", 1)
        if not check_number(self.lr, "objective.lr", 0) > 0:
            raise InputError("objective.lr must be above 0: an adversary that never moves finds no shift.")

    def made(self, setting: Setting) -> Objective:
        return Variational(setting.radii(self.rho), self.hidden, self.lr)


@dataclass(frozen=True, kw_only=True)
class WorstShare(Wish):
    """`labelwise.objectives.tails.Cvar`.

    Attributes:
        alpha: the share of a batch, in (0, 1].
    """

    alpha: float = 0.5

    def __post_init__(self) -> None:
        Cvar(self.alpha)

    def made(self, setting: Setting) -> Objective:
        return Cvar(self.alpha)


@dataclass(frozen=True, kw_only=True)
class WorstGroups(Wish):
    """`labelwise.objectives.tails.GroupDro`.

    Attributes:
        groups: "class": the classes.
        step: at least 0.
    """

    groups: str = "class"
    step: float = 0.01

    def __post_init__(self) -> None:
        if self.groups not in GROUPS:
            raise InputError(
                f"objective.groups must be 'class'; it is {self.groups!r}. Tasks have no column of groups beside the "
                "labels, so that classes are the only groups there are."
            )
        check_number(self.step, "objective.step", 0)

    def made(self, setting: Setting) -> Objective:
        return GroupDro(setting.n_classes, self.step)


ERM = "erm"
TABLE: dict[str, type[Wish]] = {
    ERM: Erm,
    "mmdro": ClosedForm,
    "dual": Exact,
    "earlyfusion_dro": EarlyFusion,
    "variational": ByModality,
    "cvar": WorstShare,
    "group_dro": WorstGroups,
}


def wished(objective: Any) -> Wish:
    """Return what a recipe's `objective` stands for.

    Args:
        objective: a row of `TABLE`, or a table {"name": such a row, its parameters}.

    Raises:
        UnknownName: no objective, budget or coupling has this name.
        InputError: it is none of both, has no such parameter, or a parameter is out of range.
    """
    params = dict(objective) if isinstance(objective, Mapping) else {"name": objective}
    name = params.pop("name", None)
    if not isinstance(name, str):
        raise InputError(
            f'objective must be a name, or a table like {{"name": "mmdro", "rho": 0.1}}; it is {objective!r}.'
        )
    check_name(name, tuple(TABLE), "objective")
    known = [part.name for part in fields(TABLE[name])]
    for key in params:
        if key not in known:
            raise InputError(f"objective.{key} is unknown for {name!r}. {did_you_mean(str(key), known)}")
    return TABLE[name](**params)


def settled(objective: Any, *, several: bool) -> str | dict[str, Any]:
    """Return a recipe's `objective`, looked at, as values that JSON holds.

    Args:
        objective: as `wished`.
        several: whether the recipe knows its modalities apart.

    Raises:
        As `wished`; InputError where this recipe cannot lower it.
    """
    plain = _plain(objective)
    wish = wished(plain)
    if wish.modal and not several:
        raise InputError(
            f"Objective {named(plain)!r} is about several modalities, and this recipe reads its input as one. Take "
            "recipe 'multimodal', or objective 'mmdro' or 'dual' with a single rho."
        )
    wish.check(several=several)
    found: str | dict[str, Any] = plain
    return found


def named(objective: str | Mapping[str, Any]) -> str:
    """Return the name of a recipe's `objective`."""
    return str(objective["name"] if isinstance(objective, Mapping) else objective)


def begun(objective: str | Mapping[str, Any], setting: Setting) -> Adversary | None:
    """Return the adversary that a fit begins with; None where all losses weigh the same.

    The variational one is drawn from torch's global generator: seed it.

    Raises:
        As `wished`; InputError where B is infinite, or ρ or Γ does not fit the modalities.
    """
    made = wished(objective).made(setting)
    return None if made is None else made.begin([setting.width] * len(setting.modalities), setting.device)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
