"""The pairwise penalty matrix: counted by hand, over settings, and shown as a heat map in every file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fabricated import run
from numpy.testing import assert_allclose

from labelwise.bench.compare import compare
from labelwise.bench.findings import Penalty
from labelwise.bench.report import write_report
from labelwise.bench.report.heats import penalties
from labelwise.bench.results import Run

FLAT = (0.5, 0.6, 0.7, 0.8)
AHEAD = (0.5, 0.7, 0.8, 0.9)


def three(seeds: int = 3, **more: object) -> list[Run]:
    """Random, a strategy that equals it, and one that is 0.1 ahead after the start."""
    curves = {"random": FLAT, "alike": FLAT, "ahead": AHEAD}
    return [run(name, s, curve, **more) for s in range(seeds) for name, curve in curves.items()]  # type: ignore[arg-type]


def found(runs: list[Run]) -> Penalty:
    penalty = compare(runs).penalty
    assert penalty is not None
    return penalty


def test_the_matrix_by_hand() -> None:
    penalty = found(three())
    assert penalty.names == ("ahead", "alike", "random")
    # fits at 10, 20, 30, 40 labels; checkpoints at the start and after 1 and 2 batches: 10, 20, 30. Each seed differs
    # by the same 0.1 at two of the three, so p = 0 there.
    assert_allclose(penalty.tested, [[0, 2 / 3, 2 / 3], [0, 0, 0], [0, 0, 0]])
    assert penalty.wins == ((0, 3, 3), (0, 0, 0), (0, 0, 0))  # at 20, 30 and 40; equal means win nothing
    assert (penalty.settings, penalty.budgets, penalty.reference) == (1, 4, "random")


def test_settings_add_up_and_budgets_are_counted_over_all() -> None:
    penalty = found(three(task={"k": 1}) + three(task={"k": 2}))
    assert_allclose(penalty.tested[0], [0, 4 / 3, 4 / 3])
    assert penalty.wins[0] == (0, 6, 6)
    assert (penalty.settings, penalty.budgets) == (2, 8)


def test_a_strategy_of_one_setting_only_is_counted_there() -> None:
    more = [run("extra", s, AHEAD, task={"k": 2}) for s in range(3)]
    penalty = found(three(task={"k": 1}) + three(task={"k": 2}) + more)
    place = penalty.names.index
    assert penalty.wins[place("extra")][place("random")] == 3
    assert penalty.wins[place("ahead")][place("random")] == 6
    assert penalty.wins[place("ahead")][place("extra")] == 0
    assert all(map(all, penalty.met))


def test_two_that_were_never_in_one_setting_are_not_said_to_be_equal() -> None:
    curves = {"random": FLAT, "alike": FLAT, "apart": AHEAD}
    other = [run(name, s, curve, task={"k": 2}) for s in range(3) for name, curve in curves.items()]
    penalty = found(three(task={"k": 1}) + other)
    place = penalty.names.index
    assert not penalty.met[place("ahead")][place("apart")] and penalty.met[place("apart")][place("random")]
    for heat in penalties(penalty):
        rows = {row.name: row.cells for row in heat.rows}
        assert rows["ahead"][place("apart")].text == "" != rows["apart"][place("random")].text
        assert "Empty: the two were never in one setting." in heat.caption


def test_seeds_that_only_some_have_do_not_matter_to_the_others() -> None:
    late = [run("random", s, FLAT) for s in (3, 4)]
    assert_allclose(found(three() + late).tested, found(three()).tested)


def test_a_difference_that_seeds_disagree_on_wins_without_a_test_only() -> None:
    noisy = [
        run(name, s, (0.5, 0.6 + delta, 0.7 + delta))
        for s in range(3)
        for name, delta in (("random", 0.0), ("alike", 0.0), ("noisy", (0.3, -0.1, -0.1)[s]))
    ]
    penalty = found(noisy)
    place = penalty.names.index
    assert np.max(penalty.tested) == 0
    assert penalty.wins[place("noisy")][place("random")] == 2  # mean + 0.033 at both budgets after the start


def test_runs_with_passes_are_read_between_their_fits() -> None:
    # every third answer is a pass: fits lie at 7, 14, 20 and 27 labels instead of 10, 20, 30, 40
    said = [None if i % 3 == 2 else i % 2 for i in range(200)]
    penalty = found(three(labels=said))
    assert penalty.budgets == 3  # 7, 17, 27
    assert penalty.wins[0] == (0, 2, 2)


@pytest.mark.parametrize(
    "runs",
    [
        three(seeds=2),
        [one for one in three() if one.strategy != "alike"],
        [run(name, s, (0.5,)) for s in range(3) for name in ("random", "a", "b")],
    ],
)
def test_with_too_few_runs_there_is_no_matrix(runs: list[Run]) -> None:
    assert compare(runs).penalty is None


def test_a_heat_map_has_a_number_in_each_cell_and_a_foot() -> None:
    tested, wins = penalties(found(three()))
    assert [cell.text for cell in tested.rows[0].cells] == ["–", "0.67", "0.67"]
    assert [cell.shade for cell in tested.rows[0].cells] == ["0", "0.667", "0.667"]
    assert [cell.text for cell in wins.rows[0].cells] == ["–", "3", "3"]
    assert wins.rows[0].cells[1].shade == "0.750"  # 3 of 4 budgets
    assert wins.rows[-1].foot
    assert [cell.text for cell in wins.rows[-1].cells] == ["0.0", "1.0", "1.0"]  # (3 + 0 + 0) / 3
    assert "Of the 4 budgets of this setting" in wins.caption


@pytest.mark.slow
def test_page_markdown_and_json_show_the_matrix(tmp_path: Path) -> None:
    for name, runs in (("one", three()), ("two", three(task={"k": 1}) + three(task={"k": 2}))):
        paths = write_report(runs, tmp_path / name / "report.html", name="x").paths
        html = paths["html"].read_text()
        assert html.count("Who beats whom") == 1
        assert '<tr class="foot">' in html
        assert "| ahead | – | 3 | 3 |" in paths["md"].read_text() or name == "two"
        assert json.loads(paths["json"].read_text())["penalty"]["names"] == ["ahead", "alike", "random"]
    few = write_report(three(seeds=2), tmp_path / "few" / "report.html", name="x").paths
    assert "Who beats whom" not in few["html"].read_text() + few["md"].read_text()
