"""Why a strategy did what it did: what it asked for, which classes it forgot, how varied and how noisy its batches were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.bench.results import Run
from labelwise.bench.settings import Group
from labelwise.data.truth import Simulation
from labelwise.errors import LabelwiseError
from labelwise.functional.monitor import (
    Share,
    class_entropy,
    exclusion_alarms,
    failure_signatures,
    mean_pairwise_distance,
    near_duplicates,
    noisy_share,
)
from labelwise.oracle import SimulatedOracle
from labelwise.seeds import generator

# Spec (plain values) -> its data; raises where they are not there.
Load = Callable[[Mapping[str, Any]], Simulation]
Floats = NDArray[np.float64]
Vectors = Callable[[NDArray[np.int64]], Floats]
# Two samples of a batch are near copies if they are closer than this share of the pool's mean distance.
NEAR = 0.2


@dataclass(frozen=True)
class GivenUp:
    """A class that one run lost ("lost") or asked for no longer ("ignored").

    `round` counts measured fits if lost, batches if ignored; `labels` had been bought by then.
    """

    seed: int
    class_index: int
    labels: float
    words: str
    kind: str
    round: int


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What one strategy's runs in one setting tell beside their accuracy. R rounds, P fits, C classes.

    Attributes:
        strategy: its label.
        seeds: runs that enter.
        fit_labels: (P,) labels bought at each fit.
        per_class: (P, C) mean accuracy of each class; NaN where no such sample was measured.
        ask_labels: (R,) labels bought when each round was answered.
        counts: (R, C) mean number of labels answered in each round, by the class that was said.
        evenness: (R,) entropy of the labelled set's classes over log C: 1 where all classes are alike, 0 for one class.
        alarms: each class that was given up, by seed.
        signatures: what went wrong, in words, with how many seeds show it.
        confusions: (labels bought, (C, C) counts summed over seeds) at the first, the middle and the last fit; () if
            none were kept.
        diversity: "distance" (mean pairwise), "entropy" (of the classes said, over log C) and "copies" (share with a
            near copy in the batch) -> (R,) mean over seeds, NaN where undefined; {} without data.
        noisy: share of wrong labels among those the strategy chose, beside the pool's; None without noise or data.
        labelled_share: labels bought over pool.
    """

    strategy: str
    seeds: tuple[int, ...]
    fit_labels: Floats
    per_class: Floats
    ask_labels: Floats
    counts: Floats
    evenness: Floats
    alarms: tuple[GivenUp, ...]
    signatures: tuple[str, ...]
    confusions: tuple[tuple[float, Floats], ...]
    diversity: Mapping[str, Floats]
    noisy: Share | None
    labelled_share: float


def simulate(found: Group, load: Load | None) -> tuple[Simulation | None, str]:
    """Return the data of a setting, or None and the reason in words.

    Data that differ from those the runs saw are refused, too: their thumbnails would show the wrong samples.
    """
    if load is None:
        return (
            None,
            "The data were not given to this report: diversity, wrong labels and samples are left out.",
        )
    run = next(iter(found.runs.values()))[0]
    try:
        simulation = load(run.spec)
    except (LabelwiseError, OSError) as error:
        return (
            None,
            f"The data could not be loaded, so diversity, wrong labels and samples are left out: {error}",
        )
    opened = run.state.opened
    if opened is not None and simulation.task.fingerprint()["sha256"] != opened.task["sha256"]:
        return (
            None,
            "The data differ from those that the runs saw: diversity, wrong labels and samples are left out.",
        )
    return simulation, ""


def answered(run: Run, n_classes: int) -> Floats:
    """Return (R, C): labels answered in each round, by the class that was said; passes are left out."""
    counts = np.zeros((len(run.state.asks), n_classes))
    for ask in run.state.asks:
        for i in ask.ids:
            answer = run.state.answers.get(i)
            if answer is not None and answer.label is not None:
                counts[ask.round, answer.label] += 1
    return counts


