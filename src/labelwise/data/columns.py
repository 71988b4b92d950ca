"""Columns of a user's table: what each is for, and its cells as text or as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.images import SUFFIXES
from labelwise.errors import InputError

if TYPE_CHECKING:
    import pyarrow

LABEL_NAMES = ("label", "class", "target", "category", "y")
IMAGE_NAMES = ("image", "image_path", "img", "path", "file", "filename", "file_name", "photo", "picture")
TEXT_NAMES = ("text", "sentence", "review", "comment", "message", "body", "utterance", "description")
KEY_NAMES = ("id", "key", "index", "name", "uuid")
NO_NUMBER = frozenset({"", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True)
class Columns:
    """Which columns of a table were used for what."""

    image: str | None = None
    text: str | None = None
    numbers: tuple[str, ...] = ()
    label: str | None = None
    key: str | None = None


def cells(table: pyarrow.Table, name: str) -> list[str]:
    """Return a column as stripped text, "" for null; a float that is whole is written without its ".0"."""
    values = table.column(name).to_pylist()
    whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    # a column of whole numbers with gaps comes as floats from pandas
    return ["" if v is None or v != v else str(v).strip() for v in whole]


def numbers_of(table: pyarrow.Table, names: Sequence[str], file: Path) -> NDArray[np.float64]:
    columns = []
    for name in names:
        values = np.full(table.num_rows, np.nan)
        for row, value in enumerate(table.column(name).to_pylist()):
            if value is None or (isinstance(value, str) and value.strip().lower() in NO_NUMBER):
                continue
            try:
                values[row] = float(value)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{file.name}: column {name!r} must hold numbers; row {row + 1} is {value!r}."
                ) from error
            if np.isinf(values[row]) or abs(values[row]) > 1e300:
                raise InputError(
                    f"{file.name}: column {name!r} must hold finite numbers; row {row + 1} is {value!r}."
                )
        columns.append(values)
    return np.stack(columns, axis=1)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return value.strip().lower() in NO_NUMBER
        return True
    return isinstance(value, int | float)


def detect(table: pyarrow.Table, classes: Sequence[str] = ()) -> Columns:
    """Return a guess at what each column is for: by its name, else by its first 200 values.

    Label, image, text and key columns by name (in any case); then as label a column of words whose every value is one
    of the classes, an image column whose values end like image files, a text column whose values hold spaces, and every
    other column of numbers only.
    """
    left = {
        name: [v for v in table.column(name).slice(0, 200).to_pylist() if v is not None]
        for name in table.column_names
    }

    def named(known: Sequence[str]) -> str | None:
        found = next((name for wanted in known for name in left if name.lower() == wanted), None)
        if found is not None:
            del left[found]
        return found

    def like(test: Any) -> str | None:
        words = {n: v for n, v in left.items() if v and all(isinstance(one, str) for one in v)}
        found = next((name for name, values in words.items() if test(values)), None)
        if found is not None:
            del left[found]
        return found

    def only_classes(name: str) -> bool:
        if not all(isinstance(value, str) for value in left[name]):
            return False
        said = set(cells(table, name)) - {""}
        return bool(said) and said <= set(classes)

    label = named(LABEL_NAMES) or next((name for name in left if only_classes(name)), None)
    left.pop(label or "", None)
    image = named(IMAGE_NAMES) or like(lambda values: all(Path(v).suffix.lower() in SUFFIXES for v in values))
    text = named(TEXT_NAMES) or like(lambda values: sum(" " in v.strip() for v in values) * 2 > len(values))
    key = named(KEY_NAMES)
    numbers = tuple(name for name, values in left.items() if values and all(map(_is_number, values)))
    return Columns(image, text, numbers, label, key)
