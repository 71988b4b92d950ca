"""BRAL-T, what it is made of and what it competes with, on ten sets: `labelwise bench --protocol bral-t/evidence`, kept.

python benchmarks/bralt_evidence.py --jobs 2                    # whatever is not measured yet: hours on two cores
python benchmarks/bralt_evidence.py --only digits --jobs 2      # one set, or one method, or both
python benchmarks/bralt_evidence.py --plus --jobs 2             # the ablations of bral-t-plus, on sets of their own
python benchmarks/bralt_evidence.py --docs                      # only the docs' page, from the committed results

Runs that the committed results hold are not run again; each says which commit made it. All methods share start batches
and seeds of fits (paired).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kept import HEALTH, arguments, held, measure
from labelwise.bench.protocols import find
from labelwise.bench.spec import read_bench
from paired import Table, beaten, counted, told
from record import DOCS

EVIDENCE, PLUS = "bralt-evidence", "bralt-plus"  # results
PROTOCOLS = {EVIDENCE: "bral-t/evidence", PLUS: "bral-t/plus"}
OURS = ("bral-t", "bral-t-plus")
ABLATIONS = ("without-curriculum", "diff-set", "pseudo-score")


def page() -> str:
    """Return the docs' page, from the committed results alone."""
    table = Table(held(EVIDENCE).values(), (*OURS, *ABLATIONS))
    ranks = table.ranks(table.everywhere())
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
    return "\n".join([*lines, *beaten(table), *ablations(), ""])


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
    parser = arguments(__doc__)
    parser.add_argument("--plus", action="store_true", help="the ablations of bral-t-plus")
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
