"""Submodular measures: golden numbers, brute force, laws, guarantees, and the same rows on NumPy and torch."""

from itertools import combinations

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional import batches
from labelwise.functional.batches import CosineSimilarity, GivenSimilarity, GradientSimilarity, RbfSimilarity
from labelwise.functional.batches.greedy import in_parts, sample_size
from labelwise.functional.batches.submodular import maximise
from labelwise.functional.batches.submodular_information import CONDITIONAL, GAIN, INFORMATION, PLAIN
from labelwise.seeds import generator

MEASURES = (*PLAIN, *INFORMATION, *GAIN, *CONDITIONAL)
SUBMODULAR = tuple(m for m in MEASURES if m not in ("logdetmi", "logdetcmi"))
MONOTONE = tuple(
    m for m in SUBMODULAR if m != "gccg"
)  # with lam <= 1/2 for "gc", lam >= 1 for log-determinants
FILES = {"fl1mi": "flvmi", "fl2mi": "flqmi"}  # what the golden file calls them
FULL = {name: case for name, case in cases("submodular").items() if name != "kernel"}


def has_query(measure):
    return measure == "com" or measure.endswith("mi")


def has_private(measure):
    return measure.endswith(("cg", "cmi"))


def sets(measure, query, private):
    return {
        "query": query if has_query(measure) else None,
        "private": private if has_private(measure) else None,
    }


def golden(case, measure):
    """Return the pool's similarities and the arguments of a golden case, from one matrix over all its samples."""
    i = FULL[case]["in"]
    matrix = np.block([
        [i["S"], i["query"], i["private"]],
        [i["query"].T, i["query_query"], i["query_private"]],
        [i["private"].T, i["query_private"].T, i["private_private"]],
    ])  # fmt: skip
    n, q, p = len(i["S"]), len(i["query_query"]), len(i["private_private"])
    pool, query, private = (
        GivenSimilarity(matrix, np.arange(start, start + size))
        for start, size in ((0, n), (n, q), (n + q, p))
    )
    lam = float(i["lam"] if "logdet" in measure else i["gc_lam"])
    more = {"eta": float(i["eta"]), "nu": float(i["nu"]), "lam": 0.5 if measure == "gcmi" else lam}
    return pool, sets(measure, query, private) | more  # lam = 1/2: submodlib has no factor 2 lam in "gcmi"


def points(name, n=12, width=4, count=1):
    rng = generator(0, "tests", "submodular", name)
    made = [rng.normal(size=(n, width)) for _ in range(count)]
    return made if count > 1 else made[0]


def greedy(pool, n, measure, arguments):
    return maximise(pool, n, measure, **arguments, method="lazy")


