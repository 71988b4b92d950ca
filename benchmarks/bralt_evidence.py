"""BRAL-T, what it is made of and what it competes with, on ten sets: `labelwise bench --protocol bral-t/evidence`, kept.

python benchmarks/bralt_evidence.py --jobs 2                    # whatever is not measured yet: hours on two cores
python benchmarks/bralt_evidence.py --only digits --jobs 2      # one set, or one method, or both
python benchmarks/bralt_evidence.py --plus --jobs 2             # the ablations of bral-t-plus, on sets of their own
python benchmarks/bralt_evidence.py --docs                      # only the docs' page, from the committed results

Runs that the committed results hold are not run again; each says which commit made it. All methods share start batches
and seeds of fits (paired).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from labelwise.bench.launch import is_finished, launch
from labelwise.bench.protocols import find
from labelwise.bench.results import Run, read_run
from labelwise.bench.run import run_file
from labelwise.bench.spec import Bench, read_bench
from labelwise.functional.curves import Difference, aubc, paired_difference, penalty_matrix, win_counts
from record import RESULTS, provenance, write
from shelf import DOCS, watch

EVIDENCE, PLUS = "bralt-evidence", "bralt-plus"  # results
PROTOCOLS = {EVIDENCE: "bral-t/evidence", PLUS: "bral-t/plus"}
LEAST = 5  # seeds, for an interval by resampling
OURS = ("bral-t", "bral-t-plus")
ABLATIONS = ("without-curriculum", "diff-set", "pseudo-score")
HEALTH = ("reward correlation", "reward correlation within clusters", "share of clusters without TrustSet")


Row = Callable[[Run, dict[str, str]], dict[str, Any]]


def row_of(run: Run, cases: dict[str, str]) -> dict[str, Any]:
    """Return what is kept of one run."""
    opened = run.state.opened
    health = [[ask.notes.get(name) for name in HEALTH] for ask in run.state.asks if HEALTH[0] in ask.notes]
    seconds: dict[str, float] = {}
    for fit in run.fits:
        for phase, value in fit.seconds.items():
            seconds[phase] = seconds.get(phase, 0.0) + value
    return {
        **cases,
        "seed": run.seed,
        "commit": str(opened.notes.get("commit", "")) if opened is not None else "",
        "labels": [fit.n_labelled for fit in run.fits],
        "accuracy": [round(fit.test["accuracy"], 5) for fit in run.fits],
        "train_accuracy": [round(fit.fit["accuracy"], 4) for fit in run.fits if "accuracy" in fit.fit],
        "seconds": {phase: round(value, 2) for phase, value in seconds.items()},
        **({"health": health} if health else {}),
    }


def held(name: str) -> dict[str, dict[str, Any]]:
    """Return the committed runs by the id of their spec."""
    file = RESULTS / f"{name}.json"
    return dict(json.loads(file.read_text())["runs"]) if file.exists() else {}


def measure(
    name: str, bench: Bench, folder: Path, jobs: int, collect: bool, about: dict[str, Any], row: Row = row_of
) -> None:
    """Run what is neither committed nor finished (unless only collecting), and write everything, `about` before the runs."""
    known = held(name)
    if not collect:
        wanted = [spec for spec in bench.specs if spec.id not in known]
        done = launch(
            wanted,
            folder,
            jobs=jobs,
            notes={"bench": bench.name, "commit": provenance()["commit"]},
            watch=watch,
        )
        print()
        for job in done:
            if job.status != "done":
                print(f"{job.spec.id}: {job.why}")
    for spec, cases in zip(bench.specs, bench.cases, strict=True):
        if spec.id not in known and is_finished(spec, folder):
            known[spec.id] = row(read_run(run_file(folder, spec)), dict(cases))
    runs = dict(sorted(known.items(), key=lambda item: _place(item[1])))
    path = write(name, {**about, "runs": runs})
    # one run a line: numbers of a curve under one another would be thousands of lines
    lines = [f'  "{key}": {json.dumps(row)}' for key, row in runs.items()]
    whole = json.loads(path.read_text())
    head = {key: value for key, value in whole.items() if key != "runs"}
    path.write_text(json.dumps(head, indent=1)[:-2] + ',\n "runs": {\n' + ",\n".join(lines) + "\n }\n}\n")


def _place(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["set"], row["method"], row["seed"]


class Table:
    """The committed runs, by set, method and seed."""

    def __init__(self, runs: Iterable[dict[str, Any]]) -> None:
        self.runs = {_place(row): row for row in runs}
        self.sets = list(dict.fromkeys(place[0] for place in self.runs))

    def methods(self, name: str) -> list[str]:
        """Return the methods with a run on a set."""
        return list(dict.fromkeys(place[1] for place in self.runs if place[0] == name))

    def seeds(self, name: str, method: str) -> list[int]:
        """Return the seeds of a method on a set."""
        return sorted(place[2] for place in self.runs if place[:2] == (name, method))

    def areas(self, name: str, method: str, seeds: Iterable[int]) -> np.ndarray:
        """Return the AUBC of each seed."""
        rows = [self.runs[name, method, seed] for seed in seeds]
        return np.array([aubc(row["labels"], row["accuracy"]) for row in rows])

    def last(self, name: str, method: str, seeds: Iterable[int]) -> np.ndarray:
        """Return the accuracy after the budget is spent, of each seed."""
        return np.array([self.runs[name, method, seed]["accuracy"][-1] for seed in seeds])

    def difference(self, name: str, method: str, against: str) -> Difference:
        """Return the mean difference in AUBC, over the seeds that both have, at least one."""
        both = sorted(set(self.seeds(name, method)) & set(self.seeds(name, against)))
        return paired_difference(self.areas(name, method, both), self.areas(name, against, both))

    def beside(self, method: str, against: str) -> tuple[int, int, int]:
        """Return on how many sets a method is clearly ahead of another, clearly behind it, and how many have both."""
        found = [
            self.difference(name, method, against)
            for name in self.sets
            if set(self.seeds(name, method)) & set(self.seeds(name, against))
        ]
        ahead, behind = (sum(clear(d) and d.mean * sign > 0 for d in found) for sign in (1, -1))
        return ahead, behind, len(found)

    def best_classical(self, name: str) -> str:
        """Return the best of the methods that are not ours, by AUBC beside random's of the same seeds."""
        rest = [m for m in self.methods(name) if m not in (*OURS, *ABLATIONS, "random")]
        return max(rest, key=lambda m: self.difference(name, m, "random").mean)

    def ranks(self, methods: list[str]) -> dict[str, float]:
        """Return each method's mean rank by AUBC over the sets, over seeds that all these methods have there."""
        places: dict[str, list[float]] = {m: [] for m in methods}
        for name in self.sets:
            both = set.intersection(*(set(self.seeds(name, m)) for m in methods))
            if not both:
                continue
            means = {m: self.areas(name, m, sorted(both)).mean() for m in methods}
            for m in methods:
                places[m].append(1 + sum(other > means[m] for other in means.values()))
        return {m: float(np.mean(found)) for m, found in places.items() if found}


