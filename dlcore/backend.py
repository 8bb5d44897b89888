"""Which array library computes: NumPy on the CPU or CuPy on a CUDA GPU.

`use` (or `using`, for a block) decides where *new* arrays are made. An array that exists carries its backend with it:
`of(array)` finds it, and every operation follows its inputs. This file and `kernels` are the only places that know
which array libraries there are.

    from dlcore import backend
    backend.use("cupy")          # "numpy" (default), "cupy", "cupy:1", "auto"; or DLCORE_BACKEND in the environment
"""

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcore import random
from dlcore.random import seed
from kernels import layout, options
from kernels.errors import (
    ArgumentError,
    BackendMismatchError,
    BackendUnavailableError,
    DeviceMemoryError,
    DLCoreError,
    DTypeError,
)
from kernels.shortage import out_of_memory
from kernels.types import Array

__all__ = [
    "Backend",
    "asarray",
    "available",
    "common",
    "current",
    "from_dlpack",
    "get",
    "is_foreign",
    "name",
    "of",
    "pointwise",
    "precision",
    "seed",
    "synchronize",
    "to_numpy",
    "total",
    "use",
    "using",
    "xp",
]

name: str  # the active backend's name …
xp: ModuleType  # … and its array module: both answered by __getattr__ below


class Backend:
    """One array library on one device.

    Attributes:
        name: "numpy", "cupy" or "cupy:N".
        xp: the array module.
        device: the CUDA device's number, None on the CPU.
    """

    def __init__(self, name: str, xp: ModuleType, device: int | None = None) -> None:
        self.name = name
        self.xp = xp
        self.device = device

    @property
    def rng(self) -> random.Generator:
        """The default random generator, drawing arrays of this backend."""
        return random.default_generator().on(self.xp)

    @property
    def is_host(self) -> bool:
        """Whether values can be read without waiting for a device."""
        return self.device is None

    def active_device(self) -> AbstractContextManager[Any]:
        """A block in which arrays made by `xp` land on this backend's device, and kernels run there.

        Raises:
            DeviceMemoryError: at its end, if the device's memory (or the host's) did not suffice.
        """
        return _ON_HOST if self.device is None else _OnDevice(self)

    def asarray(self, x: Any, dtype: npt.DTypeLike | None = None) -> Array:
        """`x` as an array of this backend: unchanged if it is one, else copied here (an explicit transfer)."""
        if _is_cupy(x):
            owner = of(x)
            if owner is self:
                with self.active_device():
                    return x if dtype is None else x.astype(dtype, copy=False)
            if self.device is None:
                return np.asarray(x.get(), dtype=dtype)
            # From one GPU to another CuPy copies contiguous memory only: a block of NHWC stays one.
            with owner.active_device():
                block = layout.channels_last(x) if x.ndim == 4 else owner.xp.ascontiguousarray(x)
            with self.active_device():
                moved: Array = self.xp.asarray(block, dtype=dtype)
            return layout.from_channels_last(moved) if x.ndim == 4 else moved
        wanted = None if dtype is None else options.element_type("asarray", dtype)
        with self.active_device():
            try:
                array: Array = self.xp.asarray(x, dtype=wanted)
            except (TypeError, ValueError, OverflowError) as error:
                if isinstance(error, DLCoreError):
                    raise
                raise DTypeError(f"asarray: expected numbers, got {options.short(x)} ({error})") from None
        return array

    def synchronize(self) -> None:
        """Wait until everything that was launched on the device is done; nothing to wait for on the CPU."""
        if self.device is not None:
            self.xp.cuda.Device(self.device).synchronize()

    def __repr__(self) -> str:
        return f"Backend({self.name!r})"

    def __reduce__(self) -> tuple[Callable[[str], "Backend"], tuple[str]]:
        return get, (self.name,)  # there is one of each name, in copies and pickles too


