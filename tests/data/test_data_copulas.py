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


# ---------------------------------------------------------------------------------------- shifts of known radius


def moves(task):
    return {shift.name: shift for shift in task.shifts}


def test_radii_shift_each_modality_alone_and_all_together_and_break_the_copula():
    task = make("copula", radii=[0.1, 0.5], marginals=["gaussian", "gamma", "t"], **SMALL).task
    names = list(moves(task))
    kinds = {"m1": 4, "m2": 3, "m3": 4, "all": 3}  # the mean of a Gamma variable cannot fall
    wanted = [f"{m} {k} {r}" for m, n in kinds.items() for k in KINDS[:n] for r in (0.1, 0.5)]
    assert sorted(names) == sorted([*wanted, "control independent", "control reversed"])
    one, all_, control = (
        moves(task)[name] for name in ("m2 scale 0.5", "all mixture 0.1", "control reversed")
    )
    assert (one.modality, one.kind, one.severity, one.rho) == ("m2", "scale", None, {"m2": 0.5})
    assert (all_.modality, all_.kind, all_.rho) == (None, "mixture", {"m1": 0.1, "m2": 0.1, "m3": 0.1})
    assert (control.modality, control.kind, control.rho) == (None, "control", None)


KINDS = ["mean up", "scale", "mixture", "mean down"]


def test_radii_give_the_samples_and_labels_that_a_shift_of_the_test_part_gives():
    still = make("copula", radii=[0.4], shifts_size=150, test_size=300, seed=2, **SMALL).task
    found = moves(still)
    for name, params in {
        "m2 mean up 0.4": {"shift": {"m2": 0.4}},
        "m3 mean down 0.4": {"shift": {"m3": {"rho": 0.4, "up": False}}},
        "all scale 0.4": {"shift": {m: {"rho": 0.4, "kind": "scale"} for m in ("m1", "m2", "m3")}},
        "control independent": {"control": "independent"},
    }.items():
        shift = found[name]
        moved = make(
            "copula", seed=2, **params, **SMALL
        )  # its test part in full, 400 samples of the last ids
        row = 300 + np.flatnonzero(np.isin(still_rows(), test_rows(still, shift.part.ids)))
        wanted = moved.task.data.batch(row)
        for m, values in shift.data.batch(shift.part.ids).items():
            assert_array_equal(values, wanted[m], err_msg=name)
        assert_array_equal(shift.part.y, moved.truth[row])


def still_rows():
    """What tells each of 400 test samples apart, before anything moves."""
    task = make("copula", seed=2, **SMALL).task
    return task.data.batch(np.arange(300, 700))["m1"][:, 0]


def test_rows(task, ids):
    return task.data.batch(ids)["m1"][:, 0]


test_rows.__test__ = False


def test_shifts_have_the_moments_that_their_radius_says():
    task = make(
        "copula", modalities=2, width=2, marginals=["gaussian", "gamma"], train=300, test=6000, radii=[0.5],
        shifts_size=6000, correlation=0.6,
    ).task  # fmt: skip
    found = moves(task)

    def x(name, modality):
        return found[name].data.batch(found[name].part.ids)[modality].astype(float)

    column = np.sqrt(1.5) - 1  # of each of two columns: (1 + 0.2247)^2 = 1.5
    # a normal mean rises by √ln(1 + ρ), its variance by 1 + √(1 - (1 + ρ)^-2)
    assert_allclose(x("m1 mean up 0.5", "m1").mean(axis=0), np.sqrt(np.log1p(column)), atol=0.05)
    assert_allclose(x("m1 mean down 0.5", "m1").mean(axis=0), -np.sqrt(np.log1p(column)), atol=0.05)
    assert_allclose(x("m1 scale 0.5", "m1").var(axis=0), 1 + np.sqrt(1 - (1 + column) ** -2), rtol=0.08)
    # halves are reweighted by 1 ± √ρ
    assert_allclose((x("m1 mixture 0.5", "m1") > 0).mean(axis=0), (1 + np.sqrt(column)) / 2, atol=0.03)
    # Gamma of shape 2, brought to mean 0 and deviation 1, times a: mean (a - 1) 2 / √2, a = 1 + √(1 - (1 + ρ)^-1/2)
    factor = 1 + np.sqrt(1 - (1 + column) ** -0.5)
    assert_allclose(x("m2 scale 0.5", "m2").mean(axis=0), (factor - 1) * np.sqrt(2), atol=0.08)
    for name, shift in found.items():  # who does not move stays, who moves keeps his rank
        clean = task.data.batch(shift.part.ids)
        for m in ("m1", "m2"):
            if shift.kind == "control":
                continue
            order = np.argsort(clean[m], axis=0)
            # float32 makes equals of some neighbours on one side only
            assert np.diff(np.take_along_axis(x(name, m), order, axis=0), axis=0).min() > -1e-5, name
            assert np.array_equal(x(name, m), clean[m]) == (shift.modality not in (m, None))


def test_radii_go_with_shapes_and_with_weakening():
    plain, shaped = (
        make("copula", labels=5, radii=[0.2], seed=4, **more, **SMALL).task
        for more in (
            {},
            {
                "classes": [3, 1],
                "missing": {"m1": 0.5},
                "missing_parts": ["train", "test"],
                "shifts": {"modality": "m2", "kind": "drift"},
            },
        )
    )
    assert len(shaped.shifts) == len(plain.shifts) + 5
    assert shaped.shifts[-1].name == "m2 drift 5"
    moved = moves(shaped)["m2 mean up 0.2"]
    assert set(moved.part.y) == {0, 1} and len(moved.part) <= len(shaped.test)
    batch = moved.data.batch(moved.part.ids)
    assert_array_equal(batch["present"], shaped.data.batch(moved.part.ids)["present"])
    assert 0.2 < 1 - batch["present"][:, 0].mean() < 0.8
    rest = make("copula", labels=5, classes=[3, 1], seed=4, **SMALL).task
    assert shaped.test.ids.tolist() == rest.test.ids.tolist()
    assert make("copula", seed=4, **SMALL).keys == make("copula", seed=4, radii=[0.2], **SMALL).keys == ()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"radii": []}, "radii must be a list"),
        ({"radii": 0.3}, "radii must be a list"),
        ({"radii": [0.1, 0.1]}, "distinct"),
        ({"radii": [0.0]}, "above 0"),
        ({"radii": [-1]}, "A radius must be"),
        ({"radii": [0.1], "shift": {"m1": 0.1}}, "leave out `shift`"),
        ({"radii": [0.1], "control": "reversed"}, "leave out `shift`"),
    ],
)
def test_bad_radii_are_named(params, words):
    with pytest.raises(InputError, match=words):
        make("copula", **{**SMALL, **params})
