"""Functions that make tensors: on the active backend, or around an array that exists."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcore import backend
from dlcore.array_methods import lengths_of
from dlcore.tensor import Tensor, as_array
from kernels import options
from kernels.errors import ArgumentError, DTypeError

#: Their bytes can be counted in 64 bits.
_MOST_VALUES = 2**60


def tensor(data: Any, dtype: npt.DTypeLike | None = None, *, requires_grad: bool = False) -> Tensor:
    """A Tensor of a *copy* of `data` (a number, nested lists, an array, a Tensor), on the active backend.

    Python floats become float32; an array keeps its dtype unless `dtype` says otherwise.
    """
    source = data.data if isinstance(data, Tensor) else data
    here = backend.current()
    with here.active_device():
        return Tensor(as_array(source, dtype, on=here).copy(), requires_grad)


def from_dlpack(array: Any) -> Tensor:
    """A Tensor in the memory of another library's array (PyTorch, JAX, …), without a copy, on the device where it lies.

    Args:
        array: what has `__dlpack__`, or, on a GPU, `__cuda_array_interface__`.

    Raises:
        DTypeError: it has neither.
        BackendUnavailableError: it lies on a GPU, and CuPy cannot be used here.
    """
    return Tensor(backend.from_dlpack(array))


def zeros(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32, *, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros."""
    return _filled("zeros", shape, 0, dtype, requires_grad)


def ones(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32, *, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones."""
    return _filled("ones", shape, 1, dtype, requires_grad)


def full(
    shape: int | Sequence[int], value: float, dtype: npt.DTypeLike = np.float32, *, requires_grad: bool = False
) -> Tensor:
    """A Tensor with the same value everywhere.

    Raises:
        ArgumentError: the shape is none, or the value no number (of the dtype).
    """
    return _filled("full", shape, value, dtype, requires_grad)


def _filled(operation: str, shape: Any, value: Any, dtype: npt.DTypeLike, requires_grad: bool) -> Tensor:
    size, kind = options.lengths(operation, shape), options.element_type(operation, dtype)
    value = options.plain(value)
    if not isinstance(value, (bool, int, float, np.floating)):
        raise ArgumentError(f"{operation}: value must be a number, got {options.short(value)}")
    try:
        value = int(value) if kind.kind in "iu" else value
        np.full((), value, kind)
    except (OverflowError, ValueError):
        raise ArgumentError(f"{operation}: {options.short(value)} is no value of type {kind}") from None
    here = backend.current()
    with here.active_device():
        return Tensor(here.xp.full(size, value, dtype=kind), requires_grad)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: npt.DTypeLike | None = None) -> Tensor:
    """Evenly spaced values, from `start` (or 0) up to `stop`, which is left out; floats become float32.

    Raises:
        ArgumentError: a bound is no finite number, the step is 0, or there would be too many values.
    """
    if stop is None:
        start, stop = 0, start
    start, stop, step = map(options.plain, (start, stop, step))
    first, last, width = (
        options.number("arange", name, bound, least=-1e300, most=1e300)
        for name, bound in (("start", start), ("stop", stop), ("step", step))
    )
    if not width or abs((last - first) / width) > _MOST_VALUES:
        raise ArgumentError(
            f"arange: expected a step other than 0 and up to 2**60 values, got start={start!r}, stop={stop!r}, "
            f"step={step!r}"
        )
    dtype = None if dtype is None else options.element_type("arange", dtype)
    if dtype is None and any(isinstance(bound, float) for bound in (start, stop, step)):
        dtype = np.dtype(np.float32)
    here = backend.current()
    if dtype is not None and dtype.kind == "b":
        raise DTypeError("arange: booleans are no evenly spaced values; give a type of numbers")
    with here.active_device():
        return Tensor(here.xp.arange(start, stop, step, dtype=dtype))


def randn(*shape: Any, dtype: npt.DTypeLike = np.float32, requires_grad: bool = False) -> Tensor:
    """A Tensor of standard normal values from the default generator: `randn(2, 3)` or `randn((2, 3))`."""
    here = backend.current()
    with here.active_device():
        return Tensor(here.rng.normal(lengths_of(shape), dtype=dtype), requires_grad)


def rand(*shape: Any, dtype: npt.DTypeLike = np.float32, requires_grad: bool = False) -> Tensor:
    """A Tensor of uniform values in [0, 1) from the default generator: `rand(2, 3)` or `rand((2, 3))`."""
    here = backend.current()
    with here.active_device():
        return Tensor(here.rng.uniform(lengths_of(shape), dtype=dtype), requires_grad)
