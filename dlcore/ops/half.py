"""Half precision stores; what would round more than once is computed in float32, and rounded at the end.

Kernels do so by themselves, and an element-wise function of NumPy or CuPy rounds only once. The rest comes here:
operations on arrays through `widened` and `narrowed`, functions made of several operations through `in_float32`.
Arrays and Tensors of other types pass unchanged.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, cast

import numpy as np

from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor

Options = ParamSpec("Options")

#: By name, because bfloat16 is no type of NumPy's own.
_HALVES = ("float16", "bfloat16")


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether it is float16 or bfloat16."""
    return dtype.itemsize == 2 and dtype.name in _HALVES


def widened(x: Array) -> Array:
    """The array, in float32 if it is of half precision."""
    return x.astype(np.float32) if is_half(x.dtype) else x


def narrowed(y: Array, dtype: np.dtype[Any]) -> Array:
    """What was computed from widened arrays, in their own type."""
    return y.astype(dtype) if y.dtype != dtype else y


def in_float32(
    function: "Callable[Concatenate[Any, Options], Tensor]",
) -> "Callable[Concatenate[Any, Options], Tensor]":
    """A function of a Tensor that takes one of half precision through float32, differentiably."""

    @functools.wraps(function)
    def wide(x: "Tensor", *arguments: Options.args, **options: Options.kwargs) -> "Tensor":
        dtype = getattr(x, "dtype", None)  # what has none, the function itself refuses
        if dtype is None or not is_half(dtype):
            return function(x, *arguments, **options)
        return function(x.astype(np.float32), *arguments, **options).astype(dtype)

    return cast("Callable[Concatenate[Any, Options], Tensor]", wide)
