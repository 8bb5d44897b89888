"""Convolution and its two gradients: each goes the way that the shape makes fast.

depthwise.py has groups of one channel, direct.py gathers cells while it multiplies, unfolded.py leaves the work to the
vendor's matrix product. All take and give channels-last blocks.
"""

from types import ModuleType
from typing import Literal

from kernels import layout
from kernels.cuda import depthwise, direct, unfolded
from kernels.geometry import Padding, Size, Window, convolution_window
from kernels.types import Array, Shape4

#: Up to so many output channels (of a group), columns cost more than they save. Each of their numbers is written, read
#: and then used in K multiply-adds. Directly, these run at about half of the device's float32 rate, but cost nothing
#: else: by an H200's data sheet (67 TFLOP/s, 4.8 TB/s), writing and reading a float32 number takes as long as 28 of
#: them. A number in half precision moves in half the time. An estimate: it has not been measured on a device.
_FEW_OUTPUTS = 32
_FEW_OUTPUTS_IN_HALF = 16

#: Up to so many input channels (of a group), images, as most first layers have: the columns would be the largest array
#: of the whole network.
_FEW_INPUTS = 4


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    activation: Literal["relu"] | None = None,
    algorithm: str = "auto",
    packed: dict[str, Array] | None = None,
) -> Array:
    """Cross-correlate: (N, C, H, W) with (K, C / groups, R, S) → (N, K, OH, OW)."""
    window = convolution_window("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    way = _way(algorithm, weight.shape, window, groups, x.itemsize)
    filters = _filters(weight, packed)
    return layout.from_channels_last(
        way.forward(layout.channels_last(x), filters, bias, activation == "relu", window, groups)
    )


def conv2d_input_grad(
    grad_output: Array,
    weight: Array,
    input_shape: Shape4,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Array:
    """The gradient of `conv2d` with respect to x: (N, K, OH, OW) → (N, C, H, W)."""
    _, C, H, W = input_shape
    window = convolution_window("conv2d_input_grad", (H, W), weight.shape[2:], stride, padding, dilation)
    way = _way(algorithm, weight.shape, window, groups, weight.itemsize, is_input_grad=True)
    dy = layout.channels_last(grad_output)
    return layout.from_channels_last(way.input_grad(dy, layout.channels_last(weight), C, window, groups))


def conv2d_weight_grad(
    x: Array,
    grad_output: Array,
    weight_shape: Shape4,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Array:
    """The gradient of `conv2d` with respect to its weight: → (K, C / groups, R, S)."""
    window = convolution_window("conv2d_weight_grad", x.shape[2:], weight_shape[2:], stride, padding, dilation)
    if len(x) == 0:
        return layout.zeros(weight_shape, x.dtype, layout.array_module(x))
    way = _way(algorithm, weight_shape, window, groups, x.itemsize)
    dy = layout.channels_last(grad_output)
    return layout.from_channels_last(way.weight_grad(layout.channels_last(x), dy, weight_shape, window, groups))


def _way(
    algorithm: str,
    weight_shape: tuple[int, ...],
    window: Window,
    groups: int,
    itemsize: int,
    *,
    is_input_grad: bool = False,
) -> ModuleType:
    """The module that serves a convolution: a function of shapes alone, so that results are repeatable.

    "direct" and "gemm" are as asked for. Else, with few channels, cells are gathered directly, unless

    - a window is one cell and there is one group: then a product needs no columns;
    - an input gradient has a stride: of the taps that a cell gathers, only one in stride² has a value.
    """
    K, channels = weight_shape[:2]
    if algorithm == "gemm":
        return unfolded
    if channels == 1 and groups > 1:
        return depthwise
    if algorithm == "direct":
        return direct
    has_few = channels <= _FEW_INPUTS or K // groups <= (_FEW_OUTPUTS if itemsize >= 4 else _FEW_OUTPUTS_IN_HALF)
    needs_no_columns = window.is_pointwise and groups == 1
    is_sparse = is_input_grad and window.stride != (1, 1)
    return direct if has_few and not needs_no_columns and not is_sparse else unfolded


def _filters(weight: Array, packed: dict[str, Array] | None) -> Array:
    """The weight as [K, R, S, C / groups]; a copy of it is kept in `packed`."""
    if packed is None:
        return layout.channels_last(weight)
    if "channels last" not in packed:
        packed["channels last"] = layout.channels_last(weight)
    return packed["channels last"]
