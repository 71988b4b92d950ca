"""BAIT: the authors' numbers, plain linear algebra on small pools, and what its structure promises."""

import numpy as np
import pytest
from golden_numbers import cases
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError, UnknownName
from labelwise.functional import fisher
from labelwise.functional.batches import bait, bait_form
from labelwise.functional.batches.fisher import search
from labelwise.seeds import generator

GOLDEN = cases("bait")


def drawn(name, n, classes, width, kind=np.float64):
    rng = generator(0, "tests", "fisher", name)
    return rng.dirichlet(np.full(classes, 0.5), size=n).astype(kind), rng.normal(size=(n, width)).astype(kind)


def information(p, h):
    """I(x) of every row, (n, CD, CD), by its definition."""
    spread = np.eye(p.shape[1]) * p[:, None, :] - p[:, :, None] * p[:, None, :]
    return np.stack([np.kron(s, np.outer(z, z)) for s, z in zip(spread, h, strict=True)])


def brute(p, h, n, known_p, known_h, lam, oversample, diagonal=False):
    """Forward and backward with an inverse for every candidate."""
    every = information(np.concatenate([p, known_p]), np.concatenate([h, known_h]))
    if diagonal:
        every = every * np.eye(every.shape[1])
    mean, pool, seen = every.mean(axis=0), every[: len(p)], every[len(p) :].sum(axis=0)
    total = len(known_p) + n
    base = lam * np.eye(len(mean)) + seen / total

    def trace(rows):
        return np.trace(np.linalg.solve(base + n / total * pool[rows].sum(axis=0), mean))

    chosen, removed, traces = [], [], [trace([])]
    for _ in range(min(len(p), int(oversample * n))):
        left = [row for row in range(len(p)) if row not in chosen]
        chosen.append(min(left, key=lambda row: trace([*chosen, row])))
        traces.append(trace(chosen))
    while len(chosen) > n:
        removed.append(min(chosen, key=lambda row: trace([other for other in chosen if other != row])))
        chosen.remove(removed[-1])
        traces.append(trace(chosen))
    return chosen, removed, traces


@pytest.mark.parametrize("case", sorted(GOLDEN))
def test_golden(case):
    given, wanted = GOLDEN[case]["in"], GOLDEN[case]["out"]
    known, n, lam = given["labelled"], int(given["budget"]), float(given["lam"])
    pool = np.setdiff1d(np.arange(len(given["probs"])), known)
    parts = [given[name][rows] for rows in (pool, known) for name in ("probs", "features")]
    found = search(fisher.FullFisher(*parts, lam, n), pool.size, n, 2 * n)
    assert_array_equal(pool[found.forward], wanted["forward"])
    assert_array_equal(pool[found.removed], wanted["removed"])
    traces = np.concatenate([wanted["objective_forward"], wanted["objective_backward"]])
    assert_allclose(found.traces, traces, atol=1e-8, rtol=0)
    rows = bait(*parts[:2], n, labelled_probs=parts[2], labelled_embeddings=parts[3], lam=lam)
    assert_array_equal(pool[rows], wanted["selected"])


@pytest.mark.parametrize("case", sorted(GOLDEN))
def test_golden_information_and_its_factor(case):
    given, wanted = GOLDEN[case]["in"], GOLDEN[case]["out"]
    p, h, known = given["probs"], given["features"], given["labelled"]
    full = fisher.FullFisher(p, h, p[known], h[known], 1.0, 3)
    classes, width = p.shape[1], h.shape[1]
    back = np.kron(full.basis, np.eye(width))  # contrasts to classes: no information is lost on the way
    seen = full._information(p[known], h[known]) / len(known)
    assert_allclose(back.T @ full._information(p, h) @ back / len(p), wanted["fisher_pool"], atol=1e-10)
    assert_allclose(back.T @ seen @ back, wanted["fisher_labelled"], atol=1e-10)
    # V of the authors has C rows, ours C - 1; both have the same VᵀV
    factor = full.basis.T @ full._contrasts(slice(0, len(p)))
    ours = np.einsum("nci,nd->nicd", factor, h).reshape(len(p), classes - 1, -1)
    theirs = wanted["fisher_embedding"]
    assert_allclose(ours.swapaxes(1, 2) @ ours, theirs.swapaxes(1, 2) @ theirs, atol=1e-12)


