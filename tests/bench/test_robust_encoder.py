"""The benchmark of encoders that err: what it promises beside what comes, on the smallest sizes."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from labelwise.bench.protocols import find
from labelwise.bench.spec import read_bench

READINGS = {"first_order", "product_exact", "precision", "perfect"}


@pytest.fixture
def encoder(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return importlib.import_module("robust_encoder")


def test_exact_encoders_add_nothing_and_one_that_errs_adds_what_it_may_cost(encoder):
    made = read_bench(find("mmdro/encoder"), "smoke")
    specs = {
        case["error"]: spec
        for spec, case in zip(made.specs, made.cases, strict=True)
        if case["method"] == "erm"
    }
    exact, worse = (encoder.Level(specs[error]) for error in ("exact", "first-only"))
    predictor = encoder.fitted(specs["exact"], exact.simulation)
    right, wrong = (encoder.measured(predictor, exact, level) for level in (exact, worse))
    assert right["error"] == [0, 0] and len(set(right["promise"].values())) == 1
    assert wrong["error"][0] > 0 == wrong["error"][1]  # the second modality's encoder is exact
    promise = wrong["promise"]
    assert promise["none"] < promise["empirical"] < promise["spectral"]
    # no sample may be steeper than the layers allow
    assert np.all(np.array(wrong["lipschitz"]["empirical"]) <= wrong["lipschitz"]["spectral"])
    assert all(set(by) == READINGS for by in wrong["coverage"].values())
    assert wrong["coverage"]["spectral"]["first_order"] == 1


def test_means_are_over_seeds_at_every_depth(encoder):
    found = encoder.averaged([{"a": {"b": 1.0}, "c": [1.0, 3.0]}, {"a": {"b": 2.0}, "c": [3.0, 5.0]}])
    assert found["a"]["b"] == 1.5
    assert_allclose(found["c"], [2, 4])
