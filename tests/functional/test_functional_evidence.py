"""Dirichlet evidence: golden numbers, exact arithmetic, the fold that fusion replaces, laws, bad input."""

from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.blocks import BLOCK_BYTES
from labelwise.functional.evidence import (
    conflict,
    dempster_shafer,
    difficulty,
    dirichlet_variance,
    expected_entropy,
    opinion,
    vacuity,
    weighted_fusion,
)
from labelwise.seeds import generator

GOLDEN = cases("evidential")


def close(found, wanted):
    assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def some(n=40, m=3, c=5, seed=0):
    """Evidence over many magnitudes, with zeros."""
    rng = generator(seed, "tests", "evidence")
    e = 10 ** rng.uniform(-3, 3, size=(n, m, c))
    e[rng.random(e.shape) < 0.3] = 0
    return e


def folded(views):
    """Fuse evidence by Dempster's rule, one view after the other, in fractions: the fused evidence and each K."""
    c = len(views[0])
    fused, conflicts = [Fraction(x) for x in views[0]], []
    for view in views[1:]:
        other = [Fraction(x) for x in view]
        (s1, s2) = (sum(e) + c for e in (fused, other))
        b1, b2 = [x / s1 for x in fused], [x / s2 for x in other]
        u1, u2 = c / s1, c / s2
        k = sum(b1[i] * b2[j] for i in range(c) for j in range(c) if i != j)
        b = [(p * q + p * u2 + q * u1) / (1 - k) for p, q in zip(b1, b2, strict=True)]
        strength = c / (u1 * u2 / (1 - k))
        fused = [x * strength for x in b]
        conflicts.append(k)
    return fused, conflicts


def test_opinion_by_hand():
    # α = (4, 1), S = 5: b = (3, 0) / 5, u = 2 / 5, p = (4, 1) / 5, Var = 4 * 1 / (25 * 6) for both
    said = opinion([3.0, 0.0])
    assert_allclose(said.alpha, [4, 1])
    assert said.strength == 5
    assert_allclose(said.belief, [0.6, 0])
    assert_allclose(said.vacuity, 0.4)
    assert_allclose(said.probs, [0.8, 0.2])
    assert_allclose(vacuity([3.0, 0.0]), 0.4)
    assert_allclose(dirichlet_variance([3.0, 0.0]), [4 / 150, 4 / 150])
    assert_allclose(difficulty([3.0, 0.0]), 4 / 150)
    assert_allclose(difficulty([3.0, 0.0], normalise=True), 4 / 150 * 12)  # 1 / 12 where nothing is known


def test_fusion_and_conflict_by_hand():
    # C = 2, e¹ = (2, 0), e² = (0, 2): b = ½ each, u = ½ each, K = ¼; (b, u) ∝ (¼, ¼, ¼), so S = 6 and e = (2, 2)
    views = [[2.0, 0.0], [0.0, 2.0]]
    assert_allclose(dempster_shafer(views), [2, 2])
    assert_allclose(conflict(views), 0.25)
    assert_allclose(dempster_shafer([[2.0, 0.0], [2.0, 0.0]]), [6, 0])  # 2 + 2 + 2 * 2 / 2
    assert conflict([[2.0, 0.0], [2.0, 0.0]]) == 0
    assert_allclose(weighted_fusion(views, [0.25, 0.75]), [0.5, 1.5])


def test_opinions_equal_golden_numbers():
    e, out = GOLDEN["opinion"]["in"]["evidence"], GOLDEN["opinion"]["out"]
    said = opinion(e)
    for found, name in zip(said, ("alpha", "S", "belief", "uncertainty", "prob"), strict=True):
        close(found, out[name])
    close(vacuity(e), out["uncertainty"])


