"""Weakens a task on purpose: one modality made noisy, blurred, hollow or wordless, or missing from some samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Required, TypedDict

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_name, check_number
from labelwise.data.base import Dataset, Ids
from labelwise.data.corruption import Corrupted, Missing
from labelwise.data.kinds import KINDS, Form, Kind, amount_of, fits, form_of
from labelwise.data.task import Task
from labelwise.data.truth import Simulation
from labelwise.errors import InputError, did_you_mean
from labelwise.seeds import derived_seed, generator

Part = Literal["train", "test"]
PARTS = ("train", "test")
MEASURED = 1024  # samples of the pool that say how much a modality varies


class Corruption(TypedDict, total=False):
    """One corruption as a spec writes it: the arguments of `corrupted`, either amount or severity."""

    modality: Required[str]
    kind: Required[Kind]
    amount: float
    severity: int
    parts: Sequence[Part]


def check_modality(task: Task, modality: str) -> None:
    """Return if the task has such a modality.

    Raises:
        InputError: it has none of this name.
    """
    if modality not in task.data.modalities:
        raise InputError(
            f"Task {task.name!r} has no modality {modality!r}. {did_you_mean(str(modality), task.data.modalities)}"
        )


def _named(form: Form) -> str:
    return "" if form == "other" else f"{'an' if form == 'image' else 'a'} {form}, "


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
    if simulation.task.shifts:
        raise InputError(
            f"Task {simulation.task.name!r} has shifts, made of its samples as they are. Weaken it first, and shift it "
            "then: data.make does so."
        )
    # label-free features were made of the samples as they were, and would show them
    return replace(simulation, task=replace(simulation.task, data=data, features=None))


def measured(task: Task, modality: str) -> Array:
    """Return a modality of up to 1,024 samples of the pool, of those that have it (of one sample, if none has)."""
    some = task.pool[np.linspace(0, len(task.pool) - 1, num=min(MEASURED, len(task.pool))).astype(np.int64)]
    batch = task.data.batch(some)
    values = batch[modality]
    if "present" in batch:
        there = batch["present"][:, task.data.modalities.index(modality)]
        values = values[there] if there.any() else values[:1]
    return values


def _spread(values: Array, *, each: bool) -> NDArray[np.float64]:
    """Return the standard deviation of the samples: of each column of a table, else of all values.

    Args:
        values: (n, ...).
        each: whether the channels of signals, (n, channels, steps), are measured one by one: (channels, 1).
    """
    wide = np.asarray(values, np.float64)
    axis = 0 if wide.ndim <= 2 else (0, 2) if each else None
    there = ~np.isnan(wide)
    count = np.maximum(there.sum(axis=axis, keepdims=True), 1)
    mean = np.where(there, wide, 0).sum(axis=axis, keepdims=True) / count
    squares = np.where(there, (wide - mean) ** 2, 0).sum(axis=axis, keepdims=True)
    spread = np.sqrt(squares / count)
    return np.asarray(spread[0] if axis is not None else spread.reshape(()))


def corrupted(
    simulation: Simulation,
    modality: str,
    kind: Kind,
    amount: float | None = None,
    seed: int = 0,
    parts: Sequence[Part] = ("train",),
    *,
    severity: int | None = None,
) -> Simulation:
    """Return the simulation with one modality made worse in some of its parts; labels and parts stay.

    The same sample suffers the same at every reading, in any order and any batch. Label-free features of the task
    are left out, as they would show the samples as they were. An amount of 0 returns the simulation itself.

    Args:
        simulation: what to weaken.
        modality: which one suffers.
        kind: "noise", Gaussian, for bytes and floats (bytes are rounded and stay from 0 to 255).
            Images: "blur", Gaussian; "contrast", each channel moved towards its mean; "jpeg", compressed as bytes.
            Sounds (of tasks that say so): "reverb", a waveform convolved with itself and a tail of noise of the same
            energy, a log spectrogram dying away along time; "clip", made louder and cut off at its own loudest value.
            Texts: "word-dropout", each word left out by itself; "typos", each word by itself with two letters
            exchanged, one left out or one doubled.
            Tables, and signals of several channels: "drift", each column (channel) up or down by the same, a
            direction for each drawn once.
            All: "zeros", the whole modality of a sample: zeros, or no text, though it counts as present; "missing",
            as `missing` says.
        amount: noise, drift: in multiples of the modality's own standard deviation in the pool (of each column of a
            table, of each channel that drifts; else of all values), at most 100. blur: standard deviation in pixels,
            at most 100. contrast: 1 leaves none. jpeg: 100 less the quality, at most 99. reverb: the share of a clip
            after which a sound has fallen by 60 dB, at most 10. clip: decibels louder, at most 80. word-dropout,
            typos, zeros, missing: a probability; a larger one takes those that a smaller one took, and more. A
            decibel is 255 / 80 of a spectrogram in bytes, and a twentieth of the standard deviation of another.
        seed: of the draws.
        parts: "train" (pool, validation and samples labelled beforehand), "test", or both.
        severity: 1 to 5 of the table `labelwise.data.kinds.KINDS`, in place of an amount.

    Raises:
        UnknownName: no such kind or part.
        InputError: no such modality, one that the kind is not for, an amount or a severity out of range, not just one
            of these, or a task that has shifts already.
    """
    task = simulation.task
    check_name(kind, tuple(KINDS), "kind of corruption")
    check_modality(task, modality)
    if (amount is None) == (severity is None):
        said = "neither" if amount is None else "both"
        raise InputError(f"Corruption {kind!r} must say its amount or its severity (1 to 5); it says {said}.")
    if severity is not None:
        amount = amount_of(kind, severity)
    assert amount is not None
    amount = check_number(amount, f"amount of {kind}", 0.0, KINDS[kind].most)
    ids = _ids_of(task, parts)
    if kind == "missing":
        return missing(simulation, {modality: amount}, seed=seed, parts=parts)
    data = worsened(simulation, modality, kind, amount, seed, ids, measured(task, modality))
    return simulation if amount == 0 or not ids.size else _with_data(simulation, data)


def worsened(
    simulation: Simulation, modality: str, kind: Kind, amount: float, seed: int, ids: Ids, values: Array
) -> Corrupted:
    """Return the data of the task with one modality of these samples made worse; see `corrupted`.

    Args:
        simulation: whose data.
        modality: one of them.
        kind: any but "missing".
        amount: in its range.
        seed: of the draws.
        ids: who suffers.
        values: (n, ...) of the modality in some of the pool: what it is, and how much it varies.

    Raises:
        InputError: the kind is not for this modality.
    """
    task = simulation.task
    form = form_of(values, sound=modality in simulation.sounds)
    if not fits(kind, form, values):
        raise InputError(
            f"Corruption {kind!r} is for {KINDS[kind].what}; modality {modality!r} of {task.name!r} is "
            f"{_named(form)}{values.dtype} of shape {values.shape[1:]} a sample."
        )
    touched = np.zeros(len(task.data), np.bool_)
    touched[ids] = True
    if kind == "zeros":  # the k-th number of a stream depends on the seed and k only
        touched &= generator(seed, "data", "corrupt", modality, kind).random(len(task.data)) < amount
    relative = kind in ("noise", "drift") or (kind in ("reverb", "clip") and values.ndim > 2)
    spread = _spread(values, each=kind == "drift") if relative else np.zeros(())
    return Corrupted(task.data, modality, kind, amount, seed, touched, spread)


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
    hold = held(task, rates, seed, _ids_of(task, parts))
    return simulation if np.isinf(hold).all() else _with_data(simulation, Missing(task.data, hold))


def held(task: Task, rates: Mapping[str, float], seed: int, ids: Ids) -> NDArray[np.float64]:
    """Return how firmly each sample holds each modality, as `Missing` takes it: u / rate of these samples, else inf.

    Raises:
        InputError: no such modality, a rate out of range, or the task has one modality only.
    """
    hold = np.full((len(task.data), len(task.data.modalities)), np.inf)
    for name, rate in rates.items():
        check_modality(task, name)
        rate = check_number(rate, f"missing.{name}", 0.0, 1.0)
        if rate > 0:
            drawn = generator(seed, "data", "missing", name).random(len(task.data)) / rate
            hold[ids, task.data.modalities.index(name)] = drawn[ids]
    if rates and len(task.data.modalities) < 2:
        raise InputError(
            f"A sample must keep one modality, and task {task.name!r} has only {task.data.modalities[0]!r}; none "
            "can be missing."
        )
    return hold


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
            f"corrupt must be a table {{modality, kind, amount or severity}} or a list of such; it is {corrupt!r}."
        )
    before: list[tuple[Any, Any]] = []
    for one in several:
        known = Corruption.__annotations__
        if not isinstance(one, Mapping):
            raise InputError(
                f"corrupt must be a table {{modality, kind, amount or severity}} or a list of such; it holds {one!r}."
            )
        for key in one:
            if key not in known:
                raise InputError(f"corrupt has no key {key!r}. {did_you_mean(str(key), known)}")
        values: dict[str, Any] = dict(one)
        for key in ("modality", "kind"):
            if key not in values:
                raise InputError(f"corrupt must say its {key}; it says {sorted(values)}.")
        if ("amount" in values) == ("severity" in values):
            raise InputError(
                f"corrupt must say its amount or its severity, one of both; it says {sorted(values)}."
            )
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
