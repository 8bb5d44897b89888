"""Convolution and its two gradients as matrix products over unfolded windows.

The algebra is that of `kernels.cpu.convolution`. Every product is two-dimensional: products of more dimensions
lose precision options on the device. With one channel per group (depthwise) there is too little in a product,
and each tap of the window becomes one element-wise multiplication instead.
"""

import math
from collections.abc import Iterator
from typing import Literal

from kernels import layout
from kernels.cuda.windows import fold, inside, padded, tap_view, window_view
from kernels.geometry import Padding, Size, Window, convolution_window
from kernels.types import Array, Shape4


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
    """Cross-correlate: (N, C, H, W) with (K, C / groups, R, S) → (N, K, OH, OW)."""
    window = convolution_window("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    block = padded(layout.channels_last(x), window)
    if algorithm == "auto" and _is_depthwise(weight.shape, groups):
        y = _depthwise(block, weight, window)
    else:
        y = _forward(block, weight, window, groups)
    if bias is not None:
        y += bias
    if activation == "relu":
        layout.array_module(y).maximum(y, 0, out=y)
    return layout.from_channels_last(y)


def _forward(block: Array, weight: Array, window: Window, groups: int) -> Array:
    N, K = block.shape[0], weight.shape[0]
    flat_weight = layout.channels_last(weight).reshape(K, -1)
    y = layout.array_module(block).empty((N, *window.output_size, K), block.dtype)
    flat_y = y.reshape(-1, K)
    for inputs, outputs in _groups(block.shape[3], K, groups):
        # [N·OH·OW, RSC] · [RSC, K]
        flat_y[:, outputs] = _columns(block[..., inputs], window) @ flat_weight[outputs].T
    return y


def _depthwise(block: Array, weight: Array, window: Window) -> Array:
    N, C, K = block.shape[0], block.shape[3], weight.shape[0]
    y = layout.array_module(block).zeros((N, *window.output_size, C, K // C), block.dtype)
    taps = weight.reshape(C, K // C, *window.kernel_size)
    for i, j in window.taps():
        y += tap_view(block, window, (i, j))[..., None] * taps[:, :, i, j]
    return y.reshape(N, *window.output_size, K)


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
    """The gradient of `conv2d` with respect to x: (N, K, OH, OW) → (N, C, H, W)."""
    _, C, H, W = input_shape
    window = convolution_window("conv2d_input_grad", (H, W), weight.shape[2:], stride, padding, dilation)
    dy = layout.channels_last(grad_output)
    if algorithm == "auto" and _is_depthwise(weight.shape, groups):
        return layout.from_channels_last(_depthwise_input_grad(dy, weight, C, window))
    xp = layout.array_module(dy)
    N, K = dy.shape[0], dy.shape[3]
    flat_dy = dy.reshape(-1, K)
    flat_weight = layout.channels_last(weight).reshape(K, -1)
    dx = xp.empty((N, H, W, C), dy.dtype)
    for inputs, outputs in _groups(C, K, groups):
        # [N·OH·OW, K] · [K, RSC]
        cols = flat_dy[:, outputs] @ flat_weight[outputs]
        shape = (N, *window.output_size, *window.kernel_size, C // groups)
        dx[..., inputs] = fold(cols.reshape(shape), window)
    return layout.from_channels_last(dx)


def _depthwise_input_grad(dy: Array, weight: Array, C: int, window: Window) -> Array:
    N, K = dy.shape[0], dy.shape[3]
    xp = layout.array_module(dy)
    split_dy = dy.reshape(N, *window.output_size, C, K // C)
    taps = weight.reshape(C, K // C, *window.kernel_size)
    dx = xp.zeros((N, *window.padded_size, C), dy.dtype)
    for i, j in window.taps():
        view = tap_view(dx, window, (i, j))
        view += (split_dy * taps[:, :, i, j]).sum(axis=4)
    return xp.ascontiguousarray(inside(dx, window))


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
    """The gradient of `conv2d` with respect to its weight: → (K, C / groups, R, S)."""
    window = convolution_window("conv2d_weight_grad", x.shape[2:], weight_shape[2:], stride, padding, dilation)
    block = padded(layout.channels_last(x), window)
    dy = layout.channels_last(grad_output)
    if algorithm == "auto" and _is_depthwise(weight_shape, groups):
        return layout.from_channels_last(_depthwise_weight_grad(block, dy, window))
    K, group_channels, R, S = weight_shape
    flat_dy = dy.reshape(-1, K)
    dw = layout.array_module(dy).empty((K, R * S * group_channels), dy.dtype)
    for inputs, outputs in _groups(block.shape[3], K, groups):
        # [K, N·OH·OW] · [N·OH·OW, RSC]
        dw[outputs] = flat_dy[:, outputs].T @ _columns(block[..., inputs], window)
    return layout.from_channels_last(dw.reshape(K, R, S, group_channels))


def _depthwise_weight_grad(block: Array, dy: Array, window: Window) -> Array:
    N, C, K = block.shape[0], block.shape[3], dy.shape[3]
    split_dy = dy.reshape(N, *window.output_size, C, K // C)
    dw = layout.array_module(dy).empty((K, *window.kernel_size, 1), dy.dtype)
    for i, j in window.taps():
        products = split_dy * tap_view(block, window, (i, j))[..., None]
        dw[:, i, j, 0] = products.sum(axis=(0, 1, 2)).reshape(K)
    return dw


def _columns(block: Array, window: Window) -> Array:
    """[N·OH·OW, R·S·C]: one copy out of a strided view, or none for a 1×1 window that sees every cell."""
    rows = block.shape[0] * math.prod(window.output_size)
    return window_view(block, window).reshape(rows, window.cells * block.shape[3])


def _is_depthwise(weight_shape: tuple[int, ...], groups: int) -> bool:
    return groups > 1 and weight_shape[1] == 1


def _groups(C: int, K: int, groups: int) -> Iterator[tuple[slice, slice]]:
    """The input channels and output channels of each group."""
    inputs, outputs = C // groups, K // groups
    return (
        (slice(group * inputs, (group + 1) * inputs), slice(group * outputs, (group + 1) * outputs))
        for group in range(groups)
    )
