"""Between the stand-in's arrays and NumPy's, which compute: what goes in, what comes out.

`host` lets arguments in: arrays of the current device only, and no NumPy arrays. `adopt` puts results into device
memory, in C order whatever order NumPy chose: CuPy's element-wise functions know no other.
"""

import math
from typing import Any, ClassVar

import numpy as np

from tests.emulation.devices import current_device
from tests.emulation.memory import Allocation, Borrowed

Shape = int | tuple[int, ...]


class Storage:
    """What an array is made of: a NumPy array over the memory of a device."""

    __slots__ = ("__weakref__", "_base", "_host", "_memory")

    _base: "Storage | None"
    _host: np.ndarray
    _memory: Allocation | Borrowed
    array_type: ClassVar[type["Storage"]]

    @classmethod
    def over(cls, host: np.ndarray, memory: Allocation | Borrowed) -> Any:
        """An array over some memory."""
        array = object.__new__(Storage.array_type)
        array._base = None
        array._host = host
        array._memory = memory
        return array

    def viewed_as(self, host: np.ndarray) -> Any:
        """A view of this array's memory."""
        view = Storage.over(host, self._memory)
        view._base = self if self._base is None else self._base
        return view


def allocate(shape: Shape, dtype: Any, order: str = "C") -> Any:
    """A new array on the current device, not initialised."""
    dtype = np.dtype(dtype)
    lengths = tuple(shape) if isinstance(shape, (tuple, list)) else (int(shape),)
    memory = Allocation(math.prod(lengths) * dtype.itemsize, current_device())
    return Storage.over(memory.bytes.view(dtype).reshape(lengths, order=order), memory)


def adopt(result: Any) -> Any:
    """What NumPy computed, on the current device and in C order; what is no array, as it is."""
    if isinstance(result, (np.ndarray, np.generic)):
        array = allocate(result.shape, result.dtype)
        array._host[...] = result
        return array
    if isinstance(result, (tuple, list)):
        return type(result)(adopt(part) for part in result)
    return result


def allocate_like(x: Storage, dtype: Any) -> Any:
    """A new array with the shape and the memory order of another (order="K")."""
    axes = sorted(range(x._host.ndim), key=lambda axis: (-abs(x._host.strides[axis]), axis))
    array = allocate([x._host.shape[axis] for axis in axes], dtype)
    array._host = array._host.transpose(np.argsort(axes))
    return array


def host(argument: Any) -> Any:
    """An argument as NumPy takes it.

    Raises:
        TypeError: it is a NumPy array. CuPy takes NumPy's scalars and arrays without axes, but no others.
        ValueError: it lies on another device than the current one. (Where one device can reach the other's memory,
            CuPy only warns; where not, this is its error.)
    """
    if isinstance(argument, Storage):
        if argument._memory.device != current_device():
            raise ValueError(
                "Array device must be same as the current device: array device = "
                f"{argument._memory.device} while current = {current_device()}"
            )
        return argument._host
    if isinstance(argument, np.ndarray) and argument.ndim:
        raise TypeError(f"Unsupported type {type(argument)}")
    if isinstance(argument, (tuple, list)):
        return type(argument)(host(part) for part in argument)
    return argument


def view_or_copy(result: np.ndarray, source: Storage) -> Any:
    """A result of NumPy's, over the memory of `source` if it lies there."""
    if np.may_share_memory(result, source._host):
        return source.viewed_as(result)
    return adopt(result)
