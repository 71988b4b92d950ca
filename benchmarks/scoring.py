"""Scores 1,000,000 x 100 float32 probabilities and picks 10,000, beside one pass over the same memory.

Run: python benchmarks/scoring.py (about a minute, 1 GB of memory). Writes results/scoring.json.

Everything is measured in turns within one run, so that a busy machine slows all alike: read the ratios. Two
references: `sum` is NumPy's own `probs.sum()` on one thread; `blocked` adds the rows up in the blocks and
threads that scoring uses, the fastest read of this memory that was found.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from labelwise.functional import scores
from labelwise.functional.batches import top
from labelwise.functional.blocks import Kernel, block_rows, sweep, thread_count
from labelwise.seeds import generator
from record import write

METRICS = ("least_confidence", "smallest_margin", "largest_margin", "entropy")


def made(n: int, classes: int) -> np.ndarray:
    """Return seeded probabilities as a softmax gives them: mostly sure, all positive."""
    rng = generator(0, "benchmarks", "scoring")
    probs = np.empty((n, classes), np.float32)
    for start in range(0, n, 1_000):  # small steps: peak memory must be that of the array
        logits = rng.normal(scale=3, size=probs[start : start + 1_000].shape).astype(np.float32)
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        probs[start : start + 1_000] = e / e.sum(axis=1, keepdims=True)
    return probs


def blocked_sum(probs: np.ndarray) -> np.ndarray:
    """Add every row up in the blocks and threads that scoring uses."""
    sums, ones = np.empty(len(probs), np.float32), np.ones(probs.shape[1], np.float32)

    def make(rows: int) -> Kernel:
        return lambda part, first: np.vecdot(part, ones, out=sums[first : first + len(part)])

    sweep(probs, make, rows=block_rows(4 * probs.shape[1]))
    return sums


def peak_resident() -> int:
    """Return the most bytes this process has had in memory (Linux: ru_maxrss would count the parent's)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--pick", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--memory-of", choices=METRICS, help=argparse.SUPPRESS)  # a process each
    asked = parser.parse_args()
    probs = made(asked.rows, asked.classes)

    def picked(name: str) -> np.ndarray:
        return top(getattr(scores, name)(probs), asked.pick, generator(0, "benchmarks", "ties"))

    if asked.memory_of:
        before = peak_resident()
        picked(asked.memory_of)
        print(peak_resident() - before)
        return

    work: dict[str, Callable[[], Any]] = {"sum": probs.sum, "blocked": lambda: blocked_sum(probs)}
    work |= {name: (lambda name=name: picked(name)) for name in METRICS}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(asked.repeats + 2):
        for name, function in work.items():
            began = perf_counter()
            function()
            if turn >= 2:  # two to warm up
                seconds[name].append(perf_counter() - began)
    medians = {name: statistics.median(runs) for name, runs in seconds.items()}
    fastest = {name: min(runs) for name, runs in seconds.items()}
    extra: dict[str, dict[str, float]] = {}
    for name in METRICS:
        tracemalloc.start()
        picked(name)
        traced = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        again = [sys.executable, __file__, "--memory-of", name, "--rows", str(asked.rows)]
        again += ["--classes", str(asked.classes), "--pick", str(asked.pick)]
        resident = int(subprocess.run(again, capture_output=True, text=True, check=True).stdout)
        extra[name] = {"traced_mb": round(traced / 1e6, 1), "resident_mb": round(resident / 1e6, 1)}
    size = probs.nbytes / 1e9
    results = {
        name: {
            "ratio_to_sum": round(medians[name] / medians["sum"], 2),
            "ratio_to_blocked": round(medians[name] / medians["blocked"], 2),
            "within_2x_of_sum": medians[name] <= 2 * medians["sum"],
            "fastest_ratio_to_sum": round(fastest[name] / fastest["sum"], 2),
            **extra[name],
        }
        for name in METRICS
    }
    path = write(
        "scoring",
        {
            "what": f"score {asked.rows} x {asked.classes} float32 and pick {asked.pick}, in one process",
            "seed": 0,
            "threads": thread_count(),
            "gigabytes": size,
            "gigabytes_per_second": {name: round(size / medians[name], 1) for name in ("sum", "blocked")},
            "median_seconds": {name: round(value, 4) for name, value in medians.items()},
            "results": results,
            "target": "median within 2x of one pass over the array, extra memory under 200 MB",
            "runs_seconds": {name: [round(run, 4) for run in runs] for name, runs in seconds.items()},
        },
    )
    for name, result in results.items():
        print(f"{name:17s} {medians[name] * 1e3:6.1f} ms  {result}")
    print({name: f"{medians[name] * 1e3:.1f} ms" for name in ("sum", "blocked")}, path)


if __name__ == "__main__":
    main()
