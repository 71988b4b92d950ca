"""What the committed results say, system by system, in words that follow from their numbers: docs/found.md.

python benchmarks/found.py      # seconds; runs nothing
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

import bralt_evidence
import multimodal_evidence
import robust_evidence
from bralt_evidence import ABLATIONS
from forecast_tables import covered
from kept import held
from labelwise.bench.advice import groups
from labelwise.bench.leaderboard import read
from labelwise.functional.curves import labels_to_reach
from labelwise.functional.pooling import weighed
from labelwise.functional.ranking import critical_difference
from leaderboard_runs import knows_labels
from paired import LEAST, Table, counted, told
from record import DOCS, RESULTS

UNCERTAINTY = ("margin", "least-confidence", "largest-margin", "entropy")
REST = "core-rest"  # results: what the evidence on BRAL-T leaves out
SHOWN = 6  # methods of a ranking


@dataclass(frozen=True)
class Side:
    """The evidence on one kind of sets, and how its page is called."""

    title: str
    table: Table
    page: str
    ours: tuple[str, ...]

    def everywhere(self) -> list[str]:
        """Return the methods with enough seeds on all sets, without mere parts of one and without those that know the labels."""
        return [m for m in self.table.everywhere() if m not in ABLATIONS and not knows_labels(m)]


def cheap() -> Side:
    """Return the sets on which every strategy that one modality can serve was run."""
    rest = held(REST)
    sets = {row["set"] for row in rest.values()}
    shared = [row for row in held(bralt_evidence.EVIDENCE).values() if row["set"] in sets]
    return Side(
        "every strategy, on three cheap sets", Table([*rest.values(), *shared]), "leaderboard/index.md", ()
    )


def origins(table: Table) -> list[tuple[str, ...]]:
    """Return the sets of a table in groups that share no data."""
    known = read().sets
    return groups(known[name] for name in table.sets)


def sides() -> tuple[Side, ...]:
    return (
        Side(
            "one modality",
            Table(held(bralt_evidence.EVIDENCE).values()),
            "systems/bral-t-results.md",
            ("bral-t-plus", "bral-t"),
        ),
        Side(
            "several modalities",
            Table(held(multimodal_evidence.EVIDENCE).values()),
            "systems/rl-mba-results.md",
            ("rl-mba-plus", "rl-mba"),
        ),
    )


def over_origins(table: Table, method: str, against: str) -> str:
    """Return the mean difference in AUBC over origins, each counted once, with its interval; bold where that leaves 0 out."""
    found = weighed([
        np.mean([table.difference(name, method, against).mean for name in names]) for names in origins(table)
    ])  # fmt: skip
    text = f"{100 * found.mean:+.2f}"
    if found.low is None or found.high is None:
        return text
    text += f" [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text


def spared(table: Table, name: str, method: str) -> float | None:
    """Return the share of random's labels after which a method's mean curve is where random's ends."""
    seeds = sorted(set(table.seeds(name, method)) & set(table.seeds(name, "random")))
    labels = table.runs[name, method, seeds[0]]["labels"]
    curves = {
        m: np.mean([table.runs[name, m, s]["accuracy"] for s in seeds], axis=0) for m in (method, "random")
    }
    reached = labels_to_reach(labels, curves[method].tolist(), float(curves["random"][-1]))
    return None if reached is None else float(reached) / labels[-1]


def worth(side: Side) -> list[str]:
    """Return whether choosing beats taking samples at random."""
    table = side.table
    rest = [m for m in side.everywhere() if m != "random"]
    losing = sorted(
        (m for m in rest if table.beside(m, "random")[1]), key=lambda m: -table.beside(m, "random")[1]
    )
    shares = [share for name in table.sets if (share := spared(table, name, "margin")) is not None]
    return [
        f"### {side.title.capitalize()}: {len(table.sets)} sets", "",
        f"`margin`, the simplest of all, is beside random {counted(table, 'margin', 'random')}; on average it gains "
        f"{over_origins(table, 'margin', 'random')} points of AUBC. On {len(shares)} of {len(table.sets)} sets its mean curve reaches "
        f"what random ends at: with {100 * np.median(shares):.0f} % of the labels (median; "
        f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %).", "",
        f"Choosing can cost accuracy: {len(losing)} of {len(rest)} methods are clearly behind random on a set or more"
        + (
            ": " + ", ".join(f"`{m}` on {table.beside(m, 'random')[1]}" for m in losing) + "."
            if losing
            else "."
        ), "",
    ]  # fmt: skip


