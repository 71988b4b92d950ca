"""A campaign with every strategy of the table on scikit-learn's digits, beside random's: AUBC and seconds.

python benchmarks/shelf.py --jobs 2        # about half an hour on two cores; finished runs are skipped
python benchmarks/shelf.py --docs          # only the docs' page, from the committed results

All strategies share start batches and seeds of fits (paired). Those that read what only a companion recipe gives run
with that recipe, beside a random of their own. Nothing was tuned: every strategy has its default parameters.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from labelwise.bench.compare import compare
from labelwise.bench.launch import Job, launch
from labelwise.bench.results import read_run
from labelwise.bench.run import run_file
from labelwise.bench.spec import Spec
from labelwise.models import make as make_recipe
from labelwise.strategies import TABLE
from labelwise.strategies import make as make_strategy
from record import RESULTS, provenance, write

DOCS = Path(__file__).parent.parent / "docs"
TASK = {"name": "digits"}
MLP = {"name": "mlp", "width": 64, "epochs": 30, "dropout": 0.3, "draws": 10}
COMPANIONS = [
    {"name": "learning-loss", "network": "mlp", "width": 64, "epochs": 30},
    {"name": "vaal", "network": "mlp", "width": 64, "epochs": 30},
    {"name": "waal", "network": "mlp", "width": 64, "epochs": 30},
]
PLAN = {"start": 20, "batch": 20, "budget": 200}
SEEDS = range(3)


def recipe_of(name: str) -> dict[str, Any]:
    """Return the first recipe that gives what a strategy needs; the task itself gives features and labels."""
    needs = make_strategy(name).needs
    for recipe in (MLP, *COMPANIONS):
        params = dict(recipe)
        gives = make_recipe(params.pop("name"), **params).gives
        if all(
            getattr(needs, part) - {"features", "y"} <= getattr(gives, part)
            for part in ("pool", "labelled", "validation")
        ):
            return recipe
    raise SystemExit(f"No recipe of this benchmark gives what {name} needs: {needs}.")


def specs() -> list[Spec]:
    """Return one spec a strategy and seed, random first for every recipe in use."""
    recipes = {name: recipe_of(name) for name in TABLE}
    pairs = [("random", recipe) for recipe in (MLP, *COMPANIONS) if recipe in recipes.values()]
    pairs += [(name, recipe) for name, recipe in recipes.items() if name != "random"]
    return [
        Spec.model_validate({"task": TASK, "recipe": recipe, "strategy": {"name": name}, "plan": {**PLAN, "seed": seed}})
        for name, recipe in pairs
        for seed in SEEDS
    ]  # fmt: skip


def watch(jobs: Any) -> None:
    """Say how far the runs are, on one line."""
    done = sum(job.status == "done" for job in jobs)
    print(
        f"\r{done} of {len(jobs)} runs, {sum(job.share for job in jobs) / len(jobs):.1%}", end="", flush=True
    )


def measure(folder: Path, jobs: int) -> Path:
    """Run all campaigns that are not finished and write their results."""
    wanted = specs()
    commit = provenance()["commit"]
    done: list[Job] = launch(
        wanted, folder, jobs=jobs, notes={"bench": "shelf", "commit": commit}, watch=watch
    )
    print()
    failed = [job for job in done if job.status != "done"]
    for job in failed:
        print(f"failed: {job.why}")
    if failed:
        raise SystemExit(f"{len(failed)} runs did not finish.")
    runs = [read_run(run_file(folder, spec)) for spec in wanted]
    rows: dict[str, Any] = {}
    for setting, group in zip(*(lambda c: (c.settings, c.groups))(compare(runs)), strict=True):
        recipe = group.runs[setting.reference][0].spec["recipe"]
        pairs = {p.strategy: p for p in setting.pairs if p.against == "random" and p.measure == "aubc"}
        for s in setting.strategies:
            name = group.runs[s.name][0].spec["strategy"]["name"]
            key = name if name != "random" or recipe["name"] == "mlp" else f"random, {recipe['name']}"
            pair = pairs.get(s.name)
            rows[key] = {
                "recipe": recipe,
                "aubc": [s.aubc.mean, s.aubc.low, s.aubc.high],
                "final": s.final.mean,
                "accuracy": [r.accuracy for r in s.runs],
                "minus_random": pair and [pair.mean, pair.interval.low, pair.interval.high],
                "clear": bool(pair and pair.clear),
                "seconds": dict(s.seconds),
                "cheats": make_strategy(name).cheats,
            }
    commits = sorted({str(run.state.opened.notes.get("commit", commit)) for run in runs})
    return write(
        "shelf",
        {
            "what": "one campaign a strategy and seed on digits; accuracy on test data",
            "task": TASK, "plan": PLAN, "seeds": list(SEEDS), "made_by": commits,
            "labels": list(range(PLAN["start"], PLAN["budget"] + 1, PLAN["batch"])), "strategies": rounded(rows),
        },
    )  # fmt: skip


def rounded(value: Any) -> Any:
    """Return numbers at five decimals."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return value


def page() -> str:
    """Return the docs' page, from the committed results alone."""
    content = json.loads((RESULTS / "shelf.json").read_text())
    rows, plan, seeds = content["strategies"], content["plan"], len(content["seeds"])
    order = sorted(rows, key=lambda name: -(rows[name]["minus_random"] or [0])[0])
    clear = [name for name in order if rows[name]["clear"]]
    lines = [
        "# Every strategy on digits", "",
        f"scikit-learn's digits, {plan['start']} labels to start with, {plan['batch']} a round, {plan['budget']} in all; "
        f"{seeds} paired seeds; test accuracy; made by `python benchmarks/shelf.py`, all curves in "
        "`benchmarks/results/shelf.json`. AUBC is the mean accuracy over the labels bought. Differences are to random with "
        "the same recipe, the same start batches and the same seeds, with their 95 % interval.", "",
        f"**{seeds} seeds show that every strategy works; they cannot rank them.** After Holm's correction "
        + (f"{len(clear)} of {len(order)} differ clearly from random." if clear else "none differs clearly from random.")
        + " Every strategy has its default parameters; none was tuned.", "",
        "| strategy | AUBC, % | AUBC - random, points | final, % | seconds to choose |", "|:--|--:|--:|--:|--:|",
    ]  # fmt: skip
    for name in order:
        row = rows[name]
        pair = row["minus_random"]
        told = "–" if pair is None else f"{100 * pair[0]:+.2f} [{100 * pair[1]:+.2f}, {100 * pair[2]:+.2f}]"
        told = f"**{told}**" if row["clear"] else told
        mark = " (cheats: knows the pool's labels)" if row["cheats"] else ""
        chosen = row["seconds"].get("propose", 0.0)
        lines.append(
            f"| `{name}`{mark} | {100 * row['aubc'][0]:.2f} | {told} | {100 * row['final']:.2f} | {chosen:.3f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/shelf"))
    parser.add_argument("--docs", action="store_true", help="only write the docs' page")
    asked = parser.parse_args()
    if not asked.docs:
        print(measure(asked.folder, asked.jobs))
    (DOCS / "systems" / "shelf-results.md").write_text(page())


if __name__ == "__main__":
    main()
