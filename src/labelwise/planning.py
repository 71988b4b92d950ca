"""What a selection will cost on this machine: seconds and memory, told by a few short runs on made-up arrays."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.checks import Array, check_count
from labelwise.errors import InputError
from labelwise.proposing import proposed
from labelwise.seeds import generator
from labelwise.signals import Signals, View
from labelwise.strategies import make
from labelwise.strategies.base import Strategy

# What a cost may grow with, simplest first; each term gets a share of at least nothing.
Terms = Callable[[float, float], tuple[float, ...]]
TIME: tuple[Terms, ...] = (
    lambda n, b: (1, n, b, n * b),
    lambda n, b: (1, n, b, n * b, n * n, n * b * b),
)
MEMORY: tuple[Terms, ...] = (
    lambda n, b: (1, n, b),
    lambda n, b: (1, n, b, n * b, b * b),  # never n * n: no strategy may hold that (law M)
)
# A simple form is believed where it misses no run by more than this share. Seconds of short runs are noisy.
TIME_MISS, MEMORY_MISS = 0.4, 0.1
FIRST = 500  # samples of the shortest run
SHARE = 8  # a run chooses at most this part of its pool, as selections do


@dataclass(frozen=True)
class Run:
    """One run of the calibration: what it took."""

    n: int
    batch: int
    seconds: float
    extra_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What a selection will take.

    Attributes:
        seconds: of choosing, with the threads this process may use; training and inference are not in it.
        extra_bytes: most memory at once beside the arrays.
        array_bytes: of the arrays that the strategy reads, were they in memory; memory maps are read block by block.
        runs: the calibration, shortest first. Where the last has the size asked for, nothing was extrapolated.
    """

    strategy: str
    n: int
    batch: int
    seconds: float
    extra_bytes: int
    array_bytes: int
    runs: tuple[Run, ...]


def forecast(
    strategy: str | Strategy,
    n: int,
    batch: int,
    *,
    n_classes: int = 10,
    width: int = 512,
    labelled: int = 1_000,
    draws: int = 10,
    dtype: str = "float32",
    seconds: float = 10,
    largest: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **params: Any,
) -> Forecast:
    """Return what selecting `batch` of n samples will take, from runs on ever larger made-up arrays.

    The first runs have 500 samples, the next ones twice as many and so on until the time is spent or n is reached; two
    sizes there are in any case, for one tells nothing of how a cost grows. Seconds and bytes are then fitted with 1, n, b
    (and n b for time), with n², n b² and b² only where these cannot explain the runs (least squares of relative errors,
    no negative share), and read off at n.

    Args:
        strategy: its name with `params`, or a Strategy.
        n: samples of the pool.
        batch: how many to choose.
        n_classes: C of probabilities.
        width: D of embeddings and features.
        labelled: samples in the labelled and the validation part.
        draws: S of posterior draws.
        dtype: of the arrays: "float16", "float32" or "float64".
        seconds: how long the calibration may start new runs, once two sizes were run.
        largest: most samples of a calibration run; None: as many as the time allows.
        seed: of the made-up arrays.
        progress: told (runs done, runs at most).

    Raises:
        InputError: a number is out of range; UnknownName: no such strategy.
    """
    check_count(n, "n", 1)
    check_count(batch, "batch", 1)
    if dtype not in ("float16", "float32", "float64"):
        raise InputError(f"dtype must be float16, float32 or float64; it is {dtype!r}.")
    if not seconds > 0:
        raise InputError(f"seconds must be above 0; it is {seconds!r}.")
    name = strategy if isinstance(strategy, str) else type(strategy).__name__
    chosen = make(strategy, **params) if isinstance(strategy, str) else strategy
    runs: list[Run] = []
    sizes = [size for size in _sizes(n, min(batch, n)) if size[0] <= max(FIRST, largest or n)]
    for k, (size, b) in enumerate(sizes):
        seen = _view(chosen, size, n_classes, width, labelled, draws, dtype, seed)
        if k == 0:  # imports and first allocations: no other run has any
            _propose(chosen, seen, b, seed)
            started = perf_counter()
        took, extra = _measured(lambda seen=seen, b=b: _propose(chosen, seen, b, seed))  # type: ignore[misc]
        runs.append(Run(size, b, took, extra))
        if progress is not None:
            progress(k + 1, len(sizes))
        spent = perf_counter() - started
        # the next run is up to four times as long, and made twice, for time and for memory
        if size > FIRST and (spent > seconds or spent + 8 * took > 2 * seconds):
            break
    last = runs[-1]
    per_sample = sum(v.nbytes for v in _arrays(seen.pool)) / last.n
    points = [(run.n, run.batch) for run in runs]
    told = _fitted(TIME, TIME_MISS, points, [run.seconds for run in runs], n, min(batch, n))
    memory = _fitted(MEMORY, MEMORY_MISS, points, [run.extra_bytes for run in runs], n, min(batch, n))
    if (last.n, last.batch) == (n, min(batch, n)):
        told, memory = last.seconds, max(memory, last.extra_bytes)
    return Forecast(
        name, n, batch, told, int(max(memory, last.extra_bytes)), int(per_sample * n), tuple(runs)
    )


