"""Reading, computing and writing at the same time: work ahead of whoever needs it, or behind.

NumPy, GDAL, zlib and TensorFlow let other threads of Python run while they work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(function: Callable[[Item], Result], items: Iterable[Item], threads: int = 1) -> Iterator[Result]:
    """Results of a function in the order of its items; in threads, the next are made while one is used.

    At most one more than there are threads lies in memory. What the function raises is raised in its turn.

    >>> list(ahead(lambda number: number**2, range(4), threads=2))
    [0, 1, 4, 9]
    """
    with ThreadPoolExecutor(threads) as pool:
        coming: deque[Future[Result]] = deque()
        try:
            for item in items:
                coming.append(pool.submit(function, item))
                if len(coming) > threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:  # whoever wanted the results may have given up
            for future in coming:
                future.cancel()


@contextmanager
def behind(work: Callable[..., Any]) -> Iterator[Callable[..., None]]:
    """Hand out a function that has the work done in a thread, one call after the other.

    A call waits until the one before the last is done, so that no more than two calls' arguments lie in
    memory. What the work raises is raised by a later call, or at the end of the block.
    """
    with ThreadPoolExecutor(1) as pool:
        left: deque[Future[Any]] = deque()

        def later(*arguments: Any) -> None:
            while len(left) > 1:
                left.popleft().result()
            left.append(pool.submit(work, *arguments))

        try:
            yield later
            while left:
                left.popleft().result()
        finally:
            for future in left:
                future.cancel()
