"""What a selection will cost: the fit by hand, and forecasts held against what was measured."""

import json
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from labelwise import planning
from labelwise.cli import app
from labelwise.errors import InputError, UnknownName
from labelwise.planning import forecast
from labelwise.seeds import generator
from labelwise.strategies import TABLE

POINTS = [(500, 15), (500, 62), (1_000, 25), (1_000, 100), (2_000, 50), (2_000, 200)]
FORMS = {
    "linear": lambda n, b: 0.5 + 3e-4 * n + 2e-6 * n * b,
    "quadratic": lambda n, b: 1e-3 + 2e-7 * n * n,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_cost_of_known_form_is_read_off_exactly(form):
    cost = FORMS[form]
    told = planning._fitted(planning.TIME, 0.1, POINTS, [cost(*point) for point in POINTS], 100_000, 1_000)
    assert_allclose(told, cost(100_000, 1_000), rtol=1e-6)  # linear: 0.5 + 30 + 200; quadratic: 2,000


def test_noise_does_not_call_for_terms_that_decide_far_beyond_the_runs():
    """Linear costs, 10 % off in turn: with n² allowed from the start, 100,000 samples were told ten times too much."""
    noisy = [(1e-3 + 1e-5 * n) * (1.1 if k % 2 else 0.9) for k, (n, _) in enumerate(POINTS)]
    noisy[-1] *= 1.1
    told = planning._fitted(planning.TIME, 0.4, POINTS, noisy, 100_000, 1_000)
    assert 0.5 < told < 3  # 1.0 without noise
    assert planning._fitted(planning.TIME[1:], 0.4, POINTS, noisy, 100_000, 1_000) > 3


def test_sizes_double_up_to_the_whole_pool():
    assert list(planning._sizes(1_800, 100)) == [
        (500, 15),
        (500, 62),
        (1_000, 25),
        (1_000, 100),
        (1_800, 100),
    ]
    assert list(planning._sizes(30, 100)) == [(30, 100)]


@pytest.mark.parametrize("name", ["margin", "entropy", "random"])
def test_the_peak_stays_within_a_quarter_above_the_forecast(name):
    n, batch = 200_000, 1_000
    told = forecast(name, n, batch, n_classes=10, width=8, labelled=50, seconds=3600, largest=16_000)
    assert told.runs[-1].n == 16_000
    strategy = planning.make(name)
    seen = planning._view(strategy, n, 10, 8, 50, 4, "float32", 0)
    tracemalloc.start()
    try:
        strategy.propose(seen.only(strategy.needs), batch, generator(0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 1.25 * told.extra_bytes
    assert told.array_bytes == (n * 10 * 4 if strategy.needs.pool else 0)


def test_at_the_size_asked_for_nothing_is_extrapolated():
    told = forecast("margin", 700, 20, seconds=3600)
    assert (told.runs[-1].n, told.runs[-1].batch) == (700, 20)
    assert told.seconds == told.runs[-1].seconds


def test_two_sizes_are_run_however_little_time_there_is():
    told = forecast("margin", 10**9, 20, seconds=1e-9)
    assert [(run.n, run.batch) for run in told.runs] == [(500, 5), (500, 20), (1_000, 5)]
    sure = forecast("margin", 10**9, 20, seconds=3600, largest=100_000)
    assert told.extra_bytes > sure.extra_bytes / 4  # a constant, read off one size, would be a millionth


def test_every_strategy_finds_the_arrays_that_it_needs():
    for name in TABLE:
        strategy = planning.make(name, **({"truth": [0] * 20} if name == "grand-oracle" else {}))
        seen = planning._view(strategy, 20, 3, 4, 10, 2, "float32", 0)
        for part in ("pool", "labelled", "validation"):
            assert getattr(strategy.needs, part) <= set(getattr(seen, part).names), name


def test_made_up_arrays_are_what_a_network_answers():
    strategy = planning.make("margin")
    seen = planning._view(strategy, 50, 4, 8, 5, 3, "float16", 0)
    assert seen.pool.probs.dtype == np.float16
    assert_allclose(seen.pool.probs.astype(float).sum(axis=1), 1, atol=5e-3)


@pytest.mark.parametrize(
    "bad, words", [({"n": 0}, "n must be"), ({"batch": 0}, "batch must be"), ({"dtype": "int8"}, "dtype must be"),
                   ({"seconds": 0}, "seconds must be")]
)  # fmt: skip
def test_bad_numbers_are_named(bad, words):
    with pytest.raises(InputError, match=words):
        forecast("margin", **({"n": 10, "batch": 2} | bad))
    with pytest.raises(UnknownName, match="margin"):
        forecast("margni", 10, 2)


def test_the_command_says_it_in_words_and_in_json():
    words = ["plan", "--strategy", "margin", "--n", "600", "--budget", "10", "--classes", "4"]
    said = CliRunner().invoke(app, words).stdout
    assert "10 of 600 samples" in said and "Measured at this size" in said
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert told["n"] == 600 and told["extra_bytes"] > 0
