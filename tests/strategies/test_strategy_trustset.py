"""BRAL-T: whom it asks for where the network's answer is known, agents that are kept, options, and bad input."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fake
from labelwise import selection
from labelwise.campaign import Campaign, Plan
from labelwise.errors import InputError, ShapeError, UnknownName
from labelwise.functional.importance import el2n, grand
from labelwise.functional.trust import second_set, trust_scores, trust_set
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.store.memory import MemoryStore
from labelwise.store.sql import SqlStore
from labelwise.strategies import make

pytest.importorskip("torch")
QUICK = {"pairs": 3, "steps": 2, "hidden": 8}


def rng(*path):
    return generator(0, "tests", "trustset", *path)


def arrays(n=40, labelled=24, classes=3, width=2, kind=np.float32):
    """Return the arrays of a pool and of labelled samples."""
    draws = rng(n, labelled)
    known = {
        "embeddings": draws.normal(size=(labelled, width)).astype(kind),
        "probs": draws.dirichlet(np.ones(classes), labelled),
        "y": draws.integers(classes, size=labelled),
    }
    return {"embeddings": draws.normal(size=(n, width)).astype(kind)}, known


def view(pool, known, classes=3, t=1):
    def part(given):
        return Signals(np.arange(1000, 1000 + len(given["embeddings"])), **given)

    return View(part(pool), part(known), Signals(np.empty(0, np.int64)), classes, round=t)


def propose(given, n=8, classes=3, t=1, seed=0, **params):
    strategy = make("bral-t", **{**QUICK, **params})
    return strategy.propose(view(*given, classes, t), n, rng("propose", seed))


def select(given, n=8, **params):
    pool, known = given
    return selection.select("bral-t", pool, n, labelled=known, **{**QUICK, **params})


# -- whom it asks for --------------------------------------------------------------------------------------------------


def coordinate(at, width=12):
    """Return a kept agent whose network predicts one of its inputs: relu(x) - relu(-x)."""
    first = np.zeros((2, width))
    first[:, at] = [1, -1]
    weights = (first, np.zeros(2), np.eye(2), np.zeros(2), np.array([[1, -1]]), np.zeros(1))
    network = {
        **{f"weight {i}": w.astype(np.float32) for i, w in enumerate(weights)},
        "mean": np.zeros(width, np.float32),
        "spread": np.ones(width, np.float32),
        "reward mean": 0.0,
        "reward spread": 1.0,
    }
    return {"stage": 1, "width": width, "network": network}


def asked(pool, at, n, seed=0, width=12, **params):
    """Return the proposal of a network that predicts input `at`; D = 2: the action's mean is input 8 and 9."""
    strategy = make("bral-t", reuse=(0,), hidden=2, **params)
    strategy.load_state_dict(coordinate(at, width))
    return strategy.propose(view({"embeddings": pool}, arrays()[1]), n, rng("ask", seed))


def grid():
    """Return 2 rows of 3 places, 100 apart and 10 apart within a row, 4 samples at each, shuffled; and x, y of each."""
    x, y = np.meshgrid([0.0, 10, 20], [0.0, 100])
    places = np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), 4, axis=0)[rng("grid").permutation(24)]
    return (places + rng("noise").normal(scale=0.1, size=places.shape)).astype(np.float32), places


@pytest.mark.parametrize("seed", range(4))
def test_cells_are_asked_for_from_the_highest_prediction_down(seed):
    pool, places = grid()
    found = asked(pool, 8, 10, seed, clusters=1, actions=6, scope="global")  # predicts x of the cell
    assert [x for x, _ in places[found.rows]] == [20.0] * 8 + [
        10.0
    ] * 2  # noise says which row of places is first
    assert len(set(found.rows.tolist())) == 10
    assert len({tuple(p) for p in places[found.rows[:4]]}) == 1  # one cell, then the other
    low = asked(-pool, 8, 5, seed, clusters=1, actions=6, scope="global")
    assert [x for x, _ in places[low.rows]] == [0.0] * 5


