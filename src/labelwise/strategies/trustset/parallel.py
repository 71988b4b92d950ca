"""Work done side by side, on as many threads as the caller lets linear algebra have; their number changes no result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from labelwise.functional.blocks import thread_count

T = TypeVar("T")


def allowed_threads() -> int:
    """Return how many threads may work: no more than the caller lets linear algebra have."""
    from threadpoolctl import threadpool_info

    return min(
        [thread_count(), *(int(p["num_threads"]) for p in threadpool_info() if p["user_api"] == "blas")]
    )


def done(work: Iterable[Callable[[], T]], threads: int) -> list[T]:
    """Return the results in their order; of work that is made on demand, little is held at a time."""
    if threads == 1:
        return [one() for one in work]
    results: list[T] = []
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads) as workers:
        for one in work:
            waiting.append(workers.submit(one))
            if len(waiting) > threads:
                results.append(waiting.popleft().result())
        results += [future.result() for future in waiting]
    return results


def ahead(items: Iterator[T], most: int) -> Generator[T, None, None]:
    """Yield the items, while a thread of their own makes up to so many of the next.

    Items are made one after the other, in their order. An error is raised where its item would be.
    """
    end: Any = object()
    with ThreadPoolExecutor(1) as worker:
        waiting: deque[Future[T]] = deque(worker.submit(next, items, end) for _ in range(most))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(worker.submit(next, items, end))
                yield item
        finally:
            for future in waiting:
                future.cancel()
