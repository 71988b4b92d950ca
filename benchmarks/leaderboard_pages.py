"""The pages of the leaderboard: one of all sets, one of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np

from labelwise.bench.findings import Pair, Setting, Share, Standing, Summary
from labelwise.bench.names import CHEATS, REFERENCE
from labelwise.bench.penalty import penalty
from labelwise.bench.report import heats, tables
from labelwise.bench.report import standing as ranked
from labelwise.bench.report.figures import learning_curves
from labelwise.bench.report.svg import GREY, colours
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.standing import standing
from labelwise.bench.targets import SHARES
from labelwise.bench.words import count, listed, percent, points
from labelwise.functional.curves import mean_interval
from leaderboard_html import details, figure, heat, table
from leaderboard_runs import PROTOCOLS, SCRIPTS, Tested, sets_of, specs

SEEDS = frozenset(range(5))  # that a strategy must have on a set, for a rank
READABLE = 22  # strategies in a matrix
LOUD = 5  # coloured curves beside random's
HEAD = ["---", "hide:", "  - toc", "---", ""]
MADE = "<!-- made by `python benchmarks/leaderboard.py` from the committed results; do not edit -->"
# What a set is made of, by its task.
ABOUT = {
    "digits": "Handwritten digits of 8 × 8 pixels, as they come with scikit-learn",
    "digit-halves": "Handwritten digits of 8 × 8 pixels, their top and bottom halves as two modalities",
    "mnist": "Handwritten digits: MNIST",
    "fashion-mnist": "Photographs of clothes: Fashion-MNIST",
    "pneumonia-mnist": "X-rays of children's chests, with pneumonia or without: PneumoniaMNIST",
    "sign-digits": "Photographs of hands that sign a digit, split by person",
    "trashnet": "Photographs of waste to be sorted: TrashNet",
    "banking77": "What customers ask their bank, in one sentence each: BANKING77",
    "mfeat": "Handwritten digits in six views: pixels, Fourier and Karhunen-Loève coefficients, profiles, moments and shapes",
    "digit-pairs": "Digits that are written (MNIST), spoken (FSDD) and, with three modalities, signed with a hand",
    "phone-watch-har": "What people do, from the sensors of a phone and a watch, and facts about the person",
    "mulberry": "Drawings of symbols and the words that they stand for",
    "womens-reviews": "Reviews of clothes: the text, and facts about the buyer and the item, from which to tell whether it is recommended",
}


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


def gain(setting: Setting, name: str) -> float:
    """Return how much AUBC a strategy has more than random over the seeds of both; 0 for random itself."""
    pair = setting.pair(name, "aubc")
    return pair.mean if pair is not None and pair.against == REFERENCE else 0.0


def ordered(setting: Setting) -> list[Summary]:
    """Return the strategies by what they gain over random, seed by seed: means over unequal seeds have no order."""
    return sorted(setting.strategies, key=lambda s: (-gain(setting, s.name), s.name))


def best_of(setting: Setting) -> str | None:
    """Return the strategy that gains most over random; None where random is best or alone."""
    first = ordered(setting)[0].name
    return None if first == REFERENCE else first


def share_of(setting: Setting, name: str, share: float) -> Share | None:
    """Return the labels that a strategy needed for a share of the full accuracy; None where it was left out."""
    return next((s for s in setting.shares if (s.strategy, s.share) == (name, share)), None)


def signed(value: float) -> str:
    """Return a difference in points with its sign, two decimals."""
    return f"{100 * value:+.2f}".replace("-", "−")


def _difference(pair: Pair | None) -> Cell:
    if pair is None:
        return Cell("–")
    half = "" if pair.half is None else f"±{100 * pair.half:.2f}"
    return Cell(signed(pair.mean), half, f"{pair.mean:.6f}", pair.clear)


def _p(pair: Pair | None) -> Cell:
    p = None if pair is None else pair.p_holm
    if p is None:
        return Cell("–")
    return Cell("< 0.001" if p < 0.001 else f"{p:.3f}", "", f"{p:.6g}")


def _labels(found: Share | None) -> Cell:
    if found is None:
        return Cell("–")
    if found.labels is None:
        return Cell("–", f"{found.reached} of {found.of}")
    return Cell(count(found.labels.mean), "", f"{found.labels.mean:.1f}")


def _ratio(found: Share | None) -> Cell:
    if found is None:
        return Cell("–")
    if found.ratio is not None:
        ends = "" if found.ratio.low is None else f"{found.ratio.low:.2f}–{found.ratio.high:.2f}"
        return Cell(f"{found.ratio.mean:.2f}", ends, f"{found.ratio.mean:.4f}")
    return Cell("–") if found.at_most is None else Cell(f"≤ {found.at_most:.2f}", "", f"{found.at_most:.4f}")


def _seconds(value: float | None) -> Cell:
    if value is None:
        return Cell("–")
    shown = f"{value:.2g}" if value < 10 else f"{value:,.0f}"
    return Cell("0" if value < 5e-4 else shown, "", f"{value:.6f}")


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
            _difference(setting.pair(best, "aubc") if best else None),
            *(_ratio(share_of(setting, best, share)) if best else Cell("–") for share in SHARES),
            _seconds(cost),
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
            tested, untested = (_of_sets(h) for h in heats.penalties(beaten))
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


def _of_sets(shown: heats.Heat) -> heats.Heat:
    words = (
        shown.caption.replace("each setting", "each set")
        .replace("settings", "sets")
        .replace("this setting", "this set")
    )
    return replace(shown, caption=words)


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


def results_table(one: Tested, palette: Mapping[str, str]) -> Table:
    """Return one row a method: strategies by their gain over random, then variants and those that know labels."""
    setting = one.setting
    columns = (
        Column("method"), Column("AUBC, %"), Column(f"at {count(setting.span[1])} labels, %"),
        Column("AUBC more than random, points", "descending"), Column("p (Holm)"),
        *(Column(f"labels to {percent(share, 0)}".replace(" %", "\u00a0%")) for share in SHARES),
        Column("s a batch"), Column("seeds"),
    )  # fmt: skip
    rows = []
    for summary in ordered(setting):
        name, pair = summary.name, setting.pair(summary.name, "aubc")
        own = pair if pair is not None and pair.against == REFERENCE else None
        reached = [_labels(share_of(setting, name, share)) for share in SHARES]
        shown = name + "†" * (name in one.companions)
        loud = palette[name] != GREY or name == REFERENCE
        rows.append(_row(shown, palette[name] if loud else "transparent", summary, own, reached))
    if one.aside is not None:
        for summary in ordered(one.aside):
            if summary.name != REFERENCE:
                plain = summary.name.removesuffix(f" ({CHEATS})")
                mark = "cheats" if plain != summary.name else f"variant of {one.variants.get(plain, '?')}"
                pair = (
                    replace(found, p_holm=None, clear=False)
                    if (found := one.aside.pair(summary.name, "aubc"))
                    else None
                )
                rows.append(
                    _row(f"{plain} ({mark})", "transparent", summary, pair, [Cell("–")] * len(SHARES))
                )
    caption = (
        f"AUBC: area under accuracy against labels over {count(setting.span[0])} to {count(setting.span[1])} labels, divided by "
        "that span. Small: half the 95 % interval over seeds (Student's t). Differences are paired by seed; p is of the paired "
        "t-test after Holm's correction for the strategies of this table, bold where it is under 0.05 and both the t and the "
        "bootstrap interval exclude 0. Labels: mean over seeds, or how many of them got there. Seconds: of choosing one batch, "
        "scoring included."
    )
    if one.companions:
        names = ", ".join(f"{name} ({recipe})" for name, recipe in sorted(one.companions.items()))
        caption += (
            f" † trains a companion beside the same classifier, which may train it differently: {names}."
        )
    if one.aside is not None:
        caption += (
            " Variants and what cheats (it knows the labels of the pool) are in no rank and in no correction."
        )
    return Table(columns, tuple(rows), caption)


def _row(name: str, colour: str, summary: Summary, pair: Pair | None, reached: list[Cell]) -> Row:
    return Row(name, colour, (
        _share(summary.aubc), _share(summary.final), _difference(pair), _p(pair), *reached, _seconds(summary.choosing),
        Cell(str(len(summary.seeds)), "", str(len(summary.seeds))),
    ))  # fmt: skip


def _share(interval: Any) -> Cell:
    half = "" if interval.high is None else f"±{100 * (interval.high - interval.mean):.1f}"
    return Cell(f"{100 * interval.mean:.2f}", half, f"{interval.mean:.6f}")


def what(one: Tested) -> str:
    """Return what the set is, in a sentence or two."""
    facts, task = one.facts, dict(one.shared["task"])
    about = ABOUT.get(str(task.pop("name")), one.name)
    shapes = listed([
        f"{name} ({'text' if shape == 'text' else ' × '.join(map(str, shape)) + (' numbers' if len(shape) == 1 else '')})"
        for name, shape in facts["shapes"].items()
    ])  # fmt: skip
    changes = []
    if corrupt := task.get("corrupt"):
        changes.append(
            f"{corrupt['modality']} weakened by {corrupt['kind']} (amount {corrupt['amount']:g}) in training and test"
        )
    if gone := task.get("missing"):
        changes.append(f"{percent(max(gone.values()), 0)} of each modality missing in training and test")
    if task.get("speakers") == "new":
        changes.append("speakers of the test that training has not heard")
    balance = (
        f"classes as good as even ({count(facts['smallest'])} to {count(facts['largest'])} each)"
        if facts["imbalance"] < 1.3
        else f"the largest class {facts['imbalance']:g} times the smallest ({count(facts['largest'])} to {count(facts['smallest'])})"
    )
    return (
        f"{about}{'; ' if changes else ''}{'; '.join(changes)}. {facts['classes']} classes; each sample has {shapes}. The pool holds "
        f"{count(facts['pool'])} samples, {balance}; {count(facts['test'])} test."
    )


def full_words(setting: Setting) -> str:
    """Return what 100 % is, where labels to a share of the full accuracy are told."""
    full = setting.full
    assert full is not None
    if full.runs:
        return f"100 % is the accuracy with every label of the pool, {percent(full.accuracy)}: the mean of {full.runs} fits."
    return (
        f"Nobody has fitted every label of this set yet: 100 % stands for the best mean accuracy of any strategy at the budget, "
        f"{percent(full.accuracy)}, so that all shares are easier to reach than those of the full data."
    )


def spoken_of(setting: Setting) -> str:
    """Return the finding in a sentence, and how small a difference these seeds can show."""
    blind = [line for line in setting.detail if line.startswith("With ")]
    return " ".join([f"**{escape(setting.headline)}**", *map(escape, blind)])


def set_page(one: Tested, *, drawn: bool) -> str:
    """Return the page of a set."""
    setting, plan = one.setting, one.shared["plan"]
    order = [s.name for s in ordered(setting)]
    palette = dict.fromkeys(order, GREY) | colours([name for name in order if name != REFERENCE][:LOUD])
    curves = figure(
        lambda n, w: learning_curves(setting, palette, n, width=w, height=440 if w > 500 else 380),
        "curves",
        f"Mean accuracy on test data over seeds, with its 95 % interval. In colour: the {min(LOUD, len(order) - 1)} strategies that "
        "gain most over random, and random; the others are thin, and named where the pointer rests. The axis starts where the data do.",
        drawn=drawn,
    )
    most = [name for name in order if name != REFERENCE][: READABLE - 1]
    beaten = penalty(
        [replace(setting, strategies=tuple(s for s in setting.strategies if s.name in {*most, REFERENCE}))]
    )
    shares = tables.shares(setting, palette)
    costs = tables.costs(setting, palette)
    lines = [
        *HEAD, f"# {one.name}", "", MADE, "", "[← All sets](index.md)", "", spoken_of(setting), "",
        f"{escape(what(one))} Campaigns buy {count(plan['start'])} labels at random, then {count(plan['batch'])} a round up to "
        f"{count(plan['budget'])}. {full_words(setting)}", "",
    ]  # fmt: skip
    if len(one.rows) < one.wanted:
        lines += [f"**Not finished:** {len(one.rows):,} of {one.wanted:,} runs are there.", ""]
    lines += [
        "## Learning curves", "", '<div class="board" data-search-exclude>', curves, "</div>", "",
        "## Every method", "", '<div class="board" data-search-exclude>',
        table(results_table(one, palette), f"Methods on {one.name}", tall=len(one.setting.strategies) > READABLE), "</div>", "",
    ]  # fmt: skip
    if shares is not None:
        lines += [
            "## Labels saved, and what choosing costs", "", '<div class="board" data-search-exclude>',
            details("Labels for shares of the full accuracy, and their ratio to random's", table(shares, "Labels for shares")),
            *([details("What choosing costs", table(costs, "What choosing costs"))] if costs is not None else []),
            "</div>", "",
        ]  # fmt: skip
    if beaten is not None:
        tested = _of_sets(heats.penalties(beaten)[0])
        few = (
            ""
            if len(beaten.names) == len(order)
            else f"The {len(most)} strategies that gain most over random, and random. "
        )
        lines += [
            "## Who beats whom", "", '<div class="board" data-search-exclude>',
            heat(replace(tested, caption=few + tested.caption)), "</div>", "",
        ]  # fmt: skip
    lines += ["## Every run", "", '<div class="board" data-search-exclude>', provenance(one), "</div>", ""]
    return "\n".join(lines)


def provenance(one: Tested) -> str:
    """Return the commands of the runs, the spec that they share, and the id and commit of each, folded away."""
    protocols = list(dict.fromkeys(row.protocol for row in one.rows))
    commands = "\n".join(
        f"labelwise bench --protocol {p} --only {one.name} --only METHOD --seeds SEED" for p in protocols
    )
    scripts = "\n".join(f"python benchmarks/{SCRIPTS.get(p, 'core')}.py --only {one.name}" for p in protocols)
    shared = {key: value for key, value in one.shared.items() if key != "strategy"}
    shared["plan"] = {key: value for key, value in shared["plan"].items() if key != "seed"}
    spec = "\n".join(f"{key} = {json.dumps(value)}" for key, value in shared.items())
    by: dict[tuple[str, str], list[Any]] = {}
    for row in sorted(one.rows, key=lambda row: (row.method, row.kept["seed"])):
        by.setdefault((row.case, row.protocol), []).append(row)
    lines = []
    for (case, protocol), rows in by.items():
        strategy = {key: value for key, value in rows[0].spec["strategy"].items() if key != "name"}
        params = f" {escape(json.dumps(strategy))}" if strategy else ""
        ids = " ".join(f"{row.kept['seed']}:{row.id}@{row.kept['commit']}" for row in rows)
        lines.append(
            f'<tr><th scope="row">{escape(case)}</th><td>{escape(rows[0].strategy)}{params}</td><td>{protocol}</td>'
            f'<td class="ids">{ids}</td></tr>'
        )
    head = "<th>case</th><th>strategy</th><th>protocol</th><th>seed : spec @ commit</th>"
    inside = (
        f"<p>One run, as it was made; its file is called by the spec’s id:</p>\n<pre><code>{commands}</code></pre>\n"
        f"<p>What is not committed yet, on this set:</p>\n<pre><code>{scripts}</code></pre>\n"
        f"<p>What all runs share (a companion’s recipe adds its own part):</p>\n<pre><code>{escape(spec)}</code></pre>\n"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table class="runs"><thead><tr>{head}</tr></thead><tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )
    return details(f"Commands, spec, and the ids and commits of {len(one.rows):,} runs", inside)


def pages(sets: Sequence[Tested], lost: int, *, drawn: bool = True) -> dict[str, str]:
    """Return file name -> text of every page."""
    return {
        "index.md": index(sets, lost, drawn=drawn),
        **{f"{one.name}.md": set_page(one, drawn=drawn) for one in sets},
    }
