"""The runs that one file describes, as plain values: axes of named cases, exceptions, a grid of lists, and scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any

from labelwise.checks import check_name
from labelwise.errors import InputError, did_you_mean

MINI = "mini"  # the scale of a file as it stands
SET, METHOD = "set", "method"  # axes that a paper's table has, too


@dataclass(frozen=True)
class Combination:
    """One run: which case it is on each axis, and the tables of its spec."""

    cases: Mapping[str, str]
    values: Mapping[str, Any]

    @property
    def words(self) -> str:
        """How a message names this run among the others."""
        return "".join(f", {axis} {case}" for axis, case in self.cases.items())

    def is_called(self, kind: str, name: str) -> bool:
        """Return True if the run is this case, or has this strategy or task."""
        if kind in self.cases:
            return self.cases[kind] == name
        return _name(self.values, kind) == name


@dataclass(frozen=True)
class _Exception:
    """What to set, and which lists of the grid to take, only where some cases meet."""

    cases: Mapping[str, frozenset[str]]
    changes: Mapping[str, Any]
    grid: Mapping[str, list[Any]]

    def holds(self, cases: Mapping[str, str]) -> bool:
        return all(cases[axis] in among for axis, among in self.cases.items())


def combinations(
    content: Mapping[str, Any], axes: Any, whens: Any, grid: Any, scales: Any, scale: str | None, where: str
) -> tuple[Combination, ...]:
    """Return every run: one case of each axis, times the grid.

    Later settings win over earlier ones: the file's tables, the cases in the order of their axes, the exceptions,
    the grid, the scale. Only where a scale sets a whole table do the grid's keys inside it win.

    Args:
        content: the tables of a spec.
        axes: axis -> case -> dotted keys (`"plan.start"`) or whole tables (`task`, which then replaces the file's).
        whens: exceptions: tables of axis -> case or list of cases, and for where all of them hold `change`: what to
            set, or `grid`: lists in the place of the grid's.
        grid: dotted key (or whole table) -> list of values.
        scales: scale -> dotted keys, which replace values or the grid's list of that name; `axis`, whose axes
            replace those of the same name; and `when`, which is added to the file's.
        scale: which one; None or "mini": none of them, unless the file itself has a "mini".
        where: the file, for messages.

    Raises:
        InputError: a table is none, a list is none or empty, or there is no such scale or axis.
    """
    grid = dict(_table(grid, "grid", where))
    axes = dict(_table(axes, "axis", where))
    for key, table in _table(scales, "scale", where).items():
        _table(table, f"scale.{key}", where)
    if scale is not None and scale not in scales and scale != MINI:
        raise InputError(f"{where} has no scale {scale!r}. {did_you_mean(scale, [MINI, *scales])}")
    known = cases_of(axes, scales)
    exceptions = _exceptions(whens, known, "when", where)
    for key, table in scales.items():
        more = _exceptions(table.get("when", []), known, f"scale.{key}.when", where)
        exceptions += more if key == (scale or MINI) else []
    changes = dict(scales.get(scale or MINI, {}))
    changes.pop("when", None)
    for axis, cases in _table(changes.pop("axis", {}), f"scale.{scale}.axis", where).items():
        if axis not in axes:
            raise InputError(f"{where}: scale.{scale}.axis.{axis} is unknown. {did_you_mean(axis, axes)}")
        axes[axis] = cases
    for axis, cases in axes.items():
        if not _table(cases, f"axis.{axis}", where):
            raise InputError(f"{where}: axis.{axis} must have at least one case.")
        for case, keys in cases.items():
            _table(keys, f"axis.{axis}.{case}", where)
    for key in changes:
        if key.startswith("axis."):
            raise InputError(
                f"{where}: scale.{scale} sets {key!r}; a scale replaces whole axes: write [scale.{scale}.{key}]."
            )
    of_scale = {key: changes.pop(key) for key in tuple(changes) if key in grid}
    _check_lists(grid | of_scale, "grid", where)
    for one in exceptions:
        for key in one.grid:
            if key not in grid:
                raise InputError(
                    f"{where}: when.grid.{key} is no list of the grid. {did_you_mean(key, grid)}"
                )
    outer = [key for key in changes if any(inner.startswith(f"{key}.") for inner in grid)]
    made = []
    for named in product(*(cases.items() for cases in axes.values())):
        cases = {axis: case for axis, (case, _) in zip(axes, named, strict=True)}
        holding = [one for one in exceptions if one.holds(cases)]
        lists = grid
        for one in holding:
            lists = lists | one.grid
        lists = lists | of_scale
        for chosen in product(*lists.values()):
            values = deepcopy(dict(content))
            for _, keys in named:
                _put_all(values, keys, where)
            for one in holding:
                _put_all(values, one.changes, where)
            _put_all(values, {key: changes[key] for key in outer}, where)
            _put_all(values, dict(zip(lists, chosen, strict=True)), where)
            _put_all(values, {key: changes[key] for key in changes if key not in outer}, where)
            made.append(Combination(cases, values))
    return tuple(made)


def chosen(runs: Sequence[Combination], names: Iterable[str]) -> tuple[Combination, ...]:
    """Return the runs that some names mean; several names of one axis are alternatives, axes are combined.

    Args:
        runs: all of them.
        names: cases, or `axis=case` where axes share a name; else strategies, else tasks.

    Raises:
        UnknownName: nothing has this name; the message lists the names there are.
        InputError: a name could mean two things.
    """
    wanted: dict[str, set[str]] = {}
    known = names_of(runs)
    for name in names:
        kind, mark, rest = name.partition("=")
        if mark and rest in known.get(kind, ()):
            wanted.setdefault(kind, set()).add(rest)
            continue
        kinds = [kind for kind, there in known.items() if name in there]
        check_name(name, [one for there in known.values() for one in there], "case, strategy or task")
        if len(kinds) > 1:
            ways = " or ".join(f"{kind}={name}" for kind in kinds)
            raise InputError(f"{name!r} is a case of {' and of '.join(kinds)}: write {ways}.")
        wanted.setdefault(kinds[0], set()).add(name)
    return tuple(
        run
        for run in runs
        if all(any(run.is_called(kind, name) for name in among) for kind, among in wanted.items())
    )


def cases_of(axes: Mapping[str, Any], scales: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return axis -> names of its cases, at whatever scale; what is no table has none."""
    found: dict[str, dict[str, None]] = {axis: {} for axis in axes}
    for there in (axes, *(changes.get("axis", {}) for changes in scales.values())):
        for axis, cases in there.items() if isinstance(there, Mapping) else ():
            if axis in found and isinstance(cases, Mapping):
                found[axis] |= dict.fromkeys(cases)
    return {axis: list(cases) for axis, cases in found.items()}


def _exceptions(value: Any, known: Mapping[str, Sequence[str]], key: str, where: str) -> list[_Exception]:
    if not isinstance(value, list):
        raise InputError(f"{where}: {key} must be a list of tables, [[{key}]]; it is {value!r}.")
    found = []
    for table in value:
        conditions = dict(_table(table, key, where))
        changes = _table(conditions.pop("change", {}), f"{key}.change", where)
        lists = _table(conditions.pop("grid", {}), f"{key}.grid", where)
        _check_lists(lists, f"{key}.grid", where)
        if not (changes or lists) or not conditions:
            raise InputError(
                f"{where}: {key} must name cases of an axis and what to `change`, or lists of the `grid`; "
                f"it is {table!r}."
            )
        cases = {}
        for axis, names in conditions.items():
            if axis not in known:
                raise InputError(f"{where}: {key}.{axis} is no axis. {did_you_mean(axis, known)}")
            among = names if isinstance(names, list) else [names]
            for name in among:
                if name not in known[axis]:
                    raise InputError(
                        f"{where}: {key}.{axis}: there is no case {name!r}. {did_you_mean(str(name), known[axis])}"
                    )
            cases[axis] = frozenset(among)
        found.append(_Exception(cases, changes, lists))
    return found


def _check_lists(lists: Mapping[str, Any], key: str, where: str) -> None:
    for name, choices in lists.items():
        if not isinstance(choices, list) or not choices:
            raise InputError(
                f"{where}: {key}.{name} must be a list with at least one value; it is {choices!r}."
            )


def names_of(runs: Sequence[Combination]) -> dict[str, list[str]]:
    """Return axis -> names of its cases; and "strategy" and "task" -> those names that no case has."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for axis, case in run.cases.items():
            if case not in found.setdefault(axis, []):
                found[axis].append(case)
    taken = {name for there in found.values() for name in there}
    for kind in ("strategy", "task"):
        if kind not in found:
            names = dict.fromkeys(_name(run.values, kind) for run in runs)
            found[kind] = [name for name in names if name and name not in taken]
            taken.update(found[kind])
    return found


def _name(values: Mapping[str, Any], kind: str) -> str:
    table = values.get(kind)
    return str(table.get("name", "")) if isinstance(table, Mapping) else ""


def _table(value: Any, key: str, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: {key} must be a table; it is {value!r}.")
    return value


def _put_all(values: dict[str, Any], keys: Mapping[str, Any], where: str) -> None:
    for dotted, value in keys.items():
        *tables, last = dotted.split(".")
        into = values
        for table in tables:
            into = into.setdefault(table, {})
            if not isinstance(into, dict):
                raise InputError(f"{where}: {dotted} goes through {table}, which is no table.")
        into[last] = deepcopy(value)
