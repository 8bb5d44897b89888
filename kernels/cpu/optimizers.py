"""An optimizer's step as one compiled pass over all parameters.

The formula is a Python function of single numbers, which the optimizer's class shows; here it is compiled into a loop
that loads one element of each array of a parameter (w, g and what the optimizer keeps), calls it, and stores what it
returns. All parameters are one table of addresses and lengths, cut into blocks of equal length over the threads.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.array_formula import check_formula, step_on_arrays
from kernels.cpu.jit import jit
from kernels.cpu.rows import RowKernel
from kernels.cpu.tasks import address_of
from kernels.layout import is_dense, same_order
from kernels.types import Array

#: Elements per block: some microseconds of work, and small networks are still divided evenly.
_BLOCK = 1 << 12


def optimizer_step(
    formula: Callable[..., tuple[Any, ...]],
    parameters: Sequence[Sequence[Array]],
    numbers: Sequence[Sequence[float]],
    *,
    weight_decay: float = 0.0,
    shrink: float = 1.0,
) -> None:
    """Move every parameter by the formula, in place. Reads each array once, writes each but the gradients once."""
    tables: dict[np.dtype[Any], _Table] = {}
    seen = set()
    for arrays, own in zip(parameters, numbers, strict=True):
        w = arrays[0]
        together = _in_memory_order(arrays)
        address = address_of(w)
        if together is None or address in seen:  # the same parameter twice moves twice
            step = _step_in_float32 if w.dtype.itemsize == 2 else step_on_arrays
            step(formula, arrays, own, weight_decay, shrink)
            continue
        seen.add(address)
        if w.dtype not in tables:
            tables[w.dtype] = _Table()
        tables[w.dtype].add(together, (weight_decay, shrink, *own))
    for dtype, table in tables.items():
        table.run(formula, dtype)


def _step_in_float32(
    formula: Callable[..., tuple[Any, ...]],
    arrays: Sequence[Array],
    numbers: Sequence[float],
    weight_decay: float,
    shrink: float,
) -> None:
    """The step of a parameter of half precision, which is only how it is stored; each array keeps its own type."""
    wide = [array.astype(np.float32, copy=False) for array in arrays]
    step_on_arrays(formula, wide, numbers, weight_decay, shrink)
    for number, (array, moved) in enumerate(zip(arrays, wide, strict=True)):
        if number != 1 and moved is not array:  # the gradient stays
            array[...] = moved


class _Table:
    """Parameters of one type. A row is a parameter's first block, its length, and the addresses of its arrays."""

    def __init__(self) -> None:
        self.blocks = 0
        self.rows: list[tuple[int, ...]] = []
        self.numbers: list[tuple[float, ...]] = []
        self.alive: list[list[Array]] = []  # gradients may be copies, which nobody else holds

    def add(self, arrays: list[Array], numbers: tuple[float, ...]) -> None:
        self.rows.append((self.blocks, arrays[0].size, *map(address_of, arrays)))
        self.blocks += -(-arrays[0].size // _BLOCK)
        self.numbers.append(numbers)
        self.alive.append(arrays)

    def run(self, formula: Callable[..., tuple[Any, ...]], dtype: np.dtype[Any]) -> None:
        places = tuple(range(2, len(self.rows[0]))), tuple(range(2, len(self.numbers[0])))
        _compiled(formula)(self.blocks, np.array(self.rows, np.int64), np.array(self.numbers, dtype), *places)


def _in_memory_order(arrays: Sequence[Array]) -> list[Array] | None:
    """The arrays, one after the other in memory all in the same order: the gradient is copied where it is not so.

    None where w, or what the optimizer keeps, cannot be walked like that, or has another type than is compiled.
    """
    w, g, *state = arrays
    if w.dtype not in (np.float32, np.float64) or not (is_dense(w) and w.flags.aligned and w.flags.writeable):
        return None
    for array in state:
        if not same_order(array, w) or array.dtype != w.dtype or not (array.flags.aligned and array.flags.writeable):
            return None
    if not same_order(g, w) or g.dtype != w.dtype or not g.flags.aligned:
        copy = np.empty_like(w)
        copy[...] = g
        g = copy
    return [w, g, *state]


@functools.cache
def _compiled(formula: Callable[..., tuple[Any, ...]]) -> RowKernel:
    """The row kernel that runs `formula`. The disk cache knows it by the formula's name and code."""
    check_formula(formula)
    code = formula.__code__
    digest = hashlib.sha256(repr((code.co_code, code.co_consts, code.co_names, code.co_varnames)).encode())
    block = FunctionType(_block.__code__, {**globals(), "formula": jit(formula)}, _block.__name__)
    block.__qualname__ = f"_block.{formula.__module__}.{formula.__qualname__}.{digest.hexdigest()[:16]}"
    return RowKernel(block)


def _block(
    table: Array, numbers: Array, places: tuple[int, ...], number_places: tuple[int, ...], block: int
) -> None:  # compiled
    """One block of one parameter; see `_Table`."""
    parameter = 0
    while parameter + 1 < len(table) and table[parameter + 1, 0] <= block:
        parameter += 1
    first = (block - table[parameter, 0]) * _BLOCK
    last = min(first + _BLOCK, table[parameter, 1])
    addresses = _gather(table, parameter, places)
    weight_decay, shrink = numbers[parameter, 0], numbers[parameter, 1]
    own = _gather(numbers, parameter, number_places)
    decays, shrinks = weight_decay != 0, shrink != 1
    for i in range(first, last):
        values = _load(numbers, addresses, i)
        w, g, rest = values[0], values[1], values[2:] + own
        if decays:
            g += weight_decay * w
        if shrinks:
            w *= shrink
        new = formula(w, g, *rest)  # type: ignore[name-defined]  # noqa: F821
        _store(numbers, addresses, i, new)


def _pointer(context: Any, builder: ir.IRBuilder, kind: types.Type, address: ir.Value, index: ir.Value) -> ir.Value:
    pointer = builder.inttoptr(address, context.get_data_type(kind).as_pointer())
    return builder.gep(pointer, [index])


def _marked(builder: ir.IRBuilder, access: ir.Instruction, number: int, count: int) -> ir.Instruction:
    """Say that the arrays of a parameter do not overlap, so that the loop is vectorised without asking."""
    domain = builder.module.add_metadata(["optimizer_step"])
    scopes = [builder.module.add_metadata([f"optimizer_step {k}", domain]) for k in range(count)]
    access.set_metadata("alias.scope", builder.module.add_metadata([scopes[number]]))
    others = [scope for k, scope in enumerate(scopes) if k != number]
    access.set_metadata("noalias", builder.module.add_metadata(others))
    return access


@intrinsic
def _gather(typing_context: Any, matrix: Any, row: Any, places: Any) -> Any:
    """The tuple (matrix[row, place] for place in places)."""
    result = types.UniTuple(matrix.dtype, places.count)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        matrix_value, row, places = arguments
        array = context.make_array(signature.args[0])(context, builder, matrix_value)
        first = builder.mul(row, builder.extract_value(array.shape, 1))
        pointers = [
            builder.gep(array.data, [builder.add(first, place)])
            for place in _members(builder, places, signature.args[2])
        ]
        return context.make_tuple(builder, result, [builder.load(pointer) for pointer in pointers])

    return result(matrix, types.int64, places), generate


@intrinsic
def _load(typing_context: Any, like: Any, addresses: Any, index: Any) -> Any:
    """The elements number `index`, of `like`'s type, of the arrays at these addresses."""
    result = types.UniTuple(like.dtype, addresses.count)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        _, addresses, index = arguments
        members = _members(builder, addresses, signature.args[1])
        pointers = [_pointer(context, builder, like.dtype, address, index) for address in members]
        loads = [_marked(builder, builder.load(p), k, len(members)) for k, p in enumerate(pointers)]
        return context.make_tuple(builder, result, loads)

    return result(like, addresses, types.int64), generate


@intrinsic
def _store(typing_context: Any, like: Any, addresses: Any, index: Any, values: Any) -> Any:
    """Write the elements number `index` of all arrays but the second, the gradient."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        _, addresses, index, values = arguments
        members = _members(builder, addresses, signature.args[1])
        written = [0, *range(2, len(members))]
        for number, kind, value in zip(written, signature.args[3], cgutils.unpack_tuple(builder, values), strict=True):
            value = context.cast(builder, value, kind, like.dtype)
            pointer = _pointer(context, builder, like.dtype, members[number], index)
            _marked(builder, builder.store(value, pointer), number, len(members))
        return context.get_dummy_value()

    return types.void(like, addresses, types.int64, values), generate


def _members(builder: ir.IRBuilder, values: ir.Value, kind: types.UniTuple) -> list[ir.Value]:
    return cgutils.unpack_tuple(builder, values, kind.count)
