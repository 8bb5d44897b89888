"""What the public functions check, once, before a kernel runs: each check raises one sentence that helps.

A check names the operation and the argument, echoes what was given and says what was expected.
"""

import operator
from typing import Any

import numpy as np

from kernels.errors import ArgumentError, DTypeError, ShapeError
from kernels.geometry import Window, argmax_dtype
from kernels.layout import is_cupy
from kernels.types import Array, Shape4

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16))
_ALIKE = [{dtype} for dtype in _FLOATS]
#: By name, because bfloat16 is no type of NumPy's own.
_HALVES = ("float16", "bfloat16")


def floats(operation: str, **arrays: Array | None) -> None:
    """All arrays are of one type: float16, float32 or float64, on a GPU also bfloat16.

    None stands for an array that was left out.

    Raises:
        DTypeError: one has another element type, or two differ.
    """
    if {array.dtype for array in arrays.values() if array is not None} in _ALIKE:
        return
    given = {name: array.dtype for name, array in arrays.items() if array is not None}
    first, *others = given
    for name, dtype in given.items():
        if dtype in _FLOATS or (dtype.name == "bfloat16" and is_cupy(arrays[name])):
            continue
        if dtype.name == "bfloat16":
            raise DTypeError(
                f"{operation}: {name} is bfloat16, which only the GPU takes (CuPy arrays); convert it, for example "
                f'with {name}.astype("float32").'
            )
        raise DTypeError(f"{operation}: {name} is {dtype} but float32, float64 or float16 is expected.")
    for name in others:
        if given[name] != given[first]:
            raise DTypeError(
                f"{operation}: {first} is {given[first]} but {name} is {given[name]}; convert one of them, "
                f'for example with {name}.astype("{given[first]}").'
            )


def floats_beside(operation: str, x: Array, **arrays: Array) -> None:
    """What is kept per channel or column beside x: all of x's type, or all float32 beside half precision.

    Raises:
        DTypeError: x has no type that kernels take, or the others have another.
    """
    dtypes = {array.dtype for array in arrays.values()}
    if x.dtype.name in _HALVES and dtypes == {_FLOATS[0]}:
        floats(operation, x=x)
    else:
        floats(operation, x=x, **arrays)


def axes(operation: str, name: str, array: Array, names: str) -> None:
    """The array has the axes called `names`, such as "(N, C, H, W)", of which only the batch may be empty.

    Raises:
        ShapeError: it has another number of axes, or an empty one.
    """
    if array.ndim != names.count(",") + 1:
        raise ShapeError(f"{operation}: {name} must have axes {names}, got {name}.shape={array.shape}.")
    if 0 in array.shape[1:] or (array.shape[0] == 0 and not names.startswith("(N")):
        raise ShapeError(
            f"{operation}: {name} has an empty axis ({name}.shape={array.shape}, axes {names}); only the batch "
            "N may be empty."
        )


def shape4(operation: str, name: str, shape: Any, names: str) -> Shape4:
    """`shape` as four ints, of which only the batch may be 0.

    Raises:
        ArgumentError: it is anything else.
    """
    try:
        first, second, third, fourth = (operator.index(size) for size in shape)
    except (TypeError, ValueError):
        raise ArgumentError(f"{operation}: {name} must be four ints {names}, got {shape!r}.") from None
    least = 0 if names.startswith("(N") else 1
    if first < least or min(second, third, fourth) < 1:
        raise ArgumentError(f"{operation}: {name} must be four positive ints {names}, got {shape!r}.")
    return first, second, third, fourth


def channels(operation: str, x: tuple[str, tuple[int, ...]], weight: tuple[str, tuple[int, ...]], groups: int) -> None:
    """The input's channels, the weight's and the groups fit.

    Args:
        operation: whom error messages name.
        x: the input's name in messages, and its shape (N, C, H, W).
        weight: the weight's name in messages, and its shape (K, C / groups, R, S).
        groups: into how many groups channels are split.

    Raises:
        ArgumentError: `groups` is no positive int.
        ShapeError: the channels differ, or are not divisible by `groups`.
    """
    (x_name, x_shape), (weight_name, weight_shape) = x, weight
    C, K, group_channels = x_shape[1], weight_shape[0], weight_shape[1]
    if isinstance(groups, bool) or not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"{operation}: groups must be an int of at least 1, got {groups!r}.")
    echo = f"({x_name}={x_shape}, {weight_name}={weight_shape}, groups={groups})"
    expected = group_channels * groups
    if expected != C:
        raise ShapeError(f"{operation}: x has {C} channels but weight expects {expected} {echo}")
    if K % groups:
        raise ShapeError(
            f"{operation}: weight has {K} output channels, which {groups} groups cannot share equally {echo}"
        )


def algorithm(operation: str, algorithm: str, window: Window, groups: int) -> None:
    """The algorithm can take this convolution.

    Raises:
        ArgumentError: it is Winograd's, and the convolution is not 3×3 with stride 1, dilation 1 and one group.
    """
    steps = (window.kernel_size, window.stride, window.dilation, groups)
    if algorithm == "winograd" and steps != ((3, 3), (1, 1), (1, 1), 1):
        raise ArgumentError(
            f'{operation}: algorithm="winograd" takes kernels of 3×3 with stride 1, dilation 1 and groups 1, got '
            f"kernel size {window.kernel_size}, stride {window.stride}, dilation {window.dilation} and groups "
            f'{groups}; use "auto".'
        )


def shape(operation: str, name: str, array: Array, expected: tuple[int, ...], because: str) -> None:
    """The array has the shape that follows from the other arguments, which `because` echoes.

    Raises:
        ShapeError: it has another.
    """
    if array.shape != expected:
        raise ShapeError(f"{operation}: {name}.shape is {array.shape} but {expected} is expected ({because}).")


def winners(operation: str, argmax: Array, window: Window) -> None:
    """`argmax` has the element type that `max_pool2d` gives it.

    Raises:
        DTypeError: it has another.
    """
    expected = argmax_dtype(window.cells)
    if argmax.dtype != expected:
        raise DTypeError(
            f"{operation}: argmax is {argmax.dtype} but max_pool2d returns {expected} for kernel_size="
            f"{window.kernel_size}."
        )
