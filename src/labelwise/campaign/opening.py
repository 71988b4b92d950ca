"""How a campaign begins: what its opening remembers, and whether one that is opened again is the same."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from labelwise.data.task import Task
from labelwise.describing import describe, differences
from labelwise.errors import InputError
from labelwise.events import Opened, Plan
from labelwise.models.base import Recipe
from labelwise.strategies.base import Strategy


def opening(
    plan: Plan, strategy: Strategy, recipe: Recipe, task: Task, notes: Mapping[str, Any], at: str
) -> Opened:
    """Return the first event of a campaign: what it was made of, and with which versions."""
    versions = {
        "labelwise": version("labelwise"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": version("torch"),
        "scikit-learn": version("scikit-learn"),
    }
    return Opened(plan, describe(strategy), describe(recipe), task.fingerprint(), versions, notes, at)


def check_same(opened: Opened, plan: Plan | None, strategy: Strategy, recipe: Recipe, task: Task) -> None:
    """Raise unless a campaign was opened with these.

    Args:
        opened: its opening.
        plan: None: the stored one is taken.
        strategy: what asks.
        recipe: what fits.
        task: the samples.

    Raises:
        InputError: something differs; the message names what it was and is.
    """
    pairs: list[tuple[str, Any, Any, Any]] = [
        ("strategy", opened.strategy, describe(strategy), strategy),
        ("recipe", opened.recipe, describe(recipe), recipe),
        ("task", opened.task, task.fingerprint(), None),
    ]
    if plan is not None:
        pairs.append(("plan", vars(opened.plan), vars(plan), plan))
    for what, stored, now, thing in pairs:
        if found := differences(stored, now, thing):
            raise InputError(
                f"This store was opened with another {what}: {'; '.join(found)}. Use the same, or a new store."
            )
