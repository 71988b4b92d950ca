"""BMMAL and evidential uncertainty, against golden numbers, gradients that are formed, and numbers by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from functional.golden_numbers import cases
from labelwise import Campaign, Plan, make, select
from labelwise.data.base import ArrayDataset, Labelled
from labelwise.data.task import Task
from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional.batches import kmeans_pp
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.store.memory import MemoryStore
from labelwise.strategies.multimodal import scales


def world(n, modalities, classes, seed=0):
    rng = generator(seed, "tests", "bmmal", modalities)
    coalitions = rng.dirichlet(np.ones(classes), (n, 2**modalities))
    return coalitions, tuple(rng.normal(size=(n, 3 + m)).astype(np.float32) for m in range(modalities))


def test_scales_equal_golden_numbers():
    numbers = cases("shapley")["bmmal"]
    none, one, two, both = (numbers["in"][f"probs_{name}"] for name in ("none", "drop2", "drop1", "both"))
    found = scales(np.stack([none, one, two, both], axis=1))
    delta = np.abs([numbers["out"]["delta_1"], numbers["out"]["delta_2"]]).sum(axis=0)
    at = delta[np.arange(len(both)), both.argmax(axis=1)] > 0  # theirs is NaN elsewhere
    assert at.sum() >= 6
    for m in (0, 1):
        assert_allclose(found[at, m], numbers["out"][f"scale_{m + 1}"][at], rtol=0, atol=1e-12)


def test_scales_by_hand():
    # p(ŷ) of none, 1, 2, both: 0.5, 0.6, 0.5, 0.8 -> φ = ½ (0.1 + 0.3), ½ (0.0 + 0.2) = 0.2, 0.1; shares 2/3, 1/3
    # three of which only the third moves anything; and none that moves anything
    def rows(p):
        return np.stack([p, 1 - np.array(p)], axis=-1)[None]

    assert_allclose(scales(rows([0.5, 0.6, 0.5, 0.8])), [[1, 2 / 3]])
    assert_allclose(scales(rows([0.5, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9, 0.9])), [[0, 0, 1]], atol=1e-12)
    assert_allclose(scales(rows([0.7, 0.7, 0.7, 0.7])), [[1, 1]])
    # it is the class that all answer together: here the second, whose p is 0.5, 0.4, 0.5, 0.7 -> φ = 0.05, 0.15
    assert_allclose(scales(rows([0.5, 0.6, 0.5, 0.3])), [[0.5, 1]])


@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_bmmal_is_badge_on_gradients_of_scaled_modalities(modalities):
    coalitions, parts = world(60, modalities, 4)
    p = coalitions[:, -1]
    s = scales(coalitions)
    residual = p - np.eye(4)[p.argmax(axis=1)]
    formed = [s[:, m, None, None] * residual[:, :, None] * part[:, None, :] for m, part in enumerate(parts)]
    g = np.concatenate([part.reshape(60, -1) for part in formed], axis=1)
    for seed in range(3):
        wanted = kmeans_pp(g, 12, generator(seed, "tests"), first="norm")
        view = {"coalitions": coalitions, "modal_embeddings": parts}
        found = make("bmmal").propose(_view(view, 4), 12, generator(seed, "tests"))
        assert_array_equal(found.rows, wanted)
    assert found.rows[0] == (g**2).sum(axis=1).argmax()


def _view(pool, classes):
    from labelwise.signals import Signals, View

    n = len(next(iter(pool.values())))
    nobody = Signals(np.empty(0, np.int64))
    return View(Signals(np.arange(n), **pool), nobody, nobody, classes)


def test_a_modality_that_contributes_less_counts_less():
    # both samples answer class 0 with 0.6 and have an embedding (0, 3); the second modality of the first one does
    # nothing for the answer, so its gradient counts 0; that of the other does everything
    idle = [[0.5, 0.5], [0.6, 0.4], [0.5, 0.5], [0.6, 0.4]]
    rules = [[0.5, 0.5], [0.5, 0.5], [0.6, 0.4], [0.6, 0.4]]
    parts = [np.full((2, 1), 0.1), np.full((2, 1), 3.0)]
    rows = select("bmmal", {"coalitions": np.array([idle, rules]), "modal_embeddings": parts}, 1)
    assert rows.tolist() == [1]
    badge = {"probs": np.array([idle, rules])[:, -1], "embeddings": np.hstack(parts)}
    assert select("badge", badge, 1).tolist() == [0]  # to BADGE they are the same


def test_bmmal_refuses_what_does_not_fit():
    coalitions, parts = world(6, 2, 3)
    with pytest.raises(
        ShapeError, match=r"2\^M coalitions for M modalities; there are 4 coalitions and 1 modal"
    ):
        select("bmmal", {"coalitions": coalitions, "modal_embeddings": parts[:1]}, 2)
    wrong = coalitions.copy()
    wrong[2, 1] = np.nan
    with pytest.raises(InputError, match="coalitions of the pool samples: row 2"):
        select("bmmal", {"coalitions": wrong, "modal_embeddings": parts}, 2)


def test_doubt_in_evidence_by_hand():
    # C = 2, two modalities. e of sample 0: none; 1: (8, 0) and (0, 8), which contradict; 2: (8, 8) twice;
    # 3: (8, 0) twice; 4: (8, 0) and missing (junk stands there)
    e = np.array(
        [[[0, 0], [0, 0]], [[8, 0], [0, 8]], [[8, 8], [8, 8]], [[8, 0], [8, 0]], [[8, 0], [0, 99]]], float
    )
    present = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [1, 0]], bool)
    pool = {"evidence": e, "present": present}

    def values(**fields):
        return make("evidential-uncertainty", **fields).propose(_view(pool, 2), 1, generator(0)).scores

    # means: (0, 0), (4, 4), (8, 8), (8, 0), (4, 0): S = 2, 10, 18, 10, 6
    assert_allclose(values(rule="vacuity"), [1, 0.2, 1 / 9, 0.2, 1 / 3])
    # U = (1 - ‖p‖²) / (2 (S + 1)), over its most, 1/12: ½ / 6 -> 1; ½ / 22 · 12; ½ / 38 · 12; 0.18 / 22 · 12;
    # p = (5, 1) / 6: 10/36 / 14 · 12
    assert_allclose(values(), [1, 6 / 22, 6 / 38, 2.16 / 22, 10 / 42])
    # conflict: b = 0.8 each for other classes: 0.64; (8, 8) twice: 2 (8 / 18)²; and none with one voice
    assert_allclose(values(rule="conflict"), [0, 0.64, 2 * (8 / 18) ** 2, 0, 0], atol=1e-12)
    # expected entropy of Beta(1, 1): Σ ½ (ψ(3) - ψ(2)) = ½; of Beta(5, 5): ψ(11) - ψ(6) = 1/6 + ... + 1/10
    found = values(rule="expected-entropy")
    assert_allclose(found[:2], [0.5, sum(1 / k for k in range(6, 11))])
    assert found[2] > found[1] > found[3]
    # Dempster's rule: 2 ((1 + e/2) (1 + e'/2) - 1): (0, 0), (8, 8), (48, 48), (48, 0), (8, 0)
    assert_allclose(values(rule="vacuity", fusion="dempster-shafer"), [1, 2 / 18, 2 / 98, 2 / 50, 2 / 10])
    assert select("evidential-uncertainty", pool, 1, rule="conflict").tolist() == [1]


def test_bad_fields_are_refused():
    with pytest.raises(UnknownName, match="rule"):
        make("evidential-uncertainty", rule="entropy")
    with pytest.raises(UnknownName, match="fusion"):
        make("evidential-uncertainty", fusion="mean")
    with pytest.raises(InputError, match="at least 0"):
        select(
            "evidential-uncertainty", {"evidence": -np.ones((3, 2, 2)), "present": np.ones((3, 2), bool)}, 1
        )


@pytest.mark.parametrize("name", ["bmmal", "evidential-uncertainty", "core-gcn", "badge"])
def test_they_run_on_what_a_multimodal_network_gives(name):
    rng = generator(0, "tests", "tiny")
    y = np.arange(60) % 3
    present = rng.random((60, 2)) < 0.8
    present[~present.any(axis=1), 0] = True
    arrays = {"a": rng.normal(size=(60, 4)) + y[:, None], "b": rng.normal(size=(60, 3)) - y[:, None]}
    task = Task(
        "tiny",
        ArrayDataset(arrays, present),
        ("x", "y", "z"),
        np.arange(50),
        Labelled(np.arange(50, 60), y[50:]),
    )
    from labelwise.models import make as recipe

    fields = {"steps": 2, "width": 8} if name == "core-gcn" else {}
    network = recipe("multimodal", width=8, projection=8, epochs=2, batch_size=8, device="cpu")
    campaign = Campaign(task, network, make(name, **fields), MemoryStore(), Plan(start=6, batch=6, budget=12))
    oracle = SimulatedOracle(y, 3)
    while ids := campaign.ask():
        campaign.tell(oracle.answer(ids))
    assert len(campaign.state.labels) == 12
