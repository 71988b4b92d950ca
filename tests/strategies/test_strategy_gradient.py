"""BADGE."""

import numpy as np
from numpy.testing import assert_array_equal

from labelwise import select


def test_badge_first_asks_for_the_longest_gradient():
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]])
    z = np.array([[9.0], [3.0], [1.0]])
    # ‖p - onehot‖ ‖z‖ = √2 · (0.1 · 9, 0.4 · 3, 0.5 · 1) = √2 · (0.9, 1.2, 0.5)
    assert select("badge", {"probs": p, "embeddings": z}, 1)[0] == 1


def test_badge_never_asks_for_what_it_is_sure_of_while_doubt_is_left():
    p = np.array([[1.0, 0, 0], [0.5, 0.3, 0.2], [0, 1, 0], [0.2, 0.5, 0.3], [0, 0, 1]])
    z = np.ones((5, 2))
    # one sure sample is a gradient of 0, unlike the others; a second one is its copy
    for seed in range(10):
        rows = select("badge", {"probs": p, "embeddings": z}, 5, seed=seed)
        assert set(rows[:3].tolist()) >= {1, 3}
        assert_array_equal(np.sort(rows), range(5))
