"""Which taps of a sliding window meet what: the taps that lie inside the input, and those that meet an input cell."""

import functools
import math
from typing import TypeAlias

import numpy as np

from kernels.cpu.jit import jit
from kernels.geometry import Window
from kernels.types import Array

#: Bytes from which on an input is fetched a row ahead, as it comes from far: a window's rows are many short streams,
#: which no prefetcher follows. Below, that costs more than it saves.
FAR_BYTES = 1 << 23

#: (H, W, C, OH, OW)
Sizes: TypeAlias = tuple[int, int, int, int, int]


def flat(block: Array) -> Array:
    """The block's elements in their order: in compiled code, reshaping costs more than a short row's work."""
    return block.reshape(-1)


@jit
def taps_inside(start: int, dilation: int, taps: int, size: int) -> tuple[int, int]:
    """The range of taps t whose cell start + t · dilation lies inside [0, size)."""
    first, last = 0, taps
    if start < 0:
        first = min(taps, (dilation - 1 - start) // dilation)
    if start + (taps - 1) * dilation >= size:
        last = max(first, (size - 1 - start) // dilation + 1)
    return first, last


@functools.lru_cache(maxsize=1024)
def meeting_taps(window: Window) -> tuple[Array, Array]:
    """For each input row, and for each input column: the windows that it lies in.

    Returns:
        Two arrays, of (H + 1, 3) and (W + 1, 3). Row h, (tap, output, count), says that tap `tap` of the window of
        output `output` meets it. The next of all `count` is `step` taps on and `back` outputs before; these two
        stand in the last row, (step, back, 0).
    """
    height, width = (
        _meeting_taps(*axis)
        for axis in zip(
            window.input_size,
            window.output_size,
            window.kernel_size,
            window.stride,
            (window.top, window.left),
            window.dilation,
            strict=True,
        )
    )
    return height, width


def _meeting_taps(size: int, outputs: int, kernel: int, stride: int, before: int, dilation: int) -> Array:
    # Cell h is tap t of the window of output o where h = o · stride + t · dilation - before.
    reach = np.arange(size)[:, None] + before - dilation * np.arange(kernel)  # o · stride
    meets = (reach % stride == 0) & (reach >= 0) & (reach < outputs * stride)
    table = np.zeros((size + 1, 3), np.int64)
    table[:size, 0] = meets.argmax(axis=1)
    table[:size, 1] = reach[np.arange(size), table[:size, 0]] // stride
    table[:size, 2] = meets.sum(axis=1)
    table[size, :2] = stride // math.gcd(stride, dilation), dilation // math.gcd(stride, dilation)
    return table
