"""DLPack and `__cuda_array_interface__`: the stand-in's arrays given to other libraries, and theirs taken.

The emulated devices' memory is the host's, but passes for a device's: whoever takes a stand-in's array by DLPack is
told that it is CUDA's, so only the stand-in itself, and libraries that only pass it on, can read it.
"""

import ctypes
from typing import Any, ClassVar

import numpy as np

from tests.emulation.devices import current_device
from tests.emulation.memory import Borrowed
from tests.emulation.storage import Storage

#: Device types of the DLPack standard.
CPU, CUDA = 1, 2


class _Device(ctypes.Structure):
    """The start of DLPack's DLManagedTensor."""

    _fields_ = [("data", ctypes.c_void_p), ("type", ctypes.c_int32), ("number", ctypes.c_int32)]


def to_dlpack(array: Storage) -> Any:
    """A capsule that says that the array is CUDA's."""
    array._memory.is_exported = True
    capsule = array._host.__dlpack__()
    place = _device_of(capsule)
    place.type, place.number = CUDA, array._memory.device
    return capsule


def from_dlpack(x: Any) -> Any:
    """An array over the memory of another library's array, which must be CUDA's.

    Raises:
        BufferError: it is not.
    """
    kind, number = x.__dlpack_device__()
    if kind != CUDA:
        raise BufferError(f"from_dlpack: device type {kind} is not CUDA's")

    class OnHost:
        def __dlpack_device__(self) -> tuple[int, int]:
            return CPU, 0

        def __dlpack__(self, **options: Any) -> Any:
            capsule = x.__dlpack__()
            place = _device_of(capsule)
            place.type, place.number = CPU, 0
            return capsule

    readable = np.from_dlpack(OnHost())  # NumPy takes capsules of this age for read-only
    place = {**readable.__array_interface__, "data": (readable.ctypes.data, False)}

    class Writable:
        __array_interface__: ClassVar = place
        owner = readable

    host = np.asarray(Writable())
    return Storage.over(host, Borrowed(host, number))


def from_interface(x: Any) -> Any:
    """An array over the memory that another's `__cuda_array_interface__` describes."""
    given = x.__cuda_array_interface__

    class OnHost:
        __array_interface__: ClassVar = {
            **{key: given[key] for key in ("shape", "typestr", "data", "strides") if key in given},
            "version": 3,
        }
        owner = x

    host = np.asarray(OnHost())
    return Storage.over(host, Borrowed(host, current_device()))


def _device_of(capsule: Any) -> _Device:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return _Device.from_address(get(capsule, b"dltensor"))
