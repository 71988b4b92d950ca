"""Several recipes as one: an ensemble of equals, or a committee of different ones; the members are the draws."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_count
from labelwise.data.base import Dataset, Labelled
from labelwise.errors import InputError, MissingSignal
from labelwise.models import make
from labelwise.models.base import Ids, Predictor, Progress, Recipe
from labelwise.seeds import generator
from labelwise.signals import Needs, Signals

# A recipe's name, or a table of its name and fields: {"name": "cnn", "width": 16}.
Member = str | Mapping[str, Any]


class Several:
    """What ensemble and committee share: members are fitted one by one and answer together.

    `probs` is the mean of the members' probabilities, `draws` are the members', in their order. `embeddings` are those
    of the first member that gives any: spaces of different members cannot be averaged.

    Warm members continue each from its own fit before; a fit of K members costs K fits.
    """

    share: float

    @property
    @abstractmethod
    def recipes(self) -> tuple[Recipe, ...]:
        """The members, K of them."""

    def _check(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share must lie in (0, 1]; it is {self.share!r}.")
        for k, recipe in enumerate(self.recipes, start=1):
            if "probs" not in recipe.gives.pool:
                raise InputError(
                    f"Every member must give probs; number {k} gives {sorted(recipe.gives.pool)}."
                )

    @property
    def gives(self) -> Needs:
        names = frozenset({"probs", "draws"} | ({"embeddings"} if self._embedder is not None else set()))
        return Needs(pool=names, labelled=names, validation=names)

    @property
    def warm(self) -> bool:
        """Whether any member goes on from its fit before."""
        return any(recipe.warm for recipe in self.recipes)

    @property
    def _embedder(self) -> int | None:
        """The number of the first member that gives embeddings."""
        return next((k for k, r in enumerate(self.recipes) if "embeddings" in r.gives.pool), None)

    def fit(
        self,
        data: Dataset,
        train: Labelled,
        unlabelled: Ids,
        validation: Labelled | None,
        n_classes: int,
        rng: np.random.Generator,
        *,
        previous: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> EnsemblePredictor:
        recipes, seed = self.recipes, int(rng.integers(2**63 - 1))
        check_count(len(train), "the number of training samples", 1)
        if previous and set(previous) != {str(k) for k in range(len(recipes))}:
            raise InputError(
                f"The stored state is none of {len(recipes)} warm members; it holds {sorted(previous)}."
            )
        fitted = []
        for k, recipe in enumerate(recipes):
            own = generator(seed, "member", k)
            seen = train
            if self.share < 1:
                rows = np.sort(own.choice(len(train), ceil(self.share * len(train)), replace=False))
                seen = Labelled(train.ids[rows], train.y[rows])
            fitted.append(
                recipe.fit(
                    data,
                    seen,
                    unlabelled,
                    validation,
                    n_classes,
                    own,
                    previous=previous[str(k)] if previous and recipe.warm else None,
                    progress=_staged(progress, k, len(recipes)),
                )
            )
        return EnsemblePredictor(tuple(fitted), self._embedder, self.warm)


@dataclass(frozen=True)
class EnsembleRecipe(Several):
    """Fits one recipe several times with different seeds: a deep ensemble.

    Members differ by what their seed decides: first weights, order of batches, trees. A recipe that uses no
    randomness, such as `logistic`, gives equal members unless `share` is below 1.

    Attributes:
        member: a recipe's name, or a table of its name and fields: {"name": "cnn", "width": 16}.
        size: K, how many; at least 2. Member k is the same whatever K is.
        share: of the labelled samples that each member is fitted on, drawn without replacement; 1: all of them.

    Source:
        Lakshminarayanan, Pritzel, Blundell 2017, "Simple and Scalable Predictive Uncertainty Estimation using Deep
        Ensembles"; for active learning Beluch et al. 2018, "The Power of Ensembles for Active Learning in Image
        Classification". share: Bühlmann, Yu 2002, "Analyzing Bagging" (half of the samples without replacement does
        what a bootstrap does); for active learning Abe, Mamitsuka 1998 (query by bagging).
    """

    member: Member = "cnn"
    size: int = 5
    share: float = 1.0

    def __post_init__(self) -> None:
        check_count(self.size, "size", 2)
        object.__setattr__(self, "member", _plain(self.member, "member"))
        self._check()

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return (_made(self.member),) * self.size


@dataclass(frozen=True)
class CommitteeRecipe(Several):
    """Fits different recipes on the same samples: query by committee.

    Attributes:
        members: at least two; each a recipe's name, or a table of its name and fields.
        share: of the labelled samples that each member is fitted on, drawn without replacement; 1: all of them.

    Source:
        Seung, Opper, Sompolinsky 1992, "Query by Committee"; what the committee disagrees on is scored by `bald`,
        `variation-ratio` and other strategies that read draws.
    """

    members: tuple[Member, ...] = ("logistic", "forest")
    share: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.members, str | Mapping) or not isinstance(self.members, Iterable):
            raise InputError(f"members must be a list of recipes; it is {self.members!r}.")
        members = tuple(_plain(member, f"members, number {k}") for k, member in enumerate(self.members, 1))
        check_count(len(members), "the number of members", 2)
        object.__setattr__(self, "members", members)
        self._check()

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        return tuple(_made(member) for member in self.members)


@dataclass(frozen=True, eq=False)
class EnsemblePredictor:
    """Fitted members; it answers probs and draws, and embeddings where a member does.

    Attributes:
        members: K predictors.
        embedder: number of the one whose embeddings are given; None where none has any.
        warm: whether a later fit goes on from here.
    """

    members: tuple[Predictor, ...] = field(repr=False)
    embedder: int | None
    warm: bool

    @property
    def notes(self) -> Mapping[str, float]:
        """The members' notes, each averaged over the members that have it."""
        names = sorted({name for member in self.members for name in member.notes})
        return {
            name: float(np.mean([m.notes[name] for m in self.members if name in m.notes])) for name in names
        }

    def infer(
        self, data: Dataset, ids: Ids, names: frozenset[str], progress: Progress | None = None
    ) -> Signals:
        gives = {"probs", "draws"} | ({"embeddings"} if self.embedder is not None else set())
        if unknown := set(names) - gives:
            raise MissingSignal(
                f"These members give {', '.join(sorted(gives))}; asked for {', '.join(sorted(unknown))}."
            )
        voting = bool(names & {"probs", "draws"})
        asked: dict[int, set[str]] = {k: {"probs"} for k in range(len(self.members)) if voting}
        if "embeddings" in names and self.embedder is not None:
            asked.setdefault(self.embedder, set()).add("embeddings")
        parts: dict[str, Any] = {}
        total: NDArray[np.float64] | float = 0.0
        for step, (k, wanted) in enumerate(asked.items()):
            told = self.members[k].infer(data, ids, frozenset(wanted), _staged(progress, step, len(asked)))
            if "embeddings" in wanted:
                parts["embeddings"] = told.need("embeddings")
            if voting:
                probs = told.need("probs")
                total = total + probs.astype(np.float64)
                if "draws" in names:
                    draws = parts.setdefault(
                        "draws", np.empty((len(probs), len(self.members), probs.shape[1]), np.float32)
                    )
                    draws[:, k] = probs
        if "probs" in names:
            parts["probs"] = np.asarray(total / len(self.members), dtype=np.float32)
        return Signals(ids, **parts)

    def state_dict(self) -> dict[str, Any]:
        return {str(k): member.state_dict() for k, member in enumerate(self.members)} if self.warm else {}


def _plain(member: Member, where: str) -> Member:
    """Return a member as it was given, a table copied; refuse what names no recipe."""
    if isinstance(member, str):
        return member
    if not isinstance(member, Mapping) or not all(isinstance(key, str) for key in member):
        raise InputError(
            f'{where} must be a recipe\'s name or a table like {{"name": "cnn", "width": 16}}; it is {member!r}.'
        )
    if not isinstance(member.get("name"), str):
        raise InputError(f"{where} must say which recipe it is: it has no name, only {sorted(member)}.")
    return dict(member)


def _made(member: Member) -> Recipe:
    if isinstance(member, str):
        return make(member)
    fields = dict(member)
    return make(fields.pop("name"), **fields)


def _staged(progress: Progress | None, stage: int, stages: int) -> Progress | None:
    """Return a progress for one of several stages that take about as long each."""
    if progress is None:
        return None
    tell = progress
    return lambda done, total: tell(stage * total + done, stages * total)