@pytest.mark.parametrize("seed", range(4))
def test_each_cluster_has_its_share(seed):
    pool, places = grid()
    found = asked(pool, 8, 10, seed, clusters=2, actions=3)
    for y in (0, 100):
        assert sorted(x for x, at in places[found.rows] if at == y) == [10, 20, 20, 20, 20]
    assert [x for x, _ in places[found.rows]] == [20.0] * 8 + [10.0] * 2
    odd = asked(pool, 9, 7, seed, clusters=2, actions=3)  # predicts y: the upper cluster has the best cell
    assert [y for _, y in places[odd.rows]] == [100.0] * 4 + [0.0] * 3
    everywhere = asked(pool, 9, 7, seed, clusters=2, actions=3, scope="global")
    assert [y for _, y in places[everywhere.rows]] == [100.0] * 7


@pytest.mark.parametrize("at, width", [(4, 12), (0, 8)])
def test_the_state_comes_before_the_action(at, width):
    """Inputs 4 and 5 of a full state are the mean of the cell's cluster; 0 and 1 where it is the pool's alone."""
    pool, places = grid()
    swapped = np.ascontiguousarray(pool[:, ::-1])  # rows of places are now 100 apart along x
    for sign, wanted in ((1, 100.0), (-1, 0.0)):
        found = asked(
            sign * swapped,
            at,
            12,
            width=width,
            clusters=2,
            scope="global",
            state="full" if width == 12 else "pool",
        )
        assert {y for _, y in places[found.rows]} == {wanted}


def test_what_is_cut_off_is_drawn_or_farthest_from_the_mean():
    pool = rng("cut").normal(size=(30, 2)).astype(np.float32)
    away = np.linalg.norm(pool - pool.mean(axis=0), axis=1)
    found = asked(pool, 8, 7, clusters=1, actions=1, truncate="nearest")
    assert_array_equal(found.rows, np.argsort(away)[:7])
    drawn = {tuple(asked(pool, 8, 7, seed, clusters=1, actions=1).rows) for seed in range(5)}
    assert len(drawn) == 5
    assert tuple(found.rows) not in drawn


def test_with_nothing_to_rehearse_cells_come_in_a_random_order():
    pool, places = grid()
    for labelled in (0, 1):
        known = {name: array[:labelled] for name, array in arrays()[1].items()}
        firsts = set()
        for seed in range(12):
            found = make("bral-t", **QUICK, clusters=6, actions=1, scope="global").propose(
                view({"embeddings": pool}, known), 4, rng(seed)
            )
            assert len({tuple(p) for p in places[found.rows]}) == 1  # a whole cell
            firsts.add(tuple(places[found.rows[0]]))
            assert found.notes["rewards in the buffer"] == 0
            assert {cell["predicted reward"] for cell in found.notes["chosen"]} == {None}
        assert len(firsts) >= 4


def test_a_random_order_favours_no_large_cell():
    pool = np.array([[0.0, 0]] * 19 + [[9.0, 9]], np.float32)
    known = {name: array[:1] for name, array in arrays()[1].items()}
    lone = [
        propose(({"embeddings": pool}, known), 1, seed=s, clusters=2, actions=1).rows[0] == 19
        for s in range(40)
    ]
    assert 10 < sum(lone) < 30


