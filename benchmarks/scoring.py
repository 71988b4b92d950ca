"""Scores 1,000,000 x 100 float32 probabilities and picks 10,000, beside one pass over the same memory.

Run: python benchmarks/scoring.py (about a minute, 1 GB of memory). Writes results/scoring.json.

Everything is measured in turns within one run, so that a busy machine slows all alike: read the ratios. The
reference is `sum`, NumPy's own `probs.sum()`, which no thread helps; `blocked` adds the rows up in the blocks that
scoring uses. Each metric runs on one thread and on as many as cores: on a machine with other work the threads share
what one would have had, and CPU seconds of one thread against those of `sum` tell most.

Where the floor is, in ns a row of 100 float32 on an AVX-512 core: reading and adding up 13 (the pass itself, which
the check of rows needs), a maximum or minimum of rows 12, the logarithm 20, a dot product 12, the distance of each
entry from the lead 23, counting ties 8. So least confidence costs two passes, largest margin and entropy three,
unless threads share it; `reduceat` is the fastest maximum of rows and holds the interpreter lock. The smallest margin
would cost five in NumPy (68 ns), so it has a kernel in C (`_rows.c`, 19 ns, used where a compiler was there). Tried for
the runner-up in NumPy and slower: argmax and striking out (50, branches are mispredicted), sort (92), partition (190),
maximum and minimum of halves (44 for the first halving), a transposed copy and running top two (78 in all), int32
instead of uint32 (same), float32 (a maximum 23). numba (28 ns) takes 208 MB and half a second to import. BLAS for the
sum saves 5 and starts threads.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
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


def blocked_sum(probs: np.ndarray, threads: int) -> np.ndarray:
    """Add every row up in the blocks that scoring uses."""
    sums, ones = np.empty(len(probs), np.float32), np.ones(probs.shape[1], np.float32)

    def make(rows: int) -> Kernel:
        return lambda part, first: np.vecdot(part, ones, out=sums[first : first + len(part)])

    sweep(probs, make, rows=block_rows(4 * probs.shape[1]), threads=threads)
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

    def picked(name: str, threads: int) -> np.ndarray:
        values = getattr(scores, name)(probs, threads=threads)
        return top(values, asked.pick, generator(0, "benchmarks", "ties"))

    if asked.memory_of:
        before = peak_resident()
        picked(asked.memory_of, thread_count())
        print(peak_resident() - before)
        return

    counts = sorted({1, thread_count()})
    work: dict[str, Callable[[], Any]] = {"sum": probs.sum}
    for threads in counts:
        work[f"blocked, {threads}"] = lambda threads=threads: blocked_sum(probs, threads)
        for name in METRICS:
            work[f"{name}, {threads}"] = lambda name=name, threads=threads: picked(name, threads)
    wall: dict[str, list[float]] = {name: [] for name in work}
    cpu: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(asked.repeats + 2):
        for name, function in work.items():
            began, spent = perf_counter(), process_time()
            function()
            if turn >= 2:  # two to warm up
                wall[name].append(perf_counter() - began)
                cpu[name].append(process_time() - spent)
    timed = {
        name: {
            "median_ms": round(1e3 * statistics.median(wall[name]), 1),
            "fastest_ms": round(1e3 * min(wall[name]), 1),
            "cpu_ms": round(1e3 * min(cpu[name]), 1),
            "median_ratio": round(statistics.median(wall[name]) / statistics.median(wall["sum"]), 2),
            "fastest_ratio": round(min(wall[name]) / min(wall["sum"]), 2),
        }
        for name in work
    }
    memory: dict[str, dict[str, float]] = {}
    for name in METRICS:
        tracemalloc.start()
        picked(name, thread_count())
        traced = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        again = [sys.executable, __file__, "--memory-of", name, "--rows", str(asked.rows)]
        again += ["--classes", str(asked.classes), "--pick", str(asked.pick)]
        resident = int(subprocess.run(again, capture_output=True, text=True, check=True).stdout)
        memory[name] = {"traced_mb": round(traced / 1e6, 1), "resident_mb": round(resident / 1e6, 1)}
    size = probs.nbytes / 1e9
    path = write(
        "scoring",
        {
            "what": f"score {asked.rows} x {asked.classes} float32 and pick {asked.pick}, in one process",
            "seed": 0,
            "threads": counts,
            "gigabytes": size,
            "gigabytes_per_second_of_sum": round(size / min(wall["sum"]), 1),
            "target": "within 2x of one pass over the array, extra memory under 200 MB",
            "within_2x": {
                name: min(timed[f"{name}, {threads}"]["fastest_ratio"] for threads in counts) <= 2
                for name in METRICS
            },
            "what, threads": timed,
            "extra_memory": memory,
            "runs_ms": {name: [round(1e3 * run, 1) for run in runs] for name, runs in wall.items()},
        },
    )
    for name, result in timed.items():
        print(f"{name:20s}", result)
    print(memory, path)


if __name__ == "__main__":
    main()
