"""Which classifier a recipe trains: what lets a method with a recipe of its own stand beside those without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib import import_module
from typing import Any

from labelwise.errors import InputError
from labelwise.models import TABLE, make
from labelwise.signals import Needs
from labelwise.strategies import make as make_strategy

DRAWS = "draws"  # how often a trained classifier answers: no part of it
# How a network is trained, which a method of a protocol may choose by itself.
TRAINED = ("objective", "fusion", "modality_dropout")
_PARTS = ("pool", "labelled", "validation")


@dataclass(frozen=True)
class Classifier:
    """What a recipe trains, apart from what it trains beside the classifier.

    Attributes:
        recipe: the recipe as a spec writes it.
        values: equal for two recipes that train the same classifier: every field that `TorchRecipe` has, written or
            not, without `draws`; of other recipes what the spec writes.
        own: fields of a companion, written or not; empty without one.
        extra: signals that only the companion gives, as "part.name".
        plain: True if nothing else is trained.
    """

    recipe: Mapping[str, Any]
    values: Mapping[str, Any]
    own: Mapping[str, Any] = field(default_factory=dict)
    extra: frozenset[str] = frozenset()
    plain: bool = True

    @property
    def name(self) -> str:
        return str(self.recipe["name"])

    @property
    def written(self) -> dict[str, Any]:
        """What a spec writes of the classifier."""
        network = {"network": self.values["network"]} if "network" in self.values else {}
        return network | {key: value for key, value in self.recipe.items() if key in self.values}


def classifier(recipe: Mapping[str, Any]) -> Classifier:
    """Return which classifier a recipe trains.

    A recipe of `labelwise.models.companions` trains the classifier of a `TorchRecipe` with the same fields; what is
    not known here (a recipe of another version) stays as it is written.
    """
    given = Classifier(recipe, recipe)
    place = TABLE.get(str(recipe.get("name")))
    if place is None:
        return given
    module, _, attribute = place[0].partition(":")
    cls: type = getattr(import_module(module), attribute)
    if not is_dataclass(cls) or "network" not in {part.name for part in fields(cls)}:
        return given  # no network: decided before torch is loaded
    from labelwise.models.companions.common import CompanionRecipe
    from labelwise.models.torch import TorchRecipe

    companion = issubclass(cls, CompanionRecipe)
    if cls is not TorchRecipe and not companion:
        return given
    try:
        made = make(**recipe)
    except InputError:
        return given
    names = {part.name for part in fields(TorchRecipe)}
    plain = TorchRecipe(**{name: getattr(made, name) for name in names})
    values = asdict(plain)
    del values[DRAWS]
    own = {part.name: getattr(made, part.name) for part in fields(cls) if part.name not in names}
    return Classifier(recipe, values, own, _more(made.gives, plain.gives), not companion)


def _more(gives: Needs, less: Needs) -> frozenset[str]:
    return frozenset(
        f"{part}.{name}" for part in _PARTS for name in getattr(gives, part) - getattr(less, part)
    )


def untrained(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a spec writes of a recipe apart from how its network is trained."""
    return {key: value for key, value in recipe.items() if key not in TRAINED}


def needs_companion(strategy: Mapping[str, Any], recipe: Classifier) -> bool:
    """Return True if a strategy reads what the recipe's companion says."""
    needs = _needs(strategy)
    return any(f"{part}.{name}" in recipe.extra for part in _PARTS for name in getattr(needs, part))


def _needs(strategy: Mapping[str, Any]) -> Needs:
    try:
        return make_strategy(**strategy).needs
    except InputError:  # a run of another version, whose strategy or parameters this one does not know
        return Needs()


def suffixes(labels: Sequence[str], specs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return for each run of a setting what its label must add, so that no two recipes share one.

    That is the name of a companion's recipe under a strategy that does not need it, and whatever fields tell runs
    apart that would be called the same; nothing where all runs have one recipe.

    Args:
        labels: what the strategies are called.
        specs: of the runs.
    """
    recipes = [classifier(spec["recipe"]) for spec in specs]
    if all(recipe.recipe == recipes[0].recipe for recipe in recipes):
        return ("",) * len(labels)
    said, telling = [], []
    for spec, recipe in zip(specs, recipes, strict=True):
        beside = recipe.plain or needs_companion(spec["strategy"], recipe)
        said.append("" if beside else f", recipe {recipe.name}")
        draws = {DRAWS: recipe.recipe.get(DRAWS, 0)} if DRAWS in _needs(spec["strategy"]).pool else {}
        telling.append({"recipe": recipe.name if not recipe.plain else "", **recipe.own, **draws})
    made = []
    for label, words, mine in zip(labels, said, telling, strict=True):
        others = [
            t for other, w, t in zip(labels, said, telling, strict=True) if (other, w) == (label, words)
        ]
        apart = [key for key in mine if any(other.get(key, mine[key]) != mine[key] for other in others)]
        if "recipe" in apart:  # two companions under one name: their fields do not compare
            apart = ["recipe"]
        made.append(words + "".join(f", {key} {mine[key]}" for key in apart))
    return tuple(made)


def parted(labels: Sequence[str], recipes: Sequence[Classifier]) -> bool:
    """Return True if runs with one classifier are no single setting, because their companions are what is compared.

    That is where a strategy was run on several recipes and none of them is the plain one.

    Args:
        labels: what the strategy of each run is called.
        recipes: of the runs.
    """
    if any(recipe.plain for recipe in recipes):
        return False
    pairs = {
        (label, str(sorted(recipe.recipe.items()))) for label, recipe in zip(labels, recipes, strict=True)
    }
    return max(Counter(label for label, _ in pairs).values()) > 1


def shared_recipe(recipes: Sequence[Classifier]) -> Mapping[str, Any]:
    """Return how a report writes the recipe of a setting: as all runs have it, or else its classifier."""
    first = recipes[0]
    if all(recipe.recipe == first.recipe for recipe in recipes):
        return first.recipe
    if all(untrained(recipe.recipe) == untrained(first.recipe) for recipe in recipes):
        return untrained(first.recipe)
    plain = next((recipe for recipe in recipes if recipe.plain), None)
    if plain is None:
        return first.written
    return {key: value for key, value in plain.recipe.items() if key != DRAWS}


def caveat(labels: Sequence[str], recipes: Sequence[Classifier]) -> str:
    """Return which methods of a setting train something beside the classifier; "" where all have one recipe."""
    if all(recipe.recipe == recipes[0].recipe for recipe in recipes):
        return ""
    beside = {label: r.name for label, r in zip(labels, recipes, strict=True) if not r.plain}
    if not beside:
        return ""
    listed = ", ".join(f"{label} (recipe {name})" for label, name in sorted(beside.items()))
    one = len(beside) == 1
    return (
        f"{'One method trains' if one else 'Some methods train'} a companion beside the same classifier: {listed}. "
        "The companion may change how the classifier is trained, so their differences are of picking and training "
        "together."
    )
