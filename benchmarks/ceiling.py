"""What the machine can do at most, measured in the run that is held against it.

* Arithmetic: the microkernel's fullest tile over operands that stay in the first-level cache, on every thread at once.
  Winograd's convolutions do fewer multiplications than their definition, so they may come out above it.
* Memory: a copy of as many bytes as a kernel must move, on every thread at once; the better of a loop of our own
  and of the C library's. What fits into the caches is copied within them.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import carray

from benchmarks.timing import wait_until_asleep
from kernels.cpu.microkernel import WIDE_ROWS, panel_address, run_panel, tile_columns
from kernels.cpu.rows import row_kernel
from kernels.cpu.tasks import address_of, run_tasks, task_address
from kernels.cpu.threads import get_num_threads
from kernels.types import Array

_STEPS = 192
#: Rows of A lie so many elements apart, that they do not meet in the same lines of the cache.
_PITCH = _STEPS + 16
#: Calls of the tile per task: about a millisecond's work.
_CALLS = 2000
_SECONDS = 0.2
_LEAST_BYTES, _MOST_BYTES = 1 << 20, 1 << 28


def arithmetic(seconds: float = _SECONDS) -> float:
    """float32 operations per second on `get_num_threads()` threads: the best of many tries."""
    count = get_num_threads()
    width = tile_columns(4)
    a = np.ones((count, WIDE_ROWS, _PITCH), np.float32)
    b = np.ones((count, _STEPS, width), np.float32)
    c = np.ones((count, WIDE_ROWS, width), np.float32)
    kind = panel_address(a.dtype)
    plan = (kind, address_of(a), address_of(b), address_of(c), WIDE_ROWS, width, _STEPS, _PITCH, _CALLS)
    task = task_address(_tile_task)
    took = _fastest(lambda: run_tasks(task, count, plan, parallel=True), seconds)
    return 2 * count * _CALLS * WIDE_ROWS * width * _STEPS / took


def _tile_task(plan: Any, number: int, scratch: int) -> None:
    """The same tile again and again, on operands of this task's own."""
    kind, a, b, c, rows, columns, steps, pitch, calls = carray(plan, (9,))
    a += number * rows * pitch * 4
    b += number * steps * columns * 4
    c += number * rows * columns * 4
    for _ in range(calls):
        operands = (a, b, c, 0, rows, columns, 1, 1, steps, 0, 0, 1, pitch, 0, 0, columns, columns, columns, 0)
        run_panel(kind, operands)


class CopyBandwidth:
    """Bytes per second, read and written together, that a copy moves; measured once for each power of two."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self.measured: dict[int, float] = {}

    def of(self, traffic: int) -> float:
        """For a copy that reads and writes `traffic` bytes together, rounded up to a power of two from 1 to 256 MiB."""
        size = min(max(1 << (traffic - 1).bit_length(), _LEAST_BYTES), _MOST_BYTES)
        if size not in self.measured:
            self.measured[size] = size / min(_copy_seconds(size // 2, self._seconds))
        return self.measured[size]


def _copy_seconds(size: int, seconds: float) -> tuple[float, float]:
    """Seconds to copy `size` bytes: by compiled rows, and by the C library."""
    count = get_num_threads()
    source = np.ones((64 * count, size // (64 * count * 4)), np.float32)
    target = np.ones_like(source)
    rows = _fastest(lambda: _copy_row(len(source), source, target), seconds)
    parts = list(zip(np.array_split(target, count), np.array_split(source, count), strict=True))
    with ThreadPoolExecutor(count) as pool:
        library = _fastest(lambda: list(pool.map(lambda part: np.copyto(*part), parts)), seconds)
    return rows, library


@row_kernel
def _copy_row(source: Array, target: Array, row: int) -> None:
    for column in range(source.shape[1]):
        target[row, column] = source[row, column]


def _fastest(call: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest of as many calls as fit, the first not counted."""
    call()
    wait_until_asleep()
    best, deadline = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < deadline or best == np.inf:
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return float(best)
