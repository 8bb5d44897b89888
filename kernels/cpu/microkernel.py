"""The microkernel: one register tile, emitted as LLVM vector code, under every matrix product and convolution.

A tile holds `rows` × `columns` results in vector registers while three nested loops run past it:

    C[p, q] = relu(start[p, q] + Σ_i Σ_j Σ_l  A[i·a_i + j·a_j + l·a_l + p·a_row] · B[i·b_i + j·b_j + l·b_l + q])

Each element of A is broadcast to a vector, each row of B is loaded as vectors, and each pair of them costs one
fused multiply-add. All strides are free, so the same tile is

* a matrix product: the l loop runs over the shared dimension (`a_l`, `a_row` = A's strides, transposed or not);
* a convolution forward: i over kernel rows, j over kernel columns, l over channels, p over pixels or images;
* a weight gradient: i and j over output pixels, p over the contiguous (s, c) run of the input, q over output
  channels.

The order of each sum depends on the loops alone, never on the tile's shape: how rows and columns are cut into
tiles, or spread over threads, does not change a bit of the result.

The machine shows here, and in the tiles of `narrow`; elsewhere vectors are values (`vectors`). The fullest tile
fills the register file: 16 registers hold 6 · 2 sums, 2 vectors of B and a broadcast; 32 hold 14 · 2. Where the
columns need one vector only, it has twice the rows. Smaller row counts finish a panel; masked vectors finish a
row whose columns no width divides.

`panel_address` compiles the panel (a column of tiles) once per element type as a C function; compiled kernels
get its address as an argument and call it with `run_panel`. So no kernel that uses tiles compiles them again:
the tiles take most of a second, a kernel around them a third of that.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.cpu import host
from kernels.cpu.jit import compile_c_function

_WORD = ir.IntType(64)
_LANE = ir.IntType(32)

#: Rows of the fullest tile of two vectors: its sums, two vectors of B and one broadcast leave a register spare.
WIDE_ROWS = (host.vector_registers() - 4) // 2
#: Rows of the fullest tile of one vector.
TALL_ROWS = 2 * WIDE_ROWS
#: Steps of the inner loops at a time: their part of a panel of B stays in the first-level cache.
BLOCK_STEPS = 384

#: What a panel is called with. `a`, `b`, `c` and `start` are addresses; strides are in elements; a `start` of 0
#: means that sums start from zero. `start` = `c` with equal row strides accumulates, a row stride of 0 adds a bias.
OPERANDS = (
    "a", "b", "c", "start", "rows", "columns", "n_i", "n_j", "n_l",
    "a_i", "a_j", "a_l", "a_row", "b_i", "b_j", "b_l", "c_row", "start_row", "relu",
)  # fmt: skip


def tile_columns(itemsize: int) -> int:
    """How many columns, of elements of `itemsize` bytes, the widest tile has."""
    return 2 * host.vector_bits() // (8 * itemsize)


def row_counts(vectors: int) -> list[int]:
    """The row counts that exist for tiles of so many vectors, ascending."""
    if vectors == 2:
        return [*range(1, min(8, WIDE_ROWS)), WIDE_ROWS]
    return [*(1 << k for k in range(TALL_ROWS.bit_length()) if 1 << k < TALL_ROWS), TALL_ROWS]


@functools.cache
def next_rows(left: int, vectors: int) -> int:
    """How many rows the next tile should have when so many are left, for the least time in all."""
    return _cheapest_rows(left, vectors)[1]


@functools.cache
def _cheapest_rows(left: int, vectors: int) -> tuple[int, int]:
    """The cycles that `left` rows take per step of the inner loop, and the first tile's rows.

    Two multiply-adds start in a cycle and each takes four, so a tile of fewer than eight sums waits.
    """
    if left == 0:
        return 0, 0
    costs = (
        (max(8, count * vectors) + _cheapest_rows(left - count, vectors)[0], -count)
        for count in row_counts(vectors)
        if count <= left
    )
    cost, negative = min(costs)
    return cost, -negative


def panel_cycles(rows: int, vectors: int, steps: float, per_tile: float) -> float:
    """About how many cycles a panel of `rows` rows takes: `steps` of the inner loop, and so many more per tile."""
    fullest = row_counts(vectors)[-1]
    many = max(0, rows // fullest - 1)
    cycles = many * (fullest * vectors / 2 * steps + per_tile)
    left = rows - many * fullest
    while left > 0:
        count = next_rows(left, vectors)
        cycles += max(8, count * vectors) / 2 * steps + per_tile
        left -= count
    return cycles


class TileEmitter:
    """Writes the LLVM code of tiles, in the element type and vector width given.

    Args:
        builder: Where the code goes.
        element: The LLVM type of an element, float or double.
        bits: The vector width.
        operands: The values of `OPERANDS`, and `first`: the panel's row at which the tile begins.
    """

    def __init__(self, builder: ir.IRBuilder, element: ir.Type, bits: int, operands: dict[str, ir.Value]) -> None:
        self.builder = builder
        self.element = element
        self.bytes = 4 if isinstance(element, ir.FloatType) else 8
        self.lanes = bits // (8 * self.bytes)
        self.vector = ir.VectorType(element, self.lanes)
        self.zeros = ir.Constant(self.vector, [0.0] * self.lanes)
        self.operands = operands
        room = ir.ArrayType(element, TALL_ROWS * self.lanes)
        self.aside = builder.bitcast(cgutils.alloca_once(builder, room), element.as_pointer())

    def emit_choice(self) -> ir.Value:
        """The code that picks the tile for what is left of the panel, and runs it; returns the tile's rows."""
        builder, given = self.builder, self.operands
        left = builder.sub(given["rows"], given["first"])
        chosen = cgutils.alloca_once(builder, _WORD)
        builder.store(_WORD(0), chosen)
        one_vector = builder.icmp_signed("<=", given["columns"], _WORD(self.lanes))
        with builder.if_else(one_vector) as (tall, wide):
            with tall:
                self._emit_choice_of_rows(left, 1, chosen)
            with wide:
                self._emit_choice_of_rows(left, 2, chosen)
        rows = builder.load(chosen)
        pitch = builder.select(one_vector, _WORD(self.lanes), _WORD(2 * self.lanes))
        with builder.if_then(builder.icmp_signed("!=", given["columns"], pitch)):
            self._copy_out(rows, pitch)
        return rows

    def _emit_choice_of_rows(self, left: ir.Value, vectors: int, chosen: ir.Value) -> None:
        builder = self.builder
        fullest = row_counts(vectors)[-1]
        masked = builder.icmp_signed("<", self.operands["columns"], _WORD(vectors * self.lanes))
        end = builder.append_basic_block("tile.end")
        many = builder.icmp_signed(">=", left, _WORD(2 * fullest))
        switch = builder.switch(builder.select(many, _WORD(fullest), left), end)
        blocks = {rows: builder.append_basic_block(f"tile.{rows}x{vectors}") for rows in row_counts(vectors)}
        for case in range(1, 2 * fullest):
            switch.add_case(_WORD(case), blocks[next_rows(case, vectors)])
        for rows, block in blocks.items():
            builder.position_at_end(block)
            builder.store(_WORD(rows), chosen)
            with builder.if_else(masked) as (partial, whole):
                with partial:
                    self.emit_tile(rows, vectors, masked=True)
                with whole:
                    self.emit_tile(rows, vectors, masked=False)
            builder.branch(end)
        builder.position_at_end(end)

    # -- the tile -----------------------------------------------------------------------------------------

    def emit_tile(self, rows: int, vectors: int, masked: bool) -> None:
        """The code of one tile of `rows` × `vectors`, the last vector masked or not."""
        builder, given = self.builder, self.operands
        cells = [(p, v) for p in range(rows) for v in range(vectors)]
        column = [_WORD(v * self.lanes) for v in range(vectors)]
        row = [builder.add(given["first"], _WORD(p)) for p in range(rows)]
        last = self._lanes_below(builder.sub(given["columns"], column[-1])) if masked else None
        masks = [None] * (vectors - 1) + [last]
        sums = {cell: cgutils.alloca_once(builder, self.vector) for cell in cells}

        for cell in cells:
            builder.store(self.zeros, sums[cell])
        with builder.if_then(cgutils.is_not_null(builder, given["start"])):
            for p, v in cells:
                place = self._offset((row[p], given["start_row"]), column[v])
                builder.store(self._load(given["start"], place, masks[v]), sums[p, v])

        a_rows = [self._offset((row[p], given["a_row"])) for p in range(rows)]
        with self._loop(given["n_i"]) as i, self._loop(given["n_j"]) as j, self._loop(given["n_l"]) as k:
            b = self._offset((i, given["b_i"]), (j, given["b_j"]), (k, given["b_l"]))
            a = self._offset((i, given["a_i"]), (j, given["a_j"]), (k, given["a_l"]))
            b_vectors = [self._load(given["b"], builder.add(b, column[v]), masks[v]) for v in range(vectors)]
            for p in range(rows):
                element = self._pointer(given["a"], builder.add(a, a_rows[p]), self.element)
                broadcast = self._splat(builder.load(element))
                for v in range(vectors):
                    # fmuladd, not fma: a processor without the fused form multiplies, then adds.
                    factors = [broadcast, b_vectors[v], builder.load(sums[p, v])]
                    builder.store(self._call(f"llvm.fmuladd.{self._suffix}", self.vector, factors), sums[p, v])

        with builder.if_then(cgutils.is_not_null(builder, given["relu"])):
            for cell in cells:
                value = builder.load(sums[cell])
                # An ordered comparison: NaN is not below zero, and stays.
                negative = builder.fcmp_ordered("<", value, self.zeros)
                builder.store(builder.select(negative, self.zeros, value), sums[cell])
        for p, v in cells:
            if masked:  # on the way out through `_copy_out`
                target = self._aside(_WORD((p * vectors + v) * self.lanes), self.vector)
            else:
                target = self._pointer(given["c"], self._offset((row[p], given["c_row"]), column[v]), self.vector)
            builder.store(builder.load(sums[p, v]), target, align=self.bytes)

    def _copy_out(self, rows: ir.Value, pitch: ir.Value) -> None:
        """The code that writes to C a tile that was put aside because its rows end inside a vector.

        A row of 13 goes as 8 + 4 + 1. Masked stores would be simpler, but each takes an AVX2 machine as long as
        a dozen plain ones, and in the tiles themselves these pieces would be three quarters of the code.
        """
        builder, given = self.builder, self.operands
        place = cgutils.alloca_once(builder, _WORD)
        with self._loop(rows) as p:
            source = builder.mul(p, pitch)
            target = self._offset((builder.add(given["first"], p), given["c_row"]))
            builder.store(_WORD(0), place)
            for size in (self.lanes >> k for k in range(self.lanes.bit_length())):
                piece = ir.VectorType(self.element, size)
                with builder.if_then(cgutils.is_not_null(builder, builder.and_(given["columns"], _WORD(size)))):
                    column = builder.load(place)
                    value = builder.load(self._aside(builder.add(source, column), piece), align=self.bytes)
                    pointer = self._pointer(given["c"], builder.add(target, column), piece)
                    builder.store(value, pointer, align=self.bytes)
                    builder.store(builder.add(column, _WORD(size)), place)

    def _aside(self, elements: ir.Value, kind: ir.Type) -> ir.Value:
        """A pointer into the memory, on the stack, where a tile waits for `_copy_out`."""
        pointer = self.builder.gep(self.aside, [elements])
        return self.builder.bitcast(pointer, kind.as_pointer())

    # -- its parts ----------------------------------------------------------------------------------------

    @contextmanager
    def _loop(self, count: ir.Value) -> Iterator[ir.Value]:
        """A loop over `range(count)`; yields the index."""
        builder = self.builder
        head, body, end = (builder.append_basic_block(f"loop.{part}") for part in ("head", "body", "end"))
        before = builder.block
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(_WORD)
        builder.cbranch(builder.icmp_signed("<", index, count), body, end)
        builder.position_at_end(body)
        yield index
        following = builder.add(index, _WORD(1), flags=["nsw"])
        builder.branch(head).set_metadata("llvm.loop", self._not_unrolled())
        index.add_incoming(_WORD(0), before)
        index.add_incoming(following, builder.block)
        builder.position_at_end(end)

    def _not_unrolled(self) -> Any:
        """What tells LLVM to leave a loop rolled: a tile fills the pipeline as it is, and compiles faster."""
        module = self.builder.module
        rule = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
        loop = module.add_metadata([rule, _LANE(len(module.metadata))])
        loop.operands = (loop, rule)  # LLVM wants a loop's node to name itself
        return loop

    def _offset(self, *terms: ir.Value | tuple[ir.Value, ir.Value]) -> ir.Value:
        """The sum of the terms, a pair standing for its product."""
        total = _WORD(0)
        for term in terms:
            total = self.builder.add(total, self.builder.mul(*term) if isinstance(term, tuple) else term)
        return total

    def _pointer(self, address: ir.Value, elements: ir.Value, kind: ir.Type) -> ir.Value:
        base = self.builder.inttoptr(address, self.element.as_pointer())
        return self.builder.bitcast(self.builder.gep(base, [elements]), kind.as_pointer())

    def _splat(self, scalar: ir.Value) -> ir.Value:
        """A vector that holds the scalar in each lane."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, _LANE(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_LANE, self.lanes), None))

    def _lanes_below(self, count: ir.Value) -> ir.Value:
        """A mask of the lanes whose number is below `count`."""
        numbers = ir.Constant(ir.VectorType(_LANE, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", numbers, self._splat(self.builder.trunc(count, _LANE)))

    def _load(self, address: ir.Value, elements: ir.Value, mask: ir.Value | None) -> ir.Value:
        """A vector from memory; masked lanes are not read and hold zero."""
        pointer = self._pointer(address, elements, self.vector)
        if mask is None:
            return self.builder.load(pointer, align=self.bytes)
        arguments = [pointer, _LANE(self.bytes), mask, self.zeros]
        return self._call(f"llvm.masked.load.{self._suffix}.p0", self.vector, arguments)

    @property
    def _suffix(self) -> str:
        return f"v{self.lanes}f{8 * self.bytes}"

    def _call(self, name: str, result: ir.Type, arguments: list[ir.Value]) -> ir.Value:
        """Call an intrinsic of LLVM on vectors; llvmlite's own declarations know scalars only."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)


