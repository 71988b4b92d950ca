"""The page's parts on random picks and on stopping: in numbers, in words, and absent where nothing was recorded."""

from __future__ import annotations

import json
import re

import pytest

from labelwise.bench.compare import compare
from labelwise.bench.report import stopping, write_report
from labelwise.bench.report.audit import audits
from labelwise.bench.results import Run
from labelwise.bench.run import run
from labelwise.bench.spec import read_spec
from labelwise.campaign.measuring import watches
from labelwise.cli.report import load_data
from labelwise.events import Fitted, replay


def spec(seed, strategy="margin", audit=0.5):
    return read_spec(
        {
            "task": {"name": "digits"},
            "recipe": {"name": "logistic"},
            "strategy": {"name": strategy},
            "plan": {
                "seed": seed,
                "start": 20,
                "batch": 20,
                "budget": 80,
                **({"audit": audit} if audit else {}),
            },
        }
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [run(spec(seed), folder) for seed in (0, 1)] + [run(spec(0, "random", 0), folder)]


def old(one):
    """The run as an earlier version would have kept it."""
    fits = tuple(
        Fitted(f.round, f.n_labelled, f.seen, f.validation, f.test, f.fit, f.seconds) for f in one.state.fits
    )
    state = replay([], one.state)
    object.__setattr__(state, "fits", fits)
    return Run(one.id, one.spec, state, one.path)


def test_a_spec_with_an_audit_is_another_run_and_one_without_is_what_it_was():
    assert spec(0).id != spec(0, audit=0).id
    assert "audit" not in spec(0, audit=0).values()["plan"]
    assert read_spec(spec(0).values()) == spec(0)
    # the name that this spec had before there were audits
    plain = read_spec(
        {"task": {"name": "digits"}, "recipe": {"name": "logistic"}, "strategy": {"name": "margin"},
         "plan": {"seed": 1, "start": 6, "batch": 4, "budget": 20}}
    )  # fmt: skip
    assert plain.id == "5280bbca80cd"


def test_the_page_tells_what_random_picks_say_and_what_chance_would_have_bought(runs, tmp_path):
    write_report(runs[:2], tmp_path / "r.html", name="t", load=load_data, audits=True)
    page = (tmp_path / "r.html").read_text()
    words = re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]+>", " ", page, flags=re.S))
    assert "What chance would have bought" in words
    assert re.search(r"margin: the model is right on [\d.]+ % of what is left of the pool", words)
    # 10 random picks a round, 3 rounds, 2 seeds
    assert re.search(r"test, % seeds margin 60 ", words)
    assert re.search(r"With \d+ labels, those that margin chose reach [\d.]+% and as many random ones", words)
    assert "gains early in the campaign" in words
    assert "When published criteria would have stopped" in words
    text = (tmp_path / "r.md").read_text()
    assert "### What chance would have bought" in text
    assert "### When published criteria would have stopped" in text
    (setting,) = json.loads((tmp_path / "r.json").read_text())["settings"]
    told = setting["audit"]["margin"]
    assert told["now"]["n"] == 60
    assert [gain["draws"] for gain in told["gains"]] == [8, 8]
    assert set(setting["stopping"]["margin"]) == {"0", "1"}


def test_answers_of_all_seeds_are_one_estimate(runs):
    comparison = compare(runs[:2])
    told = audits(comparison.settings[0], comparison.groups[0])[0]
    assert [r.n for r in told.rounds] == [20, 20, 20]
    assert [r.labels for r in told.rounds] == [20, 40, 60]
    right = sum(
        f.analysis["audit"]["said"][k] == r.state.labels[i]
        for r in runs[:2]
        for f, a in zip(r.state.fits, r.state.asks[1:], strict=False)
        for k, i in enumerate(a.audit)
    )
    assert sum(r.right for r in told.rounds) == right
    assert len(told.points) == 1  # 60 answers are one window of 50


def test_runs_without_audit_and_runs_of_older_versions_have_neither_part(runs, tmp_path):
    write_report([old(runs[2])], tmp_path / "r.html", name="t")
    page = (tmp_path / "r.html").read_text()
    assert "What chance would have bought" not in page
    assert "published criteria" not in page
    assert watches(old(runs[2]).state) == []
    assert len(watches(runs[2].state)) == 4
    comparison = compare([runs[2]])
    advised = stopping.stopping(comparison.settings[0], comparison.groups[0])
    assert set(stopping.as_json(advised)["random"]["0"][0]) == {
        "criterion", "value", "rule", "stop", "since", "first", "source",
    }  # fmt: skip
