"""The leaderboard: what the suite `core` has measured, as numbers in the package and as pages of the docs.

python benchmarks/leaderboard.py               # leaderboard.json and docs/leaderboard, from the committed results; a minute
python benchmarks/leaderboard.py --check       # writes nothing; fails where something that is committed is stale
python benchmarks/leaderboard.py --sets        # first look at every set again: sizes, classes, modalities (needs the data)
python benchmarks/leaderboard.py --full        # first fit each set with every label, 5 seeds; --most 60 leaves out what
                                               # would take longer than a minute a fit; finished fits are not made again

Every number comes from `labelwise.bench.compare` and what it rests on; nothing is computed a second way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from forecast_curves import material
from kept import measure
from labelwise import data
from labelwise.bench.leaderboard import FILE
from labelwise.bench.names import REFERENCE
from labelwise.bench.spec import Bench, read_spec
from leaderboard_html import undrawn
from leaderboard_index import index
from leaderboard_runs import FULL, SETS, Tested, committed, everything, full_specs, specs
from leaderboard_set import set_page
from record import write

COMMAND = "python benchmarks/leaderboard.py"
DOCS = Path(__file__).parent.parent / "docs" / "leaderboard"


def numbers(sets: Iterable[Tested]) -> str:
    """Return the text of leaderboard.json: strategies as they stand in the table, without variants and cheats."""
    made = []
    for one in sets:
        setting, plan = one.setting, one.shared["plan"]
        assert setting.full is not None
        reached = {s.strategy: s.labels for s in setting.shares if s.share == 0.95}
        methods = []
        for summary in sorted(setting.strategies, key=lambda s: (s.name != REFERENCE, s.name)):
            last = {run.seed: run.accuracy[-1] for run in summary.runs}
            to = reached.get(summary.name)
            values = {
                "seeds": list(summary.seeds),
                "aubc": [round(area, 5) for area in summary.areas],
                "last": [round(last[seed], 5) for seed in summary.seeds],
                "to_95": None if to is None else round(to.mean, 1),
                "seconds": None if summary.choosing is None else float(f"{summary.choosing:.3g}"),
            }
            methods.append(f'    "{summary.name}": {json.dumps(values)}')
        head = {
            "task": one.shared["task"], "material": list(material(one.name)),
            **{key: one.facts[key] for key in ("kind", "classes", "modalities", "pool", "imbalance", "dimension")},
            **{key: plan[key] for key in ("start", "batch", "budget")},
            "recipe": one.shared["recipe"], "protocol": one.rows[0].protocol,
            "full": round(setting.full.accuracy, 5), "full_runs": setting.full.runs,
        }  # fmt: skip
        lines = ",\n".join(f'   "{key}": {json.dumps(value)}' for key, value in head.items())
        body = ",\n".join(methods)
        made.append(f'  "{one.name}": {{\n{lines},\n   "methods": {{\n{body}\n   }}\n  }}')
    return f'{{\n "made_by": "{COMMAND}",\n "sets": {{\n' + ",\n".join(made) + "\n }\n}\n"


def pages(sets: Sequence[Tested], lost: int, *, drawn: bool = True) -> dict[str, str]:
    """Return file name -> text of every page."""
    return {
        "index.md": index(sets, lost, drawn=drawn),
        **{f"{one.name}.md": set_page(one, drawn=drawn) for one in sets},
    }


def stale() -> list[str]:
    """Return what is not as the committed results make it; figures are not drawn for that."""
    sets, lost = everything()
    found = [] if FILE.read_text() == numbers(sets) else [str(FILE.name)]
    wanted = pages(sets, lost, drawn=False)
    there = {path.name: undrawn(path.read_text()) for path in DOCS.glob("*.md")}
    return found + sorted(name for name in wanted.keys() | there if wanted.get(name) != there.get(name))


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
    counts = np.bincount(np.asarray(simulation.truth)[task.pool], minlength=task.n_classes)
    one = next(iter(batch))
    kind = "text" if one in texts else {1: "vectors", 2: "image", 3: "image"}[len(shapes[one])]
    if one in simulation.sounds:
        kind = "audio"
    return {
        "kind": kind if len(batch) == 1 else "several", "classes": task.n_classes, "modalities": len(batch),
        "pool": len(task.pool), "imbalance": round(float(counts.max() / max(1, counts.min())), 2),
        "dimension": sum(sizes), "names": list(task.classes),
        "shapes": {name: "text" if name in texts else shape for name, shape in shapes.items()},
        "smallest": int(counts.min()), "largest": int(counts.max()),
        "validation": len(task.validation), "test": len(task.test), "sha256": task.fingerprint()["sha256"],
    }  # fmt: skip


def look() -> None:
    """Write results/sets.json: what every set of the suite is, from the data."""
    found: dict[str, Any] = {}
    for spec, cases, _ in specs().values():
        if cases["set"] not in found:
            params = dict(spec["task"])
            found[cases["set"]] = facts_of(data.make(params.pop("name"), **params), spec["recipe"])
            print(cases["set"], flush=True)
    write(SETS, {"command": f"{COMMAND} --sets", "sets": found})


def fit_everything(jobs: int, only: list[str], most: float) -> None:
    """Fit sets with every label, where one fit is expected to take at most so many seconds; resumable."""
    rows, _ = committed()
    wanted = []
    for spec, cases in full_specs().values():
        name, seed = cases["set"], spec["plan"]["seed"]
        timed = [row.kept for row in rows if row.set == name and row.method == REFERENCE]
        pace = sum(k["seconds"]["fit"] for k in timed) / max(1, sum(sum(k["labels"]) for k in timed))
        expected = pace * spec["plan"]["budget"]
        if only and name not in only:
            continue
        if timed and expected <= most:
            wanted.append((read_spec(spec), cases))
        elif seed == 0:
            why = f"about {expected:.0f} s a fit" if timed else "no run says how long a fit takes"
            print(f"{name} is left out: {why}.")
    made, cases = zip(*wanted, strict=True) if wanted else ((), ())
    bench = Bench(FULL, "Every set of the suite with every label.", made, cases)
    about = {"what": "test accuracy of a fit on the whole pool", "command": f"{COMMAND} --full"}
    measure(FULL, bench, Path("runs") / FULL, jobs, False, about)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail where something is stale")
    parser.add_argument("--sets", action="store_true", help="look at every set again; needs the data")
    parser.add_argument(
        "--full", action="store_true", help="fit each set with every label, as far as not done"
    )
    parser.add_argument("--most", type=float, default=60, help="seconds that a fit with every label may take")
    parser.add_argument("--only", action="append", default=[], help="with --full: a set; may be repeated")
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    if asked.check:
        if old := stale():
            raise SystemExit(f"Stale: {', '.join(old)}. Write them anew: {COMMAND}.")
        return
    if asked.sets:
        look()
    if asked.full:
        fit_everything(asked.jobs, asked.only, asked.most)
    sets, lost = everything()
    FILE.write_text(numbers(sets))
    DOCS.mkdir(exist_ok=True)
    made = pages(sets, lost)
    for path in DOCS.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
