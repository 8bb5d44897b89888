"""Average pooling and its gradient: each element of a result gathers what belongs to it."""

from kernels import layout
from kernels.cuda.arrays import grid_of, tile, vector
from kernels.cuda.launch import launch
from kernels.geometry import Padding, Size, Window, pooling_window
from kernels.types import Array, Shape4

#: Packs of channels side by side in a block that pools whole images: a warp reads 512 bytes at once, and eight warps
#: share the cells.
_PACKS = 32


def avg_pool2d(
    x: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window. Reads a cell once for each window that covers it, writes y once."""
    window = pooling_window("avg_pool2d", x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    block = layout.channels_last(x)
    y = layout.array_module(x).empty((x.shape[0], *window.output_size, x.shape[1]), x.dtype)
    if window.output_size != (1, 1):
        _launch("avg_pool2d", block, y, window, count_include_pad)
    elif len(x):
        _of_all(block, y, window, count_include_pad)
    return layout.from_channels_last(y)


def avg_pool2d_grad(
    grad_output: Array,
    input_shape: Shape4,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The gradient of `avg_pool2d`. Reads dy once for each cell of a window, mostly from the cache; writes dx once."""
    N, C, H, W = input_shape
    window = pooling_window("avg_pool2d_grad", (H, W), kernel_size, stride, padding, 1, ceil_mode)
    dy = layout.channels_last(grad_output)
    dx = layout.array_module(dy).empty((N, H, W, C), dy.dtype)
    _launch("avg_pool2d_grad", dy, dx, window, count_include_pad)
    return layout.from_channels_last(dx)


def _launch(kernel: str, given: Array, result: Array, window: Window, count_include_pad: bool) -> None:
    """A thread for each pack of `result`."""
    N, height, width, C = result.shape
    pack = vector(C, given, result)
    rows, places = N * height, width * (C // pack)
    block = tile(places)
    sizes = (*window.input_size, *window.output_size, *window.kernel_size, *window.stride, window.top, window.left)
    arguments = (given, result, rows, C // pack, *sizes, *_counted(window, count_include_pad))
    defines = (f"VECTOR={pack}",)
    launch("average_pooling", kernel, grid_of(rows, places, block), block, arguments, result.dtype, defines=defines)


def _of_all(x: Array, y: Array, window: Window, count_include_pad: bool) -> None:
    """A block for each image and up to 32 packs of channels."""
    N, C = y.shape[0], y.shape[3]
    pack = vector(C, x, y)
    packs = C // pack
    block = tile(packs, most=_PACKS)
    sizes = (*window.input_size, *window.kernel_size, window.top, window.left)
    arguments = (x, y, packs, *sizes, *_counted(window, count_include_pad))
    grid = (N, -(-packs // block[0]))
    launch("average_pooling", "avg_pool2d_of_all", grid, block, arguments, y.dtype, defines=(f"VECTOR={pack}",))


def _counted(window: Window, count_include_pad: bool) -> tuple[int, ...]:
    (first_h, end_h), (first_w, end_w) = window.counted(count_include_pad)
    return first_h, end_h, first_w, end_w
