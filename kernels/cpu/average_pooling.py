"""Average pooling, with vector lanes over the channels.

As in `max_pooling`, each kernel gathers what belongs to the row that it fills.
"""

from typing import TypeAlias

import numpy as np

from kernels import layout
from kernels.cpu.arrays import Numbers, channels_last, numbers, outputs_inside
from kernels.cpu.jit import jit
from kernels.cpu.rows import row_kernel
from kernels.geometry import Padding, Size, Window, pooling_window
from kernels.types import Array, Shape4

#: The cells that an average counts: (first row, last row, first column, last column), without the last ones.
Counted: TypeAlias = Shape4


def avg_pool2d(
    x: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window. Reads x once from memory, writes y once."""
    window = pooling_window("avg_pool2d", x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    y = np.empty((x.shape[0], *window.output_size, x.shape[1]), x.dtype)
    _avg_pool2d(y.shape[0] * y.shape[1], channels_last(x), y, _counted(window, count_include_pad), numbers(window))
    return layout.from_channels_last(y)


@row_kernel
def _avg_pool2d(x: Array, y: Array, counted: Counted, window: Numbers, row: int) -> None:
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    n, oh = divmod(row, OH)
    KH, KW, SH, SW, top, left, _, _ = window
    y[n, oh] = 0
    for i in range(KH):
        h = oh * SH + i - top
        if 0 <= h < H:
            for j in range(KW):
                first, last = outputs_inside(j - left, SW, W, OW)
                for ow in range(first, last):
                    for c in range(C):
                        y[n, oh, ow, c] += x[n, h, ow * SW + j - left, c]
    rows = _count(oh * SH - top, KH, counted[0], counted[1])
    for ow in range(OW):
        count = y.dtype.type(rows * _count(ow * SW - left, KW, counted[2], counted[3]))
        for c in range(C):
            y[n, oh, ow, c] /= count


def avg_pool2d_grad(
    grad_output: Array,
    input_shape: Shape4,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The gradient of `avg_pool2d`: each output's gradient is shared out equally over its window.

    Reads dy once from memory (again from cache for the other cells of a window), writes dx once.
    """
    N, C, H, W = input_shape
    window = pooling_window("avg_pool2d_grad", (H, W), kernel_size, stride, padding, 1, ceil_mode)
    dx = np.empty((N, H, W, C), grad_output.dtype)
    _avg_pool2d_grad(N * H, channels_last(grad_output), dx, _counted(window, count_include_pad), numbers(window))
    return layout.from_channels_last(dx)


@row_kernel
def _avg_pool2d_grad(dy: Array, dx: Array, counted: Counted, window: Numbers, row: int) -> None:
    _, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    n, h = divmod(row, H)
    KH, KW, SH, SW, top, left, _, _ = window
    dx[n, h] = 0
    for i in range(KH):
        oh, remainder = divmod(h + top - i, SH)
        if remainder == 0 and 0 <= oh < OH:
            rows = _count(oh * SH - top, KH, counted[0], counted[1])
            for j in range(KW):
                first, last = outputs_inside(j - left, SW, W, OW)
                for ow in range(first, last):
                    w = ow * SW + j - left
                    count = dy.dtype.type(rows * _count(ow * SW - left, KW, counted[2], counted[3]))
                    for c in range(C):
                        dx[n, h, w, c] += dy[n, oh, ow, c] / count


def _counted(window: Window, count_include_pad: bool) -> Counted:
    rows, columns = window.counted(count_include_pad)
    return (*rows, *columns)


@jit
def _count(start: int, kernel: int, first: int, last: int) -> int:
    """How many of the window's cells [start, start + kernel) lie in [first, last)."""
    return min(start + kernel, last) - max(start, first)