def test_dempster_shafer_equals_golden_numbers():
    e, out = np.moveaxis(GOLDEN["ds"]["in"]["evidence"], 0, 1), GOLDEN["ds"]["out"]
    for views in (2, 3):
        fused = dempster_shafer(e[:, :views])
        names = ("alpha", "S", "belief", "uncertainty", "prob")
        for found, name in zip(opinion(fused), names, strict=True):
            close(found, out[f"{name}_{views}view"])
    close(conflict(e[:, :2]), out["conflict_2view"])
    two = dempster_shafer(e[:, :2])
    second = conflict(np.stack([two, e[:, 2]], axis=1))
    close(second, out["conflict_second_step"])
    close(1 - conflict(e), (1 - out["conflict_2view"]) * (1 - second))


def test_dempster_shafer_of_two_classes_equals_golden_numbers():
    e, out = np.moveaxis(GOLDEN["ds_c2"]["in"]["evidence"], 0, 1), GOLDEN["ds_c2"]["out"]
    said = opinion(dempster_shafer(e))
    for found, name in zip(said[:4], ("alpha", "S", "belief", "uncertainty"), strict=True):
        close(found, out[name])
    close(conflict(e), out["conflict"])


def test_weighted_fusion_equals_golden_numbers():
    data, out = GOLDEN["weighted"]["in"], GOLDEN["weighted"]["out"]
    e = np.moveaxis(data["evidence"], 0, 1)
    fused = weighted_fusion(e, data["weights"])
    close(fused + 1, out["alpha"])
    assert_allclose(difficulty(fused), out["difficulty"], rtol=1e-9)
    assert_allclose(difficulty(e), out["difficulty_per_view"].T, rtol=1e-9)


@pytest.mark.parametrize("views", [1, 2, 3, 5])
def test_fusion_and_conflict_are_those_of_the_exact_fold(views):
    e = some(m=views, c=4, seed=views)
    e[0] = 0
    e[1] = np.resize(np.eye(4) * 1e9, (views, 4))  # each surely another class
    e[2] = np.eye(4)[0] * 1e9
    fused, lost = dempster_shafer(e), conflict(e)
    for row, view in enumerate(e):
        wanted, steps = folded(view.tolist())
        assert_allclose(fused[row], [float(x) for x in wanted], rtol=1e-14)
        kept = Fraction(1)
        for k in steps:
            kept *= 1 - k
        assert_allclose(lost[row], float(1 - kept), rtol=1e-13)


def test_combined_evidence_beyond_floats_keeps_its_beliefs():
    e = np.array([[[1e300, 2e299, 0.0]] * 2, [[1e300, 1.0, 0.0], [1.0, 1e300, 3.0]]])
    for row in (0, 1):
        wanted, _ = folded([[int(x) for x in view] for view in e[row]])
        said = opinion(dempster_shafer(e[row]))
        assert_allclose(said.belief, [float(x / sum(wanted)) for x in wanted], rtol=1e-12, atol=1e-300)
        assert 0 < said.vacuity < 1e-299
        assert np.isfinite(said.strength)
    assert_allclose(conflict(e), [float(folded(np.vectorize(int, otypes=[object])(v))[1][0]) for v in e])


def test_huge_evidence_breaks_nothing():
    e = np.array([[1e300, 0.0, 0.0], [1e300, 1e300, 1e300], [0.0, 1e300, 1e-300]])
    assert_allclose(opinion(e).probs, [[1, 0, 0], [1 / 3] * 3, [0, 1, 0]], atol=1e-299)
    assert_allclose(vacuity(e), [3e-300, 1e-300, 3e-300])
    assert (difficulty(e) >= 0).all()
    assert np.isfinite(dempster_shafer(np.stack([e, e, e]))).all()
    # 1 - p is known to the last digit where p rounds to 1: α = (1, 1 + 1e18), Var ≈ 1e-18 / 1e18
    assert_allclose(difficulty([0.0, 1e18]), 1e-36)


magnitudes = st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.floats(1e-3, 10.0), st.floats(1e150, 1e300))


