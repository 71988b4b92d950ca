"""Strategies that ask what a companion says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from functional.golden_numbers import cases
from labelwise import selection
from labelwise.errors import InputError, ShapeError
from labelwise.seeds import generator
from labelwise.strategies import make
from labelwise.strategies.companions import waal_cost


def test_loss_prediction_asks_as_the_golden_file():
    case = cases("learning_loss")["query"]
    rows = selection.select(
        "loss-prediction", {"scalars.predicted_loss": case["in"]["predicted"]}, int(case["in"]["k"])
    )
    assert_array_equal(rows, case["out"]["selected"])


def test_vaal_asks_as_the_golden_file():
    case = cases("vaal")["sample"]
    rows = selection.select("vaal", {"scalars.discriminator": case["in"]["score"]}, int(case["in"]["k"]))
    assert_array_equal(rows, case["out"]["positions"])
    assert_array_equal(case["in"]["pool_ids"][rows], case["out"]["selected"])
    # the published slip asks for the other end
    assert not set(rows) & set(case["out"]["deepal_plus_selected_positions"])


def test_waal_costs_and_asks_as_the_golden_file():
    case = cases("waal")["score"]
    given, out = case["in"], case["out"]
    uncertainty = waal_cost(given["probs"], np.zeros(len(given["probs"])))
    assert_allclose(uncertainty, out["uncertainty"], atol=1e-9, rtol=0)
    assert_allclose(out["l2_upper"] / 2 + out["l1_upper"] / 2, out["uncertainty"], atol=1e-9, rtol=0)
    total = waal_cost(given["probs"], given["critic"], float(given["selection"]))
    assert_allclose(total, out["total"], atol=1e-9, rtol=0)
    signals = {"probs": given["probs"], "scalars.critic": given["critic"]}
    assert_array_equal(selection.select("waal", signals, int(given["k"])), out["selected"])
    assert_array_equal(selection.select("waal", signals, len(total)), out["order"])


def test_waal_cost_by_hand():
    # two classes, even: ln 1/2 twice; ‖.‖₂ = √2 ln 2, ‖.‖₁ = 2 ln 2; half of each, less 10 · 0.3
    cost = waal_cost([[0.5, 0.5]], [0.3])
    assert_allclose(cost, [(np.sqrt(2) + 2) * np.log(2) / 2 - 3])


def test_a_probability_of_zero_leaves_the_critic_a_say():
    p = np.array([[1.0, 0.0], [1.0, 0.0], [0.9, 0.1]])
    cost = waal_cost(p, [0.1, 0.8, 0.0])
    assert np.isfinite(cost).all()
    # -ln of the smallest normal float32 is 87.34, in both norms
    assert_allclose(cost[:2], [87.3365 - 1, 87.3365 - 8], rtol=1e-5)
    assert_array_equal(
        selection.select("waal", {"probs": p, "scalars.critic": [0.1, 0.8, 0.0]}, 3), [2, 1, 0]
    )


def test_blocks_change_no_cost():
    rng = generator(0, "tests", "waal")
    p, d = rng.dirichlet(np.ones(50), size=20_000), rng.uniform(size=20_000)  # three blocks
    rows = rng.integers(0, 20_000, 50)
    assert_array_equal(waal_cost(p, d)[rows], waal_cost(p[rows], d[rows]))


def test_the_critic_s_weight_decides():
    signals = {"probs": [[0.5, 0.5], [0.9, 0.1]], "scalars.critic": [0.0, 0.5]}
    # the cost of uncertainty is 1.18 and 2.36; 10 · 0.5 outweighs that, 1 · 0.5 does not
    assert selection.select("waal", signals, 1).tolist() == [1]
    assert selection.select("waal", signals, 1, weight=1.0).tolist() == [0]


@pytest.mark.parametrize(
    "name,signals,worst",
    [
        ("loss-prediction", {"scalars.predicted_loss": [1.0, 3.0, 2.0]}, [1, 2, 0]),
        ("vaal", {"scalars.discriminator": [0.2, 0.9, 0.1]}, [2, 0, 1]),
        ("vaal", {"scalars.discriminator": np.array([3, 5, 0], np.uint8)}, [2, 0, 1]),
    ],
)
def test_orders_by_hand(name, signals, worst):
    assert selection.select(name, signals, 3).tolist() == worst


def test_ties_are_broken_by_the_seed():
    picks = {
        tuple(selection.select("vaal", {"scalars.discriminator": np.zeros(50)}, 5, seed=s)) for s in range(20)
    }
    assert len(picks) == 20


def test_what_cannot_be_ranked_is_named():
    with pytest.raises(InputError, match="row 1"):
        selection.select("loss-prediction", {"scalars.predicted_loss": [0.0, np.nan]}, 1)
    with pytest.raises(InputError, match="critic: row 1 is NaN"):
        waal_cost([[0.5, 0.5]] * 2, [0.0, np.nan])
    with pytest.raises(ShapeError, match=r"critic must have shape \(n=2\)"):
        waal_cost([[0.5, 0.5]] * 2, [0.0])
    with pytest.raises(InputError, match="weight must be a finite number of at least 0; it is -1"):
        make("waal", weight=-1)