def test_it_finds_the_like_of_the_trust_set():
    """Doubtful labelled samples lie around one place: cells of the pool near it are asked for."""
    draws = rng("alike")
    near = np.array([[0.0, 0], [6, 0], [0, 6], [6, 6]])
    home = np.repeat(np.arange(4), 30)
    x = (near[home] + draws.normal(size=(120, 2))).astype(np.float32)
    doubt = np.where(home == 2, 0.5, 0.02)  # EL2N is high at the third place alone
    y = draws.integers(2, size=120)
    probs = np.stack([np.where(y == 0, 1 - doubt, doubt), np.where(y == 0, doubt, 1 - doubt)], axis=1)
    pool_home = np.repeat(np.arange(4), 40)
    pool = (near[pool_home] + draws.normal(size=(160, 2))).astype(np.float32)
    given = {"embeddings": pool}, {"embeddings": x, "probs": probs, "y": y}
    found = propose(
        given,
        20,
        2,
        pairs=30,
        steps=20,
        hidden=64,
        clusters=2,
        actions=4,
        scope="global",
        lr=0.05,
        size_factor=1.5,
    )
    assert np.mean(pool_home[found.rows] == 2) > 0.8
    assert found.notes["TrustSet"]["size"] == 30
    assert found.notes["reward correlation"] > 0.5


# -- the TrustSet ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params, wanted", [
    ({}, {}),
    ({"lam": 0.25, "tau": 0.5}, {"lam": 0.25, "tau": 0.5}),
    ({"curriculum": False}, {"lam": None}),
    ({"score": "grand", "lam": 0.25}, {"lam": 0.25, "embeddings": True}),
])  # fmt: skip
def test_scores_are_those_of_the_options(params, wanted):
    given = arrays()
    known = given[1]
    if "embeddings" in wanted:
        wanted = {**wanted, "embeddings": known["embeddings"]}
    strategy = make("bral-t", **params)
    found = strategy.scores(view(*given), known["y"])
    assert_array_equal(found, trust_scores(known["probs"], known["y"], **wanted))
    if params == {"curriculum": False}:
        assert_allclose(found, el2n(known["probs"], known["y"]))
        both = make("bral-t", curriculum=False, score="grand").scores(view(*given), known["y"])
        assert_allclose(both, grand(known["probs"], known["embeddings"], known["y"]))


@pytest.mark.parametrize("target, choose", [("trust-set", trust_set), ("diff-set", second_set)])
@pytest.mark.parametrize("factor, size", [(1, 6), (2, 12), (0.3, 2), (1e-9, 1)])
def test_the_target_has_as_many_places_as_the_batch(target, choose, factor, size):
    y, scores = rng("y").integers(3, size=40), rng("scores").random(40)
    mask = make("bral-t", target=target, size_factor=factor).trusted(scores, y, 3, 6)
    assert_array_equal(np.flatnonzero(mask), np.sort(choose(scores, y, 3, size)))


def test_the_first_set_stands_in_where_there_is_no_second():
    scores, y = np.array([0.5, 0.1]), np.array([0, 1])
    assert make("bral-t", target="diff-set").trusted(scores, y, 2, 4).all()


def test_notes_tell_whom_it_trusts_and_what_it_chose():
    given = arrays()
    found = propose(given, 8)
    known, notes = given[1], found.notes
    assert json.loads(json.dumps(notes)) == notes
    scores = trust_scores(known["probs"], known["y"])
    best = trust_set(scores, known["y"], 3, 8)
    best = best[np.argsort(-scores[best])]
    assert notes["TrustSet"]["ids"] == (1000 + best).tolist()
    assert notes["TrustSet"]["scores"] == np.round(scores[best], 4).tolist()
    assert notes["TrustSet"]["classes"] == np.bincount(known["y"][best], minlength=3).tolist()
    assert notes["rewards in the buffer"] > 0 and notes["error of the reward network"] > 0
    assert set(notes["seconds"]) == {"trust set", "rehearsals", "network", "selection"}
    assert 1 <= notes["cells"] <= 15
    start = 0
    for cell in notes["chosen"]:
        ids = found.rows[start : start + cell["taken"]] + 1000
        assert cell["ids"] == ids[:4].tolist()
        start += cell["taken"]
        assert 0 < cell["taken"] <= cell["samples"]
    assert start == 8
    predicted = [cell["predicted reward"] for cell in notes["chosen"]]
    assert predicted == sorted(predicted, reverse=True)


# -- agents that are kept ----------------------------------------------------------------------------------------------


