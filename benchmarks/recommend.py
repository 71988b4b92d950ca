"""How good is `labelwise recommend`? Each origin of data is left out in turn, and its advice held against what was best there.

python benchmarks/recommend.py          # seconds, after benchmarks/leaderboard.py; writes the results, the command's constants and the docs' tables
python benchmarks/recommend.py --docs   # only the docs' tables and the constants, from the committed results

Regret: points of AUBC (accuracy averaged over the budget) by which a pick stays below the best strategy of the set. Sets that
share data are left out together and count as one: the mean over a group's sets is one number, and intervals are over groups.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from labelwise.bench.able import able
from labelwise.bench.advice import Facts, groups
from labelwise.bench.leaderboard import DataSet, Leaderboard, read
from labelwise.bench.outlook import signed
from labelwise.bench.recommend import LEAST, MARGIN, RANDOM, RULES, gains, recommend, speaks, witnesses
from labelwise.bench.recommend_words import headline, sentences
from labelwise.functional.pooling import Weighed, weighed
from record import RESULTS, write

ROOT = Path(__file__).parent.parent
CONSTANTS = ROOT / "src" / "labelwise" / "bench" / "recommend_constants.py"
PAGE = ROOT / "docs" / "recommend.md"
NAME = "recommend"
FIXED = (MARGIN, RANDOM)  # advice that needs no evidence
PAIRS = (
    ("similar", "overall"), ("similar", "cautious"), ("overall", "cautious"), ("cautious", MARGIN), ("cautious", RANDOM),
)  # fmt: skip
SAID = {
    "cautious": "recommend, cautious: margin, unless some strategy is clearly better on the other sets",
    "overall": "recommend, overall: the best on the other sets together",
    "similar": "recommend, similar: the best on the other sets, the more like, the more weight",
    MARGIN: "always margin",
    RANDOM: "always random",
}
EXAMPLE = {"pool": 20_000, "classes": 10, "budget": 500, "kind": "image", "imbalance": 20.0}


def facts_of(one: DataSet) -> Facts:
    """Return what somebody with this set would know of it."""
    return Facts(
        one.pool, one.classes, one.budget, one.start, one.batch, one.modalities, one.kind, one.imbalance
    )


def without(board: Leaderboard, names: Sequence[str]) -> Leaderboard:
    """Return a board without some sets."""
    return Leaderboard(
        board.made_by, MappingProxyType({n: s for n, s in board.sets.items() if n not in names})
    )


def held_out(board: Leaderboard) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a row for each set: what was best, who picked what and at which regret; and one for how intervals held."""
    usable = {n: s for n, s in board.sets.items() if {RANDOM, MARGIN} <= set(s.methods)}
    board = Leaderboard(board.made_by, MappingProxyType(usable))
    rows, intervals = [], []
    for names in groups(usable.values()):
        rest = without(board, names)
        for name in names:
            one = usable[name]
            heard = [other for other in rest.sets.values() if speaks(other, facts_of(one))]
            over_random, grouped = gains(heard, RANDOM), groups(heard)
            area = {method: float(np.mean(found.aubc)) for method, found in one.methods.items()}
            best = min(area, key=lambda method: (-area[method], method))
            known = set(area) & set(over_random)
            picks = {
                rule: recommend(facts_of(one), rest, known, rule=rule, top=1).choices[0].name
                for rule in RULES
            } | {fixed: fixed for fixed in FIXED}
            rows.append({
                "set": name, "group": names[0], "strategies": len(area), "best": best, "picks": picks,
                "regret": {who: round(100 * (area[best] - area[pick]), 3) for who, pick in picks.items()},
            })  # fmt: skip
            mine = gains([one], RANDOM)
            inside = []
            for method in sorted(known - {RANDOM}):
                means, _ = witnesses(over_random[method], grouped, dict.fromkeys(over_random[method], 1.0))
                told = weighed(means)
                if len(means) >= LEAST and told.next_low is not None and told.next_high is not None:
                    inside.append(told.next_low <= mine[method][name] <= told.next_high)
            intervals.append({"set": name, "group": names[0], "intervals": len(inside), "held": sum(inside)})
    return rows, intervals


