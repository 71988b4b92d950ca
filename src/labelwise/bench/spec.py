"""What a benchmark run is: a spec from TOML, checked word by word, and the grid of specs that one file describes."""

from __future__ import annotations

import hashlib
import inspect
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from labelwise.bench.axes import MINI, Combination, cases_of, chosen, combinations
from labelwise.bench.paper import Paper, Printed, cell_of, read_paper
from labelwise.checks import check_name
from labelwise.data import TABLE as TASKS
from labelwise.errors import InputError, did_you_mean
from labelwise.events import Plan
from labelwise.models import TABLE as RECIPES
from labelwise.strategies import TABLE as STRATEGIES
from labelwise.strategies import make

_INT_BITS = 64  # of a number in a spec


class Named(BaseModel):
    """A row of a table and its parameters: `name = "mnist"`, `classes = [0, 1]`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def params(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class Oracle(BaseModel):
    """Who answers: rates of wrong answers and of passes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    noise: float = Field(default=0.0, ge=0, le=1)
    passes: float = Field(default=0.0, ge=0, le=1)


class Spec(BaseModel):
    """One run, complete: the same spec gives the same picks on one machine.

    Attributes:
        task: name and parameters of the task.
        recipe: name and fields of the recipe (thread count included).
        strategy: name and parameters of the strategy.
        plan: seed, start, batch, budget, candidates, cold, audit.
        oracle: noise and passes of the simulated annotator.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    task: Named
    recipe: Named
    strategy: Named = Named(name="random")
    plan: Plan = Plan()
    oracle: Oracle = Oracle()

    @field_validator("plan", mode="before")
    @classmethod
    def _plan(cls, value: Any) -> Any:
        return Plan.of(value) if isinstance(value, Mapping) else value

    @field_validator("task", "recipe", "strategy")
    @classmethod
    def _known(cls, named: Named, info: Any) -> Named:
        what = info.field_name
        places: dict[str, Mapping[str, Any]] = {"task": TASKS, "recipe": RECIPES, "strategy": STRATEGIES}
        check_name(named.name, tuple(places[what]), what)
        place = places[what][named.name]
        module, _, attribute = (place if isinstance(place, str) else place[0]).partition(":")
        parameters = inspect.signature(getattr(import_module(module), attribute)).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return named
        for key in named.params:
            if key not in parameters:
                raise InputError(
                    f"{what}.{key} is unknown for {named.name!r}. {did_you_mean(key, parameters)}"
                )
        if what == "strategy":  # it may hold others: a misspelt one is found here, not when the run starts
            make(named.name, **named.params)
        return named

    def values(self) -> dict[str, Any]:
        """Return the spec as plain JSON values; `Spec.model_validate` takes them back."""
        return {
            "task": {"name": self.task.name, **self.task.params},
            "recipe": {"name": self.recipe.name, **self.recipe.params},
            "strategy": {"name": self.strategy.name, **self.strategy.params},
            "plan": self.plan.values(),
            "oracle": self.oracle.model_dump(),
        }

    @property
    def id(self) -> str:
        """sha256 of the canonical JSON, first 12 hex digits: the name of the run's file."""
        return id_of(self.values())


def id_of(values: Mapping[str, Any]) -> str:
    """Return the id of a spec in plain values, as a run's file has it."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Bench:
    """What one TOML file asks for.

    Attributes:
        name: shown in the report.
        about: a sentence or two, shown in the report.
        specs: every run, in the order of axes and grid.
        cases: for each spec its axis -> case; empty where the file has no axes.
        scale: the scale that was asked for.
        printed: what the paper printed, and which runs stand beside it; None where the file does not say.
    """

    name: str
    about: str
    specs: tuple[Spec, ...]
    cases: tuple[Mapping[str, str], ...] = ()
    scale: str = MINI
    printed: Printed | None = None

    def with_seeds(self, seeds: Iterable[int]) -> Bench:
        """Return the bench with the runs of these seeds alone.

        Raises:
            InputError: no run has one of them.
        """
        wanted = frozenset(seeds)
        cases = self.cases or ({},) * len(self.specs)
        kept = [pair for pair in zip(self.specs, cases, strict=True) if pair[0].plan.seed in wanted]
        if not kept:
            there = ", ".join(map(str, sorted({spec.plan.seed for spec in self.specs})))
            asked = ", ".join(map(str, sorted(wanted)))
            raise InputError(f"No run of {self.name} has the seed {asked}. Its seeds are {there}.")
        ids = {spec.id for spec, _ in kept}
        printed = self.printed and replace(
            self.printed, runs={key: cell for key, cell in self.printed.runs.items() if key in ids}
        )
        specs, named = zip(*kept, strict=True)
        return replace(self, specs=specs, cases=named, printed=printed)


@dataclass(frozen=True)
class File:
    """A TOML file of runs, read and checked; which of its runs are wanted is asked later.

    Attributes:
        name, about: of the bench.
        runs: every combination that it describes.
        specs: the spec of each.
        scale: at which it was read.
        paper: the table that a paper printed; None where the file has none.
    """

    name: str
    about: str
    runs: tuple[Combination, ...]
    specs: tuple[Spec, ...]
    scale: str
    paper: Paper | None


def read_spec(values: Mapping[str, Any], where: str = "the spec") -> Spec:
    """Return the spec in plain values.

    Raises:
        InputError: a key is unknown (with "did you mean") or a value breaks a rule; every complaint is listed.
    """
    _check_plain(values, "", where)
    try:
        return Spec.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                known = Oracle.model_fields if key.startswith("oracle.") else Spec.model_fields
                lines.append(f"{key} is unknown. {did_you_mean(str(item['loc'][-1]), known)}")
            elif item["type"] == "missing":
                lines.append(f"{key} is missing.")
            else:
                ours = item["type"] == "value_error"
                lines.append(item["msg"].removeprefix("Value error, ") if ours else f"{key}: {item['msg']}.")
        raise InputError(f"{where}: " + " ".join(lines)) from error


def _check_plain(value: Any, key: str, where: str) -> None:
    """Raise InputError unless a value can be written as JSON and read back equal, as a run's file needs it."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise InputError(f"{where}: the key {name!r} of {key or 'the spec'} must be a text.")
            _check_plain(inner, f"{key}.{name}".lstrip("."), where)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_plain(inner, key, where)
    elif isinstance(value, int) and value.bit_length() > _INT_BITS:
        raise InputError(f"{where}: {key} has {value.bit_length()} bits; numbers have up to {_INT_BITS}.")
    elif isinstance(value, float) and not isfinite(value):
        raise InputError(f"{where}: {key} is {value}; a spec holds finite numbers.")
    elif not (value is None or isinstance(value, bool | int | float | str | Plan | BaseModel)):
        raise InputError(
            f"{where}: {key} is {value!r}; a spec holds texts, numbers, true, false, lists and tables."
        )


