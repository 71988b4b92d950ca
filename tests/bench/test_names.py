"""What methods and settings are called: by their cases where a protocol names them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fabricated import run

from labelwise.bench.names import CHEATS, noted_cases
from labelwise.bench.report import write_report
from labelwise.bench.settings import group

CNN = {"name": "cnn"}


def cased(*named):
    """named: (set, method, run)"""
    cases = {made.id: {"set": where, "method": how} for where, how, made in named}
    return group([made for _, _, made in named], cases)


def test_methods_and_settings_are_called_by_their_cases():
    tasks = {"small": {"pool": 5}, "large": {"pool": 9}}
    found = cased(
        *(
            (where, how, run(name, s, task=task, params=params))
            for where, task in tasks.items()
            for s in range(2)
            for how, name, params in (("random", "random", {}), ("half", "power-bald", {"beta": 0.5}))
        )
    )
    assert [(g.title, list(g.runs)) for g in found] == [
        ("small", ["random", "half"]),
        ("large", ["random", "half"]),
    ]


def test_one_method_with_other_parameters_elsewhere_keeps_its_name():
    found = cased(
        ("one", "mine", run("power-bald", 0, task={"a": 1}, params={"beta": 0.5})),
        ("two", "mine", run("power-bald", 0, task={"a": 2})),
    )
    assert [list(g.runs) for g in found] == [["mine"], ["mine"]]


def opened_with(cases, made):
    opened = replace(made.state.opened, notes={**made.state.opened.notes, "cases": cases})
    return replace(made, state=replace(made.state, opened=opened))


def test_cases_that_runs_were_opened_with_name_them_without_the_protocol():
    runs = [
        opened_with({"set": "one", "method": how}, run(recipe={**CNN, "objective": how}))
        for how in ("erm", "mmdro")
    ]
    [found] = group(runs, noted_cases(runs))
    assert (found.title, list(found.runs)) == ("one", ["erm", "mmdro"])
    assert len(group(runs)) == 2  # without them two recipes are two settings


@pytest.mark.parametrize("cases", ["erm", {}, ["method"], {"method": 3}, {"method": {"name": "erm"}}, None])
def test_what_a_strangers_file_calls_cases_is_left_out_unless_it_is_a_table_of_words(cases):
    assert noted_cases([opened_with(cases, run())]) == {}


def test_random_is_random_whatever_its_case_is_called():
    [found] = cased(("one", "baseline", run("random")), ("one", "other", run("margin")))
    assert list(found.runs) == ["random", "other"]


def test_a_case_called_like_another_strategy_does_not_take_its_runs():
    runs = run("margin"), run("random"), run("entropy")
    cases = {runs[0].id: {"set": "one", "method": "entropy"}, runs[1].id: {"set": "one", "method": "null"}}
    [found] = group(runs, cases)  # entropy is no case
    assert {name: mine[0].spec["strategy"]["name"] for name, mine in found.runs.items()} == {
        "random": "random",
        "entropy": "entropy",
        "entropy: margin": "margin",
    }
    [found] = cased(("one", "random", run("margin")), ("one", "null", run("random")))
    assert {name: mine[0].spec["strategy"]["name"] for name, mine in found.runs.items()} == {
        "random": "random",
        "random: margin": "margin",
    }


def test_a_cheat_is_marked_under_any_name():
    [found] = cased(("one", "random", run("random")), ("one", "best", run("grand-oracle")))
    assert list(found.runs) == ["random", f"best ({CHEATS})"]


def test_what_a_case_does_not_tell_apart_is_said():
    [found] = cased(("one", "two", run("margin")), ("one", "two", run("entropy")))
    assert list(found.runs) == ["two: entropy", "two: margin"]
    found = cased(("one", "m", run("margin", batch=10)), ("one", "m", run("margin", batch=5)))
    assert [g.title for g in found] == [
        "one: hand-made, batch 10, budget 30",
        "one: hand-made, batch 5, budget 20",
    ]
    found = cased(
        ("one", "random", run("random", recipe=CNN)),
        ("one", "on-waal", run("random", recipe={"name": "waal"})),
    )
    assert list(found[0].runs) == ["random", "random, recipe waal"]


def test_without_cases_everything_is_called_as_ever():
    runs = [run("random"), run("power-bald", params={"beta": 0.5})]
    assert group(runs) == group(runs, {}) == group(runs, {one.id: {} for one in runs})
    assert list(group(runs)[0].runs) == ["random", "power-bald (beta 0.5)"]
    assert group(runs)[0].title == "hand-made"


def test_the_page_says_what_a_case_stands_for(tmp_path):
    runs = [run("random"), run("power-bald", params={"beta": 0.5})]
    cases = {one.id: {"method": name} for one, name in zip(runs, ("random", "half"), strict=True)}
    said = [
        write_report(runs, tmp_path / f"{k}.html", name="x", cases=given).paths["html"].read_text()
        for k, given in enumerate((cases, None))
    ]
    line = "strategy of half = {&#34;name&#34;: &#34;power-bald&#34;, &#34;beta&#34;: 0.5}"
    assert line in said[0] and "strategy of" not in said[1]
