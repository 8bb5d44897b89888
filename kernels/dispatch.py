"""Which implementation serves a call: decided by the type of its arrays, loaded when first needed.

On the CPU half precision is storage: here, and nowhere else, float16 arrays become float32 on the way into a kernel,
and its results float16 again on the way out, rounded once.
"""

import functools
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from kernels.errors import ArgumentError, BackendMismatchError, DTypeError
from kernels.layout import is_cupy
from kernels.types import Array

#: What `algorithm` may name.
ALGORITHMS = ("auto", "direct", "winograd", "gemm", "reference")


def implementation(operation: str, arrays: Mapping[str, Array | None], algorithm: str = "auto") -> Any:
    """The package whose functions take these arrays: `kernels.cpu`, `kernels.cuda` or `kernels.reference`.

    Args:
        operation: whom error messages name.
        arrays: the array arguments by name; None for one that was left out.
        algorithm: one of `ALGORITHMS`.

    Raises:
        ArgumentError: the algorithm is unknown, or not available for these arrays.
        DTypeError: an argument is no array.
        BackendMismatchError: NumPy and CuPy arrays are mixed.
    """
    types = set(map(type, arrays.values()))
    if type(None) in types:
        _check_present(operation, arrays)
    if isinstance(algorithm, str) and algorithm == "auto" and types <= _NUMPY_ONLY:
        return _on_host("cpu", arrays)
    kinds = {name: _kind(operation, name, array) for name, array in arrays.items() if array is not None}
    if len(set(kinds.values())) > 1:
        given = ", ".join(f"{name} is a {kind} array" for name, kind in kinds.items())
        raise BackendMismatchError(
            f"{operation}: {given}; bring them to one backend first (cupy.asarray or cupy.asnumpy)."
        )
    on_gpu = "CuPy" in kinds.values()
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise ArgumentError(f"{operation}: algorithm must be one of {_listed()}, got {algorithm!r}.")
    if algorithm in ("winograd", "reference") and on_gpu:
        raise ArgumentError(
            f'{operation}: algorithm="{algorithm}" takes NumPy arrays, but the arguments are CuPy arrays; use "auto", '
            '"direct" or "gemm".'
        )
    if on_gpu:
        return _on_device(operation, arrays)
    return _on_host("reference" if algorithm == "reference" else "cpu", arrays)


def _on_host(package: str, arrays: Mapping[str, Array | None]) -> Any:
    first: Any = next(iter(arrays.values()))
    return _in_float32(package) if first.dtype.type is np.float16 else _package(package)


class _InFloat32:
    """A package for arrays of float16: computed in float32."""

    def __init__(self, package: ModuleType) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._package, name)
        if name == "optimizer_step":  # in place, and of parameters of several types
            return function

        @functools.wraps(function)
        def in_float32(*arguments: Any, **options: Any) -> Any:
            results = function(*map(_widened, arguments), **options)
            if not isinstance(results, tuple):
                return results.astype(np.float16)
            numbers = _OF_ANOTHER_TYPE.get(name)
            dtypes = [np.float16] * len(results) if numbers is None else [arguments[n].dtype for n in numbers]
            # Statistics, behind the last of these, stay float32, and what is no float (positions, masks) what it is.
            narrow = (
                result.astype(dtype, copy=False) if result.dtype == np.float32 else result
                for result, dtype in zip(results, dtypes, strict=False)
            )
            return *narrow, *results[len(dtypes) :]

        return in_float32


#: Where results are not all of the first argument's type: the numbers of the arguments whose types the results have.
_OF_ANOTHER_TYPE = {
    "batch_norm": (0,),
    "batch_norm_grad": (1, 2, 2),
    "layer_norm": (0,),
    "layer_norm_grad": (1, 2, 2),
}


def _widened(argument: Any) -> Any:
    is_half = isinstance(argument, np.ndarray) and argument.dtype == np.float16
    return argument.astype(np.float32) if is_half else argument


class _OnDevice:
    """The CUDA package for arrays of a device that is not the current one: its functions run there."""

    def __init__(self, device: Any) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Any:
        function = getattr(_package("cuda"), name)

        @functools.wraps(function)
        def on_device(*arguments: Any, **options: Any) -> Any:
            with self._device:
                return function(*arguments, **options)

        return on_device


def _on_device(operation: str, arrays: Mapping[str, Array | None]) -> Any:
    import cupy

    on: dict[str, Any] = {name: array.device for name, array in arrays.items() if array is not None}
    device, *others = on.values()
    if any(other.id != device.id for other in others):
        given = ", ".join(f"{name} is on device {own.id}" for name, own in on.items())
        raise BackendMismatchError(f"{operation}: {given}; bring the arrays to one device first.")
    return _package("cuda") if device.id == cupy.cuda.Device().id else _OnDevice(device)


#: The arguments that may be left out.
_OPTIONAL = {("conv2d", "bias"), ("matmul", "bias")}


def _check_present(operation: str, arrays: Mapping[str, Array | None]) -> None:
    for name, array in arrays.items():
        if array is None and (operation, name) not in _OPTIONAL:
            raise DTypeError(f"{operation}: {name} must be a NumPy or CuPy array, got None.")


def _kind(operation: str, name: str, array: object) -> str:
    if isinstance(array, np.ndarray):
        return "NumPy"
    if is_cupy(array):
        return "CuPy"
    raise DTypeError(f"{operation}: {name} must be a NumPy or CuPy array, got {type(array).__name__}.")


#: The types of arguments that need no second look.
_NUMPY_ONLY = frozenset({np.ndarray, type(None)})


def _listed() -> str:
    return ", ".join(f'"{name}"' for name in ALGORITHMS)


@functools.cache
def _in_float32(package: str) -> _InFloat32:
    return _InFloat32(_package(package))


@functools.cache
def _package(name: str) -> ModuleType:
    # Imported here, because kernels.cpu loads Numba, which takes longer than all else together.
    if name == "cpu":
        from kernels import cpu

        return cpu
    if name == "cuda":
        from kernels import cuda

        return cuda
    from kernels import reference

    return reference
