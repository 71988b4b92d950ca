"""Small data for the tests of models: real digits, and images whose class is seen at a glance."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from labelwise.data.base import ArrayDataset, Labelled
from labelwise.seeds import generator

NOBODY = np.empty(0, np.int64)


def digits() -> tuple[ArrayDataset, np.ndarray]:
    """scikit-learn's 1,797 handwritten digits as 8 x 8 bytes, and their classes."""
    bunch = load_digits()
    return ArrayDataset({"image": (bunch.images * 15.9375).astype(np.uint8)}), bunch.target.astype(np.int64)


def halves(
    n: int, shape: tuple[int, ...], classes: int = 2, seed: int = 0
) -> tuple[ArrayDataset, np.ndarray]:
    """Noisy byte images of which the rows of one band, the class's, are bright."""
    rng = generator(seed, "tests", "halves")
    y = rng.integers(0, classes, n)
    x = rng.integers(0, 60, (n, *shape))
    for band in range(classes):
        rows = slice(shape[0] * band // classes, shape[0] * (band + 1) // classes)
        x[y == band, rows] += 150
    return ArrayDataset({"image": x.astype(np.uint8)}), y


def first(n: int, y: np.ndarray) -> Labelled:
    """The first n samples with their labels."""
    return Labelled(np.arange(n), y[:n])
