"""Prefetching: the next piece of work is begun while the last one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
_END = object()


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield what an iterable yields, in its order, the next item made in a thread meanwhile.

    What making an item raises is raised where the item would have come. At most one item waits, so that no
    more than two of them are in memory. numpy, GDAL and TensorFlow let other threads run while they work.

    >>> list(ahead(number**2 for number in range(4)))
    [0, 1, 4, 9]
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(next, iterator, _END)
        while (item := upcoming.result()) is not _END:
            upcoming = pool.submit(next, iterator, _END)
            yield item  # type: ignore[misc]
            del item  # not held while the one after the next is made