def ranking(side: Side) -> list[str]:
    """Return the first of a ranking, with what its length can tell apart."""
    methods, apart_sets = side.everywhere(), origins(side.table)
    ranks = sorted(side.table.ranks(methods, apart_sets).items(), key=lambda item: item[1])
    apart = critical_difference(len(methods), len(apart_sets))
    first = [m for m, r in ranks if r - ranks[0][1] < apart]
    return [
        f"### {side.title.capitalize()}", "",
        f"{len(methods)} methods with {LEAST} seeds or more on all {len(side.table.sets)} sets; the first {SHOWN}, and random. Mean "
        f"ranks over {len(apart_sets)} origins of data that are less than {apart:.1f} apart cannot be told apart by so few (Nemenyi, 95 %): "
        f"{len(first)} methods share the first place. [All of it]({side.page}).", "",
        "| method | mean rank | minus random | minus margin |", "|:--|--:|--:|--:|",
        *(
            f"| `{m}` | {r:.1f} | {over_origins(side.table, m, 'random') if m != 'random' else '–'} | "
            f"{over_origins(side.table, m, 'margin') if m != 'margin' else '–'} |"
            for place, (m, r) in enumerate(ranks)
            if place < SHOWN or m in (*side.ours, "random")
        ), "",
    ]  # fmt: skip


def printed(side: Side) -> str:
    """Return what became of a published learned method, and of our reading of it."""
    plus, plain = side.ours
    return (
        f"- `{plain}`, the published method as we read it, is beside random {counted(side.table, plain, 'random')}; beside margin, "
        f"{counted(side.table, plain, 'margin')}. `{plus}` keeps its aim and leaves out what did not pay: beside random "
        f"{counted(side.table, plus, 'random')}; beside margin, {counted(side.table, plus, 'margin')}. [Tables]({side.page})."
    )


def uncertainty() -> list[str]:
    """Return which of four measures is best, and when none is."""
    lines = [
        "| setting | " + " | ".join(f"`{m}`" for m in UNCERTAINTY) + " |",
        f"|:--{'|--:' * len(UNCERTAINTY)}|",
    ]
    first = total = 0
    for file in sorted(RESULTS.glob("uncertainty-*.json")):
        result: dict[str, Any] = json.loads(file.read_text())
        for setting in result["settings"]:
            seen = {
                p["strategy"]: p
                for p in setting["pairs"]
                if p["against"] == "random" and p["measure"] == "aubc"
            }
            here = [m for m in UNCERTAINTY if m in seen]
            if len(here) < len(UNCERTAINTY):
                continue
            total += 1
            first += max(here, key=lambda m: seen[m]["mean"]) == "margin"
            cells = []
            for m in here:
                p = seen[m]
                text = f"{100 * p['mean']:+.2f} [{100 * p['low']:+.2f}, {100 * p['high']:+.2f}]"
                cells.append(f"**{text}**" if p["clear"] else text)
            case = setting["title"].partition(", ")[2]  # of a protocol with several settings
            name = file.stem.removeprefix("uncertainty-") + (f": {case}" if case else "")
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return [
        f"AUBC minus random's, in points; intervals are over seeds, bold where clear after Holm's correction. The smallest margin is the best of the "
        f"four in {first} of {total} settings. [All of it](systems/uncertainty-results.md).", "",
        *lines, "",
    ]  # fmt: skip


def robust() -> list[str]:
    """Return what robust training bought on real sets."""
    rows = robust_evidence.Rows(held(robust_evidence.EVIDENCE).values())
    real = [name for name in rows.sets if not rows.simulated(name)]
    out = []
    for method in ("mmdro", "dual", "variational", "modality-dropout"):
        found = [rows.difference(real, method, "erm", what) for what in ("worst", "clean")]
        if all(d is not None for d in found):
            worst, clean = (told(d) for d in found if d is not None)
            out.append(f"| `{method}` | {worst} | {clean} |")
    return [
        f"On {len(real)} real sets whose modalities shift in the test data, minus plain training, in points; intervals "
        "are over pairs of set and seed. [All of it](systems/mmdro-results.md).", "",
        "| objective | under the worst shift | on samples as they are |", "|:--|--:|--:|", *out, "",
    ]  # fmt: skip


def page() -> str:
    """Return the docs' page, from the committed results alone."""
    both = sides()
    mean, least, most = covered(json.loads((RESULTS / "forecast.json").read_text()))
    lines = [
        "# What we found", "",
        "The short form of every results page, made from the committed runs by `python benchmarks/found.py`: nothing here is typed "
        "in by hand. All comparisons are paired (same start batch, same seeds of fits), on test data that no method and no "
        "choice of ours looked at unless the page in question says so. Ahead and behind on a set mean a paired t-test with p < 0.05 there, "
        "without correction for many sets. Intervals of 95 % are of Student's t over origins of data: sets that share any data "
        "count as one. All sets are small enough "
        "for two cores: what holds at ImageNet's size, they do not say.", "",
        "## Is choosing worth it?", "",
        *(line for side in both for line in worth(side)),
        "## Which strategy?", "",
        *(line for side in (*both, cheap()) for line in ranking(side)),
        "## The learned methods", "",
        *(printed(side) for side in both), "",
        "Where a method of ours does not win, its page says so and why as far as we know.", "",
        "## Which uncertainty?", "",
        *uncertainty(),
        "## Robust training", "",
        *robust(),
        "## Can the next labels be foreseen?", "",
        f"An interval of 90 % held {100 * mean:.0f} % of what came, for materials it had not learnt from; by material {100 * least:.0f} "
        f"to {100 * most:.0f} %. [All of it](forecast.md).", "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    (DOCS / "found.md").write_text(page())


if __name__ == "__main__":
    main()