def penalties(table: Table, methods: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return both forms of the penalty matrix over all sets, over seeds that all these methods have there."""
    tested, wins = np.zeros((len(methods), len(methods))), np.zeros((len(methods), len(methods)), np.int64)
    for name in table.sets:
        both = sorted(set.intersection(*(set(table.seeds(name, m)) for m in methods)))
        if len(both) < 2:
            continue
        labels = table.runs[name, methods[0], both[0]]["labels"]
        curves = np.array([[table.runs[name, m, s]["accuracy"] for s in both] for m in methods])
        tested += penalty_matrix(curves[None], labels, labels[1] - labels[0], methods.index("random"))
        wins += win_counts(curves[None])
    return tested, wins


def clear(found: Difference) -> bool:
    """Return whether a paired t-test over three seeds or more finds a difference (p < 0.05)."""
    return found.p is not None and found.p < 0.05 and found.n >= 3


def told(found: Difference, scale: float = 100) -> str:
    text = f"{scale * found.mean:+.2f}"
    if found.low is not None and found.high is not None and found.n >= LEAST:
        text += f" [{scale * found.low:+.2f}, {scale * found.high:+.2f}]"
    else:
        text += f" ({found.n} {'seed' if found.n == 1 else 'seeds'})"
    return f"**{text}**" if clear(found) else text


def page() -> str:
    """Return the docs' page, from the committed results alone."""
    table = Table(held(EVIDENCE).values())
    everywhere = [
        m
        for m in table.methods(table.sets[0])
        if all(len(table.seeds(name, m)) >= LEAST for name in table.sets)
    ]
    ranks = table.ranks(everywhere)
    lines = [
        "# BRAL-T beside its rivals", "",
        f"{len(table.sets)} sets that two cores can finish, all methods with the same start batches and seeds of fits. Made by "
        f"`python benchmarks/bralt_evidence.py`; every curve is in `benchmarks/results/{EVIDENCE}.json`, the sizes in the protocol "
        "`bral-t/evidence`. AUBC is the mean accuracy over the labels bought, on test data that nothing but these tables has "
        "seen. Differences are paired by seed, with a 95 % interval from five seeds on; bold where a paired t-test gives p < 0.05 "
        "(no correction for many comparisons: read single bold cells with care). Where methods have unequal numbers of seeds, compare the differences, not the means. Seconds are of all rounds together, beside other jobs on the same cores: read their size, not their digits.", "",
        "## Who is best on average", "",
        "Mean rank by AUBC over the sets, among the methods with five seeds on all of them, over seeds that all of these have.", "",
        "| method | mean rank |", "|:--|--:|",
        *(f"| `{m}` | {r:.1f} |" for m, r in sorted(ranks.items(), key=lambda item: item[1])), "",
        *findings(table),
    ]  # fmt: skip
    for name in table.sets:
        # by what is paired: means over unequal seeds cannot be ordered
        methods = sorted(table.methods(name), key=lambda m: -table.difference(name, m, "random").mean)
        best = table.best_classical(name)
        row = next(r for place, r in table.runs.items() if place[0] == name)
        lines += [
            f"## {name}", "",
            f"{row['labels'][0]:,} to {row['labels'][-1]:,} labels by {row['labels'][1] - row['labels'][0]:,}. Best classical: `{best}`.", "",
            "| method | AUBC, % | F-acc, % | minus random | minus best classical | seeds | seconds to choose, a run |",
            "|:--|--:|--:|--:|--:|--:|--:|",
        ]  # fmt: skip
        for m in methods:
            seeds = table.seeds(name, m)
            chose = np.mean([table.runs[name, m, s]["seconds"].get("propose", 0.0) for s in seeds])
            lines.append(
                f"| `{m}` | {100 * table.areas(name, m, seeds).mean():.2f} | {100 * table.last(name, m, seeds).mean():.2f} | "
                f"{told(table.difference(name, m, 'random')) if m != 'random' else '–'} | "
                f"{told(table.difference(name, m, best)) if m != best else '–'} | {len(seeds)} | {chose:.1f} |"
            )
        lines.append("")
        health = [np.array(r["health"], float) for p, r in table.runs.items() if p[:2] == (name, "bral-t")]
        if health:
            mean = np.nanmean(np.concatenate(health), axis=0)
            lines += [
                f"BRAL-T's reward network on rehearsals it had not seen: rank correlation {mean[0]:.2f} over all cells, "
                f"{mean[1]:.2f} within clusters; {100 * mean[2]:.0f} % of the clusters held none of the TrustSet.", "",
            ]  # fmt: skip
    tested, wins = penalties(table, everywhere)
    order = np.argsort(tested.mean(axis=0), kind="stable")
    names = [everywhere[k] for k in order]
    lines += [
        "## Who beats whom", "",
        "Row beats column: left of the stroke, the share of checkpoints with a significant difference (p < 0.05), summed over "
        "sets; right of it, at how many budgets the row's mean is higher.", "",
        f"| | {' | '.join(f'`{m}`' for m in names)} |", f"|:--{'|--:' * len(names)}|",
    ]  # fmt: skip
    for i, k in enumerate(order):
        cells = [f"{tested[k, j]:.1f} / {wins[k, j]}" if j != k else "" for j in order]
        lines.append(f"| `{names[i]}` | {' | '.join(cells)} |")
    lines.append(f"| **mean of the column** | {' | '.join(f'{tested[:, j].mean():.2f}' for j in order)} |")
    return "\n".join([*lines, "", *ablations(), ""])


def counted(table: Table, method: str, against: str) -> str:
    """Return on how many sets a method is clearly ahead of another, and clearly behind, in words."""
    ahead, behind, sets = table.beside(method, against)
    return f"ahead on {ahead} of {sets} sets, behind on {behind}"


def findings(table: Table) -> list[str]:
    """Return what the tables say about BRAL-T itself, in words."""
    seen = [np.array(row["health"], float) for place, row in table.runs.items() if place[1] == "bral-t"]
    overall, within, _ = np.nanmedian(np.concatenate(seen), axis=0)
    pairs = [
        (row, table.runs[place[0], "without-curriculum", place[2]])
        for place, row in table.runs.items()
        if place[1] == "bral-t" and (place[0], "without-curriculum", place[2]) in table.runs
    ]
    same = sum(a["accuracy"] == b["accuracy"] for a, b in pairs)
    fitted = np.mean([row["train_accuracy"][-1] for row, _ in pairs if row["train_accuracy"]])
    return [
        "## What that says of BRAL-T", "",
        f"- **The policy learns what it is taught.** On rehearsals it had not seen, the reward network orders cells with a median "
        f"rank correlation of {overall:.2f}, {within:.2f} within clusters.",
        f"- **What it is taught is another matter.** Beside random, `bral-t` is {counted(table, 'bral-t', 'random')} (p < "
        f"0.05); beside margin, {counted(table, 'bral-t', 'margin')}. The TrustSet comes from samples that the network "
        f"was trained on, and it knows {100 * fitted:.0f} % of them by heart at the end: what it still has to learn of them probably says "
        "little about the pool. That cells are asked for, in which samples resemble one another, may add to it; this was not measured.",
        f"- **The curriculum changes nothing in {same} of {len(pairs)} runs**, to the last digit: "
        "[why](bral-t.md#when-it-does-nothing).",
        f"- **The score without the detour.** `bral-t-plus` takes it in expectation over the pool's "
        f"labels: beside random it is {counted(table, 'bral-t-plus', 'random')}; beside margin, "
        f"{counted(table, 'bral-t-plus', 'margin')}; beside cluster-margin, {counted(table, 'bral-t-plus', 'cluster-margin')} "
        "(where classes look even it *is* cluster-margin). What it gains on uneven pools comes from the weights of classes, "
        "[below](#what-each-part-of-bral-t-plus-is-worth).", "",
    ]  # fmt: skip


def ablations() -> list[str]:
    """Return what each part of bral-t-plus is worth, on the sets that it was designed on."""
    table = Table(held(PLUS).values())
    methods = table.methods(table.sets[0])
    head = [f"{name} ({len(table.seeds(name, 'never-otherwise'))} seeds)" for name in table.sets]
    lines = [
        "## What each part of bral-t-plus is worth", "",
        "AUBC minus that of `never-otherwise`, which is bral-t-plus where it does not leave balanced pools to cluster-margin, in "
        "points, paired by seed, on the sets of the protocol `bral-t/plus`. These sets chose the design: read them as the "
        "reasons, and the tables above as the test. Not a blind one: fifteen runs of an earlier form, without the fallback, had "
        "been made on the sets above before the fallback was added, and `correction` was added after twenty seeds on digits had "
        "shown that it lacked. Both were chosen and set on the sets here. Every curve is in "
        f"`benchmarks/results/{PLUS}.json`, made by `python benchmarks/bralt_evidence.py --plus`.", "",
        f"| method | {' | '.join(head)} |", f"|:--{'|--:' * len(head)}|",
    ]  # fmt: skip
    for m in sorted(methods, key=lambda m: m != "never-otherwise"):
        cells = []
        for name in table.sets:
            own = 100 * table.areas(name, m, table.seeds(name, m)).mean() if table.seeds(name, m) else np.nan
            cells.append(
                f"{own:.2f} %"
                if m == "never-otherwise"
                else told(table.difference(name, m, "never-otherwise"))
            )
        lines.append(f"| `{m}` | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where runs lie; default: runs/NAME of the protocol")
    parser.add_argument("--plus", action="store_true", help="the ablations of bral-t-plus")
    parser.add_argument("--only", action="append", default=[], help="a set or a method; may be repeated")
    parser.add_argument("--collect", action="store_true", help="run nothing: take in what the folder holds")
    parser.add_argument("--docs", action="store_true", help="only write the docs' page")
    asked = parser.parse_args()
    if not asked.docs:
        name = PLUS if asked.plus else EVIDENCE
        bench = read_bench(find(PROTOCOLS[name]), only=asked.only)
        about = {
            "what": "test accuracy after every round; health: " + ", ".join(HEALTH) + " of every ask",
            "protocol": PROTOCOLS[name],
            "command": "python benchmarks/bralt_evidence.py"
            + " --plus" * (name == PLUS),  # wherever runs lay
        }
        measure(name, bench, asked.folder or Path("runs") / bench.name, asked.jobs, asked.collect, about)
    (DOCS / "systems" / "bral-t-results.md").write_text(page())


if __name__ == "__main__":
    main()
