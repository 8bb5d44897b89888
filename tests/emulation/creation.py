"""Functions that make, copy and convert arrays, under CuPy's names."""

from typing import Any

import numpy as np

from tests.emulation.counters import counts
from tests.emulation.devices import current_device
from tests.emulation.interchange import from_interface
from tests.emulation.storage import Shape, Storage, allocate, allocate_like

#: The functions of this file that CuPy has.
NAMES = str.split("""
    array asarray ascontiguousarray asnumpy copy copyto empty empty_like full full_like may_share_memory ndim
    ones ones_like shape size zeros zeros_like
""")


def array(x: Any, dtype: Any = None, copy: bool | None = True, order: str | None = "K") -> Any:
    """A new array, of numbers, of a NumPy array or of one of a device's."""
    if hasattr(x, "__cuda_array_interface__") and not isinstance(x, Storage):
        x = from_interface(x)
    order = order or "K"
    if isinstance(x, Storage):
        if x._memory.device != current_device():
            x, copy = x.copy(order), False
        return x.astype(x.dtype if dtype is None else dtype, order=order, copy=bool(copy))
    counts.sets += 1
    values = np.asarray(x, dtype)
    if values.dtype.kind not in "biufc" and values.dtype.name != "bfloat16":
        raise ValueError(f"Unsupported dtype {values.dtype}")
    # CuPy knows two orders of a NumPy array: what is not Fortran's becomes C.
    is_fortran = (order == "K" and values.flags.fnc) or order == "F"
    result = allocate(values.shape, values.dtype, "F" if is_fortran else "C")
    result._host[...] = values
    return result


def asarray(x: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None) -> Any:
    """`x` itself if it is an array of this device, else a copy."""
    return array(x, dtype, copy, order)


def ascontiguousarray(x: Any, dtype: Any = None) -> Any:
    """`x` itself if its memory is in C order, else a copy that is."""
    if not isinstance(x, Storage):
        raise TypeError(f"Argument 'a' has incorrect type (expected cupy.ndarray, got {type(x)})")
    wanted = x.dtype if dtype is None else np.dtype(dtype)
    if x.flags.c_contiguous and wanted == x.dtype:
        return x
    return x.astype(wanted, order="C")


def asnumpy(x: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> np.ndarray:
    """A copy on the host."""
    return x.get(stream, order, out, blocking) if isinstance(x, Storage) else np.asarray(x, order=order)


def copy(x: Any, order: str = "K") -> Any:
    """A copy of an array."""
    return x.copy(order)


def copyto(destination: Any, source: Any) -> None:
    """Write into an array."""
    destination[...] = source


def empty(shape: Shape, dtype: Any = float, order: str = "C") -> Any:
    """A new array, not initialised."""
    return allocate(shape, dtype, order)


def full(shape: Shape, fill_value: Any, dtype: Any = None, order: str = "C") -> Any:
    """A new array of one value."""
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, Storage) else np.asarray(fill_value).dtype
    result = allocate(shape, dtype, order)
    result.fill(fill_value)
    return result


def zeros(shape: Shape, dtype: Any = float, order: str = "C") -> Any:
    """A new array of zeros."""
    return full(shape, 0, dtype, order)


def ones(shape: Shape, dtype: Any = float, order: str = "C") -> Any:
    """A new array of ones."""
    return full(shape, 1, dtype, order)


def empty_like(x: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> Any:
    """A new array of another's shape and memory order, not initialised."""
    dtype = x.dtype if dtype is None else dtype
    if shape is None and order == "K":
        return allocate_like(x, dtype)
    return allocate(x.shape if shape is None else shape, dtype, "C" if order == "K" else order)


def full_like(
    x: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
) -> Any:
    """The same, of one value."""
    result = empty_like(x, dtype, order, subok, shape)
    result.fill(fill_value)
    return result


def zeros_like(x: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> Any:
    """The same, of zeros."""
    return full_like(x, 0, dtype, order, subok, shape)


def ones_like(x: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> Any:
    """The same, of ones."""
    return full_like(x, 1, dtype, order, subok, shape)


def ndim(x: Any) -> int:
    """The number of axes."""
    return x.ndim if isinstance(x, Storage) else np.ndim(x)


def shape(x: Any) -> tuple[int, ...]:
    """The length of each axis."""
    return x.shape if isinstance(x, Storage) else np.shape(x)


def size(x: Any) -> int:
    """The number of elements."""
    return x.size if isinstance(x, Storage) else np.size(x)


def may_share_memory(a: Any, b: Any) -> bool:
    """Whether the memory of two arrays may overlap, by its bounds."""
    return np.may_share_memory(a._host, b._host)
