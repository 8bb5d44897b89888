"""Convolutions, their transposes, and the patches that they look at."""

from typing import Literal

from dlcore import ops
from dlcore.autograd import is_grad_enabled
from dlcore.tensor import Tensor, operand
from kernels import options
from kernels.errors import ArgumentError, ShapeError
from kernels.geometry import Padding, Size, convolution_window, pair


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
    *,
    activation: Literal["relu"] | None = None,
    algorithm: str = "auto",
) -> Tensor:
    """Two-dimensional convolution (cross-correlation, as everywhere in this field).

    Args:
        x: (N, C, H, W).
        weight: (K, C / groups, R, S).
        bias: (K,), or None.
        stride: rows and columns from one output to the next: an int or a pair.
        padding: zeros around x: an int, (height, width), ((top, bottom), (left, right)), "same" or "valid".
        dilation: distance between the taps of the window: an int or a pair.
        groups: into how many independent convolutions the channels are split; C for a depthwise one.
        activation: "relu", applied on the way out, which spares a pass over memory; or None.
        algorithm: how it is computed; see `kernels.conv2d`.

    Returns:
        (N, K, P, Q), where P = (H + top + bottom - dilation · (R - 1) - 1) // stride + 1, and Q alike.

    Raises:
        ShapeError, DTypeError, ArgumentError: arguments that do not fit; the message names them.
    """
    window = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    inputs = (x, weight) if bias is None else (x, weight, bias)
    # In inference the weight stays as it is: its packed form is kept with its version.
    keeps = isinstance(weight, Tensor) and not is_grad_enabled()
    packed = weight.version.kept(weight.data) if keeps else None
    return ops.Conv2d.apply(*inputs, activation=activation, packed=packed, **window)


def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """One-dimensional convolution: `conv2d` on images of one row.

    Args:
        x: (N, C, L).
        weight: (K, C / groups, R).
        bias: (K,), or None.
        stride: from one output to the next.
        padding: zeros at both ends: an int, (before, after), "same" or "valid".
        dilation: distance between the taps of the window.
        groups: into how many independent convolutions the channels are split.

    Returns:
        (N, K, M), where M = (L + before + after - dilation · (R - 1) - 1) // stride + 1.
    """
    x, weight, bias = _operands("conv1d", x, weight, bias)
    _check_axes("conv1d", x, weight, 3)
    if not isinstance(padding, str):
        ends = padding if isinstance(padding, (tuple, list)) else (padding, padding)
        if len(ends) != 2:
            raise ArgumentError(
                f'conv1d: padding must be an int, (before, after), "same" or "valid", got {options.short(padding)}'
            )
        before, after = (options.whole("conv1d", "padding", end, least=0) for end in ends)
        padding = ((0, 0), (before, after))  # type: ignore[assignment]
    y = conv2d(x.expand_dims(2), weight.expand_dims(2), bias, (1, stride), padding, (1, dilation), groups)  # type: ignore[arg-type]
    return y.squeeze(2)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Transposed convolution: the input gradient of `conv2d`, as a layer of its own.

    Args:
        x: (N, C, H, W).
        weight: (C, K / groups, R, S).
        bias: (K,), or None.
        stride: rows and columns of the output from one input to the next.
        padding: rows and columns cut off each side of the output.
        output_padding: rows and columns added at its end; of the sizes that lead to one input, it chooses one.
        groups: into how many independent parts the channels are split.
        dilation: distance between the taps of the window.

    Returns:
        (N, K, P, Q), where P = (H - 1) · stride - 2 · padding + dilation · (R - 1) + output_padding + 1, and Q alike.

    Raises:
        ArgumentError: `output_padding` is not below the stride or the dilation, or an option is out of its range.
        ShapeError: shapes do not fit, or nothing is left of the output.
    """
    name = "conv_transpose2d"
    x, weight, bias = _operands(name, x, weight, bias)
    _check_axes(name, x, weight, 4)
    groups = options.whole(name, "groups", groups, least=1)
    if x.shape[1] != weight.shape[0] or x.shape[1] % groups:
        raise ShapeError(
            f"{name}: x has {x.shape[1]} channels but weight expects {weight.shape[0]}, a multiple of groups "
            f"(x.shape={x.shape}, weight.shape={weight.shape}, groups={groups})"
        )
    channels = weight.shape[1] * groups
    if bias is not None and bias.shape != (channels,):
        raise ShapeError(f"{name}: bias must have shape ({channels},), got {bias.shape}")
    strides, dilations = pair(name, "stride", stride), pair(name, "dilation", dilation)
    paddings = pair(name, "padding", padding, least=0)
    extra = pair(name, "output_padding", output_padding, least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        raise ArgumentError(
            f"{name}: output_padding must be below the stride or the dilation, got output_padding={extra}, "
            f"stride={strides}, dilation={dilations}"
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (r - 1) + e + 1
        for n, s, p, d, r, e in zip(x.shape[2:], strides, paddings, dilations, weight.shape[2:], extra, strict=True)
    )
    if min(size) < 1:
        raise ShapeError(f"{name}: an output of {size} has no cells (x.shape={x.shape}, padding={paddings})")
    y = ops.Conv2dInputGrad.apply(
        x,
        weight,
        input_shape=(x.shape[0], channels, *size),
        stride=strides,
        padding=paddings,
        dilation=dilations,
        groups=groups,
    )
    return y if bias is None else y + bias.reshape((1, -1, 1, 1))


def conv_transpose1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    groups: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Transposed one-dimensional convolution: (N, C, L) and (C, K / groups, R) → (N, K, M); see `conv_transpose2d`."""
    x, weight, bias = _operands("conv_transpose1d", x, weight, bias)
    _check_axes("conv_transpose1d", x, weight, 3)
    steps = ((1, stride), (0, padding), (0, output_padding), groups, (1, dilation))
    return conv_transpose2d(x.expand_dims(2), weight.expand_dims(2), bias, *steps).squeeze(2)


