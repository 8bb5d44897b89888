"""Copying blocks of a matrix into contiguous rows, and images with a border: how operands are packed.

Elements of 4 and 8 bytes are moved as integers: to a copy it does not matter that they are floats.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.cpu import host
from kernels.cpu.jit import add_symbol, jit
from kernels.cpu.rows import bytes_at

_LANES_32 = host.vector_bits() // 32
_LANES_64 = host.vector_bits() // 64


def _pointers(builder: ir.IRBuilder, kind: ir.Type, lanes: int, *places: tuple[ir.Value, ir.Value]) -> list[ir.Value]:
    """A pointer to so many elements for each pair of an address and an index of elements behind it."""
    vector = kind if lanes == 1 else ir.VectorType(kind, lanes)
    pointers = (builder.gep(builder.inttoptr(address, kind.as_pointer()), [index]) for address, index in places)
    return [builder.bitcast(pointer, vector.as_pointer()) for pointer in pointers]


def _lanes(kind: ir.Type) -> int:
    return host.vector_bits() // int(kind.width)


@intrinsic
def _move_element(typing_context: Any, kind: Any, target: Any, to: Any, source: Any, at: Any) -> Any:
    """target[to] = source[at], for addresses and indices of elements of `kind`'s type."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        one, target, to, source, at = arguments
        there, here = _pointers(builder, one.type, 1, (target, to), (source, at))
        builder.store(builder.load(here), there)
        return context.get_dummy_value()

    return types.void(kind, target, to, source, at), generate


@intrinsic
def _move_vector(typing_context: Any, kind: Any, target: Any, to: Any, source: Any, at: Any) -> Any:
    """The same for as many elements as a vector has."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        one, target, to, source, at = arguments
        there, here = _pointers(builder, one.type, _lanes(one.type), (target, to), (source, at))
        builder.store(builder.load(here, align=one.type.width // 8), there, align=one.type.width // 8)
        return context.get_dummy_value()

    return types.void(kind, target, to, source, at), generate


@intrinsic
def _transpose_square(
    typing_context: Any, kind: Any, target: Any, to: Any, target_row: Any, source: Any, at: Any, source_row: Any
) -> Any:
    """Transpose a square, as wide as a vector, in registers: four times faster than element by element."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        one, target, to, target_row, source, at, source_row = arguments
        word, align, lanes = ir.IntType(64), one.type.width // 8, _lanes(one.type)

        def row_pointer(address: ir.Value, first: ir.Value, row: ir.Value, number: int) -> ir.Value:
            index = builder.add(first, builder.mul(row, word(number)))
            return _pointers(builder, one.type, lanes, (address, index))[0]

        rows = [builder.load(row_pointer(source, at, source_row, k), align=align) for k in range(lanes)]
        # Swap the off-diagonal quarters of each 2 × 2, then 4 × 4, … square.
        half = 1
        while half < lanes:
            for upper in (k for k in range(lanes) if not k & half):
                lower = upper | half
                pair = rows[upper], rows[lower]
                keep_left = [lanes + k - half if k & half else k for k in range(lanes)]
                keep_right = [lanes + k if k & half else k + half for k in range(lanes)]
                for row, order in ((upper, keep_left), (lower, keep_right)):
                    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), order)
                    rows[row] = builder.shuffle_vector(*pair, mask)
            half *= 2
        for number, row in enumerate(rows):
            builder.store(row, row_pointer(target, to, target_row, number), align=align)
        return context.get_dummy_value()

    return types.void(kind, target, to, target_row, source, at, source_row), generate


@jit
def _copy_elements(
    kind: Any, lanes: int, rows: int, columns: int,
    target: int, target_row: int, source: int, source_row: int, source_column: int,
) -> None:  # fmt: skip
    whole_rows = rows - rows % lanes
    whole_columns = columns - columns % lanes
    if source_column == 1:
        for row in range(rows):
            for column in range(0, whole_columns, lanes):
                _move_vector(kind, target, row * target_row + column, source, row * source_row + column)
        first_row = 0
    elif source_row == 1:
        for row in range(0, whole_rows, lanes):
            for column in range(0, whole_columns, lanes):
                to, at = row * target_row + column, row + column * source_column
                _transpose_square(kind, target, to, target_row, source, at, source_column)
        first_row = whole_rows
    else:
        first_row, whole_columns = 0, 0
    # What the vectors left over: columns at the right of all rows, and rows below.
    for row in range(rows):
        for column in range(whole_columns if row < first_row or source_column == 1 else 0, columns):
            _move_element(kind, target, row * target_row + column, source, row * source_row + column * source_column)


_SYMBOL = "dlcore_copy_block"


@intrinsic
def copy_block(
    typing_context: Any, size: Any, rows: Any, columns: Any,
    target: Any, target_row: Any, source: Any, source_row: Any, source_column: Any,
) -> Any:  # fmt: skip
    """Copy a block of `rows` × `columns` elements of `size` bytes (4 or 8) into contiguous rows.

    `target` and `source` are addresses, strides are in elements. Each element is read and written once, a vector
    at a time where either of the source's strides is 1.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, _SYMBOL), arguments)
        return context.get_dummy_value()

    return _SIGNATURE, generate


def _copy_block(
    size: int, rows: int, columns: int,
    target: int, target_row: int, source: int, source_row: int, source_column: int,
) -> None:  # compiled # fmt: skip
    """What is called by that name: as part of each kernel that packs something it would be compiled seven times."""
    if size == 4:
        _copy_elements(np.uint32(0), _LANES_32, rows, columns, target, target_row, source, source_row, source_column)
    else:
        _copy_elements(np.uint64(0), _LANES_64, rows, columns, target, target_row, source, source_row, source_column)


_SIGNATURE = types.void(*[types.int64] * 8)
add_symbol(_SYMBOL, _copy_block, _SIGNATURE)


@jit
def copy_with_border(
    size: int, x: int, H: int, W: int, C: int, h0: int, h1: int, w0: int, w1: int, target: int
) -> None:
    """Rows h0 … h1 and columns w0 … w1 of an image at address x to the address target, zeros where there are none."""
    buffer = bytes_at(target, (h1 - h0) * (w1 - w0) * C * size)
    row = (w1 - w0) * C * size
    first, last = min(max(w0, 0), w1), max(min(w1, W), w0)
    for h in range(h0, h1):
        begin = (h - h0) * row
        if h < 0 or h >= H or last <= first:
            buffer[begin : begin + row] = 0
        else:
            left, right = begin + (first - w0) * C * size, begin + (last - w0) * C * size
            buffer[begin:left] = 0
            copy_block(size, 1, (last - first) * C, target + left, 0, x + (h * W + first) * C * size, 0, 1)
            buffer[right : begin + row] = 0