def test_an_agent_is_kept_until_the_next_round_of_the_list():
    given = arrays()
    strategy = make("bral-t", reuse=(5, 2), **QUICK)
    assert strategy.reuse == (2, 5)
    trained, agents = [], []
    for t in range(8):
        found = strategy.propose(view(*given, t=t), 8, rng("round", t))
        trained.append(found.notes["rewards in the buffer"] > 0)
        agents.append(strategy.state_dict()["network"]["weight 0"])
    assert trained == [True, False, True, False, False, True, False, False]
    for t in range(1, 8):
        assert (agents[t] == agents[t - 1]).all() == (not trained[t])


def test_without_a_list_every_round_has_a_new_agent():
    strategy = make("bral-t", **QUICK)
    for t in range(3):
        found = strategy.propose(view(*arrays(), t=t), 8, rng("round", t))
        assert found.notes["rewards in the buffer"] > 0
        assert strategy.state_dict() == {}


def test_an_agent_of_another_width_is_not_kept():
    strategy = make("bral-t", reuse=(0,), **QUICK)
    strategy.propose(view(*arrays()), 8, rng())
    found = strategy.propose(view(*arrays(width=5)), 8, rng())
    assert found.notes["rewards in the buffer"] > 0


def test_an_agent_asks_the_same_after_a_restart():
    given = arrays()
    one, two = (make("bral-t", reuse=(0,), **QUICK) for _ in range(2))
    one.propose(view(*given), 8, rng("first"))
    two.load_state_dict(one.state_dict())
    assert two == one and repr(two) == repr(one)  # what it learnt is no part of what it is
    found = [s.propose(view(*given, t=3), 8, rng("later")) for s in (one, two)]
    assert_array_equal(found[0].rows, found[1].rows)
    assert found[0].notes["chosen"] == found[1].notes["chosen"]


def test_law_r_a_campaign_with_kept_agents_asks_the_same_when_reopened(tmp_path):
    plan = Plan(seed=3, start=9, batch=4, budget=29)
    oracle = SimulatedOracle(fake.truth(), 3)

    def campaign(store):
        return Campaign(fake.task(), fake.FakeRecipe(), make("bral-t", reuse=(2, 4), **QUICK), store, plan)

    whole = campaign(MemoryStore())
    while ids := whole.ask():
        whole.tell(oracle.answer(ids))
    for _ in range(100):
        store = SqlStore(tmp_path / "campaign.db")
        again = campaign(store)
        ids = again.ask()
        again.tell(oracle.answer(ids[:3]))
        asks = again.state.asks
        store.close()
        if not ids:
            break
    assert [a.ids for a in asks] == [a.ids for a in whole.state.asks]
    assert [a.notes["rewards in the buffer"] > 0 for a in asks[1:]] == [True, True, False, True, False]


# -- options and bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [
    {"distance": "sliced"}, {"distance": "gaussian"}, {"state": "pool"}, {"scope": "global"}, {"target": "diff-set"},
    {"curriculum": False}, {"score": "grand"}, {"truncate": "nearest"}, {"standardise": False}, {"clusters": 1},
    {"clusters": 1, "labelled_clusters": 1, "actions": 1}, {"clusters": 500}, {"actions": 500}, {"prefilter": 1},
    {"labelled_clusters": 500}, {"labelled_share": 0}, {"labelled_share": 1.0}, {"most_points": 1}, {"replay": 1},
    {"nearest_points": 1},
    {"size_factor": 1e9}, {"tau": -3.0}, {"lam": 1e-6}, {"reuse": [7]}, {"device": "auto"}, {"pairs": 1, "steps": 1},
])  # fmt: skip
def test_every_option_proposes_a_batch(params):
    for n in (1, 8, 99):
        rows = select(arrays(), n, **params)
        assert len(set(rows.tolist())) == rows.size == min(n, 40)


