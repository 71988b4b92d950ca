"""ActiveFT: its loss, its gradient and what Adam makes of them."""

import numpy as np
import pytest
from golden_numbers import cases
from numpy.testing import assert_allclose, assert_array_equal

from labelwise.errors import InputError, ShapeError
from labelwise.functional.batches.active_ft import active_ft, active_ft_loss, active_ft_parameters
from labelwise.functional.clusters import nearest_rows
from labelwise.seeds import generator

torch = pytest.importorskip("torch")
GOLDEN = cases("activeft")
X, THETA, START = (GOLDEN["main"]["in"][name] for name in ("features", "theta", "init_ids"))
kinds = pytest.mark.parametrize("kind", [np.asarray, torch.tensor], ids=["numpy", "torch"])


@kinds
@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("tau")])
def test_loss_and_gradient_equal_the_golden_file(name, kind):
    given_, out = GOLDEN[name]["in"], GOLDEN[name]["out"]
    found = active_ft_loss(
        kind(THETA), kind(X), temperature=float(given_["temperature"]), balance=float(given_["balance"])
    )
    assert_allclose(found.value, out["loss"], rtol=1e-12)
    assert_allclose(np.asarray(found.gradient), out["grad"], atol=1e-12)
    assert_array_equal(found.members, out["assignment"])


@kinds
@pytest.mark.parametrize("steps", [0, 3])
def test_adam_and_the_selection_equal_the_golden_file(steps, kind):
    out = GOLDEN[f"select_after_{steps}_steps"]["out"]
    moved = active_ft_parameters(kind(X), kind(THETA), steps=steps)
    assert_allclose(np.asarray(moved), out["theta"], atol=1e-10)
    places = moved / (moved**2).sum(1)[:, None] ** 0.5
    assert_array_equal(nearest_rows(kind(X), places), out["selected_per_theta"])
    assert_array_equal(
        active_ft(kind(X), 7, generator(0), steps=steps, start=START), START
    )  # few steps, no move


def test_loss_by_hand():
    # one parameter upon the only row: f·θ = θ·θ = 1, so -ln(e^{1/τ} / (e^{1/τ} + β e^{1/τ})) = ln(1 + β)
    found = active_ft_loss([[3.0, 4.0]], [[6.0, 8.0]], temperature=0.07, balance=0.5)
    assert found.value == pytest.approx(np.log(1.5))
    assert_allclose(found.gradient, 0, atol=1e-12)


def test_a_short_temperature_overflows_nothing():
    found = active_ft_loss(THETA, X, temperature=1e-4)
    assert np.isfinite(found.value) and np.isfinite(found.gradient).all()


def test_steps_lower_the_loss_and_spread_the_batch():
    rng = generator(0, "tests", "active ft")
    home = np.arange(200) % 8
    x = 4 * np.eye(8)[home] + 0.3 * rng.normal(size=(200, 8))
    start = np.arange(0, 64, 8)  # eight rows of one group
    before, after = (active_ft_parameters(x, x[start], steps=steps, rate=0.05) for steps in (0, 200))
    assert active_ft_loss(after, x).value < active_ft_loss(before, x).value
    rows = active_ft(x, 8, rng, steps=200, rate=0.05, start=start)
    assert len(set(home[rows].tolist())) > 1 and len(set(rows.tolist())) == 8


def test_tensors_give_the_same_rows():
    x = generator(0, "tests", "active ft tensors").normal(size=(120, 5))
    assert_array_equal(active_ft(x, 9, generator(3)), active_ft(torch.tensor(x), 9, generator(3)))


def test_rows_of_zeros_and_duplicates_do_no_harm():
    assert sorted(active_ft(np.zeros((5, 3)), 5, generator(0), steps=3)) == list(range(5))
    assert len(set(active_ft(np.ones((9, 3)), 4, generator(0), steps=3).tolist())) == 4


def test_what_is_out_of_range_is_said():
    with pytest.raises(InputError, match="temperature must be above 0"):
        active_ft_loss(THETA, X, temperature=0)
    with pytest.raises(InputError, match="rate must be above 0"):
        active_ft(X, 2, generator(0), rate=0)
    with pytest.raises(ShapeError, match="start must hold n = 2 rows; it holds 7"):
        active_ft(X, 2, generator(0), start=START)
    with pytest.raises(InputError, match="start must hold rows of x, 0 to 39"):
        active_ft(X, 1, generator(0), start=[40])
    with pytest.raises(ShapeError, match="at least one row"):
        active_ft_loss(THETA[:0], X)
    with pytest.raises(InputError, match="x: row 0 has no finite norm"):
        active_ft([[np.nan, 1.0]], 1, generator(0))


@pytest.mark.parametrize(
    "wrong", [{"temperature": 1e-30}, {"rate": 1e30}, {"balance": 0.0, "temperature": 1e-4}]
)
def test_steps_that_leave_all_numbers_are_an_error(wrong):
    x = generator(0, "tests", "leave").normal(size=(40, 5)).astype(np.float32)
    with pytest.raises(InputError, match="leaves all finite numbers"):
        active_ft(x, 6, generator(0), steps=3, **wrong)
