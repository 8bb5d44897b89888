"""Memory for results and scratch, used again and again: fresh large blocks cost a page fault every 4 KiB.

A training step makes and drops the same arrays each time. Blocks are kept here, and one is handed out again when
no array lives in it any more. Whether one does, its reference count tells: NumPy lets every view hold the block
itself. All begin at a cache line, so that no vector is split over two.
"""

import math
import os
import sys
import threading

import numpy as np
import numpy.typing as npt

from kernels.types import Array

#: Bytes from which on blocks are kept: smaller ones the C library keeps itself.
_LEAST_BYTES = 1 << 16
_LINE = 64
#: Memory in which nothing lives is given back beyond this, whenever new memory is needed: what a training step of a
#: middling network drops stays.
_MOST_FREE_BYTES = 1 << 30

#: For each size: blocks, and in each the offset of the first cache line.
_blocks: dict[int, list[tuple[Array, int]]] = {}
_lock = threading.Lock()


def empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """An uninitialised C-contiguous array, as `np.empty`."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < _LEAST_BYTES:
        return np.empty(shape, kind)
    # Sizes are an eighth of a power of two apart, so that similar arrays share blocks.
    step = 1 << (size.bit_length() - 4)
    size = (size + step - 1) // step * step
    with _lock:
        kept = _blocks.setdefault(size, [])
        for place in range(len(kept)):
            if _is_free(kept, place):
                break
        else:
            place = len(kept)
            _add_block(size)
        block, offset = kept[place]
        return np.ndarray(shape, kind, block, offset)


def empty_like(x: Array) -> Array:
    """An uninitialised array of the shape and type of `x`, C-contiguous."""
    return empty(x.shape, x.dtype)


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """An array of zeros, as `np.zeros`."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def release() -> int:
    """Give back all memory in which no array lives; returns its bytes."""
    with _lock:
        return _drop_free(sys.maxsize)


def _references(kept: list[tuple[Array, int]], place: int) -> int:
    return sys.getrefcount(kept[place][0])


#: What `_references` is for a block that nothing else holds.
_NO_OTHERS = _references([(np.empty(0), 0)], 0)


def _is_free(kept: list[tuple[Array, int]], place: int) -> bool:
    return _references(kept, place) <= _NO_OTHERS


def _add_block(size: int) -> None:
    free = sum(size for size, kept in _blocks.items() for place in range(len(kept)) if _is_free(kept, place))
    _drop_free(free - _MOST_FREE_BYTES)
    block = np.empty(size + _LINE, np.uint8)
    _blocks[size].append((block, -block.ctypes.data % _LINE))


def _drop_free(excess: int) -> int:
    """Drop free blocks until `excess` bytes are gone, or all of them."""
    dropped = 0
    for size, kept in _blocks.items():
        for place in reversed(range(len(kept))):
            if dropped < excess and _is_free(kept, place):
                del kept[place]
                dropped += size
    return dropped


def _after_fork() -> None:
    # Another thread may have held the lock, and will never release the child's.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
