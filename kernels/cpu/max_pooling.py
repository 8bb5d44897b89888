"""Max pooling, with vector lanes over the channels.

Forward kernels fill whole output rows, backward kernels whole input rows: each gathers what belongs to it, so
that no two threads write one element, sums have one order whatever the number of threads, and every element of
the result is written once to memory (the taps of a window meet in a row that stays in the first-level cache).
"""

import numpy as np

from kernels import layout
from kernels.cpu.arrays import Numbers, channels_last, numbers, outputs_inside
from kernels.cpu.rows import row_kernel
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
    y, argmax = np.empty(shape, x.dtype), np.empty(shape, argmax_dtype(window.cells))
    _max_pool2d(y.shape[0] * y.shape[1], block, y, argmax, numbers(window))
    return layout.from_channels_last(y), layout.from_channels_last(argmax)


@row_kernel
def _max_pool2d(x: Array, y: Array, argmax: Array, window: Numbers, row: int) -> None:
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    n, oh = divmod(row, OH)
    KH, KW, SH, SW, top, left, DH, DW = window
    # Every window starts at its first cell inside the input, which stands even if all its cells are −∞.
    y[n, oh] = -np.inf
    first_i = max(0, -((oh * SH - top) // DH))
    for ow in range(OW):
        first_j = max(0, -((ow * SW - left) // DW))
        argmax[n, oh, ow] = first_i * KW + first_j
    for i in range(KH):
        h = oh * SH + i * DH - top
        if 0 <= h < H:
            for j in range(KW):
                cell = argmax.dtype.type(i * KW + j)
                first, last = outputs_inside(j * DW - left, SW, W, OW)
                for ow in range(first, last):
                    w = ow * SW + j * DW - left
                    for c in range(C):
                        value, best, before = x[n, h, w, c], y[n, oh, ow, c], argmax[n, oh, ow, c]
                        # Greater, or NaN; unless a NaN is there already. `&`, not `and`: lanes cannot branch.
                        wins = (not value <= best) & (best == best)
                        y[n, oh, ow, c] = value if wins else best
                        argmax[n, oh, ow, c] = cell if wins else before


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

    Reads dy and argmax once from memory (again from cache for the other rows of a window), writes dx once.
    """
    N, C, H, W = input_shape
    window = pooling_window("max_pool2d_grad", (H, W), kernel_size, stride, padding, dilation, ceil_mode)
    dx = np.empty((N, H, W, C), grad_output.dtype)
    _max_pool2d_grad(N * H, channels_last(grad_output), channels_last(argmax), dx, numbers(window))
    return layout.from_channels_last(dx)


@row_kernel
def _max_pool2d_grad(dy: Array, argmax: Array, dx: Array, window: Numbers, row: int) -> None:
    _, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    n, h = divmod(row, H)
    KH, KW, SH, SW, top, left, DH, DW = window
    zero = dx.dtype.type(0)
    dx[n, h] = zero
    for i in range(KH):
        oh, remainder = divmod(h + top - i * DH, SH)
        if remainder == 0 and 0 <= oh < OH:
            for j in range(KW):
                cell = argmax.dtype.type(i * KW + j)
                first, last = outputs_inside(j * DW - left, SW, W, OW)
                for ow in range(first, last):
                    w = ow * SW + j * DW - left
                    for c in range(C):
                        dx[n, h, w, c] += dy[n, oh, ow, c] if argmax[n, oh, ow, c] == cell else zero


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

    Reads argmax and one element of x per output, writes each output once.
    """
    window = pooling_window("max_pool2d_gather", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = np.empty((x.shape[0], *window.output_size, x.shape[1]), x.dtype)
    _max_pool2d_gather(y.shape[0] * y.shape[1], channels_last(x), channels_last(argmax), y, numbers(window))
    return layout.from_channels_last(y)


@row_kernel
def _max_pool2d_gather(x: Array, argmax: Array, y: Array, window: Numbers, row: int) -> None:
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    n, oh = divmod(row, OH)
    _, KW, SH, SW, top, left, DH, DW = window
    for ow in range(OW):
        for c in range(C):
            i, j = divmod(np.int64(argmax[n, oh, ow, c]), KW)
            h, w = oh * SH + i * DH - top, ow * SW + j * DW - left
            # An argmax of another pooling may point outside: no memory but the input's is ever read.
            y[n, oh, ow, c] = x[n, h, w, c] if 0 <= h < H and 0 <= w < W else x.dtype.type(0)
