"""The stand-in for `cupy.ndarray`: an array in emulated device memory, which shows the host nothing unasked.

It is no subclass of NumPy's array, for `np.asarray` would take that one silently. Inside there is a NumPy array over
the device's memory, which nobody outside this package sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.emulation import functions, interchange
from tests.emulation.counters import counts
from tests.emulation.devices import Device, MemoryPointer, current_device
from tests.emulation.indexing import for_reading, for_writing
from tests.emulation.operators import attach
from tests.emulation.storage import Shape, Storage, adopt, allocate, allocate_like, host, view_or_copy


@dataclass(frozen=True, slots=True)
class Flags:
    """What CuPy tells of an array's memory."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool

    fnc = property(lambda self: self.f_contiguous and not self.c_contiguous)
    forc = property(lambda self: self.f_contiguous or self.c_contiguous)


class ndarray(Storage):  # noqa: N801 (CuPy's name)
    """An array on a device, not initialised: `cupy.ndarray(shape, dtype)`."""

    __slots__ = ()
    __module__ = "cupy"
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __new__(cls, shape: Shape, dtype: Any = float, order: str = "C") -> "ndarray":
        """An array of that shape."""
        return allocate(shape, dtype, order)

    # ---- what it is

    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    device = property(lambda self: Device(self._memory.device))
    base = property(lambda self: self._base)
    T = property(lambda self: self.viewed_as(self._host.T))

    @property
    def flags(self) -> Flags:
        """The order of its memory."""
        flags = self._host.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self._base is None)

    @property
    def data(self) -> MemoryPointer:
        """The pointer to its first element."""
        return MemoryPointer(self._memory, self._host.ctypes.data if self.size else 0)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return len(self._host)

    # ---- to the host: each of these waits for the device

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        """A copy on the host."""
        return self._read("get", order, out)

    def _read(self, how: str, order: str = "C", out: Any = None) -> np.ndarray:
        counts.gets[how] += 1
        if out is None:
            return np.array(self._host, order=order)
        out[...] = self._host
        return out

    def item(self) -> Any:
        """The number in an array of one element."""
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._read("item").item()

    def tolist(self) -> Any:
        """The numbers as nested lists."""
        return self._read("tolist").tolist()

    def __bool__(self) -> bool:
        return bool(self._read("bool"))

    def __float__(self) -> float:
        return float(self._read("float"))

    def __int__(self) -> int:
        return int(self._read("int"))

    def __complex__(self) -> complex:
        return complex(self._read("complex"))

    def __repr__(self) -> str:
        return repr(self._read("repr"))

    def __str__(self) -> str:
        return str(self._read("str"))

    def __format__(self, specification: str) -> str:
        return format(self._read("format"), specification)

    def __reduce__(self) -> tuple[Any, ...]:
        return functions.BY_NAME["array"], (self._read("pickle"),)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def set(self, values: np.ndarray, stream: Any = None) -> None:
        """Copy a host's array of the same shape and type here."""
        if not isinstance(values, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if values.dtype != self.dtype:
            raise TypeError(f"{values.dtype} array cannot be set to {self.dtype} array")
        if values.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {values.shape}")
        counts.sets += 1
        self._host[...] = values

    # ---- elements

    def __getitem__(self, key: Any) -> Any:
        index, is_view = for_reading(self._host, key)
        part = self._host[index]
        return self.viewed_as(part) if is_view else adopt(part)

    def __setitem__(self, key: Any, value: Any) -> None:
        host(self)
        index, value = for_writing(self._host, key, value)
        with np.errstate(all="ignore"):
            self._host[index] = value

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[number] for number in range(len(self)))

    def fill(self, value: Any) -> None:
        """Set every element to a number, or to that of an array without axes."""
        if isinstance(value, Storage):
            counts.gets["fill"] += 1  # CuPy asks whether it is 0
        self[...] = value

    # ---- copies and views

    def copy(self, order: str | None = "C") -> Any:
        """A copy on the current device, in C order unless another is asked for."""
        if self._memory.device == current_device():
            return self.astype(self.dtype, order)
        with self.device:
            there = self.astype(self.dtype, order, copy=False)
        if self.size and not (there.flags.c_contiguous or there.flags.f_contiguous):
            raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")
        counts.array_functions["copy between devices"] += 1
        result = allocate_like(there, self.dtype)
        result._host[...] = there._host
        return result

    def astype(
        self, dtype: Any, order: str | None = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> Any:
        """The numbers as another type, in the same memory order unless another is asked for."""
        dtype, flags = np.dtype(dtype), self.flags
        order = order or "K"
        is_in_order = {"K": True, "A": flags.forc, "C": flags.c_contiguous, "F": flags.f_contiguous}[order]
        if not copy and dtype == self.dtype and is_in_order:
            return self
        counts.array_functions["astype"] += 1
        if order == "C" and self.ndim == 4 and not flags.c_contiguous:
            counts.layout_copies["to C order"] += 1
        result = allocate_like(self, dtype) if order in "KA" else allocate(self.shape, dtype, order)
        with np.errstate(all="ignore"):
            result._host[...] = host(self)
        return result

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        with self.device:
            return self.copy()

    def view(self, dtype: Any = None) -> Any:
        """The same memory, of another type."""
        return self.viewed_as(self._host.view(self.dtype if dtype is None else dtype))

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """The same elements in another shape: a view where that can be."""
        result = view_or_copy(self._host.reshape(*shape, order=order), self)
        if result._memory is not self._memory and self.ndim == 4 and self.size:
            counts.layout_copies["reshape"] += 1
        return result

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order, as a view."""
        return self.viewed_as(self._host.transpose(*axes))

    def swapaxes(self, one: int, other: int) -> Any:
        """Two axes exchanged, as a view."""
        return self.viewed_as(self._host.swapaxes(one, other))

    def squeeze(self, axis: Any = None) -> Any:
        """Without axes of length 1, as a view."""
        return self.viewed_as(self._host.squeeze(axis))

    def ravel(self, order: str = "C") -> Any:
        """All elements in a row: a view where that can be."""
        return self.reshape(-1)

    def flatten(self, order: str = "C") -> Any:
        """All elements in a row, as a copy."""
        return self.copy().reshape(-1)

    # ---- to other libraries

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        self._memory.is_exported = True
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "descr": self.dtype.descr,
            "stream": 1,
            "version": 3,
            "strides": None if self.flags.c_contiguous else self.strides,
            "data": (self.data.ptr, False),
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return interchange.CUDA, self._memory.device

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        return interchange.to_dlpack(self)

    # ---- NumPy's functions come here: np.sqrt(x) is cupy.sqrt(x), where CuPy has it

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        own = functions.BY_NAME.get(function.__name__)
        if method != "__call__" or own is None:
            return NotImplemented
        return own(*inputs, **options)

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        own = functions.BY_NAME.get(function.__name__)
        if own is None or not all(issubclass(kind, (Storage, np.ndarray)) for kind in types):
            return NotImplemented
        return own(*arguments, **options)


attach(ndarray)
Storage.array_type = ndarray
