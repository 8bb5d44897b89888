"""Tasks: compiled functions that are handed over by address, so that each is compiled once.

A parallel loop takes Numba more than a second to compile, and code that it calls is compiled again with it. So
there is one such loop, here, for all kernels that cut their work into tasks themselves. A task is a function
`task(plan, number, scratch)`: `plan` points to integers (addresses, sizes, strides) that a kernel's Python part wrote
down, `number` says which part of the work to do, and `scratch` is the address of memory for the task's own use.
"""

import ctypes
import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import get_thread_id, prange, types
from numba.extending import intrinsic

from kernels.cpu import memory
from kernels.cpu.jit import compile_c_function, jit
from kernels.cpu.threads import get_num_threads, must_run_serially
from kernels.types import Array

#: Multiply-adds below which starting threads costs more than they save, about 5 µs of one core's work.
SERIAL_WORK = 1 << 18

_SIGNATURE = types.void(types.CPointer(types.int64), types.int64, types.int64)

#: Scratch memory of different threads lies further apart than a power of two, so that it meets in no cache's set.
_SCRATCH_GAP = 4096 + 64


@functools.cache
def task_address(function: Callable[[Any, int, int], None]) -> int:
    """The address of the task, compiled at the first request. `numba.carray(plan, (n,))` reads its plan."""
    return compile_c_function(function, _SIGNATURE)


def run_tasks(task: int, count: int, plan: Sequence[int], *, parallel: bool, scratch: int = 0) -> None:
    """Run the task at the address `task` for the numbers 0 … count − 1.

    With `parallel`, numbers are spread over the threads, neighbours to the same one. Each thread has `scratch` bytes,
    which hold at first what was left in them.
    """
    parallel = parallel and not must_run_serially()
    workers = get_num_threads() if parallel else 1
    memory_of_threads, share, at = None, 0, 0
    if scratch:
        share = -(-scratch // 64) * 64 + _SCRATCH_GAP
        memory_of_threads = memory.empty((share * workers,), np.uint8)
        at = address_of(memory_of_threads)
    # Packed bytes reach compiled code sooner than anything else: 0.8 µs, a tuple 1.3, a ctypes array 4.
    packed = struct.pack(f"{len(plan)}q", *plan)
    if parallel:
        _in_parallel.on(workers, task, count, packed, at, share)
    else:
        _in_turn(task, count, packed, at, share)


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
def _call(typing_context: Any, task: Any, plan: Any, number: Any, scratch: Any) -> Any:
    """Call the task at the address `task` with its plan, an address too."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        task, plan, number, scratch = arguments
        words = builder.inttoptr(plan, number.type.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [words.type, number.type, scratch.type])
        builder.call(builder.inttoptr(task, kind.as_pointer()), [words, number, scratch])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


@jit
def _in_turn(task: int, count: int, plan: bytes, scratch: int, share: int) -> None:
    address = _address_of_plan(plan)
    for number in range(count):
        _call(task, address, number, scratch)


@jit(parallel=True)
def _in_parallel(task: int, count: int, plan: bytes, scratch: int, share: int) -> None:
    address = _address_of_plan(plan)
    for number in prange(count):
        _call(task, address, number, scratch + get_thread_id() * share)
