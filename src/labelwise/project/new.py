"""How a project begins: what the user named becomes settings with sensible defaults; samples are read."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labelwise.checks import check_count, check_name
from labelwise.data.columns import Columns, detect
from labelwise.data.files import read_table
from labelwise.data.own import Source as Samples
from labelwise.data.own import folder_task
from labelwise.data.tables import table_task
from labelwise.errors import InputError
from labelwise.events import Plan
from labelwise.models import TABLE as RECIPES
from labelwise.project.answers import check_class_names
from labelwise.project.disk import disk_error
from labelwise.project.folder import Progress, Project, check_new, create, fair_strategy
from labelwise.project.known import with_labels
from labelwise.project.settings import Settings, Source
from labelwise.strategies import TABLE as STRATEGIES

# Few labels: many passes over small batches, and pictures moved and mirrored, keep a small network from
# learning them
# by heart. A picture whose mirror image means something else wants --set recipe.flip=false.
_FEW_LABELS: dict[str, Any] = {"epochs": 30, "batch_size": 16}
_PICTURES: dict[str, Any] = {"shift": 2, "flip": True}
_LEAST_START = 20
_BATCH = 50


@dataclass(frozen=True)
class Wish:
    """What the user named; None or empty where nothing was.

    Attributes:
        images: a folder of images; with a table, what its image paths are relative to.
        table: a CSV, TSV or Parquet file.
        columns: of the table, by use; without any, they are guessed.
        classes: names, or one entry that names a file with a name a line; empty: sub-folders or known labels
        say them.
        size: height and width of images in pixels.
        grey: one channel instead of three.
        labels: a CSV file of labels known already, by file or row.
        validation: share of the known labels that only measures.
        recipe: row of the table of recipes.
        strategy: row of the table of strategies.
        seed: of every draw.
        start: labels of the first round.
        batch: labels of each later round.
        budget: labels in all.
        audit: share of each later batch that is drawn at random, to tell how accurate the model is.
        fields: "recipe.epochs=50": fields of recipe and strategy.
    """

    images: Path | None = None
    table: Path | None = None
    columns: Columns = Columns()
    classes: tuple[str, ...] = ()
    size: int = 64
    grey: bool = False
    labels: Path | None = None
    validation: float = 0.2
    recipe: str | None = None
    strategy: str = "margin"
    seed: int = 0
    start: int | None = None
    batch: int | None = None
    budget: int | None = None
    audit: float = 0.0
    fields: tuple[str, ...] = ()


def new(folder: Path, wish: Wish, progress: Progress | None = None) -> tuple[Project, Samples]:
    """Make a project from what the user named; return it, and the samples with what could not be read.

    Defaults: images alone are learned by a small CNN, anything with a table by logistic regression; margin;
    20 labels at random to start with (or 2 a class), 50 a round, and a budget of the whole pool.

    Raises:
        InputError: the folder is not empty, or something that was named is not there or breaks a rule.
        StoreError: the place cannot be written.
    """
    check_new(folder)
    if wish.images is None and wish.table is None:
        raise InputError("A project needs samples: name a folder with --images or a table with --table.")
    check_name(wish.strategy, tuple(STRATEGIES), "strategy")
    if wish.recipe is not None:
        check_name(wish.recipe, tuple(RECIPES), "recipe")
    for name, value, low, high in (
        ("--size", wish.size, 4, 1024),
        ("--validation", wish.validation, 0, 0.99),
    ):
        if not low <= value <= high:
            raise InputError(f"{name} must lie between {low} and {high}; it is {value}.")
    named = check_class_names(_class_names(wish.classes)) if wish.classes else None
    columns = _columns(wish, named or ())
    extra = _fields(wish.fields)
    # Made before anything is decoded: it may be refused.
    strategy = fair_strategy({"name": wish.strategy, **extra["strategy"]})
    root = wish.images if wish.images is not None else _table(wish).resolve().parent
    tell = None if progress is None else lambda done, total: progress("decode", done, total)
    near = next(place for place in folder.absolute().parents if place.is_dir())
    try:
        # Decoded beside the project, not in memory: a folder of images may be larger than that.
        cache = tempfile.TemporaryDirectory(prefix=".labelwise-", dir=near, ignore_cleanup_errors=True)
    except OSError as error:
        raise disk_error(near, error, "written") from error
    with cache as place:
        common: dict[str, Any] = {"size": wish.size, "grey": wish.grey, "validation": wish.validation}
        common |= {"seed": wish.seed, "cache": place, "progress": tell}
        if wish.table is None:
            samples = folder_task(root, named, **common)
        else:
            samples = table_task(
                wish.table,
                image=columns.image,
                text=columns.text,
                numbers=columns.numbers,
                label=columns.label,
                key=columns.key,
                classes=named,
                root=root,
                **common,
            )
        if wish.labels is not None:
            samples = with_labels(samples, wish.labels, validation=wish.validation, seed=wish.seed)
        if strategy.needs.validation and not len(samples.task.validation):
            raise InputError(
                f"{wish.strategy} measures in every round on labelled samples that are kept apart, and there are none: "
                f"{len(samples.task.given)} samples have a label. With 50 or more a fifth of them measures "
                "(--validation); label these first, or take another strategy, such as badge or margin."
            )
        pictures = wish.table is None or columns.image is not None
        settings = Settings(
            name=folder.absolute().name,
            classes=check_class_names(samples.task.classes),
            source=Source(
                images=str(root.resolve()) if pictures else "",
                table=str(wish.table.resolve()) if wish.table is not None else "",
                text=columns.text or "",
                numbers=list(columns.numbers),
                image_column=columns.image or "",
                label_column=columns.label or "",
                key_column=columns.key or "",
                size=wish.size,
                grey=wish.grey,
                validation=wish.validation,
            ),
            recipe={**_recipe(wish.recipe, samples), **extra["recipe"]},
            strategy={"name": wish.strategy, **extra["strategy"]},
            plan=_plan(wish, samples),
        )
        return create(folder, settings, samples), samples


def _table(wish: Wish) -> Path:
    if wish.table is None:  # `new` has looked
        raise InputError("No table was named.")
    return wish.table


def _class_names(given: Sequence[str]) -> list[str]:
    """Return the names, or the lines of the one file that is named."""
    path = Path(given[0])
    if len(given) > 1 or not path.is_file():
        return list(given)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} must be a text file (UTF-8) with a class a line: {error}.") from error
    return [line for line in text.splitlines() if line.strip()]


def _columns(wish: Wish, classes: Sequence[str]) -> Columns:
    """Return the use of each column: as named, guessed if none is, or none where there is no table."""
    columns = wish.columns
    if wish.table is None:
        if columns != Columns():
            raise InputError("Columns belong to a table; name it with --table.")
        return columns
    if columns.image is None and columns.text is None and not columns.numbers:
        guess = detect(read_table(wish.table), classes)
        columns = replace(guess, label=columns.label or guess.label, key=columns.key or guess.key)
        if columns.image is not None and wish.columns.key is None:
            columns = replace(columns, key=None)
    if columns.image is not None and columns.key is not None:
        raise InputError(
            f"With an image column ({columns.image!r}) the file names the sample; leave the key column "
            f"({columns.key!r}) out."
        )
    return columns


def _recipe(name: str | None, samples: Samples) -> dict[str, Any]:
    pictures = samples.task.data.modalities == ("image",)
    chosen = name or ("cnn" if pictures else "logistic")
    if not RECIPES[chosen][0].endswith((":TorchRecipe", ":MultimodalRecipe")):
        return {"name": chosen}
    return {"name": chosen, **_FEW_LABELS, **(_PICTURES if pictures and chosen != "mlp" else {})}


def _plan(wish: Wish, samples: Samples) -> Plan:
    budget = wish.budget if wish.budget is not None else len(samples.task.pool)
    check_count(budget, "--budget", 1)
    start = wish.start if wish.start is not None else max(_LEAST_START, 2 * samples.task.n_classes)
    if wish.start is None:
        start = min(start, budget)
    batch = wish.batch if wish.batch is not None else _BATCH
    return Plan(seed=wish.seed, start=start, batch=batch, budget=budget, audit=wish.audit)


def _fields(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return {"recipe": fields, "strategy": fields} of "recipe.epochs=50"; values are TOML, or words."""
    fields: dict[str, dict[str, Any]] = {"recipe": {}, "strategy": {}}
    for one in given:
        key, equals, value = one.partition("=")
        table, _, name = key.strip().partition(".")
        if not equals or table not in fields or not name or name == "name":
            raise InputError(f"--set takes recipe.FIELD=VALUE or strategy.FIELD=VALUE; it is {one!r}.")
        try:
            fields[table][name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            fields[table][name] = value.strip()
    return fields
