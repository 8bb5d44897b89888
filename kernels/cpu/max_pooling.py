"""Max pooling, with vector lanes over the channels.

Forward kernels fill whole output rows, backward kernels whole input rows. Each element of a result gathers what
belongs to it in registers, a few dozen channels at a time, and is written once: no two threads write one element,
and sums have one order whatever the number of threads.

Winners are tracked as vectors of floats that hold the number of a cell, and stored as small integers.
"""

import operator
from typing import Any

from kernels import layout
from kernels.cpu import memory
from kernels.cpu.arrays import Numbers, channels_last, numbers
from kernels.cpu.jit import jit
from kernels.cpu.rows import row_kernel
from kernels.cpu.taps import FAR_BYTES, Sizes, flat, meeting_taps, taps_inside
from kernels.cpu.vectors import (
    broadcast,
    broadcast_wide,
    exceeds,
    lanes,
    load_as,
    load_first,
    load_wide,
    prefetch,
    select,
    short_loop,
    store_first,
    wide_lanes,
)
from kernels.geometry import Padding, Size, argmax_dtype, pooling_window
from kernels.types import Array, Shape4


def max_pool2d(
    x: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """The largest cell of each window, and its offset i · KW + j inside the window.

    Reads x once from memory, writes y and one byte (or more, for large windows) per output once.
    """
    window = pooling_window("max_pool2d", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    block = channels_last(x)
    shape = (x.shape[0], *window.output_size, x.shape[1])
    y, argmax = memory.empty(shape, x.dtype), memory.empty(shape, argmax_dtype(window.cells))
    sizes = (*window.input_size, shape[3], *window.output_size)
    _max_pool2d(shape[0] * shape[1], flat(block), flat(y), flat(argmax), sizes, numbers(window))
    return layout.from_channels_last(y), layout.from_channels_last(argmax)


@row_kernel
def _max_pool2d(x: Array, y: Array, argmax: Array, sizes: Sizes, window: Numbers, row: int) -> None:
    H, W, C, OH, OW = sizes
    n, oh = divmod(row, OH)
    KH, KW, SH, SW, top, left, DH, DW = window
    h, w = oh * SH - top, -left
    first_i, last_i = taps_inside(h, DH, KH, H)
    to = row * OW * C
    is_far = x.size * x.itemsize >= FAR_BYTES
    for _ in range(OW):
        first_j, last_j = taps_inside(w, DW, KW, W)
        # The first cell inside the input stands even if all are −∞.
        at = ((n * H + h + first_i * DH) * W + w + first_j * DW) * C
        taps = (last_i - first_i, last_j - first_j, DH * W * C, DW * C, first_i * KW + first_j, KW)
        c = 0
        while c + wide_lanes(x) <= C:
            _find_largest(load_wide(x, at + c), x, at + c, taps, y, argmax, to + c, None)
            for i in range(SH if is_far else 0):  # what the next row reads besides
                for j in range(SW):
                    prefetch(x, ((n * H + h + (KH - 1) * DH + 1 + i) * W + w + j) * C + c)
            c += wide_lanes(x)
        while c < C:
            count = min(C - c, lanes(x))
            _find_largest(load_first(x, at + c, count), x, at + c, taps, y, argmax, to + c, count)
            c += lanes(x)
        to += C
        w += SW


@jit(forceinline=True)
def _find_largest(
    best: Any, x: Array, first: int, taps: tuple[int, ...], y: Array, argmax: Array, to: int, count: int | None
) -> None:
    """The largest of a window, for `count` channels from x[first] on, where `best` was read from.

    `taps` are (rows, columns, distance of rows, distance of columns, first cell, cells in a row).
    """
    rows, columns, row_step, column_step, cell, row_cells = taps
    winner = number = broadcast(best, cell)
    one, next_row = broadcast(best, 1), broadcast(best, row_cells - columns)
    for _ in range(rows):
        at = first
        for _ in range(columns):
            short_loop()
            value = load_as(best, x, at, count)
            wins = exceeds(value, best)
            best = select(wins, value, best)
            winner = select(wins, number, winner)
            number += one
            at += column_step
        number += next_row
        first += row_step
    store_first(y, to, count, best)
    store_first(argmax, to, count, winner)


def max_pool2d_grad(
    grad_output: Array,
    argmax: Array,
    input_shape: Shape4,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """The gradient of `max_pool2d`: each output's gradient goes to the cell that won.

    Reads dy and argmax once from memory (again from cache for the other cells of a window), writes dx once.
    """
    N, C, H, W = input_shape
    window = pooling_window("max_pool2d_grad", (H, W), kernel_size, stride, padding, dilation, ceil_mode)
    dx = memory.empty((N, H, W, C), grad_output.dtype)
    dy, winners = flat(channels_last(grad_output)), flat(channels_last(argmax))
    sizes = (H, W, C, *window.output_size)
    if window.dilation == (1, 1) and all(map(operator.le, window.kernel_size, window.stride)):
        _share_out(N * window.output_size[0], dy, winners, flat(dx), sizes, numbers(window))
    else:
        _max_pool2d_grad(N * H, dy, winners, flat(dx), sizes, *meeting_taps(window), window.kernel_size[1])
    return layout.from_channels_last(dx)


@row_kernel
def _share_out(dy: Array, argmax: Array, dx: Array, sizes: Sizes, window: Numbers, row: int) -> None:
    """The gradient for windows that do not overlap: each output has a patch of the input to itself.

    A patch is the window and all cells up to the next one; what lies before the first window or behind the last belongs
    to the patches at the border.
    """
    H, W, C, OH, OW = sizes
    KH, KW, SH, SW, top, left, _, _ = window
    n, oh = divmod(row, OH)
    h, last_h = oh * SH - top, H if oh == OH - 1 else (oh + 1) * SH - top
    first_h = 0 if oh == 0 else h
    w = -left
    at = row * OW * C
    for ow in range(OW):
        first_w, last_w = 0 if ow == 0 else w, W if ow == OW - 1 else w + SW
        to = ((n * H + first_h) * W + first_w) * C
        patch = (last_h - first_h, last_w - first_w, first_h - h, first_w - w, KH, KW, W * C, C)
        c = 0
        while c + wide_lanes(dy) <= C:
            _fill_patch(broadcast_wide(dy, 0), dy, argmax, at + c, patch, dx, to + c, None)
            c += wide_lanes(dy)
        while c < C:
            _fill_patch(broadcast(dy, 0), dy, argmax, at + c, patch, dx, to + c, min(C - c, lanes(dy)))
            c += lanes(dy)
        at += C
        w += SW


@jit(forceinline=True)
def _fill_patch(
    zero: Any, dy: Array, argmax: Array, at: int, patch: tuple[int, ...], dx: Array, to: int, count: int | None
) -> None:
    """The gradients of all cells of one patch, for `count` channels, from one output's."""
    rows, columns, first_i, first_j, KH, KW, row_step, column_step = patch
    gradient, winner = load_as(zero, dy, at, count), load_as(zero, argmax, at, count)
    one = broadcast(zero, 1)
    for i in range(first_i, first_i + rows):
        place = to
        number = broadcast(zero, i * KW + first_j)
        for j in range(first_j, first_j + columns):
            short_loop()
            if 0 <= i < KH and 0 <= j < KW:
                store_first(dx, place, count, select(winner == number, gradient, zero))
            else:
                store_first(dx, place, count, zero)
            number += one
            place += column_step
        to += row_step


@row_kernel
def _max_pool2d_grad(
    dy: Array, argmax: Array, dx: Array, sizes: Sizes, rows: Array, columns: Array, KW: int, row: int
) -> None:
    H, W, C, OH, OW = sizes
    n, h = divmod(row, H)
    i, oh, count_i = rows[h, 0], rows[h, 1], rows[h, 2]
    i_step, i_back, j_step, j_back = rows[H, 0], rows[H, 1], columns[W, 0], columns[W, 1]
    to = row * W * C
    for w in range(W):
        j, ow, count_j = columns[w, 0], columns[w, 1], columns[w, 2]
        at = ((n * OH + oh) * OW + ow) * C
        taps = (count_i, count_j, -i_back * OW * C, -j_back * C, i * KW + j, i_step * KW, j_step)
        c = 0
        while c + wide_lanes(dy) <= C:
            _sum_won(broadcast_wide(dy, 0), dy, argmax, at + c, taps, dx, to + c, None)
            c += wide_lanes(dy)
        while c < C:
            _sum_won(broadcast(dy, 0), dy, argmax, at + c, taps, dx, to + c, min(C - c, lanes(dy)))
            c += lanes(dy)
        to += C


@jit(forceinline=True)
def _sum_won(
    like: Any, dy: Array, argmax: Array, first: int, taps: tuple[int, ...], dx: Array, to: int, count: int | None
) -> None:
    """The gradients of one input cell, for `count` channels, from all windows that it won."""
    rows, columns, row_step, column_step, row_cell, row_cells, column_cells = taps
    zero = broadcast(like, 0)
    total = zero
    for _ in range(rows):
        at, cell = first, row_cell
        for _ in range(columns):
            short_loop()
            won = load_as(like, argmax, at, count) == broadcast(like, cell)
            total += select(won, load_as(like, dy, at, count), zero)
            at += column_step
            cell += column_cells
        first += row_step
        row_cell += row_cells
    store_first(dx, to, count, total)


def max_pool2d_gather(
    x: Array,
    argmax: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """The cells of `x` that won in another array's `max_pool2d`: the adjoint of `max_pool2d_grad`.

    Reads x and argmax once from memory, writes each output once.
    """
    window = pooling_window("max_pool2d_gather", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = memory.empty((x.shape[0], *window.output_size, x.shape[1]), x.dtype)
    block, winners = channels_last(x), channels_last(argmax)
    sizes = (*window.input_size, y.shape[3], *window.output_size)
    _max_pool2d_gather(y.shape[0] * y.shape[1], flat(block), flat(winners), flat(y), sizes, numbers(window))
    return layout.from_channels_last(y)


@row_kernel
def _max_pool2d_gather(x: Array, argmax: Array, y: Array, sizes: Sizes, window: Numbers, row: int) -> None:
    H, W, C, OH, OW = sizes
    n, oh = divmod(row, OH)
    KH, KW, SH, SW, top, left, DH, DW = window
    h, w = oh * SH - top, -left
    # An argmax of another pooling may point outside: no memory but the input's is ever read.
    first_i, last_i = taps_inside(h, DH, KH, H)
    to = row * OW * C
    for _ in range(OW):
        first_j, last_j = taps_inside(w, DW, KW, W)
        for c in range(0, C, lanes(x)):
            count = min(C - c, lanes(x))
            winner = load_as(x, argmax, to + c, count)
            value = broadcast(x, 0)
            for i in range(first_i, last_i):
                at = ((n * H + h + i * DH) * W + w) * C + c
                for j in range(first_j, last_j):
                    short_loop()
                    won = winner == broadcast(x, i * KW + j)
                    value = select(won, load_first(x, at + j * DW * C, count), value)
            store_first(y, to + c, count, value)
        to += C
        w += SW
