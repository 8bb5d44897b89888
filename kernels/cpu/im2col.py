"""im2col and col2im: windows unfolded into the rows of a matrix, and folded back.

Two column orders: (C, KH, KW), which callers see, and (KH, KW, C), which convolution uses inside, where both
sides of every copy are contiguous.

For the order of callers, a task lays out a band of the image channel by channel, with its border of zeros, in memory
that stays in cache. There, what lies under one row of a window is one run of KW elements, in the columns too. Runs are
short, so they are moved four elements at a time, and what that writes too much the next run overwrites.

How the work is cut depends on the shape alone, no two tasks write one element, and each element's terms are added in
one order: results do not depend on the number of threads.
"""

import functools

import numpy as np

from kernels import layout
from kernels.cpu import memory
from kernels.cpu.arrays import Numbers, channels_last, compact, numbers, outputs_inside
from kernels.cpu.rows import memory_at, row_kernel
from kernels.cpu.taps import Sizes, flat, taps_inside
from kernels.cpu.vectors import add_four, copy_four, copy_one
from kernels.geometry import Padding, Pair, Size, Window, convolution_window
from kernels.types import Array, Shape4

#: Aim of a band's bytes: a quarter of a small second-level cache, as the columns pass through it too.
_BAND_BYTES = 1 << 16
#: Elements at the end of a band that runs may read and write beyond it.
_BEYOND = 4
#: Pieces of a window that take longer to add than what is written needs until it can be read.
_MANY = 32


