"""Strategies made of strategies: what `make` takes for a field that holds one, and what it refuses."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from labelwise.bench.spec import read_spec
from labelwise.errors import InputError, UnknownName
from labelwise.strategies import TABLE, make
from labelwise.strategies.base import Strategy
from labelwise.strategies.uncertainty import Entropy, Margin, Random


@dataclass(frozen=True)
class Pair(Strategy):
    first: Strategy = "random"
    rest: tuple[Strategy, ...] = ("margin", "entropy")
    weight: float = 1.0

    inner: ClassVar[tuple[str, ...]] = ("first", "rest")

    def propose(self, view, n, rng):
        return self.first.propose(view, n, rng)


@pytest.fixture(autouse=True)
def _pair(monkeypatch):
    monkeypatch.setitem(TABLE, "pair", f"{__name__}:Pair")


def test_defaults_that_are_names_become_strategies():
    assert make("pair") == Pair(Random(), (Margin(), Entropy()))


@pytest.mark.parametrize("given", ["entropy", {"name": "entropy"}, Entropy()])
def test_a_name_a_table_and_a_strategy_are_alike(given):
    assert make("pair", first=given, rest=[given]) == Pair(Entropy(), (Entropy(),))


def test_tables_nest():
    made = make("pair", first={"name": "pair", "first": {"name": "pair", "weight": 3.0}, "rest": []})
    assert made.first.first == Pair(Random(), (Margin(), Entropy()), 3.0)
    assert made.first.rest == ()


def test_the_callers_table_is_left_as_it_was():
    table = {"name": "pair", "first": "margin"}
    make("pair", first=table)
    assert table == {"name": "pair", "first": "margin"}


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"first": "margn"}, UnknownName, "first of 'pair': No strategy is named 'margn'. Did you mean 'margin'"),
        ({"rest": ["margin", "entrop"]}, UnknownName, "rest of 'pair', number 2: No strategy is named 'entrop'"),
        ({"first": 3}, InputError, "first of 'pair' must be a strategy's name, a table .*; it is 3"),
        ({"first": {"weight": 3}}, InputError, "first of 'pair' must be a strategy's name, a table"),
        ({"first": {"name": "pair", 3: 4}}, InputError, "first of 'pair' must be"),
        ({"first": {"name": "pair", "wieght": 3}}, InputError, "first of 'pair': .*cannot be made: .*wieght"),
        ({"first": {"name": "pair", "first": "x"}}, UnknownName, "first of 'pair': first of 'pair': No strategy"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(params, error, words):
    with pytest.raises(error, match=words):
        make("pair", **params)


def spec(**strategy):
    return read_spec(
        {"task": {"name": "digits"}, "recipe": {"name": "logistic"}, "strategy": {"name": "pair", **strategy}}
    )


def test_a_spec_holds_them_as_plain_tables_and_keeps_its_id():
    first = spec(first={"name": "pair", "weight": 2.0}, rest=["margin"])
    assert first.values()["strategy"]["first"] == {"name": "pair", "weight": 2.0}
    assert read_spec(first.values()).id == first.id
    assert spec(first={"weight": 2.0, "name": "pair"}, rest=["margin"]).id == first.id  # whatever their order
    assert spec(first={"name": "pair", "weight": 2.5}, rest=["margin"]).id != first.id
