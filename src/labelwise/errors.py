"""The errors labelwise raises: a small tree whose leaves are also ValueError, TypeError or RuntimeError."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LabelwiseError(Exception):
    """Root of every error that labelwise raises on purpose."""


class InputError(LabelwiseError, ValueError):
    """A value given by the caller breaks a rule; the message names the value, the rule and the cure."""


class ShapeError(InputError):
    """An array has the wrong number of axes, length or type."""


class DistributionError(InputError):
    """A row of probabilities is no distribution."""


class UnknownName(InputError):
    """A name stands in no table; the message proposes the nearest one."""


class MissingSignal(InputError):
    """A strategy needs a signal that nobody gives."""


class EmptyPool(InputError):
    """There is nothing left, or nothing given, to ask for."""


class BadAnswer(InputError):
    """An answer cannot be recorded: unknown id, never asked, told twice, unknown label."""


class TrainingError(LabelwiseError, RuntimeError):
    """A model could not be fitted: the loss is no number, or the estimator refused the samples."""


class StoreError(LabelwiseError, RuntimeError):
    """The store could not do what was asked; what it held before is untouched."""


class Conflict(StoreError):
    """Somebody else recorded this first; read again and go on from there."""


class CorruptStore(StoreError):
    """The file is damaged or is no labelwise store."""


class NewerStore(StoreError):
    """A newer labelwise wrote this store."""


class StoreFull(StoreError):
    """The disk is full; nothing of this write was recorded."""


FEW = 25  # names that one message lists


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the tail of an unknown-name message: "Did you mean 'x'? Known: …"; of many names only the likeliest.

    Args:
        name: what was given.
        known: every name that would have been right.
    """
    names = sorted(known)
    if not names:
        return "There are none."
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    if len(names) > FEW and close:
        others = f" Near, too: {', '.join(close[1:])}." if close[1:] else ""
        return f"Did you mean {close[0]!r}?{others} There are {len(names)}."
    return f"{hint}Known: {', '.join(names)}."
