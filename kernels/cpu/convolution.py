"""Convolution and its two gradients: each goes the way that `chooser` picks; here is the one over unfolded windows.

With `algorithm="gemm"` convolution goes over matrix products, as the textbook's does. With the windows of all
outputs as rows, cols: [N·OH·OW, R·S·C], and the weight as W: [K, R·S·C],

    forward          y    = cols · Wᵀ      [N·OH·OW, RSC] · [RSC, K]      → [N·OH·OW, K], which is NHWC
    input gradient   dx   = fold(dy · W)   [N·OH·OW, K] · [K, RSC]        → [N·OH·OW, RSC], folded onto x
    weight gradient  dW   = dyᵀ · cols     [K, N·OH·OW] · [N·OH·OW, RSC]  → [K, RSC]

The columns never exist as a whole: a block of output rows at a time goes through scratch memory that stays in
cache. Blocks are a function of the shape alone and are added in their order, so that results do not depend on
the number of threads.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from kernels import layout
from kernels.cpu import depthwise, direct, memory, winograd
from kernels.cpu.arrays import channels_last, compact, scratch
from kernels.cpu.chooser import choose
from kernels.cpu.im2col import fold_rows, pack_rows
from kernels.cpu.matmul import matmul
from kernels.geometry import Padding, Size, Window, convolution_window
from kernels.types import Array, Shape4

#: Aim of the unfolded rows of one block, in bytes: small enough to stay in the caches, and large enough that
#: starting threads costs nothing beside the work. (From 256 KiB to 16 MiB, no size was the best everywhere.)
_BLOCK_BYTES = 1 << 22


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    activation: Literal["relu"] | None = None,
    algorithm: str = "auto",
    packed: dict[str, Array] | None = None,
) -> Array:
    """Cross-correlate: (N, C, H, W) with (K, C / groups, R, S) → (N, K, OH, OW).

    Reads x R·S times (from cache but for the first), the weight once per block; writes y once to memory.
    """
    window = convolution_window("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    N, C = x.shape[:2]
    way, m = choose(algorithm, "forward", N, C, len(weight), window, groups, x.itemsize)
    bias = None if bias is None else compact(bias)
    if way == "winograd":
        return layout.from_channels_last(
            winograd.forward(channels_last(x), weight, bias, activation == "relu", window, m, packed)
        )
    if way == "direct":
        y = direct.forward(channels_last(x), weight, bias, activation == "relu", window, groups, packed)
        return layout.from_channels_last(y)
    if way == "depthwise":
        y = depthwise.forward(channels_last(x), weight, window, bias, activation == "relu")
        return layout.from_channels_last(y)
    y = _forward(channels_last(x), weight, bias, activation, window, groups)
    return layout.from_channels_last(y)


def _forward(
    x: Array, weight: Array, bias: Array | None, activation: Literal["relu"] | None, window: Window, groups: int
) -> Array:
    N, H, W, C = x.shape
    OH, OW = window.output_size
    K = weight.shape[0]
    y = memory.empty((N, OH, OW, K), x.dtype)
    flat_y = y.reshape(-1, K)
    flat_weight = channels_last(weight).reshape(K, -1)
    if window.is_pointwise and groups == 1:
        matmul(x.reshape(-1, C), flat_weight.T, bias, activation=activation, out=flat_y)
        return y
    grouped_x = x.reshape(N, H, W, groups, C // groups)
    for group, channels in _groups(K, groups):
        for rows in _blocks(N, window, C // groups, x.itemsize):
            cols = _pack(grouped_x, group, rows, window)
            target = flat_y[rows.start * OW : rows.stop * OW, channels]
            own_bias = None if bias is None else bias[channels]
            matmul(cols, flat_weight[channels].T, own_bias, activation=activation, out=target)
    return y


def conv2d_input_grad(
    grad_output: Array,
    weight: Array,
    input_shape: Shape4,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Array:
    """The gradient of `conv2d` with respect to x: (N, K, OH, OW) → (N, C, H, W).

    Reads dy once and the weight once per block; writes dx once to memory.
    """
    N, C, H, W = input_shape
    window = convolution_window("conv2d_input_grad", (H, W), weight.shape[2:], stride, padding, dilation)
    dy = channels_last(grad_output)
    way, m = choose(algorithm, "input_grad", N, C, len(weight), window, groups, dy.itemsize)
    if way == "winograd":
        return layout.from_channels_last(winograd.input_grad(dy, weight, window, m))
    if way == "direct":
        return layout.from_channels_last(direct.input_grad(dy, weight, C, window, groups))
    if way == "depthwise":
        return layout.from_channels_last(depthwise.input_grad(dy, weight, C, window))
    OW = window.output_size[1]
    K = weight.shape[0]
    flat_dy = dy.reshape(-1, K)
    flat_weight = channels_last(weight).reshape(K, -1)
    if window.is_pointwise and groups == 1:
        dx = memory.empty((N, H, W, C), dy.dtype)
        matmul(flat_dy, flat_weight, out=dx.reshape(-1, C))
        return layout.from_channels_last(dx)
    dx = memory.zeros((N, H, W, C), dy.dtype)
    grouped_dx = dx.reshape(N, H, W, groups, C // groups)
    for group, channels in _groups(K, groups):
        for rows in _blocks(N, window, C // groups, dx.itemsize):
            cols = scratch((len(rows), OW, *window.kernel_size, C // groups), dx.dtype)
            part = flat_dy[rows.start * OW : rows.stop * OW, channels]
            matmul(part, flat_weight[channels], out=cols.reshape(len(rows) * OW, -1))
            fold_rows(cols, grouped_dx, group, rows.start, window)
    return layout.from_channels_last(dx)


def conv2d_weight_grad(
    x: Array,
    grad_output: Array,
    weight_shape: Shape4,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Array:
    """The gradient of `conv2d` with respect to its weight: → (K, C / groups, R, S).

    Reads x R·S times (from cache but for the first) and dy once.
    """
    K, group_channels, R, S = weight_shape
    window = convolution_window("conv2d_weight_grad", x.shape[2:], (R, S), stride, padding, dilation)
    dy = channels_last(grad_output)
    N, C, H, W = x.shape
    way, m = choose(algorithm, "weight_grad", N, C, K, window, groups, dy.itemsize)
    if way == "winograd":
        return layout.from_channels_last(winograd.weight_grad(channels_last(x), dy, window, m))
    if way == "direct":
        return layout.from_channels_last(direct.weight_grad(channels_last(x), dy, weight_shape, window, groups))
    if way == "depthwise":
        return layout.from_channels_last(depthwise.weight_grad(channels_last(x), dy, window))
    _, OW = window.output_size
    flat_dy = dy.reshape(-1, K)
    grouped_x = channels_last(x).reshape(N, H, W, groups, group_channels)
    dw = np.zeros((K, R * S * group_channels), dy.dtype)
    if window.is_pointwise and groups == 1:
        matmul(flat_dy.T, grouped_x.reshape(-1, C), out=dw)
    else:
        for group, channels in _groups(K, groups):
            for rows in _blocks(N, window, group_channels, dw.itemsize):
                cols = _pack(grouped_x, group, rows, window)
                part = flat_dy[rows.start * OW : rows.stop * OW, channels]
                dw[channels] += matmul(part.T, cols)
    return layout.from_channels_last(dw.reshape(K, R, S, group_channels))


def _groups(K: int, groups: int) -> Iterator[tuple[int, slice]]:
    """Each channel group with its output channels."""
    size = K // groups
    return ((group, slice(group * size, (group + 1) * size)) for group in range(groups))


def _blocks(N: int, window: Window, channels: int, itemsize: int) -> Iterator[range]:
    """The output rows of all images, N·OH, in blocks whose columns fill about `_BLOCK_BYTES`."""
    OH, OW = window.output_size
    size = max(1, _BLOCK_BYTES // (OW * window.cells * channels * itemsize))
    return (range(first, min(first + size, N * OH)) for first in range(0, N * OH, size))


def _pack(grouped_x: Array, group: int, rows: range, window: Window) -> Array:
    """The columns of a block of output rows, [rows·OW, RSC], in scratch memory."""
    OW = window.output_size[1]
    cols = scratch((len(rows), OW, *window.kernel_size, grouped_x.shape[4]), grouped_x.dtype)
    pack_rows(grouped_x, cols, group, rows.start, window)
    return cols.reshape(len(rows) * OW, -1)
