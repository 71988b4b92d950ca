"""active-ft as a strategy."""

import pytest
from numpy.testing import assert_array_equal

from labelwise import selection
from labelwise.errors import InputError
from labelwise.functional.batches.active_ft import active_ft
from labelwise.seeds import generator
from labelwise.strategies import make


def test_active_ft_is_its_kernel_and_needs_nothing_but_features():
    x = generator(0, "tests", "coldstart").normal(size=(60, 4))
    rows = selection.select("active-ft", {"features": x}, 6, space="features", steps=20, rate=0.01, seed=2)
    assert_array_equal(rows, active_ft(x, 6, generator(2, "select"), steps=20, rate=0.01))
    assert make("active-ft", space="features").needs.pool == {"features"}
    assert not make("active-ft").needs.labelled


@pytest.mark.parametrize("params", [{"rate": 0}, {"temperature": 0}, {"balance": -1}, {"steps": -1}])
def test_parameters_are_checked(params):
    with pytest.raises(InputError, match="must be"):
        make("active-ft", **params)