@given(
    e=arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=magnitudes),
    seed=st.integers(0, 99),
)
def test_laws_of_fusion(e, seed):
    fused = dempster_shafer(e)
    said, apart = opinion(fused), opinion(e)
    assert_allclose(said.probs.sum(), 1)
    assert_allclose(said.belief.sum() + said.vacuity, 1)
    assert_allclose(apart.probs.sum(axis=-1), 1)
    order = generator(seed, "tests", "order").permutation(len(e))
    assert_allclose(dempster_shafer(e[order]), fused, rtol=1e-11)  # logs of 1e1200 at worst
    assert_allclose(conflict(e[order]), conflict(e), rtol=1e-9, atol=1e-9)
    assert 0 <= conflict(e) <= 1
    with_nothing = np.concatenate([e, np.zeros((1, e.shape[1]))])
    assert_allclose(dempster_shafer(with_nothing), fused, rtol=1e-11)
    assert_allclose(conflict(with_nothing), conflict(e), atol=1e-15)
    assert said.vacuity <= apart.vacuity.min() * (1 + 1e-8)  # 1e-8: as much as evidence is scaled down
    agreeing = opinion(dempster_shafer(np.stack([e[0], e[0]])))
    assert agreeing.vacuity <= apart.vacuity[0] * (1 + 1e-8)


@given(
    e=arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 5)), elements=st.floats(0, 1e6)),
    seed=st.integers(0, 99),
)
def test_laws_of_weighted_fusion(e, seed):
    w = generator(seed, "tests", "weights").dirichlet(np.ones(len(e)))
    fused = weighted_fusion(e, w)
    tiny = np.finfo(float).tiny  # below it a product with a weight loses its digits
    assert (fused >= e.min(axis=0) * (1 - 1e-12) - tiny).all()
    assert (fused <= e.max(axis=0) * (1 + 1e-12) + tiny).all()
    for one in range(len(e)):
        assert_array_equal(weighted_fusion(e, np.eye(len(e))[one]), e[one])
    alpha = fused + 1
    s = alpha.sum()
    assert_allclose(dirichlet_variance(fused), alpha * (s - alpha) / (s**2 * (s + 1)), rtol=1e-6, atol=1e-16)
    assert_allclose(difficulty(fused), (1 - ((alpha / s) ** 2).sum()) / (len(alpha) * (s + 1)), atol=1e-15)
    assert 0 <= difficulty(fused, normalise=True) <= 1 + 1e-12


def test_no_evidence_is_the_most_difficult_and_one_class_is_never():
    for c in (2, 31, 101):
        assert_allclose(difficulty(np.zeros(c)), (1 - 1 / c) / (c * (c + 1)))
        assert_allclose(difficulty(np.zeros(c), normalise=True), 1)
    assert difficulty([3.0]) == difficulty([3.0], normalise=True) == 0


def test_a_missing_modality_is_no_evidence_whatever_stands_there():
    e = some()
    present = generator(1, "tests", "present").random(e.shape[:2]) < 0.6
    present[0] = False
    zeroed, holes = np.where(present[..., None], e, 0), np.where(present[..., None], e, nan)
    assert_array_equal(dempster_shafer(holes, present=present), dempster_shafer(zeroed))
    assert_array_equal(conflict(holes, present=present), conflict(zeroed))
    w = [0.2, 0.5, 0.3]
    assert_array_equal(weighted_fusion(holes, w, present=present), weighted_fusion(zeroed, w))
    assert_array_equal(dempster_shafer(holes, present=present)[0], 0)
    assert_array_equal(dempster_shafer(holes[5], present=present[5]), dempster_shafer(zeroed[5]))
    for row in range(len(e)):  # weights of each sample
        assert_allclose(
            weighted_fusion(e, present / 3.0)[row], weighted_fusion(e[row], present[row] / 3.0), rtol=1e-15
        )


