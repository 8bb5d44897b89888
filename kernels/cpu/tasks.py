"""Tasks: compiled functions that are handed over by address, so that each is compiled once.

A parallel loop takes Numba more than a second to compile, and code that it calls is compiled again with it. So
there is one such loop, here, for all kernels that cut their work into tasks themselves. A task is a function
`task(plan, number)`: `plan` points to integers (addresses, sizes, strides) that a kernel's Python part wrote
down, and `number` says which part of the work to do.
"""

import ctypes
import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from kernels.cpu.jit import compile_c_function, jit
from kernels.types import Array

#: Multiply-adds below which starting threads costs more than they save, about 5 µs of one core's work.
SERIAL_WORK = 1 << 18

_SIGNATURE = types.void(types.CPointer(types.int64), types.int64)


@functools.cache
def task_address(function: Callable[[Any, int], None]) -> int:
    """The address of the task, compiled at the first request. `numba.carray(plan, (n,))` reads its plan."""
    return compile_c_function(function, _SIGNATURE)


def run_tasks(task: int, count: int, plan: Sequence[int], *, parallel: bool) -> None:
    """Run the task at the address `task` for the numbers 0 … count − 1.

    With `parallel`, numbers are spread over the threads, neighbours to the same one.
    """
    # Packed bytes reach compiled code sooner than anything else: 0.8 µs, a tuple 1.3, a ctypes array 4.
    (_in_parallel if parallel else _in_turn)(task, count, struct.pack(f"{len(plan)}q", *plan))


def address_of(x: Array) -> int:
    """Where the array's first element lies in memory. Whoever asks must keep the array alive.

    Reads the first field of NumPy's array structure, whose place its C interface fixes: ten times faster than
    `x.ctypes.data`, and small products ask three times.
    """
    return int(ctypes.c_ssize_t.from_address(id(x) + object.__basicsize__).value)


@intrinsic
def _address_of_plan(typing_context: Any, plan: Any) -> Any:
    """Where the integers packed into the bytes `plan` begin; a parallel loop cannot take the bytes themselves."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        words = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(words, ir.IntType(64))

    return types.int64(plan), generate


@intrinsic
def _call(typing_context: Any, task: Any, plan: Any, number: Any) -> Any:
    """Call the task at the address `task` with its plan, an address too."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        task, plan, number = arguments
        words = builder.inttoptr(plan, number.type.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [words.type, number.type])
        builder.call(builder.inttoptr(task, kind.as_pointer()), [words, number])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@jit
def _in_turn(task: int, count: int, plan: bytes) -> None:
    address = _address_of_plan(plan)
    for number in range(count):
        _call(task, address, number)


@jit(parallel=True)
def _in_parallel(task: int, count: int, plan: bytes) -> None:
    address = _address_of_plan(plan)
    for number in prange(count):
        _call(task, address, number)