@intrinsic
def _tile(typing_context: Any, kind: Any, operands: Any, first: Any) -> Any:
    """Run the panel's next tile, from row `first` on; returns its rows, 0 at the panel's end."""
    element = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}[kind.dtype]

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        _, operands, first = arguments
        words = builder.bitcast(operands, _WORD.as_pointer())
        named = {name: builder.load(builder.gep(words, [_WORD(k)])) for k, name in enumerate(OPERANDS)}
        return TileEmitter(builder, element, host.vector_bits(), {**named, "first": first}).emit_choice()

    return types.int64(kind, operands, first), generate


def _panel(kind: Any, operands: Any) -> None:  # compiled
    """A panel, tile under tile. `kind` is never read: its type, a pointer, names the element type."""
    first, rows = 0, 1
    while rows > 0:
        rows = _tile(kind, operands, first)
        first += rows


@functools.cache
def panel_address(dtype: np.dtype[Any]) -> int:
    """The address of the compiled panel for float32 or float64, for kernels to give to `run_panel`."""
    element = {4: types.float32, 8: types.float64}[dtype.itemsize]
    return compile_c_function(_panel, types.void(types.CPointer(element), types.CPointer(types.int64)))


@intrinsic
def run_panel(typing_context: Any, address: Any, operands: Any) -> Any:
    """Call the compiled panel at `address` with the tuple of integers that `OPERANDS` names, in that order."""
    if len(operands) != len(OPERANDS):
        return None

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        address, operands = arguments
        table = cgutils.alloca_once(builder, ir.ArrayType(_WORD, len(OPERANDS)))
        values = zip(cgutils.unpack_tuple(builder, operands), signature.args[1], strict=True)
        for k, (value, kind) in enumerate(values):
            word = context.cast(builder, value, kind, types.int64)
            builder.store(word, cgutils.gep_inbounds(builder, table, 0, k))
        pointer = _WORD.as_pointer()
        function = ir.FunctionType(ir.VoidType(), [pointer, pointer]).as_pointer()
        builder.call(builder.inttoptr(address, function), [pointer(None), builder.bitcast(table, pointer)])
        return context.get_dummy_value()

    return types.void(address, operands), generate
