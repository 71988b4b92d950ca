"""What an object is, as plain JSON values: what a campaign remembers of its strategy and recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def describe(thing: Any) -> dict[str, Any]:
    """Return what a recipe or strategy is, as JSON values: its class and its fields."""
    cls = type(thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        parts = {f.name: plain(getattr(thing, f.name)) for f in fields(thing)}
    else:
        parts = {}
    return {"class": f"{cls.__module__}:{cls.__qualname__}", **parts}


def plain(value: Any) -> Any:
    """Return a value as JSON values; what JSON cannot hold becomes its name or its repr."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    # Estimators and callables: their repr or qualified name identifies them without importing anything back.
    return getattr(value, "__qualname__", None) or " ".join(repr(value).split())
