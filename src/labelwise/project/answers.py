"""A file of labels judged row by row: what may be recorded, what is known, what is refused, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labelwise.errors import InputError, did_you_mean
from labelwise.events import State
from labelwise.oracle import Answer
from labelwise.project.sheet import Line

# What a person writes for "I cannot say"; no class may be called so.
PASSES = ("pass", "?")
_WHOLE = re.compile(r"[+-]?\d+(?:\.0+)?")  # spreadsheets and pandas like to turn 17 into 17.0


@dataclass(frozen=True)
class RefusedRow:
    """A row that was not recorded: where it stands, what it said, and why not."""

    line: int
    id: str
    label: str
    why: str


@dataclass(frozen=True)
class Judged:
    """A file after judging.

    Attributes:
        good: (line, answer) that may be recorded.
        refused: rows that may not, with the reason.
        known: answers that the store holds already, word for word: telling a file twice is harmless.
        skipped: rows with an id and no label: not answered yet.
    """

    good: tuple[tuple[int, Answer], ...]
    refused: tuple[RefusedRow, ...]
    known: int
    skipped: int


@dataclass(frozen=True)
class Classes:
    """The names of the classes, and what a person may write for one: its name, in any case, or its number."""

    names: tuple[str, ...]
    _exact: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _folded: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        folded: dict[str, int] = {}
        for index, name in enumerate(self.names):
            # Two names that differ only in case must be written exactly: -1 is no class.
            folded[name.casefold()] = -1 if name.casefold() in folded else index
        object.__setattr__(self, "_exact", {name: index for index, name in enumerate(self.names)})
        object.__setattr__(self, "_folded", folded)

    @property
    def numbered(self) -> bool:
        """True if a number may stand for a class: only where no class is itself called by a number."""
        return not any(_WHOLE.fullmatch(name) for name in self.names)

    def read(self, cell: str) -> int | None:
        """Return the class index of a cell; None for a pass.

        Raises:
            InputError: it is no class; the message proposes the nearest.
        """
        if cell in self._exact:
            return self._exact[cell]
        if cell.casefold() in PASSES:
            return None
        index = self._folded.get(cell.casefold(), -1)
        if index >= 0:
            return index
        if _WHOLE.fullmatch(cell):
            number = str(int(float(cell)))
            if number in self._exact:  # a class called 3, written 3.0
                return self._exact[number]
            if self.numbered and 0 <= int(number) < len(self.names):
                return int(number)
        tail = did_you_mean(cell, self.names) if len(self.names) <= 20 else _nearest(cell, self.names)
        raise InputError(f"{cell!r} is no class. {tail}")


def _nearest(cell: str, names: Sequence[str]) -> str:
    hint, _, _ = did_you_mean(cell, names).partition("Known: ")
    return f"{hint}The project has {len(names)} classes."


def check_class_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, stripped, or raise.

    Raises:
        InputError: fewer than two, an empty one, one twice, or one that means a pass.
    """
    stripped = tuple(name.strip() for name in names)
    for name in stripped:
        if not name:
            raise InputError("A class must have a name; one of those given is empty.")
        if stripped.count(name) > 1:
            raise InputError(f"Class names must be distinct; {name!r} is given {stripped.count(name)} times.")
        if name.casefold() in PASSES:
            raise InputError(f"No class may be called {name!r}: in a file of labels it means 'I cannot say'.")
    if len(stripped) < 2:
        raise InputError(f"A project needs at least two classes; got {list(stripped)}.")
    return stripped


def judge(
    lines: Sequence[Line],
    state: State,
    classes: Classes,
    samples: int,
    *,
    annotator: str = "",
    correct: bool = False,
) -> Judged:
    """Return what of a file may be recorded. Pure: nothing is written.

    Rows of one file that contradict each other about a sample are refused, all of them: which one is meant
    cannot be known. A row that repeats an earlier one of the same file is refused as a duplicate.

    Args:
        lines: the rows; columns id and label, and perhaps annotator and seconds.
        state: what the campaign knows now.
        classes: the project's classes.
        samples: how many samples the project has.
        annotator: the name for rows that carry none.
        correct: an answer that differs from the recorded one replaces it.
    """
    said: dict[int, list[tuple[int, int | None]]] = {}
    parsed: list[tuple[Line, Answer]] = []
    refused: list[RefusedRow] = []
    known = skipped = 0

    def refuse(line: Line, why: str) -> None:
        refused.append(RefusedRow(line.number, line.cells.get("id", ""), line.cells.get("label", ""), why))

    for line in lines:
        cell = line.cells.get("label", "")
        if not cell and not line.extra:
            skipped += 1
            continue
        try:
            answer = _parse(line, classes, samples, annotator)
        except InputError as error:
            refuse(line, str(error))
            continue
        said.setdefault(answer.id, []).append((line.number, answer.label))
        parsed.append((line, answer))
    open_ids = set(state.open_ids)
    good: list[tuple[int, Answer]] = []
    for line, answer in parsed:
        others = said[answer.id]
        first = others[0][0]
        earlier = state.answers.get(answer.id)
        if len({label for _, label in others}) > 1:
            words = " and ".join(
                f"line {number} says {_name(label, classes)}" for number, label in others[:3]
            )
            refuse(
                line, f"The file contradicts itself about sample {answer.id}: {words}. Keep the right one."
            )
        elif first != line.number:
            refuse(line, f"Sample {answer.id} was already answered on line {first} of this file.")
        elif earlier is not None and earlier.label == answer.label:
            known += 1
        elif earlier is not None and not correct:
            by = f" by {earlier.annotator}" if earlier.annotator else ""
            refuse(
                line,
                f"Sample {answer.id} was already told as {_name(earlier.label, classes)}{by}; "
                "tell the file with --correct to change it.",
            )
        elif earlier is None and answer.id not in open_ids:
            refuse(line, f"Sample {answer.id} was never asked for.")
        else:
            good.append((line.number, answer))
    return Judged(tuple(good), tuple(sorted(refused, key=lambda row: row.line)), known, skipped)


def _parse(line: Line, classes: Classes, samples: int, annotator: str) -> Answer:
    if line.extra:
        raise InputError(
            f"The row holds {line.extra} more cells than the header; is a text with a comma unquoted?"
        )
    cell = line.cells.get("id", "")
    if not cell:
        raise InputError("The row has a label and no id.")
    # float() of a very long number is inf; ids are short.
    if not _WHOLE.fullmatch(cell) or len(cell) > 15 or not 0 <= int(float(cell)) < samples:
        raise InputError(f"No sample has the id {cell!r}; ids run from 0 to {samples - 1}.")
    label = classes.read(line.cells.get("label", ""))
    seconds = line.cells.get("seconds", "")
    return Answer(
        int(float(cell)),
        label,
        line.cells.get("annotator", "") or annotator,
        float(seconds) if re.fullmatch(r"\d{1,9}(?:\.\d+)?", seconds) else None,
    )


def _name(label: int | None, classes: Classes) -> str:
    return "a pass" if label is None else repr(classes.names[label])
