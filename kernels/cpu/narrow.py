"""Correlation with few outputs per pixel: the input gradient of a first layer, a last layer's scores.

With lanes over output channels, as `direct` has them, most lanes would hold nothing. So lanes run over the input
channels here: a tile keeps one vector of partial sums for each of its pixels and outputs, and adds up the lanes at the
end.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.cpu.blocks import copy_with_border
from kernels.cpu.microkernel import tile_columns
from kernels.cpu.rows import memory_at, row_kernel
from kernels.cpu.vectors import Vector, call_code, load_code, pointer_code
from kernels.types import Array

_WORD = ir.IntType(64)

#: Pixels of a tile with 1, 2, … outputs: as many sums as leave registers for a weight each and a pixel.
_PIXELS = (8, 6, 4, 3, 2, 2)


@intrinsic
def _tile(
    typing_context: Any, is_whole: Any, K: Any, x: Any, at: Any, x_r: Any, x_s: Any, x_p: Any, w: Any, R: Any, S: Any,
    C: Any, y: Any, to: Any, y_p: Any, bias: Any, least: Any,
) -> Any:  # fmt: skip
    """Compute one tile: for its pixels p (one, or as `_PIXELS` says if it is whole) and its outputs k < K.

        y[to + p·y_p + k] = max(bias[k] + Σ_r Σ_s Σ_c x[at + r·x_r + s·x_s + p·x_p + c] · w[k, r, s, c], least).

    The weight's rows are filled with zeros up to whole vectors.
    """
    word = types.int64
    result = types.void(
        types.boolean, word, x, word, word, word, word, w, word, word, word, y, word, word, bias, x.dtype
    )

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
        names = ("x", "at", "x_r", "x_s", "x_p", "w", "R", "S", "C", "y", "to", "y_p", "bias", "least")
        is_whole, K, *others = arguments
        operands = dict(zip(names, others, strict=True))
        kinds = dict(zip(names, signature.args[2:], strict=True))
        for outputs, pixels in enumerate(_PIXELS, start=1):
            is_this = builder.icmp_signed("==", K, _WORD(outputs))
            with builder.if_then(is_this), builder.if_else(is_whole) as (several, one):
                with several:
                    _emit_tile(context, builder, kinds, operands, pixels, outputs)
                with one:
                    _emit_tile(context, builder, kinds, operands, 1, outputs)
        return context.get_dummy_value()

    return result, generate


def _emit_tile(
    context: Any,
    builder: ir.IRBuilder,
    kinds: dict[str, types.Type],
    operands: dict[str, ir.Value],
    pixels: int,
    outputs: int,
) -> None:
    """The code of a tile of so many pixels and outputs: a vector of partial sums for each pair of them."""
    given, kind = operands, Vector(kinds["x"].dtype)
    vector, align = context.get_value_type(kind), kind.element.bitwidth // 8
    suffix = f"v{kind.lanes}f{8 * align}"

    def address(array: str, index: ir.Value) -> ir.Value:
        return pointer_code(context, builder, kinds[array], given[array], index, kind.lanes)

    def element(array: str, index: ir.Value) -> ir.Value:
        return builder.bitcast(address(array, index), vector.element.as_pointer())

    vectors = builder.sdiv(builder.add(given["C"], _WORD(kind.lanes - 1)), _WORD(kind.lanes))
    pitch = builder.mul(vectors, _WORD(kind.lanes))
    plane = builder.mul(builder.mul(given["R"], given["S"]), pitch)
    whole = builder.sdiv(given["C"], _WORD(kind.lanes))
    sums = {(p, k): cgutils.alloca_once(builder, vector) for p in range(pixels) for k in range(outputs)}
    for place in sums.values():
        builder.store(ir.Constant(vector, [0.0] * kind.lanes), place)

    def add(x_index: ir.Value, w_index: ir.Value, counted: types.Type, count: ir.Value) -> None:
        def pixel(p: int) -> ir.Value:
            pointer = address("x", builder.add(x_index, builder.mul(given["x_p"], _WORD(p))))
            return load_code(builder, counted, count, kind, pointer)

        def weight(k: int) -> ir.Value:
            return builder.load(address("w", builder.add(w_index, builder.mul(plane, _WORD(k)))), align=align)

        # The fewer stay in registers while the others pass.
        if pixels < outputs:
            values = [pixel(p) for p in range(pixels)]
            products = [
                (p, k, values[p], factor) for k in range(outputs) for factor in [weight(k)] for p in range(pixels)
            ]
        else:
            weights = [weight(k) for k in range(outputs)]
            products = [
                (p, k, value, weights[k]) for p in range(pixels) for value in [pixel(p)] for k in range(outputs)
            ]
        for p, k, value, factor in products:
            factors = [value, factor, builder.load(sums[p, k])]
            builder.store(call_code(builder, f"llvm.fmuladd.{suffix}", vector, factors), sums[p, k])

    with cgutils.for_range(builder, given["R"]) as r, cgutils.for_range(builder, given["S"]) as s:
        tap = builder.mul(builder.add(builder.mul(r.index, given["S"]), s.index), pitch)
        steps = builder.add(builder.mul(r.index, given["x_r"]), builder.mul(s.index, given["x_s"]))
        start = builder.add(given["at"], steps)
        with cgutils.for_range(builder, whole) as v:
            offset = builder.mul(v.index, _WORD(kind.lanes))
            add(builder.add(start, offset), builder.add(tap, offset), types.none, _WORD(0))
        done = builder.mul(whole, _WORD(kind.lanes))
        with builder.if_then(builder.icmp_signed("<", done, given["C"])):
            rest = builder.sub(given["C"], done)
            add(builder.add(start, done), builder.add(tap, done), types.int64, rest)

    for (p, k), place in sums.items():
        value = _lanes_added(builder, builder.load(place))
        value = builder.fadd(value, builder.load(element("bias", _WORD(k))))
        value = builder.select(builder.fcmp_ordered("<", value, given["least"]), given["least"], value)
        index = builder.add(given["to"], builder.add(builder.mul(given["y_p"], _WORD(p)), _WORD(k)))
        builder.store(value, element("y", index))


def _lanes_added(builder: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """The sum of a vector's lanes, by halves."""
    lane = ir.IntType(32)
    width = vector.type.count
    while width > 1:
        width //= 2
        for_halves = [ir.Constant(ir.VectorType(lane, width), list(range(k, k + width))) for k in (0, width)]
        low, high = (builder.shuffle_vector(vector, vector, half) for half in for_halves)
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, lane(0))


