"""Learned state as bytes and back: arrays in safetensors, the tree around them as JSON; no pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from labelwise.checks import Array
from labelwise.errors import CorruptStore, InputError, NewerStore
from labelwise.store.bodies import DEPTH, INT_BITS

VERSION = 1  # of the layout below; a reader refuses a higher one
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_ALLOWED = "numbers, strings, bools, None, NumPy arrays, and dicts and lists of them"


def encode_state(state: Mapping[str, Any]) -> bytes:
    """Return the state as one blob in the safetensors format.

    Everything comes back as it was, to the bit: NaN and infinities too; NumPy scalars come back as Python
    numbers.

    Args:
        state: nested dicts (keys are strings) and lists of numbers, strings, bools, None and NumPy arrays
            (bool, int, float; any shape, also () and empty ones).

    Raises:
        InputError: something else is in it; the message names the path of keys to it.
    """
    if not isinstance(state, Mapping):
        raise InputError(f"state must be a dict; it is a {type(state).__name__}.")
    arrays: dict[str, Array] = {}
    tree = _fold(state, "state", 0, arrays)
    metadata = {"labelwise": str(VERSION), "tree": json.dumps(tree, allow_nan=False)}
    blob = save(arrays, metadata)
    assert isinstance(blob, bytes)
    return blob


def decode_state(blob: bytes) -> dict[str, Any]:
    """Return the state that `encode_state` wrote; its arrays are fresh and writable.

    Raises:
        CorruptStore: the blob is damaged or something else. (Bits flipped inside an array's numbers are the
            business of the store's digest.)
        NewerStore: a newer labelwise wrote it.
    """
    try:
        arrays = load(blob)  # checks the whole header: lengths, types, offsets
        length = int.from_bytes(blob[:8], "little")
        metadata = json.loads(blob[8 : 8 + length])["__metadata__"]
        version = int(metadata["labelwise"])
        if version > VERSION:
            raise NewerStore(
                f"A newer labelwise wrote this state (layout {version}; this one reads up to {VERSION}). "
                "Upgrade: pip install -U labelwise."
            )
        state = _unfold(json.loads(metadata["tree"]), arrays)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise CorruptStore(f"The stored state is damaged and cannot be read: {error!r}.") from error
    if not isinstance(state, dict) or arrays:
        raise CorruptStore("The stored state is damaged: its tree and its arrays do not fit together.")
    return state


def _fold(value: Any, path: str, depth: int, arrays: dict[str, Array]) -> Any:
    """Return the JSON node of a value: scalars as they are, all else as a dict with one key, the type."""
    if depth > DEPTH:
        raise InputError(f"{path[:200]} is nested deeper than {DEPTH} levels; store something flatter.")
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.bool_ | np.integer | np.floating) and not isinstance(value, np.longdouble):
        value = value.item()
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        if value.bit_length() > INT_BITS:
            raise InputError(
                f"{path} is a number of {value.bit_length()} bits; states hold up to {INT_BITS}."
            )
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray):
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise InputError(
                f"{path} is an array of {value.dtype}; states hold arrays of bool, int or float."
            )
        key = str(len(arrays))
        # safetensors writes the memory as it lies: strided or big-endian arrays must be put in order first.
        arrays[key] = np.array(value, dtype=value.dtype.newbyteorder("<"), order="C", copy=True)
        return {"array": key}
    if isinstance(value, Mapping):
        for name in value:
            if type(name) is not str:
                raise InputError(f"{path} has the key {name!r}; keys must be strings: use str({name!r}).")
        return {
            "dict": {name: _fold(item, f"{path}.{name}", depth + 1, arrays) for name, item in value.items()}
        }
    if kind is list:
        return [_fold(item, f"{path}[{i}]", depth + 1, arrays) for i, item in enumerate(value)]
    hint = " Make it a list." if kind is tuple else ""
    raise InputError(f"{path} is a {kind.__module__}.{kind.__qualname__}; states hold {_ALLOWED}.{hint}")


def _unfold(node: Any, arrays: dict[str, Array]) -> Any:
    """Return the value of a JSON node, taking its arrays out of `arrays`."""
    if isinstance(node, list):
        return [_unfold(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "dict":
        return {name: _unfold(item, arrays) for name, item in content.items()}
    if kind == "array":
        return np.array(arrays.pop(content), copy=True)
    if kind == "float":
        return _NON_FINITE[content]
    raise ValueError(f"unknown node {kind!r}")
