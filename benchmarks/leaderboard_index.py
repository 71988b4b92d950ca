"""The page of all sets: which strategies rank where, set by set and together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from labelwise.bench.findings import Setting, Standing
from labelwise.bench.names import REFERENCE
from labelwise.bench.penalty import penalty
from labelwise.bench.report import heats
from labelwise.bench.report import standing as ranked
from labelwise.bench.report.svg import GREY, colours
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.standing import standing
from labelwise.bench.targets import SHARES
from labelwise.bench.words import listed, percent, points
from labelwise.functional.curves import mean_interval
from leaderboard_cells import (
    HEAD,
    MADE,
    READABLE,
    best_of,
    difference_cell,
    of_sets,
    ratio_cell,
    seconds_cell,
    share_of,
)
from leaderboard_html import details, figure, heat, table
from leaderboard_runs import PROTOCOLS, Tested, sets_of, specs

SEEDS = frozenset(range(5))  # that a strategy must have on a set, for a rank


@dataclass(frozen=True)
class Block:
    """Sets and strategies without a hole: where mean ranks may be read."""

    settings: tuple[Setting, ...]
    found: Standing
    partial: tuple[str, ...]  # sets of the group that lack a strategy of the block


def restricted(setting: Setting, names: Iterable[str]) -> Setting:
    """Return the setting with some of its strategies, over the seeds that all of these have."""
    wanted = set(names)
    kept = [s for s in setting.strategies if s.name in wanted]
    seeds = sorted(set.intersection(*(set(s.seeds) for s in kept)))
    made = []
    for summary in kept:
        areas = tuple(summary.areas[summary.seeds.index(seed)] for seed in seeds)
        made.append(replace(summary, seeds=tuple(seeds), areas=areas, aubc=mean_interval(areas)))
    return replace(setting, strategies=tuple(made))


def block(settings: Sequence[Setting]) -> Block | None:
    """Return the largest table of sets and strategies without a hole, each cell with five seeds; None if it is small.

    What is largest `labelwise.bench.standing` says: the block with the most cells, of three sets and three strategies or
    more. Seeds are then those that all strategies of a set share, five at least.
    """
    enough = [_with_seeds(setting) for setting in settings]
    found = standing(enough)
    if found is None:
        return None
    kept = tuple(restricted(one, found.names) for one in enough if one.title in found.settings)
    again = standing(kept)
    assert again is not None  # the same block, over the seeds that its strategies share
    partial = tuple(s.title for s in settings if s.title not in found.settings)
    return Block(kept, replace(again, left_out=found.left_out), partial)


def _with_seeds(setting: Setting) -> Setting:
    return replace(setting, strategies=tuple(s for s in setting.strategies if set(s.seeds) >= SEEDS))


def shared_block(blocks: Sequence[Block]) -> Block | None:
    """Return the strategies that several blocks share, over all of their sets."""
    if not blocks:
        return None
    names = set.intersection(*(set(one.found.names) for one in blocks))
    kept = [restricted(s, names) for one in blocks for s in one.settings] if len(names) > 2 else []
    found = standing(kept)
    if found is None:
        return None
    everyone = {name for one in blocks for name in (*one.found.names, *one.found.left_out)}
    return Block(
        tuple(kept),
        replace(found, left_out=tuple(sorted(everyone - names))),
        tuple(title for one in blocks for title in one.partial),
    )


def sets_table(sets: Sequence[Tested]) -> Table:
    """Return one row a set: the best strategy, what it gains, the labels that it saves, what it costs."""
    columns = (
        Column("set"), Column("best strategy"), Column("AUBC more than random, points"),
        *(Column(f"labels to {percent(share, 0)}, ratio".replace(" %", "\u00a0%")) for share in SHARES),
        Column("s a batch, a point"), Column("seen from, points"), Column("kind"),
    )  # fmt: skip
    rows = []
    for one in sets:
        setting = one.setting
        best = best_of(setting)
        cost = next((c.per_point for c in setting.costs if c.strategy == best), None)
        power = None if setting.power is None else setting.power.difference
        kind = one.facts["kind"] if one.facts["modalities"] == 1 else f"{one.facts['modalities']} modalities"
        rows.append(Row(one.name, "", (
            Cell("–") if best is None else Cell(best + "†" * (best in one.companions), "", best),
            difference_cell(setting.pair(best, "aubc") if best else None),
            *(ratio_cell(share_of(setting, best, share)) if best else Cell("–") for share in SHARES),
            seconds_cell(cost),
            Cell("–") if power is None else Cell(f"{100 * power:.2f}", "", f"{power:.6f}"),
            Cell(kind, "", kind),
        )))  # fmt: skip
    return Table(
        columns,
        tuple(rows),
        "Best: gains most AUBC over random (“–”: none gains any); the best of many on the same runs flatters itself. Bold: clear after Holm's "
        "correction for every strategy of the set. Small: half the 95 % interval over seeds, or its ends. Ratio: labels over "
        "those of random until 90, 95 or 99 % of the full accuracy (which that is, the set's page says); below 1 is fewer; “≤” "
        "where not every run of random got there; “–” where random has it from the start or the strategy never. Seconds: of "
        "choosing a batch beyond random's, for a point of AUBC gained, where the gain is clear. Seen from: the true difference "
        "in points that these seeds would find 4 times in 5. †: trains a companion beside the classifier.",
    )


def ranks_table(found: Standing) -> Table:
    """Return mean ranks, and wins, ties and losses in all, of so many strategies that no matrix shows them."""
    wins, ties = np.array(found.wins), np.array(found.ties)
    rows = [
        Row(name, "", (
            Cell(f"{found.ranks[k]:.2f}", "", f"{found.ranks[k]:.6f}"),
            *(Cell(str(n), "", str(n)) for n in (int(wins[k].sum()), int(ties[k].sum()), int(wins[:, k].sum()))),
        ))
        for k, name in enumerate(found.names)
    ]  # fmt: skip
    columns = (
        Column("strategy"),
        Column("mean rank", "ascending"),
        Column("wins"),
        Column("ties"),
        Column("losses"),
    )
    return Table(
        columns,
        tuple(rows),
        f"Mean rank by AUBC over {listed(found.settings)}. Two strategies differ (Nemenyi, 5 % over all pairs) if their ranks "
        f"are {found.difference:.1f} or more apart. Wins, ties, losses: against all others, set by set, in paired t-tests "
        "with p < 0.05 after Holm's correction for all pairs of the set.",
    )


def group(
    title: str, about: str, one: Block | None, name: str, *, drawn: bool, first: bool = False
) -> list[str]:
    """Return a part of the first page: where strategies stand over some sets; the first is said above and unfolded."""
    lines = [f"## {title}", "", about, ""]
    if one is None:
        return [
            *lines,
            "*Not enough runs yet: ranks need three sets that share three strategies with seeds 0 to 4 each.*",
            "",
        ]
    found = one.found
    palette = colours([n for n in found.names if n != REFERENCE][:6]) | {REFERENCE: GREY}
    palette |= {n: GREY for n in found.names if n not in palette}
    lines += [] if first else [f"**{said(found)}**", ""]
    lines.append('<div class="board" data-search-exclude>')
    if len(found.names) <= READABLE:
        words = ranked.caption(found).replace("settings", "sets").replace("three seeds", "five seeds")
        lines.append(
            figure(
                lambda n, w: ranked.diagram(found, palette, n, width=w), f"{name}-ranks", words, drawn=drawn
            )
        )
        beaten = penalty(one.settings)
        outcomes = replace(
            ranked.outcomes(found, palette),
            caption=ranked.outcomes(found, palette).caption.replace("ettings", "ets"),
        )
        matrices = [("Wins, ties and losses, set by set", table(outcomes, f"{title}: wins, ties and losses"))]
        if beaten is not None:
            tested, untested = (of_sets(h) for h in heats.penalties(beaten))
            matrices += [
                ("Who beats whom along the curves, with a test", heat(tested)),
                ("Who beats whom along the curves, budget by budget, without a test", heat(untested)),
            ]
        for k, (head, inside) in enumerate(matrices):
            if first and k < 2:
                lines += [f"<h3>{head}</h3>", inside]
            else:
                lines.append(details(head, inside))
    else:
        lines.append(table(ranks_table(found), f"{title}: mean ranks", tall=True))
    lines += ["</div>", ""]
    if one.partial:
        lines += [f"Not counted, for want of runs: {listed([f'`{t}`' for t in one.partial])}.", ""]
    return lines


def said(found: Standing) -> str:
    """Return what ranks say, in a sentence."""
    return escape(ranked.headline(found).replace(" settings", " sets"))


def missing(sets: Sequence[Tested], lost: int) -> list[str]:
    """Return what the suite asks for and nobody has run yet, in words."""
    wanted = len(specs())
    there = sum(len(one.rows) for one in sets)
    lines = []
    if there < wanted:
        none = [name for name in sets_of() if name not in {one.name for one in sets}]
        part = [
            f"`{one.name}` ({len(one.rows):,} of {one.wanted:,})"
            for one in sets
            if len(one.rows) < one.wanted
        ]
        lines.append(f"{there:,} of the suite's {wanted:,} runs are there.")
        if part:
            lines.append(f"Sets that lack some: {listed(part)}.")
        if none:
            lines.append(f"Sets without any: {listed([f'`{name}`' for name in none])}.")
    if lost:
        lines.append(
            f"{lost:,} committed runs are of specs that the protocols no longer hold, and are left out."
        )
    return ["## What is missing", "", " ".join(lines), ""] if lines else []


def index(sets: Sequence[Tested], lost: int, *, drawn: bool) -> str:
    """Return the first page."""
    one = block([s.setting for s in sets if s.facts["modalities"] == 1])
    several = block([s.setting for s in sets if s.facts["modalities"] > 1])
    everywhere = shared_block([b for b in (one, several) if b is not None])
    cheap = {
        name
        for name, counts in sets_of().items()
        if any(p in counts for p in ("core/rest", "core/modalities"))
    }
    single = block([s.setting for s in sets if s.name in cheap and s.facts["modalities"] == 1])
    double = block([s.setting for s in sets if s.name in cheap and s.facts["modalities"] > 1])
    seeds = [len(s.seeds) for t in sets for s in t.setting.strategies]
    clear = [t for t in sets if (b := best_of(t.setting)) and (p := t.setting.pair(b, "aubc")) and p.clear]
    powers = sorted(t.setting.power.difference for t in sets if t.setting.power is not None)
    there = sum(len(t.rows) for t in sets)
    lines = [
        *HEAD, "# Leaderboard", "", MADE, "",
        f"On {len(clear)} of {len(sets)} sets some strategy is clearly better than picking at random. "
        + (f"**{said(everywhere.found)}**" if everywhere else ""), "",
        f"{there:,} campaigns{' so far' if there < len(specs()) else ''}, {min(seeds)} to {max(seeds)} seeds a strategy and set, every strategy with "
        "its default parameters, the same start batches and the same seeds of fits. "
        + (f"With these seeds, true differences under {points(powers[len(powers) // 2])} points of AUBC are mostly invisible on the "
           "median set. " if powers else "")
        + "Strategies that know the labels (`grand-oracle`) and variants of a strategy stand on the pages of the sets, never in a rank. "
        "What each strategy is: [every strategy](../strategies.md); the sets: [data sets](../data.md); "
        "how to run your own: [compare strategies](../compare.md).", "",
        "## Set by set", "",
        "Follow a set to its curves, every method, and the command of every run.", "",
        '<div class="board" data-search-exclude>',
        table(sets_table(sets), "Sets", {t.name: f"{t.name}/" for t in sets}),
        "</div>", "",
        *group("Strategies on every set",
               "What ran on sets of one modality and of several alike. Sets made of the same material are not independent.",
               everywhere, "all", drawn=drawn, first=True),
        *group("One modality", "Images and text, balanced, imbalanced and long-tailed.", one, "one", drawn=drawn),
        *group("Several modalities", "As they are, with one modality weakened, and with 30 % of each missing.", several, "several",
               drawn=drawn),
        *group("Every other strategy, on cheap sets", "The rest of the strategies ran on three sets of one modality only, beside random, margin and BADGE.", single,
               "rest", drawn=drawn),
        *group("Strategies for several modalities, on cheap sets",
               "What needs several modalities and is not in the comparison above, on three sets.", double, "modal", drawn=drawn),
        *missing(sets, lost),
        "## How it was made", "",
        "`python benchmarks/leaderboard.py` makes these pages and "
        "`labelwise.bench.leaderboard` from the committed results: "
        + listed([f"`benchmarks/results/{name}.json`" for name in PROTOCOLS]) + ". "
        "The runs themselves: `labelwise bench --suite core` ([several protocols as one](../compare.md)). AUBC is the area under test "
        "accuracy against labels, divided by the labels: a mean accuracy. No strategy and no fit ever saw test "
        "data. All seconds are wall seconds on two shared cores: read their size, not their digits.", "",
    ]  # fmt: skip
    return "\n".join(lines)
