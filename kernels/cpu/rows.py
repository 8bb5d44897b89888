"""Row kernels: a function that does one row's work, compiled once and run over all rows in parallel.

    @row_kernel
    def _double(x: Array, y: Array, row: int) -> None:
        for column in range(x.shape[1]):
            y[row, column] = 2 * x[row, column]

    _double(len(x), x, y)

A row writes only what no other row writes, so that results do not depend on the number of threads. A loop with
`prange` for each kernel would say the same, and take more than a second each to compile; here all kernels share
the one loop of `tasks`.
"""

import functools
import itertools
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from kernels.cpu.jit import jit
from kernels.cpu.tasks import address_of, run_tasks, task_address
from kernels.types import Array

#: What a row kernel takes: C-contiguous arrays (see `arrays.compact`), integers, and tuples of integers.
Argument: TypeAlias = Array | int | tuple[int, ...]


class RowKernel:
    """A function of arguments and a row, as `row_kernel` makes it."""

    def __init__(self, function: Callable[..., None]) -> None:
        functools.update_wrapper(self, function)
        # Nobody calls it from Python or C, and the code for that takes a third of the compilation.
        self._row = jit(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._addresses: dict[str, int] = {}

    def __call__(self, rows: int, *arguments: Argument, scratch: int = 0) -> None:
        """Run the kernel for the rows 0 … rows − 1.

        With `scratch`, the function gets the address of so many bytes for its own use, between the arguments and
        the row; `memory_at` makes an array of them.
        """
        kinds = "s" if scratch else ""
        plan: list[int] = []
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                assert argument.flags.c_contiguous, "compiled code computes strides from the shape"
                kinds += f"{argument.dtype.char}{argument.ndim}"
                plan += (address_of(argument), *argument.shape)
            elif isinstance(argument, tuple):
                kinds += f"t{len(argument)}"
                plan += argument
            else:
                kinds += "i"
                plan.append(argument)
        address = self._addresses.get(kinds)
        if address is None:
            address = self._addresses[kinds] = self._compile(kinds, arguments)
        run_tasks(address, rows, plan, parallel=rows > 1, scratch=scratch)

    def _compile(self, kinds: str, arguments: tuple[Argument, ...]) -> int:
        # The globals of a compiled function are its constants, so each task needs its own; and a name of its
        # own, by which the disk cache knows it.
        names = {"__name__": __name__, "run_row": self._row, "arguments": _reader(arguments)}
        task = FunctionType((_task_with_scratch if kinds.startswith("s") else _task).__code__, names)
        task.__qualname__ = f"{self._name}.{kinds}"
        return task_address(task)


def row_kernel(function: Callable[..., None]) -> RowKernel:
    """Make `function(…, row)` a kernel that is called with the number of rows in front: `kernel(rows, …)`."""
    return RowKernel(function)


def _task(plan: Any, row: int, scratch: int) -> None:  # compiled
    """What is compiled; its global names are those that `_compile` gives each copy."""
    run_row(*arguments(plan), row)  # type: ignore[name-defined]  # noqa: F821


def _task_with_scratch(plan: Any, row: int, scratch: int) -> None:  # compiled
    run_row(*arguments(plan), scratch, row)  # type: ignore[name-defined]  # noqa: F821


@intrinsic
def memory_at(typing_context: Any, like: Any, address: Any, count: Any) -> Any:
    """An array of `count` elements of like's type on memory that others own."""
    return _on_memory(types.Array(like.dtype, 1, "C"), like)


@intrinsic
def bytes_at(typing_context: Any, address: Any, count: Any) -> Any:
    """An array of `count` bytes on memory that others own."""
    return _on_memory(types.Array(types.uint8, 1, "C"))


def _on_memory(kind: types.Array, *like: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        return _array(context, builder, kind, *arguments[-2:])

    return kind(*like, types.int64, types.int64), generate


def _reader(arguments: tuple[Argument, ...]) -> Any:
    """The intrinsic that makes the tuple of arguments of what `RowKernel.__call__` wrote into the plan."""
    kinds = [_numba_type(argument) for argument in arguments]

    @intrinsic
    def read(typing_context: Any, plan: Any) -> Any:
        result = types.Tuple(kinds)

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, given: list[ir.Value]) -> ir.Value:
            position = itertools.count()

            def integers(count: int) -> list[ir.Value]:
                places = (ir.Constant(ir.IntType(64), next(position)) for _ in range(count))
                return [builder.load(builder.gep(words, [place])) for place in places]

            (words,) = given
            values = []
            for kind in kinds:
                if isinstance(kind, types.Array):
                    values.append(_array(context, builder, kind, *integers(1 + kind.ndim)))
                elif isinstance(kind, types.UniTuple):
                    values.append(context.make_tuple(builder, kind, integers(kind.count)))
                else:
                    values += integers(1)
            return context.make_tuple(builder, result, values)

        return result(plan), generate

    return read


def _array(context: Any, builder: ir.IRBuilder, kind: types.Array, address: ir.Value, *shape: ir.Value) -> ir.Value:
    """A C-contiguous array on memory that others own."""
    array = context.make_array(kind)(context, builder)
    itemsize = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    strides = [ir.Constant(address.type, itemsize)]
    for size in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], size))
    populate_array(
        array,
        data=builder.inttoptr(address, array.data.type),
        shape=cgutils.pack_array(builder, shape),
        strides=cgutils.pack_array(builder, strides),
        itemsize=ir.Constant(address.type, itemsize),
        meminfo=None,
    )
    return array._getvalue()


def _numba_type(argument: Argument) -> types.Type:
    if isinstance(argument, np.ndarray):
        return types.Array(from_dtype(argument.dtype), argument.ndim, "C")
    if isinstance(argument, tuple):
        return types.UniTuple(types.int64, len(argument))
    return types.int64
