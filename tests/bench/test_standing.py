"""Standing over settings, labels for shares of full accuracy, cost of choosing, power: by hand on fabricated runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fabricated import run
from numpy.testing import assert_allclose

from labelwise.bench.compare import compare
from labelwise.bench.report import write_report
from labelwise.bench.results import Run
from labelwise.functional.ranking import critical_difference, detectable

FLAT, GOOD, BEST = (0.5, 0.6, 0.7), (0.5, 0.65, 0.75), (0.5, 0.75, 0.85)
CURVES = {"random": FLAT, "margin": GOOD, "entropy": BEST}


def wobble(curve: Sequence[float], *path: int) -> list[float]:
    """Return a curve moved by a little that depends on seed, setting and strategy."""
    return [float(v) for v in np.asarray(curve) + np.random.default_rng(path).normal(0, 0.004)]


def settings(n: int = 3, seeds: int = 4, names: Sequence[str] = tuple(CURVES)) -> list[Run]:
    """Some settings in which every strategy is clearly better than the one before it."""
    return [
        run(name, s, wobble(CURVES[name], k, s, a), task={"k": k})
        for k in range(n)
        for s in range(seeds)
        for a, name in enumerate(names)
    ]


def test_the_standing_by_hand() -> None:
    found = compare(settings(4)).standing
    assert found is not None
    assert found.names == ("entropy", "margin", "random")
    assert found.ranks == (1, 2, 3)
    assert len(found.settings) == 4
    assert found.friedman.statistic is None
    assert found.friedman.p == pytest.approx(6.0**-3)
    assert found.difference == pytest.approx(2.3437 * np.sqrt(12 / 24), abs=1e-3)
    assert found.alike == ((0, 1), (1, 2))  # 1.66 > 1
    assert found.wins == ((0, 4, 4), (0, 0, 4), (0, 0, 0))
    assert found.ties == ((0, 0, 0),) * 3


def test_strategies_that_are_not_everywhere_are_left_out() -> None:
    more = [run("bald", s, wobble(BEST, 9, s), task={"k": 0}) for s in range(4)]
    found = compare(settings() + more).standing
    assert found is not None
    assert found.left_out == ("bald",)
    assert found.names == ("entropy", "margin", "random")


def test_a_setting_that_lacks_strategies_is_left_out() -> None:
    found = compare(settings(4)[:36] + settings(4)[36::3]).standing  # of the fourth setting random only
    assert found is not None
    assert len(found.settings) == 3


@pytest.mark.parametrize("runs", [settings(2), settings(3, 2), settings(names=("random", "margin"))])
def test_where_it_would_mean_nothing_there_is_no_standing(runs: list[Run]) -> None:
    assert compare(runs).standing is None


def test_labels_for_shares_of_the_best_final_accuracy() -> None:
    # the best mean ends at 0.8: 95 % of it is 0.76, between 20 and 30 labels of margin; random ends at 0.7
    quick, slow = (0.5, 0.7, 0.8), (0.5, 0.6, 0.7)
    [setting] = compare(
        [run("margin", s, quick) for s in range(3)] + [run("random", s, slow) for s in range(3)]
    ).settings
    assert setting.full is not None
    assert (setting.full.accuracy, setting.full.runs) == (pytest.approx(0.8), 0)
    by = {(s.share, s.strategy): s for s in setting.shares}
    assert len(by) == 6
    mine = by[0.95, "margin"]
    assert mine.labels is not None
    assert mine.labels.mean == pytest.approx(26)
    assert mine.ratio is None  # random never got there, so it needs more than its 30 labels
    assert mine.at_most == pytest.approx(26 / 30)
    assert by[0.95, "random"].reached == 0


def test_labels_for_shares_of_what_every_label_gives() -> None:
    # a pool of 50: random with all of it has 0.7, so that 90 % is 0.63 and 95 % 0.665
    plan = {"pool": 50, "start": 10, "batch": 10}
    full = [run("random", s, (0.68 + 0.01 * s,), start=50, pool=50) for s in range(5)]
    curves = {"random": (0.5, 0.6, 0.7), "margin": (0.5, 0.66, 0.72)}
    runs = [run(name, s, curve, **plan) for s in range(3) for name, curve in curves.items()]  # type: ignore[arg-type]
    setting, alone = compare(runs + full).settings
    assert setting.full is not None
    assert (setting.full.accuracy, setting.full.runs) == (pytest.approx(0.70), 5)
    assert alone.full is None
    assert alone.shares == ()
    at = next(s for s in setting.shares if (s.share, s.strategy) == (0.9, "margin"))
    assert at.ratio is not None
    # margin: 10 + 10 · .13/.16, random: 20 + 10 · .03/.1
    assert_allclose([at.ratio.mean, at.ratio.low, at.ratio.high], 18.125 / 23)
    assert compare([run("random", 0, (0.5, 0.9), pool=20)]).settings[0].full.runs == 1  # type: ignore[union-attr]


def test_a_share_that_random_starts_with_is_left_out() -> None:
    runs = [run(name, s, (0.85, 0.9)) for s in range(3) for name in ("random", "margin")]
    assert {s.share for s in compare(runs).settings[0].shares} == {0.95, 0.99}


def test_choosing_costs_seconds_for_each_point() -> None:
    timed = {"random": {"infer": 0.0, "propose": 0.1}, "entropy": {"infer": 1.0, "propose": 0.5}}
    runs = [
        run(n, s, wobble(CURVES[n], s, k), seconds=t)
        for s in range(5)
        for k, (n, t) in enumerate(timed.items())
    ]
    [setting] = compare(runs).settings
    [cost] = setting.costs
    assert cost.strategy == "entropy"
    assert cost.extra == pytest.approx(1.4)
    assert cost.per_point == pytest.approx(1.4 / (100 * cost.gain))
    worse = compare([run(n, s, wobble(CURVES["random"], s)) for s in range(5) for n in timed]).settings[0]
    assert worse.costs[0].per_point is None  # nothing gained


def test_power_is_that_of_the_median_strategy() -> None:
    spread = {"margin": 0.01, "entropy": 0.02, "bald": 0.05}
    runs = [run("random", s, FLAT) for s in range(4)]
    for name, size in spread.items():
        runs += [run(name, s, [v + size * d for v in FLAT]) for s, d in enumerate((-1, 1, -1, 1))]
    [setting] = compare(runs).settings
    assert setting.power is not None
    assert setting.power.strategy == "entropy"
    deviation = 0.02 * np.sqrt(4 / 3)
    assert setting.power.difference == pytest.approx(detectable(deviation, 4, alpha=0.05 / 3))
    assert "with 4 seeds, true differences in AUBC under " in setting.headline
    assert sum("would be found in 4 of 5" in line for line in setting.detail) == 1
    few = compare([r for r in runs if r.seed < 2]).settings[0]
    assert few.power is None


@pytest.mark.slow
def test_page_markdown_and_json_show_the_standing(tmp_path: Path) -> None:
    paths = write_report(settings(4), tmp_path / "many" / "report.html", name="x").paths
    html, text = paths["html"].read_text(), paths["md"].read_text()
    assert html.count("Ranks over all settings") == 1
    assert html.count("<h3>Labels for shares of the best accuracy") == 4
    assert html.count("<h3>What choosing costs") == 4
    assert "| entropy | 1.00 | – | 4 / 0 / 0 | 4 / 0 / 0 | 8 / 0 / 0 |" in text
    values = json.loads(paths["json"].read_text())
    assert values["standing"]["names"] == ["entropy", "margin", "random"]
    assert values["settings"][0]["shares"][0]["share"] == 0.9
    assert values["settings"][0]["power"]["seeds"] == 4
    assert critical_difference(3, 4) == pytest.approx(values["standing"]["difference"])
    few = write_report(settings(2), tmp_path / "few" / "report.html", name="x").paths
    assert "Ranks over all settings" not in few["html"].read_text() + few["md"].read_text()


def late_random(k: int = 0) -> list[Run]:
    """More seeds of random alone, easy ones: 0.12 above what its other seeds reach."""
    return [run("random", s, wobble([v + 0.12 for v in FLAT], 7, s), task={"k": k}) for s in range(4, 20)]


def test_strategies_are_ranked_on_the_seeds_that_all_of_them_have() -> None:
    """Margin gains 0.05 on every seed; sixteen easy seeds that only random has must not put random before it."""
    found = compare(settings(4) + [one for k in range(4) for one in late_random(k)])
    assert found.standing is not None and found.penalty is not None
    assert found.standing.names == ("entropy", "margin", "random")
    assert found.standing.ranks == (1, 2, 3)
    margin, random = (found.penalty.names.index(name) for name in ("margin", "random"))
    alone = compare(settings(4)).penalty
    assert alone is not None
    assert found.penalty.wins[margin][random] == alone.wins[margin][random] > 0


def test_a_headline_tells_means_of_the_seeds_that_its_difference_is_of() -> None:
    """Entropy 0.75 and random 0.6 on the shared seeds; random's mean over all twenty would be 0.7."""
    headline = compare(settings(1) + late_random()).settings[0].headline
    assert "(4 seeds" in headline
    mine, theirs, gap = (
        float(v) for v in re.search(r"(\S+) % against (\S+) % .*difference (\S+) ±", headline).groups()
    )  # type: ignore[union-attr]
    assert mine - theirs == pytest.approx(gap, abs=0.11)
    assert theirs == pytest.approx(60, abs=0.5)


def test_a_strategy_that_gets_there_on_some_seeds_only_needs_no_fewer_labels() -> None:
    """Lucky reaches 80 % at once with 4 of 10 seeds, and never with the others; over those 4 it would lead by far."""
    curves = {"random": (0.5, 0.6, 0.7, 0.82), "margin": (0.5, 0.62, 0.75, 0.86)}
    runs = [run(n, s, wobble(c, s, k)) for s in range(10) for k, (n, c) in enumerate(curves.items())]
    runs += [run("lucky", s, (0.5, 0.83, 0.84, 0.85) if s < 4 else (0.5, 0.5, 0.5, 0.5)) for s in range(10)]
    [setting] = compare(runs).settings
    assert setting.target == 0.8
    assert setting.pair("lucky", "labels") is None
    assert setting.pair("margin", "labels") is not None
    assert setting.bold["labels"] == "margin"
