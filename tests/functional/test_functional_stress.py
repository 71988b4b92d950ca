"""How a predictor stands: by hand, and where a loss is capped."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from numpy.testing import assert_allclose

from labelwise.errors import InputError
from labelwise.functional.stress import standing


def test_standing_by_hand():
    probs = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    found = standing(probs, [0, 1, 1, 0])
    # losses ln 2, ln 4, 0, 0: mean 3/4 ln 2, mean of squares (1 + 4)/4 (ln 2)^2; class 0 two of two, class 1 one of two
    assert found["n"] == 4 and found["accuracy"] == 0.75 and found["worst class"] == 0.5
    assert_allclose(found["risk"], 0.75 * log(2))
    assert_allclose(found["variance"], (1.25 - 0.75**2) * log(2) ** 2)


def test_a_sure_mistake_costs_a_million_to_one_and_a_sure_hit_nothing():
    wrong, right = standing([[1.0, 0.0]], [1]), standing(np.array([[1.0, 0.0]], np.float16), [0])
    assert_allclose(wrong["risk"], 13.815510557964274)  # ln 10^6
    assert (wrong["variance"], wrong["worst class"]) == (0.0, 0.0)
    assert str(right["risk"]) == "0.0"


def test_a_class_without_samples_is_not_the_worst_one():
    assert standing([[0.9, 0.1, 0.0]], [0])["worst class"] == 1.0


def test_no_sample_is_refused():
    with pytest.raises(InputError):
        standing(np.empty((0, 2)), [])
