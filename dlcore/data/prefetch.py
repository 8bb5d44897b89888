"""Items made ahead of time by a background thread."""

import threading
import weakref
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from kernels.errors import DataError

T = TypeVar("T")


class _Failure(NamedTuple):
    """What the thread raised; StopIteration when the items are at an end."""

    error: BaseException


class _Channel(Generic[T]):
    """What the thread and the consumer share.

    The thread takes a ticket before it makes an item, so the number of tickets bounds the items that wait.
    They are handed out by a queue rather than a semaphore, because `_stop` may run inside the garbage
    collector, at any point of any thread, where SimpleQueue.put is safe and a lock is not.
    """

    def __init__(self, tickets: int) -> None:
        self.items: SimpleQueue[T | _Failure] = SimpleQueue()
        self.tickets: SimpleQueue[None] = SimpleQueue()
        self.is_stopped = False
        for _ in range(tickets):
            self.tickets.put(None)


class Prefetcher(Iterator[T]):
    """Iterates over `items` in a thread of its own, at most `depth` items ahead of the consumer.

    An exception of `items` is raised in the consumer, with its traceback. The thread ends with the items;
    earlier, after the item that it is making, on `close`, when the Prefetcher is garbage collected and when
    the interpreter exits.

    Args:
        items: what to iterate over; belongs to the thread from now on.
        depth: how many items may wait, at least 1.
    """

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._channel: _Channel[T] = _Channel(depth)
        self._is_finished = False
        # A daemon, for the interpreter waits for others before it runs the finalizer that would end this one.
        self._thread = threading.Thread(
            target=_produce, args=(items, self._channel), name="dlcore-prefetch", daemon=True
        )
        self._thread.start()
        self._finalizer = weakref.finalize(self, _stop, self._channel, self._thread)

    def __next__(self) -> T:
        if self._is_finished:
            raise StopIteration
        if not self._thread.is_alive() and self._channel.items.empty():
            raise DataError(
                "this iteration was started before the process was forked, and its thread stayed behind; "
                "start a new one in the child"
            )
        item = self._channel.items.get()
        if not isinstance(item, _Failure):
            self._channel.tickets.put(None)
            return item
        self.close()
        try:
            raise item.error
        finally:
            del item  # its traceback refers to this frame

    def close(self) -> None:
        """End the thread; there are no items after this."""
        self._is_finished = True
        self._finalizer()


def _produce(items: Iterator[T], channel: _Channel[T]) -> None:
    try:
        while True:
            channel.tickets.get()
            if channel.is_stopped:
                return
            channel.items.put(next(items))
    except BaseException as error:
        channel.items.put(_Failure(error))


def _stop(channel: _Channel[T], thread: threading.Thread) -> None:
    channel.is_stopped = True
    channel.tickets.put(None)
    if thread is not threading.current_thread():  # the collector may run there
        thread.join()
