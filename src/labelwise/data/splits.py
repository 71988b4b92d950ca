"""Cuts a task from a labelled data set: class subsets, long tails, imbalance, and the three parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, as_labels, check_count, check_name
from labelwise.data.base import NOBODY, ArrayDataset, Dataset, Gathered, Ids, Labelled
from labelwise.data.draws import (
    Initial,
    carve,
    draw,
    imbalanced,
    initial_set,
    long_tail_sizes,
    size_of,
    stratified,
)
from labelwise.data.shifts import SHIFTED, Shift, shifted
from labelwise.data.task import Task
from labelwise.data.truth import Simulation
from labelwise.data.weakening import Corruption, Part, weakened
from labelwise.errors import InputError
from labelwise.seeds import generator

UNUSED, TRAIN, VALIDATION, TEST = -1, 0, 1, 2
CARVE = 0.05  # of the training part, where a set has no validation part of its own
INITIAL = 1000  # samples labelled beforehand, where a start is asked for


@dataclass(frozen=True, eq=False)
class Samples:
    """A labelled data set as its source gives it, before a task is cut from it.

    Attributes:
        name: of the task.
        arrays: modality -> (n, ...).
        y: (n,) class indices.
        classes: names, in the order of class indices.
        part: (n,) TRAIN, VALIDATION, TEST or UNUSED.
        features: (n, F) label-free vectors, or None.
        present: (n, M) which modalities a sample has, or None if all.
        sources: modality -> (N, ...); where it is given, `arrays[modality]` are (n,) rows of it that are looked
            up batch by batch, so that what stands in many samples lies in memory once.
        keys: a name for each sample, or empty.
        bad: (key, reason) of samples that could not be read.
        sounds: modalities that are sounds; see `Simulation`.
    """

    name: str
    arrays: Mapping[str, Array]
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    part: NDArray[np.int8]
    features: Array | None = None
    present: Array | None = None
    sources: Mapping[str, Array] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    bad: tuple[tuple[str, str], ...] = ()
    sounds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        as_labels(self.y, len(self.classes), f"{self.name}: y")
        for what, array in {**self.arrays, "part": self.part}.items():
            if len(array) != len(self.y):
                raise InputError(
                    f"{self.name}: {len(array)} values of {what} do not fit {len(self.y)} labels."
                )


def _relabelled(
    samples: Samples, classes: Sequence[int | str] | None, parity: bool
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return (n,) new labels, -1 where the class was not chosen, and the names of the classes."""
    y, names = samples.y.astype(np.int64), samples.classes
    chosen = list(range(len(names)))
    if classes is not None:
        chosen = []
        for one in classes:
            if isinstance(one, str):
                check_name(one, names, f"class of {samples.name}")
                one = names.index(one)
            if check_count(one, "A class") >= len(names):
                raise InputError(
                    f"{samples.name} has the classes 0 to {len(names) - 1}; classes names {one}."
                )
            chosen.append(int(one))
        if len(set(chosen)) != len(chosen):
            raise InputError(f"classes must be distinct; they are {list(classes)}.")
    lookup = np.full(len(names), -1, np.int64)
    lookup[chosen] = np.array(chosen) % 2 if parity else np.arange(len(chosen))
    return lookup[y], ("even", "odd") if parity else tuple(names[k] for k in chosen)


