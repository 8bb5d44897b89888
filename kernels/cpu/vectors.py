"""Vectors as values in compiled code: `a = load(x, i)`, `store(y, i, a * b + c)`, one machine instruction each.

Loops over channels are written with them where the compiler does not find the vectors itself: transforms with a dozen
arrays in flight, results that shall stay in registers while a window moves, and lengths that no width divides.

A vector holds as many elements as the host's vector width has room for (`lanes`). Places in arrays are flat indices
of a C-contiguous array. Where `count` is given, only the first `count` elements are read (the other lanes are
zero) or written, so that no channel count is special; None stands for all.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, lower_builtin, register_model, type_callable

from kernels.cpu import host

#: Products and sums may become fused multiply-adds; nothing is assumed of NaN and infinity.
FLAGS = ("contract", "nsz")
_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)
_BIT = ir.IntType(1)
#: Registers of a wide vector: two for each of a window's results leave enough of sixteen.
WIDE = 2


class Vector(types.Type):  # type: ignore[misc]  # Numba has no type hints
    """As many elements of a float type as fit into the host's vector width, or into several such registers."""

    def __init__(self, element: types.Type, registers: int = 1) -> None:
        self.element = element
        self.lanes = registers * host.vector_bits() // element.bitwidth
        super().__init__(f"Vector({element} x {self.lanes})")


class Mask(types.Type):  # type: ignore[misc]
    """What comparing two vectors gives: one bit for each lane."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(f"Mask({lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(_element(kind.element), kind.lanes))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Mask) -> None:
        super().__init__(manager, kind, ir.VectorType(_BIT, kind.lanes))


def _like(kind: types.Type) -> Vector:
    """The vector type itself, or that of an array's elements."""
    return kind if isinstance(kind, Vector) else Vector(kind.dtype)


def _element(kind: types.Type) -> ir.Type:
    if isinstance(kind, types.Float):
        return ir.FloatType() if kind.bitwidth == 32 else ir.DoubleType()
    return ir.IntType(kind.bitwidth)


# -- memory -------------------------------------------------------------------------------------------------------


@intrinsic
def lanes(typing_context: Any, x: Any) -> Any:
    """How many elements of x's type a vector holds: a constant of the compiled code."""
    number = host.vector_bits() // x.dtype.bitwidth
    return types.int64(x), lambda context, builder, signature, arguments: _INDEX(number)


@intrinsic
def wide_lanes(typing_context: Any, x: Any) -> Any:
    """The same of a wide vector, which takes `WIDE` registers."""
    number = WIDE * host.vector_bits() // x.dtype.bitwidth
    return types.int64(x), lambda context, builder, signature, arguments: _INDEX(number)


