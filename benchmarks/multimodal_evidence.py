"""RL-MBA, rl-mba-plus and what they compete with on multimodal sets: `labelwise bench --protocol rl-mba/evidence`, kept.

python benchmarks/multimodal_evidence.py --jobs 2                    # whatever is not measured yet: hours on two cores
python benchmarks/multimodal_evidence.py --only mfeat --jobs 2       # one set, or one method, or both
python benchmarks/multimodal_evidence.py --collect --folder DIR      # run nothing: take in the runs that lie there
python benchmarks/multimodal_evidence.py --plus --jobs 2             # the ablations of rl-mba-plus, on sets of their own
python benchmarks/multimodal_evidence.py --docs                      # only the docs' page, from the committed results

Runs that the committed results hold are not run again; each says which commit made it. All methods share start batches
and seeds of fits (paired).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from kept import arguments, held, measure
from kept import row_of as common_row_of
from labelwise.bench.protocols import find
from labelwise.bench.results import Run
from labelwise.bench.spec import read_bench
from labelwise.cli.running import see_to_files
from labelwise.functional.curves import Difference, paired_difference
from paired import LEAST, Table, beaten, clear, counted, told
from record import DOCS

EVIDENCE, PLUS = "multimodal-evidence", "multimodal-plus"  # results
PROTOCOLS = {EVIDENCE: "rl-mba/evidence", PLUS: "rl-mba/plus"}
OURS = "rl-mba-plus"
POLICY = ("policy entropy", "policy preference", "updates")
FORMS = {"as they are": "", "with a modality weakened": "-weak", "with 30 % of each missing": "-missing"}
LEARNED = (OURS, "rl-mba", "bral-t")  # what "classical" leaves out
WHAT = (
    "after every round, on test data: accuracy, accuracy of the worst class, and D(φ), the unevenness of the modalities' "
    f"Shapley values; policy: {', '.join(POLICY)} of every ask of RL-MBA"
)


def row_of(run: Run, cases: dict[str, str]) -> dict[str, Any]:
    """Return what is kept of one run."""
    worst = [min((v for v in fit.test["per_class"] if v is not None), default=None) for fit in run.fits]
    uneven = [fit.analysis.get("dispersion") for fit in run.fits]
    drawn = [[ask.notes.get(name) for name in POLICY] for ask in run.state.asks if POLICY[0] in ask.notes]
    return {
        **common_row_of(run, cases),
        "worst_class": [None if w is None else round(float(w), 4) for w in worst],
        "dispersion": [None if d is None else round(float(d), 5) for d in uneven],
        **({"policy": drawn} if drawn else {}),
    }


class Balanced(Table):
    """Committed runs that also tell the worst class and how unevenly modalities contribute."""

    def mean(self, what: str, name: str, method: str, seeds: Iterable[int]) -> np.ndarray:
        """Return a measure's mean over the rounds after the first batch, of each seed; NaN where it is not known."""
        rows = [np.array(self.runs[name, method, seed][what][1:], float) for seed in seeds]
        return np.array([row.mean() for row in rows])

    def uneven(self, name: str, method: str, against: str) -> Difference | None:
        """Return the paired difference in D(φ); None where it is not known."""
        both = sorted(set(self.seeds(name, method)) & set(self.seeds(name, against)))
        a, b = (self.mean("dispersion", name, m, both) for m in (method, against))
        return None if not both or np.isnan(a - b).any() else paired_difference(a, b)