def build(
    samples: Samples,
    *,
    seed: int = 0,
    validation: float | None = None,
    classes: Sequence[int | str] | None = None,
    parity: bool = False,
    pool: int | None = None,
    test_size: int | None = None,
    long_tail: float | None = None,
    imbalance: bool = False,
    initial: Initial | None = None,
    initial_size: int = INITIAL,
    corrupt: Corruption | Sequence[Corruption] | None = None,
    missing: Mapping[str, float] | None = None,
    missing_parts: Sequence[Part] = ("train",),
    shifts: Literal["all"] | Shift | Sequence[Shift] | None = None,
    shifts_size: int = SHIFTED,
) -> Simulation:
    """Return a task cut from a labelled data set, and its truth.

    The order: classes, then long tail or imbalance (training part only), then the validation part and the
    pool's size, then the samples labelled beforehand. Samples of no part are dropped; those that stay keep their order, and their place is their id. The
    official test part changes by `classes`, `parity`, `test_size`, `corrupt` and `missing` only.

    Args:
        samples: where to cut from.
        seed: of every draw here.
        validation: share (float) or number (int) of the training part that validates and never enters the
            pool, stratified; an official validation part is then part of the training part. None: the
            official validation part, or 5 % where there is none.
        classes: indices or names of the classes to keep, in the new order.
        parity: ask whether the (original) class index is even or odd, instead of which class it is.
        pool: largest size of the pool (stratified).
        test_size: largest size of the test part (stratified), for quick runs.
        long_tail: factor of an exponential profile from n_max = training samples / classes; a class that has
            fewer samples than its profile says keeps all.
        imbalance: keep each sample of class k with probability (k + 1) / K.
        initial: how the samples labelled beforehand (`Task.given`) are drawn from the pool, which they leave:
            "random"; "twisted-main", 5 % of them from the rarer half of the classes and the others from the
            more frequent half; "twisted-rare", the reverse. None: nobody is labelled beforehand, and a campaign
            buys its own random start. See `labelwise.data.draws.initial_set`.
        initial_size: how many; a campaign never counts them as bought.
        corrupt: what makes a modality worse, `{modality, kind, amount}` or `{modality, kind, severity}` and perhaps
            `parts`, or a list of such; see `labelwise.data.weakening.corrupted`.
        missing: modality -> share of samples that lack it; see `labelwise.data.weakening.missing`.
        missing_parts: where: "train" (all but the test part), "test", or both.
        shifts: test data that no training part knows of, `{modality, kind}` and perhaps `severities`, a list of such,
            or "all"; every fit of a campaign is measured on them, too. See `labelwise.data.shifts.shifted`.
        shifts_size: how many test samples each shift is measured on (stratified).

    Raises:
        InputError: a parameter is out of range, fewer than two classes are left, or half of the classes have
            too few samples for `initial`.
        EmptyPool: nothing is left to ask for.
    """
    y, names = _relabelled(samples, classes, parity)
    if len(names) < 2:
        raise InputError(
            f"A task needs at least two classes; of {samples.name} only {list(names)} was chosen."
        )
    part = np.where(y < 0, UNUSED, samples.part)
    official = np.flatnonzero(part == VALIDATION)
    use_official = validation is None and official.size > 0
    train = (
        np.flatnonzero(part == TRAIN)
        if use_official
        else np.flatnonzero((part == TRAIN) | (part == VALIDATION))
    )
    test = np.flatnonzero(part == TEST)

    if long_tail is not None and imbalance:
        raise InputError("A task has either a long tail or an imbalance; both were asked for.")
    if long_tail is not None:
        sizes = long_tail_sizes(len(train) // len(names), long_tail, len(names))
        train = train[draw(y[train], sizes, generator(seed, "data", "long tail"))]
    if imbalance:
        train = train[imbalanced(y[train], len(names), generator(seed, "data", "imbalance"))]
    counts = np.bincount(y[train], minlength=len(names))

    share = 0 if use_official else CARVE if validation is None else validation
    size_of(share, len(train), "validation")  # refuses a wrong number before anything is drawn with it
    if pool is not None:
        check_count(pool, "pool", 1)
        # so many beside the pool that the validation part has its share, and a sample of each class
        beside = share
        if isinstance(share, float) and share > 0:
            beside = max(round(pool * share / (1 - share)), len(names))
        if pool + int(beside) < len(train):
            train = train[stratified(y[train], pool + int(beside), generator(seed, "data", "pool"))]
            share = int(beside)
    validating = official
    if not use_official:
        carved = carve(y[train], share, generator(seed, "data", "validation"), "validation")
        validating, train = train[carved], np.delete(train, carved)
    if pool is not None and len(train) > pool:  # too few for both, or classes too small to validate
        train = train[stratified(y[train], pool, generator(seed, "data", "pool", "rest"))]
    given: Ids = np.empty(0, np.int64)
    if initial is not None:
        first = initial_set(y[train], counts, initial, initial_size, generator(seed, "data", "initial"))
        given, train = train[first], np.delete(train, first)
    elif initial_size != INITIAL:
        raise InputError(
            f"initial_size = {initial_size} says how many samples are labelled beforehand; say how they are drawn, "
            "too (initial = 'random', 'twisted-main' or 'twisted-rare')."
        )
    if test_size is not None:
        check_count(test_size, "test_size", 1)
        test = test[stratified(y[test], test_size, generator(seed, "data", "test"))]
    whole = _cut(samples, y, names, train, validating, test, given)
    return shifted(weakened(whole, corrupt, missing, missing_parts, seed), shifts, shifts_size, seed)


def _cut(
    samples: Samples,
    y: NDArray[np.int64],
    names: tuple[str, ...],
    pool: Ids,
    validation: Ids,
    test: Ids,
    given: Ids,
) -> Simulation:
    """Return the task of these rows of the samples, renumbered, and its truth."""
    keep = np.sort(np.concatenate([pool, validation, test, given]))
    whole = len(keep) == len(y)  # then nothing is copied, and memory maps stay memory maps
    truth = y[keep]

    def renumbered(rows: Ids) -> Ids:
        return np.searchsorted(keep, rows).astype(np.int64)

    def labelled(rows: Ids) -> Labelled:
        return Labelled(renumbered(rows), y[rows]) if rows.size else NOBODY

    def kept(array: Array) -> Array:
        return array if whole else array[keep]

    data: Dataset = ArrayDataset(
        {modality: kept(array) for modality, array in samples.arrays.items()},
        None if samples.present is None else kept(samples.present),
    )
    task = Task(
        name=samples.name,
        data=Gathered(data, samples.sources) if samples.sources else data,
        classes=names,
        pool=renumbered(pool),
        validation=labelled(validation),
        test=labelled(test) if test.size else None,
        given=labelled(given),
        features=None if samples.features is None else kept(samples.features),
    )
    keys = tuple(samples.keys[row] for row in keep) if samples.keys else ()
    return Simulation(task, truth, keys, samples.bad, samples.sounds)