@pytest.mark.parametrize("case", FULL)
@pytest.mark.parametrize("measure", MEASURES)
def test_values_equal_the_golden_ones(case, measure):
    pool, arguments = golden(case, measure)
    wanted = FULL[case]["out"]
    name = FILES.get(measure, measure)
    inputs = FULL[case]["in"]

    def value(rows):
        return batches.submodular_value(pool, rows[rows >= 0], measure, **arguments)

    assert_allclose([value(rows) for rows in inputs["subsets"]], wanted[f"{name}_values"], rtol=0, atol=1e-9)
    gains = [
        value(np.append(rows[rows >= 0], item)) - value(rows)
        for rows, item in zip(inputs["gain_sets"], inputs["gain_items"], strict=True)
    ]
    assert_allclose(gains, wanted[f"{name}_gains"], rtol=0, atol=1e-9)
    assert_allclose(value(wanted[f"{name}_best3"]), wanted[f"{name}_best3_value"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", FULL)
@pytest.mark.parametrize("measure", MEASURES)
def test_greedy_orders_equal_the_golden_ones(case, measure):
    pool, arguments = golden(case, measure)
    wanted, name = FULL[case]["out"], FILES.get(measure, measure)
    order = wanted.get(f"{name}_greedy_lowest_index", wanted[f"{name}_greedy"])
    rows = greedy(pool, int(FULL[case]["in"]["budget"]), measure, arguments)
    assert_array_equal(rows[: len(order)], order)
    assert_array_equal(rows[: len(wanted[f"{name}_greedy"])], wanted[f"{name}_greedy"])


@pytest.mark.parametrize("case", FULL)
@pytest.mark.parametrize("measure", MONOTONE)
def test_greedy_keeps_its_guarantee_on_golden_instances(case, measure):
    pool, arguments = golden(case, measure)
    best = float(FULL[case]["out"][f"{FILES.get(measure, measure)}_best3_value"])
    if measure in ("logdet", "logdetcg") and arguments["lam"] < 1:
        return  # not monotone
    rows = greedy(pool, 3, measure, arguments)
    assert batches.submodular_value(pool, rows, measure, **arguments) >= (1 - 1 / np.e) * best


def test_the_kernel_is_the_golden_one():
    case = cases("submodular")["kernel"]
    pool, query = (CosineSimilarity(case["in"][name]) for name in ("features", "query_features"))
    assert_allclose(pool.columns(query, slice(None)), case["out"]["cosine01"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("kind", ["cosine", "rbf", "gradients"])
def test_every_pick_has_the_largest_gain(measure, kind):
    rng = generator(0, "tests", "submodular", "brute", kind)

    def made(n):
        if kind == "gradients":
            return GradientSimilarity(rng.dirichlet(np.ones(3), n), rng.normal(size=(n, 2)))
        x = rng.normal(size=(n, 3))
        return CosineSimilarity(x) if kind == "cosine" else RbfSimilarity(x, 0.4)

    pool = made(11)
    arguments = sets(measure, made(4), made(3)) | {"eta": 0.7, "nu": 0.6, "lam": 0.4}
    rows = greedy(pool, 6, measure, arguments)

    def value(some):
        return batches.submodular_value(pool, some, measure, **arguments)

    for turn in range(6):
        others = [value([*rows[:turn], r]) for r in range(11) if r not in rows[:turn]]
        assert value(rows[: turn + 1]) == pytest.approx(max(others), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6), small=st.sets(st.integers(0, 7), max_size=3), more=st.sets(st.integers(0, 7))
)
@pytest.mark.parametrize("measure", SUBMODULAR)
def test_gains_fall_and_are_not_negative(measure, seed, small, more):
    rng = generator(seed, "tests", "submodular", "laws")
    pool, query, private = (RbfSimilarity(rng.normal(size=(n, 2)), 0.5) for n in (9, 3, 2))
    arguments = sets(measure, query, private) | {"eta": 0.8, "nu": 0.5}

    def gain(rows):
        value = batches.submodular_value
        return value(pool, [*rows, 8], measure, **arguments) - value(pool, list(rows), measure, **arguments)

    assert gain(small) >= gain(small | more) - 1e-9
    if measure in MONOTONE:
        assert gain(small | more) >= -1e-9


@pytest.mark.parametrize("measure", MONOTONE)
def test_greedy_has_its_share_of_the_best_batch(measure):
    pool, query, private = (CosineSimilarity(x) for x in points(measure, 9, 3, count=3))
    arguments = sets(measure, query.take(np.arange(3)), private.take(np.arange(2)))

    def value(rows):
        return batches.submodular_value(pool, list(rows), measure, **arguments)

    best = max(value(rows) for rows in combinations(range(9), 3))
    assert value(greedy(pool, 3, measure, arguments)) >= (1 - 1 / np.e) * best


def test_information_is_what_both_sets_say_less_what_they_say_together():
    """With eta = 1, FL1MI = f(A) + f(Q) - f(A ∪ Q) for f summed over the pool; LogDetMI by the spec's formula."""
    x, q = points("identity", 10, count=2)
    rows = [2, 5, 7]
    both = GivenSimilarity(
        CosineSimilarity(np.vstack([x, q])).columns(CosineSimilarity(np.vstack([x, q])), slice(None))
    )
    s = np.asarray(both.matrix)
    over = s[:10]  # rows: the pool
    f = [over[:, some].max(1).sum() for some in (rows, range(10, 20), [*rows, *range(10, 20)])]
    found = batches.submodular_value(x, rows, "fl1mi", query=q)
    assert found == pytest.approx(f[0] + f[1] - f[2], abs=1e-9)
    s_a, s_q, s_aq = s[np.ix_(rows, rows)], s[10:, 10:], s[rows, 10:]
    s_a, s_q = s_a + np.eye(3) * 0.7, s_q + np.eye(10) * 0.7
    wanted = (
        np.linalg.slogdet(s_a)[1] - np.linalg.slogdet(s_a - 0.9**2 * s_aq @ np.linalg.inv(s_q) @ s_aq.T)[1]
    )
    found = batches.submodular_value(x, rows, "logdetmi", query=q, eta=0.9, lam=0.7)
    assert found == pytest.approx(wanted, abs=1e-9)


def test_values_by_hand():
    s = np.array([[1, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 1]])
    pool = GivenSimilarity(s, [0, 1, 2])
    # rows 0 and 2 are to the three samples at most 1, 0.5, 1
    assert batches.submodular_value(pool, [0, 2], "fl") == 2.5
    # column sums 1.5 and 1.25, less half of (1 + 0 + 0 + 1)
    assert batches.submodular_value(pool, [0, 2], "gc") == 2.75 - 1
    # det [[2, 0.5], [0.5, 2]] = 3.75
    assert batches.submodular_value(pool, [0, 1], "logdet") == pytest.approx(np.log(3.75))
    # 2 · 0.3 · (0.5 + 0.25)
    query = GivenSimilarity(s, [1])
    assert batches.submodular_value(pool, [0, 2], "gcmi", query=query, lam=0.3) == pytest.approx(0.45)
    # ln 1.5 + ln 1.25 + ln(1 + 0.75)
    found = batches.submodular_value(pool, [0, 2], "com", query=query)
    assert found == pytest.approx(np.log(1.5) + np.log(1.25) + np.log(1.75))


@pytest.mark.parametrize("n", [1, 40, 400])
def test_lazy_facility_location_equals_looking_at_all(n):
    x = points("lazy", 400, 6)
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    s, level, wanted = (1 + u @ u.T) / 2, np.zeros(400), []
    for _ in range(n):
        gains = np.maximum(s - level[:, None], 0).sum(axis=0)
        gains[wanted] = -1
        wanted.append(int(gains.argmax()))
        level = np.maximum(level, s[:, wanted[-1]])
    found = batches.facility_location(x, n, method="lazy")
    if n < 400:  # at the very end all gains are 0 but for rounding
        assert_array_equal(found, wanted)
    assert len(set(found.tolist())) == n


@pytest.mark.parametrize("count", [60, 200])
def test_stochastic_facility_location_is_nearly_as_good(count):
    rng = generator(0, "tests", "submodular", "stochastic")
    x = (rng.normal(size=(40, 16))[rng.integers(40, size=2000)] + rng.normal(size=(2000, 16))).astype(
        np.float32
    )
    exact, sampled = (
        batches.facility_location(x, count, method=method, rng=generator(1))
        for method in ("lazy", "stochastic")
    )
    value = batches.submodular_value
    assert value(x, sampled, "fl") >= 0.99 * value(x, exact, "fl")
    assert value(x, exact, "fl") > value(x, rng.choice(2000, count, replace=False), "fl")
    assert sampled.tolist() != exact.tolist()
    assert_array_equal(batches.facility_location(x, count, method="stochastic", rng=generator(1)), sampled)


def test_a_step_looks_at_as_many_as_the_guarantee_asks():
    assert sample_size(50_000, 500, "stochastic", 0.1) == 231  # 100 ln 10 = 230.3
    assert sample_size(50_000, 500, "auto", 0.1) == 231
    assert sample_size(5_000, 500, "auto", 0.1) is None
    assert sample_size(50_000, 500, "lazy", 0.1) is None


@pytest.mark.parametrize("measure", MEASURES)
def test_all_similar_rows_are_taken_lowest_first(measure):
    x = np.ones((9, 3))
    pool, query = CosineSimilarity(x), CosineSimilarity(x[:2])
    rows = greedy(pool, 5, measure, sets(measure, query, query))
    assert_array_equal(rows, np.arange(5))


@pytest.mark.parametrize("measure", MEASURES)
def test_empty_sets_leave_the_formula(measure):
    x = points("empty", 10)
    empty = CosineSimilarity(x[:0])
    plain = {"flcg": "fl", "gccg": "gc", "logdetcg": "logdet"}
    arguments = sets(measure, empty, empty)
    if has_query(measure):
        assert batches.submodular_value(x, [1, 4], measure, **arguments) == 0
        rows = batches.submodular_mutual_information if measure in INFORMATION else None
        found = rows(x, x[:0], 3, measure=measure) if rows else greedy(CosineSimilarity(x), 3, measure, {})
        assert set(found.tolist()) <= set(range(10)) and len(found) == 3
    elif measure in plain:
        assert_array_equal(
            batches.conditional_gain(x, x[:0], 4, measure=measure),
            greedy(CosineSimilarity(x), 4, plain[measure], {}),
        )


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("kind", ["points", "rbf", "gradients", "matrix"])
def test_numpy_and_torch_choose_alike(measure, kind):
    torch = pytest.importorskip("torch")
    rng = generator(0, "tests", "submodular", "torch")
    x, p = rng.normal(size=(60, 5)), rng.dirichlet(np.ones(4), 60)
    matrix = (1 + np.cos(np.arange(60)[:, None] - np.arange(60)[None, :])) / 2

    def chosen(as_kind):
        def part(rows):
            if kind == "points":
                return CosineSimilarity(as_kind(x[rows]))
            if kind == "rbf":
                return RbfSimilarity(as_kind(x[rows]), 0.2)
            if kind == "matrix":
                return GivenSimilarity(as_kind(matrix + np.diag(x[:, 0] ** 2)), np.arange(60)[rows])
            return GradientSimilarity(as_kind(p[rows]), as_kind(x[rows]))

        arguments = sets(measure, part(slice(50, 56)), part(slice(56, 60)))
        return greedy(part(slice(0, 50)), 12, measure, arguments)

    assert_array_equal(chosen(lambda a: a), chosen(torch.from_numpy))


@pytest.mark.parametrize("measure", [m for m in MEASURES if m != "logdet"])  # whose first gains all tie
def test_a_permuted_pool_gives_the_same_samples(measure):
    x, q, p = points("permuted", 200, count=3)
    arguments = sets(measure, CosineSimilarity(q[:6]), CosineSimilarity(p[:4]))
    order = generator(0, "tests", "submodular", "order").permutation(200)
    found = greedy(CosineSimilarity(x), 15, measure, arguments)
    assert_array_equal(order[greedy(CosineSimilarity(x[order]), 15, measure, arguments)], found)


def test_threads_change_nothing(monkeypatch):
    x = points("threads", 9000, 3).astype(np.float32)
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("LABELWISE_THREADS", threads)
        found.append(batches.facility_location(x, 30, method="stochastic", rng=generator(0)))
    assert_array_equal(*found)


@pytest.mark.parametrize("pool, n, parts", [(10, 7, 3), (100, 100, 7), (5, 2, 5), (1000, 33, 4)])
def test_parts_have_exact_shares(pool, n, parts):
    sizes = []

    def pick(rows, share):
        sizes.append((len(rows), share))
        return np.arange(share)

    rows = in_parts(pool, n, parts, pick, generator(0))
    assert len(set(rows.tolist())) == rows.size == n
    assert len(sizes) == parts and sum(size for size, _ in sizes) == pool
    assert max(size for size, _ in sizes) - min(size for size, _ in sizes) <= 1
    assert max(share for _, share in sizes) - min(share for _, share in sizes) <= 1 + n // pool


@pytest.mark.parametrize("measure", ["logdet", "logdetcg", "logdetmi", "logdetcmi"])
def test_a_large_pool_is_chosen_from_in_parts(measure, monkeypatch):
    from labelwise.functional.batches import submodular

    monkeypatch.setattr(submodular, "PART", 40)
    x, q, p = points("parts", 100, count=3)
    arguments = sets(measure, CosineSimilarity(q[:5]), CosineSimilarity(p[:5]))
    rows = maximise(CosineSimilarity(x), 10, measure, **arguments, rng=generator(0))
    assert len(set(rows.tolist())) == 10
    whole = batches.submodular_value(
        x, greedy(CosineSimilarity(x[:40]), 10, measure, arguments), measure, **arguments
    )
    assert batches.submodular_value(x, rows, measure, **arguments) > 0.5 * whole
    monkeypatch.setattr(submodular, "PART", 1000)
    monkeypatch.setattr(submodular, "CHAIN_BYTES", 100 * 8 * 8)  # 8 rows of 100 float64
    rows = maximise(CosineSimilarity(x), 10, measure, **arguments, rng=generator(0))
    assert len(set(rows.tolist())) == 10


def test_what_is_wrong_is_said():
    x = points("wrong")
    bad = x.copy()
    bad[7, 1] = np.nan
    with pytest.raises(InputError, match="points: row 7 holds NaN"):
        batches.facility_location(bad, 3)
    with pytest.raises(ShapeError, match=r"points must have shape \(n, D=4\)"):
        batches.submodular_mutual_information(x, x[:, :2], 3)
    with pytest.raises(UnknownName, match="fl2mi"):
        batches.submodular_mutual_information(x, x, 3, measure="fl3mi")
    with pytest.raises(UnknownName, match="lazy"):
        batches.facility_location(x, 3, method="lasy")
    with pytest.raises(InputError, match="epsilon must lie between 0 and 1"):
        batches.facility_location(x, 3, epsilon=1)
    with pytest.raises(InputError, match=r"eta must lie in \[0, 1\] for logdetmi"):
        batches.submodular_mutual_information(x, x, 3, measure="logdetmi", eta=2.0)
    with pytest.raises(InputError, match="lam must be above 0"):
        batches.log_determinant(x, 3, lam=0)
    with pytest.raises(InputError, match="rows must lie in 0..11"):
        batches.submodular_value(x, [12], "fl")
    with pytest.raises(InputError, match="RbfSimilarity"):
        batches.submodular_mutual_information(x, RbfSimilarity(x), 3)
    with pytest.raises(InputError, match="positive definite"):
        batches.log_determinant(GivenSimilarity(np.array([[0.0, 1.0], [1.0, 0.0]])), 2, lam=0.5)


@pytest.mark.parametrize("measure", ["logdetmi", "logdetcg", "logdetcmi"])
def test_a_ridge_below_rounding_is_an_error(measure):
    x = np.repeat(points("ridge")[:10], 4, axis=0)
    asked, avoided = x[:8], x[20:36]
    given_ = sets(measure, batches.CosineSimilarity(asked), batches.CosineSimilarity(avoided))
    with pytest.raises(InputError, match="take a larger lam"):
        maximise(batches.CosineSimilarity(x), 5, measure, lam=1e-18, **given_)


@pytest.mark.parametrize("measure", [*INFORMATION, *GAIN, *CONDITIONAL])
def test_tensors_of_two_types_go_together(measure):
    torch = pytest.importorskip("torch")
    x, rng = points("types"), generator(3)
    p = rng.dirichlet(np.ones(3), size=len(x))

    def rows(kind):
        def gradients(s, dtype):
            return GradientSimilarity(kind(p[s]), kind(x[s].astype(dtype)))

        asked, avoided = gradients(slice(0, 6), "float64"), gradients(slice(6, 12), "float64")
        return maximise(gradients(slice(None), "float32"), 6, measure, **sets(measure, asked, avoided))

    assert_array_equal(rows(torch.from_numpy), rows(np.asarray))


def test_rbf_similarity_is_the_same_far_from_zero():
    x = generator(0, "tests", "rbf").integers(-30, 30, size=(60, 5)).astype(np.float32)
    assert_array_equal(
        batches.facility_location(RbfSimilarity(x + 2**14), 9), batches.facility_location(RbfSimilarity(x), 9)
    )