def unfold(x: Tensor, kernel_size: Size, dilation: Size = 1, padding: Padding = 0, stride: Size = 1) -> Tensor:
    """The patches that a window sees: (N, C, H, W) → (N, C · KH · KW, L), for L places of the window."""
    return ops.Unfold.apply(x, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)


def fold(
    x: Tensor,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
) -> Tensor:
    """Patches added back where they came from: (N, C · KH · KW, L) → (N, C, H, W); the adjoint of `unfold`.

    Raises:
        ShapeError: the patches do not fit the output and the window.
    """
    x = operand("fold", "x", x)
    window = pair("fold", "kernel_size", kernel_size)
    cells = window[0] * window[1]
    if x.ndim != 3 or x.shape[1] % cells:
        raise ShapeError(f"fold: x must have axes (N, C · {window[0]} · {window[1]}, L), got x.shape={x.shape}")
    size = pair("fold", "output_size", output_size)
    places = convolution_window("fold", size, window, stride, padding, dilation).output_size
    if x.shape[2] != places[0] * places[1]:
        raise ShapeError(f"fold: the window has {places[0]} · {places[1]} places in {size}, got x.shape={x.shape}")
    input_shape = (x.shape[0], x.shape[1] // cells, *size)
    return ops.Fold.apply(
        x, input_shape=input_shape, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
    )


def _operands(name: str, x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    bias = None if bias is None else operand(name, "bias", bias)
    return operand(name, "x", x), operand(name, "weight", weight), bias


def _check_axes(name: str, x: Tensor, weight: Tensor, ndim: int) -> None:
    axes = "(N, C, H, W)" if ndim == 4 else "(N, C, L)"
    if x.ndim != ndim or weight.ndim != ndim:
        raise ShapeError(
            f"{name}: x must have axes {axes} and weight as many, got x.shape={x.shape}, weight.shape={weight.shape}"
        )
