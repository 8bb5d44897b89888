"""Element types: the book's code takes what NumPy takes, and gives kernels float32 or float64.

Results have the type that NumPy's promotion gives: float32 images times float64 weights make float64. Integers are
computed in float64, float16 in float32.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.types import Array

_OF_KERNELS = (np.dtype(np.float32), np.dtype(np.float64))


def for_kernels(*arrays: Any) -> tuple[list[Array], np.dtype[Any]]:
    """The arrays in one type that kernels take, and the type that the result should have.

    Args:
        arrays: arrays or Python numbers, which are weak: they become arrays of the others' type.
    """
    result = np.result_type(*arrays)
    computed = result
    if result not in _OF_KERNELS:
        computed = np.dtype(np.float32 if result == np.float16 else np.float64)
    return [np.asarray(array, computed) for array in arrays], result


def in_type(array: Array, dtype: np.dtype[Any]) -> Array:
    """The array in that type; itself where it has it."""
    return array.astype(dtype, copy=False)


def as_floats(x: npt.ArrayLike) -> Array:
    """The array as it is if it holds floats, else in float64: unsigned integers would wrap around at 0."""
    array = np.asarray(x)
    return array if array.dtype.kind in "fc" else array.astype(np.float64)
