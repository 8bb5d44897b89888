"""Indices as CuPy takes them: numbers give views, and arrays of numbers wrap around where they lie outside."""

from typing import Any

import numpy as np

from tests.emulation.counters import counts
from tests.emulation.storage import Storage, host


def for_reading(array: np.ndarray, key: Any) -> tuple[tuple[Any, ...], bool]:
    """The index for NumPy, and whether what it reads is a view of the array."""
    parts = key if isinstance(key, tuple) else (key,)
    if all(_is_basic(part) for part in parts):
        # Behind an ellipsis NumPy, too, makes a view of a single element.
        return (parts if any(part is ... for part in parts) else (*parts, ...)), True
    return _wrapped_around(array, tuple(_on_host(part) for part in parts)), False


def for_writing(array: np.ndarray, key: Any, value: Any) -> tuple[tuple[Any, ...], Any]:
    """The index and the value for NumPy.

    Raises:
        ValueError: a NumPy array is written where numbers and slices say; only a device's array, or a number, can be.
    """
    index, is_view = for_reading(array, key)
    if isinstance(value, Storage):
        return index, host(value)
    if is_view and np.ndim(value):
        raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
    if np.ndim(value):
        counts.sets += 1
    return index, value


def _is_basic(part: Any) -> bool:
    if part is None or part is ... or isinstance(part, slice):
        return True
    return isinstance(part, (int, np.integer)) and not isinstance(part, bool)


def _on_host(part: Any) -> Any:
    if _is_basic(part):
        return part
    if isinstance(part, Storage):
        values = host(part)
    else:  # a list or a NumPy array, which CuPy copies to the device
        counts.sets += 1
        values = np.asarray(part)
        if not values.size and isinstance(part, (list, tuple)):
            values = values.astype(np.int32)
    if values.dtype.kind not in "biu":
        raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {values.dtype.type})")
    if values.dtype == bool:
        counts.synchronizations["boolean index"] += 1  # the shape of what is read depends on the values
    return values


def _wrapped_around(array: np.ndarray, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    taken = sum(_axes_taken(part) for part in parts)
    index: list[Any] = []
    axis = 0
    for part in parts:
        is_numbers = isinstance(part, np.ndarray) and part.dtype != bool
        wraps = is_numbers and axis < array.ndim and array.shape[axis] > 0
        index.append(part % array.shape[axis] if wraps else part)
        axis += array.ndim - taken if part is ... else _axes_taken(part)
    return tuple(index)


def _axes_taken(part: Any) -> int:
    if part is None or part is ...:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1
