"""Axes of named cases: every combination, who wins over whom, scales, and choosing runs by name."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from labelwise.bench.spec import read_bench
from labelwise.cli import app
from labelwise.errors import InputError, UnknownName

GOOD = """
name = "trial"
[task]
name = "digits"
[recipe]
name = "cnn"
epochs = 9
[plan]
start = 20
batch = 10
budget = 60
[axis.set.whole]
[axis.set.halves]
task = { name = "digit-halves" }
"plan.start" = 40
[axis.method.random]
"strategy.name" = "random"
[axis.method.waal]
"strategy.name" = "waal"
"recipe.name" = "waal"
[grid]
"plan.seed" = [0, 1]
[scale.smoke]
"plan.budget" = 50
"plan.start" = 30
"plan.seed" = [7]
[scale.other.axis.set.small]
"plan.start" = 10
[scale.other.axis.set.large]
"plan.start" = 50
"""


def read(tmp_path, text=GOOD, scale=None, only=()):
    path = tmp_path / "axes.toml"
    path.write_text(text)
    return read_bench(path, scale, only)


def test_every_case_of_every_axis_meets_every_value_of_the_grid(tmp_path):
    made = read(tmp_path)
    assert [
        (s.task.name, s.plan.start, s.strategy.name, s.recipe.name, s.recipe.params["epochs"], s.plan.seed)
        for s in made.specs
    ] == [
        ("digits", 20, "random", "cnn", 9, 0),
        ("digits", 20, "random", "cnn", 9, 1),
        ("digits", 20, "waal", "waal", 9, 0),
        ("digits", 20, "waal", "waal", 9, 1),
        ("digit-halves", 40, "random", "cnn", 9, 0),
        ("digit-halves", 40, "random", "cnn", 9, 1),
        ("digit-halves", 40, "waal", "waal", 9, 0),
        ("digit-halves", 40, "waal", "waal", 9, 1),
    ]
    assert made.cases[3] == {"set": "whole", "method": "waal"}
    assert made.scale == "mini"


def test_a_whole_table_replaces_the_files_and_dotted_keys_add_to_it(tmp_path):
    text = GOOD.replace('name = "digits"\n', 'name = "digits"\ntest_size = 100\n')
    sizes = {spec.task.name: spec.task.params for spec in read(tmp_path, text).specs}
    assert sizes == {"digits": {"test_size": 100}, "digit-halves": {}}


def test_later_axes_win_over_earlier_ones(tmp_path):
    text = GOOD.replace('"recipe.name" = "waal"', '"recipe.name" = "waal"\n"plan.start" = 33')
    starts = {(s.task.name, s.strategy.name): s.plan.start for s in read(tmp_path, text).specs}
    assert starts == {
        ("digits", "random"): 20,
        ("digits", "waal"): 33,
        ("digit-halves", "random"): 40,
        ("digit-halves", "waal"): 33,
    }


def test_a_scale_wins_over_cases_and_replaces_lists_of_the_grid(tmp_path):
    made = read(tmp_path, scale="smoke")
    assert {(s.plan.start, s.plan.budget, s.plan.seed) for s in made.specs} == {(30, 50, 7)}
    assert len(made.specs) == 4
    assert made.scale == "smoke"


def test_a_whole_table_of_a_scale_keeps_what_the_grid_varies(tmp_path):
    text = GOOD + "[scale.whole]\nplan = { start = 11, batch = 5, budget = 22 }\n"
    plans = [(s.plan.start, s.plan.batch, s.plan.seed) for s in read(tmp_path, text, "whole").specs]
    assert plans == [(11, 5, 0), (11, 5, 1)] * 4


def test_a_scale_replaces_a_whole_axis(tmp_path):
    made = read(tmp_path, scale="other")
    assert {case["set"] for case in made.cases} == {"small", "large"}
    assert {s.plan.start for s in made.specs} == {10, 50}
    assert {case["method"] for case in made.cases} == {"random", "waal"}


WHEN = """
[[when]]
set = "halves"
method = ["waal"]
change = { "strategy.weight" = 3.0, "plan.start" = 44 }
"""


def test_an_exception_holds_where_all_its_cases_meet(tmp_path):
    made = read(tmp_path, GOOD + WHEN)
    found = {(c["set"], c["method"]): s for c, s in zip(made.cases, made.specs, strict=True)}
    assert {key for key, spec in found.items() if spec.strategy.params} == {("halves", "waal")}
    assert found["halves", "waal"].plan.start == 44
    assert found["halves", "random"].plan.start == 40


def test_a_scale_adds_exceptions_and_wins_over_them(tmp_path):
    more = '[[scale.smoke.when]]\nmethod = "waal"\nchange = { "strategy.weight" = 5.0 }\n'
    made = read(tmp_path, GOOD + WHEN + more, "smoke")
    assert {s.strategy.params.get("weight") for s in made.specs} == {None, 5.0}
    assert {s.plan.start for s in made.specs} == {30}
    assert {s.strategy.params.get("weight") for s in read(tmp_path, GOOD + more).specs} == {None}
    # a case that only another scale has is no mistake
    assert len(read(tmp_path, GOOD + WHEN.replace('"halves"', '"small"')).specs) == 8


def test_an_exception_takes_other_lists_of_the_grid_and_a_scale_wins_over_them(tmp_path):
    more = '[[when]]\nset = "halves"\ngrid = { "plan.seed" = [0, 1, 2, 3] }\n'
    found = read(tmp_path, GOOD + more)
    seeds = {set_: set() for set_ in ("halves", *(c["set"] for c in found.cases))}
    for case, spec in zip(found.cases, found.specs, strict=True):
        seeds[case["set"]].add(spec.plan.seed)
    assert seeds.pop("halves") == {0, 1, 2, 3}
    assert set(map(frozenset, seeds.values())) == {frozenset({0, 1})}
    scaled = GOOD + more + '[scale.one]\n"plan.seed" = [7]\n'
    assert {spec.plan.seed for spec in read(tmp_path, scaled, "one").specs} == {7}
    for wrong, words in (
        ('"plan.seed" = []', "when.grid.plan.seed must be a list with at least one value"),
        ('"plan.sed" = [1]', "when.grid.plan.sed is no list of the grid. Did you mean 'plan.seed'?"),
    ):
        with pytest.raises(InputError) as error:
            read(tmp_path, GOOD + more.replace('"plan.seed" = [0, 1, 2, 3]', wrong))
        assert words in str(error.value)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('set = "halves"', 'sets = "halves"', "when.sets is no axis. Did you mean 'set'?"),
        ('set = "halves"', 'set = "half"', "when.set: there is no case 'half'. Did you mean 'halves'?"),
        ("change", "chnge", "when must name cases of an axis and what to `change`"),
        ("[[when]]", "[when]", "when must be a list of tables, [[when]]"),
        ("[[when]]", "[[scale.smoke.when]]\nchange = 3\n[[when]]", "scale.smoke.when.change must be a table; it is 3."),
        ('"strategy.weight"', '"strategy.wait"', "strategy.wait is unknown for 'waal'. Did you mean 'weight'?"),
    ],
)  # fmt: skip
def test_a_wrong_exception_is_refused_in_words(tmp_path, old, new, words):
    with pytest.raises(InputError) as error:
        read(tmp_path, GOOD + WHEN.replace(old, new, 1))
    assert words in str(error.value) and "axes.toml" in str(error.value)


@pytest.mark.parametrize(
    "only, cases",
    [
        (["waal"], {("whole", "waal"), ("halves", "waal")}),
        (["waal", "whole"], {("whole", "waal")}),
        (["whole", "halves", "random"], {("whole", "random"), ("halves", "random")}),
        (["method=waal", "set=halves"], {("halves", "waal")}),
        (["digit-halves"], {("halves", "random"), ("halves", "waal")}),
    ],
)
def test_runs_are_chosen_by_the_names_of_their_cases(tmp_path, only, cases):
    made = read(tmp_path, only=only)
    assert {(case["set"], case["method"]) for case in made.cases} == cases
    assert len(made.specs) == 2 * len(cases)


def test_without_axes_runs_are_chosen_by_strategy_and_task(tmp_path):
    text = """
