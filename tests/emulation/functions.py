"""The functions of the stand-in for `cupy`, from explicit lists of names: what is not listed does not exist.

To add a function, add its name to the list it belongs to. CuPy must have it: test_names.py asks, where CuPy is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.emulation.counters import counts
from tests.emulation.indexing import for_writing
from tests.emulation.storage import Storage, adopt, host, view_or_copy

_words = str.split

#: Element-wise functions: broadcasting, `out=`, results in C order; those of two arguments have `.at`.
UFUNCS = _words("""
    absolute add arctan bitwise_and bitwise_or bitwise_xor ceil cos cosh divide equal exp exp2 expm1 floor floor_divide
    fmax fmin greater greater_equal invert isfinite isinf isnan left_shift less less_equal log log10 log1p log2
    logical_and logical_not logical_or maximum minimum multiply negative not_equal power reciprocal remainder
    right_shift rint sign signbit sin sinh sqrt square subtract tan tanh true_divide trunc
""")

#: Functions that compute new arrays.
FUNCTIONS = _words("""
    all any argmax argmin argsort clip concatenate count_nonzero cumsum diff dot einsum flip isclose max min nan_to_num
    outer pad repeat roll searchsorted sort stack tile trace tril triu where
""")

#: The same, which sum: half-precision numbers in float32.
SUMS = _words("matmul mean prod std sum tensordot var")

#: The same, which make arrays of nothing.
CREATION = _words("arange eye linspace")

#: Functions whose results are views of their argument where they can be.
VIEWS = _words("atleast_1d atleast_2d broadcast_to expand_dims moveaxis ravel reshape squeeze swapaxes transpose")

#: Functions that read the device, and so wait for it.
SYNCHRONIZING = _words("nonzero unique")

#: NumPy's own: types, constants, and functions of types and shapes.
ALIASES = _words("""
    bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 dtype inf nan
    pi e newaxis finfo iinfo result_type promote_types can_cast broadcast_shapes
""")

#: What `add.at` takes: there are atomic operations for these types only.
_ATOMIC = {np.dtype(name) for name in ("int32", "uint32", "uint64", "float16", "float32", "float64")}


class ufunc:  # noqa: N801 (CuPy's name)
    """An element-wise function."""

    __module__ = "cupy._core._kernel"

    def __init__(self, name: str) -> None:
        self._function = getattr(np, name)
        self.name = self.__name__ = f"cupy_{name}"
        self.nin = self._function.nin

    def __call__(self, *arguments: Any, out: Any = None, dtype: Any = None) -> Any:
        counts.array_functions[self._function.__name__] += 1
        if len(arguments) > self.nin:
            *arguments, out = arguments
        if isinstance(out, tuple):
            (out,) = out
        inputs = host(tuple(arguments))
        with np.errstate(all="ignore"):  # a device does not warn
            if out is None:
                return adopt(self._function(*inputs, dtype=dtype))
            if not isinstance(out, Storage):
                raise TypeError(f"return arrays must be of ArrayType, not {type(out)}")
            self._function(*inputs, out=host(out), dtype=dtype, casting="same_kind")
        return out

    def at(self, array: Any, index: Any, values: Any) -> None:
        """Apply in place, for repeated indices repeatedly; on a device the order is anybody's guess."""
        counts.array_functions[f"{self._function.__name__}.at"] += 1
        if array.dtype not in _ATOMIC:
            raise TypeError(f"{self._function.__name__}.at does not support {array.dtype}")
        self._function.at(host(array), *for_writing(array._host, index, values))

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"


def _computes(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def compute(*arguments: Any, **options: Any) -> Any:
        counts.array_functions[name] += 1
        out = options.pop("out", None)
        with np.errstate(all="ignore"):
            result = function(*host(arguments), **{key: host(value) for key, value in options.items()})
        if out is None:
            return adopt(result)
        host(out)[...] = result
        return out

    compute.__name__ = name
    return compute


def _sums(name: str) -> Callable[..., Any]:
    compute = _computes(name)

    def compute_wide(*arguments: Any, **options: Any) -> Any:
        dtype = getattr(arguments[0], "dtype", None)
        if not _is_half(dtype) or "dtype" in options:
            return compute(*arguments, **options)
        wide = (adopt(host(a).astype(np.float32)) if _is_half(getattr(a, "dtype", None)) else a for a in arguments)
        if options.get("out") is not None:
            return compute(*wide, **options)
        return compute(*wide, **options).astype(dtype)

    compute_wide.__name__ = name
    return compute_wide


def _is_half(dtype: np.dtype[Any] | None) -> bool:
    return dtype is not None and dtype.itemsize == 2 and dtype.kind in "fV"  # ml_dtypes' bfloat16 is of kind V


def _views(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def view(array: Storage, *arguments: Any, **options: Any) -> Any:
        if not isinstance(array, Storage):
            raise TypeError(f"Argument 'array' has incorrect type (expected cupy.ndarray, got {type(array)})")
        return view_or_copy(function(array._host, *arguments, **options), array)

    view.__name__ = name
    return view


def _reads(name: str) -> Callable[..., Any]:
    compute = _computes(name)

    def read(*arguments: Any, **options: Any) -> Any:
        counts.synchronizations[name] += 1
        return compute(*arguments, **options)

    read.__name__ = name
    return read


def take(array: Any, indices: Any, axis: int | None = None, out: Any = None) -> Any:
    """Elements along an axis; indices outside wrap around."""
    counts.array_functions["take"] += 1
    return adopt(np.take(host(array), host(indices), axis, mode="wrap"))


def take_along_axis(array: Any, indices: Any, axis: int) -> Any:
    """An element for each index; indices outside wrap around."""
    counts.array_functions["take_along_axis"] += 1
    values = host(array)
    return adopt(np.take_along_axis(values, host(indices) % max(values.shape[axis], 1), axis))


#: Everything by its name.
BY_NAME: dict[str, Any] = {
    **{name: ufunc(name) for name in UFUNCS},
    **{name: _computes(name) for name in FUNCTIONS + CREATION},
    **{name: _sums(name) for name in SUMS},
    **{name: _views(name) for name in VIEWS},
    **{name: _reads(name) for name in SYNCHRONIZING},
    **{name: getattr(np, name) for name in ALIASES},
    "take": take,
    "take_along_axis": take_along_axis,
}
BY_NAME["abs"] = BY_NAME["absolute"]
