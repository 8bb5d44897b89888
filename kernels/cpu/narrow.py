"""Correlation with few outputs per pixel: the input gradient of a first layer, a last layer's scores.

With lanes over output channels, as `direct` has them, most lanes would hold nothing. So lanes run over the input
channels here: a tile keeps one vector of partial sums for each of its pixels and outputs, and adds up the lanes at the
end. (The gradient of one input channel under 5×5 windows takes a sixth of the time.)
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

_MOST_OUTPUTS = 4
_WORD = ir.IntType(64)


def _tile(pixels: int, outputs: int) -> Any:
    """Compiled code for a tile of pixels p and outputs o.

        y[to + p · y_p + o] = max(shift[o] + Σ_r Σ_s Σ_c x[at + r · x_r + s · x_s + p · x_p + c] · w[o, r, s, c], least)

    The weight's rows are filled with zeros up to whole vectors.
    """

    @intrinsic
    def tile(
        typing_context: Any, x: Any, at: Any, x_r: Any, x_s: Any, x_p: Any, w: Any, R: Any, S: Any, C: Any,
        y: Any, to: Any, y_p: Any, shift: Any, least: Any,
    ) -> Any:  # fmt: skip
        kind, word = Vector(x.dtype), types.int64
        result = types.void(x, word, word, word, word, w, word, word, word, y, word, word, shift, x.dtype)

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: list[ir.Value]) -> ir.Value:
            _, at, x_r, x_s, x_p, _, R, S, C, _, to, y_p, _, least = arguments

            def address(array: int, index: ir.Value, count: int = kind.lanes) -> ir.Value:
                return pointer_code(context, builder, signature.args[array], arguments[array], index, count)

            def element(array: int, index: ir.Value) -> ir.Value:
                pointer = address(array, index, 1)
                return builder.bitcast(pointer, pointer.type.pointee.element.as_pointer())

            align = kind.element.bitwidth // 8
            vectors = builder.sdiv(builder.add(C, _WORD(kind.lanes - 1)), _WORD(kind.lanes))
            pitch = builder.mul(vectors, _WORD(kind.lanes))
            whole = builder.sdiv(C, _WORD(kind.lanes))
            plane = builder.mul(builder.mul(R, S), pitch)
            vector = context.get_value_type(kind)
            suffix = f"v{kind.lanes}f{8 * align}"
            zeros = ir.Constant(vector, [0.0] * kind.lanes)
            sums = {(p, o): cgutils.alloca_once(builder, vector) for p in range(pixels) for o in range(outputs)}
            for place in sums.values():
                builder.store(zeros, place)

            def add(x_index: ir.Value, w_index: ir.Value, count: ir.Value | None) -> None:
                rows = [
                    builder.load(address(5, builder.add(w_index, builder.mul(plane, _WORD(o)))), align=align)
                    for o in range(outputs)
                ]
                for p in range(pixels):
                    pointer = address(0, builder.add(x_index, builder.mul(x_p, _WORD(p))))
                    if count is None:
                        values = builder.load(pointer, align=align)
                    else:
                        values = load_code(builder, types.int64, count, kind, pointer)
                    for o in range(outputs):
                        factors = [values, rows[o], builder.load(sums[p, o])]
                        builder.store(call_code(builder, f"llvm.fmuladd.{suffix}", vector, factors), sums[p, o])

            with cgutils.for_range(builder, R) as r, cgutils.for_range(builder, S) as s:
                tap = builder.mul(builder.add(builder.mul(r.index, S), s.index), pitch)
                start = builder.add(at, builder.add(builder.mul(r.index, x_r), builder.mul(s.index, x_s)))
                with cgutils.for_range(builder, whole) as v:
                    offset = builder.mul(v.index, _WORD(kind.lanes))
                    add(builder.add(start, offset), builder.add(tap, offset), None)
                done = builder.mul(whole, _WORD(kind.lanes))
                with builder.if_then(builder.icmp_signed("<", done, C)):
                    add(builder.add(start, done), builder.add(tap, done), builder.sub(C, done))

            for (p, o), place in sums.items():
                value = _lanes_added(builder, builder.load(place))
                value = builder.fadd(value, builder.load(element(12, _WORD(o))))
                value = builder.select(builder.fcmp_ordered("<", value, least), least, value)
                index = builder.add(to, builder.add(builder.mul(y_p, _WORD(p)), _WORD(o)))
                builder.store(value, element(9, index))
            return context.get_dummy_value()

        return result, generate

    return tile


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


#: Pixels of a tile by its outputs: as many sums as leave registers for a weight each and a pixel.
_PIXELS = (0, 8, 6, 4, 3)
_tile_1, _tile_2, _tile_3, _tile_4 = (_tile(_PIXELS[outputs], outputs) for outputs in range(1, 5))
_pixel_1, _pixel_2, _pixel_3, _pixel_4 = (_tile(1, outputs) for outputs in range(1, 5))


def takes(C: int, K: int, itemsize: int) -> bool:
    """Whether a correlation from C to K channels belongs here: few outputs, and inputs enough for the lanes."""
    return K <= _MOST_OUTPUTS and tile_columns(itemsize) <= 4 * C


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
    x: Array, packed: Array, shift: Array, numbers: tuple[int, ...], relu: int, scratch: int, task: int
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
    pixels = _PIXELS[K]
    for p in range(p0, p1):
        row, to = (p - p0) * SH * columns * C, p * y_row
        # The last tile of a row begins sooner, and computes some pixels again; a row shorter than a tile goes singly.
        step = pixels if pixels <= Q else 1
        for first in range(0, Q, step):
            q = min(first, Q - step)
            at, there = row + q * x_p, to + q * y_pixel
            if step == 1:
                if K == 1:
                    _pixel_1(source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, shift, least)
                elif K == 2:
                    _pixel_2(source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, shift, least)
                elif K == 3:
                    _pixel_3(source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, shift, least)
                else:
                    _pixel_4(source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, shift, least)
            elif K == 1:
                _tile_1(source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, shift, least)
            elif K == 2:
                _tile_2(source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, shift, least)
            elif K == 3:
                _tile_3(source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, shift, least)
            else:
                _tile_4(source, at, x_r, x_s, x_p, weight, R, taps, run, target, there, y_pixel, shift, least)
