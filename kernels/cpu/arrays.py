"""What every CPU kernel does to its arrays on the way in: the layout it was compiled for, and reused scratch."""

import math
import threading
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from kernels import layout
from kernels.cpu.jit import jit
from kernels.geometry import Window
from kernels.types import Array

#: A window as compiled code takes it: (KH, KW, SH, SW, top, left, DH, DW).
Numbers: TypeAlias = tuple[int, int, int, int, int, int, int, int]

_per_thread = threading.local()


def numbers(window: Window) -> Numbers:
    """The window's kernel size, stride, padding before the input and dilation, for compiled code."""
    return (*window.kernel_size, *window.stride, window.top, window.left, *window.dilation)


def compact(x: Array) -> Array:
    """`x` as compiled code takes it: C-contiguous, aligned and writeable; copied only where it is not so.

    Numba compiles a kernel anew for each layout, and for read-only arrays too: one copy costs far less.
    """
    if x.flags.carray and type(x) is np.ndarray:  # what np.require would find out ten times slower
        return x
    return np.require(x, requirements=["C_CONTIGUOUS", "ALIGNED", "WRITEABLE", "ENSUREARRAY"])


def in_elements(x: Array) -> Array:
    """`x`, copied where its elements do not lie at whole distances of their size (a field of a record)."""
    if x.flags.aligned and all(stride % x.itemsize == 0 for stride in x.strides):
        return x
    return np.ascontiguousarray(x)


def channels_last(x: Array) -> Array:
    """The N…C block of an (N, C, …) array, as compiled code takes it."""
    return compact(layout.channels_last(x))


def scratch(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Uninitialised memory that this thread's next call of `scratch` hands out again.

    A fresh large array would cost a page fault every 4 KiB at each call.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory: npt.NDArray[Any] | None = getattr(_per_thread, "memory", None)
    if memory is None or memory.nbytes < size:
        memory = _per_thread.memory = np.empty(size, np.uint8)
    return memory[:size].view(dtype).reshape(shape)


@jit
def outputs_inside(tap: int, stride: int, size: int, outputs: int) -> tuple[int, int]:
    """The range of outputs o whose cell o · stride + tap lies inside [0, size)."""
    first = max(0, -(tap // stride))
    last = min(outputs, (size - 1 - tap) // stride + 1)
    return first, max(first, last)
