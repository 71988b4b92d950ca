"""project.toml: where the data lie, the classes, the model and the plan; written once, read by people too."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from labelwise.errors import InputError, NewerStore, did_you_mean
from labelwise.events import Plan
from labelwise.project.answers import check_class_names
from labelwise.project.disk import disk_error, whole_file

FORMAT = 1
FILE = "project.toml"
_HEAD = """\
# A labelwise project. The campaign in campaign.db was opened with these settings: what is changed here later
# is refused, not followed. For other classes, data or a larger budget, make a new project.
"""
_COMMENTS = {
    "source": "Where the samples came from. Ids stand in items.csv and never shift; later files have none.",
    "recipe": "The model that is fitted at every ask.",
    "strategy": "What decides which samples are worth a label: labelwise strategies lists them.",
    "plan": "Labels at the start (drawn at random), a round, and in all; and the seed of every draw.",
}


class Source(BaseModel):
    """Where the samples are: a folder of images or a table, and what of them is used.

    Attributes:
        images: the folder of images; "" if there is none.
        table: the CSV or Parquet file; "" if there is none.
        text: column read as text.
        numbers: columns read as numbers.
        image_column: column with image paths, relative to the table (or to `images`).
        label_column: column with labels that are known already.
        key_column: column that names the rows in batch files.
        size: height and width in pixels to which images are brought.
        grey: one channel instead of three.
        validation: share of the labels known already that only measures, if there are at least 50.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    images: str = ""
    table: str = ""
    text: str = ""
    numbers: list[str] = []
    image_column: str = ""
    label_column: str = ""
    key_column: str = ""
    size: int = Field(64, ge=4, le=1024)
    grey: bool = False
    validation: float = Field(0.2, ge=0, lt=1)


class Settings(BaseModel):
    """Everything a project was made with.

    Attributes:
        format: of the project folder; a newer one is refused.
        name: shown in messages.
        classes: names, in the order of class indices.
        source: where the samples came from.
        recipe: name and fields of the recipe.
        strategy: name and parameters of the strategy.
        plan: seed, start, batch, budget, audit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    format: int = FORMAT
    name: str
    classes: tuple[str, ...]
    source: Source
    recipe: dict[str, Any]
    strategy: dict[str, Any]
    plan: Plan

    @field_validator("plan", mode="before")
    @classmethod
    def _plan(cls, value: Any) -> Any:
        return Plan.of(value) if isinstance(value, Mapping) else value

    @field_validator("recipe", "strategy")
    @classmethod
    def _named(cls, value: dict[str, Any], info: Any) -> dict[str, Any]:
        if not isinstance(value.get("name"), str):
            raise InputError(f"{info.field_name}.name must be a text; it is {value.get('name')!r}.")
        return value

    @field_validator("classes")
    @classmethod
    def _classes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_class_names(value)


def write_settings(settings: Settings, folder: Path) -> None:
    """Write project.toml into a folder, whole or not at all."""
    plan = {key: value for key, value in settings.plan.values().items() if value is not None}
    tables = {
        "source": settings.source.model_dump(),
        "recipe": settings.recipe,
        "strategy": settings.strategy,
        "plan": plan,
    }
    parts = [
        f"{_HEAD}format = {settings.format}\nname = {_toml(settings.name)}\n"
        f"# Their order is their number, from 0.\nclasses = {_toml(list(settings.classes))}\n"
    ]
    for name, table in tables.items():
        rows = "".join(
            f"{_key(key)} = {_toml(value)}\n" for key, value in table.items() if value not in ("", [])
        )
        parts.append(f"\n# {_COMMENTS[name]}\n[{name}]\n{rows}")
    with whole_file(folder / FILE) as file:
        file.write("".join(parts))


def _key(key: str) -> str:
    return key if key.replace("-", "_").isidentifier() and key.isascii() else _toml(key)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():  # JSON strings are TOML strings but for DEL, which TOML wants escaped
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case Mapping():
            return f"{{ {', '.join(f'{_key(str(k))} = {_toml(v)}' for k, v in value.items())} }}"
        case _:
            raise InputError(
                f"{FILE} can hold texts, numbers, lists and tables of them; it cannot hold {value!r}."
            )


def read_settings(folder: Path) -> Settings:
    """Return the settings of a project folder.

    Raises:
        InputError: there is no project there, or project.toml is damaged or holds an unknown key; all are
        listed.
        NewerStore: a newer labelwise made the project.
    """
    path = folder / FILE
    try:
        values = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{folder} is no labelwise project: it holds no {FILE}. `labelwise new` makes one."
        ) from error
    except OSError as error:
        raise disk_error(path, error, "read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no valid TOML: {error}. Put it right, or put a copy back.") from error
    if isinstance(values.get("format"), int) and values["format"] > FORMAT:
        raise NewerStore(
            f"{path} has format {values['format']}; this labelwise reads up to {FORMAT}. Install a newer one."
        )
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {' '.join(_complaint(item) for item in error.errors())}") from error


def _complaint(item: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = Source.model_fields if key.startswith("source.") else Settings.model_fields
        return f"{key} is unknown. {did_you_mean(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return f"{key} is missing."
    if item["type"] == "value_error":  # our own words
        return str(item["msg"]).removeprefix("Value error, ")
    return f"{key}: {item['msg']}; it is {item['input']!r}."
