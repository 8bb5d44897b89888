"""The emulated devices: what stands for `cupy.cuda`, as far as dlcore uses it."""

import threading
import time
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any

import numpy as np

from tests.emulation import memory
from tests.emulation.counters import counts
from tests.emulation.errors import OutOfMemoryError

#: As many as it takes to confuse them.
DEVICES = 2
_BYTES = 8 * 2**30  # of each: told, not kept to

_thread = threading.local()


class CUDARuntimeError(RuntimeError):
    """CuPy's error where CUDA refuses something."""


def current_device() -> int:
    """The number of the device that this thread uses now."""
    return getattr(_thread, "device", 0)


class Device:
    """A device by its number; as a `with` block, the current one. Without a number, the current one as it is."""

    __module__ = "cupy.cuda.device"

    def __init__(self, device: "int | Device | None" = None) -> None:
        self.id = current_device() if device is None else int(device)
        self._before: list[int] = []

    def __int__(self) -> int:
        return self.id

    def __enter__(self) -> "Device":
        self._before.append(current_device())
        self.use()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _thread.device = self._before.pop()

    def use(self) -> None:
        """Make it the current one."""
        if not 0 <= self.id < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        _thread.device = self.id

    def synchronize(self) -> None:
        """Wait for everything that was launched: here it is done at once."""
        counts.synchronizations["Device.synchronize"] += 1

    @property
    def mem_info(self) -> tuple[int, int]:
        """Bytes that are free, and all."""
        return _BYTES - memory.pool(self.id).used, _BYTES

    @property
    def compute_capability(self) -> str:
        """The architecture: sources are preprocessed for it."""
        return "90"

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Device) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class MemoryPool:
    """The pool of the current device."""

    def used_bytes(self) -> int:
        """Bytes in use."""
        return memory.pool(current_device()).used

    def free_bytes(self) -> int:
        """Bytes kept for later: none."""
        return 0

    def total_bytes(self) -> int:
        """Bytes in use or kept."""
        return self.used_bytes()

    def get_limit(self) -> int:
        """The limit that was set; 0 for none."""
        return memory.pool(current_device()).limit

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        """Set the limit, in bytes or as a fraction of the device's memory; 0 for none."""
        memory.pool(current_device()).limit = int(fraction * _BYTES) if size is None and fraction else int(size or 0)

    def free_all_blocks(self, stream: Any = None) -> None:
        """Give back what is kept: nothing."""


class Event:
    """A moment of a stream; here everything is done at once."""

    __module__ = "cupy.cuda.stream"

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self._seconds = 0.0

    def record(self, stream: Any = None) -> None:
        """Let it be now."""
        self._seconds = time.perf_counter()

    def synchronize(self) -> None:
        """Wait for it."""
        counts.synchronizations["Event.synchronize"] += 1


def get_elapsed_time(start: Event, end: Event) -> float:
    """Milliseconds between two events."""
    return (end._seconds - start._seconds) * 1e3


class MemoryPointer:
    """Where an array's first element lies."""

    __module__ = "cupy.cuda.memory"

    def __init__(self, allocation: memory.Allocation, ptr: int) -> None:
        self.mem = allocation
        self.ptr = ptr
        self.device = Device(allocation.device)
        self.device_id = allocation.device


def cuda_module() -> ModuleType:
    """A module for `cupy.cuda`."""
    cuda = ModuleType("cupy.cuda")
    cuda.Device = Device
    cuda.Event = Event
    cuda.get_elapsed_time = get_elapsed_time
    cuda.MemoryPointer = MemoryPointer
    cuda.get_current_stream = lambda: SimpleNamespace(ptr=0)
    cuda.is_available = lambda: True
    cuda.runtime = ModuleType("cupy.cuda.runtime")
    cuda.runtime.getDeviceCount = lambda: DEVICES
    cuda.runtime.CUDARuntimeError = CUDARuntimeError
    cuda.runtime.runtimeGetVersion = lambda: 13000
    cuda.runtime.driverGetVersion = lambda: 13000
    cuda.runtime.getDeviceProperties = _properties
    cuda.runtime.memGetInfo = lambda: Device().mem_info
    cuda.runtime.deviceSynchronize = lambda: Device().synchronize()
    cuda.memory = ModuleType("cupy.cuda.memory")
    cuda.memory.OutOfMemoryError = OutOfMemoryError
    cuda.memory.MemoryPool = MemoryPool
    return cuda


def compute_types() -> ModuleType:
    """What of `cupy._core` sets the precision of products; here they are always exact."""
    chosen: dict[np.dtype[Any], int] = {}
    core = ModuleType("cupy._core")
    linalg = core._routines_linalg = ModuleType("cupy._core._routines_linalg")
    linalg.COMPUTE_TYPE_DEFAULT, linalg.COMPUTE_TYPE_TF32 = 1, 7

    def set_compute_type(dtype: Any, compute_type: int) -> None:
        if compute_type not in (linalg.COMPUTE_TYPE_DEFAULT, linalg.COMPUTE_TYPE_TF32):
            raise ValueError(f"unknown compute type {compute_type}")
        chosen[np.dtype(dtype)] = compute_type

    core.set_compute_type = set_compute_type
    core.get_compute_type = lambda dtype: chosen.get(np.dtype(dtype), linalg.COMPUTE_TYPE_DEFAULT)
    return core


def _properties(device: int) -> dict[str, Any]:
    return {
        "name": b"emulated",
        "totalGlobalMem": _BYTES,
        "multiProcessorCount": 1,
        "sharedMemPerBlock": 48 * 1024,
        "major": 9,
        "minor": 0,
    }