[recipe]
name = "logistic"
[grid]
"strategy.name" = ["random", "margin"]
"task.name" = ["digits", "digit-halves"]
"""
    assert {s.strategy.name for s in read(tmp_path, text, only=["margin"]).specs} == {"margin"}
    made = read(tmp_path, text, only=["margin", "random", "digits"])
    assert {(s.strategy.name, s.task.name) for s in made.specs} == {
        ("random", "digits"),
        ("margin", "digits"),
    }


def test_an_unknown_name_lists_the_names_there_are(tmp_path):
    with pytest.raises(UnknownName) as error:
        read(tmp_path, only=["wal"])
    said = str(error.value)
    assert "Did you mean 'waal'?" in said
    assert "digit-halves, digits, halves, random, waal, whole" in said


def test_a_name_on_two_axes_must_say_which(tmp_path):
    text = GOOD.replace("[axis.set.halves]", "[axis.set.random]")
    with pytest.raises(InputError, match="write set=random or method=random"):
        read(tmp_path, text, only=["random"])
    made = read(tmp_path, text, only=["set=random", "method=waal"])
    assert {s.task.name for s in made.specs} == {"digit-halves"}


def test_names_that_exclude_each_other_leave_nothing_and_say_so(tmp_path):
    text = GOOD.replace(
        '[axis.method.waal]\n"strategy.name" = "waal"', '[axis.method.waal]\n"task.name" = "digits"'
    )
    with pytest.raises(InputError, match="no run is waal and digit-halves at once"):
        read(tmp_path, text, only=["waal", "digit-halves"])


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('"plan.start" = 40', '"plan.strat" = 40', "plan.strat is unknown. Did you mean 'start'?"),
        ('"plan.start" = 40', '"pln.start" = 40', "pln is unknown. Did you mean 'plan'?"),
        ('"plan.start" = 40', '"plan.batch" = 0', "set halves, method random: plan.batch must be"),
        ("[axis.set.whole]", "[axes.set.whole]", "axes is unknown. Did you mean 'axis'?"),
        ("[axis.set.whole]", "[axis.set]\nwhole = 3", "axis.set.whole must be a table; it is 3."),
        ("[axis.method.random]", "[axis.empty]\n[axis.method.random]", "axis.empty must have at least one case."),
        ("[scale.smoke]", "[scale.smoke]\naxis = 3", "scale.smoke.axis must be a table; it is 3."),
        ("[scale.smoke]", "[scale.smoke.axis.sets.small]\n[scale.smoke]", "axis.sets is unknown. Did you mean 'set'?"),
        ("[scale.smoke]", '[scale.smoke]\n"axis.set" = 3', "a scale replaces whole axes: write [scale.smoke.axis.set]"),
        ("[scale.smoke]", '[scale.smoke]\n"plan.sed" = 3', "plan.sed is unknown. Did you mean 'seed'?"),
    ],
)  # fmt: skip
def test_every_wrong_key_is_refused_in_words(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(InputError) as error:
        read(tmp_path, GOOD.replace(old, new, 1), "smoke")
    assert words in str(error.value) and "axes.toml" in str(error.value)


def test_a_dry_run_lists_the_cases_it_would_run(tmp_path):
    (tmp_path / "axes.toml").write_text(GOOD)
    words = ["bench", str(tmp_path / "axes.toml"), "--dry", "--only", "waal", "--only", "halves"]
    said = CliRunner().invoke(app, words).stdout.splitlines()
    assert len(said) == 2
    assert all(line.endswith("(set halves, method waal)") for line in said)
