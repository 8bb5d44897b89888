"""CUDA C sources of this folder, compiled and launched through CuPy.

A source is compiled when it is first launched, once per element type; CuPy keeps the result on disk. Sources are
written for one element type `T`, in which memory holds numbers, and the type `A`, in which they are computed:

    float32 → T float, A float        float16  → T __half, A float
    float64 → T double, A double      bfloat16 → T __nv_bfloat16, A float

They are macros that `common.cuh` defines, not options of the compiler: NVRTC's own headers have a T too.

`common.cuh` stands before every source: it has `load`, `store` and what else they share. It is put there as text, so
that CuPy's disk cache sees it change.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.errors import ShapeError

_FOLDER = Path(__file__).parent

#: The C names of element types, by NumPy's: T in `common.cuh`.
ELEMENTS = {"float32": "float", "float64": "double", "float16": "__half", "bfloat16": "__nv_bfloat16"}

#: Threads of a block where nothing speaks for another number: whole warps, and several blocks fit an SM.
THREADS = 256


def launch(
    source: str,
    kernel: str,
    grid: Sequence[int],
    block: Sequence[int],
    arguments: Sequence[Any],
    dtype: npt.DTypeLike,
    *,
    shared: int = 0,
    defines: Sequence[str] = (),
) -> None:
    """Launch a kernel on the current device and stream.

    Args:
        source: the file's name without ".cu".
        kernel: the function's name; it is declared `extern "C"`.
        grid: blocks along x, y and z.
        block: threads along x, y and z.
        arguments: arrays as pointers; a Python int becomes C's `int`, a float `A`, a NumPy scalar stays what it is.
        dtype: the element type that T stands for.
        shared: bytes of dynamic shared memory.
        defines: further macros, "NAME=VALUE", each combination compiled on its own.

    Raises:
        ShapeError: an int does not fit 32 bits.
    """
    name = np.dtype(dtype).name
    compute = np.float64 if name == "float64" else np.float32
    values = tuple(_argument(kernel, argument, compute) for argument in arguments)
    function = _function(source, name, tuple(defines), kernel)
    function(tuple(grid), tuple(block), values, shared_mem=shared)


def blocks_for(count: int, threads: int = THREADS) -> tuple[int]:
    """The grid with a thread for each of `count` elements; one block at least, since a grid cannot be empty."""
    return (max(1, -(-count // threads)),)


def source_text(source: str) -> str:
    """The text that is compiled: `common.cuh`, then the source, with their own line numbers in messages."""
    parts = (
        f'#line 1 "{name}"\n' + (_FOLDER / name).read_text(encoding="utf-8") for name in ("common.cuh", f"{source}.cu")
    )
    # CuPy writes the text to a file in the locale's encoding; what is beyond ASCII stands in comments only.
    return "\n".join(parts).encode("ascii", "replace").decode()


def compile_options(name: str, defines: Sequence[str] = ()) -> tuple[str, ...]:
    """The compiler's options for an element type."""
    macros = (f"DLCORE_{name.upper()}=1", *defines)
    return ("-std=c++17", *(f"-D{macro}" for macro in macros))


@functools.cache
def _module(source: str, name: str, defines: tuple[str, ...]) -> Any:
    import cupy

    return cupy.RawModule(code=source_text(source), options=compile_options(name, defines))


@functools.cache
def _function(source: str, name: str, defines: tuple[str, ...], kernel: str) -> Any:
    """The kernel, which CuPy loads on each device where it is launched."""
    return _module(source, name, defines).get_function(kernel)


def _argument(kernel: str, value: Any, compute: type[np.floating[Any]]) -> Any:
    if isinstance(value, (bool, int)):
        if not -(2**31) <= value < 2**31:
            raise ShapeError(f"{kernel}: a size of {value} does not fit the kernel's 32 bits; split the batch.")
        return np.int32(value)
    if isinstance(value, float):
        return compute(value)
    return value
