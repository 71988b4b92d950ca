"""Strategies that read probes: smallest distance first, largest loss first, and their use in a campaign."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError, MissingSignal, UnknownName
from labelwise.seeds import generator
from labelwise.strategies import make

VALUES = np.array([0.5, 3.0, 0.1, 2.0, 0.2])


@pytest.mark.parametrize("name,signal", [("deepfool", "boundary"), ("bim", "bim")])
def test_the_smallest_change_is_asked_first(name, signal):
    found = selection.proposal(name, {f"scalars.{signal}": VALUES}, 3)
    assert found.rows.tolist() == [2, 4, 0]
    assert_array_equal(found.scores, -VALUES)  # higher = sooner


@pytest.mark.parametrize("variant,signal", [("max", "sharpness"), ("diff", "sharpness_rise")])
def test_the_sharpest_is_asked_first(variant, signal):
    found = selection.proposal("saal", {f"scalars.{signal}": VALUES}, 3, variant=variant)
    assert found.rows.tolist() == [1, 3, 0]
    assert_array_equal(found.scores, VALUES)
    other = {"sharpness": "sharpness_rise", "sharpness_rise": "sharpness"}[signal]
    with pytest.raises(MissingSignal, match=f"saal needs scalars.{signal} of the pool samples"):
        selection.select("saal", {f"scalars.{other}": VALUES}, 3, variant=variant)


def test_an_unknown_variant_is_refused():
    with pytest.raises(UnknownName, match="No variant is named 'maximum'. Did you mean 'max'"):
        make("saal", variant="maximum")


@pytest.mark.parametrize("name,signal", [("deepfool", "boundary"), ("bim", "bim"), ("saal", "sharpness")])
def test_a_missing_number_is_named(name, signal):
    values = np.r_[VALUES, np.nan, 1.0]
    with pytest.raises(InputError, match="row 5 .*NaN"):
        selection.select(name, {f"scalars.{signal}": values}, 2)


def test_diverse_begins_with_the_sharpest_and_gives_no_scores():
    found = selection.proposal("saal", {"scalars.sharpness": VALUES}, 5, diverse=True)
    assert found.rows[0] == 1
    assert sorted(found.rows) == [0, 1, 2, 3, 4]
    assert found.scores is None


def test_diverse_draws_by_squared_distance():
    # Behind 0 at the top, the squared distances are 1, 4 and 25 of 30: the second row is drawn so often.
    values = {"scalars.sharpness": np.array([5.0, 4.0, 3.0, 0.0])}
    strategy = make("saal", diverse=True)
    counts = np.zeros(4)
    for seed in range(2000):
        view = selection.View(selection.Signals(np.arange(4), scalars={"sharpness": values["scalars.sharpness"]}),
                              selection.Signals(np.arange(0)), selection.Signals(np.arange(0)), 2)  # fmt: skip
        counts[strategy.propose(view, 2, generator(seed)).rows[1]] += 1
    # the largest standard deviation is √(2000 · 1/6 · 5/6) = 17; five of them
    assert (np.abs(counts - 2000 * np.array([0, 1, 4, 25]) / 30) < 85).all()


def test_diverse_takes_equal_scores_when_no_other_is_left():
    values = np.array([1.0, 1, 1, 2, 2])
    for seed in range(20):
        rows = selection.select("saal", {"scalars.sharpness": values}, 4, seed=seed, diverse=True)
        assert len(set(rows.tolist())) == 4
        assert set(values[rows[:2]]) == {1.0, 2.0}