def diagnose(
    found: Group, classes: Sequence[str], simulation: Simulation | None, reference: str
) -> tuple[Diagnosis, ...]:
    """Return a diagnosis of each compared strategy of a setting, in the setting's order.

    Args:
        found: the setting.
        classes: their names.
        simulation: the data with their truth; None leaves out diversity and wrong labels.
        reference: the strategy that the others should not fall behind.
    """
    space = None if simulation is None else _space(simulation)
    of_reference = _accuracies(found, found.compared[reference])
    return tuple(
        _one(name, runs, found, classes, simulation, space, None if name == reference else of_reference)
        for name, runs in found.compared.items()
    )


def _one(
    name: str,
    runs: Sequence[Run],
    found: Group,
    classes: Sequence[str],
    simulation: Simulation | None,
    space: tuple[Vectors, float] | None,
    of_reference: tuple[Floats, Floats] | None,
) -> Diagnosis:
    n_classes = len(classes)
    labels, accuracy = _accuracies(found, runs)
    each = [_per_class(found, run, n_classes)[: labels.size] for run in runs]
    per_class = _mean(each)
    asked = [answered(run, n_classes) for run in runs]
    rounds = min(len(counts) for counts in asked)
    counts = np.mean([part[:rounds] for part in asked], axis=0)
    bought = np.cumsum(counts.sum(axis=1))
    alarms = []
    for run, shares, part in zip(runs, each, asked, strict=True):
        ends = np.cumsum(part.sum(axis=1))
        for alarm in exclusion_alarms(shares, part, classes=classes):
            assert alarm.class_index is not None
            at = labels[min(alarm.round, labels.size - 1)] if alarm.kind == "lost" else ends[alarm.round]
            alarms.append(
                GivenUp(run.seed, alarm.class_index, float(at), alarm.words, alarm.kind, alarm.round)
            )
    random = None
    if of_reference is not None and np.array_equal(of_reference[0], labels):
        random = of_reference[1].mean(axis=0)
    # Means, since the two may have unequal seeds.
    signs = failure_signatures(
        labels, accuracy.mean(axis=0), random=random, per_class=per_class, classes=classes
    )
    return Diagnosis(
        name,
        tuple(run.seed for run in runs),
        labels,
        per_class,
        bought,
        counts,
        np.array([_evenness(row) for row in np.cumsum(counts, axis=0)]),
        tuple(alarms),
        tuple(sign.words for sign in signs),
        _confusions(found, runs, labels),
        {} if simulation is None or space is None else _diversity(runs, rounds, n_classes, space),
        None if simulation is None else _noisy(found, runs, simulation),
        float(np.mean([len(run.state.labels) / _pool(run) for run in runs])),
    )


def _pool(run: Run) -> int:
    assert run.state.opened is not None  # a run with a fit was opened
    return int(run.state.opened.task["pool"])


def _measured(found: Group, run: Run) -> list[tuple[int, Mapping[str, Any]]]:
    """Return (labels bought, metrics) of each measured fit; of two on the same labels the later one."""
    given = 0 if run.state.opened is None else int(run.state.opened.task.get("given", 0))
    points: dict[int, Mapping[str, Any]] = {}
    for fit in run.fits:
        metrics = fit.test if found.part == "test" else fit.validation
        if "accuracy" in metrics:
            points[fit.n_labelled - given] = metrics
    return sorted(points.items())


def _accuracies(found: Group, runs: Sequence[Run]) -> tuple[Floats, Floats]:
    """Return (P,) labels of the first run and (seeds, P) accuracies, cut to the shortest run."""
    curves = [_measured(found, run) for run in runs]
    length = min(map(len, curves))
    labels = np.array([n for n, _ in curves[0][:length]], dtype=float)
    return labels, np.array(
        [[metrics["accuracy"] for _, metrics in curve[:length]] for curve in curves], dtype=float
    )


def _per_class(found: Group, run: Run, n_classes: int) -> Floats:
    rows = [metrics.get("per_class") or [None] * n_classes for _, metrics in _measured(found, run)]
    return np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=float)


def _mean(parts: Sequence[Floats] | Floats) -> Floats:
    """Return the mean over seeds; NaN only where every seed is NaN."""
    stack = np.array(parts)
    known = np.isfinite(stack)
    total = np.where(known, stack, 0.0).sum(axis=0)
    n = known.sum(axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _evenness(counts: Floats) -> float:
    if not counts.sum():
        return float("nan")
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum() / np.log(counts.size))