def page() -> str:
    """Return the docs' page, from the committed results alone."""
    table = Balanced(held(EVIDENCE).values(), LEARNED)
    lines = [
        "# RL-MBA beside its rivals", "",
        "Sets of two to six modalities that two cores can finish: as they are, with one modality weakened, and with 30 % of each "
        "missing. All methods train the same network with the same start batches and seeds of fits. Made by `python "
        f"benchmarks/multimodal_evidence.py`; every curve is in `benchmarks/results/{EVIDENCE}.json`, the sizes in the protocol "
        "`rl-mba/evidence`. AUBC is the mean accuracy over the labels bought, on test data that nothing but these tables has seen; "
        "D(φ) says how unevenly the modalities contribute, 0 for evenly, mean over the rounds after the first batch; the worst "
        "class is that of the last round. Differences are paired by seed, with a 95 % interval from five seeds on; bold where a "
        "paired t-test gives p < 0.05 (no correction for many comparisons). `gcnal` is `core-gcn`.", "",
    ]  # fmt: skip
    if table.sets:
        lines += [*missing(table), *standing(table), *findings(table), *sets(table), *beaten(table)]
    else:
        lines += ["The runs of this protocol are not committed yet.", ""]
    return "\n".join([*lines, *ablations(), ""])


def missing(table: Balanced) -> list[str]:
    """Return what the protocol asks for and nobody has run yet."""
    cases = [dict(case) for case in read_bench(find(PROTOCOLS[EVIDENCE])).cases]
    left = len(cases) - len(table.runs)
    if left <= 0:
        return []
    names = [name for name in dict.fromkeys(case["set"] for case in cases) if name not in table.sets]
    known = {m for name in table.sets for m in table.methods(name)}
    methods = [m for m in dict.fromkeys(case["method"] for case in cases) if m not in known]
    without = " and ".join(
        f"{what} {', '.join(which)}" for what, which in (("sets", names), ("methods", methods)) if which
    )
    return [
        f"**Not finished**: {left:,} of {len(cases):,} runs are not there{f', among them all of the {without}' if without else ''}.",
        "",
    ]


def standing(table: Balanced) -> list[str]:
    """Return who is best on average, and how rl-mba-plus stands beside each other method."""
    everywhere = table.everywhere()
    ranks = table.ranks(everywhere)
    lines = [
        "## Who is best on average", "",
        f"Mean rank by AUBC over {len(table.sets)} sets, among the methods with {LEAST} seeds on all of them, over seeds that all "
        f"of these have; and `{OURS}` minus each, over all pairs of set and seed, in points.", "",
        f"| method | mean rank | {OURS} minus it: AUBC | D(φ) | clearly ahead / behind, sets |", "|:--|--:|--:|--:|--:|",
    ]  # fmt: skip
    for m, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if m == OURS or OURS not in everywhere:
            lines.append(f"| `{m}` | {rank:.1f} | – | – | – |")
            continue
        ahead, behind, _ = table.beside(OURS, m)
        area, uneven = pooled(table, m)
        lines.append(
            f"| `{m}` | {rank:.1f} | {told(area)} | {'–' if uneven is None else told(uneven)} | {ahead} / {behind} |"
        )
    return [*lines, ""]


def findings(table: Balanced) -> list[str]:
    """Return what the tables say about RL-MBA and our reading of it, in words."""
    lines = ["## What that says of RL-MBA", ""]
    last = [row["policy"][-1] for row in table.runs.values() if row["method"] == "rl-mba" and "policy" in row]
    if last:
        entropy, preference, updates = np.median(np.array(last, float), axis=0)
        lines.append(
            f"- **The policy does not get to decide.** At the last ask of {len(last)} campaigns, after {updates:.0f} updates (median), "
            f"its favourite among the candidates was {preference:.2f} times as likely to be drawn first as by an even draw "
            f"(median; entropy {entropy:.4f} of at most 1). So what was measured here is the score q, and an even draw of the batch from "
            "the five batches that it puts first: [why](rl-mba.md#what-to-expect)."
        )
    lines += [
        f"- **As printed, that does not pay.** Beside random, `rl-mba` is {counted(table, 'rl-mba', 'random')}; beside margin, "
        f"{counted(table, 'rl-mba', 'margin')} (p < 0.05).",
        f"- **What was kept does.** `{OURS}` asks where the fusion is least sure, and there for samples that differ in what each modality sees "
        f"([what each part is worth](#what-each-part-of-rl-mba-plus-is-worth)). Beside random it is {counted(table, OURS, 'random')}; "
        f"beside cluster-margin, {counted(table, OURS, 'cluster-margin')}; beside BMMAL, {counted(table, OURS, 'bmmal')}; beside BADGE, "
        f"{counted(table, OURS, 'badge')}.",
        "- **By form of the set**, minus cluster-margin, points of AUBC over all pairs of set and seed: "
        + "; ".join(f"{form} {told(found)}" for form, found in by_form(table, "cluster-margin").items()) + ".",
        aimed(table),
        balance(table), "",
    ]  # fmt: skip
    return lines


