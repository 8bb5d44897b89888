"""Direct convolution, without columns: for few output channels, where unfolding costs more than the multiplications.

Blocks are channels-last: x [N, H, W, C], dy and y [N, OH, OW, K], weights [K, R, S, C / groups].
"""

import math

from kernels.cuda.arrays import accumulator, vector
from kernels.cuda.im2col import numbers
from kernels.cuda.launch import THREADS, launch
from kernels.cuda.partial_sums import add_parts, part_length
from kernels.geometry import Window
from kernels.layout import array_module
from kernels.types import Array, Shape4

#: Channels of the result that a block can have; see direct.cu.
_TARGETS = (4, 16, 32, 64)

#: Output channels of a block of the weight gradient, and its values of q; see direct_weight_grad.cu.
_OUTPUTS = (4, 16, 32, 64)
_COLUMNS = 32

#: Output cells for which a block of the weight gradient is worth its start: eight rounds of 32.
_LEAST_CELLS = 256


def forward(x: Array, weight: Array, bias: Array | None, relu: bool, window: Window, groups: int) -> Array:
    """The convolution. Reads x R·S times for each tile of output channels, mostly from the caches; writes y once."""
    y = array_module(x).empty((len(x), *window.output_size, len(weight)), x.dtype)
    _launch(x, weight, bias, relu, y, window, groups, transposed=False)
    return y


def input_grad(dy: Array, weight: Array, C: int, window: Window, groups: int) -> Array:
    """The gradient with respect to x: the transposed convolution. Reads dy R·S times, mostly from the caches."""
    dx = array_module(dy).empty((len(dy), *window.input_size, C), dy.dtype)
    _launch(dy, weight, None, False, dx, window, groups, transposed=True)
    return dx


def weight_grad(x: Array, dy: Array, weight_shape: Shape4, window: Window, groups: int) -> Array:
    """The gradient with respect to the weight, [K, R, S, C / groups].

    Reads dy once for each 32 taps · channels and x R·S times for each tile of output channels.
    """
    K, channels, R, S = weight_shape
    xp = array_module(x)
    outputs, length = K // groups, R * S * channels
    tile = _least(_OUTPUTS, outputs)
    tiles = math.ceil(outputs / tile) * math.ceil(length / _COLUMNS)
    cells = len(x) * math.prod(window.output_size)
    part = part_length(cells, tiles * groups, _LEAST_CELLS)
    parts = max(1, math.ceil(cells / part))
    partials = xp.empty((parts, K, length), accumulator(x.dtype))
    sizes = (cells, part, *window.output_size, outputs, *window.input_size, channels, *numbers(window)[4:])
    launch(
        "direct_weight_grad",
        "direct_weight_grad",
        (tiles, parts, groups),
        (THREADS,),
        (x, dy, partials, *sizes),
        x.dtype,
        defines=(f"OUTPUTS={tile}",),
    )
    dw = xp.empty((K, R, S, channels), x.dtype)
    add_parts(partials, dw)
    return dw


def _launch(
    image: Array,
    weight: Array,
    bias: Array | None,
    relu: bool,
    result: Array,
    window: Window,
    groups: int,
    *,
    transposed: bool,
) -> None:
    """A block for each tile of `result`: so many cells that 256 threads have 4 × 4 or 8 × 4 numbers each."""
    N, height, width, channels = result.shape
    if N == 0:
        return
    targets = channels // groups
    tile = _least(_TARGETS, targets)
    tile_cells = THREADS // (tile // 4) * (4 if tile < 32 else 8)
    cells = N * height * width
    grid = (math.ceil(cells / tile_cells), math.ceil(targets / tile), groups)
    image_channels = image.shape[3] // groups
    pack = vector(image_channels, image, most=4)
    shift = None if bias is None else array_module(bias).ascontiguousarray(bias)
    sizes = (cells, height, width, targets, *image.shape[1:3], image_channels, *numbers(window)[4:])
    launch(
        "direct",
        "direct",
        grid,
        (THREADS,),
        (image, weight, shift, result, relu, *sizes),
        result.dtype,
        defines=(f"TARGETS={tile}", f"TRANSPOSED={int(transposed)}", f"VECTOR={pack}"),
    )


def _least(tiles: tuple[int, ...], length: int) -> int:
    """The smallest tile that holds `length` channels, or the largest: then there are several."""
    return next((tile for tile in tiles if tile >= length), tiles[-1])
