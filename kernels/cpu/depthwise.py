"""Convolution with one input channel in each group, computed directly: no columns, no matrix product.

The vector lanes run over the channels, and a few output pixels of a row share each load of the weight:

    y[n, p, q, k] = Σ_r Σ_s  x[n, p·SH + r·DH - top, q·SW + s·DW - left, k] · w[r, s, k]

The input gradient is the same correlation of dy with the weight turned round, one for each phase of the stride (see
`direct`). Where a group has several outputs, output channel k reads input channel k // multiplier: then each input
channel is written out as often before, and its gradients are added up after.

Blocks are NHWC in and out. Sums are formed in one order per element, whatever the number of threads.
"""

import functools
from typing import Any

import numpy as np

from kernels.cpu import memory
from kernels.cpu.arrays import Numbers, compact, numbers, outputs_inside
from kernels.cpu.direct import phases
from kernels.cpu.jit import jit
from kernels.cpu.rows import row_kernel
from kernels.cpu.taps import FAR_BYTES, Sizes, flat, taps_inside
from kernels.cpu.vectors import (
    broadcast,
    broadcast_wide,
    lanes,
    load_as,
    load_first,
    load_wide,
    multiply_add,
    prefetch,
    prefetch_to_write,
    select,
    short_loop,
    store,
    store_first,
    wide_lanes,
)
from kernels.geometry import Window
from kernels.types import Array

#: Output pixels whose sums stay in registers together.
_PIXELS = 4
#: Taps whose weight gradients stay in registers together.
_TAPS = 3
#: Parts of the batch, each with a weight gradient of its own: at most so many, and so many times fewer than the
#: input has elements for each of the weight.
_MOST_PARTS, _LEAST_WORK = 16, 4


def forward(x: Array, weight: Array, window: Window, bias: Array | None, relu: bool) -> Array:
    """Convolve x [N, H, W, C] with weight [K, 1, R, S] and bias [K] → y [N, OH, OW, K].

    Reads x once from memory, writes y once.
    """
    K = len(weight)
    x = _repeated(x, K)
    y = memory.empty((len(x), *window.output_size, K), x.dtype)
    bias = np.zeros(K, x.dtype) if bias is None else bias
    _correlate(x, weight, y, (0, 0), (1, 1), numbers(window)[2:], bias, relu)
    return y


