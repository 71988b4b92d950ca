"""A campaign with every strategy of the table on scikit-learn's digits, beside random's: AUBC and seconds.

python benchmarks/shelf.py --jobs 2                # about twenty minutes on two cores; finished runs are skipped
python benchmarks/shelf.py --undertrained --jobs 2 # the same with too few steps of training, as a warning
python benchmarks/shelf.py --docs                  # only the docs' page, from the committed results

All strategies share start batches and seeds of fits (paired). Those that read what only a companion recipe gives run
with that recipe, beside a random of their own. Every strategy has its default parameters. The number of epochs is such
that the network fits its labels, judged by training accuracy alone; it was run first with too few steps to do so.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kept import watch
from labelwise.bench.compare import compare
from labelwise.bench.launch import Job, launch
from labelwise.bench.results import read_run
from labelwise.bench.run import run_file
from labelwise.bench.spec import Spec
from labelwise.models import make as make_recipe
from labelwise.strategies import TABLE
from labelwise.strategies import make as make_strategy
from record import DOCS, RESULTS, provenance, write

TASK = {"name": "digits"}
TRAINED = {"epochs": 100, "batch_size": 16}
UNDERTRAINED = {"epochs": 30}
SHAPE = {"width": 64}
PLAN = {"start": 20, "batch": 20, "budget": 200}
SEEDS = range(3)


def recipes(training: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a network with dropout draws, and the companions, each trained alike."""
    return [{"name": "mlp", **SHAPE, **training, "dropout": 0.3, "draws": 10}] + [
        {"name": name, "network": "mlp", **SHAPE, **training, "epochs": 30}  # each is two networks or three
        for name in ("learning-loss", "vaal", "waal")
    ]


def recipe_of(name: str, training: dict[str, Any]) -> dict[str, Any]:
    """Return the first recipe that gives what a strategy needs; the task itself gives features and labels."""
    needs = make_strategy(name).needs
    for recipe in recipes(training):
        params = dict(recipe)
        gives = make_recipe(params.pop("name"), **params).gives
        if all(
            getattr(needs, part) - {"features", "y"} <= getattr(gives, part)
            for part in ("pool", "labelled", "validation")
        ):
            return recipe
    raise SystemExit(f"No recipe of this benchmark gives what {name} needs: {needs}.")


def specs(training: dict[str, Any]) -> list[Spec]:
    """Return one spec a strategy and seed, random first for every recipe in use."""
    chosen = {name: recipe_of(name, training) for name in TABLE}
    pairs = [("random", recipe) for recipe in recipes(training) if recipe in chosen.values()]
    pairs += [(name, recipe) for name, recipe in chosen.items() if name != "random"]
    return [
        Spec.model_validate({"task": TASK, "recipe": recipe, "strategy": {"name": name}, "plan": {**PLAN, "seed": seed}})
        for name, recipe in pairs
        for seed in SEEDS
    ]  # fmt: skip


def measure(folder: Path, jobs: int, training: dict[str, Any]) -> Path:
    """Run all campaigns that are not finished and write their results."""
    wanted = specs(training)
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
                "fitted": training_accuracy(group.runs[s.name]),
                "cheats": make_strategy(name).cheats,
            }
    commits = sorted({str(run.state.opened.notes.get("commit", commit)) for run in runs})
    return write(
        "shelf" if training == TRAINED else "shelf-undertrained",
        {
            "what": "one campaign a strategy and seed on digits; accuracy on test data",
            "task": TASK, "plan": PLAN, "seeds": list(SEEDS), "made_by": commits,
            "labels": list(range(PLAN["start"], PLAN["budget"] + 1, PLAN["batch"])), "strategies": rounded(rows),
        },
    )  # fmt: skip


def training_accuracy(runs: Any) -> list[float]:
    """Return the mean accuracy on the labels trained on, at the first fit and at the last."""
    fits = [[fit.fit["accuracy"] for fit in run.state.fits] for run in runs]
    return [sum(f[k] for f in fits) / len(fits) for k in (0, -1)]


def rounded(value: Any) -> Any:
    """Return numbers at five decimals."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return value


def difference(row: dict[str, Any]) -> str:
    """Return the difference to random as the docs print it, bold where it is clear."""
    if row["minus_random"] is None:
        return "–"
    mean, low, high = (100 * value for value in row["minus_random"])
    told = f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
    return f"**{told}**" if row["clear"] else told


def page() -> str:
    """Return the docs' page, from the committed results alone."""
    content, poor = (
        json.loads((RESULTS / f"{name}.json").read_text()) for name in ("shelf", "shelf-undertrained")
    )
    rows, plan, seeds = content["strategies"], content["plan"], len(content["seeds"])
    order = sorted(rows, key=lambda name: -(rows[name]["minus_random"] or [0])[0])
    clear = [name for name in order if rows[name]["clear"]]
    lines = [
        "# Every strategy on digits", "",
        f"scikit-learn's digits, {plan['start']} labels to start with, {plan['batch']} a round, {plan['budget']} in all; "
        f"{seeds} paired seeds; a small MLP trained until it fits its labels (the companions for 30 epochs); test accuracy. Made by "
        "`python benchmarks/shelf.py`, all curves in `benchmarks/results/shelf.json`. AUBC is the mean accuracy over the "
        "labels bought. Differences are to random with the same recipe, the same start batches and the same seeds, with "
        "their 95 % interval; bold where clear after Holm's correction.", "",
        f"**{seeds} seeds show that every strategy works and where one is far off; they cannot rank neighbours.** "
        + (f"{len(clear)} of {len(order)} differ clearly from random: {', '.join(f'`{n}`' for n in clear)}. " if clear else "None differs clearly from random. ")
        + "Every strategy has its default parameters. Several aim "
        "at something else than accuracy on balanced classes: the information measures (`fl1mi` to `logdetcmi`, `similar`) "
        "at rare classes, `grand-oracle` at what weighs most in training.", "",
        "The last column is a warning: the same with too few steps of training (`--undertrained`), after which random's network "
        f"has {100 * poor['strategies']['random']['fitted'][0]:.0f} % of its first {plan['start']} labels right, and not "
        f"{100 * rows['random']['fitted'][0]:.0f} %. What then looks like uncertainty is the network's ignorance of "
        "everything, and strategies that trust it fall far below random.", "",
        "| strategy | AUBC, % | AUBC - random, points | final, % | seconds to choose | undertrained: AUBC - random |",
        "|:--|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for name in order:
        row = rows[name]
        mark = " (cheats: knows the pool's labels)" if row["cheats"] else ""
        before = difference(poor["strategies"][name]) if name in poor["strategies"] else "–"
        lines.append(
            f"| `{name}`{mark} | {100 * row['aubc'][0]:.2f} | {difference(row)} | {100 * row['final']:.2f} | "
            f"{row['seconds'].get('propose', 0.0):.3f} | {before} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/shelf"))
    parser.add_argument("--undertrained", action="store_true", help="with too few steps of training")
    parser.add_argument("--docs", action="store_true", help="only write the docs' page")
    asked = parser.parse_args()
    if not asked.docs:
        print(measure(asked.folder, asked.jobs, UNDERTRAINED if asked.undertrained else TRAINED))
    (DOCS / "systems" / "shelf-results.md").write_text(page())


if __name__ == "__main__":
    main()