def test_blocks_layouts_and_types_change_nothing(tmp_path):
    n = 3 * BLOCK_BYTES // (8 * 4 * 200)
    e = some(n, 4, 200)
    w = np.full((n, 4), 0.25)
    calls = (dempster_shafer, conflict, difficulty, lambda x: weighted_fusion(x, w[: len(x)]))
    np.save(tmp_path / "e.npy", e)
    for call in calls:
        whole = call(e)
        assert_array_equal(call(np.asfortranarray(e)), whole)
        assert_array_equal(call(np.load(tmp_path / "e.npy", mmap_mode="r")), whole)
        assert_allclose(call(e[:7]), whole[:7], rtol=1e-12)
        assert_array_equal(call(e[:0]), whole[:0])
    short = e.astype(np.float32)
    assert_array_equal(dempster_shafer(short), dempster_shafer(short.astype(np.float64)))
    torch = pytest.importorskip("torch")
    assert_array_equal(dempster_shafer(torch.from_numpy(e)), dempster_shafer(e))


@pytest.mark.parametrize("bad", [nan, inf, -1.0])
def test_bad_evidence_is_named(bad):
    e = some(1500, 3, 200)
    e[1234, 2, 3] = bad
    for call in (
        dempster_shafer,
        conflict,
        opinion,
        difficulty,
        lambda x: weighted_fusion(x, [1.0, 1.0, 1.0]),
    ):
        with pytest.raises(InputError, match=f"evidence: row 1234, modality 2 holds {bad}"):
            call(e)
    with pytest.raises(InputError, match=f"evidence: modality 2 holds {bad}"):
        dempster_shafer(e[1234])
    with pytest.raises(InputError, match=f"evidence holds {bad}"):
        vacuity(e[1234, 2])


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="row 1 is more than float64 can add"):
        vacuity([[1.0, 2.0], [1e308, 1.7e308]])
    with pytest.raises(InputError, match="weights times evidence: row 0 holds inf"):
        weighted_fusion([[[1e300, 1.0]]], [1e10])
    for weights in ([-0.1, 1.0], [nan, 1.0]):
        with pytest.raises(InputError, match="weights must be finite and at least 0; they hold"):
            weighted_fusion(np.ones((2, 3)), weights)
    with pytest.raises(ShapeError, match=r"weights must have shape \(2,\) or \(4, 2\); it has shape \(3,\)"):
        weighted_fusion(np.ones((4, 2, 3)), np.ones(3))
    with pytest.raises(
        ShapeError, match=r"present must be bool of shape \(4, 2\); it is float64 of \(4, 2\)"
    ):
        dempster_shafer(np.ones((4, 2, 3)), present=np.ones((4, 2)))
    with pytest.raises(ShapeError, match=r"evidence must have shape \(..., M, C\) with M and C >= 1"):
        dempster_shafer(np.ones(3))
    for empty in (np.ones((4, 0, 3)), np.ones((4, 2, 0))):
        with pytest.raises(ShapeError, match="evidence must have shape"):
            dempster_shafer(empty)
    with pytest.raises(ShapeError, match=r"evidence must have shape \(..., C\) with C >= 1"):
        vacuity(1.0)


def test_the_expected_entropy_by_hand_and_by_drawing():
    # of an even law on [0, 1]: -2 ∫ p ln p dp = 1/2; of certainty to come, 0; of much even evidence, ln C
    assert_allclose(expected_entropy([0.0, 0.0]), 0.5)
    assert_allclose(expected_entropy([1e12, 0.0, 0.0]), 0, atol=1e-9)
    assert_allclose(expected_entropy([1e9] * 4), np.log(4), rtol=1e-8)
    assert expected_entropy([3.0]) == 0
    rng = generator(0, "tests", "entropy")
    e = rng.gamma(1, 4, (5, 3))
    for row in e:
        p = rng.dirichlet(row + 1, 40_000)
        drawn = -(p * np.log(p)).sum(axis=1)
        assert abs(drawn.mean() - expected_entropy(row)) < 5 * drawn.std() / 200
