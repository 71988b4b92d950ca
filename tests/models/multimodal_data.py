"""Three small modalities that tell a class with noise, and how their tests fit, ask and compare."""

from __future__ import annotations

import numpy as np
from model_data import NOBODY, first
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.data.base import ArrayDataset
from labelwise.seeds import generator

ALL = frozenset({"probs", "logits", "embeddings", "modal_probs", "modal_embeddings", "evidence", "coalitions",
                 "present"})  # fmt: skip
SMALL = {"width": 8, "projection": 8, "epochs": 2, "batch_size": 8, "device": "cpu"}
RULES = ("weighted", "dempster-shafer", "mean", "product")


def some(n=40, classes=3, *, present=None, order=("sound", "shape", "table")):
    """Bytes, floats as an image, and a table with a missing number; each tells the class with noise."""
    rng = generator(0, "tests", "multimodal")
    y = rng.integers(0, classes, n)
    sound = rng.integers(0, 60, (n, 6, 4))
    sound[np.arange(n), y] += 150
    shape = rng.normal(size=(n, 4, 5, 2)).astype(np.float32) + y[:, None, None, None]
    table = rng.normal(size=(n, 7)) + 2 * np.eye(classes)[y][:, [0, 1, 2, 0, 1, 2, 0]]
    table[3, 2] = np.nan
    arrays = {"sound": sound.astype(np.uint8), "shape": shape, "table": table}
    if present is not None:
        present = present[:, [tuple(arrays).index(name) for name in order]]
    return ArrayDataset({name: arrays[name] for name in order}, present), y


def holes(n=40, seed=0):
    """Which of three modalities each sample has: two thirds, at least one."""
    rng = generator(seed, "tests", "holes")
    present = rng.random((n, 3)) < 0.66
    present[np.arange(n), rng.integers(0, 3, n)] = True
    return present


def fit(recipe, data, y, n=30, classes=3, seed=0, validation=None):
    return recipe.fit(data, first(n, y), NOBODY, validation, classes, generator(seed, "tests"))


def told(predictor, data, names=ALL, ids=None):
    return predictor.infer(data, np.arange(len(data)) if ids is None else ids, names)


def equal(a, b, **close):
    for name in a.names:
        for one, other in zip(parts(a, name), parts(b, name), strict=True):
            assert_allclose(one, other, **close) if close else assert_array_equal(one, other)


def parts(signals, name):
    value = signals.modal_embeddings if name == "modal_embeddings" else (signals.need(name),)
    return tuple(value)
