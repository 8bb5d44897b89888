"""Random words of Philox, and dropout, which draws them where they are used: the bits of `kernels.philox`.

What was kept is remembered in one byte per element: to read it back takes less than to draw it again.
"""

from typing import Any

import numpy as np

from kernels.cuda.arrays import accumulator, memory_order, shaped, vector
from kernels.cuda.launch import THREADS, blocks_for, launch
from kernels.layout import array_module
from kernels.types import Array

#: Words in a block of Philox, which one thread computes.
_WORDS = 4


def random_words(xp: Any, count: int, *, key: int, stream: int, start: int) -> Array:
    """The words of `kernels.philox.philox4x32`, which says what the arguments are. Writes them once."""
    words: Array = xp.empty(count, np.uint32)
    arguments = (words, np.int64(count), *_draw(key, stream, start))
    launch("dropout", "random_words", blocks_for(-(-count // _WORDS)), (THREADS,), arguments, np.float32)
    return words


def dropout(x: Array, p: float, *, key: int, stream: int = 0, start: int = 0) -> tuple[Array, Array]:
    """Kept values divided by 1 − p, the others 0. Reads x once, writes y and one byte per element."""
    xp, block = array_module(x), memory_order(x)
    y, kept = xp.empty(block.shape, x.dtype), xp.empty(block.shape, np.bool_)
    threshold = np.uint64(round((1.0 - p) * 2**32))
    arguments = (block, y, kept, np.int64(x.size), _scale(p, x), threshold, *_draw(key, stream, start))
    defines = (f"VECTOR={vector(x.size, block, y, kept, most=_WORDS)}",)
    launch("dropout", "dropout", blocks_for(-(-x.size // _WORDS)), (THREADS,), arguments, x.dtype, defines=defines)
    return shaped(y, x), shaped(kept, x)


def dropout_grad(grad_output: Array, kept: Array, p: float) -> Array:
    """The gradient: dy / (1 − p) where kept, else 0. Reads dy and one byte per element, writes dx once."""
    dy, marks = memory_order(grad_output), memory_order(kept)
    dx = array_module(dy).empty(dy.shape, dy.dtype)
    width = vector(dx.size, dy, marks, dx, most=_WORDS)
    packs = dx.size // width
    arguments = (dy, marks, dx, np.int64(packs), _scale(p, grad_output))
    launch("dropout", "dropout_grad", blocks_for(packs), (THREADS,), arguments, dx.dtype, defines=(f"VECTOR={width}",))
    return shaped(dx, grad_output)


def _scale(p: float, x: Array) -> Any:
    """1 / (1 − p), rounded as the quotient of two numbers of the type that computes."""
    number = accumulator(x.dtype).type
    return number(1) / number(1.0 - p) if p < 1 else number(1)


def _draw(key: int, stream: int, start: int) -> tuple[np.uint64, ...]:
    return np.uint64(key), np.uint64(stream), np.uint64(start)
