"""`RawModule`: CUDA C sources compiled for the host, and launched under the checks of a careful device."""

import ctypes
import functools
import os
import zlib
from typing import Any

import numpy as np

from tests.emulation import compiler
from tests.emulation.counters import counts
from tests.emulation.devices import current_device
from tests.emulation.errors import CompileException, EmulationError
from tests.emulation.source import Kernel
from tests.emulation.storage import Storage

_MOST_SHARED = 48 * 1024  # bytes a block, unless a kernel asks for more than `launch` can
_MOST_BLOCKS = (2**31 - 1, 65535, 65535)
_MOST_THREADS = (1024, 1024, 64)

#: In which order blocks and threads run: DLCORE_EMULATION_ORDER is one of these, or "any" (the default), by which
#: each launch has one of its own, always the same for the same launch in the same test run.
ORDERS = {"forward": 0, "reverse": 1, "shuffled": 2}


@functools.cache  # a new type is a cycle, which only the collector could free
def _several(of: Any, count: int) -> Any:
    return of * count


class _Dim3(ctypes.Structure):
    _fields_ = [(axis, ctypes.c_uint) for axis in "xyz"]

    def __str__(self) -> str:
        return f"({self.x}, {self.y}, {self.z})"


class _Parameter(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_char), ("of", ctypes.c_char), ("is_constant", ctypes.c_bool), ("size", ctypes.c_int)]


class _Kernel(ctypes.Structure):
    _fields_ = [
        ("call", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(_Parameter)),
        ("parameter_count", ctypes.c_int),
    ]


class _Section(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("stop", ctypes.c_void_p)]


class _Launch(ctypes.Structure):
    _fields_ = [
        ("kernel", ctypes.POINTER(_Kernel)),
        ("arguments", ctypes.POINTER(ctypes.c_void_p)),
        ("grid", _Dim3),
        ("block", _Dim3),
        ("shared_bytes", ctypes.c_longlong),
        ("sections", ctypes.POINTER(_Section)),
        ("section_count", ctypes.c_int),
        ("order", ctypes.c_int),
        ("seed", ctypes.c_uint),
    ]


class _Failure(ctypes.Structure):
    _fields_ = [("message", ctypes.c_char * 400), ("block", _Dim3), ("thread", _Dim3), ("address", ctypes.c_void_p)]


class RawModule:
    """A CUDA C source; it is compiled when its first function is asked for, as CuPy does."""

    __module__ = "cupy"

    def __init__(
        self,
        *,
        code: str | None = None,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        name_expressions: Any = None,
    ) -> None:
        if not isinstance(options, tuple):
            raise TypeError("options must be a tuple of str")
        if code is None or backend != "nvrtc" or name_expressions is not None:
            raise NotImplementedError("the emulation compiles a source of extern C functions, as NVRTC does")
        self.code, self.options = code, options
        self._compiled: compiler.Module | None = None

    def get_function(self, name: str) -> "RawKernel":
        """A kernel of the module."""
        if self._compiled is None:
            compiler.runtime()
            try:
                self._compiled = compiler.Module(self.code, self.options)
            except compiler.CompileError as error:
                raise CompileException(str(error)) from None
        if name not in self._compiled.source.kernels:
            raise EmulationError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name}")
        return RawKernel(self._compiled, self._compiled.source.kernels[name])


