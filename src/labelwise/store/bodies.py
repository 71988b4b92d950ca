"""Events as they lie in a store: a kind and one line of JSON, with a digest over both and their place."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, NoReturn

import numpy as np

from labelwise.errors import CorruptStore, InputError
from labelwise.events import KINDS, Event, from_dict, kind_of, to_dict

# Far below Python's recursion limit: what was written from a shallow stack must be readable from a deep one.
DEPTH = 64
INT_BITS = 4096  # far below the 4,300 digits that Python agrees to parse

_WHOLE, _TEXT, _TREE, _NUMBER = (int,), (str,), (dict,), (int, float)
_TYPES: dict[str, dict[str, tuple[type, ...]]] = {
    "opened": {
        **dict.fromkeys(("plan", "strategy", "recipe", "task", "versions", "notes"), _TREE),
        "at": _TEXT,
    },
    "fitted": {
        **dict.fromkeys(("round", "n_labelled", "seen"), _WHOLE),
        **dict.fromkeys(("validation", "test", "fit", "seconds", "analysis"), _TREE),
        "at": _TEXT,
    },
    "asked": {
        "round": _WHOLE,
        "ids": (list,),
        "scores": (list, NoneType),
        "notes": _TREE,
        "at": _TEXT,
        "audit": (list,),
    },
    "answered": {
        "id": _WHOLE,
        "label": (int, NoneType),
        "annotator": _TEXT,
        "seconds": (int, float, NoneType),
        "correction": (bool,),
        "at": _TEXT,
    },
}


def encode_event(event: Event) -> tuple[str, str]:
    """Return (kind, body): the event as one line of JSON that `decode_event` turns into an equal event.

    NumPy scalars and arrays become numbers and lists; tuples in notes become lists.

    Raises:
        InputError: not an event, or it holds what JSON cannot: NaN, infinities, keys that are no strings,
            other types. The message names the field.
    """
    kind = kind_of(event)
    if KINDS.get(kind) is not type(event):
        raise InputError(f"A store holds events ({', '.join(KINDS)}); it was given {event!r}.")
    values = {name: _plain(value, f"{kind}.{name}", 0) for name, value in to_dict(event).items()}
    complaint = _misfit(kind, values)
    if complaint:
        raise InputError(complaint)
    return kind, json.dumps(values, allow_nan=False, separators=(",", ":"))


def decode_event(kind: str, body: str) -> Event:
    """Return the event that `encode_event` wrote.

    Raises:
        CorruptStore: the body is no such event.
    """
    try:
        values = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise CorruptStore(f"The store holds an event of kind {kind!r} that is no JSON: {error}.") from error
    if not isinstance(values, dict):
        raise CorruptStore(f"The store holds an event of kind {kind!r} that is no JSON object.")
    complaint = _misfit(kind, values)
    if complaint:
        raise CorruptStore(f"The store holds a malformed event: {complaint}")
    try:
        return from_dict(kind, values)
    except InputError as error:  # a plan that breaks the rules of plans
        raise CorruptStore(f"The store holds a malformed event: {error}") from error


def digest_of(*parts: str | int | bytes) -> str:
    """Return 16 hexadecimal digits of SHA-256 over the parts, in order: against damage, not forgery."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))  # the length first, so that ("ab", "c") and ("a", "bc") differ
        digest.update(data)
    return digest.hexdigest()[:16]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _plain(value: Any, path: str, depth: int) -> Any:
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return value
    if kind is int:
        if value.bit_length() > INT_BITS:
            raise InputError(
                f"{path} is a number of {value.bit_length()} bits; events hold up to {INT_BITS}."
            )
        return value
    if kind is float:
        if not math.isfinite(value):
            raise InputError(
                f"{path} is {value}; events hold finite numbers only. Leave it out or store None."
            )
        return value
    if depth > DEPTH:
        raise InputError(f"{path[:200]} is nested deeper than {DEPTH} levels; store something flatter.")
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.generic) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
        return _plain(value.item(), path, depth + 1)
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        if value.dtype.kind == "U" or (value.dtype.kind in "biuf" and value.dtype.itemsize <= 8):
            return _plain(value.tolist(), path, depth + 1)
        raise InputError(f"{path} is an array of {value.dtype}; events hold numbers, strings and bools.")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise InputError(f"{path} has the key {key!r}; keys must be strings: use str({key!r}).")
        return {str(key): _plain(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{path}.{f.name}", depth + 1) for f in fields(value)}
    raise InputError(
        f"{path} is a {kind.__module__}.{kind.__qualname__}; events hold numbers, strings, bools, None, "
        f"arrays, lists and dicts of them."
    )


def _misfit(kind: str, values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the types of an event's known fields, None if nothing is."""
    for name, allowed in _TYPES.get(kind, {}).items():
        value = values.get(name)
        if name in values and type(value) not in allowed:
            wanted = " or ".join(t.__name__ for t in allowed)
            return f"{kind}.{name} must be {wanted}; it is {value!r}."
    if kind == "asked":
        for name, types in (("ids", _WHOLE), ("scores", _NUMBER), ("audit", _WHOLE)):
            for i, value in enumerate(values.get(name) or ()):
                if type(value) not in types:
                    wanted = " or ".join(t.__name__ for t in types)
                    return f"asked.{name}[{i}] must be {wanted}; it is {value!r}."
    return None
