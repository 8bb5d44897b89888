"""Average pooling with array operations, one pass per tap of the window."""

from kernels import layout
from kernels.cuda.windows import inside, padded, tap_view
from kernels.geometry import Padding, Size, Window, pooling_window
from kernels.types import Array, Shape4


def avg_pool2d(
    x: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window."""
    window = pooling_window("avg_pool2d", x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    block = padded(layout.channels_last(x), window)
    y = layout.array_module(x).zeros((x.shape[0], *window.output_size, x.shape[1]), x.dtype)
    for tap in window.taps():
        y += tap_view(block, window, tap)
    y /= _counts(y, window, count_include_pad)
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
    """The gradient of `avg_pool2d`: each output's gradient is shared out equally over its window."""
    N, C, H, W = input_shape
    window = pooling_window("avg_pool2d_grad", (H, W), kernel_size, stride, padding, 1, ceil_mode)
    xp = layout.array_module(grad_output)
    dy = layout.channels_last(grad_output)
    share = dy / _counts(dy, window, count_include_pad)
    dx = xp.zeros((N, *window.padded_size, C), dy.dtype)
    for tap in window.taps():
        view = tap_view(dx, window, tap)
        view += share
    return layout.from_channels_last(xp.ascontiguousarray(inside(dx, window)))


def _counts(like: Array, window: Window, count_include_pad: bool) -> Array:
    """How many cells each window counts: [OH, OW, 1], of the element type of `like`."""
    xp = layout.array_module(like)
    rows, columns = (
        xp.minimum(xp.arange(outputs) * stride - before + kernel, last)
        - xp.maximum(xp.arange(outputs) * stride - before, first)
        for outputs, stride, (before, _), kernel, (first, last) in zip(
            window.output_size,
            window.stride,
            window.padding,
            window.kernel_size,
            window.counted(count_include_pad),
            strict=True,
        )
    )
    return (rows[:, None, None] * columns[:, None]).astype(like.dtype)