def read_bench(path: Path, scale: str | None = None, only: Iterable[str] = ()) -> Bench:
    """Return the runs that a TOML file describes.

    The file holds the tables of one spec (`[task]`, `[recipe]`, `[strategy]`, `[plan]`, `[oracle]`) and what varies:

    - `[axis.NAME.CASE]`: dotted keys, e.g. `"plan.start" = 500`, or whole tables, e.g. `task = {name = "digits"}`, to set
      in the spec; a run is one case of each axis.
    - `[[when]]`: exceptions, e.g. `set = ["a", "b"]`, `method = "x"`, `change = {"strategy.lam" = 0.25}`, or
      `grid = {"plan.seed" = [0, 1]}`: lists in the place of the grid's.
    - `[grid]`: dotted keys with lists of values, e.g. `"strategy.name" = ["random", "margin"]`, `"plan.seed" = [0, 1, 2]`;
      a key may also name a whole table, with inline tables as values.
    - `[scale.NAME]`: dotted keys that replace values (or lists of the grid) when that scale is asked for, and
      `[scale.NAME.axis.AXIS.CASE]`, which replace whole axes, and `[[scale.NAME.when]]`, more exceptions.

    Every combination is one run. Cases win over the file's tables, later axes over earlier ones, exceptions over
    cases, the grid over these, and the keys of a scale over everything, so that a scale can cap the budget of all
    cases. `[paper]` holds numbers to look at beside ours: see `labelwise.bench.paper`.

    Args:
        path: the file.
        scale: one of its scales; None: "mini".
        only: names of cases (or strategies, or tasks) to keep; see `labelwise.bench.axes.chosen`.

    Raises:
        InputError: the file is missing, is no TOML, or holds an unknown key; or `only` names what there is not.
    """
    file = read_file(path, scale)
    unique = unique_runs([file], only, str(path))
    printed = None
    if file.paper is not None:
        table = file.paper
        cells = {key: cell_of(table, cases, spec.strategy.name) for key, (spec, cases) in unique.items()}
        printed = Printed(table, cells, file.scale)
    return Bench(
        file.name,
        file.about,
        tuple(spec for spec, _ in unique.values()),
        tuple(cases for _, cases in unique.values()),
        file.scale,
        printed,
    )


def unique_runs(
    files: Sequence[File], only: Iterable[str], where: str
) -> dict[str, tuple[Spec, Mapping[str, str]]]:
    """Return run id -> spec and cases of the runs that some names mean; a run that two cases or files share, once.

    Raises:
        InputError: a name is none, or no run has all of them.
    """
    specs = {id(run): spec for file in files for run, spec in zip(file.runs, file.specs, strict=True)}
    unique: dict[str, tuple[Spec, Mapping[str, str]]] = {}
    for run in chosen([run for file in files for run in file.runs], only):
        unique.setdefault(specs[id(run)].id, (specs[id(run)], run.cases))
    if not unique:
        raise InputError(f"{where}: no run is {' and '.join(only)} at once.")
    return unique


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises:
        InputError: it is missing, cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # TOML, text and digits that cannot be read are ValueErrors
        raise InputError(f"{path} is no valid TOML: {error}.") from error


def read_file(path: Path, scale: str | None = None) -> File:
    """Return every run that a TOML file describes, at one scale; see `read_bench`.

    Raises:
        InputError: the file is missing, is no TOML, or holds an unknown key or a wrong value.
    """
    content = read_toml(path)
    known = (*Spec.model_fields, "axis", "when", "grid", "scale", "paper", "name", "about")
    for key in content:
        if key not in known:
            raise InputError(f"{path}: {key} is unknown. {did_you_mean(key, known)}")
    where = str(path)
    scales, grid, axes = (content.pop(key, {}) for key in ("scale", "grid", "axis"))
    name, about = content.pop("name", path.stem), content.pop("about", "")
    for key, words in (("name", name), ("about", about)):
        if not isinstance(words, str):
            raise InputError(f"{path}: {key} must be a text; it is {words!r}.")
    paper = content.pop("paper", None)
    runs = combinations(content, axes, content.pop("when", []), grid, scales, scale, where)
    specs = tuple(read_spec(run.values, f"{where}{run.words}") for run in runs)
    printed = None
    if paper is not None:
        strategies = {spec.strategy.name for spec in specs}
        printed = read_paper(paper, cases_of(axes, scales), grid, strategies, where)
    return File(name, about, runs, specs, scale or MINI, printed)
