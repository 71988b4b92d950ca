"""Selection in one call: arrays in, rows of these arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import as_array, as_flags, check_count, check_name, check_shape
from labelwise.errors import EmptyPool, InputError, ShapeError
from labelwise.proposing import OnBadSample, proposed
from labelwise.seeds import generator
from labelwise.signals import NAMES, Needs, Signals, View
from labelwise.strategies import make
from labelwise.strategies.base import Proposal, Strategy

Given = Mapping[str, Any] | Signals


def select(
    name: str | Strategy,
    signals: Given,
    n: int,
    *,
    labelled: Given | None = None,
    validation: Given | None = None,
    modalities: Sequence[str] = (),
    seed: int = 0,
    on_bad_sample: OnBadSample = "raise",
    **params: Any,
) -> NDArray[np.int64]:
    """Return which n rows of the pool's arrays to label next, in the order of asking.

    Args:
        name: a strategy's name, e.g. "margin" (`labelwise strategies` lists them), or a Strategy.
        signals: the pool's arrays by name, e.g. {"probs": p, "embeddings": z}; NumPy arrays, memory maps or
            torch tensors. Scalars of companion recipes are named "scalars.critic" and so on.
        n: how many rows; all of them where the pool is smaller.
        labelled: the labelled samples' arrays, for strategies that need them; "y" are their class indices.
        validation: the validation samples' arrays, for strategies that need them.
        modalities: their names, in the order of the arrays, for messages and notes; () calls them by numbers from 0.
        seed: everything random is derived from it.
        on_bad_sample: a NaN or an infinity in an array that the strategy reads is an error ("raise"), or its row is
            left out ("quarantine") and named in the notes of `proposal`.
        params: the strategy's own, e.g. blocks or weights.

    Returns:
        (min(n, pool),) distinct rows, without bad ones, of the arrays given, like those of `argsort`.

    Raises:
        UnknownName: no strategy or no signal has this name; the message proposes the nearest.
        MissingSignal: the strategy needs an array that is not given.
        EmptyPool: the pool has no sample.
        InputError: an array, `n`, `seed` or a parameter breaks a rule; the message says which and how.
    """
    found = proposal(
        name,
        signals,
        n,
        labelled=labelled,
        validation=validation,
        modalities=modalities,
        seed=seed,
        on_bad_sample=on_bad_sample,
        **params,
    )
    return found.rows.copy()


def proposal(
    name: str | Strategy,
    signals: Given,
    n: int,
    *,
    labelled: Given | None = None,
    validation: Given | None = None,
    modalities: Sequence[str] = (),
    seed: int = 0,
    on_bad_sample: OnBadSample = "raise",
    **params: Any,
) -> Proposal:
    """Return what `select` returns together with the scores and notes of the strategy.

    Args, Raises: as `select`.
    """
    if isinstance(name, Strategy):
        if params:
            raise InputError(
                f"A strategy that is made already takes no parameters; it is given {sorted(params)}."
            )
        strategy, called = name, type(name).__name__
    elif isinstance(name, str):
        strategy, called = make(name, **params), name
    else:
        raise InputError(f"name must be a strategy's name or a Strategy; it is a {type(name).__name__}.")
    count = check_count(n, "n", 1)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise InputError(f"seed must be a whole number; it is {seed!r}.")
    names = _names(modalities)
    pool = _signals(signals, "signals", names)
    known, held_out = _signals(labelled, "labelled", names), _signals(validation, "validation", names)
    if not len(pool):
        raise EmptyPool("signals holds no sample; there is nothing to ask for.")
    if pool.y is not None:
        raise InputError("signals must not hold y: the pool's labels are what is asked for.")
    strategy.needs.check(Needs(pool.names, known.names, held_out.names), called, "the call")
    parts = {"pool": pool, "labelled": known, "validation": held_out}
    _check_modalities(names, parts)
    view = View(pool, known, held_out, _n_classes(parts), names)
    rng = generator(int(seed), "select")
    return proposed(strategy, view, count, rng, who=called, on_bad_sample=on_bad_sample)


def _signals(given: Given | None, what: str, modalities: tuple[str, ...]) -> Signals:
    """Return signals of arrays by name; their ids are the rows where none are given."""
    if isinstance(given, Signals):
        return given
    if given is None:
        return Signals(np.empty(0, np.int64))
    if not isinstance(given, Mapping):
        raise InputError(
            f'{what} must map names to arrays, e.g. {{"probs": p}}; it is a {type(given).__name__}.'
        )
    parts: dict[str, Any] = {}
    scalars: dict[str, Any] = {}
    for name, values in given.items():
        if not isinstance(name, str):
            raise InputError(f"{what} must map names to arrays; it has the key {name!r}.")
        if values is None:
            continue
        if name.startswith("scalars."):
            scalars[name[len("scalars.") :]] = as_array(values, f"{what}[{name!r}]")
            continue
        check_name(name, (*NAMES, "ids"), "signal")
        if name == "modal_embeddings":
            if hasattr(values, "dtype") or not isinstance(values, list | tuple):
                raise ShapeError(f"{what}['modal_embeddings'] must be a list of arrays, one a modality.")
            parts[name] = tuple(
                as_array(part, _embeddings(what, m, modalities)) for m, part in enumerate(values)
            )
        elif name == "present":
            parts[name] = as_flags(values, f"{what}['present']", modalities)
        else:
            parts[name] = as_array(values, f"{what}[{name!r}]")
    if "ids" not in parts:
        first = next((v[0] if isinstance(v, tuple) and v else v for v in (parts | scalars).values()), ())
        parts["ids"] = np.arange(len(first) if np.ndim(first) else 0)
    for m, part in enumerate(parts.get("modal_embeddings", ())):
        check_shape(part, _embeddings(what, m, modalities), ("n", "D"), (len(parts["ids"]), None))
    return Signals(**parts, scalars=scalars)


def _embeddings(what: str, m: int, modalities: tuple[str, ...]) -> str:
    """Return how messages call the embeddings of a modality."""
    return f"{what}['modal_embeddings'], {modalities[m] if m < len(modalities) else f'modality {m}'},"


def _names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the modalities."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise InputError(f'modalities must be a list of names, e.g. ["image", "text"]; it is {names!r}.')
    given = tuple(names)
    if len(set(given)) < len(given):
        raise InputError(f"Every modality needs a name of its own; they are {list(given)}.")
    return given


def _check_modalities(names: tuple[str, ...], parts: Mapping[str, Signals]) -> None:
    """Raise ShapeError where an array is of another number of modalities than there are names."""
    for part, held in parts.items():
        sizes = {
            name: array.shape[1]
            for name in ("present", "evidence", "modal_probs")
            if (array := getattr(held, name)) is not None
        }
        if held.modal_embeddings is not None:
            sizes["modal_embeddings"] = len(held.modal_embeddings)
        for name, size in sizes.items():
            if names and size != len(names):
                raise ShapeError(
                    f"modalities names {len(names)} ({', '.join(names)}); {name} of the {part} samples holds {size}."
                )


def _n_classes(parts: Mapping[str, Signals]) -> int:
    """Return C as the arrays tell it, the same in all parts; 1 where none does."""
    found: dict[int, str] = {}
    for part, held in parts.items():
        for name in ("probs", "logits", "draws", "modal_probs", "evidence", "coalitions"):
            array = getattr(held, name)
            if array is not None:
                found.setdefault(array.shape[-1], f"{name} of the {part} samples")
    if len(found) > 1:
        told = ", ".join(f"{what}: {width}" for width, what in found.items())
        raise ShapeError(f"All arrays of class values must have as many classes; they have {told}.")
    highest = 0
    for part, held in parts.items():
        if held.y is not None and held.y.size:
            if held.y.dtype.kind not in "iu" or held.y.min() < 0:
                raise InputError(f"y of the {part} samples must be class indices of at least 0.")
            highest = max(highest, int(held.y.max()) + 1)
    classes = next(iter(found), max(1, highest))
    if highest > classes:
        raise InputError(
            f"y holds label {highest - 1}; with {classes} classes labels run from 0 to {classes - 1}."
        )
    return classes
