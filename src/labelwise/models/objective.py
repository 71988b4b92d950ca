"""The table of what a recipe may lower: name -> its parameters, and how they become the adversary of one fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from labelwise.checks import check_count, check_name, check_number
from labelwise.errors import InputError, did_you_mean
from labelwise.functional.ambiguity import Budgets, as_coupling, modality_budget
from labelwise.models.setting import COUPLINGS, Gamma, Rho, Setting
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

GROUPS = ("class",)


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
            all pairs; (M, M) in the dataset's order; or measured on the training inputs: "gaussian_copula", "hgr",
            "soft_hgr" (see `labelwise.functional.coupling`).
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
