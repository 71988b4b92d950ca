"""The committed runs of the suite `core`, set by set, as comparisons that `labelwise.bench.compare` makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kept import held
from labelwise.bench.axes import combinations
from labelwise.bench.compare import compare
from labelwise.bench.findings import Setting
from labelwise.bench.names import REFERENCE
from labelwise.bench.protocols import find
from labelwise.bench.results import Run
from labelwise.bench.spec import id_of, read_toml
from labelwise.events import Fitted, Opened, Plan, State
from labelwise.strategies import TABLE, make
from labelwise.strategies.cheating import cheats
from record import RESULTS

# committed results and the protocol that they are of, in the order of the suite
PROTOCOLS = {
    "bralt-evidence": "bral-t/evidence", "multimodal-evidence": "rl-mba/evidence",
    "core-rest": "core/rest", "core-modalities": "core/modalities",
}  # fmt: skip
SCRIPTS = {"bral-t/evidence": "bralt_evidence", "rl-mba/evidence": "multimodal_evidence"}  # that ran them
SETS, FULL = "sets", "full-data"  # results: what the sets are; fits with every label
FULL_SEEDS = range(5)
ONCE = ("fit", "measure")  # phases of every round; the others come once a batch that was chosen


class Kept(Run):
    """A run of which only the curve is committed: all of these are finished."""

    @property
    def finished(self) -> bool:
        return True


@dataclass(frozen=True)
class Row:
    """A committed run beside its spec.

    Attributes:
        id: of the spec.
        spec: as plain values.
        set: its name.
        method: what the method is called: its strategy, or the case of the protocol where it is a variant of one.
        case: what its protocol calls it.
        protocol: the first of the suite that holds it.
        kept: what is committed of it.
    """

    id: str
    spec: Mapping[str, Any]
    set: str
    method: str
    case: str
    protocol: str
    kept: Mapping[str, Any]

    @property
    def strategy(self) -> str:
        return str(self.spec["strategy"]["name"])


@dataclass(frozen=True)
class Tested:
    """A set with everything that was run on it.

    Attributes:
        name: of the set.
        facts: of the set, from results/sets.json.
        shared: task, recipe and plan that all methods share, as random's spec has them.
        rows: every committed run.
        wanted: how many runs the suite asks for.
        variants: method -> the strategy of which it is a variant (an ablation).
        companions: method -> the recipe that it trains beside the set's classifier.
        setting: what the comparison says of the strategies, without variants and without those that know labels.
        aside: the same of random and the ones left out; None where there are none.
    """

    name: str
    facts: Mapping[str, Any]
    shared: Mapping[str, Any]
    rows: tuple[Row, ...]
    wanted: int
    variants: Mapping[str, str]
    companions: Mapping[str, str]
    setting: Setting
    aside: Setting | None


@cache
def specs() -> dict[str, tuple[dict[str, Any], dict[str, str], str]]:
    """Return run id -> spec in plain values, cases and protocol, of every run of the suite.

    Values are not checked one by one, which takes a minute: that a committed id is found is check enough.
    """
    found: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {}
    for protocol in PROTOCOLS.values():
        content = read_toml(find(protocol))
        axes, grid, scales = (content.pop(key, {}) for key in ("axis", "grid", "scale"))
        whens = content.pop("when", [])
        rest = {key: value for key, value in content.items() if key not in ("name", "about", "paper")}
        for run in combinations(rest, axes, whens, grid, scales, None, protocol):
            values = dict(run.values)
            values["plan"] = Plan(**values["plan"]).values()
            values.setdefault("oracle", {"noise": 0.0, "passes": 0.0})
            found.setdefault(id_of(values), (values, dict(run.cases), protocol))
    return found


@cache
def sets_of() -> dict[str, dict[str, int]]:
    """Return set -> protocol -> how many runs of the suite it holds first, in the order of the suite."""
    found: dict[str, dict[str, int]] = {}
    for _, cases, protocol in specs().values():
        counts = found.setdefault(cases["set"], {})
        counts[protocol] = counts.get(protocol, 0) + 1
    return found


def called(case: str, strategy: Mapping[str, Any]) -> str:
    """Return what a method is called: its strategy's name, or its case where it sets parameters of a strategy."""
    params = set(strategy) - {"name", "bank"}  # the bank of rl-mba is a file, no choice
    return case if params else str(strategy["name"])


def committed() -> tuple[list[Row], int]:
    """Return every committed run of the suite, and how many are of specs that the protocols no longer hold."""
    known, rows, lost = specs(), {}, 0
    for name in PROTOCOLS:
        for key, kept in held(name).items():
            if key not in known:
                lost += 1
                continue
            spec, cases, protocol = known[key]
            method = called(cases["method"], spec["strategy"])
            rows.setdefault(key, Row(key, spec, cases["set"], method, cases["method"], protocol, kept))
    return list(rows.values()), lost


