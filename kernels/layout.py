"""The memory layout of 4-D arrays: shapes say (N, C, H, W), memory holds N, H, W, C.

This is the one place that converts; kernels work on the NHWC block inside. With channels innermost, vector
lanes run over channels on the CPU, tensor cores read them on the GPU, and a 1×1 convolution is one matrix
product. Convolution weights (K, C, R, S) are laid out alike, as K, R, S, C.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.types import Array


def array_module(array: Array) -> Any:
    """The module, `numpy` or `cupy`, whose functions take `array`."""
    if is_cupy(array):
        import cupy

        return cupy
    return np


def is_cupy(array: object) -> bool:
    """Whether `array` is CuPy's; CuPy is not imported to find out."""
    return type(array).__module__.partition(".")[0] == "cupy"


def channels_last(x: Array) -> Array:
    """The N…C block of an (N, C, …) array, C-contiguous: a view where memory holds it so, else a copy."""
    return array_module(x).ascontiguousarray(x.transpose(0, *range(2, x.ndim), 1))


def from_channels_last(block: Array) -> Array:
    """The (N, C, …) view of an N…C block."""
    return block.transpose(0, block.ndim - 1, *range(1, block.ndim - 1))


def same_order(a: Array, b: Array) -> bool:
    """Whether elements of two arrays of one shape lie in the same order; strides of axes of length 1 mean nothing."""
    strides = zip(a.strides, b.strides, a.shape, strict=True)
    return all(one * b.itemsize == two * a.itemsize for one, two, length in strides if length > 1)


def is_dense(x: Array) -> bool:
    """Whether the elements fill a block of memory, in whatever order of the axes."""
    if x.flags.c_contiguous or x.flags.f_contiguous:
        return True
    expected = x.itemsize
    for stride, length in sorted(zip(x.strides, x.shape, strict=True)):
        if stride != expected:
            return False
        expected *= length
    return True


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike, xp: Any = np) -> Array:
    """An uninitialised (N, C, H, W) array in channels-last memory."""
    N, C, H, W = shape
    return from_channels_last(xp.empty((N, H, W, C), dtype))


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike, xp: Any = np) -> Array:
    """A zeroed (N, C, H, W) array in channels-last memory."""
    N, C, H, W = shape
    return from_channels_last(xp.zeros((N, H, W, C), dtype))
