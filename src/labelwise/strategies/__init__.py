"""The table of strategies: name -> where its class lives. A new strategy is one row here, one class, one test."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from labelwise.checks import check_name
from labelwise.errors import InputError
from labelwise.strategies.base import Strategy

TABLE: dict[str, str] = {
    "random": "labelwise.strategies.uncertainty:Random",
    "least-confidence": "labelwise.strategies.uncertainty:LeastConfidence",
    "margin": "labelwise.strategies.uncertainty:Margin",
    "largest-margin": "labelwise.strategies.uncertainty:LargestMargin",
    "entropy": "labelwise.strategies.uncertainty:Entropy",
}


def make(name: str, **params: Any) -> Strategy:
    """Return the strategy with this name.

    Args:
        name: a row of `TABLE`, e.g. "margin".
        params: the fields of its class, e.g. blocks or weights; most have none.

    Raises:
        UnknownName: no strategy has this name; the message proposes the nearest.
        InputError: the strategy has no such parameter.
    """
    check_name(name, tuple(TABLE), "strategy")
    module, _, attribute = TABLE[name].partition(":")
    cls = getattr(import_module(module), attribute)
    try:
        made = cls(**params)
    except TypeError as error:
        raise InputError(f"Strategy {name!r} cannot be made: {error}.") from error
    assert isinstance(made, Strategy)
    return made
