"""What an object is, as plain JSON values: what a campaign remembers of its strategy and recipe."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence, Set
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import numpy as np


def describe(thing: Any) -> dict[str, Any]:
    """Return what a recipe or strategy is, as JSON values: its class and how it was configured.

    Configuration is what its maker was given: the fields of a dataclass that its constructor takes and its repr
    shows, and of any other class the constructor's parameters that it keeps under their names (or these with an
    underscore before). All other attributes may change as it learns, and a description must not.
    """
    cls = type(thing)
    return {"class": f"{cls.__module__}:{cls.__qualname__}"} | {
        name: plain(value) for name, value in _configuration(thing).items()
    }


def differences(stored: Mapping[str, Any], now: Mapping[str, Any], thing: Any = None) -> list[str]:
    """Return, in words, where what is given now differs from what was stored; nothing if it is the same.

    A parameter that the store does not know is no difference while it has its default: a newer labelwise may have
    added it, and everything recorded before was made without it. This holds for strategies within strategies, too.

    Args:
        stored: a description as it was stored.
        now: the description of what is given now.
        thing: what `now` describes, for its defaults.
    """
    parts, defaults = _configuration(thing), _defaults(thing)
    found = []
    for key in sorted(stored.keys() | now.keys()):
        was, is_ = stored.get(key, MISSING), now.get(key, MISSING)
        added = was is MISSING and key in defaults and is_ == plain(defaults[key])
        if was == is_ or added:
            continue
        if _comparable(was, is_):
            found += [f"{key}.{line}" for line in differences(_named(was), _named(is_), parts.get(key))]
        else:
            found.append(f"{key} was {_said(was)} and is {_said(is_)}")
    return found


def plain(value: Any) -> Any:
    """Return a value as JSON values; what JSON cannot hold becomes its description, its name or its repr."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    if isinstance(value, Set):  # in an order that no process changes
        return sorted((plain(v) for v in value), key=repr)
    name = getattr(value, "__qualname__", None)
    if name:  # a function or a class
        return name
    cls: Any = type(value)
    # Where nobody wrote a repr, Python's holds an address, which is another one in every process.
    if is_dataclass(value) or cls.__repr__ is object.__repr__:
        return describe(value)
    return " ".join(repr(value).split())  # an estimator: identified without importing anything back


def _configuration(thing: Any) -> dict[str, Any]:
    """Return the parameters that a thing was made with, by name; the members of a list by their number."""
    if isinstance(thing, list | tuple):
        return dict(_named(thing))
    if is_dataclass(thing) and not isinstance(thing, type):
        return {f.name: getattr(thing, f.name) for f in fields(thing) if f.init and f.repr}
    kept = {}
    for name in _parameters(type(thing)):
        for attribute in (name, f"_{name}"):
            if hasattr(thing, attribute):
                kept[name] = getattr(thing, attribute)
                break
    return kept


def _defaults(thing: Any) -> dict[str, Any]:
    """Return the defaults of the parameters that have one."""
    if not is_dataclass(thing) or isinstance(thing, type):
        found = _parameters(type(thing)).items()
        return {name: p.default for name, p in found if p.default is not inspect.Parameter.empty}
    made = {f.name: f.default_factory() for f in fields(thing) if f.default_factory is not MISSING}
    return made | {f.name: f.default for f in fields(thing) if f.default is not MISSING}


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class's constructor."""
    try:
        found = inspect.signature(cls).parameters
    except ValueError:  # a class written in C tells nothing
        return {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in found.items() if p.kind in named}


def _comparable(was: Any, is_: Any) -> bool:
    """Tell whether two values are descriptions of one class, or equally long lists of such things."""
    if isinstance(was, list) and isinstance(is_, list):
        return len(was) == len(is_) and all(_comparable(a, b) for a, b in zip(was, is_, strict=True))
    both = isinstance(was, Mapping) and isinstance(is_, Mapping)
    return both and "class" in was and was["class"] == is_.get("class")


def _named(value: Any) -> Mapping[str, Any]:
    return {str(i): v for i, v in enumerate(value)} if isinstance(value, list | tuple) else value


def _said(value: Any) -> str:
    return "'not there'" if value is MISSING else repr(value)
