"""What a paper printed, read from a protocol: numbers to look at beside our own, never to reckon with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from labelwise.bench.axes import METHOD, SET
from labelwise.errors import InputError, did_you_mean

MEASURES = ("AUBC", "F-acc")  # mean accuracy along the curve; accuracy with the last label
_KEYS = ("source", "measures", "note", "numbers", "half_widths")
_VARIED = ("plan.seed", "strategy.name")  # what a grid may vary beside them

Numbers = Mapping[str, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True)
class Paper:
    """One table of a paper.

    Attributes:
        source: where it stands, e.g. "BRAL-T, table 1".
        measures: what each number of a cell is, of `MEASURES`.
        numbers: set -> method -> one number a measure.
        half_widths: likewise, half an interval each; of some cells or none.
        note: what the paper did, e.g. its network and sizes.
    """

    source: str
    measures: tuple[str, ...]
    numbers: Numbers
    half_widths: Numbers = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Printed:
    """A paper's table, and which of our runs belong to which of its cells.

    Attributes:
        paper: the table.
        runs: run id -> (set, method).
        scale: at which these runs were made; at "full" data and sizes are the paper's.
    """

    paper: Paper
    runs: Mapping[str, tuple[str, str]]
    scale: str


def read_paper(
    table: Any,
    axes: Mapping[str, Collection[str]],
    grid: Collection[str],
    strategies: Collection[str],
    where: str,
) -> Paper:
    """Return the `[paper]` of a protocol.

    Its tables are `[paper.numbers.SET]` and, if the paper has them, `[paper.half_widths.SET]`, with one list of
    numbers for each method. Sets and methods are cases of the axes of these names, at whatever scale; without the axis
    `set` there is one set, called as one likes, without the axis `method` methods are strategies.

    Args:
        table: what the file holds under `paper`.
        axes: axis -> cases, of all scales together.
        grid: what the grid varies.
        strategies: names of the strategies in the file.
        where: the file, for messages.

    Raises:
        InputError: a key, set, method or measure is unknown, a number is none, or something else varies, so that
            several of our runs would belong to one cell.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: paper must be a table; it is {table!r}.")
    for key in table:
        if key not in _KEYS:
            raise InputError(f"{where}: paper.{key} is unknown. {did_you_mean(key, _KEYS)}")
    for key in ("source", "measures", "numbers"):
        if key not in table:
            raise InputError(f"{where}: paper.{key} is missing.")
    others = [
        *(axis for axis in axes if axis not in (SET, METHOD)),
        *(key for key in grid if key not in _VARIED),
    ]
    if others:
        raise InputError(
            f"{where}: {others[0]} varies, too, so several runs would belong to one cell of the paper's table; such a "
            f"table needs the axes {SET} and {METHOD} alone."
        )
    for key in ("source", "note"):
        if not isinstance(table.get(key, ""), str):
            raise InputError(f"{where}: paper.{key} must be a text; it is {table[key]!r}.")
    measures = table["measures"]
    if not isinstance(measures, list) or not measures:
        raise InputError(f"{where}: paper.measures must be a list of names; it is {measures!r}.")
    for name in measures:
        if name not in MEASURES:
            raise InputError(
                f"{where}: paper.measures: {name!r} is unknown. {did_you_mean(str(name), MEASURES)}"
            )
    sets, methods = axes.get(SET), axes.get(METHOD, strategies)
    read = {
        key: _numbers(table.get(key, {}), f"{where}: paper.{key}", len(measures), sets, methods)
        for key in ("numbers", "half_widths")
    }
    if sets is None and len(read["numbers"]) != 1:
        raise InputError(
            f"{where}: paper.numbers must hold one set, for there is no axis {SET!r}; it holds {len(read['numbers'])}."
        )
    return Paper(
        table["source"], tuple(measures), read["numbers"], read["half_widths"], table.get("note", "")
    )


def _numbers(
    table: Any, where: str, count: int, sets: Collection[str] | None, methods: Collection[str]
) -> dict[str, dict[str, tuple[float, ...]]]:
    made: dict[str, dict[str, tuple[float, ...]]] = {}
    if not isinstance(table, Mapping):
        raise InputError(f"{where} must be a table of sets; it is {table!r}.")
    for name, rows in table.items():
        if sets is not None and name not in sets:
            raise InputError(f"{where}.{name} is no case of the axis {SET!r}. {did_you_mean(name, sets)}")
        if not isinstance(rows, Mapping):
            raise InputError(f"{where}.{name} must be a table of methods; it is {rows!r}.")
        for method, values in rows.items():
            if method not in methods:
                raise InputError(
                    f"{where}.{name}.{method} is no method here. {did_you_mean(method, methods)}"
                )
            right = isinstance(values, list) and len(values) == count
            if not right or not all(type(v) in (int, float) and isfinite(v) for v in values):
                raise InputError(
                    f"{where}.{name}.{method} must be a list of {count} numbers, one for each of paper.measures; it is "
                    f"{values!r}."
                )
            made.setdefault(name, {})[method] = tuple(float(v) for v in values)
    return made


def cell_of(paper: Paper, cases: Mapping[str, str], strategy: str) -> tuple[str, str]:
    """Return the (set, method) of a run, from its cases and the name of its strategy."""
    return cases.get(SET) or next(iter(paper.numbers)), cases.get(METHOD) or strategy
