"""BRAL-T and bral-t-plus where there is no pool, no label, or a reward that counts for more than numbers hold."""

import numpy as np
import pytest

from labelwise.errors import InputError, ShapeError
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.strategies import make

QUICK = {"pairs": 3, "steps": 3, "hidden": 8}


def round_of(n=60, labelled=30, classes=3, width=4, labelled_width=4):
    rng = generator(0, "tests", "trustset", "edges")

    def part(first, size, width, **more):
        p = rng.dirichlet(np.ones(classes), size)
        return Signals(
            np.arange(first, first + size), probs=p, embeddings=rng.normal(size=(size, width)), **more
        )

    known = part(0, labelled, labelled_width, y=rng.integers(0, classes, labelled))
    empty = Signals(np.empty(0, np.int64))
    return View(part(1000, n, width), known, empty, classes, tuple("abc"), 1)


@pytest.mark.parametrize(
    "name,params",
    [("bral-t", {}), ("bral-t-plus", {"reward": 0.3, "evenness": 2.0, "least_correlation": -1.0})],
)
def test_of_no_pool_nothing_is_asked(name, params):
    found = make(name, **QUICK, **params).propose(round_of(n=0), 5, generator(1))
    assert found.rows.tolist() == []


@pytest.mark.parametrize("reward", [0.3, 5000.0])
def test_a_learned_reward_of_any_weight_leaves_scores_finite(reward):
    params = {"evenness": 2.0, "least_correlation": -1.0, "reward": reward}
    found = make("bral-t-plus", **QUICK, **params).propose(round_of(), 8, generator(1))
    plain = make("bral-t-plus", evenness=2.0).propose(round_of(), 8, generator(1))
    assert found.notes["reward used"] is True
    assert len(set(found.rows.tolist())) == 8
    assert np.isfinite(found.scores).all()
    assert (found.scores <= plain.scores).all() and found.scores.max() > 0


def test_a_reward_that_is_no_number_and_embeddings_of_two_widths_are_refused():
    params = {"evenness": 2.0, "least_correlation": -1.0, "reward": 0.3}
    strategy = make("bral-t-plus", **QUICK, **params)
    with pytest.raises(ShapeError, match="labelled samples"):
        strategy.propose(round_of(labelled_width=5), 8, generator(1))
    network, _ = strategy._network(
        round_of(), np.ones((4, 2)), np.ones(4, bool), strategy.layout(3), generator(1)
    )
    network.weights[-1].fill_(np.nan)
    cells = type("Cells", (), {"inputs": lambda self: np.ones((3, 12), np.float32)})()
    with pytest.raises(InputError, match="Lower lr"):
        strategy._predicted(network, cells)


def test_a_round_without_labels_is_not_taken_for_the_first_labels():
    strategy = make("bral-t-plus", evenness=2.0)
    assert strategy.propose(round_of(labelled=0), 5, generator(1)).notes["even first labels, p"] == 1.0
    assert strategy.state_dict() == {}
    strategy.propose(round_of(), 5, generator(1))
    assert 0 < strategy.state_dict()["first"] < 1


@pytest.mark.parametrize("truncate,reads", [("random", False), ("nearest", True)])
def test_embeddings_of_chosen_cells_are_read_only_where_they_matter(truncate, reads):
    class Counted(np.ndarray):
        read = 0

        def __getitem__(self, key):
            Counted.read += 1
            return super().__getitem__(key)

    pool = np.arange(12.0).reshape(6, 2).view(Counted)
    order = make("bral-t", truncate=truncate)._order(pool, np.array([0, 3, 5]), generator(1))
    assert sorted(order.tolist()) == [0, 1, 2]
    assert (Counted.read > 0) is reads


def test_a_kept_agent_is_judged_by_the_rehearsals_that_trained_it():
    params = {"evenness": 2.0, "reward": 0.3, "reuse": (0,), **QUICK}
    willing = make("bral-t-plus", least_correlation=-1.0, **params)
    notes = [willing.propose(round_of(), 8, generator(seed)).notes for seed in (1, 2)]
    assert [n["reward used"] for n in notes] == [True, True]
    assert notes[0]["reward correlation"] is not None and notes[1]["reward correlation"] is None
    again = make("bral-t-plus", least_correlation=-1.0, **params)
    again.load_state_dict(willing.state_dict())
    assert again.propose(round_of(), 8, generator(2)).notes["reward used"] is True
    strict = make("bral-t-plus", least_correlation=1.0, **params)
    assert [strict.propose(round_of(), 8, generator(seed)).notes["reward used"] for seed in (1, 2)] == [
        False
    ] * 2