def aimed(table: Balanced) -> str:
    """Return where rl-mba-plus stands by its mean AUBC over the sets, each counted once, in words."""
    means = {
        m: float(np.mean([table.difference(name, m, "random").mean for name in table.sets]))
        for m in table.everywhere()
    }
    place = 1 + sum(mean > means[OURS] for mean in means.values())
    best, ranks = (
        max((m for m in means if m != OURS), key=lambda m: means[m]),
        table.ranks(table.everywhere()),
    )
    return (
        f"- **The aim, first by mean AUBC over the sets**, is {'reached' if place == 1 else 'missed'}: `{OURS}` is number {place} of "
        f"{len(means)}, {100 * means[OURS]:+.2f} points over random, the best other (`{best}`) {100 * means[best]:+.2f}. That is "
        f"{'clearly' if clear(pooled(table, best)[0]) else 'not clearly'} apart, as the table above says, and by mean rank it is number "
        f"{1 + sum(rank < ranks[OURS] for rank in ranks.values())}."
    )


def balance(table: Balanced) -> str:
    """Return whether modalities contribute more evenly under rl-mba-plus, in words."""
    even, uneven = [], []
    for m in table.everywhere():
        found = None if m == OURS else pooled(table, m)[1]
        if found is not None and clear(found):
            (even if found.mean < 0 else uneven).append(f"`{m}`")
    return (
        f"- **Balance.** D(φ) of `{OURS}` is clearly lower than that of {', '.join(even) or 'no other method'}, and clearly higher "
        f"than that of {', '.join(uneven) or 'none'}: the aim, lower than all, is {'missed' if len(even) + 1 < len(table.everywhere()) else 'reached'}."
    )