def im2col(x: Array, kernel_size: Size, *, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> Array:
    """Unfold windows into rows: (N, C, H, W) → (N·OH·OW, C·KH·KW).

    Reads each input element about once from memory, writes each column element once.
    """
    window = convolution_window("im2col", x.shape[2:], kernel_size, stride, padding, dilation)
    (N, C, H, W), (OH, OW) = x.shape, window.output_size
    cols = memory.empty((N * OH * OW, C * window.cells), x.dtype)
    if window.cells == 1:  # then both orders are the same
        pack_rows(channels_last(x)[:, :, :, None], cols.reshape(N * OH, OW, 1, 1, C), 0, 0, window)
        return cols
    x = x if x.flags.carray else layout.from_channels_last(channels_last(x))
    pitch = _pitch(window)
    row_bytes = C * pitch * x.itemsize
    reach = (window.kernel_size[0] - 1) * window.dilation[0] + 1
    rows = max(1, min(OH, (_BAND_BYTES // row_bytes - reach) // window.stride[0] + 1))
    bands = -(-OH // rows)
    steps = tuple(step // x.itemsize for step in x.strides)
    elements = flat(x if x.flags.c_contiguous else layout.channels_last(x))
    plane = ((rows - 1) * window.stride[0] + reach) * pitch
    pieces = _pieces(C, window, pitch, plane, in_turn=True)
    sizes, place = (H, W, C, OH, OW), (rows, bands, pitch, plane)
    scratch = (C * plane + _BEYOND) * x.itemsize
    _unfold(N * bands, elements, steps, flat(cols), pieces, sizes, place, numbers(window), scratch=scratch)
    return cols


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

    Reads each column element about once, writes each result element once to memory.
    """
    N, C, H, W = input_shape
    window = convolution_window("col2im", (H, W), kernel_size, stride, padding, dilation)
    x = memory.empty((N, H, W, C), cols.dtype)
    pitch = _pitch(window)
    rows = max(1, min(H, _BAND_BYTES // (C * pitch * x.itemsize)))
    bands = -(-H // rows)
    pieces = _pieces(C, window, pitch, rows * pitch, in_turn=False)
    # Memory just written is slow to read: windows that overlap and have few pieces are not added in turn.
    apart = 1 if len(pieces) >= _MANY else -(-(window.kernel_size[1] + _BEYOND) // window.stride[1])
    sizes, place = (H, W, C, *window.output_size), (rows, bands, pitch, apart)
    scratch = (rows * C * pitch + _BEYOND) * x.itemsize
    _fold(N * bands, flat(compact(cols)), flat(x), pieces, sizes, place, numbers(window), scratch=scratch)
    return layout.from_channels_last(x)


def _pitch(window: Window) -> int:
    """Elements of a row with its border: all that any window looks at, and the input."""
    return max(window.padded_size[1], window.left + window.input_size[1])


@functools.lru_cache(maxsize=256)
def _pieces(C: int, window: Window, pitch: int, plane: int, *, in_turn: bool) -> Array:
    """What a window is moved in: runs of up to four elements.

    Args:
        C: channels.
        window: the window.
        pitch: elements from row to row of the band.
        plane: elements from channel to channel of the band.
        in_turn: whether pieces come in the order of the columns, or row by row of the window.

    Returns:
        (pieces, 3): where a piece begins in the window's columns, where in the band, and its elements.
    """
    KH, KW = window.kernel_size
    step = 4 if window.dilation[1] == 1 else 1
    i, c, j = (index.ravel() for index in np.mgrid[:KH, :C, : -(-KW // step)])
    j *= step
    there = i * window.dilation[0] * pitch + c * plane + j * window.dilation[1]
    pieces = np.stack([(c * KH + i) * KW + j, there, np.minimum(step, KW - j)], axis=1)
    return np.ascontiguousarray(pieces[pieces[:, 0].argsort()] if in_turn else pieces)


@row_kernel
def _unfold(
    x: Array, steps: tuple[int, ...], cols: Array, pieces: Array, sizes: Sizes, place: tuple[int, int, int, int],
    window: Numbers, scratch: int, unit: int,
) -> None:  # fmt: skip
    """The columns of a band of output rows of one image."""
    H, W, C, OH, OW = sizes
    KH, KW, SH, SW, top, left, DH, DW = window
    rows, bands, pitch, plane = place
    x_n, x_c, x_h, x_w = steps
    n, first = unit // bands, unit % bands * rows
    last = min(first + rows, OH)
    h0, h1 = first * SH - top, (last - 1) * SH - top + (KH - 1) * DH + 1
    band = memory_at(cols, scratch, C * plane + _BEYOND)
    band[:] = 0
    for h in range(max(h0, 0), min(h1, H)):
        at, to = n * x_n + h * x_h, (h - h0) * pitch + left
        for c in range(C):
            for w in range(W):
                copy_one(band, to + c * plane + w, x, at + c * x_c + w * x_w)
    block = C * KH * KW
    to = (n * OH + first) * OW * block
    end = to + (last - first) * OW * block
    for p in range(last - first):
        for q in range(OW):
            at = p * SH * pitch + q * SW
            # Near the end, nothing may be written beyond it: there may be another task's columns.
            if DW == 1 and to + block + _BEYOND <= end:
                for k in range(len(pieces)):
                    copy_four(cols, to + pieces[k, 0], band, at + pieces[k, 1])
            else:
                for k in range(len(pieces)):
                    for j in range(pieces[k, 2]):
                        cols[to + pieces[k, 0] + j] = band[at + pieces[k, 1] + j]
            to += block


@row_kernel
def _fold(
    cols: Array, x: Array, pieces: Array, sizes: Sizes, place: tuple[int, int, int, int], window: Numbers,
    scratch: int, unit: int,
) -> None:  # fmt: skip
    """A band of input rows of one image."""
    H, W, C, OH, OW = sizes
    KH, KW, SH, SW, top, left, DH, _ = window
    rows, bands, pitch, apart = place
    plane = rows * pitch
    n, first = unit // bands, unit % bands * rows
    last = min(first + rows, H)
    band = memory_at(cols, scratch, C * plane + _BEYOND)
    band[:] = 0
    block, row_pieces = C * KH * KW, len(pieces) // KH
    first_p, last_p = max(0, -(((KH - 1) * DH - top - first) // SH)), min(OH, (last - 1 + top) // SH + 1)
    for p in range(first_p, last_p):
        h = p * SH - top - first
        first_i, last_i = taps_inside(h, DH, KH, last - first)
        for phase in range(apart):
            for q in range(phase, OW, apart):
                to, at = h * pitch + q * SW, ((n * OH + p) * OW + q) * block
                if at + block + _BEYOND <= cols.size:
                    for k in range(first_i * row_pieces, last_i * row_pieces):
                        add_four(band, to + pieces[k, 1], cols, at + pieces[k, 0], pieces[k, 2])
                else:
                    for k in range(first_i * row_pieces, last_i * row_pieces):
                        for j in range(pieces[k, 2]):
                            band[to + pieces[k, 1] + j] += cols[at + pieces[k, 0] + j]
    for h in range(last - first):
        to, at = (n * H + first + h) * W * C, h * pitch + left
        for w in range(W):
            for c in range(C):
                copy_one(x, to + w * C + c, band, at + c * plane + w)


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