class _OnDevice:
    """Enters a device, and says it in dlcore's words when that runs out of memory."""

    __slots__ = ("backend", "device")

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.device = backend.xp.cuda.Device(backend.device)

    def __enter__(self) -> None:
        self.device.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.device.__exit__(kind, error, traceback)
        if isinstance(error, MemoryError) and not isinstance(error, DeviceMemoryError):
            raise DeviceMemoryError(self._out_of_memory(error)) from error

    def _out_of_memory(self, error: MemoryError) -> str:
        cuda = self.backend.xp.cuda
        with self.device:
            free, total = cuda.runtime.memGetInfo()
            used = self.backend.xp.get_default_memory_pool().used_bytes()
        asked = re.search(r"allocating ([\d,]+) bytes", str(error))
        size = "more memory" if asked is None else _gigabytes(int(asked[1].replace(",", "")))
        return (
            f"{self.backend.name}: {size} asked for, but {_gigabytes(free)} of the device's {_gigabytes(total)} are "
            f"free (arrays of this process hold {_gigabytes(used)}); take a smaller batch, drop tensors that are no "
            "longer needed, or evaluate under dl.no_grad()"
        )


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**27 else f"{size / 2**20:.2f} MiB"


class _OnHost:
    """Says in dlcore's words when memory does not suffice."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, MemoryError) and not isinstance(error, DeviceMemoryError):
            raise out_of_memory("numpy", error) from None


_ON_HOST = _OnHost()
_NUMPY = Backend("numpy", np)
_default: Backend | None = None
_context: ContextVar[Backend | None] = ContextVar("dlcore_backend", default=None)


def use(choice: str | Backend) -> Backend:
    """Make `choice` the backend of new arrays, for the whole process (inside a `using` block, until its end).

    Args:
        choice: "numpy", "cupy", "cupy:1" (the second device), or "auto" (CuPy if it can run here, else NumPy).

    Raises:
        ArgumentError: there is no backend of that name.
        BackendUnavailableError: CuPy or a CUDA device is missing; the message says which, and what to install.
    """
    global _default
    chosen = get(choice)
    if _context.get() is None:
        _default = chosen
    else:
        _context.set(chosen)
    return chosen


@contextmanager
def using(choice: str | Backend) -> Iterator[Backend]:
    """`use` for the length of a `with` block, in this thread or task only."""
    token = _context.set(get(choice))
    try:
        yield current()
    finally:
        _context.reset(token)


def current() -> Backend:
    """The backend on which new arrays are made now."""
    global _default
    chosen = _context.get() or _default
    if chosen is None:
        try:
            chosen = _default = get(os.environ.get("DLCORE_BACKEND") or "numpy")
        except (ArgumentError, BackendUnavailableError) as error:
            raise type(error)(f"{error} (asked for by the environment variable DLCORE_BACKEND)") from None
    return chosen


def get(choice: "str | Backend") -> Backend:
    """The backend of that name; see `use` for names and errors."""
    if isinstance(choice, Backend):
        return choice
    if not isinstance(choice, str):
        raise ArgumentError(f'backend: expected "numpy", "cupy", "cupy:N" or "auto", got {options.short(choice)}')
    if choice == "numpy":
        return _NUMPY
    if choice == "auto":
        return _NUMPY if _why_no_cupy() else _cupy(0)
    library, colon, device = str(choice).partition(":")
    if library != "cupy" or (colon and not device.isdecimal()):
        raise ArgumentError(f'backend: expected "numpy", "cupy", "cupy:N" or "auto", got {options.short(choice)}')
    if reason := _why_no_cupy():
        raise BackendUnavailableError(f"backend {choice!r} is not available: {reason}")
    return _cupy(int(device or 0))


def of(array: Any) -> Backend:
    """The backend that owns this array."""
    if isinstance(array, (np.ndarray, np.generic)):
        return _NUMPY
    if _is_cupy(array):
        return _cupy(array.device.id)
    raise BackendMismatchError(
        f"expected a NumPy or CuPy array, got {type(array).__module__}.{type(array).__qualname__}"
    )


def common(operation: str, arrays: dict[str, Array]) -> Backend:
    """The one backend of all these arrays (name → array).

    Raises:
        BackendMismatchError: they lie on different ones; names the operation, the arguments and the fix.
    """
    if not isinstance(arrays, Mapping):
        raise ArgumentError(f"{operation}: expected arrays by name, got {options.short(arrays)}")
    owners = {argument: of(array) for argument, array in arrays.items()}
    first = next(iter(owners.values()), None) or current()
    if any(owner is not first for owner in owners.values()):
        where = ", ".join(f"{argument} is on {owner.name}" for argument, owner in owners.items())
        raise BackendMismatchError(
            f'{operation}: {where}; move them to one backend first, for example with .to("{first.name}")'
        )
    return first


def available() -> dict[str, bool | str]:
    """Each backend's name with True, or with the reason why it cannot be used here."""
    return {"numpy": True, "cupy": _why_no_cupy() or True}


