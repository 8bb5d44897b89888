"""Dropout with Philox's random words drawn where they are used: the bits of `kernels.philox`, in one pass.

What was kept is remembered in one byte per element: to read it back takes a fraction of the time of drawing it again.
"""

import numpy as np

from kernels import layout
from kernels.cpu import memory
from kernels.cpu.arrays import channels_last, compact
from kernels.cpu.jit import jit
from kernels.cpu.rows import row_kernel
from kernels.philox import KEY_INCREMENTS, LOW, MULTIPLIERS, ROUNDS
from kernels.types import Array

#: Random words at a time: 4 KiB, which stay in the first-level cache.
_WORDS = 1 << 10
_TASK = 16 * _WORDS


def dropout(x: Array, p: float, *, key: int, stream: int = 0, start: int = 0) -> tuple[Array, Array]:
    """Kept values divided by 1 − p, the others 0. Reads x once, writes y and one byte per element."""
    block = channels_last(x) if x.ndim == 4 else compact(x)
    y, kept = memory.empty_like(block), memory.empty(block.shape, np.bool_)
    threshold = round((1.0 - p) * 2**32)
    words = (key & LOW, key >> 32, stream & LOW, stream >> 32, start, threshold)
    # Compiled code takes bytes for booleans.
    flat = block.reshape(-1), y.reshape(-1), kept.reshape(-1).view(np.uint8)
    _dropout(-(-x.size // _TASK), *flat, _scale(p, x), words)
    return _shaped(y, x), _shaped(kept, x)


def dropout_grad(grad_output: Array, kept: Array, p: float) -> Array:
    """The gradient: dy / (1 − p) where kept, else 0. Reads dy and one byte per element, writes dx once."""
    dy, block = (channels_last(a) if a.ndim == 4 else compact(a) for a in (grad_output, kept))
    dx = memory.empty_like(dy)
    flat = dy.reshape(-1), block.reshape(-1).view(np.uint8), _scale(p, grad_output), dx.reshape(-1)
    _dropout_grad(-(-dx.size // _TASK), *flat)
    return _shaped(dx, grad_output)


def _scale(p: float, x: Array) -> Array:
    """1 / (1 − p), rounded as the quotient of two numbers of x's type."""
    one = x.dtype.type(1)
    return np.array([one / x.dtype.type(1.0 - p) if p < 1 else one])


def _shaped(block: Array, like: Array) -> Array:
    return layout.from_channels_last(block) if like.ndim == 4 else block.reshape(like.shape)


@row_kernel
def _dropout(
    x: Array, y: Array, kept: Array, scale: Array, words: tuple[int, int, int, int, int, int], task: int
) -> None:
    k0, k1, s0, s1, start, threshold = words
    factor, zero = scale[0], x.dtype.type(0)
    random = np.empty(_WORDS, np.uint32)
    for first in range(task * _TASK, min((task + 1) * _TASK, len(x)), _WORDS):
        _draw(random, k0, k1, s0, s1, start + first // 4)
        source, target = x[first : first + _WORDS], y[first : first + _WORDS]
        marks = kept[first : first + _WORDS]
        for i in range(len(target)):
            keep = random[i] < threshold
            marks[i] = keep
            target[i] = source[i] * (factor if keep else zero)  # a product, so that NaN stays


@row_kernel
def _dropout_grad(dy: Array, kept: Array, scale: Array, dx: Array, task: int) -> None:
    factor, zero = scale[0], dy.dtype.type(0)
    gradient, target = dy[task * _TASK : (task + 1) * _TASK], dx[task * _TASK : (task + 1) * _TASK]
    marks = kept[task * _TASK : (task + 1) * _TASK]
    for i in range(len(target)):
        target[i] = gradient[i] * (factor if marks[i] else zero)


@jit
def _draw(random: Array, k0: int, k1: int, s0: int, s1: int, start: int) -> None:
    """The words of the blocks from `start` on. See `kernels.philox`, whose names these are."""
    low, shift = np.uint64(LOW), np.uint64(32)
    for block in range(len(random) // 4):
        index = np.uint64(start) + np.uint64(block)
        c0, c1, c2, c3 = index & low, index >> shift, np.uint64(s0), np.uint64(s1)
        key0, key1 = np.uint64(k0), np.uint64(k1)
        for _ in range(ROUNDS):
            product0, product1 = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])
            c0, c1 = (product1 >> shift) ^ c1 ^ key0, product1 & low
            c2, c3 = (product0 >> shift) ^ c3 ^ key1, product0 & low
            key0 = (key0 + np.uint64(KEY_INCREMENTS[0])) & low
            key1 = (key1 + np.uint64(KEY_INCREMENTS[1])) & low
        random[4 * block] = c0
        random[4 * block + 1] = c1
        random[4 * block + 2] = c2
        random[4 * block + 3] = c3
