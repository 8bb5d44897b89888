"""Convolution as matrix products over unfolded windows.

The algebra is that of `kernels.cpu.convolution`; columns are in the order R, S, C. They never exist as a whole: pieces
of them go through one array. The product of a piece is two-dimensional and gives channels-last results as they are;
with several groups it goes through an array of its own, because CuPy writes only to whole matrices.

Blocks are channels-last: x [N, H, W, C], dy and y [N, OH, OW, K], weights [K, R, S, C / groups].
"""

import math
from collections.abc import Iterator

from kernels.cuda.im2col import columns_by_tap, fold_by_tap
from kernels.cuda.matmul import Accumulator, finish, product
from kernels.geometry import Window
from kernels.layout import array_module
from kernels.types import Array, Shape4

#: Bytes of the columns of a piece: several thousand rows of the widest layers, so that a product fills the device and
#: its launch is little beside it; and little beside the device's memory.
_COLUMN_BYTES = 1 << 27


def forward(x: Array, weight: Array, bias: Array | None, relu: bool, window: Window, groups: int) -> Array:
    """The convolution. Reads x R·S times, mostly from the caches; writes and reads the columns once, and y.

    Where there is a bias or an activation, y is read and written once more.
    """
    K = len(weight)
    xp = array_module(x)
    y = xp.empty((len(x), *window.output_size, K), x.dtype)
    rows, filters = y.reshape(-1, K), weight.reshape(K, -1)
    if groups == 1:
        for piece in _pieces(len(rows), filters.shape[1] * x.itemsize, window, groups):
            product(_columns(x, piece, window), filters.T, out=rows[piece])  # [N·OH·OW, RSC] · [RSC, K]
        finish(rows, bias, relu)
        return y
    for group, outputs in _groups(K, groups):
        for piece in _pieces(len(rows), filters.shape[1] * x.itemsize, window, groups):
            sums = product(_columns(x, piece, window, group, groups), filters[outputs].T)
            finish(sums, bias, relu, rows[piece], group, groups)
    return y


def input_grad(dy: Array, weight: Array, C: int, window: Window, groups: int) -> Array:
    """The gradient with respect to x: a piece has whole images, since each of their cells adds up several columns.

    Reads dy once; writes and reads the columns once; writes dx once.
    """
    N, K = len(dy), len(weight)
    xp = array_module(dy)
    dx = xp.empty((N, *window.input_size, C), dy.dtype)
    rows, filters = dy.reshape(-1, K), weight.reshape(K, -1)
    if window.is_pointwise and groups == 1:
        product(rows, filters, out=dx.reshape(-1, C))
        return dx
    image_rows = math.prod(window.output_size)
    images = max(1, min(N, _COLUMN_BYTES // (image_rows * filters.shape[1] * dy.itemsize)))
    cols = xp.empty((images * image_rows, filters.shape[1]), dy.dtype)
    for group, outputs in _groups(K, groups):
        for first in range(0, N, images):
            last = min(first + images, N)
            part = xp.ascontiguousarray(rows[first * image_rows : last * image_rows, outputs])
            product(part, filters[outputs], out=cols[: len(part)])  # [N·OH·OW, K] · [K, RSC]
            fold_by_tap(cols, dx[first:last], window, group, groups)
    return dx


def weight_grad(x: Array, dy: Array, weight_shape: Shape4, window: Window, groups: int) -> Array:
    """The gradient with respect to the weight, [K, R, S, C / groups]: pieces are added in their order.

    Reads x R·S times, mostly from the caches, and dy once; writes and reads the columns once.
    """
    K, channels, R, S = weight_shape
    xp = array_module(x)
    dw = xp.empty((K, R * S * channels), x.dtype)
    rows = dy.reshape(-1, K)
    pieces = _pieces(len(rows), dw.shape[1] * x.itemsize, window, groups)
    for group, outputs in _groups(K, groups):
        total = Accumulator(dw[outputs], len(pieces))
        for piece in pieces:
            part = xp.ascontiguousarray(rows[piece, outputs])
            total.add(part.T, _columns(x, piece, window, group, groups))  # [K, N·OH·OW] · [N·OH·OW, RSC]
    return dw.reshape(K, R, S, channels)


def _columns(x: Array, piece: slice, window: Window, group: int = 0, groups: int = 1) -> Array:
    """The windows of a piece as rows [R·S·C / groups]: x itself where a window is a cell, else unfolded.

    Pieces are of one size but for the last, so CuPy's memory pool gives all of them the same memory.
    """
    C = x.shape[3]
    if window.is_pointwise and groups == 1:
        return x.reshape(-1, C)[piece]
    count = piece.stop - piece.start
    cols = array_module(x).empty((count, window.cells * (C // groups)), x.dtype)
    columns_by_tap(x, cols, piece.start, count, window, group, groups)
    return cols


def _pieces(rows: int, row_bytes: int, window: Window, groups: int) -> list[slice]:
    """The rows of each piece: all at once where nothing is unfolded."""
    is_unfolded = not (window.is_pointwise and groups == 1)
    size = max(1, _COLUMN_BYTES // row_bytes) if is_unfolded else max(1, rows)
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]


def _groups(K: int, groups: int) -> Iterator[tuple[int, slice]]:
    """Each group and its output channels."""
    size = K // groups
    return ((group, slice(group * size, (group + 1) * size)) for group in range(groups))