def measured(
    strategy: Strategy, n: int, batch: int, *, n_classes: int = 10, width: int = 512, labelled: int = 1_000,
    draws: int = 10, dtype: str = "float32", seed: int = 0,
) -> Run:  # fmt: skip
    """Return what one selection from made-up arrays takes.

    Args: as `forecast`.
    """
    seen = _view(strategy, n, n_classes, width, labelled, draws, dtype, seed)
    return Run(n, batch, *_measured(lambda: _propose(strategy, seen, min(batch, n), seed)))


def _sizes(n: int, batch: int) -> Iterator[tuple[int, int]]:
    """Yield (samples, batch) of the runs: n doubles; a small batch and the whole one, where the pool allows it."""
    size = min(n, FIRST)
    while True:
        whole = min(batch, max(1, size // SHARE)) if size < n else batch
        if whole > 8 and size < n:
            yield size, whole // 4
        yield size, whole
        if size == n:
            return
        size = min(n, 2 * size)


def _propose(strategy: Strategy, view: View, b: int, seed: int) -> None:
    proposed(strategy, view, b, generator(seed, "plan"), who=type(strategy).__name__)


def _measured(work: Callable[[], None]) -> tuple[float, int]:
    """Return seconds of one run and most extra bytes of another: NumPy's count, or the process's growth if larger."""
    start = perf_counter()
    work()
    took = perf_counter() - start
    before = resident(reset=True)
    tracemalloc.start()
    try:
        work()
        traced = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return took, max(traced, resident() - before)


def resident(*, reset: bool = False) -> int:
    """Return the most bytes this process has had in memory since the last reset; 0 where the system does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0


def _fitted(
    forms: tuple[Terms, ...], miss: float, points: list[tuple[int, int]], values: list[Any], n: int, b: int
) -> float:
    """Return a fit's value at (n, b): non-negative least squares of relative errors.

    Far beyond the runs a term that only noise asked for would decide: the simplest form that misses no run by more
    than `miss` is taken, and the last one where none does.
    """
    from scipy.optimize import nnls

    y = np.maximum(np.array(values, dtype=float), 1e-9)
    told = 0.0
    for terms in forms:
        scale = np.array(terms(n, b), dtype=float)  # every share is that of the size asked for
        x = np.array([terms(*point) for point in points], dtype=float) / scale / y[:, None]
        shares, _ = nnls(x, np.ones(len(y)))
        told = float(shares.sum())
        if np.abs(x @ shares - 1).max() <= miss:
            break
    return told


def _arrays(signals: Signals) -> list[Array]:
    found = []
    for name in signals.names:
        value = signals.need(name)
        found += list(value) if isinstance(value, tuple) else [value]
    return found


def _view(
    strategy: Strategy, n: int, classes: int, width: int, labelled: int, draws: int, dtype: str, seed: int
) -> View:
    """Return made-up signals of the right shapes: clustered embeddings, logits linear in them, their softmax."""
    needs = strategy.needs

    def part(names: frozenset[str], rows: int, which: str) -> Signals:
        rng = generator(seed, "plan", which, rows)
        head = generator(seed, "plan", "head").normal(size=(width, classes)) / np.sqrt(width)
        centres = generator(seed, "plan", "centres").normal(size=(classes, width))
        y = rng.integers(classes, size=rows)
        embeddings = (centres[y] + rng.normal(size=(rows, width))).astype(np.float32)
        logits = embeddings @ head.astype(np.float32) * 3

        def softmax(values: NDArray[Any]) -> Array:
            e = np.exp(values - values.max(axis=-1, keepdims=True))
            return np.asarray(e / e.sum(axis=-1, keepdims=True), dtype=dtype)

        def drawn() -> Array:
            out = np.empty((rows, draws, classes), dtype)
            for s in range(draws):
                out[:, s] = softmax(logits + rng.normal(size=logits.shape).astype(np.float32))
            return out

        makers: dict[str, Callable[[], Any]] = {
            "probs": lambda: softmax(logits),
            "logits": lambda: logits.astype(dtype),
            "draws": drawn,
            "embeddings": lambda: embeddings.astype(dtype),
            "features": lambda: embeddings.astype(dtype),
            "modal_probs": lambda: np.stack([softmax(logits)] * 2, axis=1),
            "modal_embeddings": lambda: (embeddings.astype(dtype),) * 2,
            "evidence": lambda: np.stack([np.exp(logits).clip(max=1e3)] * 2, axis=1).astype(dtype),
            "coalitions": lambda: np.stack([softmax(logits)] * 4, axis=1),  # 2^M, and M = 2
            "present": lambda: np.ones((rows, 2), bool),
            "el2n": lambda: rng.random(rows).astype(dtype),
            "y": lambda: y,
        }
        plain = {name: makers[name]() for name in sorted(names) if not name.startswith("scalars.")}
        scalars = {
            name[8:]: rng.random(rows).astype(dtype) for name in sorted(names) if name.startswith("scalars.")
        }
        return Signals(np.arange(rows), **plain, scalars=scalars)

    return View(
        part(needs.pool, n, "pool"),
        part(needs.labelled, labelled, "labelled"),
        part(needs.validation, labelled, "validation"),
        classes,
        ("first", "second"),
    )