def run_of(row: Row, facts: Mapping[str, Any], recipe: Mapping[str, Any]) -> Kept:
    """Return a run as a comparison reads it; seconds of a phase are spread evenly over the rounds that have it.

    Args:
        row: what is committed.
        facts: of its set: pool and sha256.
        recipe: the set's; it stands in for that of a companion, which trains the same classifier.
    """
    spec = {**row.spec, "recipe": recipe}
    labels, accuracy = row.kept["labels"], row.kept["accuracy"]
    fits, chosen = [], len(labels) - 1
    for k, (n, value) in enumerate(zip(labels, accuracy, strict=True)):
        seconds = {
            phase: spent / (len(labels) if phase in ONCE else chosen)
            for phase, spent in row.kept["seconds"].items()
            if phase in ONCE or k < chosen
        }
        fits.append(Fitted(k + 1, n, 0, {}, {"accuracy": value}, {}, seconds))
    task = {"pool": facts["pool"], "given": 0, "sha256": facts["sha256"]}
    opened = Opened(Plan(**row.spec["plan"]), {}, {}, task, {}, {"spec": spec})
    return Kept(row.id, spec, State(opened=opened, fits=tuple(fits)), Path(f"{row.id}.db"))


def compared(
    name: str, rows: Sequence[Row], facts: Mapping[str, Any], full: Iterable[Row], wanted: int
) -> Tested:
    """Return a set with its comparison.

    Variants and methods that know labels are compared with random apart from the strategies: no verdict, no correction
    for many comparisons and no full accuracy rests on them.

    Args:
        name: of the set.
        rows: its committed runs, random's among them.
        facts: of the set.
        full: fits with every label.
        wanted: how many runs the suite asks for.
    """
    first = next(row for row in rows if row.method == REFERENCE)
    recipe = first.spec["recipe"]
    variants = {row.method: row.strategy for row in rows if row.method != row.strategy}
    left_out = {row.method for row in rows if row.method in variants or knows_labels(row.method)}
    plan = {key: value for key, value in first.spec["plan"].items() if key != "seed"}
    beside = tuple(full)

    def setting(kept: Sequence[Row]) -> Setting:
        cases = {row.id: {"set": name, "method": row.method} for row in (*kept, *beside)}
        found = compare([run_of(row, facts, recipe) for row in (*kept, *beside)], cases).settings
        return next(one for one in found if one.shared["plan"] == plan)

    return Tested(
        name, facts, first.spec, tuple(rows), wanted, variants,
        {row.method: row.spec["recipe"]["name"] for row in rows if row.spec["recipe"]["name"] != recipe["name"]},
        setting([row for row in rows if row.method not in left_out]),
        setting([row for row in rows if row.method in {*left_out, REFERENCE}]) if left_out else None,
    )  # fmt: skip


@cache
def knows_labels(method: str) -> bool:
    """Return whether a method is a strategy that reads the pool's labels."""
    return method in TABLE and cheats(make(method))


def known_facts() -> dict[str, Any]:
    """Return set -> what it is, as committed."""
    return dict(json.loads((RESULTS / f"{SETS}.json").read_text())["sets"])


def full_specs() -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """Return run id -> spec and cases of a fit with every label, for each set and five seeds."""
    facts, found = known_facts(), {}
    for spec, cases, _ in specs().values():
        seed, name = spec["plan"]["seed"], cases["set"]
        if cases["method"] == REFERENCE and seed in FULL_SEEDS and name in facts:
            pool = facts[name]["pool"]
            values = {**spec, "plan": {**spec["plan"], "start": pool, "budget": pool, "candidates": None}}
            found[id_of(values)] = values, {"set": name, "method": "every label"}
    return found


def full_rows() -> list[Row]:
    """Return the committed fits with every label."""
    known = held(FULL)
    return [
        Row(key, spec, cases["set"], REFERENCE, cases["method"], FULL, known[key])
        for key, (spec, cases) in full_specs().items()
        if key in known
    ]


@cache
def everything() -> tuple[tuple[Tested, ...], int]:
    """Return every set with committed runs of random, in the order of the suite, and how many runs no protocol knows."""
    rows, lost = committed()
    facts, full, found = known_facts(), full_rows(), []
    for name, counts in sets_of().items():
        mine = [row for row in rows if row.set == name]
        if any(row.method == REFERENCE for row in mine):
            beside = [row for row in full if row.set == name]
            found.append(compared(name, mine, facts[name], beside, sum(counts.values())))
    return tuple(found), lost