def test_the_options_matter():
    found = [
        str(propose(arrays(), **{"pairs": 4, "steps": 20, **params}).notes["chosen"])
        for params in ({}, {"distance": "gaussian"}, {"state": "pool"}, {"scope": "global"}, {"clusters": 2},
                       {"labelled_clusters": 1}, {"actions": 2}, {"labelled_share": 0.5}, {"standardise": False},
                       {"pairs": 5}, {"steps": 40}, {"replay": 2}, {"lr": 0.2}, {"hidden": 9}, {"most_points": 2},
                       {"nearest_points": 1},
                       {"target": "diff-set"}, {"size_factor": 2}, {"curriculum": False})
    ]  # fmt: skip
    assert len(set(found)) == len(found)


def odd(change):
    """Return the arrays after a change."""
    given = arrays()
    change(*given)
    return given


def fill(column, value):
    def change(pool, known):
        pool["embeddings"][:, column] = known["embeddings"][:, column] = value

    return change


@pytest.mark.parametrize("given", [
    pytest.param(odd(lambda pool, known: known["y"].fill(1)), id="one class of three labelled"),
    pytest.param(odd(lambda pool, known: known["y"].__setitem__(slice(1, None), 2)), id="a class with one sample"),
    pytest.param(arrays(classes=1), id="one class"),
    pytest.param(arrays(classes=30), id="fewer labelled than clusters"),
    pytest.param(arrays(labelled=1), id="one labelled"),
    pytest.param(arrays(labelled=2), id="two labelled"),
    pytest.param(arrays(labelled=3), id="three labelled"),
    pytest.param(odd(fill(slice(None), 3)), id="identical embeddings"),
    pytest.param(odd(fill(slice(None), 0.1)), id="identical embeddings with rounding"),
    pytest.param(odd(fill(1, 7)), id="a dimension without variance"),
    pytest.param(arrays(width=1), id="width 1"),
    pytest.param(arrays(kind=np.float16), id="float16"),
    pytest.param(arrays(kind=np.float64), id="float64"),
    pytest.param(odd(lambda pool, known: [part.update(embeddings=part["embeddings"] * np.float32(1e18)) for part in (pool, known)]), id="huge"),
    pytest.param(odd(lambda pool, known: [part.update(embeddings=part["embeddings"] * np.float32(1e-30)) for part in (pool, known)]), id="tiny"),
    pytest.param(odd(lambda pool, known: [part.update(embeddings=(part["embeddings"] * 9).astype(int)) for part in (pool, known)]), id="whole numbers"),
    pytest.param(odd(lambda pool, known: known.update(probs=np.eye(3)[known["y"]])), id="all learnt"),
    pytest.param(odd(lambda pool, known: known.update(probs=np.eye(3)[(known["y"] + 1) % 3])), id="all ruled out"),
    pytest.param(odd(lambda pool, known: pool.update(embeddings=pool["embeddings"][:1])), id="a pool of one"),
])  # fmt: skip
@pytest.mark.parametrize("params", [{}, {"target": "diff-set", "scope": "global"}, {"distance": "sliced"}])
def test_odd_data_makes_a_batch(given, params):
    pool = len(given[0]["embeddings"])
    for n in (3, 50):
        rows = select(given, n, **params)
        assert len(set(rows.tolist())) == rows.size == min(n, pool)


def test_nobody_labelled():
    pool, known = arrays()
    rows = select((pool, {name: array[:0] for name, array in known.items()}), 5)
    assert len(set(rows.tolist())) == 5


def test_samples_that_are_not_finite_are_left_out_or_named():
    pool, known = arrays()
    pool["embeddings"][[3, 7]] = np.nan
    known["embeddings"][5, 1] = np.inf
    with pytest.raises(InputError, match=r"embeddings of the (pool|labelled) samples: row [35] "):
        select((pool, known))
    found = selection.proposal("bral-t", pool, 50, labelled=known, on_bad_sample="quarantine", **QUICK)
    assert sorted(found.rows.tolist()) == [i for i in range(40) if i not in (3, 7)]
    assert found.notes["quarantined ids, labelled"] == [5]
    for part, row, who in ((known, 5, "embeddings of the labelled samples"), (pool, 3, "x")):
        with pytest.raises(
            InputError, match=f"{who}: row {row} has no finite norm"
        ):  # by itself it names them, too
            propose((pool, known))
        part["embeddings"][~np.isfinite(part["embeddings"])] = 0
    assert propose((pool, known)).rows.size == 8


