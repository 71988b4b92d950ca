"""Shifts of the test part: what fits what, five severities, who never sees them, and that samples suffer alike."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import Campaign, Plan
from labelwise import make as strategy
from labelwise.data import corrupted, make
from labelwise.data.base import Over
from labelwise.data.files import as_text
from labelwise.data.kinds import KINDS, amount_of, fits, form_of
from labelwise.data.shifts import EVERY, Kept, shifted
from labelwise.data.splits import TEST, TRAIN, Samples, build
from labelwise.data.weakening import missing
from labelwise.errors import InputError, UnknownName
from labelwise.models import make as recipe
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore

N = 80


def samples(**change) -> Samples:
    rng = generator(0, "test", "shifts")
    arrays = {
        "image": rng.integers(0, 256, (N, 8, 9, 3), dtype=np.uint8),
        "sound": rng.integers(0, 256, (N, 6, 16), dtype=np.uint8),
        "wave": rng.standard_normal((N, 50)).astype(np.float32),
        "signal": (rng.standard_normal((N, 2, 10)) * [[1], [5]]).astype(np.float32),
        "table": (rng.standard_normal((N, 3)) * [1, 10, 0]).astype(np.float32),
        "text": as_text([f"one  two three four five {k}" for k in range(N)]),
    }
    part = np.where(np.arange(N) % 2 == 0, TEST, TRAIN).astype(np.int8)
    values = {"name": "six", "arrays": arrays, "y": np.arange(N) % 5, "classes": tuple("abcde"), "part": part}
    return Samples(**{**values, "sounds": ("sound", "wave"), **change})


def six(**params):
    return build(samples(), **{"validation": 5, **params})


def of(task, modality: str, kind: str):
    return [shift for shift in task.shifts if (shift.modality, shift.kind) == (modality, kind)]


def test_all_shifts_are_those_that_fit_each_modality_at_five_severities():
    task = six(shifts="all").task
    both = {"zeros", "missing"}
    wanted = {
        "image": {"noise", "blur", "contrast", "jpeg", *both},
        "sound": {"noise", "reverb", "clip", *both},
        "wave": {"noise", "reverb", "clip", *both},
        "signal": {"noise", "drift", *both},
        "table": {"noise", "drift", *both},
        "text": {"word-dropout", "typos", *both},
    }
    found = {m: {s.kind for s in task.shifts if s.modality == m} for m in task.data.modalities}
    assert found == wanted
    assert [s.severity for s in of(task, "text", "typos")] == [1, 2, 3, 4, 5]
    assert of(task, "image", "jpeg")[2].name == "image jpeg 3"
    assert all(s.rho is None and len(s.part) == 40 for s in task.shifts)
    assert "missing" not in {s.kind for s in make("digits", shifts="all").task.shifts}  # of one modality


@pytest.mark.skipif(
    "LABELWISE_DATA" not in os.environ, reason="LABELWISE_DATA names no folder of real data sets"
)
def test_spectrograms_of_a_known_set_are_sounds():
    made = make("fsdd", shifts="all", shifts_size=10)
    assert {s.kind for s in made.task.shifts} == {"noise", "reverb", "clip", "zeros"}
    assert made.sounds == ("audio",)


def test_forms_by_type_and_shape():
    inside = np.full((2, 3, 4), 0.5, np.float32)
    assert form_of(inside, sound=False) == "image" and form_of(2 * inside + 1, sound=False) == "signal"
    assert form_of(inside, sound=True) == "spectrogram" and form_of(inside[0], sound=True) == "waveform"
    assert form_of(inside[0], sound=False) == "table"
    assert form_of(np.zeros((2, 3), np.int64), sound=False) == "other"
    assert form_of(np.zeros((2, 5, 8, 8, 3), np.uint8), sound=False) == "frames"
    two = np.zeros((2, 8, 8, 2), np.uint8)
    assert fits("contrast", "image", two) and not fits("jpeg", "image", two)
    assert not fits("jpeg", "image", inside)
    assert not fits("blur", "signal", inside, asked=False) and fits("blur", "signal", inside)


def test_every_kind_has_five_rising_severities_in_its_range():
    for kind, what in KINDS.items():
        assert list(what.severities) == sorted(set(what.severities)) and len(what.severities) == 5
        assert what.severities[0] > 0 and what.severities[-1] <= what.most
        assert amount_of(kind, 2) == what.severities[1]
    # ImageNet-C: contrast left 0.4, 0.3, 0.2, 0.1, 0.05; JPEG quality 25, 18, 15, 10, 7
    assert np.allclose(1 - np.array(KINDS["contrast"].severities), [0.4, 0.3, 0.2, 0.1, 0.05])
    assert np.allclose(100 - np.array(KINDS["jpeg"].severities), [25, 18, 15, 10, 7])


def test_every_shift_suffers_the_same_at_every_reading_and_moves_its_modality_only():
    one, again = (six(shifts="all", seed=3).task for _ in range(2))
    ids = one.shifts[0].part.ids
    order = generator(0, "test", "order").permutation(len(ids))
    clean = one.data.batch(ids)
    for shift, twin in zip(one.shifts, again.shifts, strict=True):
        together = shift.data.batch(ids)
        shuffled = shift.data.batch(ids[order])
        alone = [twin.data.batch(ids[k : k + 1]) for k in range(0, len(ids), 7)]
        for name, values in together.items():
            assert_array_equal(shuffled[name], values[order], err_msg=shift.name)
            assert_array_equal(np.concatenate([a[name] for a in alone]), values[::7], err_msg=shift.name)
            moved = name == "present" or not np.array_equal(values, clean[name])
            assert moved == (name in (shift.modality, "present")), shift.name


def test_readings_of_a_shift_can_be_written_to_and_stay_as_they_were():
    task = six(shifts={"modality": "image", "kind": "noise", "severities": [2]}).task
    shift = task.shifts[0]
    first = shift.data.batch(shift.part.ids)
    before = first["image"].copy()
    for values in first.values():
        values[:] = values[::-1]
    assert_array_equal(shift.data.batch(shift.part.ids)["image"], before)


def test_a_severity_is_the_amount_of_the_table_on_the_test_part():
    task, clean = six(shifts="all", seed=4).task, six(seed=4)
    from labelwise.data.corruption import Missing
    from labelwise.seeds import derived_seed

    own = derived_seed(4, "data", "shifts")
    for shift in task.shifts[::3]:
        by_hand = corrupted(
            clean, shift.modality, shift.kind, seed=own, parts=("test",), severity=shift.severity
        ).task.data
        assert isinstance(by_hand, Missing) == (shift.kind == "missing")
        there, wanted = shift.data.batch(shift.part.ids), by_hand.batch(shift.part.ids)
        assert set(there) == set(wanted)
        for name, values in wanted.items():
            assert_array_equal(there[name], values, err_msg=shift.name)


def test_what_a_smaller_severity_took_a_larger_one_takes_too():
    task = six(shifts="all").task
    ids = task.shifts[0].part.ids
    clean = task.data.batch(ids)

    def values(modality, kind):
        return [s.data.batch(ids)[modality] for s in of(task, modality, kind)]

    for modality in task.data.modalities:
        for kind in ("zeros", "missing"):
            hit = [
                np.array([not np.array_equal(a, b) for a, b in zip(x, clean[modality], strict=True)])
                for x in values(modality, kind)
            ]
            assert all((few <= many).all() for few, many in pairwise(hit))
            assert hit[-1].all() and not hit[0].all()
    for kind in ("reverb", "clip"):
        rows = [clean["sound"], *values("sound", kind)]
        assert all((less <= more).all() for less, more in pairwise(rows))
    for kind in ("contrast", "noise", "blur", "jpeg"):
        far = [np.abs(x.astype(float) - clean["image"]).mean() for x in values("image", kind)]
        assert far == sorted(far) and far[0] > 0


def test_drift_moves_each_column_by_its_own_spread_in_one_direction():
    task = six(shifts="all").task
    ids = task.shifts[0].part.ids
    clean = task.data.batch(ids)
    (pool,) = (task.data.batch(task.pool)["table"],)
    for shift in of(task, "table", "drift"):
        by = shift.data.batch(ids)["table"].astype(float) - clean["table"]
        assert np.ptp(by, axis=0).max() < 1e-5  # all samples alike
        amount = KINDS["drift"].severities[shift.severity - 1]
        np.testing.assert_allclose(np.abs(by[0]), amount * pool.std(axis=0), rtol=1e-4)
    by = of(task, "signal", "drift")[0].data.batch(ids)["signal"].astype(float) - clean["signal"]
    assert np.ptp(by, axis=(0, 2)).max() < 1e-5
    assert 3 < abs(by[0, 1, 0] / by[0, 0, 0]) < 7  # a channel five times as wide
    signs = [
        np.sign(of(six(shifts="all", seed=s).task, "table", "drift")[0].data.batch(ids[:1])["table"]
                - six(seed=s).task.data.batch(ids[:1])["table"])[0, :2].tolist()
        for s in range(5)
    ]  # fmt: skip
    assert len({tuple(s) for s in signs}) > 1


def test_a_stratified_part_of_the_test_samples_is_shifted_and_clean_is_the_same_part():
    task = six(shifts="all", shifts_size=10).task
    assert all(np.array_equal(s.part.ids, task.shifts[0].part.ids) for s in task.shifts)
    assert_array_equal(np.bincount(task.unmoved().y), [2] * 5)
    assert_array_equal(task.unmoved().ids, task.shifts[0].part.ids)
    assert set(task.unmoved().ids) < set(task.test.ids)
    table = samples().arrays["table"]
    assert_array_equal(task.data.batch(task.pool)["table"], six().task.data.batch(task.pool)["table"])
    assert_array_equal(task.shifts[0].part.y, np.arange(N)[task.shifts[0].part.ids] % 5)
    assert len(table) == N


def test_shifts_change_nothing_else_of_a_task():
    bare, with_them = (six(shifts=s).task for s in (None, "all"))
    one, two = bare.fingerprint(), with_them.fingerprint()
    assert len(two.pop("shifts")) == len(with_them.shifts) and one == two
    assert "shifts" not in one
    assert_array_equal(bare.pool, with_them.pool)
    assert make("digits", shifts="all").task.features is not None


def test_shifts_come_on_top_of_a_weakened_task():
    weak = six(missing={"text": 0.5}, missing_parts=["train", "test"], shifts="all").task
    shift = of(weak, "text", "typos")[4]
    batch, before = shift.data.batch(shift.part.ids), weak.data.batch(shift.part.ids)
    assert_array_equal(batch["present"], before["present"])
    gone = ~batch["present"][:, list(batch).index("text")]
    assert gone.any() and (batch["text"][gone] == "").all()
    assert (batch["text"][~gone] != before["text"][~gone]).all()
    with pytest.raises(InputError, match="has shifts, made of its samples as they are"):
        corrupted(six(shifts="all"), "image", "noise", 1.0)
    with pytest.raises(InputError, match="has shifts"):
        missing(six(shifts="all"), {"image": 0.5})


class Counted(Over):
    """A dataset that counts how many samples were read."""

    def batch(self, ids):
        object.__setattr__(self, "read", getattr(self, "read", 0) + len(ids))
        return self.data.batch(ids)


def test_the_samples_of_shifts_are_read_once_and_large_ones_each_time(monkeypatch):
    bare = six()
    counted = Counted(bare.task.data)
    made = shifted(replace(bare, task=replace(bare.task, data=counted)), "all", 20).task
    opening = counted.read
    assert opening <= 6 * (len(bare.task.pool) + 1)  # what each modality is, and how much it varies
    for _ in range(3):
        for shift in made.shifts:
            shift.data.batch(shift.part.ids)
    assert counted.read == opening + 21  # one tells the size
    held = [s.data._held for s in made.shifts[:2]]
    assert np.shares_memory(held[0]["text"], held[1]["text"])  # what neither moves lies in memory once
    monkeypatch.setattr("labelwise.data.shifts.MOST_KEPT", 10)
    kept = Kept(counted, made.shifts[0].part.ids)
    before = counted.read
    kept.batch(kept.rows)
    kept.batch(kept.rows)
    assert counted.read == before + 41


def test_a_campaign_asks_and_scores_the_same_and_tells_what_each_shift_costs():
    runs = []
    shift = {"modality": "top", "kind": "noise", "severities": [1, 5]}
    for shifts in (None, [shift, {"modality": "bottom", "kind": "missing"}]):
        made = make("digit-halves", seed=1, pool=300, shifts=shifts, shifts_size=100)
        campaign = Campaign(
            made.task,
            recipe("logistic"),
            strategy("margin"),
            MemoryStore(),
            Plan(start=40, batch=20, budget=60),
        )
        oracle = SimulatedOracle(made.truth, made.task.n_classes)
        while ids := campaign.ask():
            campaign.tell(oracle.answer(ids))
        runs.append(campaign.state)
    bare, told = runs
    assert [a.ids for a in bare.asks] == [a.ids for a in told.asks]
    assert [f.test for f in bare.fits] == [f.test for f in told.fits]
    assert [f.validation for f in bare.fits] == [f.validation for f in told.fits]
    assert all("shifts" not in fit.analysis for fit in bare.fits)
    found = told.fits[-1].analysis["shifts"]
    names = ["top noise 1", "top noise 5", *(f"bottom missing {s}" for s in EVERY)]
    assert [m["name"] for m in found["moved"]] == names
    accuracy = {m["name"]: m["accuracy"] for m in found["moved"]}
    assert found["clean"]["n"] == 100
    assert accuracy["top noise 5"] < found["clean"]["accuracy"] - 0.05
    assert accuracy["bottom missing 5"] < accuracy["bottom missing 1"]


SHIFT = {"modality": "image", "kind": "noise"}


@pytest.mark.parametrize(
    "params, words",
    [
        ({"shifts": "some"}, "shifts must be a table .* or 'all'; they are 'some'"),
        ({"shifts": 3}, "they are 3"),
        ({"shifts": [3]}, "they hold 3"),
        ({"shifts": {**SHIFT, "severity": 3}}, "no key 'severity'. Did you mean 'severities'"),
        ({"shifts": {"modality": "image"}}, "must say its kind"),
        ({"shifts": {**SHIFT, "modality": "imgae"}}, "Did you mean 'image'"),
        ({"shifts": {**SHIFT, "kind": "noice"}}, "Did you mean 'noise'"),
        ({"shifts": {**SHIFT, "severities": [6]}}, "severity of noise must be 1 to 5; it is 6"),
        ({"shifts": {**SHIFT, "severities": [0]}}, "at least 1"),
        ({"shifts": {**SHIFT, "severities": []}}, "severities must be a list"),
        ({"shifts": {**SHIFT, "severities": 3}}, "severities must be a list"),
        ({"shifts": {**SHIFT, "severities": [3, 3]}}, "two are called 'image noise 3'"),
        ({"shifts": {**SHIFT, "kind": "reverb"}}, "'reverb' is for sounds; modality 'image' of 'six' is an image"),
        ({"shifts": {**SHIFT, "modality": "sound", "kind": "jpeg"}}, "is a spectrogram, uint8 of shape"),
        ({"shifts": {**SHIFT, "modality": "text", "kind": "drift"}}, "tables, and signals"),
        ({"shifts": {**SHIFT, "modality": "wave", "kind": "typos"}}, "'typos' is for texts"),
        ({"shifts": "all", "shifts_size": 0}, "shifts_size must be"),
        ({"corrupt": {**SHIFT, "severity": 7}}, "severity of noise must be 1 to 5"),
        ({"corrupt": {**SHIFT, "severity": 1, "amount": 1.0}}, "amount or its severity, one of both"),
        ({"corrupt": {**SHIFT, "kind": "contrast", "amount": 1.1}}, "amount of contrast must be a number from 0"),
        ({"corrupt": {**SHIFT, "kind": "jpeg", "amount": 100}}, "from 0 to 99; it is 100"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(params, words):
    with pytest.raises((InputError, UnknownName), match=words):
        six(**params)


def test_shifts_need_a_test_part():
    with pytest.raises(InputError, match="no test part that could shift"):
        build(samples(part=np.full(N, TRAIN, np.int8)), shifts="all")


def test_a_corruption_may_say_its_severity_and_may_be_a_missing_modality():
    by_amount = six(corrupt={**SHIFT, "amount": 0.7}).task.fingerprint()
    assert six(corrupt={**SHIFT, "severity": 3}).task.fingerprint() == by_amount
    with pytest.raises(InputError, match="it says neither"):
        corrupted(six(), "image", "noise")
    with pytest.raises(InputError, match="it says both"):
        corrupted(six(), "image", "noise", 1.0, severity=3)
    gone = six(corrupt={**SHIFT, "kind": "missing", "amount": 0.5}).task.fingerprint()
    assert gone == six(missing={"image": 0.5}).task.fingerprint()