def over_groups(rows: Sequence[Mapping[str, Any]], value: Any) -> Weighed:
    """Return the mean of a value with its interval, groups of sets being the sample."""
    by: dict[str, list[float]] = {}
    for row in rows:
        by.setdefault(row["group"], []).append(value(row))
    return weighed([float(np.mean(values)) for values in by.values()])


def chosen(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rule to use: the simplest, in the order of RULES, that is at most one standard error worse than the best.

    Of the differences to the best, over groups of sets: Breiman, Friedman, Olshen and Stone 1984, section 3.4.3.
    """
    mean = {rule: over_groups(rows, lambda row, rule=rule: row["regret"][rule]).mean for rule in RULES}
    best = min(RULES, key=lambda rule: mean[rule])
    for rule in RULES:
        if mean[rule] - mean[best] <= standard_error(rows, rule, best):
            return rule
    return best


def standard_error(rows: Sequence[Mapping[str, Any]], a: str, b: str) -> float:
    """Return the standard error, over groups, of the mean difference in regret of two rules."""
    by: dict[str, list[float]] = {}
    for row in rows:
        by.setdefault(row["group"], []).append(row["regret"][a] - row["regret"][b])
    means = [float(np.mean(values)) for values in by.values()]
    return float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(means) > 1 else 0.0


def measured(board: Leaderboard) -> dict[str, Any]:
    """Return all that is committed."""
    rows, intervals = held_out(board)

    def of(found: Weighed) -> list[float | None]:
        return [None if v is None else round(v, 3) for v in (found.mean, found.low, found.high)]

    rule = chosen(rows)
    return {
        "what": "regret: points of AUBC below the best strategy of the set, with all sets that share data left out of the advice; "
        "mean and 95 % interval over groups of sets without data in common",
        "rule": rule,
        "example": example(board, rule),
        "regret": {who: of(over_groups(rows, lambda row, who=who: row["regret"][who])) for who in SAID},
        "differences": {
            f"{a} - {b}": of(
                over_groups(rows, lambda row, a=a, b=b: row["regret"][a] - row["regret"][b])
            )
            for a, b in PAIRS
        },
        "covered": round(
            over_groups([r for r in intervals if r["intervals"]], lambda r: r["held"] / r["intervals"]).mean, 3
        ),
        "sets": rows,
        "intervals": intervals,
    }  # fmt: skip


def shipped(result: Mapping[str, Any]) -> str:
    """Return the module of constants."""
    rows = result["sets"]
    lines = [
        '"""What `labelwise recommend` knows of its own advice, made by benchmarks/recommend.py from the committed results."""',
        "", "from __future__ import annotations", "", "from typing import Any", "",
        "# Regret: points of AUBC below the best strategy of a set that had no part in the advice; mean, low, high (95 %).",
        "# fmt: off",
        "CONSTANTS: dict[str, Any] = {",
        f'    "rule": "{result["rule"]}",',
        f'    "sets": {len(rows)},',
        f'    "groups": {len({row["group"] for row in rows})},',
        '    "regret": {',
        *(f'        "{who}": {tuple(found)},' for who, found in result["regret"].items()),
        "    },",
        f'    "covered": {result["covered"]},',
        "}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def span(found: Sequence[float | None]) -> str:
    low, high = found[1:]
    return "–" if low is None or high is None else f"{low:.2f} to {high:.2f}".replace("-", "−")


def tables(result: Mapping[str, Any]) -> str:
    """Return the tables of the docs' page."""
    rows, regret, apart = result["sets"], result["regret"], result["differences"]
    count = len({row["group"] for row in rows})
    worst = {who: max(rows, key=lambda row, who=who: row["regret"][who]) for who in SAID}
    lines = [
        f"{len(rows)} sets of {count} unrelated origins. Mean regret, in points of accuracy averaged over the budget; intervals are of "
        "Student's t over origins.", "",
        "| advice | regret | 95 % interval | worst set |", "|:--|--:|:--|:--|",
        *(
            f"| {words} | {regret[who][0]:.2f} | {span(regret[who])} | {worst[who]['regret'][who]:.1f}, {worst[who]['set']} |"
            for who, words in SAID.items()
        ), "",
        _verdict(result), "",
        "Differences in regret, paired by set; below 0 the first is better:", "",
        "| | difference | 95 % interval |", "|:--|--:|:--|",
        *(f"| {name.replace(' - ', ' less ')} | {signed(found[0] / 100, 2)} | {span(found)} |" for name, found in apart.items()), "",
        "By set: what was best there, what each rule picked without having seen the set, and the regret in brackets.", "",
        f"| set | best | {' | '.join(RULES)} | margin | random |", f"|:--|:--|{':--|' * len(RULES)}--:|--:|",
    ]  # fmt: skip
    for row in rows:
        picked = [f"{row['picks'][rule]} ({row['regret'][rule]:.1f})" for rule in RULES]
        lines.append(
            f"| {row['set']} | {row['best']} | {' | '.join(picked)} | {row['regret'][MARGIN]:.1f} | {row['regret'][RANDOM]:.1f} |"
        )
    total = sum(row["intervals"] for row in result["intervals"])
    lines += [
        "",
        f"Intervals for one more set, nominal 95 %, held in {100 * result['covered']:.0f} % of {total:,} cases (mean over origins; a "
        "case is a strategy on a set that was left out).",
    ]
    return "\n".join(lines)


def _verdict(result: Mapping[str, Any]) -> str:
    """Return what the differences say of the rules."""

    def compared(a: str, b: str) -> str:
        mean, low, high = result["differences"][f"{a} - {b}"]
        if low is not None and high < 0:
            return f"is clearly better than {b}"
        if low is not None and low > 0:
            return f"is clearly worse than {b}"
        return f"is not clearly {'better' if mean < 0 else 'worse'} than {b}"

    rule = result["rule"]
    same = all(row["picks"]["cautious"] == MARGIN for row in result["sets"])
    left = (
        "The cautious rule never left margin: on no set was there evidence enough."
        if same
        else f"The cautious rule {compared('cautious', MARGIN)}."
    )
    return (
        f"Weighing sets by likeness (similar) {compared('similar', 'overall')}, the best on all sets together, and "
        f"{compared('similar', 'cautious')}; overall {compared('overall', 'cautious')}. {left} It {compared('cautious', RANDOM)}. "
        "The default is the simplest rule that is at most one standard error worse than the best, cautious being simpler than "
        f"overall and overall than similar: **{rule}**. It was chosen on these same sets, so its own regret flatters it a little; so "
        "were two things that all rules share: that sets of one modality say nothing of several, and that five origins are asked for."
    )


def example(board: Leaderboard, rule: str) -> list[str]:
    """Return what the command says of a pool."""
    can, _ = able("cnn", 1)
    found = recommend(Facts(**EXAMPLE), board, can, rule=rule)
    return [headline(found), "", *sentences(found)]


def replaced(text: str, mark: str, content: str) -> str:
    """Return a page with what stands between the comments of a mark written anew."""
    before, rest = text.split(f"<!-- {mark}: ", 1)
    said, rest = rest.split("-->\n", 1)
    _, after = rest.split(f"\n<!-- end of {mark} -->", 1)
    return f"{before}<!-- {mark}: {said}-->\n{content}\n<!-- end of {mark} -->{after}"


def page() -> str:
    """Return the docs' page with its tables anew, from the committed results."""
    result = json.loads((RESULTS / f"{NAME}.json").read_text())
    said = "\n".join(f"> {line}".rstrip() for line in result["example"])
    return replaced(replaced(PAGE.read_text(), "example", said), "tables", tables(result))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--docs", action="store_true", help="measure nothing")
    if not parser.parse_args().docs:
        write(NAME, measured(read()))
    CONSTANTS.write_text(shipped(json.loads((RESULTS / f"{NAME}.json").read_text())))
    if PAGE.exists():
        PAGE.write_text(page())


if __name__ == "__main__":
    main()
