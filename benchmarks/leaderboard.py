"""The leaderboard: what the suite `core` has measured, as numbers in the package and as pages of the docs.

python benchmarks/leaderboard.py               # leaderboard.json and docs/leaderboard, from the committed results; a minute
python benchmarks/leaderboard.py --check       # the same, writing nothing: fails if something committed is stale
python benchmarks/leaderboard.py --sets        # first look at every set again: sizes, classes, modalities (needs the data)
python benchmarks/leaderboard.py --full        # first fit each set with every label, 5 seeds; --most 60 leaves out what
                                               # would take longer than a minute a fit; finished fits are not made again

Every number comes from `labelwise.bench.compare` and what it rests on; nothing is computed twice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bralt_evidence import held, measure
from forecast import material
from labelwise import data
from labelwise.bench.axes import combinations
from labelwise.bench.compare import compare
from labelwise.bench.findings import Setting
from labelwise.bench.leaderboard import FILE
from labelwise.bench.names import REFERENCE
from labelwise.bench.protocols import find
from labelwise.bench.results import Run
from labelwise.bench.spec import MINI, Bench, id_of, read_spec, read_toml
from labelwise.events import Fitted, Opened, Plan, State
from labelwise.strategies import make
from labelwise.strategies.cheating import cheats
from record import RESULTS, write

COMMAND = "python benchmarks/leaderboard.py"
# committed results and the protocol that they are of, in the order of the suite
PROTOCOLS = {
    "bralt-evidence": "bral-t/evidence", "multimodal-evidence": "rl-mba/evidence",
    "core-rest": "core/rest", "core-modalities": "core/modalities",
}  # fmt: skip
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
        protocol: the first of the suite that holds it.
        kept: what is committed of it.
    """

    id: str
    spec: Mapping[str, Any]
    set: str
    method: str
    protocol: str
    kept: Mapping[str, Any]

    @property
    def variant(self) -> str | None:
        """The strategy that this is a variant of; None if it is a strategy as it stands in the table."""
        name = str(self.spec["strategy"]["name"])
        return None if name == self.method else name


@dataclass
class Tested:
    """A set with everything that was run on it.

    Attributes:
        name: of the set.
        protocol: the first of the suite that holds it.
        facts: of the set, from results/sets.json.
        shared: task, recipe and plan that all methods share, as random's spec has them.
        rows: every committed run.
        variants: method -> the strategy that it is a variant of.
        companions: method -> the recipe that it needs beside the set's classifier.
        setting: what the comparison says of all methods that do not cheat; random's companions included.
        cheating: the same of random and the methods that know labels; None without any.
    """

    name: str
    protocol: str
    facts: Mapping[str, Any]
    shared: Mapping[str, Any]
    rows: list[Row]
    variants: dict[str, str] = field(default_factory=dict)
    companions: dict[str, str] = field(default_factory=dict)
    setting: Setting | None = None
    cheating: Setting | None = None


@cache
def specs() -> dict[str, tuple[dict[str, Any], dict[str, str], str]]:
    """Return run id -> spec in plain values, cases and protocol, of every run of the suite; without checking each."""
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


def called(case: str, spec: Mapping[str, Any]) -> str:
    """Return what a method is called: its strategy's name, or its case where it sets parameters of a strategy."""
    strategy = {key: value for key, value in spec["strategy"].items() if key != "bank"}
    return str(strategy["name"]) if len(strategy) == 1 else case


def committed(results: Iterable[str] = PROTOCOLS) -> tuple[list[Row], int]:
    """Return every committed run of the suite, and how many are of specs that the protocols no longer hold."""
    known, rows, lost = specs(), {}, 0
    for name in results:
        for key, kept in held(name).items():
            if key not in known:
                lost += 1
                continue
            spec, cases, protocol = known[key]
            rows.setdefault(key, Row(key, spec, cases["set"], called(cases["method"], spec), protocol, kept))
    return list(rows.values()), lost


