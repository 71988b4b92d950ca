"""What methods and settings are called in a report: by the cases of a protocol, or else by what tells them apart."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from labelwise.bench.axes import METHOD
from labelwise.bench.classifiers import TRAINED
from labelwise.bench.results import Run
from labelwise.errors import InputError
from labelwise.strategies import make
from labelwise.strategies.cheating import cheats

REFERENCE = "random"
# What others are compared with, the first that there is: random picks, plain training.
REFERENCES = (REFERENCE, "erm")
CHEATS = "cheats: knows the pool's labels"  # marks a strategy in every table; no verdict rests on such a one

Cases = Mapping[str, Mapping[str, str]]  # run id -> axis -> case


def noted_cases(runs: Sequence[Run]) -> Cases:
    """Return the cases that runs were opened with; a file may come from a stranger, and what is no such table is left out."""
    found: dict[str, Mapping[str, str]] = {}
    for run in runs:
        noted = run.state.opened.notes.get("cases") if run.state.opened is not None else None
        if isinstance(noted, Mapping) and noted and all(isinstance(case, str) for case in noted.values()):
            found[run.id] = noted
    return found


def strategy_label(spec: Mapping[str, Any]) -> str:
    """Return how a strategy is called: its name, its parameters if it has any, and whether it cheats."""
    named = dict(spec["strategy"])
    name = str(named.pop("name"))
    inside = [", ".join(f"{key} {_short(value)}" for key, value in sorted(named.items()))]
    if _cheats(spec["strategy"]):
        inside.append(CHEATS)
    return f"{name} ({words})" if (words := "; ".join(filter(None, inside))) else name


def _cheats(named: Mapping[str, Any]) -> bool:
    try:
        return cheats(make(**named))
    except InputError:  # a run of another version, whose strategy or parameters this one does not know
        return False


def method_labels(runs: Sequence[Run], cases: Cases) -> list[str]:
    """Return what the strategy of each run of a setting is called: its case, or else its name and parameters.

    Random is random whatever its case is called, unless cases pick alike and train differently. Where one case holds
    several strategies, or a case is called like another strategy, both are said: no two strategies share a name.
    """
    plain = [strategy_label(run.spec) for run in runs]
    named = [cases.get(run.id, {}).get(METHOD) for run in runs]
    trained = {
        json.dumps({key: run.spec["recipe"].get(key) for key in TRAINED}, sort_keys=True)
        for run, label in zip(runs, plain, strict=True)
        if label == REFERENCE
    }
    held: dict[str, set[str]] = {}
    for run, case in zip(runs, named, strict=True):
        held.setdefault(case or "", set()).add(json.dumps(run.spec["strategy"], sort_keys=True))
    made = []
    for label, case in zip(plain, named, strict=True):
        if case is None or (label == REFERENCE and len(trained) == 1):
            made.append(label)
        elif len(held[case]) > 1:
            made.append(f"{case}: {label}")
        else:
            made.append(f"{case} ({CHEATS})" if CHEATS in label else case)
    meant: dict[str, set[str]] = {}
    for name, label in zip(made, plain, strict=True):
        meant.setdefault(name, set()).add(label)
    return [
        f"{case}: {label}" if case is not None and name == case != label and len(meant[name]) > 1 else name
        for name, label, case in zip(made, plain, named, strict=True)
    ]


def setting_titles(
    settings: Sequence[Sequence[Run]], shared: Sequence[Mapping[str, Any]], cases: Cases
) -> list[str]:
    """Return what each setting is called: its cases but for the method; else its task and what tells it apart."""
    plain = titles(shared)
    named = []
    for members, title in zip(settings, plain, strict=True):
        kinds = {
            ", ".join(case for axis, case in cases.get(run.id, {}).items() if axis != METHOD)
            for run in members
        }
        named.append(kinds.pop() if len(kinds) == 1 and "" not in kinds else title)
    often = Counter(named)
    return [
        name if often[name] == 1 or name == title else f"{name}: {title}"
        for name, title in zip(named, plain, strict=True)
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as dotted keys, e.g. {"plan": {"batch": 20}} as {"plan.batch": 20}."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value
    return out


def titles(shared: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each setting its task and what tells it from the others, e.g. "mnist, batch 32"."""
    tables = [flat(values) for values in shared]
    seen = Counter(key for table in tables for key in table)
    varying = sorted(
        key
        for key in seen
        if key != "task.name" and (seen[key] < len(tables) or len({str(table[key]) for table in tables}) > 1)
    )
    made = []
    for table in tables:
        parts = [
            f"{key.rpartition('.')[2]} {_short(table[key])}" for key in varying if table.get(key) is not None
        ]
        made.append(", ".join([str(table.get("task.name", "task")), *parts]))
    return made


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return "/".join(_short(v) for v in value[:6]) + ("/…" if len(value) > 6 else "")
    return str(value)
