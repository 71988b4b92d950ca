"""The protocols: every one reads at every scale, and every one with a smoke scale runs to its end and is compared."""

from __future__ import annotations

import csv
import os
import tomllib

import pytest
from typer.testing import CliRunner

from labelwise.bench import suites
from labelwise.bench.bank import baseline_specs, lacking, users, write_bank
from labelwise.bench.compare import compare
from labelwise.bench.episodes import episodes_of, kept
from labelwise.bench.launch import is_finished
from labelwise.bench.places import named
from labelwise.bench.protocols import find, names
from labelwise.bench.report import write_report
from labelwise.bench.report.printed import beside
from labelwise.bench.results import read_run
from labelwise.bench.run import run, run_file
from labelwise.bench.spec import read_bench
from labelwise.cli import app
from labelwise.strategies import TABLE

EMBEDDED = ("digits", "digit-halves", "copula")  # tasks that need no files
SMOKE = "smoke"
# Figures of a page cost more than the runs: of RL-MBA one each is drawn beside printed numbers, of six modalities, and
# of policies that go on; of robust training one with bounds. The others are only compared.
DRAWN = ("rl-mba/main", "rl-mba/modalities", "rl-mba/transfer", "mmdro/simulation")
TOGETHER = ("rl-mba/", "mmdro/")
SUITE = tuple(tomllib.loads(suites.find("core").read_text())["protocols"])  # these run together, below


def scales(name):
    return tuple(tomllib.loads(find(name).read_text()).get("scale", {}))


ALL = [(name, scale) for name in names() for scale in dict.fromkeys(("mini", *scales(name)))]
SMOKING = [name for name in names() if SMOKE in scales(name) and name not in SUITE]


