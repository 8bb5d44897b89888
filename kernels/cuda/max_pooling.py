"""Max pooling, its gradient and the gathering of winners: each element of a result gathers what belongs to it."""

from typing import Any

from kernels import layout
from kernels.cuda.arrays import grid_of, tile, vector
from kernels.cuda.launch import launch
from kernels.geometry import Padding, Size, Window, argmax_dtype, pooling_window
from kernels.types import Array, Shape4

#: How C calls the types of argmax.
_INDEX = {"uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int"}


def max_pool2d(
    x: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """The largest cell of each window, and its offset i · KW + j inside the window.

    Reads a cell once for each window that covers it, from the cache but for the first time; writes y and argmax once.
    """
    window = pooling_window("max_pool2d", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    xp, block = layout.array_module(x), layout.channels_last(x)
    shape = (x.shape[0], *window.output_size, x.shape[1])
    y, argmax = xp.empty(shape, x.dtype), xp.empty(shape, argmax_dtype(window.cells))
    _launch("max_pool2d", (block, y, argmax), y, window, argmax)
    return layout.from_channels_last(y), layout.from_channels_last(argmax)


def max_pool2d_grad(
    grad_output: Array,
    argmax: Array,
    input_shape: Shape4,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """The gradient of `max_pool2d`: each output's gradient goes to the cell that won.

    Reads dy and argmax once for each cell that a window covers, mostly from the cache; writes dx once.
    """
    N, C, H, W = input_shape
    window = pooling_window("max_pool2d_grad", (H, W), kernel_size, stride, padding, dilation, ceil_mode)
    dy, winners = layout.channels_last(grad_output), layout.channels_last(argmax)
    dx = layout.array_module(dy).empty((N, H, W, C), dy.dtype)
    _launch("max_pool2d_grad", (dy, winners, dx), dx, window, winners)
    return layout.from_channels_last(dx)


def max_pool2d_gather(
    x: Array,
    argmax: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """The cells of `x` that won in another array's `max_pool2d`: the adjoint of `max_pool2d_grad`.

    Reads argmax once, and the winners of x; writes y once.
    """
    window = pooling_window("max_pool2d_gather", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    block, winners = layout.channels_last(x), layout.channels_last(argmax)
    y = layout.array_module(x).empty(winners.shape, x.dtype)
    _launch("max_pool2d_gather", (block, winners, y), y, window, winners)
    return layout.from_channels_last(y)


def _launch(kernel: str, arrays: tuple[Array, ...], result: Array, window: Window, argmax: Array) -> None:
    """A thread for each pack of `result`."""
    N, height, width, C = result.shape
    pack = vector(C, *arrays)
    rows, places = N * height, width * (C // pack)
    block = tile(places)
    arguments: tuple[Any, ...] = (
        *arrays,
        rows,
        C // pack,
        *window.input_size,
        *window.output_size,
        *window.kernel_size,
        *window.stride,
        window.top,
        window.left,
        *window.dilation,
    )
    defines = (f"VECTOR={pack}", f"INDEX={_INDEX[argmax.dtype.name]}")
    launch("max_pooling", kernel, grid_of(rows, places, block), block, arguments, result.dtype, defines=defines)
