"""The kernels of deep learning: arrays in, new arrays out, on NumPy or CuPy.

Each function checks its arguments once and hands them to `kernels.cpu` (Numba) or `kernels.cuda`, by the type of
its arrays. `kernels.reference` holds the same functions as naive loops. Arrays are float32, float64 or float16, all of
one type; CuPy arrays also bfloat16. What is stored in half precision is computed in float32 (on the CPU in arrays of
float32, made on the way in: that saves memory between calls, not time). Arrays may have any strides; 4-D results have
shape (N, C, H, W) and channels-last memory, N, H, W, C.

Options of a window, everywhere: `kernel_size`, `stride` and `dilation` are an int or (height, width); `padding` is
an int, (height, width), ((top, bottom), (left, right)), "same" or "valid". Dimensions: N images, C input channels,
K output channels, H×W input cells, OH×OW outputs.

Every function raises `ArgumentError` (an option out of its range), `ShapeError`, `DTypeError` or
`BackendMismatchError` (NumPy and CuPy arrays in one call), with one sentence that says what to do.
"""

from typing import Literal

from kernels import options, validation
from kernels.dispatch import implementation
from kernels.errors import ArgumentError, ShapeError
from kernels.fused import (
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
from kernels.geometry import Padding, Size, convolution_window, pooling_window
from kernels.shortage import within_memory
from kernels.types import Array, Shape4

__all__ = [
    "OWNER",
    "avg_pool2d",
    "avg_pool2d_grad",
    "batch_norm",
    "batch_norm_grad",
    "batch_norm_inference",
    "col2im",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "dropout",
    "dropout_grad",
    "erf",
    "im2col",
    "layer_norm",
    "layer_norm_grad",
    "matmul",
    "max_pool2d",
    "max_pool2d_gather",
    "max_pool2d_grad",
    "optimizer_step",
    "relu",
    "relu_grad",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
]

#: By this dlcore knows that it imported its own `kernels`: other distributions install that name too.
OWNER = "dlcore"


@within_memory
def im2col(x: Array, kernel_size: Size, *, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> Array:
    """Unfold windows into rows.

    Args:
        x: (N, C, H, W).
        kernel_size: (KH, KW).
        stride: cells from one window to the next.
        padding: zeros around the input.
        dilation: cells from one tap to the next.

    Returns:
        (N·OH·OW, C·KH·KW), C-contiguous: row (n, oh, ow) holds the cells under that window, channel by channel.

    Source: Chellapilla, Puri & Simard, "High performance convolutional neural networks for document processing"
    (2006); *Deep Learning from Scratch*, section 7.4.
    """
    kernels = implementation("im2col", {"x": x})
    validation.floats("im2col", x=x)
    validation.axes("im2col", "x", x, "(N, C, H, W)")
    cols: Array = kernels.im2col(x, kernel_size, stride=stride, padding=padding, dilation=dilation)
    return cols


@within_memory
def col2im(
    cols: Array,
    input_shape: Shape4,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
) -> Array:
    """Fold rows back onto the input, adding where windows overlap: the adjoint of `im2col`.

    Args:
        cols: (N·OH·OW, C·KH·KW), as `im2col` returns it.
        input_shape: (N, C, H, W).
        kernel_size: (KH, KW).
        stride: cells from one window to the next.
        padding: zeros around the input.
        dilation: cells from one tap to the next.

    Returns:
        (N, C, H, W).
    """
    kernels = implementation("col2im", {"cols": cols})
    validation.floats("col2im", cols=cols)
    N, C, H, W = validation.shape4("col2im", "input_shape", input_shape, "(N, C, H, W)")
    window = convolution_window("col2im", (H, W), kernel_size, stride, padding, dilation)
    OH, OW = window.output_size
    because = f"input_shape={(N, C, H, W)}, {OH}×{OW} windows of {window.kernel_size}"
    validation.shape("col2im", "cols", cols, (N * OH * OW, C * window.cells), because)
    x: Array = kernels.col2im(cols, (N, C, H, W), kernel_size, stride=stride, padding=padding, dilation=dilation)
    return x


@within_memory
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
    """Two-dimensional convolution (cross-correlation, as in all of deep learning).

        y[n, k, oh, ow] = activation(bias[k] + Σ_crs x[n, c, oh·stride + r·dilation − top, …] · weight[k, c, r, s])

    Args:
        x: (N, C, H, W).
        weight: (K, C / groups, R, S). Fastest where its memory is channels-last too (K, R, S, C).
        bias: (K,), or None.
        stride: cells from one window to the next.
        padding: zeros around the input.
        dilation: cells from one tap to the next.
        groups: channels are split into so many groups, each convolved by its share of the K kernels.
        activation: "relu" or None, applied on the way out.
        algorithm: "auto" (what a model of the cost finds fastest; in float32 that can be Winograd's, in float64 it is
            not); "gemm" (always matrix products over unfolded windows); "direct" (no unfolding: register tiles over
            the image itself); or, for NumPy arrays, "winograd" (3×3 with stride 1, dilation 1 and one group: a
            quarter of the multiplications, rounding errors up to four times larger, and an infinity or NaN spreads
            over the 4×4 outputs computed with it) or "reference" (naive loops).
        packed: where the weight is kept as it was packed, for the next call: a dict, empty at first, that is given
            again with the same weight only (other options may change). For inference: in training the weight
            changes each time.

    Returns:
        (N, K, OH, OW).

    Source: *Deep Learning from Scratch*, section 7.2; Dumoulin & Visin, "A guide to convolution arithmetic for
    deep learning" (2016).
    """
    kernels = implementation("conv2d", {"x": x, "weight": weight, "bias": bias}, algorithm)
    validation.floats("conv2d", x=x, weight=weight, bias=bias)
    validation.axes("conv2d", "x", x, "(N, C, H, W)")
    validation.axes("conv2d", "weight", weight, "(K, C/groups, R, S)")
    validation.channels("conv2d", ("x.shape", x.shape), ("weight.shape", weight.shape), groups)
    if bias is not None:
        validation.shape("conv2d", "bias", bias, weight.shape[:1], f"weight.shape={weight.shape}")
    options.choice("conv2d", "activation", activation, (None, "relu"))
    if packed is not None and not isinstance(packed, dict):
        raise ArgumentError(f"conv2d: packed must be None or a dict, got {options.short(packed)}.")
    window = convolution_window("conv2d", x.shape[2:], weight.shape[2:], stride, padding, dilation)
    validation.algorithm("conv2d", algorithm, window, groups)
    y: Array = kernels.conv2d(
        x,
        weight,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        activation=activation,
        algorithm=algorithm,
        packed=packed,
    )
    return y


@within_memory
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
    """The gradient of `conv2d` with respect to x, which is also transposed convolution.

    Args:
        grad_output: (N, K, OH, OW).
        weight: (K, C / groups, R, S).
        input_shape: (N, C, H, W); the same output size can come from inputs of several sizes.
        stride: as in `conv2d`.
        padding: as in `conv2d`.
        dilation: as in `conv2d`.
        groups: as in `conv2d`.
        algorithm: as in `conv2d`.

    Returns:
        (N, C, H, W).
    """
    operation = "conv2d_input_grad"
    kernels = implementation(operation, {"grad_output": grad_output, "weight": weight}, algorithm)
    validation.floats(operation, grad_output=grad_output, weight=weight)
    validation.axes(operation, "weight", weight, "(K, C/groups, R, S)")
    N, C, H, W = validation.shape4(operation, "input_shape", input_shape, "(N, C, H, W)")
    validation.channels(operation, ("input_shape", (N, C, H, W)), ("weight.shape", weight.shape), groups)
    window = convolution_window(operation, (H, W), weight.shape[2:], stride, padding, dilation)
    validation.algorithm(operation, algorithm, window, groups)
    because = f"input_shape={(N, C, H, W)}, weight.shape={weight.shape}, stride={stride}, padding={padding!r}"
    expected = (N, weight.shape[0], *window.output_size)
    validation.shape(operation, "grad_output", grad_output, expected, because)
    grad_input: Array = kernels.conv2d_input_grad(
        grad_output,
        weight,
        (N, C, H, W),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        algorithm=algorithm,
    )
    return grad_input


@within_memory
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
    """The gradient of `conv2d` with respect to its weight.

    Args:
        x: (N, C, H, W).
        grad_output: (N, K, OH, OW).
        weight_shape: (K, C / groups, R, S).
        stride: as in `conv2d`.
        padding: as in `conv2d`.
        dilation: as in `conv2d`.
        groups: as in `conv2d`.
        algorithm: as in `conv2d`.

    Returns:
        (K, C / groups, R, S), its memory K, R, S, C.
    """
    operation = "conv2d_weight_grad"
    kernels = implementation(operation, {"x": x, "grad_output": grad_output}, algorithm)
    validation.floats(operation, x=x, grad_output=grad_output)
    validation.axes(operation, "x", x, "(N, C, H, W)")
    K, group_channels, R, S = validation.shape4(operation, "weight_shape", weight_shape, "(K, C/groups, R, S)")
    full_shape = (K, group_channels, R, S)
    validation.channels(operation, ("x.shape", x.shape), ("weight_shape", full_shape), groups)
    window = convolution_window(operation, x.shape[2:], (R, S), stride, padding, dilation)
    validation.algorithm(operation, algorithm, window, groups)
    because = f"x.shape={x.shape}, weight_shape={full_shape}, stride={stride}, padding={padding!r}"
    expected = (x.shape[0], K, *window.output_size)
    validation.shape(operation, "grad_output", grad_output, expected, because)
    grad_weight: Array = kernels.conv2d_weight_grad(
        x,
        grad_output,
        full_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        algorithm=algorithm,
    )
    return grad_weight


@within_memory
def max_pool2d(
    x: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """The largest cell of each window. Padding never wins; of equal cells the first does; NaN beats all.

    Args:
        x: (N, C, H, W).
        kernel_size: (KH, KW).
        stride: cells from one window to the next; None for the kernel size.
        padding: cells around the input that are not looked at.
        dilation: cells from one tap to the next.
        ceil_mode: keep a last window that sticks out of the padded input.

    Returns:
        y, (N, C, OH, OW), and argmax of the same shape: the winner's offset i · KW + j inside its window, one
        byte each (a wider unsigned type where a window has more than 255 cells).
    """
    kernels = implementation("max_pool2d", {"x": x})
    validation.floats("max_pool2d", x=x)
    validation.axes("max_pool2d", "x", x, "(N, C, H, W)")
    y: Array
    argmax: Array
    y, argmax = kernels.max_pool2d(
        x, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    return y, argmax


@within_memory
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

    Args:
        grad_output: (N, C, OH, OW).
        argmax: (N, C, OH, OW), from `max_pool2d` with the same options.
        input_shape: (N, C, H, W).
        kernel_size: (KH, KW).
        stride: as in `max_pool2d`.
        padding: as in `max_pool2d`.
        dilation: as in `max_pool2d`.
        ceil_mode: as in `max_pool2d`.

    Returns:
        (N, C, H, W).
    """
    operation = "max_pool2d_grad"
    kernels = implementation(operation, {"grad_output": grad_output, "argmax": argmax})
    validation.floats(operation, grad_output=grad_output)
    N, C, H, W = validation.shape4(operation, "input_shape", input_shape, "(N, C, H, W)")
    window = pooling_window(operation, (H, W), kernel_size, stride, padding, dilation, ceil_mode)
    expected, because = (N, C, *window.output_size), f"input_shape={(N, C, H, W)}"
    validation.shape(operation, "grad_output", grad_output, expected, because)
    validation.shape(operation, "argmax", argmax, expected, because)
    validation.winners(operation, argmax, window)
    grad_input: Array = kernels.max_pool2d_grad(
        grad_output,
        argmax,
        (N, C, H, W),
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    return grad_input


@within_memory
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

    Args:
        x: (N, C, H, W).
        argmax: (N, C, OH, OW), from `max_pool2d` with the same options.
        kernel_size: (KH, KW).
        stride: as in `max_pool2d`.
        padding: as in `max_pool2d`.
        dilation: as in `max_pool2d`.
        ceil_mode: as in `max_pool2d`.

    Returns:
        (N, C, OH, OW).
    """
    operation = "max_pool2d_gather"
    kernels = implementation(operation, {"x": x, "argmax": argmax})
    validation.floats(operation, x=x)
    validation.axes(operation, "x", x, "(N, C, H, W)")
    window = pooling_window(operation, x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    expected = (*x.shape[:2], *window.output_size)
    validation.shape(operation, "argmax", argmax, expected, f"x.shape={x.shape}")
    validation.winners(operation, argmax, window)
    y: Array = kernels.max_pool2d_gather(
        x, argmax, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    return y


@within_memory
def avg_pool2d(
    x: Array,
    kernel_size: Size,
    *,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window. With the input's size as kernel size: global average pooling.

    Args:
        x: (N, C, H, W).
        kernel_size: (KH, KW).
        stride: cells from one window to the next; None for the kernel size.
        padding: zeros around the input.
        ceil_mode: keep a last window that sticks out of the padded input; what sticks out is never counted.
        count_include_pad: divide by the window's cells with the padding, not by its input cells only.

    Returns:
        (N, C, OH, OW).
    """
    kernels = implementation("avg_pool2d", {"x": x})
    validation.floats("avg_pool2d", x=x)
    validation.axes("avg_pool2d", "x", x, "(N, C, H, W)")
    count_include_pad = options.flag("avg_pool2d", "count_include_pad", count_include_pad)
    y: Array = kernels.avg_pool2d(
        x,
        kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
    return y


@within_memory
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
    """The gradient of `avg_pool2d`: each output's gradient is shared out equally over its window.

    `avg_pool2d` is linear, so this is its adjoint, and `avg_pool2d` is the gradient of this.

    Args:
        grad_output: (N, C, OH, OW).
        input_shape: (N, C, H, W).
        kernel_size: (KH, KW).
        stride: as in `avg_pool2d`.
        padding: as in `avg_pool2d`.
        ceil_mode: as in `avg_pool2d`.
        count_include_pad: as in `avg_pool2d`.

    Returns:
        (N, C, H, W).
    """
    operation = "avg_pool2d_grad"
    kernels = implementation(operation, {"grad_output": grad_output})
    validation.floats(operation, grad_output=grad_output)
    N, C, H, W = validation.shape4(operation, "input_shape", input_shape, "(N, C, H, W)")
    window = pooling_window(operation, (H, W), kernel_size, stride, padding, 1, ceil_mode)
    expected = (N, C, *window.output_size)
    validation.shape(operation, "grad_output", grad_output, expected, f"input_shape={(N, C, H, W)}")
    count_include_pad = options.flag(operation, "count_include_pad", count_include_pad)
    grad_input: Array = kernels.avg_pool2d_grad(
        grad_output,
        (N, C, H, W),
        kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )
    return grad_input


@within_memory
def matmul(a: Array, b: Array, bias: Array | None = None, *, activation: Literal["relu"] | None = None) -> Array:
    """The matrix product of two matrices, to which a bias is added; then the activation.

    Args:
        a: (M, K).
        b: (K, N).
        bias: (N,), or None.
        activation: "relu" or None, applied on the way out.

    Returns:
        (M, N), C-contiguous. On the CPU its bits do not depend on the number of threads.
    """
    kernels = implementation("matmul", {"a": a, "b": b, "bias": bias})
    validation.floats("matmul", a=a, b=b, bias=bias)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ShapeError(
            f"matmul: a and b must be matrices (M, K) and (K, N), got a.shape={a.shape}, b.shape={b.shape}."
        )
    if bias is not None and bias.shape != b.shape[1:]:
        validation.shape("matmul", "bias", bias, b.shape[1:], f"b.shape={b.shape}")
    options.choice("matmul", "activation", activation, (None, "relu"))
    product: Array = kernels.matmul(a, b, bias, activation=activation)
    return product


@within_memory
def relu(x: Array) -> Array:
    """The larger of x and 0, element by element; NaN stays.

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    kernels = implementation("relu", {"x": x})
    validation.floats("relu", x=x)
    y: Array = kernels.relu(x)
    return y


@within_memory
def relu_grad(grad_output: Array, y: Array) -> Array:
    """The gradient of `relu`, passed on where its result is positive: 0 at 0.

    Args:
        grad_output: the gradient of y.
        y: what `relu` returned, of the same shape.

    Returns:
        The gradient of x, of the same shape.
    """
    kernels = implementation("relu_grad", {"grad_output": grad_output, "y": y})
    validation.floats("relu_grad", grad_output=grad_output, y=y)
    if grad_output.shape != y.shape:
        raise ShapeError(
            f"relu_grad: grad_output and y must have one shape, got grad_output.shape={grad_output.shape}, "
            f"y.shape={y.shape}."
        )
    grad_input: Array = kernels.relu_grad(grad_output, y)
    return grad_input


@within_memory
def erf(x: Array) -> Array:
    """The error function, 2 / √π ∫₀ˣ exp(-t²) dt, element by element.

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    kernels = implementation("erf", {"x": x})
    validation.floats("erf", x=x)
    y: Array = kernels.erf(x)
    return y
