"""GALAXY: the authors' queries, paths found by breadth-first search, and what happens where there is none."""

import numpy as np
import pytest
from golden_numbers import cases
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.batches import galaxy, graphs
from labelwise.functional.batches.graphs import line, midpoints
from labelwise.seeds import generator

GOLDEN = cases("galaxy")


def split(case):
    given_ = GOLDEN[case]["in"]
    known = given_["labelled"]
    pool = np.setdiff1d(np.arange(len(given_["probs"])), known)
    labelled = {"labelled_probs": given_["probs"][known], "labelled_y": given_["labels"][known]}
    return pool, given_["probs"][pool], given_["labels"][pool], labelled


@pytest.mark.parametrize("case", sorted(GOLDEN))
def test_golden_lines(case):
    p = GOLDEN[case]["in"]["probs"]
    wanted = GOLDEN[case]["out"]["graph_order"]
    classes = range(p.shape[1]) if wanted.ndim == 2 else [int(GOLDEN[case]["in"]["class_index"])]
    assert_array_equal([line(p[:, c], p.max(axis=1)) for c in classes], np.atleast_2d(wanted))


def test_golden_queries_where_each_label_is_revealed_at_once():
    pool, p, y, labelled = split("main")
    asked = []

    def reveal(row):
        asked.append(row)
        return y[row]

    rows = galaxy(p, 14, **labelled, reveal=reveal)
    assert_array_equal(pool[rows], GOLDEN["main"]["out"]["queries"])
    assert_array_equal(asked, rows)


def test_golden_query_by_hand():
    pool, p, _, labelled = split("hand12")
    c = int(GOLDEN["hand12"]["in"]["class_index"])
    assert_array_equal(pool[galaxy(p, 1, **labelled, first=c)], [GOLDEN["hand12"]["out"]["query"]])


def distances(signs, reach, start):
    """Edges from the nodes of sign `start` to every node, by breadth-first search over linked pairs."""
    far = np.where(signs == start, 0.0, np.inf)
    edge = 0
    while (far == edge).any():
        for i in np.flatnonzero(far == edge):
            for j in range(max(0, i - reach), min(len(signs), i + reach + 1)):
                if signs[i] * signs[j] != -1 and far[j] > edge + 1:
                    far[j] = edge + 1
        edge += 1
    return far


