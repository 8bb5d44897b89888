"""Every kernel as naive loops: its definition, the tests' oracle and the benchmarks' baseline.

Each kernel has two parts. `<kernel>_loops` is the definition: plain nested loops that write into the array they
are given, in the subset of Python that `numba.njit` compiles as it stands. `<kernel>` prepares the arrays (it
pads, and allocates the result) and calls the loops. Signatures and results are those of `kernels`, where the
arguments are explained; nothing is validated here.

Dimensions: N images, C input channels, K output channels, H×W input cells, OH×OW outputs, R×S kernel cells.
"""

import math
from typing import Literal

import numpy as np

from kernels import layout
from kernels.geometry import Padding, Pair, Size, Window, argmax_dtype, convolution_window, pooling_window
from kernels.reference_fused import (  # noqa: F401
    batch_norm,
    batch_norm_grad,
    batch_norm_inference,
    dropout,
    dropout_grad,
    layer_norm,
    layer_norm_grad,
    optimizer_step,
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
)
from kernels.types import Array, Shape4


def im2col(x: Array, kernel_size: Size, *, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> Array:
    """Unfold windows into rows: (N, C, H, W) → (N·OH·OW, C·KH·KW)."""
    window = convolution_window("im2col", x.shape[2:], kernel_size, stride, padding, dilation)
    cols = np.empty((x.shape[0], *window.output_size, x.shape[1], *window.kernel_size), x.dtype)
    im2col_loops(_padded(x, window), cols, window.stride, window.dilation)
    return cols.reshape(-1, math.prod(cols.shape[3:]))


def im2col_loops(padded: Array, cols: Array, stride: Pair, dilation: Pair) -> None:
    """`cols` is (N, OH, OW, C, KH, KW)."""
    N, OH, OW, C, KH, KW = cols.shape
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for c in range(C):
                    for i in range(KH):
                        for j in range(KW):
                            h = oh * stride[0] + i * dilation[0]
                            w = ow * stride[1] + j * dilation[1]
                            cols[n, oh, ow, c, i, j] = padded[n, c, h, w]


def col2im(
    cols: Array,
    input_shape: Shape4,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
) -> Array:
    """Fold rows back, adding where windows overlap: (N·OH·OW, C·KH·KW) → (N, C, H, W)."""
    N, C, H, W = input_shape
    window = convolution_window("col2im", (H, W), kernel_size, stride, padding, dilation)
    padded = np.zeros((N, C, *window.padded_size), cols.dtype)
    col2im_loops(cols.reshape(N, *window.output_size, C, *window.kernel_size), padded, window.stride, window.dilation)
    return _inside_copy(padded, window)


def col2im_loops(cols: Array, padded: Array, stride: Pair, dilation: Pair) -> None:
    """`cols` is (N, OH, OW, C, KH, KW); `padded` starts at zero."""
    N, OH, OW, C, KH, KW = cols.shape
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for c in range(C):
                    for i in range(KH):
                        for j in range(KW):
                            h = oh * stride[0] + i * dilation[0]
                            w = ow * stride[1] + j * dilation[1]
                            padded[n, c, h, w] += cols[n, oh, ow, c, i, j]


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
    y = layout.zeros((x.shape[0], weight.shape[0], *window.output_size), x.dtype)
    if bias is not None:
        y += bias[:, None, None]
    conv2d_loops(_padded(x, window), weight, y, window.stride, window.dilation)
    if activation == "relu":
        np.maximum(y, 0, out=y)
    return y


def conv2d_loops(padded: Array, weight: Array, y: Array, stride: Pair, dilation: Pair) -> None:
    """`y` starts at the bias, or at zero."""
    N, K, OH, OW = y.shape
    _, group_channels, R, S = weight.shape
    group_outputs = K * group_channels // padded.shape[1]
    for n in range(N):
        for k in range(K):
            first_channel = k // group_outputs * group_channels
            for oh in range(OH):
                for ow in range(OW):
                    total = y[n, k, oh, ow]
                    for c in range(group_channels):
                        for r in range(R):
                            for s in range(S):
                                h = oh * stride[0] + r * dilation[0]
                                w = ow * stride[1] + s * dilation[1]
                                total += padded[n, first_channel + c, h, w] * weight[k, c, r, s]
                    y[n, k, oh, ow] = total


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
    N, C, H, W = input_shape
    window = convolution_window("conv2d_input_grad", (H, W), weight.shape[2:], stride, padding, dilation)
    padded_grad = np.zeros((N, C, *window.padded_size), grad_output.dtype)
    conv2d_input_grad_loops(grad_output, weight, padded_grad, window.stride, window.dilation)
    return _inside_copy(padded_grad, window)


def conv2d_input_grad_loops(
    grad_output: Array, weight: Array, padded_grad: Array, stride: Pair, dilation: Pair
) -> None:
    """`padded_grad` starts at zero. Each product of the forward pass sends its share back to its input cell."""
    N, K, OH, OW = grad_output.shape
    _, group_channels, R, S = weight.shape
    group_outputs = K * group_channels // padded_grad.shape[1]
    for n in range(N):
        for k in range(K):
            first_channel = k // group_outputs * group_channels
            for oh in range(OH):
                for ow in range(OW):
                    grad = grad_output[n, k, oh, ow]
                    for c in range(group_channels):
                        for r in range(R):
                            for s in range(S):
                                h = oh * stride[0] + r * dilation[0]
                                w = ow * stride[1] + s * dilation[1]
                                padded_grad[n, first_channel + c, h, w] += grad * weight[k, c, r, s]


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
    grad_weight = layout.zeros(weight_shape, x.dtype)
    conv2d_weight_grad_loops(_padded(x, window), grad_output, grad_weight, window.stride, window.dilation)
    return grad_weight


def conv2d_weight_grad_loops(
    padded: Array, grad_output: Array, grad_weight: Array, stride: Pair, dilation: Pair
) -> None:
    """Each weight's gradient: the sum over all places where it was used."""
    N, K, OH, OW = grad_output.shape
    _, group_channels, R, S = grad_weight.shape
    group_outputs = K * group_channels // padded.shape[1]
    for k in range(K):
        first_channel = k // group_outputs * group_channels
        for c in range(group_channels):
            for r in range(R):
                for s in range(S):
                    total = grad_weight[k, c, r, s]
                    for n in range(N):
                        for oh in range(OH):
                            for ow in range(OW):
                                h = oh * stride[0] + r * dilation[0]
                                w = ow * stride[1] + s * dilation[1]
                                total += padded[n, first_channel + c, h, w] * grad_output[n, k, oh, ow]
                    grad_weight[k, c, r, s] = total


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
    shape = (*x.shape[:2], *window.output_size)
    y, argmax = layout.empty(shape, x.dtype), layout.empty(shape, argmax_dtype(window.cells))
    max_pool2d_loops(x, y, argmax, window.kernel_size, window.stride, window.padding, window.dilation)
    return y, argmax


def max_pool2d_loops(
    x: Array,
    y: Array,
    argmax: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
) -> None:
    """Padding never wins. Of equal cells the first wins; a NaN beats every number."""
    N, C, H, W = x.shape
    _, _, OH, OW = y.shape
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    found = False
                    for i in range(kernel_size[0]):
                        for j in range(kernel_size[1]):
                            h = oh * stride[0] + i * dilation[0] - padding[0][0]
                            w = ow * stride[1] + j * dilation[1] - padding[1][0]
                            if 0 <= h < H and 0 <= w < W:
                                value = x[n, c, h, w]
                                best = y[n, c, oh, ow]
                                first_nan = value != value and best == best
                                if not found or value > best or first_nan:
                                    y[n, c, oh, ow] = value
                                    argmax[n, c, oh, ow] = i * kernel_size[1] + j
                                    found = True


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
    window = pooling_window("max_pool2d_grad", input_shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    grad_input = layout.zeros(input_shape, grad_output.dtype)
    max_pool2d_grad_loops(
        grad_output, argmax, grad_input, window.kernel_size, window.stride, window.padding, window.dilation
    )
    return grad_input


def max_pool2d_grad_loops(
    grad_output: Array,
    argmax: Array,
    grad_input: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
) -> None:
    """`grad_input` starts at zero."""
    N, C, OH, OW = grad_output.shape
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    i, j = divmod(int(argmax[n, c, oh, ow]), kernel_size[1])
                    h = oh * stride[0] + i * dilation[0] - padding[0][0]
                    w = ow * stride[1] + j * dilation[1] - padding[1][0]
                    grad_input[n, c, h, w] += grad_output[n, c, oh, ow]


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
    y = layout.empty(argmax.shape, x.dtype)
    max_pool2d_gather_loops(x, argmax, y, window.kernel_size, window.stride, window.padding, window.dilation)
    return y


def max_pool2d_gather_loops(
    x: Array,
    argmax: Array,
    y: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
) -> None:
    """Read each output's winner."""
    N, C, OH, OW = y.shape
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    i, j = divmod(int(argmax[n, c, oh, ow]), kernel_size[1])
                    h = oh * stride[0] + i * dilation[0] - padding[0][0]
                    w = ow * stride[1] + j * dilation[1] - padding[1][0]
                    y[n, c, oh, ow] = x[n, c, h, w]


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
    y = layout.empty((*x.shape[:2], *window.output_size), x.dtype)
    avg_pool2d_loops(x, y, window.kernel_size, window.stride, window.padding, count_include_pad)
    return y


def avg_pool2d_loops(
    x: Array,
    y: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    count_include_pad: bool,
) -> None:
    """Cells beyond the padding, where `ceil_mode` lets a window stick out, are never counted."""
    N, C, H, W = x.shape
    _, _, OH, OW = y.shape
    (top, bottom), (left, right) = padding
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    total = 0.0
                    count = 0
                    for i in range(kernel_size[0]):
                        for j in range(kernel_size[1]):
                            h = oh * stride[0] + i - top
                            w = ow * stride[1] + j - left
                            if 0 <= h < H and 0 <= w < W:
                                total += x[n, c, h, w]
                                count += 1
                            elif count_include_pad and h < H + bottom and w < W + right:
                                count += 1
                    y[n, c, oh, ow] = total / count


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
    window = pooling_window("avg_pool2d_grad", input_shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    grad_input = layout.zeros(input_shape, grad_output.dtype)
    avg_pool2d_grad_loops(grad_output, grad_input, window.kernel_size, window.stride, window.padding, count_include_pad)
    return grad_input


def avg_pool2d_grad_loops(
    grad_output: Array,
    grad_input: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    count_include_pad: bool,
) -> None:
    """`grad_input` starts at zero."""
    N, C, OH, OW = grad_output.shape
    _, _, H, W = grad_input.shape
    (top, bottom), (left, right) = padding
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    count = 0
                    for i in range(kernel_size[0]):
                        for j in range(kernel_size[1]):
                            h = oh * stride[0] + i - top
                            w = ow * stride[1] + j - left
                            is_inside = 0 <= h < H and 0 <= w < W
                            if is_inside or (count_include_pad and h < H + bottom and w < W + right):
                                count += 1
                    share = grad_output[n, c, oh, ow] / count
                    for i in range(kernel_size[0]):
                        for j in range(kernel_size[1]):
                            h = oh * stride[0] + i - top
                            w = ow * stride[1] + j - left
                            if 0 <= h < H and 0 <= w < W:
                                grad_input[n, c, h, w] += share


def matmul(a: Array, b: Array, bias: Array | None = None, *, activation: Literal["relu"] | None = None) -> Array:
    """The matrix product (M, K) · (K, N) → (M, N), plus the bias (N,), activated."""
    (M, K), N = a.shape, b.shape[1]
    product = np.zeros((M, N), a.dtype)
    for m in range(M):
        for n in range(N):
            for k in range(K):
                product[m, n] += a[m, k] * b[k, n]
    product += 0 if bias is None else bias
    return relu(product) if activation == "relu" else product


def relu(x: Array) -> Array:
    """max(x, 0), element by element; NaN stays."""
    y = _empty_like(x)
    for index in np.ndindex(x.shape):
        y[index] = 0 if x[index] < 0 else x[index]
    return y


def erf(x: Array) -> Array:
    """2 / √π ∫₀ˣ exp(-t²) dt, element by element."""
    y = _empty_like(x)
    for index in np.ndindex(x.shape):
        y[index] = math.erf(x[index])
    return y


def relu_grad(grad_output: Array, y: Array) -> Array:
    """The gradient of `relu`: passed on where its result y is positive."""
    grad_input = _empty_like(grad_output)
    for index in np.ndindex(y.shape):
        grad_input[index] = grad_output[index] if y[index] > 0 else 0
    return grad_input


def _empty_like(x: Array) -> Array:
    return layout.zeros(x.shape, x.dtype) if x.ndim == 4 else np.zeros(x.shape, x.dtype)


def _padded(x: Array, window: Window) -> Array:
    height, width = window.padded_size
    padded = np.zeros((*x.shape[:2], height, width), x.dtype)
    _inside(padded, window)[...] = x
    return padded


def _inside(padded: Array, window: Window) -> Array:
    (H, W), top, left = window.input_size, window.top, window.left
    return padded[:, :, top : top + H, left : left + W]


def _inside_copy(padded: Array, window: Window) -> Array:
    return layout.from_channels_last(layout.channels_last(_inside(padded, window)))