@intrinsic
def load(typing_context: Any, x: Any, index: Any) -> Any:
    """As many elements as a vector holds, from x[index] on."""
    kind = Vector(x.dtype)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        pointer = pointer_code(context, builder, signature.args[0], arguments[0], arguments[1], kind.lanes)
        return builder.load(pointer, align=kind.element.bitwidth // 8)

    return kind(x, types.int64), generate


@intrinsic
def load_wide(typing_context: Any, x: Any, index: Any) -> Any:
    """The same for a wide vector, one value in `WIDE` registers: a loop's own instructions then count for less."""
    kind = Vector(x.dtype, WIDE)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        pointer = pointer_code(context, builder, signature.args[0], arguments[0], arguments[1], kind.lanes)
        return builder.load(pointer, align=kind.element.bitwidth // 8)

    return kind(x, types.int64), generate


@intrinsic
def load_first(typing_context: Any, x: Any, index: Any, count: Any) -> Any:
    """The same for the first `count` lanes; the others hold zero."""
    kind = Vector(x.dtype)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        array, index, count = arguments
        pointer = pointer_code(context, builder, signature.args[0], array, index, kind.lanes)
        return load_code(builder, signature.args[2], count, kind, pointer)

    return kind(x, types.int64, _counted(count)), generate


def _counted(count: types.Type) -> types.Type:
    """How a count is passed: None needs no code for a part of a vector."""
    return count if isinstance(count, types.NoneType) else types.int64


def load_code(builder: ir.IRBuilder, counted: types.Type, count: ir.Value, kind: Vector, pointer: ir.Value) -> ir.Value:
    """A whole load where the count allows: a masked one takes longer."""
    align = kind.element.bitwidth // 8
    if isinstance(counted, types.NoneType):
        return builder.load(pointer, align=align)
    vector = pointer.type.pointee
    result = cgutils.alloca_once(builder, vector)
    with builder.if_else(builder.icmp_signed(">=", count, _INDEX(kind.lanes)), likely=True) as (whole, part):
        with whole:
            builder.store(builder.load(pointer, align=align), result)
        with part:
            numbers = ir.Constant(ir.VectorType(_LANE, kind.lanes), list(range(kind.lanes)))
            mask = builder.icmp_signed("<", numbers, _splat(builder, builder.trunc(count, _LANE), kind.lanes))
            zeros = ir.Constant(vector, [0.0] * kind.lanes)
            name = f"llvm.masked.load.v{kind.lanes}f{8 * align}.p0"
            builder.store(call_code(builder, name, vector, [pointer, _LANE(align), mask, zeros]), result)
    return builder.load(result)


@intrinsic
def load_as(typing_context: Any, like: Any, x: Any, index: Any, count: Any) -> Any:
    """The first `count` elements of x from `index` on as a vector of `like`'s kind, an array's or a vector's.

    What x holds are the same floats, or small unsigned integers, which become floats.
    """
    kind = _like(like)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        _, array, index, count = arguments
        pointer = pointer_code(context, builder, signature.args[1], array, index, kind.lanes)
        if isinstance(signature.args[1].dtype, types.Float):
            return load_code(builder, signature.args[3], count, kind, pointer)
        integers, floats = pointer.type.pointee, ir.VectorType(_element(kind.element), kind.lanes)
        if isinstance(signature.args[3], types.NoneType):
            return builder.uitofp(builder.load(pointer, align=1), floats)
        read = cgutils.alloca_once_value(builder, ir.Constant(integers, [0] * kind.lanes))
        with builder.if_else(builder.icmp_signed(">=", count, _INDEX(kind.lanes)), likely=True) as (whole, part):
            with whole:
                builder.store(builder.load(pointer, align=1), read)
            with part:
                first = builder.bitcast(pointer, integers.element.as_pointer())
                target = builder.bitcast(read, integers.element.as_pointer())
                with cgutils.for_range(builder, count) as loop:
                    builder.store(builder.load(builder.gep(first, [loop.index])), builder.gep(target, [loop.index]))
        return builder.uitofp(builder.load(read), floats)

    return kind(like, x, types.int64, _counted(count)), generate


@intrinsic
def store(typing_context: Any, x: Any, index: Any, vector: Any) -> Any:
    """Write the vector to x[index], x[index + 1], …, as x's type: an array of integers gets them as integers."""
    kind = vector

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        array, index, value = arguments
        pointer = pointer_code(context, builder, signature.args[0], array, index, kind.lanes)
        value = _converted(builder, value, pointer.type.pointee)
        builder.store(value, pointer, align=signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(x, types.int64, vector), generate


def _prefetch(to_write: bool) -> Any:
    """Fetch the cache line of x[index], which may lie outside x, before it is read, or written."""

    @intrinsic
    def prefetch(typing_context: Any, x: Any, index: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
            how = [_LANE(int(to_write)), _LANE(3), _LANE(1)]  # whether to write; into the first level; of data
            call_code(builder, "llvm.prefetch.p0", ir.VoidType(), [place, *how])
            return context.get_dummy_value()

        return types.void(x, types.int64), generate

    return prefetch


prefetch, prefetch_to_write = _prefetch(False), _prefetch(True)


def _copy(count: int) -> Any:
    """target[to + k] = source[at + k] for k < count. Short runs go faster in such pieces than in vectors."""

    @intrinsic
    def copy(typing_context: Any, target: Any, to: Any, source: Any, at: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
            there, here = _pieces(context, builder, signature, arguments, count)
            align = signature.args[0].dtype.bitwidth // 8
            builder.store(builder.load(here, align=align), there, align=align)
            return context.get_dummy_value()

        return types.void(target, types.int64, source, types.int64), generate

    return copy


copy_one, copy_four = _copy(1), _copy(4)


@intrinsic
def add_four(typing_context: Any, target: Any, to: Any, source: Any, at: Any, count: Any) -> Any:
    """target[to + k] += source[at + k] for k < count ≤ 4; reads and writes four, but the rest of target stays."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        there, here = _pieces(context, builder, signature, arguments, 4)
        align = signature.args[0].dtype.bitwidth // 8
        numbers = ir.Constant(ir.VectorType(_LANE, 4), list(range(4)))
        mask = builder.icmp_signed("<", numbers, _splat(builder, builder.trunc(arguments[4], _LANE), 4))
        zeros = ir.Constant(there.type.pointee, [0.0] * 4)
        more = builder.select(mask, builder.load(here, align=align), zeros)
        builder.store(builder.fadd(builder.load(there, align=align), more), there, align=align)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


def _pieces(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value], count: int
) -> tuple[ir.Value, ir.Value]:
    target, to, source, at = arguments[:4]
    there = pointer_code(context, builder, signature.args[0], target, to, count)
    return there, pointer_code(context, builder, signature.args[2], source, at, count)


@intrinsic
def store_first(typing_context: Any, x: Any, index: Any, count: Any, vector: Any) -> Any:
    """The same for the first `count` lanes. What no width divides goes in pieces of 4, 2 and 1: faster than a mask."""
    kind = vector

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        array, index, count, value = arguments
        pointer = pointer_code(context, builder, signature.args[0], array, index, kind.lanes)
        value = _converted(builder, value, pointer.type.pointee)
        align = signature.args[0].dtype.bitwidth // 8
        if isinstance(signature.args[2], types.NoneType):
            builder.store(value, pointer, align=align)
            return context.get_dummy_value()
        with builder.if_else(builder.icmp_signed(">=", count, _INDEX(kind.lanes)), likely=True) as (whole, part):
            with whole:
                builder.store(value, pointer, align=align)
            with part:
                _store_pieces(builder, value, pointer, count, align)
        return context.get_dummy_value()

    return types.void(x, types.int64, _counted(count), vector), generate


def _store_pieces(builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value, count: ir.Value, align: int) -> None:
    element, width = value.type.element, value.type.count
    aside = cgutils.alloca_once_value(builder, value)
    source = builder.bitcast(aside, element.as_pointer())
    target = builder.bitcast(pointer, element.as_pointer())
    place = cgutils.alloca_once_value(builder, _INDEX(0))
    piece = width // 2
    while piece:
        kind = (element if piece == 1 else ir.VectorType(element, piece)).as_pointer()
        with builder.if_then(cgutils.is_not_null(builder, builder.and_(count, _INDEX(piece)))):
            at = builder.load(place)
            part = builder.load(builder.bitcast(builder.gep(source, [at]), kind), align=align)
            builder.store(part, builder.bitcast(builder.gep(target, [at]), kind), align=align)
            builder.store(builder.add(at, _INDEX(piece)), place)
        piece //= 2


def pointer_code(
    context: Any, builder: ir.IRBuilder, kind: types.Array, array: ir.Value, index: ir.Value, count: int
) -> ir.Value:
    """Where `count` elements from `index` on lie."""
    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(data.type.pointee, count)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _converted(builder: ir.IRBuilder, value: ir.Value, kind: ir.Type) -> ir.Value:
    return builder.fptoui(value, kind) if isinstance(kind.element, ir.IntType) else value


def _splat(builder: ir.IRBuilder, scalar: ir.Value, count: int) -> ir.Value:
    undefined = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    first = builder.insert_element(undefined, scalar, _LANE(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_LANE, count), None))


def call_code(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Value]) -> ir.Value:
    """A call of an intrinsic of LLVM on vectors; llvmlite's own declarations know scalars only."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


# -- loops --------------------------------------------------------------------------------------------------------


@intrinsic
def short_loop(typing_context: Any) -> Any:
    """Said in a loop's body: it runs a few times only, so it is not to be unrolled. Emits no instruction.

    Unrolled, a loop over the taps of a window would do most of its work in the remainder, and take longer to compile.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        nothing = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "", True)
        builder.call(nothing, [], attrs=("convergent", "nounwind"))
        return context.get_dummy_value()

    return types.void(), generate


# -- arithmetic ---------------------------------------------------------------------------------------------------


@intrinsic
def broadcast(typing_context: Any, x: Any, value: Any) -> Any:
    """A vector of x's kind, an array's or a vector's, with the number `value` in every lane."""
    kind = _like(x)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        scalar = context.cast(builder, arguments[1], signature.args[1], kind.element)
        return _splat(builder, scalar, kind.lanes)

    return kind(x, value), generate


@intrinsic
def broadcast_wide(typing_context: Any, x: Any, value: Any) -> Any:
    """The same for a wide vector."""
    kind = Vector(x.dtype, WIDE)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        return _splat(builder, context.cast(builder, arguments[1], signature.args[1], kind.element), kind.lanes)

    return kind(x, value), generate


@intrinsic
def multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """The sum a · b + c, rounded once where the host has the instruction."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        name = f"llvm.fmuladd.v{a.lanes}f{a.element.bitwidth}"
        return call_code(builder, name, arguments[0].type, arguments)

    return a(a, a, a), generate


@intrinsic
def select(typing_context: Any, mask: Any, a: Any, b: Any) -> Any:
    """The lanes of a where the mask is set, those of b elsewhere."""
    return a(mask, a, a), lambda context, builder, signature, arguments: builder.select(*arguments)


@intrinsic
def exceeds(typing_context: Any, a: Any, b: Any) -> Any:
    """Where a > b, or a is NaN and b is not: the order in which a maximum looks, so that the first NaN wins."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        a, b = arguments
        return builder.and_(builder.fcmp_unordered(">", a, b), builder.fcmp_ordered("ord", b, b))

    return Mask(a.lanes)(a, a), generate


def _binary(function: Callable[..., Any], method: str) -> None:
    @type_callable(function)
    def typing(context: Any) -> Any:
        def typer(a: Any, b: Any) -> Any:
            return a if isinstance(a, Vector) and a == b else None

        return typer

    @lower_builtin(function, Vector, Vector)
    def lower(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        return getattr(builder, method)(*arguments, flags=FLAGS)


for _functions, _method in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _function in _functions:
        _binary(_function, _method)


def _comparison(function: Callable[..., Any], symbol: str) -> None:
    @type_callable(function)
    def typing(context: Any) -> Any:
        def typer(a: Any, b: Any) -> Any:
            return Mask(a.lanes) if isinstance(a, Vector) and a == b else None

        return typer

    @lower_builtin(function, Vector, Vector)
    def lower(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        return builder.fcmp_ordered(symbol, *arguments)


for _function, _symbol in ((operator.lt, "<"), (operator.gt, ">"), (operator.eq, "==")):
    _comparison(_function, _symbol)
