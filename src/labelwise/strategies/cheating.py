"""Strategies that know the pool's labels, to show what is possible: who they are, and who may use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from labelwise.errors import InputError
from labelwise.strategies.base import Strategy


def cheats(strategy: Strategy) -> bool:
    """Tell whether a strategy, or one within it, knows the pool's labels."""
    return strategy.cheats or any(cheats(one) for name in strategy.inner for one in _within(strategy, name))


def told(strategy: Strategy, truth: Any) -> Strategy:
    """Return a strategy that cheats with the labels of the pool, within another one, too; any other as it is.

    Args:
        strategy: what a simulation runs.
        truth: (N,) class index of each id.
    """
    if not cheats(strategy):
        return strategy
    parts: dict[str, Any] = {"truth": truth} if strategy.cheats else {}
    for name in strategy.inner:
        made = tuple(told(one, truth) for one in _within(strategy, name))
        parts[name] = made if isinstance(getattr(strategy, name), tuple) else made[0]
    return replace(strategy, **parts)  # type: ignore[type-var]  # one that cheats or holds others is a dataclass


def check_fair(strategy: Strategy, called: str) -> None:
    """Raise InputError if a strategy cheats: where people answer, nobody knows the labels before.

    Args:
        strategy: what a campaign with people would run.
        called: its name, for the message.
    """
    if cheats(strategy):
        raise InputError(
            f"{called} cheats: it knows the labels that people are asked for. It is for simulations only, where it shows "
            "what is possible (labelwise bench); choose another strategy."
        )


def _within(strategy: Strategy, name: str) -> Iterator[Strategy]:
    held = getattr(strategy, name)
    yield from held if isinstance(held, tuple) else (held,)