@pytest.mark.parametrize("form", ["full", "diagonal"])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("lam", [1.0, 1e-2, 1e-6])
@pytest.mark.parametrize("known", [0, 7])
def test_brute_force(form, classes, lam, known):
    p, h = drawn(f"brute {classes}", 31, classes, 3)
    p[4], p[9] = np.eye(classes)[0], np.eye(classes)[-1]  # nothing to learn there; zeros must not hurt
    parts = (p[known:], h[known:], p[:known], h[:known])
    kind = fisher.FullFisher if form == "full" else fisher.DiagonalFisher
    found = search(kind(*parts, lam, 5), 31 - known, 5, 12)
    chosen, removed, traces = brute(parts[0], parts[1], 5, parts[2], parts[3], lam, 2.4, form == "diagonal")
    assert_array_equal(found.rows, chosen)
    assert_array_equal(found.removed, removed)
    assert_allclose(found.traces, traces, rtol=1e-9)


def test_one_class_pair_by_hand():
    # C = 2, D = 1, no labels, λ = 1, n = 1: I(x) = p₁p₂h² (1 -1; -1 1), eigenvalue 2 p₁p₂h² along (1, -1), and one row
    # of weight 1 leaves tr = 2f / (1 + 2 p₁p₂h²) for the mean f: the highest p₁p₂h² wins. .25·1 < .09·4 < .1875·4
    p = np.array([[0.5, 0.5], [0.9, 0.1], [0.75, 0.25]])
    assert_array_equal(bait(p, np.array([[1.0], [2], [2]]), 1, oversample=1), [2])
    assert_array_equal(bait(p, np.array([[4.0], [2], [2]]), 1, oversample=1), [0])


def test_nothing_is_left_out_when_oversampling_exceeds_the_pool():
    p, h = drawn("clamp", 9, 3, 4)
    for n in (5, 9, 20):
        assert sorted(bait(p, h, n)) == sorted(set(bait(p, h, n)))
        assert len(bait(p, h, n)) == min(n, 9)
    assert_array_equal(bait(p, h, 5), brute(p, h, 5, p[:0], h[:0], 1.0, 2)[0])


@pytest.mark.parametrize("form", ["full", "diagonal"])
def test_twins_are_taken_lowest_row_first_and_order_of_the_pool_does_not_matter(form):
    p, h = drawn("twins", 20, 4, 5)
    p, h = np.concatenate([p, p]), np.concatenate([h, h])
    rows = bait(p, h, 8, form=form)
    for row in rows:
        assert row < 20 or row - 20 in rows
    order = generator(0, "tests", "twins", "order").permutation(40)
    assert_array_equal(order[bait(p[order], h[order], 8, form=form)] % 20, rows % 20)


@pytest.mark.parametrize("form", ["full", "diagonal"])
@pytest.mark.parametrize("known", [0, 6])
def test_torch_picks_the_same_rows(form, known):
    torch = pytest.importorskip("torch")
    p, h = drawn("torch", 60, 5, 7, np.float32)
    given = {"labelled_probs": p[:known], "labelled_embeddings": h[:known]}
    tensors = {name: torch.from_numpy(value) for name, value in given.items()}
    wanted = bait(p[known:], h[known:], 9, form=form, **given)
    found = bait(torch.from_numpy(p[known:]), torch.from_numpy(h[known:]), 9, form=form, **tensors)
    assert isinstance(found, np.ndarray)
    assert_array_equal(found, wanted)


