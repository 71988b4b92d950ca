"""What more labels would buy: the numbers, the sentences, and the panel of a single campaign's page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.fabricated import run
from labelwise.bench.outlook import (
    about,
    as_json,
    caveats,
    curve_of,
    money,
    outlook,
    sentences,
    signed,
    usual,
)
from labelwise.bench.report import write_report
from labelwise.bench.report.forecast import curve, table
from labelwise.errors import InputError
from labelwise.events import State
from labelwise.functional.forecast import Step
from labelwise.functional.forecast_constants import CONSTANTS

RISING = [0.9 - 0.5 * (k + 1) ** -0.8 for k in range(10)]  # at 10, 20, ..., 100 labels


def campaign(accuracies=RISING, **more):
    return run(curve=accuracies, **more).state


def test_what_is_said_adds_up():
    told = outlook(campaign(), more=[50, 100], target=0.88, price=0.4)
    first, second = told.options
    assert (first.more, second.more) == (50, 100)
    assert first.gain.mean == pytest.approx(first.accuracy.mean[0] - RISING[-1])
    assert (first.cost, second.cost) == (20.0, 40.0)
    assert first.cost_of_point == pytest.approx(20 / (100 * first.gain.mean))
    assert first.further is None and second.further.mean < first.gain.mean
    line, target = sentences(told)
    assert line.startswith(
        f"Another 50 labels: {about(first.gain)} points (90 %), from 82.1 % with 100 labels to "
    )
    assert f"They cost 20, {money(first.cost_of_point)} a point." in line
    assert target.startswith("88 % ")
    assert told.samples == 300 and told.left == 100 and told.part == "test"


def test_labels_that_bring_back_less_than_they_cost_are_a_reason_to_stop():
    gain = outlook(campaign(), more=[50]).options[0].gain.mean
    for value, stop in ((20 / (100 * gain) * 1.01, False), (20 / (100 * gain) * 0.99, True)):
        told = outlook(campaign(), more=[50], price=0.4, value=value)  # 50 labels cost 20
        assert told.options[0].back.stop is stop
        assert ("a reason to stop" in sentences(told)[1]) is stop
        assert as_json(told)["options"][0]["back"] == pytest.approx(100 * gain * value / 20)
    for price, value in ((None, 1.0), (0.0, 1.0), (0.4, -1.0)):
        with pytest.raises(InputError, match="what one point of accuracy is worth"):
            outlook(campaign(), more=[50], price=price, value=value)


def test_options_that_nobody_asked_for_are_round_and_within_the_pool():
    assert usual(1234, 100_000) == [310, 620, 1200]
    assert usual(100, 40) == [25, 40]
    assert usual(3, 100) == [1, 2, 3]
    assert [o.more for o in outlook(campaign()).options] == [25, 50, 100]
    spent = outlook(campaign(pool=100))
    assert spent.options == ()
    assert sentences(spent) == ["No sample is left to label: it ends at 82.1 % with 100 labels."]


def test_signs_halves_and_amounts_as_people_write_them():
    assert (signed(0.0123), signed(-0.003), signed(0.0001), signed(0.00123, 2)) == (
        "+1.2",
        "−0.3",
        "0.0",
        "+0.12",
    )
    assert about(Step(0.012, 0.002, 0.022, 0.9)) == "+1.2 ± 1.0"
    assert about(Step(0.012, 0.006, 0.018, 0.9)) == "+1.20 ± 0.60"
    assert about(Step(0.012, -0.02, 0.02, 0.9)) == "+1.2 (−2.0 to +2.0)"
    assert (money(20), money(0.4), money(1234.5), money(2.5)) == ("20", "0.40", "1,234", "2.50")


def test_a_curve_at_its_end_is_said_to_gain_nothing():
    told = outlook(campaign([0.6, 0.8, 0.81, 0.8, 0.81, 0.8, 0.81, 0.8, 0.81, 0.85]), more=[10], price=1.0)
    (line,) = sentences(told)
    assert line.startswith("Another 10 labels: no gain expected (90 %: −")
    assert told.options[0].cost_of_point is None and line.endswith("They cost 10.")
    noisy = outlook(campaign([0.6, 0.8, 0.75, 0.83, 0.77, 0.82, 0.79, 0.84, 0.78, 0.81]), more=[100])
    assert sentences(noisy)[0].endswith("The interval holds 0: they may buy nothing that can be measured.")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (0.82, "82 % is reached: 82.1 % was measured with 100 labels."),
        (0.999, "99.9 % is not expected within 400 labels, as far as can be said;"),
        (0.86, "86 % needs about "),
    ],
)
def test_targets_reached_near_and_too_far(target, words):
    assert sentences(outlook(campaign(), more=[10], target=target))[-1].startswith(words)


def test_a_target_beyond_the_pool_says_so():
    line = sentences(outlook(campaign(pool=110), more=[10], target=0.86, price=2.0))[-1]
    assert "Only 10 samples are left to ask for." in line and ", for " in line


def test_what_it_rests_on_is_said():
    lines = caveats(outlook(campaign(), more=[400]))
    assert lines[0].startswith(
        "Rests on 10 measurements, from 10 to 100 labels, of accuracy on 300 test samples"
    )
    assert f"{CONSTANTS['curves']:,} curves of {len(CONSTANTS['sources'])} data sets" in lines[1]
    assert "beyond 400 labels" in lines[2] and lines[3] == "Only 100 samples were never asked for."
    falling = caveats(outlook(campaign([0.9, 0.8, 0.7, 0.6]), more=[10]))
    assert falling[-1].startswith("The curve has not risen once")


def test_validation_comes_first_where_both_were_measured_and_the_newest_fit_counts():
    both = campaign(RISING, validated=[a - 0.1 for a in RISING])
    assert curve_of(both)[1] == pytest.approx([a - 0.1 for a in RISING])
    assert curve_of(both, "test")[1] == pytest.approx(RISING)
    again = replace(both.fits[-1], validation={"accuracy": 0.5})
    labels, accuracy, part = curve_of(replace(both, fits=(*both.fits, again)))
    assert (labels[-1], accuracy[-1], len(labels), part) == (100, 0.5, 10, "validation")


def test_what_cannot_be_forecast_is_refused_in_words():
    with pytest.raises(
        InputError, match="at least 4 measurements of test accuracy; here are 3. Each further round"
    ):
        outlook(campaign(RISING[:3]))
    with pytest.raises(InputError, match="never measured on validation data.*It was on test data"):
        outlook(campaign(), part="validation")
    with pytest.raises(InputError, match="never measured anywhere"):
        outlook(State())
    with pytest.raises(InputError, match="validation or test; it is 'train'"):
        outlook(campaign(), part="train")
    with pytest.raises(InputError, match="like 0.95; it is 95"):
        outlook(campaign(), target=95)
    with pytest.raises(InputError, match="price of one label, 0 or more; it is -1"):
        outlook(campaign(), price=-1)
    with pytest.raises(InputError, match="at least 1 more; it is 0"):
        outlook(campaign(), more=[0])


def test_the_json_is_plain_and_whole():
    import json

    told = as_json(outlook(campaign(), more=[50, 100], target=0.86, price=0.4))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert [o["labels"] for o in told["options"]] == [150, 200]
    assert told["target"]["low"] <= told["target"]["labels"]
    assert not told["target"]["reached"] and told["says"][0].startswith("Another 50 labels")
    assert as_json(outlook(campaign()))["target"] is None


def test_the_figure_is_the_same_each_time_and_shows_costs_and_target():
    told = outlook(campaign(), more=[100], target=0.86, price=0.4)
    one, two = (curve(told, "f", width=992) for _ in range(2))
    assert one == two
    assert "cost, 0.4 a label" in one and "target 86 %" in one and "now" in one
    narrow = curve(outlook(campaign(), more=[100]), "n", width=358)
    assert "labels more" in narrow and "+" in narrow
    flat = curve(outlook(campaign([1.0] * 5)), "flat", width=358)  # a frame with no height of its own
    assert "100 %" in flat


def test_the_table_has_columns_for_what_was_asked():
    assert [c.name for c in table(outlook(campaign(), more=[50])).columns] == [
        "more",
        "in all",
        "accuracy, %",
        "gain, points",
    ]
    told = table(outlook(campaign(), more=[50, 100], price=0.4))
    assert [c.name for c in told.columns][4:] == ["over row above", "cost", "a point"]
    assert all(len(row.cells) + 1 == len(told.columns) for row in told.rows)


def test_the_page_of_one_campaign_shows_it_and_that_of_several_says_whose_it_is(tmp_path):
    title = "What more labels would buy"
    alone = (
        write_report([run(curve=RISING)], tmp_path / "a" / "report.html", name="a").paths["html"].read_text()
    )
    assert title in alone and "Another 25 labels: " in alone
    few = (
        write_report([run(curve=RISING[:3])], tmp_path / "b" / "report.html", name="b")
        .paths["html"]
        .read_text()
    )
    two = [run(curve=RISING, seed=s) for s in (0, 1)]
    several = write_report(two, tmp_path / "c" / "report.html", name="c").paths["html"].read_text()
    assert title not in few
    assert (
        title in several
        and "A forecast is of one campaign; this one continues random with seed 0." in several
    )
    assert "A forecast is of one campaign" not in alone
