"""im2col and col2im with array operations."""

import math

from kernels import layout
from kernels.cuda.windows import fold, padded, window_view
from kernels.geometry import Padding, Size, convolution_window
from kernels.types import Array, Shape4


def im2col(x: Array, kernel_size: Size, *, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> Array:
    """Unfold windows into rows: (N, C, H, W) → (N·OH·OW, C·KH·KW). One copy out of a strided view."""
    window = convolution_window("im2col", x.shape[2:], kernel_size, stride, padding, dilation)
    N, C = x.shape[:2]
    windows = window_view(padded(layout.channels_last(x), window), window)
    cols = layout.array_module(x).empty((N, *window.output_size, C, *window.kernel_size), x.dtype)
    cols[...] = windows.transpose(0, 1, 2, 5, 3, 4)  # [N, OH, OW, KH, KW, C] → [N, OH, OW, C, KH, KW]
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
    """Fold rows back, adding where windows overlap: (N·OH·OW, C·KH·KW) → (N, C, H, W)."""
    N, C, H, W = input_shape
    window = convolution_window("col2im", (H, W), kernel_size, stride, padding, dilation)
    windows = cols.reshape(N, *window.output_size, C, *window.kernel_size)
    # [N, OH, OW, C, KH, KW] → [N, OH, OW, KH, KW, C]
    return layout.from_channels_last(fold(windows.transpose(0, 1, 2, 4, 5, 3), window))
