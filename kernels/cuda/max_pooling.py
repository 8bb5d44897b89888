"""Max pooling with array operations, one pass per tap of the window."""

from kernels import layout
from kernels.cuda.windows import inside, padded, tap_view
from kernels.geometry import Padding, Size, argmax_dtype, pooling_window
from kernels.types import Array, Shape4


def max_pool2d(
    x: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """The largest cell of each window, and its offset i · KW + j inside the window."""
    window = pooling_window("max_pool2d", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    xp = layout.array_module(x)
    block = padded(layout.channels_last(x), window, fill=-xp.inf)
    shape = (x.shape[0], *window.output_size, x.shape[1])
    y = xp.full(shape, -xp.inf, x.dtype)
    # Every window starts at its first cell inside the input, which stands even if all its cells are −∞.
    first_i, first_j = (
        xp.maximum(0, -((xp.arange(outputs) * stride - before) // dilation))
        for outputs, stride, (before, _), dilation in zip(
            window.output_size, window.stride, window.padding, window.dilation, strict=True
        )
    )
    argmax = xp.empty(shape, argmax_dtype(window.cells))
    argmax[...] = (first_i[:, None] * window.kernel_size[1] + first_j)[:, :, None]
    for cell, tap in enumerate(window.taps()):
        value = tap_view(block, window, tap)
        wins = (value > y) | (xp.isnan(value) & ~xp.isnan(y))
        y = xp.where(wins, value, y)
        argmax = xp.where(wins, argmax.dtype.type(cell), argmax)
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
    """The gradient of `max_pool2d`: each output's gradient goes to the cell that won."""
    N, C, H, W = input_shape
    window = pooling_window("max_pool2d_grad", (H, W), kernel_size, stride, padding, dilation, ceil_mode)
    xp = layout.array_module(grad_output)
    dy, winners = layout.channels_last(grad_output), layout.channels_last(argmax)
    dx = xp.zeros((N, *window.padded_size, C), dy.dtype)
    for cell, tap in enumerate(window.taps()):
        view = tap_view(dx, window, tap)
        view += xp.where(winners == cell, dy, dy.dtype.type(0))
    return layout.from_channels_last(xp.ascontiguousarray(inside(dx, window)))


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
    """The cells of `x` that won in another array's `max_pool2d`: the adjoint of `max_pool2d_grad`."""
    window = pooling_window("max_pool2d_gather", x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    xp = layout.array_module(x)
    block, winners = padded(layout.channels_last(x), window), layout.channels_last(argmax)
    y = xp.zeros(winners.shape, x.dtype)
    for cell, tap in enumerate(window.taps()):
        y = xp.where(winners == cell, tap_view(block, window, tap), y)
    return layout.from_channels_last(y)