@given(
    signs=hnp.arrays(np.int64, st.integers(1, 24), elements=st.sampled_from([0, 0, 0, 0, 1, -1])),
    reach=st.integers(1, 4),
)
def test_midpoints_halve_the_shortest_paths(signs, reach):
    found = midpoints(signs, reach)
    of, out = distances(signs, reach, 1), distances(signs, reach, -1)
    free = signs == 0
    length = (of + out)[free].min(initial=np.inf)
    assert (signs[found] == 0).all()
    if not np.isfinite(length):
        assert not found.size
        return
    assert found.size
    assert_array_equal((of + out)[found], np.full(found.size, length))
    assert_array_equal(out[found], np.full(found.size, (length + 1) // 2))
    if reach == 1 or length == 2:  # there is no other way to lay the hops: every midpoint is found
        halves = free & (out == (length + 1) // 2) & (of + out == length)
        assert_array_equal(np.unique(found), np.flatnonzero(halves))


def test_midpoints_by_hand():
    assert_array_equal(midpoints(np.array([-1, 0, 0, 0, 1]), 1), [2])
    assert_array_equal(
        midpoints(np.array([-1, 0, 0, 1]), 1), [2]
    )  # of two middles the one nearer to the class
    assert_array_equal(midpoints(np.array([1, 0, 0, -1]), 1), [1])
    assert_array_equal(midpoints(np.array([1, -1, 0]), 1), [])  # the edge between them is cut
    assert_array_equal(midpoints(np.array([1, -1, 0]), 2), [2])  # and the next one is linked to both
    assert_array_equal(midpoints(np.array([-1, 0, 1, 0, 0, -1]), 1), [1])  # the shortest of the shortest
    assert_array_equal(midpoints(np.array([1, 0, 1, 0]), 3), [])


def line_of(*p):
    return np.column_stack([1 - np.array(p), p])


def test_ties_between_paths_go_to_the_lowest_row():
    known = {"labelled_probs": line_of(0.1, 0.3, 0.5), "labelled_y": [0, 1, 0]}
    assert_array_equal(galaxy(line_of(0.2, 0.4), 1, **known, first=1), [0])
    assert_array_equal(galaxy(line_of(0.4, 0.2), 1, **known, first=1), [0])


def test_without_labels_revealed_the_predicted_one_stands_in():
    # Class 1's line, by p₁ - max p: 0.05 (0) 0.2 0.3 0.4 0.6 0.95 (1). Four between: the third, row 2, which is
    # predicted 0; then the line of class 0 has 0.6 alone between 0.4, taken for a 0, and 0.95.
    known = {"labelled_probs": line_of(0.05, 0.95), "labelled_y": [0, 1]}
    p = line_of(0.2, 0.3, 0.4, 0.6)
    assert_array_equal(galaxy(p, 2, **known, first=1), [2, 3])
    # Told that it is a 1, class 0 looks between 0.4 and 0.05 instead: 0.3 and 0.2, the latter nearer to the class.
    assert_array_equal(galaxy(p, 2, **known, first=1, reveal=lambda row: 1), [2, 0])


def test_where_all_that_differ_are_neighbours_wider_links_are_tried():
    known = {"labelled_probs": line_of(0.4, 0.6), "labelled_y": [0, 1]}
    assert_array_equal(galaxy(line_of(0.1, 0.2, 0.95, 0.7), 1, **known), [1])  # rows 1 and 3 are next to both


def test_a_class_that_nobody_belongs_to_is_passed_over():
    rng = generator(0, "tests", "galaxy", "absent")
    p = rng.dirichlet(np.ones(5), size=60)
    y = rng.integers(2, size=60) * 3  # classes 0 and 3 alone
    rows = galaxy(
        p[10:], 12, labelled_probs=p[:10], labelled_y=y[:10], reveal=lambda row: y[10 + row], first=1
    )
    two = galaxy(
        p[10:], 12, labelled_probs=p[:10], labelled_y=y[:10], reveal=lambda row: y[10 + row], first=3
    )
    assert_array_equal(rows, two)


def test_without_any_path_rows_are_drawn():
    p = line_of(*np.linspace(0, 1, 30))
    none = {"labelled_probs": p[:0], "labelled_y": np.empty(0, int)}
    assert_array_equal(galaxy(p, 3, **none, reveal=lambda row: 1), [0, 1, 2])
    drawn = [tuple(galaxy(p, 3, **none, reveal=lambda row: 1, rng=generator(s))) for s in range(20)]
    assert len(set(drawn)) > 15
    assert all(len(set(rows)) == 3 for rows in drawn)


def test_all_rows_are_asked_once():
    rng = generator(0, "tests", "galaxy", "all")
    p = rng.dirichlet(np.ones(3), size=40)
    p[20:30] = p[19]
    rows = galaxy(p[4:], 99, labelled_probs=p[:4], labelled_y=[0, 1, 2, 2], rng=rng)
    assert_array_equal(np.sort(rows), np.arange(36))


def test_wrong_arguments_are_refused_in_words():
    p = line_of(0.1, 0.2, 0.9)
    known = {"labelled_probs": p, "labelled_y": [0, 0, 1]}
    with pytest.raises(ShapeError, match=r"labelled_probs must have shape \(n, C=2\)"):
        galaxy(p, 1, labelled_probs=np.ones((2, 1)), labelled_y=[0, 0])
    with pytest.raises(ShapeError, match=r"labelled_y must have shape \(n=3\)"):
        galaxy(p, 1, labelled_probs=p, labelled_y=[0, 0])
    with pytest.raises(InputError, match="labelled_y: row 1 is label 2"):
        galaxy(p, 1, labelled_probs=p, labelled_y=[0, 2, 0])
    with pytest.raises(DistributionError, match="probs: row 2 is no distribution"):
        galaxy(p * [[1], [1], [2]], 1, **known)
    with pytest.raises(InputError, match="reveal must return a class from 0 to 1; of row 0 it returned 7"):
        galaxy(line_of(0.5), 1, **known, reveal=lambda row: 7)


def test_lines_that_are_not_kept_change_nothing(monkeypatch):
    rng = generator(0, "tests", "graphs", "kept")
    p, known = rng.dirichlet(np.ones(5), 60), rng.dirichlet(np.ones(5), 20)
    sorted_anew, sort = [], graphs.line

    def counted(probs, best):
        sorted_anew.append(len(probs))
        return sort(probs, best)

    monkeypatch.setattr(graphs, "line", counted)
    arguments = {"labelled_probs": known, "labelled_y": np.arange(20) % 5}
    rows = galaxy(p, 20, **arguments)
    assert len(sorted_anew) == 5
    monkeypatch.setattr(graphs, "KEPT_BYTES", 2 * 4 * 80)  # two lines
    sorted_anew.clear()
    assert_array_equal(galaxy(p, 20, **arguments), rows)
    assert len(sorted_anew) == 2 + 3 * 4


def test_links_widen_as_long_as_it_takes():
    # on the line: a sample of class 1, one of class 0, then rows 2, 1 and 0, farther and farther from the former
    p, known = np.array([0.3, 0.25, 0.2]), np.array([0.1, 0.15])
    p, known = (np.column_stack([x, 1 - x]) for x in (p, known))
    rows = galaxy(p, 3, labelled_probs=known, labelled_y=[1, 0], reveal=lambda row: 0)
    assert_array_equal(rows, [2, 1, 0])


def test_a_class_that_is_first_met_within_the_batch_counts_at_once():
    """One labelled class: two rows are taken in order, the second shows the other class, the third lies between both."""
    p1 = np.array([0.05, 0.95, 0.2, 0.35, 0.65, 0.8])
    rows = galaxy(
        np.column_stack([1 - p1, p1]), 3, labelled_probs=np.array([[1.0, 0.0]]), labelled_y=[0],
        reveal=lambda row: int(p1[row] > 0.5),
    )  # fmt: skip
    assert rows[:2].tolist() == [0, 1]
    assert rows[2] in (3, 4)  # of .2 .35 .65 .8, which lie between .05 and .95
