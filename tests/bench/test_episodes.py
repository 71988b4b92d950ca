"""Policies over many campaigns: handed on from one to the next, found again by what they began with, and never mixed up."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from labelwise.bench import episodes
from labelwise.bench.bank import NAME, baseline_specs, write_bank
from labelwise.bench.episodes import FIRST_SEED, begun_with, episodes_of, going_on, kept
from labelwise.bench.results import read_run
from labelwise.bench.run import run, run_file
from labelwise.bench.spec import read_bench, read_spec
from labelwise.cli import app
from labelwise.errors import InputError
from labelwise.strategies.balance.policy import load_policy

RECIPE = {
    "name": "multimodal", "encoders": {"top": "mlp", "bottom": "mlp"}, "width": 8, "projection": 8, "epochs": 1,
    "batch_size": 16,
}  # fmt: skip
GRID = """
[task]
name = "digit-halves"
pool = 60
test_size = 40
validation = 30
[recipe]
name = "multimodal"
encoders = { top = "mlp", bottom = "mlp" }
width = 8
projection = 8
epochs = 1
[strategy]
name = "rl-mba"
bank = "bank.json"
[plan]
start = 10
batch = 10
budget = 30
"""


def spec(pool=60, seed=0, **strategy):
    return read_spec(
        {
            "task": {"name": "digit-halves", "pool": pool, "test_size": 40, "validation": 30},
            "recipe": RECIPE,
            "strategy": {"name": "rl-mba"} | strategy,
            "plan": {"seed": seed, "start": 10, "batch": 10, "budget": 30},
        }
    )


def trained(wanted, folder, policy=None):
    done = []
    for one in wanted:
        done.append(going_on(one, policy))
        run(done[-1], folder)
        policy = kept(done, folder)
    return done, folder / policy


def banked(folder, *specs, baselines=("random",)):
    runs = [run(one, folder) for one in baseline_specs(specs, baselines)]
    write_bank([read_run(one.path) for one in runs], folder / NAME)


def test_settings_take_turns_and_no_seed_is_one_of_a_bench():
    both = [spec(seed=0), spec(seed=1), spec(pool=59), spec(pool=59, seed=1)]
    made = episodes_of([*both, read_spec(spec().values() | {"strategy": {"name": "margin"}})], 5)
    told = [(one.task.params["pool"], one.plan.seed - FIRST_SEED) for one in made]
    assert told == [(60, 0), (59, 0), (60, 1), (59, 1), (60, 2)]
    assert FIRST_SEED > 100


def test_how_a_policy_is_used_does_not_matter_to_how_it_learns():
    (made,) = episodes_of([spec(policy="x", frozen=True), spec(greedy=True), spec()], 1)
    assert made.strategy.params == {}


@pytest.mark.parametrize(
    "specs, count, words",
    [
        ([spec()], 0, "at least 1"),
        ([read_spec(spec().values() | {"strategy": {"name": "margin"}})], 1, "nothing to train"),
        ([spec(), spec(beta=0.1)], 1, "2 methods have a policy.*--only"),
    ],
)
def test_what_cannot_be_trained_is_refused(specs, count, words):
    with pytest.raises(InputError, match=words):
        episodes_of(specs, count)


def test_each_episode_goes_on_with_what_the_last_one_learned(tmp_path):
    done, path = trained(episodes_of([spec()], 3), tmp_path)
    # two answered batches that were drawn a campaign, so two updates: 3 x 2 in all
    assert load_policy(path)["updates"] == 6
    about = load_policy(path)["about"]
    assert [one["run"] for one in about["episodes"]] == [one.id for one in done]
    assert [one["seed"] for one in about["episodes"]] == [FIRST_SEED, FIRST_SEED + 1, FIRST_SEED + 2]
    first = load_policy(tmp_path / f"{done[0].id}.policy")
    assert first["updates"] == 2
    assert (first["network"]["weight 0"] != load_policy(path)["network"]["weight 0"]).any()


def test_the_same_training_finds_its_files_again_and_more_episodes_are_added(tmp_path, monkeypatch):
    _, path = trained(episodes_of([spec()], 2), tmp_path)
    before, runs = path.read_bytes(), sorted(one.name for one in tmp_path.glob("*.db"))
    path.unlink()
    assert trained(episodes_of([spec()], 2), tmp_path)[1] == path
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.glob("*.db")) == runs
    monkeypatch.setattr(
        episodes, "version", lambda name: "999"
    )  # a newer labelwise leaves what began with them whole
    done, _ = trained(episodes_of([spec()], 3), tmp_path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.glob("*.db"))) == 3 and f"{done[1].id}.policy" == path.name


def test_a_policy_that_began_elsewhere_makes_other_episodes(tmp_path):
    _, path = trained(episodes_of([spec(pool=59)], 1), tmp_path / "there")
    name = begun_with(path, tmp_path / "here")
    fresh, going = (trained(episodes_of([spec()], 1), tmp_path / "here", start) for start in (None, name))
    assert fresh[0][0].id != going[0][0].id
    assert load_policy(going[1])["updates"] == 4
    (tmp_path / "text").write_text("policy")
    with pytest.raises(InputError, match="is no policy"):
        begun_with(tmp_path / "text", tmp_path / "here")


def test_a_run_refuses_a_bank_or_a_policy_that_changed_since_it_began(tmp_path):
    _, path = trained(episodes_of([spec()], 2), tmp_path)
    one = spec(policy="used", bank=NAME)
    banked(tmp_path, one)
    shutil.copyfile(path, tmp_path / "used")
    assert run(one, tmp_path).state.opened.notes["files"].keys() == {"used", NAME}
    banked(tmp_path, spec(seed=1))  # another seed beside it is nothing to this run
    assert run(one, tmp_path).finished
    (tmp_path / NAME).unlink()
    banked(tmp_path, one, baselines=("margin",))
    with pytest.raises(InputError, match="bank.json is not what it was when this run began"):
        run(one, tmp_path)
    (tmp_path / NAME).unlink()
    banked(tmp_path, one)
    assert run(one, tmp_path).finished
    shutil.copyfile(next(iter(set(tmp_path.glob("*.policy")) - {path})), tmp_path / "used")
    with pytest.raises(InputError, match="used is not what it was"):
        run(one, tmp_path)


def test_a_run_goes_on_where_its_folder_moved(tmp_path):
    one = spec(bank=NAME)
    banked(tmp_path / "old", one)
    before = run(one, tmp_path / "old")
    shutil.move(tmp_path / "old", tmp_path / "new")
    after = run(one, tmp_path / "new")
    assert after.state.fits == before.state.fits and run_file(tmp_path / "new", one).exists()


def test_a_run_without_its_bank_is_refused_before_anything_is_recorded(tmp_path):
    with pytest.raises(InputError, match="There is no bank.*labelwise bank"):
        run(spec(bank=NAME), tmp_path)
    with pytest.raises(InputError):
        read_run(run_file(tmp_path, spec(bank=NAME)))


def test_the_commands_build_the_bank_by_themselves_and_hand_the_policy_on(tmp_path, monkeypatch):
    """Runs are made here beforehand, as a child of the launcher spends seconds on imports; the commands find them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.toml").write_text(GRID)
    (one,) = read_bench(tmp_path / "grid.toml").specs
    for baseline in baseline_specs([one]):
        run(baseline, tmp_path / "runs")
    done = CliRunner().invoke(app, ["bench", "grid.toml", "-f", "runs", "--no-report"])
    assert done.exit_code == 0, done.output
    assert "running core-gcn, badge, bmmal first" in done.output
    assert run_file(tmp_path / "runs", one).exists()
    (tmp_path / "runs" / NAME).unlink()  # finished runs need no bank any more
    done = CliRunner().invoke(app, ["bench", "grid.toml", "-f", "runs", "--no-report"])
    assert done.exit_code == 0 and not (tmp_path / "runs" / NAME).exists()
    text = (tmp_path / "grid.toml").read_text().replace('bank = "bank.json"', 'reward = "absolute"')
    (tmp_path / "train.toml").write_text(text)
    _, path = trained(episodes_of(read_bench(tmp_path / "train.toml").specs, 2), tmp_path / "episodes")
    words = ["policy", "train", "train.toml", "-n", "2", "-f", "episodes", "-o", "runs/p.safetensors"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "runs" / "p.safetensors").read_bytes() == path.read_bytes()
    told = json.loads(CliRunner().invoke(app, ["policy", "show", "runs/p.safetensors"]).output)
    assert (told["reward kind"], told["updates"], len(told["episodes"])) == ("absolute", 4, 2)


def test_a_missing_policy_is_refused_before_any_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.toml").write_text(GRID.replace('bank = "bank.json"', 'policy = "p.safetensors"'))
    done = CliRunner().invoke(app, ["bench", "grid.toml", "-f", "runs"])
    assert isinstance(done.exception, InputError)
    assert "labelwise policy train FILE --out runs/p.safetensors" in str(done.exception)
    (tmp_path / "grid.toml").write_text(GRID.replace("bank.json", "../bank.json"))
    done = CliRunner().invoke(app, ["bench", "grid.toml", "-f", "runs"])
    assert isinstance(done.exception, InputError) and "labelwise bank FILE" in str(done.exception)
    assert not (tmp_path / "runs").exists()
