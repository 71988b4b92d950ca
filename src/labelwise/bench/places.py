"""Files that a spec names: a bank or a policy is looked for in the folder of the runs, so that no id depends on folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labelwise.errors import InputError
from labelwise.strategies.balance.bank import read_bank

BANK, POLICY = "bank", "policy"
FILES = (BANK, POLICY)


def named(strategy: Any, what: str) -> tuple[str, ...]:
    """Return the names that a strategy, or one within it, gives for its bank or its policy; each once.

    Args:
        strategy: its name and parameters, as a spec has them.
        what: "bank" or "policy".
    """
    return tuple(dict.fromkeys(name for key, name in _walk(strategy) if key == what))


def placed(strategy: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the parameters with every file's name led to the folder; a whole path stays what it is."""
    return {key: _placed(key, value, folder) for key, value in strategy.items()}


def digests(strategy: Any, folder: Path, protocol: str, seed: int) -> dict[str, str]:
    """Return name -> twelve digits of what a campaign will read of it: of a bank, the scores of protocol and seed.

    Raises:
        InputError: there is no such file, or the bank is none for this protocol and seed.
    """
    found = {name: read_bank(folder / name).of(protocol, seed).digest for name in named(strategy, BANK)}
    for name in named(strategy, POLICY):
        try:
            found[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]
        except FileNotFoundError as error:
            raise InputError(
                f"There is no policy {folder / name}: `labelwise policy train` makes one; see docs/compare.md."
            ) from error
        except OSError as error:
            raise InputError(f"{folder / name} cannot be read: {error.strerror}.") from error
    return found


def _walk(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in FILES and isinstance(inner, str):
                yield key, inner
            else:
                yield from _walk(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(inner)


def _placed(key: str, value: Any, folder: Path) -> Any:
    if key in FILES and isinstance(value, str):
        return str(folder / value)
    if isinstance(value, Mapping):
        return placed(value, folder)
    if isinstance(value, list | tuple):
        return [_placed("", inner, folder) for inner in value]
    return value
