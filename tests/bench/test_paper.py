"""What the paper printed: read or refused in words, shown apart, and never part of our numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fabricated import run

from labelwise.bench.compare import compare
from labelwise.bench.paper import Paper, Printed
from labelwise.bench.report import write_report
from labelwise.bench.report.printed import beside
from labelwise.bench.spec import read_bench
from labelwise.errors import InputError

GOOD = """
[recipe]
name = "logistic"
[axis.set.digits]
task = { name = "digits" }
[axis.method.random]
"strategy.name" = "random"
[axis.method.margin]
"strategy.name" = "margin"
[grid]
"plan.seed" = [0, 1]
[scale.full.axis.set.halves]
task = { name = "digit-halves" }
[paper]
source = "A paper, table 1"
measures = ["AUBC", "F-acc"]
note = "two seeds"
[paper.numbers.digits]
random = [0.5, 0.75]
[paper.numbers.halves]
random = [0.25, 1]
[paper.half_widths.digits]
random = [0.01, 0.02]
"""
SETS = ("one", "two")


def read(tmp_path, text=GOOD, scale=None):
    path = tmp_path / "paper.toml"
    path.write_text(text)
    return read_bench(path, scale)


def paper(**changes):
    numbers = {"one": {"random": (0.5, 0.6), "other": (0.7, 0.8)}, "three": {"random": (0.1, 0.2)}}
    given = Paper(
        "A paper <b>, table 1", ("AUBC", "F-acc"), numbers, {"one": {"random": (0.01, 0.02)}}, "a note"
    )
    return replace(given, **changes)


def runs_and_cells():
    made = {}
    for where in SETS:
        for name in ("random", "margin"):
            for seed in range(2):
                one = run(name, seed, (0.5, 0.7, 0.9 + 0.02 * seed), task={"name": where})
                made[one.id] = (one, (where, name))
    return [one for one, _ in made.values()], {key: cell for key, (_, cell) in made.items()}


def test_a_protocol_holds_what_the_paper_printed(tmp_path):
    made = read(tmp_path)
    printed = made.printed
    assert printed.paper.numbers == {"digits": {"random": (0.5, 0.75)}, "halves": {"random": (0.25, 1.0)}}
    assert printed.paper.half_widths == {"digits": {"random": (0.01, 0.02)}}
    assert {printed.runs[s.id] for s in made.specs} == {("digits", "random"), ("digits", "margin")}
    assert printed.scale == "mini"
    assert set(read(tmp_path, scale="full").printed.runs.values()) == {
        ("halves", "random"),
        ("halves", "margin"),
    }
    assert read(tmp_path, GOOD.partition("[paper]")[0]).printed is None


def test_without_axes_there_is_one_set_and_methods_are_strategies(tmp_path):
    text = """
