"""Randomness that is derived from (seed, path) and never carried, so that a resumed run draws what it would have drawn."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from labelwise.errors import InputError


def _words(seed: int, path: tuple[str | int, ...]) -> list[int]:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):  # int() would make 1 of 1.7
        raise InputError(f"seed must be a whole number; it is {seed!r}.")
    digest = hashlib.sha256(json.dumps([int(seed), *path]).encode()).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return the generator that belongs to a place in a run, e.g. `generator(7, "round", 3, "fit")`.

    The same (seed, path) gives the same stream on every machine; different paths give independent streams.

    Args:
        seed: any integer, negative ones included.
        path: words and numbers that name the place.

    Raises:
        InputError: the seed is no whole number.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(_words(seed, path))))


def derived_seed(seed: int, *path: str | int) -> int:
    """Return a 63-bit integer seed for libraries that take a number (scikit-learn takes its lowest 32 bits)."""
    low, high = _words(seed, path)[:2]
    return (high << 32 | low) & (2**63 - 1)
