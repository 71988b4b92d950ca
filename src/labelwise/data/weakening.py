"""Weakens a task on purpose: one modality made noisy, blurred or wordless, or missing from some samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Required, TypedDict

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import check_name, check_number
from labelwise.data.base import Dataset, Ids, Task
from labelwise.data.corruption import Corrupted, Kind, Missing, is_text
from labelwise.data.truth import Simulation
from labelwise.errors import InputError, did_you_mean
from labelwise.seeds import derived_seed, generator

Part = Literal["train", "test"]
# kind -> largest amount; beyond 100 nothing is left of a modality, and a wider blur costs memory for nothing
KINDS: dict[str, float] = {"noise": 100.0, "blur": 100.0, "word-dropout": 1.0, "zeros": 1.0}
PARTS = ("train", "test")
MEASURED = 1024  # samples of the pool that say how much a modality varies


class Corruption(TypedDict, total=False):
    """One corruption as a spec writes it: the arguments of `corrupted`."""

    modality: Required[str]
    kind: Required[Kind]
    amount: Required[float]
    parts: Sequence[Part]


def _check_modality(task: Task, modality: str) -> None:
    if modality not in task.data.modalities:
        raise InputError(
            f"Task {task.name!r} has no modality {modality!r}. {did_you_mean(str(modality), task.data.modalities)}"
        )


def _ids_of(task: Task, parts: Sequence[Part]) -> Ids:
    """Return the ids of these parts: "train" is everything but the test part."""
    if isinstance(parts, str) or not isinstance(parts, Sequence):
        raise InputError(f"parts must be a list of 'train' and 'test'; it is {parts!r}.")
    for part in parts:
        check_name(part, PARTS, "part")
    chosen: list[Ids] = []
    if "train" in parts:
        chosen += [task.pool, task.given.ids, task.validation.ids]
    if "test" in parts and task.test is not None:
        chosen.append(task.test.ids)
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def _with_data(simulation: Simulation, data: Dataset) -> Simulation:
    # label-free features were made of the samples as they were, and would show them
    return replace(simulation, task=replace(simulation.task, data=data, features=None))


def _spread(task: Task, modality: str) -> NDArray[np.float64]:
    """Return the standard deviation of a modality in the pool: of each column of a table, else of all values."""
    some = task.pool[np.linspace(0, len(task.pool) - 1, num=min(MEASURED, len(task.pool))).astype(np.int64)]
    batch = task.data.batch(some)
    values = batch[modality]
    if "present" in batch:
        values = values[batch["present"][:, task.data.modalities.index(modality)]]
    if not len(values):
        return np.zeros(values.shape[1:])
    wide = np.asarray(values, np.float64)
    axis = 0 if wide.ndim <= 2 else None
    there = ~np.isnan(wide)
    count = np.maximum(there.sum(axis=axis), 1)
    mean = np.where(there, wide, 0).sum(axis=axis) / count
    return np.asarray(np.sqrt(np.where(there, (wide - mean) ** 2, 0).sum(axis=axis) / count))


def corrupted(
    simulation: Simulation,
    modality: str,
    kind: Kind,
    amount: float,
    seed: int = 0,
    parts: Sequence[Part] = ("train",),
) -> Simulation:
    """Return the simulation with one modality made worse in some of its parts; labels and parts stay.

    The same sample suffers the same at every reading, in any order and any batch. Label-free features of the task
    are left out, as they would show the samples as they were. An amount of 0 returns the simulation itself.

    Args:
        simulation: what to weaken.
        modality: which one suffers.
        kind: "noise", Gaussian, for bytes and floats (bytes are rounded and stay from 0 to 255);
            "blur", Gaussian, for images; "word-dropout", each word of a text left out by itself;
            "zeros", the whole modality of a sample: zeros, or no text, though it counts as present.
        amount: noise: standard deviation, in multiples of the modality's own in the pool (of each column of a
            table; of all values of an image), at most 100. blur: standard deviation in pixels, at most 100.
            word-dropout, zeros: a probability; a larger one takes those that a smaller one took, and more.
        seed: of the draws.
        parts: "train" (pool, validation and samples labelled beforehand), "test", or both.

    Raises:
        UnknownName: no such kind or part.
        InputError: no such modality, one of a type that the kind is not for, or an amount out of range.
    """
    task = simulation.task
    check_name(kind, tuple(KINDS), "kind of corruption")
    _check_modality(task, modality)
    amount = check_number(amount, f"amount of {kind}", 0.0, KINDS[kind])
    ids = _ids_of(task, parts)
    values = task.data.batch(task.pool[:1])[modality]
    fits = {
        "noise": values.dtype == np.uint8 or values.dtype.kind == "f",
        "blur": values.ndim in (3, 4) and (values.dtype == np.uint8 or values.dtype.kind == "f"),
        "word-dropout": is_text(values),
        "zeros": True,
    }
    if not fits[kind]:
        fitting = {"noise": "bytes or floats", "blur": "images of bytes or floats", "word-dropout": "texts"}
        raise InputError(
            f"Corruption {kind!r} is for {fitting[kind]}; modality {modality!r} of {task.name!r} is {values.dtype} "
            f"of shape {values.shape[1:]} a sample."
        )
    if amount == 0 or not ids.size:
        return simulation
    touched = np.zeros(len(task.data), np.bool_)
    touched[ids] = True
    if kind == "zeros":  # the k-th number of a stream depends on the seed and k only
        touched &= generator(seed, "data", "corrupt", modality, kind).random(len(task.data)) < amount
    spread = _spread(task, modality) if kind == "noise" else np.zeros(())
    return _with_data(simulation, Corrupted(task.data, modality, kind, amount, seed, touched, spread))


def missing(
    simulation: Simulation,
    rates: Mapping[str, float],
    *,
    seed: int = 0,
    parts: Sequence[Part] = ("train",),
) -> Simulation:
    """Return the simulation with modalities missing from some samples of some parts: `present` is False there and
    the values are zeros, or no text.

    Each modality m is drawn for by itself: u uniform in [0, 1), missing where u < rate. A sample that would keep
    none keeps the one with the largest u / rate, so none is ever empty; with rates p and q of two modalities a
    share p q of the samples is given one back. The draws depend on (seed, id, modality) only: a larger rate of one
    modality takes it from those that a smaller rate took it from. Label-free features of the task are left out. Rates of 0 return the
    simulation itself.

    Args:
        simulation: what to weaken.
        rates: modality -> probability in [0, 1].
        seed: of the draws.
        parts: "train" (pool, validation and samples labelled beforehand), "test", or both.

    Raises:
        UnknownName: no such part.
        InputError: no such modality, a rate out of range, or the task has one modality only.
    """
    task = simulation.task
    if not isinstance(rates, Mapping):
        raise InputError(
            f"missing must be a table of modalities and rates, such as {{image = 0.3}}; it is {rates!r}."
        )
    hold = np.full((len(task.data), len(task.data.modalities)), np.inf)
    ids = _ids_of(task, parts)
    for name, rate in rates.items():
        _check_modality(task, name)
        rate = check_number(rate, f"missing.{name}", 0.0, 1.0)
        if rate > 0:
            drawn = generator(seed, "data", "missing", name).random(len(task.data)) / rate
            hold[ids, task.data.modalities.index(name)] = drawn[ids]
    if rates and len(task.data.modalities) < 2:
        raise InputError(
            f"A sample must keep one modality, and task {task.name!r} has only {task.data.modalities[0]!r}; none "
            "can be missing."
        )
    if np.isinf(hold).all():
        return simulation
    return _with_data(simulation, Missing(task.data, hold))


def weakened(
    simulation: Simulation,
    corrupt: Corruption | Sequence[Corruption] | None,
    rates: Mapping[str, float] | None,
    parts: Sequence[Part],
    seed: int,
) -> Simulation:
    """Return the simulation with these corruptions, in their order, and then these missing modalities.

    Args:
        simulation: what to weaken.
        corrupt: one or several.
        rates: modality -> how often it is missing.
        parts: where it is missing.
        seed: of all draws. Of several corruptions of one kind in one modality each draws anew.

    Raises:
        UnknownName, InputError: as `corrupted` and `missing`; a corruption has an unknown key or lacks one.
    """
    several = [corrupt] if isinstance(corrupt, Mapping) else [] if corrupt is None else corrupt
    if isinstance(several, str) or not isinstance(several, Sequence):
        raise InputError(
            f"corrupt must be a table {{modality, kind, amount}} or a list of such; it is {corrupt!r}."
        )
    before: list[tuple[Any, Any]] = []
    for one in several:
        known = Corruption.__annotations__
        if not isinstance(one, Mapping):
            raise InputError(
                f"corrupt must be a table {{modality, kind, amount}} or a list of such; it holds {one!r}."
            )
        for key in one:
            if key not in known:
                raise InputError(f"corrupt has no key {key!r}. {did_you_mean(str(key), known)}")
        values: dict[str, Any] = dict(one)
        for key in ("modality", "kind", "amount"):
            if key not in values:
                raise InputError(f"corrupt must say its {key}; it says {sorted(values)}.")
        like = values["modality"], values["kind"]
        # noise that fell twice alike would be one noise of twice the size
        mine = (
            derived_seed(seed, "data", "corrupt", "again", again) if (again := before.count(like)) else seed
        )
        before.append(like)
        simulation = corrupted(simulation, **values, seed=mine)
    if rates is None:
        _ids_of(simulation.task, parts)
        return simulation
    return missing(simulation, rates, seed=seed, parts=parts)
