"""im2col and col2im: windows unfolded into the rows of a matrix, and folded back.

Two column orders: (C, KH, KW), which callers see, and (KH, KW, C), which convolution uses inside, where both
sides of every copy are contiguous.

Every kernel fills whole output rows, or input rows when folding: no two threads write one element, and each
element's terms are added in one order, so results do not depend on the number of threads.
"""

import math

import numpy as np

from kernels import layout
from kernels.cpu.arrays import Numbers, channels_last, compact, numbers, outputs_inside
from kernels.cpu.rows import row_kernel
from kernels.geometry import Padding, Pair, Size, Window, convolution_window
from kernels.types import Array, Shape4


def im2col(x: Array, kernel_size: Size, *, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> Array:
    """Unfold windows into rows: (N, C, H, W) → (N·OH·OW, C·KH·KW).

    Reads each input element KH·KW times (once from memory while the rows of a window stay in cache), writes
    each column element once.
    """
    window = convolution_window("im2col", x.shape[2:], kernel_size, stride, padding, dilation)
    N, C = x.shape[:2]
    cols = np.empty((N, *window.output_size, C, *window.kernel_size), x.dtype)
    _unfold(N * window.output_size[0], channels_last(x), cols, numbers(window))
    return cols.reshape(N * math.prod(window.output_size), C * window.cells)


def col2im(
    cols: Array,
    input_shape: Shape4,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
) -> Array:
    """Fold rows back, adding where windows overlap: (N·OH·OW, C·KH·KW) → (N, C, H, W).

    Reads each column element once, writes each result element once to memory.
    """
    N, C, H, W = input_shape
    window = convolution_window("col2im", (H, W), kernel_size, stride, padding, dilation)
    x = np.empty((N, H, W, C), cols.dtype)
    _fold(N * H, compact(cols).reshape(N, *window.output_size, C, *window.kernel_size), x, numbers(window))
    return layout.from_channels_last(x)


@row_kernel
def _unfold(x: Array, cols: Array, window: Numbers, row: int) -> None:
    _, H, W, C = x.shape
    _, OH, OW, _, _, _ = cols.shape
    n, oh = divmod(row, OH)
    KH, KW, SH, SW, top, left, DH, DW = window
    for i in range(KH):
        h = oh * SH + i * DH - top
        for j in range(KW):
            first, last = outputs_inside(j * DW - left, SW, W, OW) if 0 <= h < H else (0, 0)
            for ow in range(OW):
                if first <= ow < last:
                    w = ow * SW + j * DW - left
                    for c in range(C):
                        cols[n, oh, ow, c, i, j] = x[n, h, w, c]
                else:
                    for c in range(C):
                        cols[n, oh, ow, c, i, j] = 0


@row_kernel
def _fold(cols: Array, x: Array, window: Numbers, row: int) -> None:
    _, H, W, C = x.shape
    _, OH, OW, _, _, _ = cols.shape
    n, h = divmod(row, H)
    KH, KW, SH, SW, top, left, DH, DW = window
    x[n, h] = 0
    for i in range(KH):
        oh, remainder = divmod(h + top - i * DH, SH)
        if remainder == 0 and 0 <= oh < OH:
            for j in range(KW):
                first, last = outputs_inside(j * DW - left, SW, W, OW)
                for ow in range(first, last):
                    w = ow * SW + j * DW - left
                    for c in range(C):
                        x[n, h, w, c] += cols[n, oh, ow, c, i, j]


def pack_rows(x: Array, cols: Array, group: int, first_row: int, window: Window) -> None:
    """Unfold output rows of one channel group for a matrix product.

    Args:
        x: (N, H, W, groups, C / groups).
        cols: (rows, OW, KH, KW, C / groups), overwritten; its row b is output row first_row + b of all N·OH.
        group: which channel group.
        first_row: the first output row, counted over all images.
        window: the convolution's window.
    """
    _pack(cols.shape[0], x, cols, (group, first_row, window.output_size[0]), numbers(window))


@row_kernel
def _pack(x: Array, cols: Array, place: tuple[int, int, int], window: Numbers, b: int) -> None:
    _, H, W, _, C = x.shape
    OW = cols.shape[1]
    group, first_row, OH = place
    n, oh = divmod(first_row + b, OH)
    KH, KW, SH, SW, top, left, DH, DW = window
    for i in range(KH):
        h = oh * SH + i * DH - top
        for j in range(KW):
            first, last = outputs_inside(j * DW - left, SW, W, OW) if 0 <= h < H else (0, 0)
            for ow in range(OW):
                if first <= ow < last:
                    w = ow * SW + j * DW - left
                    for c in range(C):
                        cols[b, ow, i, j, c] = x[n, h, w, group, c]
                else:
                    for c in range(C):
                        cols[b, ow, i, j, c] = 0


def fold_rows(cols: Array, x: Array, group: int, first_row: int, window: Window) -> None:
    """Add packed rows back onto the input cells that they came from: the adjoint of `pack_rows`.

    Arguments as there; `x` is added to. Each input row gathers what belongs to it.
    """
    OH, H = window.output_size[0], x.shape[1]
    first_image, last_image = first_row // OH, (first_row + cols.shape[0] - 1) // OH
    place = (group, first_row, first_image)
    _fold_packed((last_image + 1 - first_image) * H, cols, x, place, window.output_size, numbers(window))


@row_kernel
def _fold_packed(
    cols: Array, x: Array, place: tuple[int, int, int], output_size: Pair, window: Numbers, row: int
) -> None:
    _, H, W, _, C = x.shape
    OH, OW = output_size
    group, first_row, first_image = place
    n, h = first_image + row // H, row % H
    KH, KW, SH, SW, top, left, DH, DW = window
    for i in range(KH):
        oh, remainder = divmod(h + top - i * DH, SH)
        b = n * OH + oh - first_row
        if remainder == 0 and 0 <= oh < OH and 0 <= b < cols.shape[0]:
            for j in range(KW):
                first, last = outputs_inside(j * DW - left, SW, W, OW)
                for ow in range(first, last):
                    w = ow * SW + j * DW - left
                    for c in range(C):
                        x[n, h, w, group, c] += cols[b, ow, i, j, c]
