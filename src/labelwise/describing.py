"""What an object is, as plain JSON values: what a campaign remembers of its strategy and recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
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


def differences(stored: Mapping[str, Any], now: Mapping[str, Any], thing: Any = None) -> list[str]:
    """Return, in words, where what is given now differs from what was stored; nothing if it is the same.

    A field that the store does not know is no difference while it has its default: a newer labelwise may have added
    it, and everything recorded before was made without it.

    Args:
        stored: a description as it was stored.
        now: the description of what is given now.
        thing: the dataclass that `now` describes, for its defaults.
    """
    added = set()
    if is_dataclass(thing) and not isinstance(thing, type):
        for f in fields(thing):
            default = f.default if f.default is not MISSING else None
            if f.default_factory is not MISSING:
                default = f.default_factory()
            if f.name not in stored and now.get(f.name) == plain(default):
                added.add(f.name)
    keys = sorted((stored.keys() | now.keys()) - added)
    return [
        f"{key} was {stored.get(key, 'not there')!r} and is {now.get(key, 'not there')!r}"
        for key in keys
        if stored.get(key, MISSING) != now.get(key, MISSING)
    ]


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
