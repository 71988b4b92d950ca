"""The page of one set: its curves, every method, and the command of every run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

from labelwise.bench.findings import Pair, Setting, Summary
from labelwise.bench.names import CHEATS, REFERENCE
from labelwise.bench.penalty import penalty
from labelwise.bench.report import heats, tables
from labelwise.bench.report.figures import learning_curves
from labelwise.bench.report.svg import GREY, colours
from labelwise.bench.report.tables import Cell, Column, Row, Table
from labelwise.bench.targets import SHARES
from labelwise.bench.words import count, listed, percent
from leaderboard_cells import (
    HEAD,
    MADE,
    READABLE,
    difference_cell,
    labels_cell,
    of_sets,
    ordered,
    p_cell,
    seconds_cell,
    share_of,
)
from leaderboard_html import details, figure, heat, table
from leaderboard_runs import SCRIPTS, Tested

LOUD = 5  # coloured curves beside random's
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
        reached = [labels_cell(share_of(setting, name, share)) for share in SHARES]
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
        _share(summary.aubc), _share(summary.final), difference_cell(pair), p_cell(pair), *reached, seconds_cell(summary.choosing),
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
        tested = of_sets(heats.penalties(beaten)[0])
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