def _confusions(found: Group, runs: Sequence[Run], labels: Floats) -> tuple[tuple[float, Floats], ...]:
    kept = [[metrics.get("confusion") for _, metrics in _measured(found, run)][: labels.size] for run in runs]
    picks = sorted({0, (labels.size - 1) // 2, labels.size - 1})
    if any(matrices[k] is None for matrices in kept for k in picks):
        return ()
    summed = [np.array([np.array(matrices[k], dtype=float) for matrices in kept]).sum(axis=0) for k in picks]
    return tuple((float(labels[k]), matrix) for k, matrix in zip(picks, summed, strict=True))


def _space(simulation: Simulation) -> tuple[Vectors, float] | None:
    """Return ids -> (b, D) vectors in which batches are compared, and the distance that counts as a near copy.

    The task's features, or else the raw inputs: of several modalities all that are numbers, side by side, each divided by
    how far it varies, and zeros where a sample lacks one. Of samples that have none of them there is no vector. Read
    batch by batch.
    """
    task = simulation.task
    some = generator(0, "report", "scale").permutation(task.pool)[:500]
    if task.features is not None:
        features = task.features

        def given(ids: NDArray[np.int64]) -> Floats:
            return _flat(features[ids])

        return given, NEAR * mean_pairwise_distance(given(some))
    batch = task.data.batch(some)
    columns = [k for k, name in enumerate(task.data.modalities) if batch[name].dtype.kind in "fiub"]
    if not columns:
        return None
    names = [task.data.modalities[k] for k in columns]
    scales = [1.0]
    if len(names) > 1:
        spreads = [np.sqrt(np.var(_flat(batch[name]), axis=0).sum()) for name in names]
        scales = [float(spread) or 1.0 for spread in spreads]

    def vectors(ids: NDArray[np.int64]) -> Floats:
        read = task.data.batch(ids)
        there = np.ones((len(ids), len(names)), bool)
        if "present" in read:
            there = np.asarray(read["present"], bool)[:, columns]
        parts = [
            np.where(there[:, k, None], _flat(read[name]) / scale, 0.0)
            for k, (name, scale) in enumerate(zip(names, scales, strict=True))
        ]
        return np.concatenate(parts, axis=1)[there.any(axis=1)]

    return vectors, NEAR * mean_pairwise_distance(vectors(some))


def _flat(values: Any) -> Floats:
    """Return samples as rows of finite float64 numbers."""
    return np.nan_to_num(np.asarray(values, dtype=np.float64).reshape(len(values), -1))


def _diversity(
    runs: Sequence[Run], rounds: int, n_classes: int, space: tuple[Vectors, float]
) -> dict[str, Floats]:
    vectors, near = space
    distance = np.full((len(runs), rounds), np.nan)
    entropy, copies = distance.copy(), distance.copy()
    for k, run in enumerate(runs):
        labels = run.state.labels
        for t, ask in enumerate(run.state.asks[:rounds]):
            ids = np.array(ask.ids)
            if ids.size < 2:
                continue
            points = vectors(ids)
            if len(points) > 1:
                distance[k, t] = mean_pairwise_distance(points)
                copies[k, t] = np.unique(near_duplicates(points, near)).size / len(points)
            said = [labels[i] for i in ask.ids if i in labels]
            if said:
                entropy[k, t] = class_entropy(said, n_classes) / np.log(n_classes)
    return {"distance": _mean(distance), "entropy": _mean(entropy), "copies": _mean(copies)}


def _noisy(found: Group, runs: Sequence[Run], simulation: Simulation) -> Share | None:
    """Return the share of wrong labels among what the strategy chose (the common start left out); None without noise."""
    oracle = found.shared.get("oracle", {})
    if not oracle.get("noise"):
        return None
    task, truth = simulation.task, simulation.truth
    wrong: list[bool] = []
    bases = []
    for run in runs:
        said = SimulatedOracle(
            truth, task.n_classes, noise=oracle["noise"], passes=oracle.get("passes", 0.0), seed=run.seed
        ).said
        told = task.pool[said[task.pool] >= 0]
        bases.append(float(np.mean(said[told] != truth[told])))
        labels = run.state.labels
        wrong += [labels[i] != truth[i] for ask in run.state.asks[1:] for i in ask.ids if i in labels]
    return noisy_share(wrong, float(np.mean(bases))) if wrong else None
