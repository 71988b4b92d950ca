"""Building banks: the baselines run under the protocol of the runs that read the bank, and the file grows, never lies."""

from __future__ import annotations

import json
from dataclasses import replace
from threading import Thread

import pytest
from typer.testing import CliRunner

from labelwise.bench import bank
from labelwise.bench.bank import BASELINES, baseline_specs, lacking, users, usual, write_bank
from labelwise.bench.places import digests, named, placed
from labelwise.bench.results import read_run
from labelwise.bench.run import run, run_file
from labelwise.bench.spec import read_spec
from labelwise.cli import app
from labelwise.errors import InputError
from labelwise.strategies.balance.bank import read_bank

TASK = {"name": "digits", "pool": 80, "test_size": 40, "validation": 0.1}
GRID = """
[task]
name = "digits"
pool = 80
test_size = 40
[recipe]
name = "logistic"
[plan]
start = 10
batch = 10
budget = 20
[grid]
"strategy.name" = ["random"]
"plan.seed" = [4]
"""


def spec(strategy="random", seed=0, recipe=None, oracle=None, **task):
    return read_spec(
        {
            "task": TASK | task,
            "recipe": recipe or {"name": "logistic"},
            "strategy": strategy if isinstance(strategy, dict) else {"name": strategy},
            "plan": {"seed": seed, "start": 10, "batch": 10, "budget": 30},
            "oracle": oracle or {},
        }
    )


def finished(folder, *specs):
    for one in specs:
        run(one, folder)
    return [read_run(run_file(folder, one)) for one in specs]


def test_every_task_recipe_plan_and_oracle_gets_each_baseline_once():
    specs = [spec(), spec("margin"), spec(seed=1), spec(pool=81)]
    made = baseline_specs(specs, ["badge", "entropy"])
    told = [(one.strategy.name, one.plan.seed, one.task.params["pool"]) for one in made]
    assert told == [
        ("badge", 0, 80), ("entropy", 0, 80), ("badge", 1, 80), ("entropy", 1, 80), ("badge", 0, 81), ("entropy", 0, 81),
    ]  # fmt: skip
    assert all(one.recipe == specs[0].recipe and not one.strategy.params for one in made)


@pytest.mark.parametrize("baselines, words", [([], "at least one"), (["bagde"], "Did you mean 'badge'")])
def test_baselines_must_be_strategies(baselines, words):
    with pytest.raises(InputError, match=words):
        baseline_specs([spec()], baselines)


def test_a_bank_holds_the_validation_accuracy_of_every_fit(tmp_path):
    runs = finished(tmp_path, *baseline_specs([spec()], ["random", "margin"]))
    banks = write_bank(runs, tmp_path / "bank.json")
    (protocol,) = banks.scores
    assert protocol == runs[0].state.opened.protocol == runs[1].state.opened.protocol
    for one in runs:
        curve = {str(fit.n_labelled): fit.validation["accuracy"] for fit in one.fits}
        assert banks.scores[protocol]["0"][one.strategy] == curve
        assert list(curve) == ["10", "20", "30"]
    assert banks.about[protocol]["task"] == TASK
    assert "seed" not in banks.about[protocol]["plan"]
    assert not list(tmp_path.glob(".*.draft"))


def test_a_bank_grows_by_seeds_and_protocols_and_knows_what_it_lacks(tmp_path):
    path = tmp_path / "bank.json"
    first, seeds, other = spec(), spec(seed=3), spec(pool=79)
    assert lacking([first], None) == (first,)
    banks = write_bank(finished(tmp_path, first), path)
    assert lacking([first, seeds, other, spec("margin")], banks) == (seeds, other)
    assert lacking([spec(oracle={"noise": 0.5})], banks)  # wrong answers make another curve
    before = read_bank(path).of(next(iter(banks.scores)), 0).digest
    banks = write_bank(finished(tmp_path, seeds, other), path)
    assert lacking([first, seeds, other], banks) == ()
    assert len(banks.scores) == 2
    assert read_bank(path).of(next(iter(banks.scores)), 0).digest == before


def test_other_baselines_replace_those_of_all_seeds_or_of_none(tmp_path):
    path = tmp_path / "bank.json"
    write_bank(finished(tmp_path, spec(), spec(seed=1)), path)
    before = path.read_text()
    with pytest.raises(InputError, match=r"different baselines: margin or random\..*same --baselines"):
        write_bank(finished(tmp_path, spec("margin")), path)
    assert path.read_text() == before
    banks = write_bank(finished(tmp_path, spec("margin"), spec("margin", seed=1)), path)
    ((_, scores),) = banks.scores.items()
    assert {seed: list(names) for seed, names in scores.items()} == {"0": ["margin"], "1": ["margin"]}


def test_seeds_are_added_with_the_baselines_of_the_others(tmp_path):
    banks = write_bank(finished(tmp_path, spec(), spec("margin")), tmp_path / "bank.json")
    assert usual([spec(seed=8)], banks) == ("margin", "random")
    assert usual([spec(pool=79)], banks) == usual([spec()], None) == BASELINES


