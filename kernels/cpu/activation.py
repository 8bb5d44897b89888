"""Rectification, its gradient, and the error function: one pass over memory, in whatever order it lies."""

import math

from kernels import layout
from kernels.cpu import memory
from kernels.cpu.arrays import channels_last, compact
from kernels.cpu.rows import row_kernel
from kernels.types import Array

#: Elements per task: 64 KiB in float32, enough to outweigh a launch.
_CHUNK = 1 << 14


def relu(x: Array) -> Array:
    """max(x, 0), element by element; NaN stays. Reads x once, writes y once."""
    block = _block(x)
    y = memory.empty_like(block)
    _relu(-(-block.size // _CHUNK), block.reshape(-1), y.reshape(-1))
    return _shaped(y, x)


def relu_grad(grad_output: Array, y: Array) -> Array:
    """The gradient where y > 0, else 0. Reads both once, writes dx once."""
    dy = _block(grad_output)
    dx = memory.empty_like(dy)
    _relu_grad(-(-dy.size // _CHUNK), dy.reshape(-1), _block(y).reshape(-1), dx.reshape(-1))
    return _shaped(dx, y)


def erf(x: Array) -> Array:
    """2 / √π ∫₀ˣ exp(-t²) dt, element by element. Reads x once, writes y once."""
    block = _block(x)
    y = memory.empty_like(block)
    _erf(-(-block.size // _CHUNK), block.reshape(-1), y.reshape(-1))
    return _shaped(y, x)


def _block(x: Array) -> Array:
    return channels_last(x) if x.ndim == 4 else compact(x)


def _shaped(block: Array, like: Array) -> Array:
    return layout.from_channels_last(block) if like.ndim == 4 else block.reshape(like.shape)


@row_kernel
def _relu(x: Array, y: Array, row: int) -> None:
    zero = x.dtype.type(0)
    # Slices, so that indices start at 0: otherwise each might be negative and mean "from the end".
    source, target = x[row * _CHUNK : (row + 1) * _CHUNK], y[row * _CHUNK : (row + 1) * _CHUNK]
    for i in range(len(target)):
        target[i] = zero if source[i] < zero else source[i]  # NaN stays: it is not less


@row_kernel
def _relu_grad(dy: Array, y: Array, dx: Array, row: int) -> None:
    zero = y.dtype.type(0)
    gradient, value = dy[row * _CHUNK : (row + 1) * _CHUNK], y[row * _CHUNK : (row + 1) * _CHUNK]
    target = dx[row * _CHUNK : (row + 1) * _CHUNK]
    for i in range(len(target)):
        target[i] = gradient[i] if value[i] > zero else zero


@row_kernel
def _erf(x: Array, y: Array, row: int) -> None:
    source, target = x[row * _CHUNK : (row + 1) * _CHUNK], y[row * _CHUNK : (row + 1) * _CHUNK]
    for i in range(len(target)):
        target[i] = math.erf(source[i])