def run_of(row: Row, facts: Mapping[str, Any], recipe: Mapping[str, Any]) -> Kept:
    """Return a run as a comparison reads it; seconds of a phase are spread evenly over the rounds that have it.

    The set's recipe stands in for that of a companion, which trains the same classifier.
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


def compared(name: str, rows: list[Row], facts: Mapping[str, Any], full: Iterable[Row] = ()) -> Tested:
    """Return a set with its comparison: methods that know labels are compared apart, so that no verdict rests on them."""
    first = next((row for row in rows if row.method == REFERENCE), rows[0])
    recipe = first.spec["recipe"]
    made = Tested(name, rows[0].protocol, facts, {**first.spec, "recipe": recipe}, rows)
    for row in rows:
        if row.variant is not None:
            made.variants[row.method] = row.variant
        if row.spec["recipe"]["name"] != recipe["name"]:
            made.companions[row.method] = row.spec["recipe"]["name"]
    cheating = {method for method in {row.method for row in rows} if _cheats(method)}
    plan = {key: value for key, value in first.spec["plan"].items() if key != "seed"}

    def setting(kept: list[Row]) -> Setting:
        everything = [*kept, *full]
        cases = {row.id: {"set": name, "method": row.method} for row in everything}
        found = compare([run_of(row, facts, recipe) for row in everything], cases).settings
        return next(one for one in found if one.shared["plan"] == plan)

    made.setting = setting([row for row in rows if row.method not in cheating])
    if cheating:
        made.cheating = setting([row for row in rows if row.method in {*cheating, REFERENCE}])
    return made


@cache
def _cheats(method: str) -> bool:
    from labelwise.strategies import TABLE

    return method in TABLE and cheats(make(method))


@cache
def everything() -> tuple[tuple[Tested, ...], int]:
    """Return every set with committed runs, in the order of the suite, and how many runs are of unknown specs."""
    rows, lost = committed()
    order = list(dict.fromkeys(cases["set"] for _, cases, _ in specs().values()))
    facts = json.loads((RESULTS / f"{SETS}.json").read_text())["sets"]
    full = full_rows()
    found = []
    for name in order:
        mine = [row for row in rows if row.set == name]
        if any(row.method == REFERENCE for row in mine):
            found.append(compared(name, mine, facts[name], [row for row in full if row.set == name]))
    return tuple(found), lost


def numbers(sets: Iterable[Tested]) -> str:
    """Return the text of leaderboard.json: strategies as they stand in the table, without variants and cheats."""
    heads = []
    for one in sets:
        setting, plan = one.setting, one.shared["plan"]
        assert setting is not None and setting.full is not None
        reached = {s.strategy: s.labels for s in setting.shares if s.share == 0.95}
        methods = []
        for summary in sorted(setting.strategies, key=lambda s: (s.name != REFERENCE, s.name)):
            if summary.name in one.variants:
                continue
            last = {run.seed: run.accuracy[-1] for run in summary.runs}
            to = reached.get(summary.name)
            values = {
                "seeds": list(summary.seeds),
                "aubc": [round(area, 5) for area in summary.areas],
                "last": [round(last[seed], 5) for seed in summary.seeds],
                "to_95": None if to is None else round(to.mean, 1),
                "seconds": None if summary.choosing is None else _digits(summary.choosing),
            }
            methods.append(f'    "{summary.name}": {json.dumps(values)}')
        head = {
            "task": one.shared["task"], "material": list(material(one.name)),
            **{key: one.facts[key] for key in ("kind", "classes", "modalities", "pool", "imbalance", "dimension")},
            **{key: plan[key] for key in ("start", "batch", "budget")},
            "recipe": one.shared["recipe"], "protocol": one.protocol,
            "full": round(setting.full.accuracy, 5), "full_runs": setting.full.runs,
        }  # fmt: skip
        lines = ",\n".join(f'   "{key}": {json.dumps(value)}' for key, value in head.items())
        body = ",\n".join(methods)
        heads.append(f'  "{one.name}": {{\n{lines},\n   "methods": {{\n{body}\n   }}\n  }}')
    return f'{{\n "made_by": "{COMMAND}",\n "sets": {{\n' + ",\n".join(heads) + "\n }\n}\n"


def _digits(value: float) -> float:
    """Return a number with three digits that mean something."""
    return float(f"{value:.3g}")


def look() -> None:
    """Write results/sets.json: what every set of the suite is, from the data."""
    found = {}
    for spec, cases, _ in specs().values():
        if cases["set"] not in found:
            params = dict(spec["task"])
            simulation = data.make(params.pop("name"), **params)
            found[cases["set"]] = facts_of(simulation, spec["recipe"])
            print(cases["set"], found[cases["set"]], flush=True)
    write(SETS, {"command": f"{COMMAND} --sets", "sets": found})


def facts_of(simulation: Any, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a set is, in numbers; texts count as many numbers as the recipe reads of them."""
    task = simulation.task
    batch = {name: values for name, values in task.data.batch(task.pool[:1]).items() if name != "present"}
    texts = {name for name, values in batch.items() if values.dtype.kind in "TUO"}
    shapes = {name: list(values.shape[1:]) for name, values in batch.items()}
    sizes = [
        int(recipe.get("text_features", 0)) if name in texts else int(np.prod(shape))
        for name, shape in shapes.items()
    ]
    counts = np.bincount([int(simulation.truth[i]) for i in task.pool], minlength=task.n_classes)
    one = next(iter(batch))
    kind = "text" if one in texts else {1: "vectors", 2: "image", 3: "image"}[len(shapes[one])]
    return {
        "kind": kind if len(batch) == 1 else "several", "classes": task.n_classes, "modalities": len(batch),
        "pool": len(task.pool), "imbalance": round(float(counts.max() / max(1, counts.min())), 2),
        "dimension": sum(sizes), "names": list(task.classes), "shapes": {n: "text" if n in texts else s for n, s in shapes.items()},
        "smallest": int(counts.min()), "largest": int(counts.max()),
        "validation": len(task.validation), "test": len(task.test), "sha256": task.fingerprint()["sha256"],
    }  # fmt: skip