def test_two_that_write_at_once_lose_nothing_of_each_other(tmp_path, monkeypatch):
    """The second begins while the first has read the file and not yet written it."""
    path, folders = tmp_path / "bank.json", (tmp_path / "a", tmp_path / "b")
    one, two = finished(folders[0], spec()), finished(folders[1], spec(seed=1))
    begun, real = [], bank._write

    def slow(*arguments):
        if not begun:
            begun.append(Thread(target=write_bank, args=(two, path)))
            begun[0].start()
            begun[0].join(timeout=0.3)
        real(*arguments)

    monkeypatch.setattr(bank, "_write", slow)
    write_bank(one, path)
    begun[0].join()
    ((_, scores),) = read_bank(path).scores.items()
    assert list(scores) == ["0", "1"]


def test_a_bank_knows_nothing_of_the_test_part(tmp_path):
    """With every test accuracy made another, the file is the same to the byte."""
    (one,) = finished(tmp_path, spec())
    write_bank([one], tmp_path / "bank.json")
    fits = tuple(replace(fit, test=dict.fromkeys(fit.test, -7.0)) for fit in one.state.fits)
    assert all(fit.test for fit in fits)
    write_bank([replace(one, state=replace(one.state, fits=fits))], tmp_path / "other.json")
    assert (tmp_path / "other.json").read_bytes() == (tmp_path / "bank.json").read_bytes()


def test_runs_that_are_unfinished_or_of_other_data_make_no_bank(tmp_path):
    (one,) = finished(tmp_path, spec())
    opened = one.state.opened
    begun = replace(one, state=replace(one.state, fresh=True))
    with pytest.raises(InputError, match="is not finished"):
        write_bank([begun], tmp_path / "bank.json")
    other = replace(one, state=replace(one.state, opened=replace(opened, task={**opened.task, "x": 1})))
    with pytest.raises(InputError, match="data or labelwise changed.*Delete the older runs"):
        write_bank([one, other], tmp_path / "bank.json")
    assert not (tmp_path / "bank.json").exists()


def test_two_oracles_of_one_protocol_are_refused(tmp_path):
    runs = finished(tmp_path, spec(), spec(seed=1, oracle={"noise": 0.5}))
    with pytest.raises(InputError, match="with another oracle"):
        write_bank(runs, tmp_path / "bank.json")
    assert not (tmp_path / "bank.json").exists()


def test_one_protocol_may_be_written_in_two_ways(tmp_path):
    """A default that a spec writes out is another spec, but the same recipe: one bank serves both."""
    plain, written = spec(seed=0), spec(seed=1, recipe={"name": "logistic", "estimator": "logistic"})
    assert plain.id != written.id
    banks = write_bank(finished(tmp_path, plain, written), tmp_path / "bank.json")
    assert [sorted(scores) for scores in banks.scores.values()] == [["0", "1"]]


def test_a_task_without_validation_samples_has_no_bank(tmp_path):
    with pytest.raises(InputError, match="no validation samples.*task.validation"):
        write_bank(finished(tmp_path, spec(validation=0)), tmp_path / "bank.json")


def test_a_strangers_file_is_not_written_over(tmp_path):
    (tmp_path / "bank.json").write_text("{}")
    with pytest.raises(InputError, match="is no bank"):
        write_bank(finished(tmp_path, spec()), tmp_path / "bank.json")
    assert (tmp_path / "bank.json").read_text() == "{}"


def test_files_are_found_in_strategies_within_strategies(tmp_path):
    inner = {"name": "rl-mba", "bank": "b.json", "policy": str(tmp_path / "p")}
    outer = {
        "share": 0.5,
        "then": inner,
        "others": [{"name": "x", "bank": "c.json"}, {"name": "y", "bank": "b.json"}],
    }
    assert named(outer, "bank") == ("b.json", "c.json")
    assert named(outer, "policy") == (str(tmp_path / "p"),)
    assert placed(outer, tmp_path) == {
        "share": 0.5,
        "then": {"name": "rl-mba", "bank": str(tmp_path / "b.json"), "policy": str(tmp_path / "p")},
        "others": [
            {"name": "x", "bank": str(tmp_path / "c.json")},
            {"name": "y", "bank": str(tmp_path / "b.json")},
        ],
    }


def test_a_missing_policy_is_refused_with_the_cure(tmp_path):
    with pytest.raises(InputError, match="no policy.*labelwise policy train"):
        digests({"name": "rl-mba", "policy": "p.safetensors"}, tmp_path, "abc", 0)


def test_the_command_runs_the_baselines_and_reads_them_the_next_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.toml").write_text(GRID)
    words = ["bank", "grid.toml", "--baselines", "random, margin", "-f", "runs", "-j", "2"]
    listed = CliRunner().invoke(app, [*words, "--dry"])
    assert listed.output.count("to run") == 2 and not (tmp_path / "runs").exists()
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "Bank: runs/bank.json" in done.output
    text = (tmp_path / "runs" / "bank.json").read_text()
    ((_, held),) = json.loads(text)["banks"].items()
    assert {seed: sorted(names) for seed, names in held["scores"].items()} == {"4": ["margin", "random"]}
    assert CliRunner().invoke(app, [*words, "--dry"]).output.count("finished") == 2
    (tmp_path / "runs" / "bank.json").unlink()
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (tmp_path / "runs" / "bank.json").read_text() == text


def test_specs_that_name_no_bank_use_none():
    assert users([spec()]) == ()
    assert BASELINES == ("core-gcn", "badge", "bmmal")