class RawKernel:
    """A kernel of a compiled module."""

    __module__ = "cupy"

    def __init__(self, module: compiler.Module, kernel: Kernel) -> None:
        self.name = kernel.name
        self._kernel = kernel
        self._native = _Kernel.in_dll(module.library, f"emulation_kernel_{kernel.name}")
        names = module.source.sections_of(kernel.name)
        sections = [_Section.in_dll(module.library, f"emulation_section_{name}") for name in names]
        self._sections = (_Section * len(sections))(*sections)
        self._static_shared = sum((section.stop or 0) - (section.start or 0) for section in sections)
        self._parameters = self._native.parameters[: self._native.parameter_count]

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        """Launch it, and wait until it is done."""
        grid, block = _lengths("grid", grid, _MOST_BLOCKS), _lengths("block", block, _MOST_THREADS)
        self._check_sizes(block, shared_mem)
        if len(args) != len(self._parameters):
            raise self._error(f"takes {len(self._parameters)} arguments, {len(args)} given")
        values = [
            self._value(name, parameter, argument)
            for name, parameter, argument in zip(self._kernel.parameters, self._parameters, args, strict=True)
        ]
        pointers = _several(ctypes.c_void_p, len(values) + 1)(*(ctypes.addressof(value) for value in values))
        counts.launches[self.name] += 1
        order, seed = _order(self.name, grid, block)
        launch = _Launch(
            ctypes.pointer(self._native),
            pointers,
            _Dim3(*grid),
            _Dim3(*block),
            shared_mem,
            self._sections,
            len(self._sections),
            order,
            seed,
        )
        run = compiler.runtime().emulation_launch
        run.restype = ctypes.POINTER(_Failure)
        failure = run(ctypes.byref(launch))
        if failure:
            raise self._error(self._explained(failure.contents, args))
        for name, argument in zip(self._kernel.parameters, args, strict=True):
            if isinstance(argument, Storage) and (offset := argument._memory.stray_write()) is not None:
                raise self._error(f"write outside of {_told(name, argument, offset + argument._memory.address)}")

    def _check_sizes(self, block: tuple[int, ...], shared: int) -> None:
        threads = block[0] * block[1] * block[2]
        if threads > self._kernel.most_threads:
            raise self._error(f"{threads} threads in a block; {self._kernel.most_threads} are the most it can have")
        if shared < 0 or shared + self._static_shared > _MOST_SHARED:
            raise self._error(
                f"{self._static_shared} bytes of static and {shared} of dynamic shared memory; a block has "
                f"{_MOST_SHARED}"
            )

    def _value(self, name: str, parameter: _Parameter, argument: Any) -> Any:
        """An argument as ctypes holds it; its type must be what the kernel declares."""
        kind, of, size = parameter.kind.decode(), parameter.of.decode(), parameter.size
        if kind == "p":
            if argument is None:
                return ctypes.c_void_p(None)
            if not isinstance(argument, Storage):
                raise self._error(f"{name} is a pointer, got {argument!r}")
            if argument._memory.device != current_device():
                raise self._error(
                    f"{name} lies on device {argument._memory.device}, but the current device is {current_device()}"
                )
            if not _points_to(of, size, argument.dtype):
                raise self._error(f"{name} is a pointer to {_type_name(of, size)}, got an array of {argument.dtype}")
            return ctypes.c_void_p(argument.data.ptr or None)
        # CuPy hands over an int as 64 bits and a float as a double.
        number = {int: np.int64, float: np.float64, bool: np.bool_}.get(type(argument), lambda same: same)(argument)
        if not isinstance(number, np.generic) or (number.dtype.kind, number.itemsize) != (kind, size):
            raise self._error(f"{name} is {_type_name(kind, size)}, got {type(argument).__name__} ({argument!r})")
        return _several(ctypes.c_char, size).from_buffer_copy(number.tobytes())

    def _explained(self, failure: _Failure, args: tuple[Any, ...]) -> str:
        what = f"{failure.message.decode()}, in block {failure.block}, thread {failure.thread}"
        if failure.address is None:
            return what
        near = [
            (abs(failure.address - argument._memory.address), name, argument)
            for name, argument in zip(self._kernel.parameters, args, strict=True)
            if isinstance(argument, Storage) and argument._memory.address
        ]
        if not near:
            return f"{what}, at {failure.address:#x}"
        _, name, argument = min(near, key=lambda item: item[0])
        return f"{what}; the nearest is {_told(name, argument, failure.address)}"

    def _error(self, message: str) -> EmulationError:
        return EmulationError(f"kernel {self.name}: {message}")


def _told(name: str, argument: Storage, address: int) -> str:
    memory = argument._memory
    where = address - memory.address
    side = f"{-where} bytes before its start" if where < 0 else f"{where - memory.nbytes} bytes behind its end"
    return f"{name} ({argument.dtype}, shape {argument.shape}, {memory.nbytes} bytes): {side}"


def _lengths(what: str, lengths: tuple[int, ...], most: tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(lengths, tuple):
        raise TypeError(f"Argument '{what}' has incorrect type (expected tuple, got {type(lengths).__name__})")
    full = (*lengths, 1, 1)[:3]
    if not all(1 <= length <= bound for length, bound in zip(full, most, strict=True)):
        raise EmulationError(f"CUDA_ERROR_INVALID_VALUE: invalid argument: {what} {lengths}")
    return full


def _points_to(of: str, size: int, dtype: np.dtype[Any]) -> bool:
    """Whether an array of this type may be given for a pointer to such elements."""
    if of == "v":
        return True
    if of == "p":  # a table of pointers
        return dtype == np.uint64
    kind = "B" if dtype.kind == "V" else dtype.kind  # ml_dtypes' bfloat16 is of kind V
    is_boolean = kind == "b" and of == "u"  # unsigned char, 0 or 1
    return dtype.itemsize == size and (kind == of or is_boolean)


def _type_name(kind: str, size: int) -> str:
    if kind in "bvp":
        return {"b": "bool", "v": "void", "p": "a pointer"}[kind]
    words = {"i": "a signed integer", "u": "an unsigned integer", "f": "a floating-point number", "B": "a bfloat16"}
    return f"{words.get(kind, 'something else')} of {size} bytes"


def _order(name: str, grid: tuple[int, ...], block: tuple[int, ...]) -> tuple[int, int]:
    seed = zlib.crc32(f"{name} {grid} {block} {counts.launches[name]}".encode())
    chosen = os.environ.get("DLCORE_EMULATION_ORDER", "any")
    return ORDERS.get(chosen, seed % len(ORDERS)), seed
