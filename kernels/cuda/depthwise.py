"""Depthwise convolution: one input channel in each group, with one or more output channels.

Blocks are channels-last, as in direct.py; weights are [K, R, S, 1].
"""

import math

from kernels.cuda.arrays import accumulator, grid_of, tile, vector
from kernels.cuda.im2col import numbers
from kernels.cuda.launch import launch
from kernels.cuda.partial_sums import add_parts, part_length
from kernels.geometry import Window
from kernels.layout import array_module
from kernels.types import Array, Shape4

#: Neighbouring cells of a thread, and threads along the channels at most; see depthwise.cu.
_STRIP = 4
_ALONG = 32

#: Output cells for which a block of the weight gradient is worth its start.
_LEAST_CELLS = 128


def forward(x: Array, weight: Array, bias: Array | None, relu: bool, window: Window, groups: int) -> Array:
    """The convolution. Reads x from memory once and from the caches R·S times; writes y once."""
    y = array_module(x).empty((len(x), *window.output_size, len(weight)), x.dtype)
    _launch(x, weight, bias, relu, y, window, len(weight) // groups, transposed=False)
    return y


def input_grad(dy: Array, weight: Array, C: int, window: Window, groups: int) -> Array:
    """The gradient with respect to x. Reads dy from memory once and from the caches R·S times; writes dx once."""
    dx = array_module(dy).empty((len(dy), *window.input_size, C), dy.dtype)
    _launch(dy, weight, None, False, dx, window, len(weight) // groups, transposed=True)
    return dx


def weight_grad(x: Array, dy: Array, weight_shape: Shape4, window: Window, groups: int) -> Array:
    """The gradient with respect to the weight, [K, R, S, 1]. Reads x R·S times and dy R·S / 4 times, mostly cached."""
    K, _, R, S = weight_shape
    xp = array_module(x)
    OH, OW = window.output_size
    rows = len(x) * OH
    threads = tile(K, most=_ALONG)
    blocks = math.ceil(K / threads[0])
    part = part_length(rows, blocks, math.ceil(_LEAST_CELLS / OW))
    parts = max(1, math.ceil(rows / part))
    partials = xp.empty((parts, K, R * S), accumulator(x.dtype))
    sizes = (rows, part, OH, OW, K, *window.input_size, K // groups, *numbers(window)[4:])
    launch("depthwise", "depthwise_weight_grad", (parts, blocks), threads, (x, dy, partials, *sizes), x.dtype)
    dw = xp.empty((K, R, S, 1), x.dtype)
    add_parts(partials, dw)
    return dw


def _launch(
    image: Array,
    weight: Array,
    bias: Array | None,
    relu: bool,
    result: Array,
    window: Window,
    multiplier: int,
    *,
    transposed: bool,
) -> None:
    """A thread for each pack of channels of each strip of `result`."""
    N, height, width, channels = result.shape
    if N == 0:
        return
    pack = vector(channels, image, result) if multiplier == 1 else 1
    packs = channels // pack
    strips = N * height * math.ceil(width / _STRIP)
    threads = tile(packs, most=_ALONG)
    shift = None if bias is None else array_module(bias).ascontiguousarray(bias)
    sizes = (strips, height, width, channels, *image.shape[1:3], multiplier, *numbers(window)[4:])
    launch(
        "depthwise",
        "depthwise",
        grid_of(strips, packs, threads),
        threads,
        (image, weight, shift, result, relu, *sizes),
        result.dtype,
        defines=(f"TRANSPOSED={int(transposed)}", f"VECTOR={pack}"),
    )
