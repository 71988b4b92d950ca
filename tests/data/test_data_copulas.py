"""The simulated task of modalities that a copula binds: what shifts, what stays, and that seeds say everything."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from labelwise.data import make
from labelwise.errors import InputError, UnknownName
from labelwise.functional.shift import shift_radii
from labelwise.seeds import generator

SMALL = {"train": 300, "test": 400}


def test_part(simulation):
    task = simulation.task
    return task.data.batch(task.test.ids), task.test.y


test_part.__test__ = False


def train_part(simulation):
    task = simulation.task
    ids = np.sort(np.concatenate([task.pool, task.validation.ids]))
    return task.data.batch(ids), simulation.truth[ids]


def test_it_has_the_parts_and_kinds_that_were_asked_for():
    made = make("copula", modalities=4, width=3, labels=5, **SMALL)
    task = made.task
    assert task.data.modalities == ("m1", "m2", "m3", "m4")
    assert len(task.pool) + len(task.validation) == 300 and len(task.test) == 400
    assert task.classes == ("0", "1", "2", "3", "4")
    batch = task.data.batch(task.pool[:2])
    assert batch["m3"].shape == (2, 3) and batch["m3"].dtype == np.float32
    assert task.features.shape == (700, 12)
    assert np.bincount(made.truth, minlength=5).min() > 40


def test_the_seed_says_everything():
    one, same, other = (make("copula", seed=s, **SMALL).task.fingerprint() for s in (1, 1, 2))
    assert one == same
    assert one["sha256"] != other["sha256"]


@pytest.mark.parametrize("shift", [{"m2": 0.4}, {"m1": {"rho": 0.4, "kind": "mixture", "up": False}}])
def test_a_shift_moves_the_test_part_of_its_modality_and_nothing_else(shift):
    still, moved = (make("copula", shift=s, **SMALL) for s in (None, shift))
    (before, y), (after, z) = train_part(still), train_part(moved)
    assert_array_equal(y, z)
    assert all(np.array_equal(before[m], after[m]) for m in before)
    (before, y), (after, z) = test_part(still), test_part(moved)
    for name in before:
        assert np.array_equal(before[name], after[name]) == (name not in shift)
        assert_array_equal(np.argsort(before[name], axis=0), np.argsort(after[name], axis=0))  # the copula
    assert 0 < np.mean(y != z) < 0.4  # labels are drawn from what the rule says of the moved sample


def test_the_shift_has_the_radius_asked_for():
    # Each of 4 columns rises by a, exp(4 a²) - 1 = 0.4.
    made = make("copula", train=4000, test=4000, shift={"m1": 0.4})
    x, y = train_part(made)[0]["m1"], test_part(made)[0]["m1"]
    assert_allclose(y.mean(axis=0) - x.mean(axis=0), np.sqrt(np.log(1.4) / 4), atol=0.08)
    found = shift_radii([x], [y], generator(0, "tests", "copula"))[0]
    assert 0.2 < found < 0.5


def test_labels_follow_the_same_rule_in_both_parts():
    # Without noise the label is a function of x: samples that no shift moved keep theirs, and so do nearest neighbours.
    made = make("copula", modalities=1, width=1, noise=0.0, train=3000, test=500, shift={"m1": 0.5})
    (x, y), (moved, z) = train_part(made), test_part(made)
    inside = np.abs(moved["m1"][:, 0]) < 1.5
    near = np.abs(moved["m1"][inside] - x["m1"].T).argmin(axis=1)
    assert np.mean(y[near] == z[inside]) > 0.98


def test_controls_break_the_copula_of_the_test_part_only():
    settings = {"correlation": 0.9, "modalities": 2, "width": 1, **SMALL}
    bound, apart, turned = (
        make("copula", control=how, **settings) for how in (None, "independent", "reversed")
    )
    r = [
        stats.spearmanr(part["m1"][:, 0], part["m2"][:, 0]).statistic
        for made in (bound, apart, turned)
        for part in (test_part(made)[0],)
    ]
    assert r[0] > 0.8 and abs(r[1]) < 0.15 and r[2] < -0.8
    for made in (apart, turned):
        assert_array_equal(train_part(made)[0]["m2"], train_part(bound)[0]["m2"])


def test_it_can_be_learned_and_needs_more_than_one_modality():
    from sklearn.ensemble import RandomForestClassifier

    made = make("copula", modalities=2, width=2, noise=0.1, correlation=0.0)
    (x, y), (new, z) = train_part(made), test_part(made)
    both, one = (
        RandomForestClassifier(30, random_state=0)
        .fit(np.hstack([x[m] for m in names]), y)
        .score(np.hstack([new[m] for m in names]), z)
        for names in (("m1", "m2"), ("m1",))
    )
    assert both > 0.8 and both > one + 0.05


def test_every_marginal_and_copula_makes_a_task():
    for kind in ("gaussian", "t"):
        made = make("copula", kind=kind, marginals=["gaussian", "gamma", "t"], **SMALL)
        x = train_part(made)[0]
        assert_allclose([x[m].mean() for m in x], 0, atol=0.15)
        assert x["m2"].min() > -np.sqrt(2) - 1e-6  # a Gamma variable of shape 2 begins at -2/√2


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"modalities": 0}, "modalities must be"),
        ({"labels": 1}, "labels must be"),
        ({"correlation": -0.9}, "correlation must be"),
        ({"kind": "vine"}, "copula"),
        ({"marginals": "normal"}, "marginal"),
        ({"marginals": ["t", "t"]}, "one for each of 3 modalities; there are 2"),
        ({"shift": {"m9": 0.1}}, "m9"),
        ({"shift": {"m1": -0.1}}, "shift.m1.rho must be"),
        ({"shift": {"m1": {"roh": 0.1}}}, "Did you mean 'rho'"),
        ({"shift": {"m1": {"rho": 0.1, "up": "yes"}}}, "up must be true or false"),
        ({"shift": {"m1": {"rho": 0.1, "kind": "twist"}}}, "kind of shift"),
        ({"shift": 0.2}, "shift must be a table"),
        ({"control": "half"}, "break a copula"),
        ({"noise": -1.0}, "noise must be"),
    ],
)
def test_bad_parameters_are_named(params, words):
    with pytest.raises((InputError, UnknownName), match=words):
        make("copula", **{**SMALL, **params})