def full_rows() -> list[Row]:
    """Return the committed fits with every label."""
    known = held(FULL)
    return [
        Row(key, spec, cases["set"], REFERENCE, "", known[key])
        for key, (spec, cases) in full_specs().items()
        if key in known
    ]


def full_specs() -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """Return run id -> spec and cases of a fit with every label, for each set and five seeds."""
    facts = json.loads((RESULTS / f"{SETS}.json").read_text())["sets"]
    found: dict[str, tuple[dict[str, Any], dict[str, str]]] = {}
    for spec, cases, _ in specs().values():
        seed = spec["plan"]["seed"]
        if cases["method"] == REFERENCE and seed in FULL_SEEDS and cases["set"] in facts:
            pool = facts[cases["set"]]["pool"]
            plan = {**spec["plan"], "start": pool, "budget": pool, "candidates": None}
            values = {**spec, "plan": plan}
            found.setdefault(id_of(values), (values, {"set": cases["set"], "method": "every label"}))
    return found


def fit_everything(jobs: int, only: list[str], most: float) -> None:
    """Fit sets with every label, where one fit is expected to take at most so many seconds; resumable."""
    rows, _ = committed()
    wanted = {}
    for key, (spec, cases) in full_specs().items():
        name = cases["set"]
        timed = [r.kept for r in rows if r.set == name and r.method == REFERENCE]
        pace = sum(k["seconds"]["fit"] for k in timed) / max(1, sum(sum(k["labels"]) for k in timed))
        expected = pace * spec["plan"]["budget"]
        if only and name not in only:
            continue
        if not timed or expected > most:
            if spec["plan"]["seed"] == 0:
                why = f"{expected:.0f} s a fit" if timed else "no run tells how long a fit takes"
                print(f"{name} is left out: {why}.")
            continue
        wanted[key] = (read_spec(spec), cases)
    bench = Bench(
        FULL,
        "Every set of the suite with every label.",
        tuple(spec for spec, _ in wanted.values()),
        tuple(cases for _, cases in wanted.values()),
        MINI,
    )
    about = {"what": "test accuracy of a fit on the whole pool", "command": f"{COMMAND} --full"}
    measure(FULL, bench, Path("runs") / FULL, jobs, False, about)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a page or the file is stale"
    )
    parser.add_argument("--sets", action="store_true", help="look at every set again; needs the data")
    parser.add_argument(
        "--full", action="store_true", help="fit each set with every label, as far as not done"
    )
    parser.add_argument("--most", type=float, default=60, help="seconds a fit with every label may take")
    parser.add_argument("--only", action="append", default=[], help="with --full: a set; may be repeated")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    if asked.sets:
        look()
    if asked.full:
        fit_everything(asked.jobs, asked.only, asked.most)
    FILE.write_text(numbers(everything()[0]))


if __name__ == "__main__":
    main()
