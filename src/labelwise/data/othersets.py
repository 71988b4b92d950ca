"""Tasks of text and of tables from the folder that LABELWISE_DATA names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise.checks import Array
from labelwise.data.draws import standardise
from labelwise.data.files import as_text, check_columns, read_npz, read_table
from labelwise.data.imagesets import DIGITS, class_names, set_file, take, where_test
from labelwise.data.shaping import Builder
from labelwise.data.splits import TEST, Samples
from labelwise.errors import InputError

VIEWS = ("pix", "fou", "fac", "zer", "kar", "mor")


def _mfeat() -> Samples:
    file = set_file("mfeat", "mfeat", "mfeat.npz", f"arrays {', '.join(VIEWS)}, y, is_test")
    *views, y, is_test = take(read_npz(file), (*VIEWS, "y", "is_test"), file)
    part = where_test(is_test)
    arrays = {name: standardise(view, part != TEST) for name, view in zip(VIEWS, views, strict=True)}
    return Samples("mfeat", arrays, y.astype(np.int64), DIGITS, part)


def _columns(file: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    table = read_table(file)
    check_columns(names, table.column_names, file)
    columns: dict[str, list[Any]] = table.select(list(names)).to_pydict()
    return columns


def _banking77() -> Samples:
    names = ("text", "label", "label_name", "split")
    rows = _columns(
        set_file("banking77", "banking77", "banking77.parquet", f"columns {', '.join(names)}"), names
    )
    return Samples(
        "banking77",
        {"text": as_text(rows["text"])},
        np.array(rows["label"], np.int64),
        class_names(rows["label"], rows["label_name"]),
        where_test(np.array(rows["split"]) == "test"),
    )


def _reviews(task: str) -> tuple[dict[str, list[Any]], dict[str, list[str]], Array]:
    """Return the columns of the reviews, the names of coded columns, and title and review as one text."""
    columns = (
        "title",
        "text",
        "age",
        "positive_feedback",
        "division",
        "department",
        "clothing_class",
        "recommended",
        "split",
    )
    holds = f"columns {', '.join(columns)}"
    file = set_file(task, "womens_reviews", "womens_reviews.parquet", holds)
    coded = set_file(
        task, "womens_reviews", "names.json", "the names of division, department and clothing_class"
    )
    rows = _columns(file, columns)
    try:
        names = {
            key: [str(name) for name in value] for key, value in json.loads(coded.read_text("utf-8")).items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{coded} must be a JSON object of lists of names: {error}.") from error
    for key in ("division", "department", "clothing_class"):
        if key not in names or not 0 <= min(rows[key]) <= max(rows[key]) < len(names[key]):
            raise InputError(
                f"{coded} must name every value of the column {key!r} of {file.name}; it does not."
            )
    text = [
        f"{title}. {text}" if title else text for title, text in zip(rows["title"], rows["text"], strict=True)
    ]
    return rows, names, as_text(text)


def _womens_reviews() -> Samples:
    rows, names, text = _reviews("womens-reviews")
    part = where_test(np.array(rows["split"]) == "test")
    # rating is left out: it nearly gives the answer away
    numbers = np.stack(
        [np.array(rows["age"], float), np.log1p(np.array(rows["positive_feedback"], float))], axis=1
    )
    coded = [np.eye(len(names[key]))[rows[key]] for key in ("division", "department", "clothing_class")]
    table = standardise(np.concatenate([numbers, *coded], axis=1), part != TEST)
    y = np.array(rows["recommended"], np.int64)
    return Samples(
        "womens-reviews", {"text": text, "table": table}, y, ("not recommended", "recommended"), part
    )


def _womens_departments() -> Samples:
    rows, names, text = _reviews("womens-departments")
    y = np.array(rows["department"], np.int64)
    part = where_test(np.array(rows["split"]) == "test")
    return Samples("womens-departments", {"text": text}, y, tuple(names["department"]), part)


mfeat = Builder(
    _mfeat,
    'Handwritten digits as six tables of features, float32, standardised: "pix" 240, "fou" 76, "fac" 216, "zer" 47, '
    '"kar" 64, "mor" 6.',
)
banking77 = Builder(_banking77, 'Requests to a bank, 77 intents: "text".')
womens_reviews = Builder(
    _womens_reviews,
    'Reviews of clothes, recommended or not: "text" (title and review), "table" float32 (n, 31).',
)
womens_departments = Builder(_womens_departments, 'The same reviews, of which of six departments: "text".')