def input_grad(dy: Array, weight: Array, C: int, window: Window) -> Array:
    """From dy [N, OH, OW, K] and weight [K, 1, R, S] → dx [N, H, W, C].

    Reads dy once from memory for each phase of the stride, writes dx once.
    """
    K, _, R, S = weight.shape
    H, W = window.input_size
    (SH, SW), (DH, DW) = window.stride, window.dilation
    dx = memory.empty((len(dy), H, W, K), dy.dtype)
    bias = np.zeros(K, dy.dtype)
    for phase_h, (taps_h, dilation_h, top) in enumerate(phases(R, SH, DH, window.top)):
        for phase_w, (taps_w, dilation_w, left) in enumerate(phases(S, SW, DW, window.left)):
            part = weight[:, :, taps_h, taps_w][:, :, ::-1, ::-1]
            steps = (1, 1, top, left, dilation_h, dilation_w)
            _correlate(dy, part, dx, (phase_h, phase_w), (SH, SW), steps, bias, False)
    if C == K:
        return dx
    return np.add.reduce(dx.reshape(*dx.shape[:3], C, K // C), axis=4)


def weight_grad(x: Array, dy: Array, window: Window) -> Array:
    """From x [N, H, W, C] and dy [N, OH, OW, K] → dW [K, R, S, 1]; both are read once from memory."""
    K = dy.shape[3]
    x = _repeated(x, K)
    rows = len(x) * window.output_size[0]
    parts = max(1, min(rows, _MOST_PARTS, x.size // (_LEAST_WORK * window.cells * K)))
    sums = memory.zeros((parts, window.cells * K), x.dtype)
    sizes = (*window.input_size, K, *window.output_size)
    _weight_grad(parts, flat(x), flat(dy), flat(sums), sizes, parts, rows, _column_outputs(window), numbers(window))
    total = sums[0] if parts == 1 else np.add.reduce(sums, axis=0)
    return np.ascontiguousarray(total.reshape(window.cells, K).T).reshape(K, *window.kernel_size, 1)


@functools.lru_cache(maxsize=1024)
def _column_outputs(window: Window) -> Array:
    """For each column of the window, the range of outputs for which it lies inside the input: (S, 2)."""
    (_, W), (_, OW), (_, S) = window.input_size, window.output_size, window.kernel_size
    (_, step), (_, dilation) = window.stride, window.dilation
    return np.array([outputs_inside(s * dilation - window.left, step, W, OW) for s in range(S)], np.int64)


def _repeated(x: Array, K: int) -> Array:
    """Each channel as often as it has outputs: [N, H, W, C] → [N, H, W, K]."""
    return x if x.shape[3] == K else np.repeat(x, K // x.shape[3], axis=3)


def _correlate(
    x: Array,
    weight: Array,
    y: Array,
    first: tuple[int, int],
    every: tuple[int, int],
    steps: tuple[int, ...],
    bias: Array,
    relu: bool,
) -> None:
    """The correlation at the head of this file, plus the bias, written to some rows and columns of y.

    Args:
        x: [N, H, W, K], C-contiguous.
        weight: [K, 1, R, S], any strides; without taps, the result is the bias.
        y: [N, …, …, K], C-contiguous.
        first: the first row and column to write.
        every: how far rows and columns to write lie apart.
        steps: (SH, SW, top, left, DH, DW); negative padding where the first window starts inside.
        bias: [K], what the sums begin with.
        relu: whether negative results become 0.
    """
    N, H, W, K = x.shape
    R, S = weight.shape[2:]
    _, SW, _, left, DH, DW = steps
    row_size, image_size = y.shape[2] * K, y.shape[1] * y.shape[2] * K
    P, Q = (len(range(*axis)) for axis in zip(first, y.shape[1:3], every, strict=True))
    places = (first[0] * row_size + first[1] * K, image_size, every[0] * row_size, every[1] * K)
    taps_first = flat(compact(weight[:, 0].transpose(1, 2, 0)))
    offsets = np.add.outer(np.arange(R) * (DH * W * K), np.arange(S) * (DW * K)).ravel()
    # Pixels whose windows lie inside the row.
    inside = outputs_inside(-left, SW, W, Q)[0], outputs_inside((S - 1) * DW - left, SW, W, Q)[1]
    _correlate_row(
        N * P, flat(x), taps_first, offsets, bias, flat(y), (H, W, K, P, Q), (R, S, *steps), inside, places, int(relu)
    )


@row_kernel
def _correlate_row(
    x: Array,
    weight: Array,
    offsets: Array,
    bias: Array,
    y: Array,
    sizes: Sizes,
    window: Numbers,
    inside: tuple[int, int],
    places: tuple[int, int, int, int],
    relu: int,
    row: int,
) -> None:
    H, W, C, P, Q = sizes
    R, S, SH, SW, top, left, DH, DW = window
    start, image, y_row, y_pixel = places
    n, p = divmod(row, P)
    h = p * SH - top
    first_r, last_r = taps_inside(h, DH, R, H)
    first_tap, last_tap = first_r * S, last_r * S
    least = 0 if relu else -np.inf
    at = ((n * H + h) * W - left) * C
    to = start + n * image + p * y_row
    is_far = x.size * x.itemsize >= FAR_BYTES // 2  # the arithmetic hides more
    q = 0
    while q < Q:
        pixels = _PIXELS if inside[0] <= q and q + _PIXELS <= inside[1] else 1
        first_s, last_s = (0, S) if pixels > 1 else taps_inside(q * SW - left, DW, S, W)
        c = 0
        while c + wide_lanes(x) <= C:
            begin = load_wide(bias, c)
            if pixels > 1:
                taps = (first_tap, last_tap, C, SW * C, y_pixel)
                _sum_pixels(begin, x, at + c, weight, c, offsets, taps, y, to + c, least)
                if is_far:  # what the next tile writes and the next row reads
                    for k in range(_PIXELS, 2 * _PIXELS):
                        prefetch_to_write(y, to + c + k * y_pixel)
                    for r in range(SH):
                        for k in range(_PIXELS * SW):
                            prefetch(x, at + c + (((R - 1) * DH + 1 + r) * W + k) * C)
            else:
                border = (first_r, last_r, first_s, last_s, S, C)
                _sum_pixel(begin, x, at + c, weight, c, offsets, border, y, to + c, least, None)
            c += wide_lanes(x)
        while c < C:
            count = min(C - c, lanes(x))
            border = (first_r, last_r, first_s, last_s, S, C)
            for k in range(pixels):
                source, target = at + c + k * SW * C, to + c + k * y_pixel
                begin = load_first(bias, c, count)
                _sum_pixel(begin, x, source, weight, c, offsets, border, y, target, least, count)
            c += lanes(x)
        q += pixels
        at += pixels * SW * C
        to += pixels * y_pixel


@jit(forceinline=True)
def _sum_pixels(
    bias: Any, x: Array, at: int, weight: Array, w: int, offsets: Array, taps: tuple[int, ...], y: Array, to: int,
    least: float,
) -> None:  # fmt: skip
    """`_PIXELS` neighbours of a row, a wide vector of channels.

    `taps` are the first tap and the last, how far the weights of taps lie apart, the windows, and the results.
    """
    first_tap, last_tap, C, stride, pixel = taps
    w += first_tap * C
    a = b = c = d = bias
    for tap in range(first_tap, last_tap):
        short_loop()
        source = at + offsets[tap]
        factor = load_as(bias, weight, w, None)
        a = multiply_add(load_as(bias, x, source, None), factor, a)
        b = multiply_add(load_as(bias, x, source + stride, None), factor, b)
        c = multiply_add(load_as(bias, x, source + 2 * stride, None), factor, c)
        d = multiply_add(load_as(bias, x, source + 3 * stride, None), factor, d)
        w += C
    store(y, to, _at_least(a, least))
    store(y, to + pixel, _at_least(b, least))
    store(y, to + 2 * pixel, _at_least(c, least))
    store(y, to + 3 * pixel, _at_least(d, least))


@jit(forceinline=True)
def _sum_pixel(
    bias: Any, x: Array, at: int, weight: Array, w: int, offsets: Array, taps: tuple[int, ...], y: Array, to: int,
    least: float, count: int | None,
) -> None:  # fmt: skip
    """One pixel, for `count` channels, of a window that `taps` clip: rows, columns, columns of all, and channels."""
    first_r, last_r, first_s, last_s, S, C = taps
    total = bias
    for r in range(first_r, last_r):
        for tap in range(r * S + first_s, r * S + last_s):
            short_loop()
            value = load_as(bias, x, at + offsets[tap], count)
            total = multiply_add(value, load_as(bias, weight, w + tap * C, count), total)
    store_first(y, to, count, _at_least(total, least))


@jit(forceinline=True)
def _at_least(value: Any, least: float) -> Any:
    """The value, or `least` where it is less; NaN stays."""
    bound = broadcast(value, least)
    return select(value < bound, bound, value)


@row_kernel
def _weight_grad(
    x: Array, dy: Array, sums: Array, sizes: Sizes, parts: int, all_rows: int, outputs: Array, window: Numbers,
    part: int,
) -> None:  # fmt: skip
    """The weight gradient of one part of all output rows."""
    H, W, C, OH, OW = sizes
    R, S, SH, SW, top, left, DH, DW = window
    is_far = x.size * x.itemsize >= FAR_BYTES // 2  # the arithmetic hides more
    for row in range(part * all_rows // parts, (part + 1) * all_rows // parts):
        n, oh = divmod(row, OH)
        h = oh * SH - top
        first_r, last_r = taps_inside(h, DH, R, H)
        for r in range(first_r, last_r):
            at, first_tap = ((n * H + h + r * DH) * W - left) * C, (part * R + r) * S * C
            for s in range(0, S, _TAPS):
                taps = min(_TAPS, S - s)
                # Outputs for which all these taps lie inside. The others, at the border, are added tap by tap.
                first, last = outputs[s, 0], outputs[s, 1]
                for t in range(s + 1, s + taps):
                    first, last = max(first, outputs[t, 0]), min(last, outputs[t, 1])
                last = max(first, last)
                steps = (taps, DW * C, SW * C, C, first, last)
                source, tap = at + s * DW * C, first_tap + s * C
                c = 0
                while c + wide_lanes(x) <= C:
                    zero = broadcast_wide(x, 0)
                    if is_far and r == first_r and s == 0:  # what the next row reads
                        for q in range(OW):
                            prefetch(dy, ((row + 1) * OW + q) * C + c)
                        for w in range(SH * W):
                            prefetch(x, ((n * H + h + (R - 1) * DH + 1) * W + w) * C + c)
                    _sum_row(zero, x, source + c, dy, row * OW * C + c, sums, tap + c, outputs, s, steps, None)
                    c += wide_lanes(x)
                while c < C:
                    zero, count = broadcast(x, 0), min(C - c, lanes(x))
                    _sum_row(zero, x, source + c, dy, row * OW * C + c, sums, tap + c, outputs, s, steps, count)
                    c += lanes(x)


@jit(forceinline=True)
def _sum_row(
    like: Any, x: Array, at: int, dy: Array, at_dy: int, sums: Array, tap: int, outputs: Array, s: int,
    steps: tuple[int, ...], count: int | None,
) -> None:  # fmt: skip
    """Add what one row of outputs gives to neighbouring taps of a row of the window, for `count` channels.

    x[at], dy[at_dy] and sums[tap] belong to the first tap, s, and the first output. `steps` are: how many taps; how far
    taps lie apart in x, and the windows of outputs, and channels of one pixel; and the outputs for which all taps lie
    inside.
    """
    taps, column_step, stride, C, first, last = steps
    for t in range(taps):
        begin, end = outputs[s + t, 0], outputs[s + t, 1]
        if begin < first or end > last:
            total = load_as(like, sums, tap + t * C, count)
            q = begin
            while q < end:
                short_loop()
                if q == first and first < last:
                    q = last
                else:
                    gradient = load_as(like, dy, at_dy + q * C, count)
                    total = multiply_add(load_as(like, x, at + t * column_step + q * stride, count), gradient, total)
                    q += 1
            store_first(sums, tap + t * C, count, total)
    # Taps beyond the last are the last again, and not stored.
    to_b, to_c = min(1, taps - 1), min(2, taps - 1)
    a, b = load_as(like, sums, tap, count), load_as(like, sums, tap + to_b * C, count)
    c = load_as(like, sums, tap + to_c * C, count)
    at_b, at_c = to_b * column_step, to_c * column_step
    at += first * stride
    at_dy += first * C
    for _ in range(first, last):
        short_loop()
        gradient = load_as(like, dy, at_dy, count)
        a = multiply_add(load_as(like, x, at, count), gradient, a)
        b = multiply_add(load_as(like, x, at + at_b, count), gradient, b)
        c = multiply_add(load_as(like, x, at + at_c, count), gradient, c)
        at += stride
        at_dy += C
    if to_c == 2:
        store_first(sums, tap + 2 * C, count, c)
    if to_b == 1:
        store_first(sums, tap + C, count, b)
    store_first(sums, tap, count, a)