def by_form(table: Balanced, against: str) -> dict[str, Difference]:
    """Return rl-mba-plus minus another method over the sets of each form that there are."""
    found = {}
    for form, end in FORMS.items():
        rest = [e for e in FORMS.values() if e]
        names = [n for n in table.sets if (n.endswith(end) if end else not n.endswith(tuple(rest)))]
        pairs = [
            (table.areas(n, OURS, both), table.areas(n, against, both))
            for n in names
            if (both := sorted(set(table.seeds(n, OURS)) & set(table.seeds(n, against))))
        ]
        if pairs:
            found[form] = paired_difference(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
    return found


def pooled(table: Balanced, against: str) -> tuple[Difference, Difference | None]:
    """Return the differences in AUBC and D(φ) of rl-mba-plus and another method, over all sets and seeds of both."""
    ours: list[np.ndarray] = [np.empty(0)] * 4
    for name in table.sets:
        both = sorted(set(table.seeds(name, OURS)) & set(table.seeds(name, against)))
        found = [table.areas(name, m, both) for m in (OURS, against)]
        found += [table.mean("dispersion", name, m, both) for m in (OURS, against)]
        ours = [np.append(a, b) for a, b in zip(ours, found, strict=True)]
    known = ~np.isnan(ours[2] - ours[3])
    uneven = paired_difference(ours[2][known], ours[3][known]) if known.any() else None
    return paired_difference(ours[0], ours[1]), uneven


def sets(table: Balanced) -> list[str]:
    """Return a table a set."""
    lines = []
    for name in table.sets:
        methods = sorted(table.methods(name), key=lambda m: -table.difference(name, m, "random").mean)
        best = table.best_classical(name)
        labels = next(r["labels"] for place, r in table.runs.items() if place[0] == name)
        lines += [
            f"## {name}", "",
            f"{labels[0]:,} to {labels[-1]:,} labels by {labels[1] - labels[0]:,}. Best classical: `{best}`.", "",
            "| method | AUBC, % | at the budget, % | worst class, % | D(φ) | minus random | minus best classical | seeds |",
            "|:--|--:|--:|--:|--:|--:|--:|--:|",
        ]  # fmt: skip
        for m in methods:
            seeds = table.seeds(name, m)
            worst = np.nanmean(np.array([table.runs[name, m, s]["worst_class"][-1] for s in seeds], float))
            uneven = np.mean(table.mean("dispersion", name, m, seeds))
            lines.append(
                f"| `{m}` | {100 * table.areas(name, m, seeds).mean():.2f} | {100 * table.last(name, m, seeds).mean():.2f} | "
                f"{100 * worst:.1f} | {uneven:.4f} | "
                f"{told(table.difference(name, m, 'random')) if m != 'random' else '–'} | "
                f"{told(table.difference(name, m, best)) if m != best else '–'} | {len(seeds)} |"
            )
        lines.append("")
    return lines


def ablations() -> list[str]:
    """Return what each part of rl-mba-plus is worth, on the sets that it was designed on."""
    table = Balanced(held(PLUS).values())
    if not table.sets:
        return []
    lines = [
        "## What each part of rl-mba-plus is worth", "",
        f"AUBC minus that of `{OURS}`, in points, paired by seed, on the sets of the protocol `rl-mba/plus`. These sets chose the "
        "design: read them as the reasons, and the tables above as the test. Every curve is in "
        f"`benchmarks/results/{PLUS}.json`, made by `python benchmarks/multimodal_evidence.py --plus`.", "",
        f"| method | {' | '.join(f'{name} ({len(table.seeds(name, OURS))} seeds)' for name in table.sets)} | all | D(φ), all |",
        f"|:--{'|--:' * (len(table.sets) + 2)}|",
    ]  # fmt: skip
    methods = [m for m in table.methods(table.sets[0]) if all(table.seeds(name, m) for name in table.sets)]
    for m in sorted(methods, key=lambda m: m != OURS):
        if m == OURS:
            cells = [
                f"{100 * table.areas(name, m, table.seeds(name, m)).mean():.2f} %" for name in table.sets
            ]
            lines.append(f"| `{m}` | {' | '.join(cells)} | – | – |")
            continue
        area, uneven = (None if d is None else turned(d) for d in pooled(table, m))
        cells = [told(table.difference(name, m, OURS)) for name in table.sets]
        assert area is not None
        lines.append(
            f"| `{m}` | {' | '.join(cells)} | {told(area)} | {'–' if uneven is None else told(uneven)} |"
        )
    return lines


def turned(d: Difference) -> Difference:
    """Return the difference the other way round."""
    return Difference(
        -d.mean, None if d.high is None else -d.high, None if d.low is None else -d.low, d.p, d.n
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--plus", action="store_true", help="the ablations of rl-mba-plus")
    parser.add_argument("--docs", action="store_true", help="only write the docs' page")
    asked = parser.parse_args()
    if not asked.docs:
        name = PLUS if asked.plus else EVIDENCE
        bench = read_bench(find(PROTOCOLS[name]), only=asked.only)
        about = {
            "what": WHAT,
            "protocol": PROTOCOLS[name],
            "command": "python benchmarks/multimodal_evidence.py" + " --plus" * (name == PLUS),
        }
        folder = asked.folder or Path("runs") / bench.name
        if not asked.collect:
            known = held(name)
            see_to_files(
                [spec for spec in bench.specs if spec.id not in known], folder, asked.jobs, bench.name
            )
        measure(name, bench, folder, asked.jobs, asked.collect, about, row_of)
    (DOCS / "systems" / "rl-mba-results.md").write_text(page())


if __name__ == "__main__":
    main()
