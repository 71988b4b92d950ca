"""Which strategies a campaign can run: what each needs, as its class says, beside what models give, as their classes say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labelwise import models, strategies
from labelwise.bench.words import listed
from labelwise.errors import InputError
from labelwise.models.base import Recipe
from labelwise.signals import Needs
from labelwise.strategies.cheating import cheats

DRAWS = {
    "draws": 10,
    "dropout": 0.2,
}  # as most of the suite's sets have them: draws of a network are of its dropout
# What people call a model who do not care which.
USUAL = {"network": ("cnn", "mlp", "multimodal"), "linear": ("logistic",)}


@dataclass(frozen=True)
class Able:
    """A strategy that can run.

    Attributes:
        recipe: what to train for it.
        fields: of the recipe, beside its defaults: {"draws": 10}.
        validation: it measures on labelled samples that are kept apart.
    """

    recipe: str
    fields: dict[str, Any]
    validation: bool


def usual_recipe(model: str, modalities: int, kind: str | None) -> str:
    """Return the recipe that a word such as "network" means for samples like these; a recipe's own name means itself.

    Raises:
        UnknownName: neither such a word nor a recipe.
    """
    from labelwise.checks import check_name

    if model not in USUAL:
        check_name(model, (*USUAL, *models.TABLE), "model")
        return model
    if model == "linear":
        return USUAL[model][0]
    cnn, mlp, multimodal = USUAL[model]
    if modalities > 1:
        return multimodal
    return cnn if kind in (None, "image", "audio") else mlp


def learns_by_network(recipe: str) -> bool:
    """Return False for a recipe of scikit-learn's classifiers, or of a committee of them."""
    return not models.TABLE[recipe][0].startswith(
        ("labelwise.models.estimator:", "labelwise.models.ensemble:")
    )


def able(model: str, modalities: int) -> tuple[dict[str, Able], dict[str, str]]:
    """Return the strategies of the table that can run with a model, and of the others why they cannot.

    A strategy that the model itself cannot serve may run with posterior draws, or, where the model is a network, with the
    network of the table that learns something beside: it is then told which.

    Args:
        model: a recipe's name.
        modalities: of a sample.

    Raises:
        UnknownName: no such recipe.
    """
    first = models.make(model)
    tried: list[tuple[str, Recipe, dict[str, Any]]] = [(model, first, {})]
    for name, fields in _beside(model):
        try:
            tried.append((name, models.make(name, **fields), fields))
        except InputError:  # a recipe that has no such field
            continue
    can: dict[str, Able] = {}
    cannot: dict[str, str] = {}
    for name in strategies.TABLE:
        try:
            strategy = strategies.make(name)
        except InputError as error:
            cannot[name] = str(error)
            continue
        if cheats(strategy):
            cannot[name] = "knows the pool's labels: it is for simulations only"
            continue
        for recipe, made, fields in tried:
            if not _missing(strategy.needs, made):
                can[name] = Able(recipe, fields, bool(strategy.needs.validation))
                break
        else:
            why = _why(_missing(strategy.needs, first), modalities)
            cannot[name] = f"needs {why}, which {model} does not give"
    return can, cannot


def _why(missing: set[str], modalities: int) -> str:
    """Return what is missing as a person would say it."""
    if modalities == 1 and missing & {"evidence", "modal_embeddings", "modal_probs", "coalitions", "present"}:
        return "several modalities"
    if any(name.startswith("scalars.") for name in missing):
        return "what only some networks tell of a sample"
    return listed(sorted(missing))


def _beside(model: str) -> list[tuple[str, dict[str, Any]]]:
    """Return other recipes, with fields, that somebody who trains this one could train instead."""
    place, fixed = models.TABLE[model]
    found: list[tuple[str, dict[str, Any]]] = [(model, DRAWS)] if learns_by_network(model) else []
    if place.endswith(":TorchRecipe"):
        for name, (there, usual) in models.TABLE.items():
            if "companions" in there:
                same = fixed.get("network") == usual.get("network")
                found.append((name, {} if same else {"network": fixed.get("network")}))
    return found


def _missing(needs: Needs, recipe: Recipe) -> set[str]:
    """Return the signals that a strategy needs and a campaign with a recipe lacks."""
    gives = recipe.gives
    found: set[str] = set()
    for part, always in (("pool", set()), ("labelled", {"y"}), ("validation", {"y"})):
        found |= getattr(needs, part) - getattr(gives, part) - always
    return found
