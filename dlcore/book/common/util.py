"""`common.util`: smoothing, shuffling, and windows unfolded into rows (chapters 6 and 7)."""

from typing import Any

import numpy as np

import kernels
from dlcore.book.dtypes import for_kernels, in_type
from kernels.types import Array, Shape4

__all__ = ["col2im", "conv_output_size", "im2col", "np", "shuffle_dataset", "smooth_curve"]

#: Of the Kaiser window that smooths curves.
_WINDOW, _BETA = 11, 2


def smooth_curve(x: Any) -> Array:
    """A curve of losses, (M,), averaged over windows of 11 values, mirrored at both ends: (M,) for M ≥ 11."""
    mirrored = np.r_[x[_WINDOW - 1 : 0 : -1], x, x[-1:-_WINDOW:-1]]
    window = np.kaiser(_WINDOW, _BETA)
    smooth = np.convolve(window / window.sum(), mirrored, mode="valid")
    return smooth[_WINDOW // 2 : len(smooth) - _WINDOW // 2]


def shuffle_dataset(x: Array, t: Array) -> tuple[Array, Array]:
    """Inputs (N, …) and targets (N, …) in one new random order, drawn by `np.random.permutation`."""
    order = np.random.permutation(x.shape[0])
    return x[order], t[order]


def conv_output_size(input_size: float, filter_size: float, stride: float = 1, pad: float = 0) -> float:
    """How many places a filter takes along one axis, as a float: a fraction says that it does not fit."""
    return (input_size + 2 * pad - filter_size) / stride + 1


def im2col(input_data: Array, filter_h: int, filter_w: int, stride: int = 1, pad: int = 0) -> Array:
    """Unfold windows into rows: (N, C, H, W) → (N·OH·OW, C·FH·FW); see `kernels.im2col`."""
    (x,), dtype = for_kernels(input_data)
    return in_type(kernels.im2col(x, (filter_h, filter_w), stride=stride, padding=pad), dtype)


def col2im(col: Array, input_shape: Shape4, filter_h: int, filter_w: int, stride: int = 1, pad: int = 0) -> Array:
    """Fold rows back, adding where windows overlap: (N·OH·OW, C·FH·FW) → (N, C, H, W); see `kernels.col2im`."""
    (cols,), dtype = for_kernels(col)
    return in_type(kernels.col2im(cols, input_shape, (filter_h, filter_w), stride=stride, padding=pad), dtype)
