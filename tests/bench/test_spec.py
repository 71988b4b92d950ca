"""Specs from TOML: grids, scales, ids, and every wrong key in words."""

from __future__ import annotations

import pytest

from labelwise.bench.protocols import find
from labelwise.bench.spec import read_bench, read_spec
from labelwise.cli.chosen import as_folder
from labelwise.errors import InputError, UnknownName

GOOD = """
name = "trial"
[task]
name = "digits"
[recipe]
name = "logistic"
[plan]
start = 20
batch = 10
budget = 60
[grid]
"strategy.name" = ["random", "margin"]
"plan.seed" = [0, 1, 2]
[scale.full]
"plan.budget" = 600
"plan.seed" = [0, 1, 2, 3, 4]
"""


def bench(tmp_path, text, scale=None):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return read_bench(path, scale)


def test_a_grid_is_every_combination(tmp_path):
    made = bench(tmp_path, GOOD)
    assert [(s.strategy.name, s.plan.seed) for s in made.specs] == [
        ("random", 0), ("random", 1), ("random", 2), ("margin", 0), ("margin", 1), ("margin", 2),
    ]  # fmt: skip
    assert len({s.id for s in made.specs}) == 6
    assert made.name == "trial"


def test_a_scale_replaces_values_and_grid_lists(tmp_path):
    full = bench(tmp_path, GOOD, "full")
    assert len(full.specs) == 10
    assert {s.plan.budget for s in full.specs} == {600}
    assert bench(tmp_path, GOOD, "mini").specs == bench(tmp_path, GOOD).specs
    with pytest.raises(InputError, match="no scale 'ful'. Did you mean 'full'"):
        bench(tmp_path, GOOD, "ful")


def test_a_grid_may_vary_whole_tables(tmp_path):
    text = GOOD + "\n[grid.x]\n"
    with pytest.raises(InputError, match="grid.x must be a list"):
        bench(tmp_path, text)
    text = GOOD.replace(
        '"plan.seed" = [0, 1, 2]\n[scale', '"task" = [{name = "digits"}, {name = "digit-halves"}]\n[scale'
    )
    made = bench(tmp_path, text)
    assert {s.task.name for s in made.specs} == {"digits", "digit-halves"}


def test_the_id_is_of_the_content_not_of_the_writing(tmp_path):
    one = read_spec({"task": {"name": "digits"}, "recipe": {"name": "logistic"}, "plan": {"seed": 1}})
    two = read_spec(
        {"plan": {"seed": 1, "start": 20}, "recipe": {"name": "logistic"}, "task": {"name": "digits"}}
    )
    assert one.id == two.id
    assert read_spec(one.values()).id == one.id
    three = read_spec({"task": {"name": "digits"}, "recipe": {"name": "logistic"}, "plan": {"seed": 2}})
    assert three.id != one.id


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("batch = 10", "bach = 10", "plan.bach is unknown. Did you mean 'batch'?"),
        (
            '[recipe]\nname = "logistic"',
            '[recipe]\nname = "logistics"',
            "No recipe is named 'logistics'. Did you mean 'logistic'?",
        ),
        ('"digits"', '"digit"', "No task is named 'digit'. Did you mean 'digits'?"),
        ('"margin"]', '"margn"]', "No strategy is named 'margn'. Did you mean 'margin'?"),
        ("[plan]", "[plan]\ncandidates = 3", "plan.candidates is 3, less than plan.batch, 10."),
        ("[plan]", "[oracle]\nnoize = 0.1\n[plan]", "oracle.noize is unknown. Did you mean 'noise'?"),
        ("[plan]", "[oracle]\nnoise = 2.0\n[plan]", "oracle.noise"),
        ("[plan]", "[orakle]\n[plan]", "orakle is unknown. Did you mean 'oracle'?"),
        (
            'name = "logistic"',
            'name = "cnn"\nepoch = 3',
            "recipe.epoch is unknown for 'cnn'. Did you mean 'epochs'?",
        ),
        (
            'name = "digits"',
            'name = "digits"\nsed = 3',
            "task.sed is unknown for 'digits'. Did you mean 'seed'?",
        ),
        ('[recipe]\nname = "logistic"', "", "recipe is missing."),
        ("[plan]", "[plan", "is no valid TOML"),
        ('"plan.seed" = [0, 1, 2]', '"plan.seed" = 3', "grid.plan.seed must be a list"),
        ('"plan.seed" = [0, 1, 2]', '"plan.start.x" = [3]', "goes through start, which is no table"),
        ("[plan]", "[plan]\ncold = 3", "plan.cold must be true or false; it is 3."),
        ("[plan]", "[oracle]\nnoise = true\n[plan]", "oracle.noise"),
        ('"digits"', '"digits"\nseed = 1979-05-27', "task.seed is datetime.date(1979, 5, 27); a spec holds"),
        ('"digits"', '"digits"\nseed = nan', "task.seed is nan; a spec holds finite numbers"),
        ("start = 20", "start = " + "9" * 5000, "is no valid TOML"),
        ('name = "trial"', "name = [1]", "name must be a text; it is [1]"),
        ("[scale.full]", "[scale]\nfull = 3\n[other]", "other is unknown"),
        (
            '[grid]\n"strategy.name" = ["random", "margin"]\n"plan.seed" = [0, 1, 2]\n',
            "[scale]\nx = 3\n",
            "scale.x must be a table",
        ),
        ("start = 20", 'start = "many"', "plan.start must be a whole number of at least 1; it is 'many'"),
    ],
)
def test_every_wrong_key_is_refused_in_words(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(InputError) as error:
        bench(tmp_path, GOOD.replace(old, new, 1))
    assert words in str(error.value)


def test_a_folder_is_no_bench(tmp_path):
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_bench(tmp_path)


def test_the_name_of_a_bench_cannot_choose_another_place():
    assert as_folder("uncertainty-mnist, 2.0") == "uncertainty-mnist- 2.0"
    for name in ("../../x", "/etc/x", "..", ""):
        assert "/" not in as_folder(name) and as_folder(name).strip(".")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        read_bench(tmp_path / "nothing.toml")


def test_an_unknown_protocol_is_refused():
    with pytest.raises(UnknownName, match="Did you mean 'demo'"):
        find("dem")


def test_a_misspelt_strategy_within_a_strategy_is_found_when_the_spec_is_read():
    strategy = {"name": "mixed", "then": {"name": "margni"}}
    with pytest.raises(InputError, match="margin"):
        read_spec({"task": {"name": "digits"}, "recipe": {"name": "logistic"}, "strategy": strategy})
