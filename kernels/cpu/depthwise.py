"""Convolution with one input channel in each group, computed directly: no columns, no matrix product.

Output channel k reads input channel k // multiplier. Arrays carry the multiplier as an axis of its own,
[…, C, multiplier], and the vector lanes run over it; with a multiplier of 1 they run over the channels instead
(`lanes_are_channels`), and the arrays are […, 1, C].

Blocks are NHWC in and out. Sums are formed in one order per element, whatever the number of threads.
"""

import numpy as np

from kernels.cpu.arrays import Numbers, compact, numbers, outputs_inside
from kernels.cpu.rows import row_kernel
from kernels.geometry import Window
from kernels.types import Array

#: Output rows whose weight gradients are summed into one partial sum.
_ROWS_PER_PART = 64


def forward(x: Array, weight: Array, window: Window) -> Array:
    """Convolve x [N, H, W, C] with weight [K, 1, R, S] → y [N, OH, OW, K]; y is written once to memory."""
    N, C, K = x.shape[0], x.shape[3], weight.shape[0]
    y = np.empty((N, *window.output_size, K), x.dtype)
    _forward(y.shape[0] * y.shape[1], x, _taps_first(weight, C), _split(y, C), C == K, numbers(window))
    return y


def input_grad(dy: Array, weight: Array, C: int, window: Window) -> Array:
    """From dy [N, OH, OW, K] and weight [K, 1, R, S] → dx [N, H, W, C]; dx is written once to memory."""
    dx = np.empty((dy.shape[0], *window.input_size, C), dy.dtype)
    K = weight.shape[0]
    _input_grad(dx.shape[0] * dx.shape[1], _split(dy, C), _taps_first(weight, C), dx, C == K, numbers(window))
    return dx


def weight_grad(x: Array, dy: Array, window: Window) -> Array:
    """From x [N, H, W, C] and dy [N, OH, OW, K] → dW [K, R, S, 1]; both are read once from memory."""
    C, K = x.shape[3], dy.shape[3]
    split_dy = _split(dy, C)
    parts = -(-x.shape[0] * window.output_size[0] // _ROWS_PER_PART)
    sums = np.zeros((parts, *window.kernel_size, *split_dy.shape[3:]), dy.dtype)
    _weight_grad(parts, x, split_dy, sums, C == K, numbers(window))
    taps_first = sums.sum(axis=0).reshape(*window.kernel_size, 1, K)
    return compact(taps_first.transpose(3, 0, 1, 2))


def _split(block: Array, C: int) -> Array:
    """The last axis, K, as [C, multiplier], or as [1, C] where the multiplier is 1."""
    K = block.shape[-1]
    return block.reshape(*block.shape[:-1], *((1, C) if K == C else (C, K // C)))


def _taps_first(weight: Array, C: int) -> Array:
    """[K, 1, R, S] → [R, S, C, multiplier]."""
    return _split(compact(weight[:, 0].transpose(1, 2, 0)), C)


@row_kernel
def _forward(x: Array, weight: Array, y: Array, lanes_are_channels: int, window: Numbers, row: int) -> None:
    _, H, W, C = x.shape
    _, OH, OW, _, lanes = y.shape
    n, oh = divmod(row, OH)
    KH, KW, SH, SW, top, left, DH, DW = window
    y[n, oh] = 0
    for r in range(KH):
        h = oh * SH + r * DH - top
        if 0 <= h < H:
            for s in range(KW):
                first, last = outputs_inside(s * DW - left, SW, W, OW)
                for ow in range(first, last):
                    w = ow * SW + s * DW - left
                    if lanes_are_channels:
                        for k in range(lanes):
                            y[n, oh, ow, 0, k] += x[n, h, w, k] * weight[r, s, 0, k]
                    else:
                        for c in range(C):
                            for k in range(lanes):
                                y[n, oh, ow, c, k] += x[n, h, w, c] * weight[r, s, c, k]


@row_kernel
def _input_grad(dy: Array, weight: Array, dx: Array, lanes_are_channels: int, window: Numbers, row: int) -> None:
    _, H, W, C = dx.shape
    _, OH, OW, _, lanes = dy.shape
    n, h = divmod(row, H)
    KH, KW, SH, SW, top, left, DH, DW = window
    dx[n, h] = 0
    for r in range(KH):
        oh, remainder = divmod(h + top - r * DH, SH)
        if remainder == 0 and 0 <= oh < OH:
            for s in range(KW):
                first, last = outputs_inside(s * DW - left, SW, W, OW)
                for ow in range(first, last):
                    w = ow * SW + s * DW - left
                    if lanes_are_channels:
                        for k in range(lanes):
                            dx[n, h, w, k] += dy[n, oh, ow, 0, k] * weight[r, s, 0, k]
                    else:
                        for c in range(C):
                            total = dx[n, h, w, c]
                            for k in range(lanes):
                                total += dy[n, oh, ow, c, k] * weight[r, s, c, k]
                            dx[n, h, w, c] = total


@row_kernel
def _weight_grad(x: Array, dy: Array, sums: Array, lanes_are_channels: int, window: Numbers, part: int) -> None:
    _, H, W, C = x.shape
    N, OH, OW, _, lanes = dy.shape
    KH, KW, SH, SW, top, left, DH, DW = window
    dw = sums[part]
    for row in range(part * _ROWS_PER_PART, min((part + 1) * _ROWS_PER_PART, N * OH)):
        n, oh = divmod(row, OH)
        for r in range(KH):
            h = oh * SH + r * DH - top
            if 0 <= h < H:
                for s in range(KW):
                    first, last = outputs_inside(s * DW - left, SW, W, OW)
                    for ow in range(first, last):
                        w = ow * SW + s * DW - left
                        if lanes_are_channels:
                            for k in range(lanes):
                                dw[r, s, 0, k] += dy[n, oh, ow, 0, k] * x[n, h, w, k]
                        else:
                            for c in range(C):
                                for k in range(lanes):
                                    dw[r, s, c, k] += dy[n, oh, ow, c, k] * x[n, h, w, c]
