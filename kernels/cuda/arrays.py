"""How launchers see arrays: as one block in memory order, in packs of neighbours, and cut into blocks of threads."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import layout
from kernels.cuda.launch import ELEMENTS, THREADS
from kernels.types import Array

#: Bytes that a thread moves with one instruction at most.
_PACK = 16


def memory_order(x: Array) -> Array:
    """The elements as a C-contiguous block: channels-last for 4-D arrays. Copied only where memory holds them else."""
    return layout.channels_last(x) if x.ndim == 4 else layout.array_module(x).ascontiguousarray(x)


def shaped(block: Array, like: Array) -> Array:
    """The inverse of `memory_order`: a block with the shape of `like`."""
    return layout.from_channels_last(block) if like.ndim == 4 else block.reshape(like.shape)


def accumulator(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The type in which kernels compute with `dtype`: float32 for half precision, else the type itself."""
    return np.dtype(np.float64 if np.dtype(dtype).name == "float64" else np.float32)


def c_name(dtype: np.dtype[Any]) -> str:
    """How C calls a floating type."""
    return ELEMENTS[dtype.name]


def vector(length: int, *arrays: Array, most: int = _PACK) -> int:
    """How many neighbours make a pack: a power of two, one where alignment or length allow no more.

    Args:
        length: a pack must not reach over such a stretch: the channels, or all elements.
        arrays: each must begin where a pack may lie; a pack of the widest type has 16 bytes.
        most: numbers in a pack at most.
    """
    size = min(most, _PACK // max(array.itemsize for array in arrays))
    aligned = all(array.data.ptr % (size * array.itemsize) == 0 for array in arrays)  # type: ignore[attr-defined]
    return size if aligned and length % size == 0 else 1


def tile(places: int, *, least: int = 1, most: int = THREADS, threads: int = THREADS) -> tuple[int, int]:
    """A block of threads over rows of `places`: threads along x, a power of two that covers a row if it can, and y."""
    along = min(most, max(least, 1 << max(0, places - 1).bit_length()))
    return along, threads // along


def grid_of(rows: int, places: int, block: tuple[int, int]) -> tuple[int, int]:
    """The grid with a thread for each place of each row: rows along x, which may be long, stretches of them along y."""
    return max(1, math.ceil(rows / block[1])), max(1, math.ceil(places / block[0]))
