"""Walks a tall array in blocks that stay in the cache, on a few threads; no thread count changes a result."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from labelwise.checks import Array, check_count
from labelwise.errors import InputError

# Work on one block and the number of its first row; made once a thread, so that it may own its buffers.
Kernel = Callable[[Array, int], None]

BLOCK_BYTES = 3 * 2**20  # measured: smaller blocks pay for Python calls, larger ones fall out of the cache
MOST_THREADS = 8  # the memory bus is full long before


def thread_count(threads: int | None = None) -> int:
    """Return how many threads to use: as asked, or LABELWISE_THREADS, or one a usable core and at most 8.

    Raises:
        InputError: the number is no whole number of at least 1.
    """
    if threads is not None:
        return check_count(threads, "threads", 1)
    asked = os.environ.get("LABELWISE_THREADS")
    if asked is not None:
        if not asked.strip().isdecimal() or int(asked) < 1:
            raise InputError(f"LABELWISE_THREADS must be a whole number of at least 1; it is {asked!r}.")
        return int(asked)
    affinity = getattr(os, "sched_getaffinity", None)  # what this process may use, not what the machine has
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, MOST_THREADS)


def block_rows(row_bytes: int, block: int | None = None) -> int:
    """Return how many rows make a block: as asked, or as many as fill about 3 MiB.

    Args:
        row_bytes: bytes that one row takes in the type it is worked on.
        block: rows a block, None for the default.

    Raises:
        InputError: `block` is no whole number of at least 1.
    """
    if block is not None:
        return check_count(block, "block", 1)
    return max(1, BLOCK_BYTES // max(1, row_bytes))


def sweep(array: Array, make: Callable[[int], Kernel], *, rows: int, threads: int | None = None) -> None:
    """Run a kernel over all blocks of `array`, in parallel.

    Each thread walks one contiguous share of the blocks with a kernel of its own. Blocks begin at multiples
    of `rows` whatever the number of threads, so results do not depend on it; of several errors the one of
    the lowest row is raised.

    Args:
        array: (n, ...), a memory map welcome.
        make: builds a kernel; called once a thread with the number of rows that its buffers must hold.
        rows: rows a block.
        threads: see `thread_count`.
    """
    n = len(array)
    starts = range(0, n, rows)
    workers = min(thread_count(threads), len(starts))
    tallest = min(rows, n)

    def walk(share: range) -> None:
        kernel = make(tallest)
        with np.errstate(
            all="ignore"
        ):  # kernels look at their results; flags would only repeat it as warnings
            for start in share:
                kernel(array[start : start + rows], start)

    if workers <= 1:
        walk(starts)
        return
    cuts = [len(starts) * w // workers for w in range(workers + 1)]
    shares = [starts[low:high] for low, high in pairwise(cuts)]
    with ThreadPoolExecutor(workers, thread_name_prefix="labelwise-sweep") as pool:
        for _ in pool.map(walk, shares):  # in the order of shares: the first error is that of the lowest row
            pass