def test_blocks_change_nothing(monkeypatch):
    p, h = drawn("blocks", 50, 4, 6)
    wanted = {form: bait(p, h, 10, form=form) for form in ("full", "diagonal")}
    monkeypatch.setattr(fisher, "BLOCK_BYTES", 3 * 8 * 4 * 12)
    for form, rows in wanted.items():
        assert_array_equal(bait(p, h, 10, form=form), rows)


def test_one_class_tells_nothing():
    h = drawn("one class", 6, 2, 3)[1]
    for form in ("full", "diagonal"):
        assert_array_equal(bait(np.ones((6, 1)), h, 3, form=form), [0, 1, 2])


def test_the_form_follows_from_the_memory_it_holds():
    assert bait_form(10_000, 10, 128) == "full"
    assert bait_form(50_000, 10, 512) == "full"  # 8 (5 · (9 · 512)² + 2 · 50,000 · 81) bytes = 0.91 GB
    assert bait_form(10_000, 100, 512) == "diagonal"
    assert bait_form(50_000, 100, 4) == "diagonal"  # (C-1)² numbers a row are too many
    p, h = drawn("auto", 30, 3, 4)
    assert_array_equal(bait(p, h, 6), bait(p, h, 6, form="full"))


def test_wrong_arguments_are_refused_in_words():
    p, h = drawn("wrong", 8, 3, 4)
    with pytest.raises(InputError, match="lam must be a number from 1e-50 to 1e.50; it is 0"):
        bait(p, h, 2, lam=0)
    with pytest.raises(InputError, match="oversample must be a number of at least 1; it is 0.5"):
        bait(p, h, 2, oversample=0.5)
    with pytest.raises(UnknownName, match="No form is named 'ful'. Did you mean 'full'"):
        bait(p, h, 2, form="ful")
    with pytest.raises(ShapeError, match=r"probs must have shape \(n=8, C\)"):
        bait(p[:5], h, 2)
    with pytest.raises(ShapeError, match=r"labelled_embeddings must have shape \(n, D=4\)"):
        bait(p, h, 2, labelled_probs=p, labelled_embeddings=h[:, :2])
    with pytest.raises(DistributionError, match="labelled_probs: row 1 is no distribution"):
        bait(p, h, 2, labelled_probs=np.array([[0, 0, 1], [1.0, 1, 1]]), labelled_embeddings=h[:2])
    h[3, 1] = np.nan
    with pytest.raises(InputError, match="embeddings: row 3 holds nan"):
        bait(p, h, 2)


@pytest.mark.parametrize("form", ["full", "diagonal"])
def test_numbers_beyond_float64_are_refused_and_all_others_serve(form):
    p, h = drawn("long", 12, 3, 2)
    for lam in (1e-50, 1e50):
        for scale in (1e-150, 1e24):
            assert len(set(bait(p, h * scale, 5, lam=lam, form=form))) == 5
    with pytest.raises(InputError, match="embeddings: a row is longer than 1e25"):
        bait(p, h * 1e26, 5, form=form)
    with pytest.raises(InputError, match="labelled_embeddings: a row is longer than 1e25"):
        bait(p, h, 5, labelled_probs=p, labelled_embeddings=h * 1e26, form=form)
    with pytest.raises(InputError, match="lam must be a number"):
        bait(p, h, 5, lam=1e-51, form=form)


def test_rows_that_tell_nothing_are_not_looked_at_again(monkeypatch):
    p, h = np.eye(3)[np.arange(40) % 3], drawn("sure", 40, 3, 4)[1]
    looked, gains = [], fisher.DiagonalFisher._gains

    def counted(self, rows, sign):
        looked.append(rows.size)
        return gains(self, rows, sign)

    monkeypatch.setattr(fisher.DiagonalFisher, "_gains", counted)
    assert_array_equal(bait(p, h, 8, form="diagonal", oversample=1), np.arange(8))
    assert sum(looked) == 40
