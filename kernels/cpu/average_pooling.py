"""Average pooling, with vector lanes over the channels.

As in `max_pooling`, each kernel gathers what belongs to the row that it fills.
"""

import functools
from typing import Any, TypeAlias

import numpy as np

from kernels import layout
from kernels.cpu import memory
from kernels.cpu.arrays import Numbers, channels_last, numbers
from kernels.cpu.jit import jit
from kernels.cpu.rows import row_kernel
from kernels.cpu.taps import Sizes, flat, meeting_taps, taps_inside
from kernels.cpu.vectors import (
    broadcast,
    broadcast_wide,
    lanes,
    load_as,
    multiply_add,
    short_loop,
    store_first,
    wide_lanes,
)
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
    y = memory.empty((x.shape[0], *window.output_size, x.shape[1]), x.dtype)
    sizes = (*window.input_size, y.shape[3], *window.output_size)
    block, counted = channels_last(x), _counted(window, count_include_pad)
    _avg_pool2d(y.shape[0] * y.shape[1], flat(block), flat(y), sizes, counted, numbers(window))
    return layout.from_channels_last(y)


@row_kernel
def _avg_pool2d(x: Array, y: Array, sizes: Sizes, counted: Counted, window: Numbers, row: int) -> None:
    H, W, C, OH, OW = sizes
    KH, KW, SH, SW, top, left, _, _ = window
    n, oh = divmod(row, OH)
    h, w = oh * SH - top, -left
    first_i, last_i = taps_inside(h, 1, KH, H)
    rows = _count(h, KH, counted[0], counted[1])
    to = row * OW * C
    for _ in range(OW):
        first_j, last_j = taps_inside(w, 1, KW, W)
        at = ((n * H + h + first_i) * W + w + first_j) * C
        taps = (last_i - first_i, last_j - first_j, W * C, C)
        cells = rows * _count(w, KW, counted[2], counted[3])
        c = 0
        while c + wide_lanes(x) <= C:
            _store_mean(broadcast_wide(x, 0), x, at + c, taps, cells, y, to + c, None)
            c += wide_lanes(x)
        while c < C:
            _store_mean(broadcast(x, 0), x, at + c, taps, cells, y, to + c, min(C - c, lanes(x)))
            c += lanes(x)
        to += C
        w += SW


@jit(forceinline=True)
def _store_mean(
    zero: Any, x: Array, at: int, taps: tuple[int, int, int, int], cells: int, y: Array, to: int, count: int | None
) -> None:
    """The sum of a window from x[at] on, over `cells`, for `count` channels.

    `taps` are (rows, columns, distance of rows, distance of columns).
    """
    rows, columns, row_step, column_step = taps
    total = other = zero  # two sums, so that one addition need not wait for the last
    for _ in range(rows):
        source = at
        for _ in range(columns // 2):
            short_loop()
            total += load_as(zero, x, source, count)
            other += load_as(zero, x, source + column_step, count)
            source += 2 * column_step
        if columns % 2:
            total += load_as(zero, x, source, count)
        at += row_step
    store_first(y, to, count, (total + other) / broadcast(zero, cells))


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
    dx = memory.empty((N, H, W, C), grad_output.dtype)
    sizes, dy = (H, W, C, *window.output_size), channels_last(grad_output)
    shares = _shares(window, count_include_pad)
    _avg_pool2d_grad(N * H, flat(dy), flat(dx), sizes, *shares, *meeting_taps(window))
    return layout.from_channels_last(dx)


@row_kernel
def _avg_pool2d_grad(
    dy: Array, dx: Array, sizes: Sizes, share_h: Array, share_w: Array, rows: Array, columns: Array, row: int
) -> None:
    H, W, C, OH, OW = sizes
    n, h = divmod(row, H)
    oh, count_i, back_i = rows[h, 1], rows[h, 2], rows[H, 1]
    to = row * W * C
    for w in range(W):
        ow, count_j, back_j = columns[w, 1], columns[w, 2], columns[W, 1]
        at = ((n * OH + oh) * OW + ow) * C
        windows = (count_i, count_j, oh, ow, back_i, back_j, OW, C)
        c = 0
        while c + wide_lanes(dy) <= C:
            _sum_shares(broadcast_wide(dy, 0), dy, at + c, share_h, share_w, windows, dx, to + c, None)
            c += wide_lanes(dy)
        while c < C:
            count = min(C - c, lanes(dy))
            _sum_shares(broadcast(dy, 0), dy, at + c, share_h, share_w, windows, dx, to + c, count)
            c += lanes(dy)
        to += C


@jit(forceinline=True)
def _sum_shares(
    zero: Any, dy: Array, at: int, share_h: Array, share_w: Array, windows: tuple[int, ...], dx: Array, to: int,
    count: int | None,
) -> None:  # fmt: skip
    """What one input cell gets from all windows that it lies in, for `count` channels."""
    rows, columns, oh, ow, back_i, back_j, OW, C = windows
    total = zero
    for i in range(rows):
        source = at - i * back_i * OW * C
        for j in range(columns):
            short_loop()
            share = share_h[oh - i * back_i] * share_w[ow - j * back_j]
            total = multiply_add(load_as(zero, dy, source, count), broadcast(zero, share), total)
            source -= back_j * C
    store_first(dx, to, count, total)


@functools.lru_cache(maxsize=1024)
def _shares(window: Window, count_include_pad: bool) -> tuple[Array, Array]:
    """What a cell gets of its window's gradient is a product: 1 / rows, for each oh, times 1 / columns, for each ow."""
    height, width = (
        1 / np.array([_count(o * step - before, kernel, first, last) for o in range(outputs)], np.float64)
        for outputs, step, before, kernel, (first, last) in zip(
            window.output_size,
            window.stride,
            (window.top, window.left),
            window.kernel_size,
            window.counted(count_include_pad),
            strict=True,
        )
    )
    return height, width


def _counted(window: Window, count_include_pad: bool) -> Counted:
    rows, columns = window.counted(count_include_pad)
    return (*rows, *columns)


@jit
def _count(start: int, kernel: int, first: int, last: int) -> int:
    """How many of the window's cells [start, start + kernel) lie in [first, last)."""
    return min(start + kernel, last) - max(start, first)