def asarray(x: Any, dtype: npt.DTypeLike | None = None) -> Array:
    """`x` as an array of the active backend (no copy if it is one already)."""
    return current().asarray(x, dtype)


def to_numpy(x: Any) -> npt.NDArray[Any]:
    """`x` (an array of any backend, or a Tensor) as a NumPy array; waits for the device if there is one."""
    return _NUMPY.asarray(getattr(x, "data", x) if hasattr(x, "requires_grad") else x)


#: The modes of `precision`, and what CuPy calls them.
_PRECISIONS = {"highest": "COMPUTE_TYPE_DEFAULT", "tf32": "COMPUTE_TYPE_TF32"}
_precision = "tf32" if os.environ.get("CUPY_TF32") == "1" else "highest"


def precision(choice: str | None = None) -> str:
    """How exactly GPUs multiply float32 matrices, in this process; convolutions that go by matrix products included.

    Args:
        choice: "highest", the default: in float32 throughout. "tf32": factors are rounded to 10 bits of mantissa, sums
            stay float32; several times faster on tensor cores (compute capability 8.0 and later). None asks only.

    Returns:
        The mode that holds now. On the CPU, products are always exact to float32.
    """
    global _precision
    if choice is not None:
        if not isinstance(choice, str) or choice not in _PRECISIONS:
            raise ArgumentError(f'precision: expected "highest" or "tf32", got {choice!r}')
        _precision = choice
        if not _why_no_cupy():
            _apply_precision()
    return _precision


def _apply_precision() -> None:
    from cupy._core import _routines_linalg, set_compute_type

    set_compute_type(np.float32, getattr(_routines_linalg, _PRECISIONS[_precision]))


