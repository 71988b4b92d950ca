"""CoreSet."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from labelwise import select
from labelwise.errors import UnknownName
from labelwise.strategies import make


def test_coreset_asks_far_from_the_labelled_and_from_each_other():
    pool = np.array([[0.1], [5.0], [9.0], [4.0]])
    # from 0: 9 is farthest; then 4 is at 4 from 0, 5 at 4 from 9: the lower row; then 4 at 1 from 5; then 0.1
    assert_array_equal(
        select("coreset", {"embeddings": pool}, 4, labelled={"embeddings": [[0.0]]}), [2, 1, 3, 0]
    )


def test_coreset_with_nothing_labelled_starts_from_the_first():
    pool = np.array([[3.0], [5.0], [9.0]])
    rows = select("coreset", {"embeddings": pool}, 2, labelled={"embeddings": np.empty((0, 1))})
    assert_array_equal(rows, [0, 2])


def test_coreset_may_look_at_features():
    given = {"features": np.array([[1.0], [2.0], [7.0]])}
    rows = select("coreset", given, 1, labelled={"features": [[0.0]]}, space="features")
    assert_array_equal(rows, [2])
    with pytest.raises(UnknownName):
        make("coreset", space="pixels")


def test_coreset_is_the_same_on_a_torch_device():
    torch = pytest.importorskip("torch")
    rng = np.random.Generator(np.random.PCG64(0))
    pool, known = rng.normal(size=(200, 5)), rng.normal(size=(20, 5))
    rows = select("coreset", {"embeddings": pool}, 30, labelled={"embeddings": known})
    device = "cuda" if torch.cuda.is_available() else "auto"
    there = select("coreset", {"embeddings": pool}, 30, labelled={"embeddings": known}, device=device)
    assert_array_equal(there, rows)
