"""FALCUN against its own definition, draw by draw."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError
from labelwise.functional.batches import falcun as module
from labelwise.functional.batches.falcun import falcun
from labelwise.seeds import generator


def drawn(n, classes=4, seed=0):
    return generator(seed, "tests", "falcun").dirichlet(np.full(classes, 0.5), size=n)


def chances(p, before, gamma):
    """The probability of each row to be drawn next, as the algorithm says."""
    ordered = np.sort(p, axis=1)
    unsure = 1 - (ordered[:, -1] - ordered[:, -2])
    apart = np.min([unsure, *(np.abs(p - p[row]).sum(axis=1) for row in before)], axis=0)
    left = np.setdiff1d(np.arange(len(p)), before)
    apart = (apart - apart[left].min()) / np.ptp(apart[left])
    weights = np.zeros(len(p))
    weights[left] = (unsure + apart)[left] ** gamma
    return weights / weights.sum()


@pytest.mark.parametrize("gamma", [0.0, 1.0, 10.0])
def test_each_row_is_drawn_with_its_probability(gamma, monkeypatch):
    monkeypatch.setattr(module, "rows_per_block", lambda width: 4)
    p = drawn(15)

    class Fixed:
        """A generator whose draws are given."""

        def __init__(self, *values):
            self.values = list(values)

        def random(self):
            return self.values.pop(0)

    rng = generator(1, "tests", "falcun draws")
    for _ in range(20):
        given = rng.random(6)
        rows = falcun(p, 6, Fixed(*given), gamma=gamma)
        for turn in range(6):
            edges = np.cumsum(chances(p, rows[:turn], gamma))
            assert edges[rows[turn]] >= given[turn] - 1e-9
            assert edges[rows[turn]] - chances(p, rows[:turn], gamma)[rows[turn]] <= given[turn] + 1e-9


def test_probabilities_add_up():
    p, counts = drawn(6), np.zeros(6)
    for seed in range(3000):
        counts[falcun(p, 1, generator(seed, "tests", "falcun first"), gamma=2.0)] += 1
    assert_allclose(
        counts / 3000, chances(p, [], 2.0), atol=0.045
    )  # five standard deviations of at most 0.0091


@pytest.mark.parametrize(
    "p", [np.eye(5), np.full((5, 3), 1 / 3), np.ones((5, 1)), np.tile([[0.7, 0.3]], (5, 1))]
)
def test_rows_without_relevance_are_drawn_evenly(p):
    for seed in range(5):
        assert sorted(falcun(p, 9, generator(seed))) == list(range(5))
    firsts = {int(falcun(p, 1, generator(seed))[0]) for seed in range(60)}
    assert firsts == set(range(5))


def test_large_powers_do_not_overflow():
    assert sorted(falcun(drawn(9), 9, generator(0), gamma=1e6)) == list(range(9))


def test_types_and_blocks_change_nothing(monkeypatch):
    p = drawn(50).astype(np.float32)
    rows = falcun(p, 20, generator(3))
    monkeypatch.setattr(module, "rows_per_block", lambda width: 7)
    assert_array_equal(falcun(p, 20, generator(3)), rows)
    torch = pytest.importorskip("torch")
    assert_array_equal(falcun(torch.from_numpy(p), 20, generator(3)), rows)


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="gamma must be a number of at least 0"):
        falcun(drawn(5), 2, generator(0), gamma=-1)
    with pytest.raises(DistributionError, match="row 2"):
        falcun(drawn(5) * [[1], [1], [3], [1], [1]], 2, generator(0))