def total(x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """The sum over axes; of half precision, added in float32 (CuPy would add float16 in float16)."""
    if x.dtype.itemsize == 2 and x.dtype.kind not in "iu":
        return x.sum(axis=axis, dtype=np.float32, keepdims=keepdims).astype(x.dtype)
    summed: Array = x.sum(axis=axis, keepdims=keepdims)
    return summed


def is_foreign(x: Any) -> bool:
    """Whether `x` is another library's array, which `from_dlpack` takes."""
    if isinstance(x, (np.ndarray, np.generic)) or _is_cupy(x):
        return False
    return hasattr(x, "__dlpack__") or hasattr(x, "__cuda_array_interface__")


def from_dlpack(x: Any) -> Array:
    """Another library's array as one of NumPy or CuPy, in the same memory; see `dlcore.from_dlpack`."""
    if not hasattr(x, "__dlpack__") and not hasattr(x, "__cuda_array_interface__"):
        raise DTypeError(f"from_dlpack: expected an array that has __dlpack__, got {type(x).__qualname__}")
    kind, device = x.__dlpack_device__() if hasattr(x, "__dlpack__") else (_DLPACK_CUDA, 0)
    if kind == _DLPACK_CPU:
        try:
            return np.from_dlpack(x)
        except BufferError as error:
            raise DTypeError(f"from_dlpack: {options.short(x)} cannot be shared: {error}") from None
    if kind not in (_DLPACK_CUDA, _DLPACK_CUDA_MANAGED):
        raise DTypeError(
            f"from_dlpack: the array lies on a device of type {kind}, neither on the CPU nor on a CUDA GPU"
        )
    owner = get(f"cupy:{device}")
    with owner.active_device():
        array: Array = owner.xp.from_dlpack(x) if hasattr(x, "__dlpack__") else owner.xp.asarray(x)
    return array


#: Device types of the DLPack standard.
_DLPACK_CPU, _DLPACK_CUDA, _DLPACK_CUDA_MANAGED = 1, 2, 13


def synchronize() -> None:
    """Wait until the active backend has done everything it was given."""
    current().synchronize()


def pointwise(function: Callable[..., Array], *arrays: Any) -> Array:
    """An element-wise function of broadcastable arrays and scalars, keeping channels-last memory.

    NumPy's element-wise functions keep a permuted memory order. CuPy's return C order, which would turn every
    activation back to NCHW; so there the arrays are handed over as (N, H, W, C) and the result is turned back: views
    only, no copies.
    """
    try:
        for array in arrays:
            if type(array) is np.ndarray:
                return function(*arrays)
        if not any(_is_channels_last(array) for array in arrays):
            return function(*arrays)
        return function(*map(_as_nhwc, arrays)).transpose(0, 3, 1, 2)
    except (TypeError, OverflowError) as error:
        if isinstance(error, DLCoreError):
            raise
        given = " and ".join(str(getattr(array, "dtype", type(array).__name__)) for array in arrays)
        raise DTypeError(f"this is not computed with elements of {given}: {options.short(str(error))}") from None


def _is_channels_last(array: Any) -> bool:
    return (
        getattr(array, "ndim", 0) == 4
        and not array.flags.c_contiguous
        and bool(array.transpose(0, 2, 3, 1).flags.c_contiguous)
    )


def _as_nhwc(array: Any) -> Any:
    if not hasattr(array, "ndim") or array.ndim == 0:
        return array
    return array.reshape((1,) * (4 - array.ndim) + array.shape).transpose(0, 2, 3, 1)


def _is_cupy(x: Any) -> bool:
    return type(x).__module__.partition(".")[0] == "cupy" and hasattr(x, "device")


@functools.cache
def _cupy(device: int) -> Backend:
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    if device >= count:
        raise BackendUnavailableError(
            f'backend "cupy:{device}" is not available: this machine has {count} CUDA device(s)'
        )
    return Backend("cupy" if device == 0 else f"cupy:{device}", cupy, device)


@functools.cache
def _why_no_cupy() -> str:
    """Why CuPy cannot be used here, or "" if it can."""
    extras = "'dlcore[cuda12]' (CUDA 12) or 'dlcore[cuda13]' (CUDA 13)"
    try:
        import cupy
    except ImportError as error:
        if error.name == "cupy":
            return f"CuPy is not installed; install it with pip install {extras}"
        return f"CuPy is installed but does not load ({error}); reinstall it with pip install {extras}"
    if reason := _why_no_compiler():
        return f"CuPy is installed but {reason}; install {extras}, which bring them along"
    if not cupy.cuda.is_available():
        return (
            f"CuPy is installed but no CUDA device was found; it needs an NVIDIA GPU, its driver, and {extras} to match"
        )
    return ""


def _why_no_compiler() -> str:
    """What CuPy lacks of CUDA's libraries, which its own package does not hold; "" if nothing."""
    try:
        from cupy_backends.cuda.libs import nvrtc
    except ImportError:
        return ""
    try:
        nvrtc.getVersion()
    except Exception as error:
        return f"does not find CUDA's compiler and libraries ({error})"
    return ""


def __getattr__(attribute: str) -> Any:
    if attribute in ("name", "xp"):
        return getattr(current(), attribute)
    raise AttributeError(f"module 'dlcore.backend' has no attribute {attribute!r}")
