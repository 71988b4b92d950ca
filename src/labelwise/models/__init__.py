"""The table of recipes: name -> where its class lives and the fields that the name stands for."""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from importlib import import_module
from pathlib import Path
from typing import Any

from labelwise.checks import check_name
from labelwise.data.task import Task
from labelwise.errors import InputError, did_you_mean
from labelwise.models.base import Prepares, Progress, Recipe

TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic": ("labelwise.models.estimator:EstimatorRecipe", {"estimator": "logistic"}),
    "forest": ("labelwise.models.estimator:EstimatorRecipe", {"estimator": "forest"}),
    "cnn": ("labelwise.models.torch:TorchRecipe", {"network": "cnn"}),
    "strided-cnn": ("labelwise.models.torch:TorchRecipe", {"network": "strided-cnn"}),
    "resnet18": ("labelwise.models.torch:TorchRecipe", {"network": "resnet18"}),
    "mlp": ("labelwise.models.torch:TorchRecipe", {"network": "mlp"}),
    "multimodal": ("labelwise.models.multimodal.recipe:MultimodalRecipe", {}),
    "dfal": ("labelwise.models.dfal:DfalRecipe", {"network": "cnn"}),
    "fine-tune": ("labelwise.models.finetune:FineTuneRecipe", {}),
    "ensemble": ("labelwise.models.ensemble:EnsembleRecipe", {}),
    "committee": ("labelwise.models.ensemble:CommitteeRecipe", {}),
    "learning-loss": ("labelwise.models.companions.learning_loss:LearningLossRecipe", {"network": "cnn"}),
    "vaal": ("labelwise.models.companions.vaal:VaalRecipe", {"network": "cnn"}),
    "waal": ("labelwise.models.companions.waal:WaalRecipe", {"network": "cnn"}),
}


def make(name: str, **params: Any) -> Recipe:
    """Return the recipe with this name; `params` override the fields of its class.

    Raises:
        UnknownName: no recipe has this name.
        InputError: the recipe has no such field.
    """
    check_name(name, tuple(TABLE), "recipe")
    place, fields = TABLE[name]
    module, _, attribute = place.partition(":")
    cls = getattr(import_module(module), attribute)
    known = [field.name for field in dataclass_fields(cls) if field.init]
    for field in params:
        if field not in known:
            raise InputError(f"Recipe {name!r} has no field {field!r}. {did_you_mean(field, known)}")
    try:
        made = cls(**{**fields, **params})
    except TypeError as error:
        raise InputError(f"Recipe {name!r} cannot be made: {error}.") from error
    assert isinstance(made, Recipe)
    return made


def prepared(
    recipe: Recipe, task: Task, folder: Path | None = None, progress: Progress | None = None
) -> tuple[Recipe, Task]:
    """Return recipe and task as a campaign should get them: with encoder and label-free features, where a recipe has any.

    Most recipes have none, and both come back as they are. The same arguments give the same result, so it is done
    again whenever a campaign is reopened.

    Args:
        recipe: any; "fine-tune" has an encoder.
        task: its pool and given samples may teach the encoder.
        folder: where what was learned is kept; None: nowhere.
        progress: told (done, total) in steps of work.
    """
    return recipe.prepared(task, folder, progress) if isinstance(recipe, Prepares) else (recipe, task)