[task]
name = "digits"
[recipe]
name = "logistic"
[grid]
"strategy.name" = ["random", "margin"]
[paper]
source = "A paper"
measures = ["F-acc"]
[paper.numbers.what-the-paper-calls-it]
margin = [0.5]
"""
    made = read(tmp_path, text)
    assert set(made.printed.runs.values()) == {
        (n, m) for n in made.printed.paper.numbers for m in ("random", "margin")
    }


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("[paper]", "paper = 3\n[papers]", "papers is unknown. Did you mean 'paper'?"),
        ('source = "A paper, table 1"', 'sorce = "x"', "paper.sorce is unknown. Did you mean 'source'?"),
        ('source = "A paper, table 1"', "", "paper.source is missing."),
        ('source = "A paper, table 1"', "source = 3", "paper.source must be a text; it is 3."),
        ('["AUBC", "F-acc"]', "3", "paper.measures must be a list of names; it is 3."),
        ('["AUBC", "F-acc"]', '["AUC", "F-acc"]', "paper.measures: 'AUC' is unknown. Did you mean 'AUBC'?"),
        ("numbers.digits]", "numbers.digit]", "paper.numbers.digit is no case of the axis 'set'. Did you mean 'digits'?"),
        ("random = [0.5, 0.75]", "rando = [0.5, 0.75]", "digits.rando is no method here. Did you mean 'random'?"),
        ("random = [0.5, 0.75]", "random = [0.5]", "must be a list of 2 numbers, one for each of paper.measures; it is [0.5]"),
        ("random = [0.5, 0.75]", "random = [0.5, true]", "must be a list of 2 numbers"),
        ("random = [0.5, 0.75]", "random = [0.5, nan]", "must be a list of 2 numbers"),
        ("[paper.numbers.digits]", "[paper.numbers]\ndigits = 3\n[paper.half_widths.halves]", "must be a table of methods; it is 3."),
        ('"plan.seed" = [0, 1]', '"plan.batch" = [5, 10]', "plan.batch varies, too"),
        ("[axis.set.digits]", "[axis.noise.low]\n[axis.set.digits]", "noise varies, too"),
    ],
)  # fmt: skip
def test_every_wrong_key_is_refused_in_words(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(InputError) as error:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert words in str(error.value) and "paper.toml" in str(error.value)


def test_the_table_holds_both_and_leaves_empty_what_has_no_counterpart():
    runs, cells = runs_and_cells()
    found = beside(compare(runs), Printed(paper(), cells, "mini"))
    assert [(name, [line.method for line in lines]) for name, lines in found.sets] == [
        ("one", ["random", "other", "margin"]),
        ("three", ["random"]),
    ]
    random, other, margin = found.sets[0][1]
    assert [(c.text, c.small) for c in random.printed] == [("0.500", "±0.010"), ("0.600", "±0.020")]
    # two trapezoids of one width: (.5 + .7)/2 and (.7 + .91)/2 where .91 is the mean of .9 and .92
    assert [c.text for c in random.measured] == [f"{(0.6 + 0.805) / 2:.3f}", "0.910"]
    # seeds .9 and .92: s = .014142, half = 12.7062 s / sqrt(2) = .12706
    assert random.measured[1].small == "±0.127"
    assert random.seeds == "2"
    assert other.measured == (None, None) and other.seeds == ""
    assert margin.printed == (None, None) and margin.measured[1].text == "0.910"
    assert found.sets[1][1][0].measured == (None, None)
    assert "differ from the paper's (scale mini" in found.words
    full = beside(compare(runs), Printed(paper(), cells, "full"))
    assert full.words.startswith("Data and sizes are the paper's")


def test_the_papers_numbers_change_nothing_else(tmp_path):
    runs, cells = runs_and_cells()
    with_it = write_report(
        runs, tmp_path / "a" / "report.html", name="x", printed=Printed(paper(), cells, "mini")
    )
    without = write_report(runs, tmp_path / "b" / "report.html", name="x")
    for kind in ("html", "md"):
        mine, bare = (report.paths[kind].read_text() for report in (with_it, without))
        head = '<section id="printed">' if kind == "html" else "## What the paper printed"
        start = mine.index(head)
        end = mine.index('<section id="made">' if kind == "html" else "## How it was made")
        rest = (mine[:start] + mine[end:]).replace('<a href="#printed">What the paper printed</a>', "")
        assert rest == bare
        assert "&lt;b&gt;" in mine[start:end] and "<b>" not in mine[start:end]
        assert "printed in A paper" in mine[start:end] and "measured here" in mine[start:end]
    assert with_it.paths["csv"].read_text() == without.paths["csv"].read_text()
    told = json.loads(with_it.paths["json"].read_text())
    printed = told.pop("printed")
    assert told == json.loads(without.paths["json"].read_text())
    assert printed["numbers"]["one"]["other"] == [0.7, 0.8]
    assert {(m["set"], m["method"]) for m in printed["measured"]} == set(cells.values())
    assert {m["setting"] for m in printed["measured"]} == {s["key"] for s in told["settings"]}
