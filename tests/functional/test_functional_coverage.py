"""ProbCover and the radius that its paper takes."""

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches import coverage
from labelwise.functional.batches.coverage import prob_cover, purity_radius
from labelwise.seeds import generator

torch = pytest.importorskip("torch")
GOLDEN = cases("probcover")


def brute_prob_cover(x, n, delta, labelled):
    inside = np.sqrt(((x[:, None] - x) ** 2).sum(axis=2)) < delta
    covered = (np.sqrt(((x[:, None] - labelled) ** 2).sum(axis=2)) < delta).any(axis=1)
    chosen = []
    for _ in range(min(n, len(x))):
        gain = (inside & ~covered).sum(axis=1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        covered |= inside[chosen[-1]]
    return chosen


@pytest.mark.parametrize("graph_bytes", [coverage.GRAPH_BYTES, 0])
@pytest.mark.parametrize("name", GOLDEN)
def test_prob_cover_equals_the_golden_file(name, graph_bytes):
    given_, out = GOLDEN[name]["in"], GOLDEN[name]["out"]
    x, known = given_["features"], given_["labelled"]
    pool = np.setdiff1d(np.arange(len(x)), known)
    for kind in (np.asarray, torch.tensor):
        found = prob_cover(
            kind(x[pool]),
            int(given_["budget"]),
            float(given_["delta"]),
            labelled=kind(x[known]),
            graph_bytes=graph_bytes,
        )
        assert_array_equal(pool[found], out["selected"])


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(1, 60),
    n=st.integers(1, 65),
    known=st.integers(0, 5),
    delta=st.sampled_from([1e-9, 0.3, 0.8, 1.5, 9.0, np.inf]),
    tile=st.integers(1, 70),
    graph_bytes=st.sampled_from([0, 300, 10**6]),
    seed=st.integers(0, 999),
)
def test_prob_cover_equals_brute_force(m, n, known, delta, tile, graph_bytes, seed):
    rng = generator(seed, "tests", "prob cover")
    x, labelled = rng.normal(size=(m, 3)), rng.normal(size=(known, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "TILE", tile)
        found = prob_cover(x, n, delta, labelled=labelled, graph_bytes=graph_bytes)
    assert_array_equal(found, brute_prob_cover(x, n, delta, labelled))


def test_a_sphere_far_from_the_origin_is_as_good_as_one_around_it():
    x = generator(0, "tests", "far").normal(size=(200, 4)).astype(np.float32)
    assert_array_equal(prob_cover(x + 1000, 20, 1.5), prob_cover(x, 20, 1.5))


def test_ties_are_drawn_where_there_is_a_generator():
    x = np.eye(30)  # no ball of radius 1 holds another row
    assert_array_equal(prob_cover(x, 4, 1.0), [0, 1, 2, 3])
    drawn = {tuple(prob_cover(x, 4, 1.0, rng=generator(seed)).tolist()) for seed in range(20)}
    assert len(drawn) == 20


def test_once_all_is_covered_the_rest_is_drawn():
    x = np.zeros((40, 2))
    drawn = {tuple(prob_cover(x, 4, 1.0, rng=generator(seed)).tolist()) for seed in range(20)}
    assert len(drawn) == 20 and all(len(set(rows)) == 4 for rows in drawn)


@pytest.mark.parametrize("unit", [False, True])
def test_the_radius_keeps_the_purity_and_no_larger_one_does(unit):
    rng = generator(0, "tests", "purity")
    home = np.arange(400) % 4
    x = 3 * rng.normal(size=(4, 5))[home] + rng.normal(size=(400, 5))
    delta = purity_radius(x, 4, generator(0), unit=unit)
    seen = x / np.linalg.norm(x, axis=1, keepdims=True) if unit else x
    members = coverage.kmeans(x, 4, generator(0), unit=unit).members
    distances = np.sqrt(((seen[:, None] - seen) ** 2).sum(axis=2))

    def purity(radius):
        return 1 - ((distances < radius) & (members[:, None] != members)).any(axis=1).mean()

    assert purity(delta * (1 - 1e-9)) >= 0.95
    assert purity(delta * (1 + 1e-9)) < 0.95
    assert_allclose(purity_radius(torch.tensor(x), 4, generator(0), unit=unit), delta)


def test_the_radius_by_hand():
    # clusters {0, 1, 2} and {10, 11}; nearest of the other: 10, 9, 8, 8, 9; all balls pure: up to 8
    x = np.array([[0.0], [1], [2], [10], [11]])
    assert purity_radius(x, 2, generator(0), purity=1.0) == pytest.approx(8)
    # 60 % of five, three: two may be impure, up to the third distance of 8, 8, 9, 9, 10
    assert purity_radius(x, 2, generator(0), purity=0.6) == pytest.approx(9)
    assert purity_radius(np.ones((5, 2)), 2, generator(0)) == np.inf
    assert purity_radius(x[:1], 2, generator(0)) == np.inf


def test_what_is_out_of_range_is_said():
    x = np.ones((3, 2))
    for delta in (0, -1.0, np.nan):
        with pytest.raises(InputError, match="delta must be above 0"):
            prob_cover(x, 1, delta)
    with pytest.raises(ShapeError, match="labelled must have shape"):
        prob_cover(x, 1, 1.0, labelled=np.ones((1, 3)))
    with pytest.raises(InputError, match="labelled: row 0 has no finite norm"):
        prob_cover(x, 1, 1.0, labelled=np.full((1, 2), np.nan))
    with pytest.raises(InputError, match="purity must be above 0"):
        purity_radius(x, 2, generator(0), purity=0)


def test_balls_far_smaller_than_the_spread_are_exact():
    rng = generator(0, "tests", "small balls")
    x = np.repeat(rng.normal(size=(40, 6)), 5, axis=0) + 1e-4 * rng.normal(size=(200, 6))
    x = x.astype(np.float32)
    delta = 3e-4
    dense = ((x[:, None].astype(float) - x) ** 2).sum(axis=2) < delta**2
    covered, wanted = np.zeros(200, bool), []
    for _ in range(30):
        gains = (dense & ~covered).sum(axis=1)
        gains[wanted] = -1
        wanted.append(int(gains.argmax()))
        covered |= dense[wanted[-1]]
    assert_array_equal(prob_cover(x, 30, delta), wanted)


def test_a_ball_may_hold_everything():
    x = generator(0).normal(size=(30, 3)).astype(np.float32)
    for delta in (1e60, np.inf):
        assert_array_equal(prob_cover(x, 3, delta), [0, 1, 2])
