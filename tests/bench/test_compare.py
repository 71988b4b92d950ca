"""Comparisons of runs whose every number can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fabricated import run
from numpy.testing import assert_allclose

from labelwise.bench.compare import compare
from labelwise.bench.results import Run
from labelwise.bench.settings import curve_of
from labelwise.bench.words import percent, points
from labelwise.errors import InputError
from labelwise.functional.ranking import detectable

SLOW = (0.5, 0.7, 0.9)
QUICK = (0.5, 0.9, 0.95)


def shifted(curve: tuple[float, ...], by: float) -> tuple[float, ...]:
    """The start is common to all strategies; the later points differ from seed to seed."""
    return (curve[0], *(round(v + by, 6) for v in curve[1:]))


def five(strategy: str, curve: tuple[float, ...], spread: float = 0.01, **more: object) -> list[Run]:
    return [run(strategy, s, shifted(curve, spread * (s - 2) * (-1) ** s), **more) for s in range(5)]  # type: ignore[arg-type]


def test_area_final_and_labels_needed_by_hand() -> None:
    [setting] = compare([run("random", 0, SLOW), run("margin", 0, QUICK)]).settings
    quick, slow = setting.strategies
    assert (quick.name, slow.name) == ("margin", "random")
    # two trapezoids of width 10 over a span of 20: ((.5 + .9)/2 + (.9 + .95)/2) / 2 and ((.5 + .7)/2 + (.7 + .9)/2) / 2
    assert_allclose([quick.aubc.mean, slow.aubc.mean], [0.8125, 0.7])
    # 20 labels beyond the start in batches of 10: the papers' form is the same number
    assert quick.aubc_quota is not None
    assert_allclose(quick.aubc_quota.mean, 0.8125)
    assert_allclose([quick.final.mean, slow.final.mean], [0.95, 0.9])
    # 80 %: 3/4 of the way from .5 to .9 -> 10 + 7.5; halfway from .7 to .9 -> 20 + 5
    labels = {s.name: {r.target: r.labels.mean for r in s.reach if r.labels} for s in (quick, slow)}
    assert_allclose(labels["margin"][0.9], 20)
    assert_allclose(labels["random"][0.9], 30)
    assert setting.target == 0.9
    assert setting.span == (10, 30)


def test_scoring_is_related_to_training_of_the_rounds_that_asked() -> None:
    [setting] = compare([run(seconds={"fit": 4.0, "infer": 0.6, "propose": 0.2})]).settings
    # two fits asked (the last one did not): (0.6 + 0.2) * 2 / (4 * 2)
    assert setting.strategies[0].scoring_ratio == pytest.approx(0.2)


def test_a_real_difference_is_said_in_labels() -> None:
    found = compare(five("random", (0.5, 0.7, 0.93)) + five("margin", QUICK, spread=0.004))
    assert found.settings[0].verdict == "better"
    assert found.headline.startswith("Margin reached 90 % with 20 labels; random needed ")
    assert "(5 seeds, difference" in found.headline
    area = found.settings[0].pair("margin", "aubc")
    assert area is not None
    assert area.clear
    assert area.interval.low is not None
    assert area.interval.low > 0
    assert found.settings[0].bold["aubc"] == "margin"


def test_the_headline_adds_up_as_it_is_written() -> None:
    words = compare(five("random", SLOW) + five("margin", QUICK)).headline.replace(",", "")
    mine, theirs, gap = (
        int(words.split(mark)[1].split()[0].rstrip(")")) for mark in ("with ", "needed ", "difference ")
    )
    assert theirs - mine == gap


def test_no_difference_is_said_with_what_would_be_visible() -> None:
    # d = +-0.02 around 0.002: the interval holds 0
    noisy = [run("margin", s, shifted(SLOW, d)) for s, d in enumerate((0.02, -0.02, 0.022, -0.018, 0.006))]
    found = compare([run("random", s, SLOW) for s in range(5)] + noisy)
    [setting] = found.settings
    assert setting.verdict == "none"
    # AUBC counts the first point half-weighted and unchanged: d_aubc = 0.75 d, s = 0.75 * 0.0201494 = 0.015112. Four times
    # in five a t-test of five pairs finds 1.6820 s = 0.025418 (noncentral t, see the tests of detectable): 2.5 points
    assert found.headline == (
        "No strategy differs from random here: with 5 seeds, true differences in AUBC under 2.5 points are mostly invisible."
    )
    assert any(line.startswith("A true difference of 2.5 points would be found") for line in setting.detail)
    assert setting.bold["aubc"] is None


def test_looking_at_more_strategies_makes_small_differences_invisible() -> None:
    base = [run("random", s, SLOW) for s in range(5)]
    noise = (0.02, -0.02, 0.022, -0.018, 0.006)
    others = [
        run(name, s, shifted(SLOW, d)) for name in ("margin", "entropy", "bald") for s, d in enumerate(noise)
    ]
    # the level is 0.05 / 3 a pair, with the deviation 0.015112 of the test above
    wanted = detectable(0.75 * float(np.std(noise, ddof=1)), 5, alpha=0.05 / 3)
    assert f"under {100 * wanted:.1f} points" in compare(base + others).headline
    assert wanted > detectable(0.75 * float(np.std(noise, ddof=1)), 5)


def test_seeds_too_few_for_any_difference_are_called_too_few() -> None:
    # two seeds never make a difference clear
    base = [run("random", s, SLOW) for s in range(2)]
    others = [run(n, s, shifted(SLOW, d)) for n in ("margin", "bald") for s, d in enumerate((0.1, -0.1))]
    assert "so few seeds cannot show any difference" in compare(base + others).headline


def test_a_worse_strategy_is_called_worse() -> None:
    found = compare(five("random", QUICK, spread=0.002) + five("margin", SLOW, spread=0.004))
    assert found.settings[0].verdict == "worse"
    assert found.headline.startswith("No strategy is better than random here")
    assert "Margin is worse than random." in found.settings[0].detail


def test_one_fit_has_an_accuracy_and_no_curve() -> None:
    noise = (0.02, -0.02, 0.022, -0.018, 0.006)
    runs = [run("random", s, (0.7,)) for s in range(5)]
    runs += [run("margin", s, (0.7 + d,)) for s, d in enumerate(noise)]
    [setting] = compare(runs).settings
    assert setting.headline.startswith(
        "No method differs from random here: with 5 seeds, true differences in accuracy"
    )
    better = compare(runs[:5] + [run("margin", s, (0.8 + d,)) for s, d in enumerate(noise)]).headline
    assert better.startswith("Margin is better than random with 10 labels: accuracy 80.2 % against 70 %")
    assert "AUBC" not in better + setting.headline + " ".join(setting.detail)


def test_two_seeds_that_agree_by_chance_prove_nothing() -> None:
    runs = [run(name, s, curve) for s in range(2) for name, curve in (("random", SLOW), ("margin", QUICK))]
    [setting] = compare(runs).settings
    assert setting.verdict == "none"
    assert not any(pair.clear for pair in setting.pairs)


def test_one_seed_gives_no_interval_and_no_verdict() -> None:
    found = compare([run("random", 0, SLOW), run("margin", 0, QUICK)])
    [setting] = found.settings
    assert setting.verdict == "untested"
    assert found.headline.startswith("One seed tells nothing about which strategy is better")
    assert all(point.low is None for s in setting.strategies for point in s.curve)
    assert any("one seed" in caveat for caveat in setting.caveats)


def test_a_single_strategy_is_described_and_a_comparison_asked_for() -> None:
    found = compare([run("margin", s, QUICK) for s in range(3)])
    assert found.settings[0].verdict == "alone"
    assert found.headline == "Margin reached 95 % with 30 ± 0 labels (3 seeds)."
    assert found.settings[0].detail == ("There is nothing to compare margin with: run random as well.",)
    assert found.settings[0].pairs == ()


def test_without_random_the_weakest_is_the_reference_and_it_is_said() -> None:
    [setting] = compare(five("entropy", SLOW, spread=0.002) + five("margin", QUICK, spread=0.002)).settings
    assert setting.reference == "entropy"
    assert "There is no random run: the others are compared with the weakest, entropy." in setting.detail


def test_unequal_seeds_are_paired_and_said() -> None:
    runs = [run("random", s, SLOW) for s in range(5)] + [run("margin", s, QUICK) for s in (1, 2, 7)]
    [setting] = compare(runs).settings
    pair = setting.pair("margin", "aubc")
    assert pair is not None
    assert pair.seeds == (1, 2)
    assert any("random: 0–4; margin: 1, 2, 7" in caveat for caveat in setting.caveats)


def test_unfinished_runs_enter_no_mean_and_are_named() -> None:
    late = run("margin", 2, (0.5, 0.2), budget=30)
    runs = [run(name, s, c) for s in range(2) for name, c in (("random", SLOW), ("margin", QUICK))]
    [setting] = compare([*runs, late]).settings
    assert setting.summary("margin").seeds == (0, 1)
    assert len(setting.summary("margin").runs) == 3
    assert setting.caveats[0] == (
        "1 of 5 runs is unfinished and left out of every mean and difference: margin seed 2 (20 of 30 labels)."
    )


def test_where_nothing_is_finished_all_stop_where_every_run_is() -> None:
    runs = [run("random", s, (0.5, 0.7, 0.8), budget=90) for s in range(2)] + [
        run("margin", s, (0.5, 0.9), budget=90) for s in range(2)
    ]
    found = compare(runs)
    assert found.settings[0].span == (10, 20)
    assert found.headline.startswith("Preliminary, to 20 labels: ")
    # both to 20 labels: (.5 + .7)/2 and (.5 + .9)/2
    assert_allclose([s.aubc.mean for s in found.settings[0].strategies], [0.7, 0.6])


def test_without_a_test_set_validation_is_used_and_said() -> None:
    [setting] = compare([run("random", 0, SLOW, part="validation")]).settings
    assert setting.part == "validation"
    assert any(caveat.startswith("There is no test set") for caveat in setting.caveats)


def test_runs_without_any_measurement_are_refused_in_words() -> None:
    with pytest.raises(InputError, match="None of the 1 runs has a measured fit"):
        compare([run(part="nothing")])
    with pytest.raises(InputError, match="at least one run"):
        compare([])


def test_settings_are_told_apart_by_what_differs() -> None:
    runs = [run("random", s, SLOW, noise=noise) for s in range(2) for noise in (0.0, 0.2)]
    assert [s.title for s in compare(runs).settings] == ["hand-made, noise 0", "hand-made, noise 0.2"]


def test_parameters_make_two_strategies_of_one_name() -> None:
    runs = [run("random"), run("badge", params={"blocks": 2}), run("badge", params={"blocks": 4})]
    assert {s.name for s in compare(runs).settings[0].strategies} == {
        "random",
        "badge (blocks 2)",
        "badge (blocks 4)",
    }


def test_other_data_under_the_same_spec_are_pointed_out() -> None:
    [setting] = compare([run("random", 0, SLOW), run("margin", 0, QUICK, sha256="1" * 64)]).settings
    assert any("2 different versions of the data" in caveat for caveat in setting.caveats)


def test_a_run_given_twice_counts_once() -> None:
    assert compare([run("random"), run("random")]).settings[0].summary("random").seeds == (0,)


def test_random_overtakes_where_the_mean_curves_cross() -> None:
    early, steady = (0.5, 0.8, 0.8), (0.5, 0.7, 0.9)
    [setting] = compare([run("random", 0, steady), run("margin", 0, early)]).settings
    # the lead is +0.1 at 20 labels and -0.1 at 30: it is lost halfway
    assert setting.crossings[0].labels == pytest.approx(25)


def test_passes_shift_the_curve_to_the_labels_really_bought() -> None:
    labels = [None, *[i % 3 for i in range(199)]]
    assert curve_of(run("margin", 0, QUICK, labels=labels), "test").labels == (9, 19, 29)


def test_every_strategy_alike_is_said_so() -> None:
    found = compare([run(name, s, SLOW) for name in ("random", "margin") for s in range(3)])
    assert found.headline.startswith("Every strategy has the same accuracy here with every seed")


@pytest.mark.parametrize("value, text", [(0.9, "90 %"), (0.9034, "90.3 %"), (1.0, "100 %"), (0.05, "5 %")])
def test_percent(value: float, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize("value, text", [(0.0081, "0.81"), (0.021, "2.1"), (-0.0004, "-0.04")])
def test_points(value: float, text: str) -> None:
    assert points(value) == text
