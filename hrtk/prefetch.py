"""Work that is done in a thread while its caller does something else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar('Item')
AHEAD = 3  # items that wait for their consumer; a 1080p frame takes 6 MB


def prefetched(items: Iterable[Item], ahead: int = AHEAD) -> Iterator[Item]:
    """Yields the same items in the same order, computed in a thread up to ``ahead`` items before they are asked for.

    The gain is the time in which OpenCV, torch and numba release the interpreter's lock. The items must not draw
    random numbers, because the order of draws of two threads is not defined.

    Args:
        items: evaluated in the thread, by this iterator alone.
        ahead: number of items that wait at most.

    Raises:
        Exception: the one that ``items`` raises, at its place in the order.
    """
    done: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    room = threading.Semaphore(ahead)
    stopped = threading.Event()

    def work() -> None:
        try:
            for item in items:
                done.put(('item', item))
                room.acquire()
                if stopped.is_set():
                    return
            done.put(('end', None))
        except BaseException as error:
            done.put(('error', error))
        finally:
            if isinstance(items, Generator):
                items.close()  # ends the threads of iterators that it reads from

    thread = threading.Thread(target=work, name='prefetch', daemon=True)
    thread.start()
    try:
        while True:
            kind, value = done.get()
            if kind == 'error':
                raise value
            if kind == 'end':
                return
            room.release()
            yield value
    finally:
        stopped.set()
        room.release()
        thread.join()
