"""The labels of a project as a table: what stands, or every answer, and what the model says of the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from labelwise.checks import check_name
from labelwise.errors import InputError
from labelwise.events import Answered, Asked, State, replay
from labelwise.project.disk import whole_file
from labelwise.project.folder import Progress, Project
from labelwise.project.sheet import write_rows

FORMATS = ("csv", "jsonl", "parquet")
# endings that promise another format: CSV in such a file would open nowhere
_PROMISES = frozenset(["xlsx", "xls", "ods", "json", "feather", "html", "zip", "gz"])
_NUMBERS = {"id": "int64", "round": "int64", "confidence": "float64"}


@dataclass(frozen=True)
class Table:
    """Rows to write: column -> value, None where there is none."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


def table(
    project: Project,
    *,
    all_answers: bool = False,
    predictions: bool = False,
    progress: Progress | None = None,
) -> Table:
    """Return the labels of a project.

    Args:
        project: whose.
        all_answers: every answer in the order of telling, passes and corrected ones included; the column
            stands says whether it is the one that counts.
        predictions: also the samples without a label, with the top class and confidence of a model fitted on
            all answers so far: the one that the next ask would fit, whenever and however often this is
            called.
        progress: told (what, done, total) while that model is fitted and asked.

    Raises:
        InputError: predictions are wanted and there is no label to learn from.
    """
    with project.store(readonly=True) as store:
        events = store.read()
    state = replay(events)
    names, keys = project.settings.classes, project.items.keys
    asked_in = {i: event.round for event in events if isinstance(event, Asked) for i in event.ids}

    def row(answer: Answered) -> dict[str, Any]:
        return {
            "id": answer.id,
            "file": keys[answer.id],
            "label": "pass" if answer.label is None else names[answer.label],
            "annotator": answer.annotator or None,
            "round": asked_in[answer.id],
            "at": answer.at,
        }

    columns: tuple[str, ...] = ("id", "file", "label", "annotator", "round", "at")
    if all_answers:
        columns += ("stands",)
        rows = [
            {**row(event), "stands": "yes" if state.answers[event.id] is event else "no"}
            for event in events
            if isinstance(event, Answered)
        ]
    else:
        rows = [row(answer) for _, answer in sorted(state.answers.items()) if answer.label is not None]
    if predictions:
        columns += ("prediction", "confidence")
        rows += _predicted(project, state, progress)
    return Table(columns, tuple(rows))


def _predicted(project: Project, state: State, progress: Progress | None) -> list[dict[str, Any]]:
    pool = project.items.ids("pool")
    ids = pool[~np.isin(pool, np.fromiter(state.labels, np.int64, len(state.labels)))]
    if not ids.size:
        return []
    with project.campaign(progress) as campaign:
        predictor = campaign.fit(state)
        tell = None if progress is None else lambda done, total: progress("predict", done, total)
        probs = predictor.infer(campaign.task.data, ids, frozenset({"probs"}), tell).need("probs")
    top = probs.argmax(axis=1)
    return [
        {
            "id": i,
            "file": project.items.keys[i],
            "prediction": project.settings.classes[k],
            "confidence": round(float(probs[place, k]), 4),
        }
        for place, (i, k) in enumerate(zip(ids.tolist(), top.tolist(), strict=True))
    ]


def format_of(path: Path | None, wanted: str | None) -> str:
    """Return the format to write: the wanted one, else that of the file's ending, else csv.

    Raises:
        InputError: there is no such format, the ending promises another one, or Parquet is to go to standard output.
    """
    ending = path.suffix.lower().lstrip(".") if path is not None else ""
    if wanted is None and ending in _PROMISES:
        raise InputError(
            f"{path} would be no {ending}: this writes csv, jsonl or parquet. Name it .csv, which any spreadsheet opens."
        )
    chosen = wanted or (ending if ending in FORMATS else "csv")
    check_name(chosen, FORMATS, "format")
    if chosen == "parquet" and path is None:
        raise InputError("Parquet is no text; name a file with -o.")
    return chosen


def write(made: Table, path: Path, format: str) -> None:
    """Write the table to a file, whole or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    if format == "parquet":
        import pyarrow
        import pyarrow.parquet

        arrays = [
            pyarrow.array([row.get(c) for row in made.rows], getattr(pyarrow, _NUMBERS.get(c, "string"))())
            for c in made.columns
        ]
        with whole_file(path, "wb") as file:
            pyarrow.parquet.write_table(pyarrow.table(arrays, names=list(made.columns)), file)
        return
    with whole_file(path) as file:
        write_text(made, file, format)


def write_text(made: Table, file: IO[str], format: str) -> None:
    """Write the table as CSV (formulas defused) or as one JSON object a line (texts as they are)."""
    if format == "csv":
        write_rows(file, made.columns, made.rows)
        return
    for row in made.rows:
        file.write(json.dumps(_whole(row, made.columns), ensure_ascii=False) + "\n")


def _whole(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return {column: row.get(column) for column in columns}