@pytest.mark.parametrize("name, scale", ALL)
def test_every_protocol_reads_at_every_scale(name, scale):
    made = read_bench(find(name), scale)
    assert made.specs and made.about
    assert len(made.cases) == len(made.specs)
    assert made.printed is None or set(made.printed.runs) == {spec.id for spec in made.specs}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One folder for all protocols of a system: they share a set at the smallest scale, so runs and bank are made once."""
    return {system: tmp_path_factory.mktemp(system.strip("/")) for system in TOGETHER}


def finished(spec, folder):
    """Run a spec, unless another protocol has done so."""
    return read_run(run_file(folder, spec)) if is_finished(spec, folder) else run(spec, folder)


def see_to_files(specs, folder):
    """Build the bank and train the policy that specs name, as the commands do."""
    path = folder / "bank.json"
    if missing := lacking(users(specs), None):
        wanted = baseline_specs(missing)
        write_bank([finished(spec, folder) for spec in wanted], path)
    for policy in {one for spec in specs for one in named(spec.strategy.params, "policy")}:
        (episode,) = episodes_of(read_bench(find("rl-mba/training"), SMOKE).specs, 1, first_seed=0)
        see_to_files([episode], folder)
        run(episode, folder)
        kept([episode], folder, folder / policy)


@pytest.mark.parametrize("name", SMOKING)
def test_every_protocol_runs_to_its_end_at_the_smallest_scale(name, tmp_path, shared):
    made = read_bench(find(name), SMOKE)
    folder = next((there for system, there in shared.items() if name.startswith(system)), tmp_path)
    if {spec.task.name for spec in made.specs} - set(EMBEDDED) and not os.environ.get("LABELWISE_DATA"):
        pytest.skip("LABELWISE_DATA is not set")
    see_to_files(made.specs, folder)
    runs = [finished(spec, folder) for spec in made.specs]
    assert all(one.finished for one in runs)
    cases = {spec.id: case for spec, case in zip(made.specs, made.cases, strict=True)}
    if folder is tmp_path or name in DRAWN:
        found = write_report(
            runs,
            tmp_path / "report.html",
            name=made.name,
            about=made.about,
            cases=cases,
            printed=made.printed,
        )
        assert all(path.stat().st_size for path in found.paths.values())
        costs = "which a real campaign pays for, too" in found.paths["html"].read_text()
        assert costs == bool(users(made.specs))
        comparison = found.comparison
    else:
        comparison = compare(runs, cases)
        assert made.printed is None or beside(comparison, made.printed)
    # every method of the protocol is told apart from every other by the name of its case, and none is lost
    shown = {
        curve.id: (setting.title, method.name.partition(" (cheats")[0])
        for setting in comparison.settings
        for method in setting.strategies
        for curve in method.runs
    }
    assert shown == {
        key: (", ".join(v for k, v in c.items() if k != "method"), c["method"]) for key, c in cases.items()
    }


@pytest.mark.slow
def test_the_suite_core_runs_to_its_end_at_the_smallest_scale(tmp_path):
    """The command runs what is left, here two runs of more than eighty: processes of their own would load torch for each."""
    if not os.environ.get("LABELWISE_DATA"):
        pytest.skip("LABELWISE_DATA is not set")
    made = suites.read_suite(suites.find("core"), SMOKE)
    see_to_files(made.specs, tmp_path)
    for spec in made.specs[:-2]:
        finished(spec, tmp_path)
    assert not any(is_finished(spec, tmp_path) for spec in made.specs[-2:])
    done = CliRunner().invoke(
        app, ["bench", "--suite", "core", "--scale", "smoke", "-f", str(tmp_path), "-j", "2"]
    )
    assert done.exit_code == 0, done.output
    with (tmp_path / "results.csv").open() as file:
        told = {row["run"]: row["strategy"].partition(" (cheats")[0] for row in csv.DictReader(file)}
    assert told == {
        spec.id: case["method"] for spec, case in zip(made.specs, made.cases, strict=True)
    }  # nothing is lost
    assert {spec.strategy.name for spec in made.specs} == set(TABLE)
    assert (tmp_path / "report.html").stat().st_size


def test_there_is_a_protocol_for_every_table_and_figure_of_bral_t():
    wanted = {f"table-{n}" for n in (1, 2, 3, 4, 7, 8, 9, 10)}
    wanted |= {"curves", "grand-oracle", "noise", "pairwise", "state", "time"}
    there = {name.removeprefix("bral-t/") for name in names() if name.startswith("bral-t/")}
    assert wanted <= there
    assert {name for name in wanted if {"full", SMOKE} <= set(scales(f"bral-t/{name}"))} == wanted


def test_the_full_budget_is_that_of_the_paper():
    """Table 5: rounds after the start = budget / batch size, e.g. 10,000 / 250 = 40 on FashionMNIST."""
    made = read_bench(find("bral-t/table-1"), "full")
    rounds = {
        cases["set"]: (spec.plan.start, (spec.plan.budget - spec.plan.start) / spec.plan.batch)
        for spec, cases in zip(made.specs, made.cases, strict=True)
    }
    assert rounds == {
        "fashion-mnist": (500, 40), "emnist": (1000, 100), "cifar10": (1000, 80), "cifar100": (1000, 80),
        "cifar10-imb": (1000, 40), "breakhis": (100, 50), "pneumonia-mnist": (100, 50), "waterbirds": (100, 40),
    }  # fmt: skip
    lam = {
        cases["set"]: spec.strategy.params.get("lam", 1.0)
        for spec, cases in zip(made.specs, made.cases, strict=True)
        if cases["method"] == "bral-t"
    }
    assert {name for name, value in lam.items() if value == 0.25} == {"emnist", "cifar100", "cifar10-imb"}


def test_the_papers_tables_are_whole():
    cells = {
        name: sum(len(rows) for rows in read_bench(find(f"bral-t/{name}")).printed.paper.numbers.values())
        for name in ("table-1", "table-2", "table-4", "table-7", "table-8", "table-9", "table-10")
    }
    # 8 sets x 4 methods; 6 x 5; 2 x 5; 5; 3; 4 and 3 with random of table 1
    assert cells == {
        "table-1": 32, "table-2": 30, "table-4": 10, "table-7": 5, "table-8": 3, "table-9": 5, "table-10": 4,
    }  # fmt: skip


def test_there_is_a_protocol_for_every_table_and_figure_of_rl_mba():
    there = {name.removeprefix("rl-mba/"): scales(name) for name in names() if name.startswith("rl-mba/")}
    of_paper = {"main", "curves", "components", "reward", "contributions", "efficiency", "classes"}
    beyond = {"sensitivity", "fusion", "modalities", "weak", "missing", "training", "transfer", "evidence",
              "plus"}  # fmt: skip
    assert set(there) == of_paper | beyond
    assert all(SMOKE in there[name] for name in there)
    assert {name for name in there if "full" in there[name]} == of_paper


def test_the_full_scale_of_rl_mba_buys_a_thousand_labels_at_a_time():
    """3,000 labels in the main table, 7,000 along the curves: 1,000 to begin with and 1,000 a round."""
    for name, budget in (("main", 3000), ("components", 3000), ("curves", 7000), ("contributions", 7000)):
        plans = {spec.plan for spec in read_bench(find(f"rl-mba/{name}"), "full").specs}
        assert {(plan.start, plan.batch, plan.budget) for plan in plans} == {(1000, 1000, budget)}


def test_the_papers_tables_of_rl_mba_are_whole():
    cells = {
        name: sum(len(rows) for rows in read_bench(find(f"rl-mba/{name}")).printed.paper.numbers.values())
        for name in ("main", "components")
    }
    assert cells == {"main": 27, "components": 12}  # 3 sets x 9 methods; 3 x 4


def test_the_evidence_for_rl_mba_weakens_every_set_and_repeats_the_smallest_most():
    made = read_bench(find("rl-mba/evidence"))
    seeds = {}
    for spec, case in zip(made.specs, made.cases, strict=True):
        seeds.setdefault(case["set"], set()).add(spec.plan.seed)
    assert len(seeds["digit-halves"]) == 20
    assert {len(some) for name, some in seeds.items() if name != "digit-halves"} == {5}
    plain = {name for name in seeds if not name.endswith(("-weak", "-missing", "-speaker"))}
    assert len(plain) == 7
    assert {f"{name}-{how}" for name in plain for how in ("weak", "missing")} <= set(seeds)


def test_no_set_that_a_policy_is_used_on_was_trained_on():
    trained, used = (
        {spec.task.name for spec in read_bench(find(f"rl-mba/{name}")).specs}
        for name in ("training", "transfer")
    )
    assert not trained & used


def test_there_is_a_protocol_for_every_question_about_robust_training():
    there = {name.removeprefix("mmdro/"): scales(name) for name in names() if name.startswith("mmdro/")}
    wanted = {"simulation", "images-audio", "har", "halves", "speaker", "text", "rho", "wrong-rho", "gamma",
              "encoder", "active", "complexity", "evidence"}  # fmt: skip
    assert set(there) == wanted and all({SMOKE, "full"} <= set(there[name]) for name in there)


def test_the_simulation_is_whole_at_full_scale():
    """2, 3 and 4 modalities, 4 correlations, 3 marginals, 2 numbers of classes: 72 sets for each method and seed."""
    made = read_bench(find("mmdro/simulation"), "full")
    tasks = {tuple(sorted((k, str(v)) for k, v in spec.task.params.items())) for spec in made.specs}
    assert len(tasks) == 72
    assert {case["method"] for case in made.cases} >= {
        "erm",
        "mmdro",
        "dual",
        "variational",
        "earlyfusion_dro",
    }


def test_the_evidence_for_robust_training_pairs_ten_seeds_of_every_method_on_every_set():
    made = read_bench(find("mmdro/evidence"))
    seeds = {}
    for spec, case in zip(made.specs, made.cases, strict=True):
        seeds.setdefault((case["set"], case["method"]), set()).add(spec.plan.seed)
        assert spec.plan.start == spec.plan.budget  # one fit
        assert spec.task.params.get("shifts") or spec.task.params.get("radii")
    assert len(seeds) == 6 * 7 and all(len(some) == 10 for some in seeds.values())


def test_errors_of_encoders_are_of_the_test_part_alone_and_exact_for_comparison():
    made = read_bench(find("mmdro/encoder"))
    levels = {}
    for spec, case in zip(made.specs, made.cases, strict=True):
        errors = spec.task.params["corrupt"]
        assert all(one["kind"] == "noise" and one["parts"] == ["test"] for one in errors)
        levels[case["error"]] = {one["modality"]: one["amount"] for one in errors}
    everywhere = {f"error-{a:g}": dict.fromkeys(("m1", "m2", "m3"), a) for a in (0.1, 0.3, 1.0)}
    assert levels == {"exact": {}, "first-only": {"m1": 1.0}, **everywhere}


def test_the_radii_of_the_sweep_are_the_grid():
    made = read_bench(find("mmdro/rho"))
    assert {spec.recipe.params["objective"]["rho"] for spec in made.specs} == {
        0,
        0.01,
        0.05,
        0.1,
        0.2,
        0.5,
        1,
    }
