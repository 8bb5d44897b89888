"""Sliding windows as strided views, and what the CUDA kernels share.

The functions of this package are array operations only, on the array's own module (`xp`): nothing is copied to
the host, no value is looked at there, and so nothing waits for the device. They run on NumPy arrays too, which
is how tests check them on machines without a GPU.
"""

from typing import Any

from kernels.geometry import Pair, Window
from kernels.layout import array_module
from kernels.types import Array


def padded(block: Array, window: Window, fill: float = 0.0) -> Array:
    """An NHWC block with padding around it, as far as any window reaches."""
    (H, W), (height, width) = window.input_size, window.padded_size
    if (height, width) == (H, W):
        return block
    xp = array_module(block)
    result = xp.full((block.shape[0], height, width, block.shape[3]), fill, block.dtype)
    inside(result, window)[...] = block
    return result


def inside(padded_block: Array, window: Window) -> Array:
    """The view of a padded block that is the input."""
    H, W = window.input_size
    return padded_block[:, window.top : window.top + H, window.left : window.left + W]


def tap_view(padded_block: Array, window: Window, tap: Pair) -> Array:
    """The view [N, OH, OW, C] of the cells that one tap of the window looks at, one per output."""
    rows, columns = (
        slice(offset * dilation, offset * dilation + (outputs - 1) * stride + 1, stride)
        for offset, dilation, outputs, stride in zip(
            tap, window.dilation, window.output_size, window.stride, strict=True
        )
    )
    return padded_block[:, rows, columns]


def window_view(padded_block: Array, window: Window) -> Array:
    """The view [N, OH, OW, KH, KW, C] of every window: cells appear in as many windows as look at them."""
    N, _, _, C = padded_block.shape
    step_n, step_h, step_w, step_c = padded_block.strides
    shape = (N, *window.output_size, *window.kernel_size, C)
    strides = (
        step_n,
        step_h * window.stride[0],
        step_w * window.stride[1],
        step_h * window.dilation[0],
        step_w * window.dilation[1],
        step_c,
    )
    as_strided: Any = array_module(padded_block).lib.stride_tricks.as_strided
    return as_strided(padded_block, shape, strides)


def fold(cols: Array, window: Window) -> Array:
    """Windows [N, OH, OW, KH, KW, C] added back onto the NHWC block that they came from.

    One addition per tap: inside one tap no two outputs share a cell, so no addition needs to be atomic, and
    sums have a fixed order.
    """
    shape = (cols.shape[0], *window.padded_size, cols.shape[5])
    result = array_module(cols).zeros(shape, cols.dtype)
    for i, j in window.taps():
        view = tap_view(result, window, (i, j))
        view += cols[:, :, :, i, j]
    return array_module(cols).ascontiguousarray(inside(result, window))
