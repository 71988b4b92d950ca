"""One wording for every complaint about an array: what must hold, what was got, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import InputError, ShapeError, UnknownName, did_you_mean

Array = NDArray[Any]


def as_array(values: Any, name: str) -> Array:
    """Return values as a NumPy array without copying where possible; torch tensors are moved to the CPU.

    Args:
        values: an array, a memory map, a torch tensor or nested sequences of numbers.
        name: how an error message calls it.

    Raises:
        ShapeError: the values are ragged, or of a type that no array of numbers can hold.
    """
    if hasattr(values, "detach") and hasattr(
        values, "cpu"
    ):  # a torch tensor, recognised without importing torch
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy has no bfloat16
            values = values.float()
        values = values.numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{name} must be a rectangular array; its rows differ in length.") from error
    if array.dtype.kind not in "biuf":
        raise ShapeError(f"{name} must hold numbers; it holds {array.dtype}.")
    return array


def check_shape(array: Array, name: str, letters: Sequence[str], sizes: Sequence[int | None]) -> None:
    """Raise unless `array` has one axis a letter, of the given sizes (None: any size).

    Args:
        array: the array to look at.
        name: how the message calls it.
        letters: axis names as in the docs, e.g. ("n", "C").
        sizes: the wanted sizes, None where any will do.

    Raises:
        ShapeError: wrong number of axes or a wrong size.
    """
    wanted = ", ".join(
        letter if size is None else f"{letter}={size}" for letter, size in zip(letters, sizes, strict=True)
    )
    right = array.ndim == len(sizes) and all(
        size in (None, got) for size, got in zip(sizes, array.shape, strict=True)
    )
    if not right:
        raise ShapeError(f"{name} must have shape ({wanted}); it has shape {array.shape}.")


def as_ids(values: Any, name: str = "ids") -> NDArray[np.int64]:
    """Return values as distinct int64 ids, shape (n,).

    Raises:
        ShapeError: not one axis, or not whole numbers.
        InputError: an id stands twice; the message names it.
    """
    array = as_array(values, name)
    check_shape(array, name, ("n",), (None,))
    if array.size and array.dtype.kind not in "iu":
        raise ShapeError(f"{name} must be whole numbers; they are {array.dtype}.")
    ids = array.astype(np.int64, copy=False)
    if ids.size > 1:
        ordered = np.sort(ids)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size:
            raise InputError(f"{name} must be distinct; {int(twice[0])} stands there more than once.")
    return ids


def as_labels(values: Any, n_classes: int, name: str = "y") -> NDArray[np.int64]:
    """Return class indices, shape (n,), each in [0, n_classes).

    Raises:
        ShapeError: not one axis, or not whole numbers.
        InputError: a label is out of range; the message names row and value.
    """
    array = as_array(values, name)
    check_shape(array, name, ("n",), (None,))
    if array.size and array.dtype.kind not in "iu":
        raise ShapeError(f"{name} must be whole numbers; they are {array.dtype}.")
    wrong = np.flatnonzero((array < 0) | (array >= n_classes))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"{name}: row {row} is label {int(array[row])}; with {n_classes} classes labels run from 0 to "
            f"{n_classes - 1}."
        )
    return array.astype(np.int64, copy=False)


def as_flags(values: Any, name: str, columns: Sequence[str] = ()) -> NDArray[np.bool_]:
    """Return yes or no for each sample and column, (n, M) bool: True or 1 is yes, False or 0 is no.

    Args:
        values: (n, M).
        name: how an error message calls it.
        columns: what the columns are called; numbers stand for those that have no name.

    Raises:
        ShapeError: not two axes, or no numbers.
        InputError: a value is neither; the message names row, column and value.
    """
    array = as_array(values, name)
    check_shape(array, name, ("n", "M"), (None, None))
    odd = (array != 0) & (array != 1)
    if odd.any():  # lengths, or NaN for "missing", would all be taken for yes
        row, m = np.argwhere(odd)[0].tolist()
        of = columns[m] if m < len(columns) else f"modality {m}"
        raise InputError(
            f"{name} must hold True where a sample has a modality and False where it lacks it (or 1 and 0); row {row} "
            f"holds {array[row, m].item()!r} for {of}."
        )
    return array.astype(bool, copy=False)


def check_count(n: int, name: str, least: int = 0) -> int:
    """Return n as an int; raise InputError unless it is a whole number >= least."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least:
        raise InputError(f"{name} must be a whole number of at least {least}; it is {n!r}.")
    return int(n)


def check_number(value: float, name: str, least: float = -np.inf, most: float = np.inf) -> float:
    """Return a value as a float; raise InputError unless it is a finite number from least to most."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (number and np.isfinite(value) and least <= value <= most):
        low, high = (f"{bound:g}" for bound in (least, most))
        rule = f" from {low} to {high}" if most < np.inf else f" of at least {low}" if least > -np.inf else ""
        raise InputError(f"{name} must be a number{rule}; it is {value!r}.")
    return float(value)


def check_name(name: str, known: Sequence[str], what: str) -> None:
    """Raise UnknownName with the nearest known name unless `name` is one of `known`."""
    if name not in known:
        raise UnknownName(f"No {what} is named {name!r}. {did_you_mean(name, known)}")


def frozen(array: Array) -> Array:
    """Return a read-only view; the caller's own array stays writable."""
    view = array.view()
    view.flags.writeable = False
    return view