def takes(C: int, K: int, itemsize: int) -> bool:
    """Whether a correlation from C to K channels belongs here: few outputs, and inputs enough for the lanes."""
    return len(_PIXELS) >= K and tile_columns(itemsize) <= 4 * C


def pack(weight: Array, dilation: int) -> Array:
    """The weight (K, C, R, S) as [K, R, S, C], each row of channels filled up to whole vectors with zeros.

    Where the taps of a row lie side by side (dilation 1), they and their channels are one row: [K, R, 1, S · C].
    """
    K, C, R, S = weight.shape
    rows = weight.transpose(0, 2, 3, 1).reshape((K, R, 1, S * C) if dilation == 1 else (K, R, S, C))
    lanes = tile_columns(weight.itemsize) // 2
    packed = np.zeros((*rows.shape[:3], -(-rows.shape[3] // lanes) * lanes), weight.dtype)
    packed[..., : rows.shape[3]] = rows
    return packed


@row_kernel
def correlate_band(
    x: Array, packed: Array, bias: Array, numbers: tuple[int, ...], relu: int, scratch: int, task: int
) -> None:
    """One band of output rows of one image: reads x once, and again from cache; writes y once.

    `numbers` are address and strides of y (in elements), P, Q, S, stride, dilation, padding before, rows per band,
    bands and the size of an element.
    """
    _, H, W, C = x.shape
    K, R, taps, _ = packed.shape
    y, y_image, y_row, y_pixel, P, Q, S, SH, SW, DH, DW, top, left, band, bands, size = numbers
    image, part = task // bands, task % bands
    p0, p1 = part * band, min((part + 1) * band, P)
    h0, h1 = p0 * SH - top, (p1 - 1) * SH - top + (R - 1) * DH + 1
    w0, w1 = -left, (Q - 1) * SW - left + (S - 1) * DW + 1
    here = np.int64(x.ctypes.data) + image * H * W * C * size
    rows, columns = H, W
    if h0 >= 0 and h1 <= H and w0 >= 0 and w1 <= W:
        here += (h0 * W + w0) * C * size
    else:
        copy_with_border(size, here, H, W, C, h0, h1, w0, w1, scratch)
        here, rows, columns = scratch, h1 - h0, w1 - w0
    source = memory_at(x, here, rows * columns * C)
    target, weight = memory_at(x, y + image * y_image * size, P * y_row), packed.reshape(-1)
    least = x.dtype.type(0 if relu else -np.inf)
    x_r, x_s, x_p = DH * columns * C, DW * C, SW * C
    run = S * C if taps == 1 else C
    pixels = _PIXELS[K - 1]
    for p in range(p0, p1):
        row, to = (p - p0) * SH * columns * C, p * y_row
        # The last tile of a row begins sooner, and computes some pixels again; a row shorter than a tile goes singly.
        step = pixels if pixels <= Q else 1
        for first in range(0, Q, step):
            q = min(first, Q - step)
            at, there = row + q * x_p, to + q * y_pixel
            _tile(
                step > 1, K, source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, bias, least
            )  # fmt: skip
