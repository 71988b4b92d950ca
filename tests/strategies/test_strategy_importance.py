"""Weights in training as strategies: the ablation PseudoScore, and the oracle that cheats and says so."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from functional.golden_numbers import cases
from labelwise import selection
from labelwise.bench.names import strategy_label
from labelwise.bench.run import run
from labelwise.bench.spec import read_spec
from labelwise.describing import describe
from labelwise.errors import DistributionError, InputError, ShapeError
from labelwise.functional.importance import el2n, grand
from labelwise.project.folder import fair_strategy
from labelwise.project.new import Wish, new
from labelwise.seeds import generator
from labelwise.strategies import TABLE, make
from labelwise.strategies.base import Strategy
from labelwise.strategies.cheating import cheats, told


def arrays(n=40, classes=3, width=4):
    rng = generator(0, "tests", "importance")
    probs = rng.dirichlet(np.ones(classes), n)
    return {"probs": probs, "embeddings": rng.normal(size=(n, width))}, rng.integers(classes, size=n)


def test_pseudo_score_by_hand():
    # two classes, guess 0 with 3/4: EL2N = √2 / 4; -ln ¾ = 0.2877, β = 0.2877 - ln 2 = -0.4055, σ* = exp(0.2640)
    found = selection.proposal("pseudo-score", {"probs": [[0.75, 0.25], [0.5, 0.5], [1.0, 0.0]]}, 3)
    assert_allclose(found.scores, [np.sqrt(2) / 4 * 1.3021, np.sqrt(0.5), 0], atol=1e-4)
    assert found.rows.tolist() == [1, 0, 2]
    alone = selection.proposal("pseudo-score", {"probs": [[0.75, 0.25], [0.5, 0.5]]}, 1, lam=None)
    assert_allclose(alone.scores, [np.sqrt(2) / 4, np.sqrt(0.5)])


def test_pseudo_score_equals_the_golden_product_where_the_guess_is_the_label():
    numbers = cases("superloss")["logits"]
    z, y = numbers["in"]["logits"], numbers["in"]["labels"]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    right = (p.argmax(axis=1) == y) & ((p == p.max(axis=1, keepdims=True)).sum(axis=1) == 1)
    assert right.sum() >= 2
    for lam in numbers["in"]["lam"]:
        got = selection.proposal("pseudo-score", {"probs": p}, 1, lam=float(lam)).scores
        wanted = numbers["out"][f"score_sigma_times_el2n_lam{lam}"]
        assert_allclose(got[right], wanted[right], rtol=0, atol=1e-9)


@pytest.mark.parametrize("lam", [0, -1.0, float("inf"), float("nan"), True])
def test_a_wrong_lambda_is_refused(lam):
    with pytest.raises(InputError, match="lam must be finite and above 0, or None"):
        make("pseudo-score", lam=lam)


def test_the_oracle_asks_for_the_largest_gradients():
    given, y = arrays()
    found = selection.proposal("grand-oracle", given, 40, truth=y)
    assert_allclose(found.scores, grand(given["probs"], given["embeddings"], y))
    assert (np.diff(found.scores[found.rows]) <= 0).all()
    without = selection.proposal("grand-oracle", given, 5, truth=y, bias=False)
    assert_allclose(without.scores, el2n(given["probs"], y) * np.linalg.norm(given["embeddings"], axis=1))


@pytest.mark.parametrize("n", [1, 3, 8, 20, 40])
def test_the_balanced_oracle_takes_the_best_of_each_class(n):
    given, y = arrays()
    y[:36] = np.where(y[:36] == 2, 1, y[:36])  # class 2 is left with few
    found = selection.proposal("grand-oracle", given, n, truth=y, balanced=True)
    scores = found.scores
    assert_allclose(scores, selection.proposal("grand-oracle", given, n, truth=y).scores)
    wanted = {
        int(i) for k in range(3) for i in sorted(np.flatnonzero(y == k), key=lambda i: -scores[i])[: n // 3]
    }
    left = sorted(set(range(40)) - wanted, key=lambda i: -scores[i])
    wanted |= set(left[: n - len(wanted)])
    assert set(found.rows.tolist()) == wanted and len(found.rows) == n


def test_truth_is_looked_up_by_id():
    given, y = arrays()
    wanted = selection.select("grand-oracle", given, 9, truth=y)
    ids = np.arange(40) * 3 + 100
    spread = np.zeros(300, np.int64)
    spread[ids] = y
    for truth in (spread, dict(zip(ids.tolist(), y.tolist(), strict=True))):
        assert_array_equal(selection.select("grand-oracle", {**given, "ids": ids}, 9, truth=truth), wanted)


@pytest.mark.parametrize("label", ["cat", 0.5, None])
def test_truth_must_be_class_indices(label):
    given, y = arrays()
    truth = {**dict(enumerate(y.tolist())), 7: label}
    with pytest.raises(InputError, match="truth must"):
        selection.select("grand-oracle", given, 9, truth=truth)


def test_without_truth_it_can_be_listed_and_not_used():
    given, y = arrays()
    assert make("grand-oracle").needs.pool == {"probs", "embeddings"}
    with pytest.raises(InputError, match="grand-oracle needs the pool's true labels: give truth=y"):
        selection.select("grand-oracle", given, 3)
    with pytest.raises(InputError, match="truth has no label for sample 39"):
        selection.select("grand-oracle", given, 3, truth=y[:39])
    with pytest.raises(InputError, match="truth has no label for sample 0"):
        selection.select("grand-oracle", given, 3, truth={1: 0})
    with pytest.raises(InputError, match="truth: row 4 is label 7; with 3 classes"):
        selection.select("grand-oracle", given, 3, truth=np.where(np.arange(40) == 4, 7, y))
    with pytest.raises(ShapeError, match="truth"):
        selection.select("grand-oracle", given, 3, truth=given["probs"])
    given["probs"][5] = [0.5, 0.5, 0.5]
    with pytest.raises(DistributionError, match="probs: row 5 is no distribution"):
        selection.select("grand-oracle", given, 3, truth=y)


def test_the_truth_is_no_part_of_what_it_is():
    known, unknown = make("grand-oracle", truth=np.arange(9)), make("grand-oracle")
    assert known == unknown
    assert repr(known) == repr(unknown) == "GrandOracle(bias=True, balanced=False)"
    assert describe(known) == describe(unknown)
    assert "truth" not in describe(known)


@dataclass(frozen=True)
class Nested(Strategy):
    first: Strategy
    rest: tuple[Strategy, ...] = ()

    inner: ClassVar[tuple[str, ...]] = ("first", "rest")

    def propose(self, view, n, rng):
        return self.first.propose(view, n, rng)


def test_exactly_one_strategy_of_the_table_cheats():
    assert [name for name in TABLE if cheats(make(name))] == ["grand-oracle"]


def test_a_cheat_within_a_strategy_is_found_and_told():
    y = np.arange(5)
    fair = Nested(make("margin"), (make("entropy"),))
    assert not cheats(fair)
    assert told(fair, y) is fair
    outer = Nested(make("margin"), (make("random"), Nested(make("grand-oracle", bias=False))))
    assert cheats(outer)
    inside = told(outer, y).rest[1].first
    assert inside.truth is y
    assert inside.bias is False
    assert told(outer, y) == outer
    assert cheats(make("mixed", then="grand-oracle"))
    assert told(make("mixed", then="grand-oracle"), y).then.truth is y


def test_campaigns_with_people_refuse_it():
    assert fair_strategy({"name": "margin"}) == make("margin")
    for named in ({"name": "grand-oracle"}, {"name": "mixed", "then": {"name": "grand-oracle"}}):
        with pytest.raises(
            InputError, match=f"{named['name']} cheats: it knows the labels that people are asked"
        ):
            fair_strategy(named)


def test_a_new_project_refuses_it_before_it_reads_a_sample(tmp_path):
    wish = Wish(images=tmp_path / "nowhere", classes=("robin", "wren"), strategy="grand-oracle")
    with pytest.raises(InputError, match="grand-oracle cheats"):
        new(tmp_path / "project", wish)
    assert not (tmp_path / "project").exists()


def test_reports_mark_it():
    assert strategy_label({"strategy": {"name": "margin"}}) == "margin"
    assert strategy_label({"strategy": {"name": "power-bald", "beta": 2.0}}) == "power-bald (beta 2)"
    mark = "cheats: knows the pool's labels"
    assert strategy_label({"strategy": {"name": "grand-oracle"}}) == f"grand-oracle ({mark})"
    label = strategy_label({"strategy": {"name": "grand-oracle", "bias": False}})
    assert label == f"grand-oracle (bias False; {mark})"
    assert strategy_label({"strategy": {"name": "of-another-version", "a": 1}}) == "of-another-version (a 1)"


@pytest.mark.slow
def test_a_simulation_tells_it_the_truth(tmp_path):
    spec = read_spec(
        {
            "task": {"name": "digits"},
            "recipe": {"name": "mlp", "epochs": 2},
            "strategy": {"name": "grand-oracle"},
            "plan": {"start": 20, "batch": 10, "budget": 40},
        }
    )
    made = run(spec, tmp_path)
    assert made.finished
    scores = made.state.asks[-1].scores
    assert len(scores) == 10
    assert list(scores) == sorted(scores, reverse=True)
    assert run(spec, tmp_path).finished  # opened again: the description is the same
