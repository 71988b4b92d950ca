"""The protocols: every one reads at every scale, and every one with a smoke scale runs to its end and makes a report."""

from __future__ import annotations

import os
import tomllib

import pytest

from labelwise.bench.protocols import find, names
from labelwise.bench.report import write_report
from labelwise.bench.results import read_run
from labelwise.bench.run import run, run_file
from labelwise.bench.spec import read_bench

EMBEDDED = ("digits", "digit-halves")  # tasks that need no files
SMOKE = "smoke"


def scales(name):
    return tuple(tomllib.loads(find(name).read_text()).get("scale", {}))


ALL = [(name, scale) for name in names() for scale in dict.fromkeys(("mini", *scales(name)))]
SMOKING = [name for name in names() if SMOKE in scales(name)]


@pytest.mark.parametrize("name, scale", ALL)
def test_every_protocol_reads_at_every_scale(name, scale):
    made = read_bench(find(name), scale)
    assert made.specs and made.about
    assert len(made.cases) == len(made.specs)
    assert made.printed is None or set(made.printed.runs) == {spec.id for spec in made.specs}


@pytest.mark.parametrize("name", SMOKING)
def test_every_protocol_runs_to_its_end_at_the_smallest_scale(name, tmp_path):
    made = read_bench(find(name), SMOKE)
    if {spec.task.name for spec in made.specs} - set(EMBEDDED) and not os.environ.get("LABELWISE_DATA"):
        pytest.skip("LABELWISE_DATA is not set")
    for spec in made.specs:
        assert run(spec, tmp_path).finished
    runs = [read_run(run_file(tmp_path, spec)) for spec in made.specs]
    cases = {spec.id: case for spec, case in zip(made.specs, made.cases, strict=True)}
    found = write_report(
        runs, tmp_path / "report.html", name=made.name, about=made.about, cases=cases, printed=made.printed
    )
    assert all(path.stat().st_size for path in found.paths.values())
    # every method of the protocol is told apart from every other by the name of its case, and none is lost
    shown = {
        curve.id: (setting.title, method.name.partition(" (cheats")[0])
        for setting in found.comparison.settings
        for method in setting.strategies
        for curve in method.runs
    }
    assert shown == {
        key: (", ".join(v for k, v in c.items() if k != "method"), c["method"]) for key, c in cases.items()
    }


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