def test_what_cannot_be_read_is_said():
    pool, known = arrays()
    large = {**known, "embeddings": known["embeddings"].copy()}
    large["embeddings"][4] = 1e19  # finite, but not its square
    with pytest.raises(InputError, match="embeddings of the labelled samples: row 4 has no finite norm"):
        select((pool, large))
    far = tuple({**part, "embeddings": part["embeddings"] * 1e25} for part in arrays(kind=np.float64))
    with pytest.raises(InputError, match="embeddings are too large: their variance is above 3e38"):
        select(far)
    with pytest.raises(ShapeError, match=r"embeddings of the labelled samples must have shape \(n, D=2\)"):
        select((pool, arrays(width=5)[1]))
    with pytest.raises(ShapeError, match="embeddings of the pool samples must have at least one column"):
        select(tuple({**part, "embeddings": part["embeddings"][:, :0]} for part in (pool, known)))
    with pytest.raises(InputError, match="row 2 is label 3; with 3 classes"):
        propose((pool, {**known, "y": np.where(np.arange(24) == 2, 3, known["y"])}))
    with pytest.raises(InputError, match="probs: row 0 is no distribution"):
        select((pool, {**known, "probs": known["probs"] + 0.1}))
    with pytest.raises(InputError, match=r"not finite: .* Lower lr \(1e\+09\), or let standardise be True"):
        select((pool, known), lr=1e9)


@pytest.mark.parametrize("params, words", [
    ({"clusters": 0}, "clusters must be a whole number of at least 1; it is 0"),
    ({"labelled_clusters": 1.5}, "labelled_clusters must be a whole number of at least 1; it is 1.5"),
    *(({name: 0}, f"{name} must be a whole number of at least 1; it is 0")
      for name in ("actions", "pairs", "steps", "replay", "hidden", "prefilter", "most_points", "nearest_points")),
    *(({name: 0}, f"{name} must be above 0; it is 0") for name in ("size_factor", "lam", "lr")),
    *(({name: value}, f"{name} must be a number") for name in ("size_factor", "lam", "lr", "tau")
      for value in (np.nan, np.inf, "x", True)),
    ({"labelled_share": 1.5}, "labelled_share must be a number from 0 to 1; it is 1.5"),
    ({"labelled_share": -0.1}, "labelled_share must be a number from 0 to 1; it is -0.1"),
    *(({"reuse": (rounds,)}, "a round of reuse must be a whole number of at least 0") for rounds in (-1, 1.5, True, "1")),
    *(({"reuse": rounds}, "reuse must list rounds, such as") for rounds in (5, None, "12")),
    ({"device": "bogus"}, "device 'bogus' cannot be used"),
])  # fmt: skip
def test_wrong_numbers_are_refused(params, words):
    with pytest.raises(InputError, match=words):
        select(arrays(), **params)


@pytest.mark.parametrize("params, words", [
    ({"score": "el2"}, "No score is named 'el2'. Did you mean 'el2n'"),
    ({"target": "diffset"}, "Did you mean 'diff-set'"),
    ({"distance": "emd"}, "Known: exact, gaussian, sliced"),
    ({"scope": "cluster"}, "Known: global, per-cluster"),
    ({"truncate": "far"}, "Known: nearest, random"),
    ({"state": "none"}, "Known: full, pool"),
])  # fmt: skip
def test_unknown_names_are_refused(params, words):
    with pytest.raises(UnknownName, match=words):
        make("bral-t", **params)
