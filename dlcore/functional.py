"""Functions of tensors, under PyTorch's names, argument order and defaults (`axis` for its `dim`, as in NumPy).

from dlcore import functional as F
"""

from collections.abc import Sequence
from typing import Any, Literal

from dlcore import ops
from dlcore.autograd import is_grad_enabled
from dlcore.tensor import Tensor, asarray
from kernels.errors import ArgumentError, ShapeError
from kernels.geometry import Padding, Size

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "flatten",
    "global_avg_pool2d",
    "global_max_pool2d",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]


# ---- activations ----------------------------------------------------------------------------------------------------


def relu(x: Tensor) -> Tensor:
    """max(x, 0), element by element; its derivative at 0 is 0."""
    return ops.ReLU.apply(x)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ), element by element."""
    return ops.Sigmoid.apply(x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, element by element."""
    return ops.Tanh.apply(x)


def softplus(x: Tensor) -> Tensor:
    """ln(1 + eˣ), element by element, without overflow."""
    return ops.Softplus.apply(x)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """eˣ / Σ eˣ along `axis`, without overflow."""
    return ops.Softmax.apply(x, axis=axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of softmax, x - ln Σ eˣ, along `axis`, without overflow or underflow."""
    return ops.LogSoftmax.apply(x, axis=axis)


# ---- layers ---------------------------------------------------------------------------------------------------------


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: Literal["relu"] | None = None
) -> Tensor:
    """The affine map y = x Wᵀ + b.

    Args:
        x: (…, in_features).
        weight: (out_features, in_features).
        bias: (out_features,), or None.
        activation: "relu", applied on the way out, or None.

    Returns:
        (…, out_features).

    Raises:
        ShapeError: the numbers of features differ.
        DTypeError: the dtypes differ.
    """
    inputs = (x, weight) if bias is None else (x, weight, bias)
    return ops.Linear.apply(*inputs, activation=activation)


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
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    inputs = (x, weight) if bias is None else (x, weight, bias)
    # In inference the weight stays as it is: its packed form is kept with its version.
    keeps = isinstance(weight, Tensor) and not is_grad_enabled()
    packed = weight.version.kept(weight.data) if keeps else None
    return ops.Conv2d.apply(*inputs, activation=activation, packed=packed, **options)


def max_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The maximum of each window of an (N, C, H, W) tensor; `stride` is `kernel_size` unless given."""
    return ops.MaxPool2d.apply(
        x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )


def avg_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of an (N, C, H, W) tensor; `stride` is `kernel_size` unless given."""
    return ops.AvgPool2d.apply(
        x,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )


def global_avg_pool2d(x: Tensor) -> Tensor:
    """The mean of each channel's image: (N, C, H, W) → (N, C, 1, 1)."""
    return avg_pool2d(x, _image_size("global_avg_pool2d", x))


def global_max_pool2d(x: Tensor) -> Tensor:
    """The maximum of each channel's image: (N, C, H, W) → (N, C, 1, 1)."""
    return max_pool2d(x, _image_size("global_max_pool2d", x))


def flatten(x: Tensor, start_axis: int = 1) -> Tensor:
    """All axes from `start_axis` on as one."""
    return x.flatten(start_axis)


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each element zero with probability `p`, the others scaled by 1 / (1 - p); x itself unless `training`.

    Source: Srivastava et al., "Dropout" (JMLR 2014).
    """
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"dropout: p must be a probability from 0 to 1, got {p!r}")
    return ops.Dropout.apply(x, p=p) if training and p > 0 else x


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: Literal["relu"] | None = None,
) -> Tensor:
    """(x - mean) / √(var + ε) · weight + bias, per channel.

    Args:
        x: (N, C) or (N, C, …).
        running_mean: (C,), the mean used when not training; in training, moved towards the batch's in place.
        running_var: (C,), likewise; it is moved towards the unbiased variance.
        weight: (C,), or None for ones.
        bias: (C,), or None for zeros.
        training: use the batch's own mean and variance.
        momentum: how far the running statistics move, from 0 to 1.
        eps: added to the variance.
        activation: "relu" rectifies the result in the same pass over memory.

    Raises:
        ShapeError: in training, a channel has a single value, so that it has no variance; or shapes do not fit.

    Source: Ioffe and Szegedy, arXiv:1502.03167.
    """
    channels = x.shape[1] if x.ndim > 1 else 0
    for name, given in (
        ("weight", weight),
        ("bias", bias),
        ("running_mean", running_mean),
        ("running_var", running_var),
    ):
        if given is not None and given.shape != (channels,):
            raise ShapeError(
                f"batch_norm: x has {channels} channels (x.shape={x.shape}) but {name}.shape={given.shape}"
            )
    weight = Tensor(x.backend.xp.ones(channels, x.dtype)) if weight is None else weight
    bias = Tensor(x.backend.xp.zeros(channels, x.dtype)) if bias is None else bias
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: without training, running_mean and running_var are needed")
        statistics = (running_mean, running_var)
        return ops.BatchNormInference.apply(x, weight, bias, *statistics, eps=eps, activation=activation)
    if x.size <= channels:
        raise ShapeError(
            f"batch_norm: in training, a channel needs more than one value to have a variance, got x.shape={x.shape}; "
            "use larger batches (drop_last=True leaves out a last batch of one) or eval()"
        )
    running = None
    if running_mean is not None and running_var is not None:
        running = (running_mean.data, running_var.data, momentum)
        running_mean.version.changed()
        running_var.version.changed()
    return ops.BatchNorm.apply(x, weight, bias, eps=eps, running=running, activation=activation)


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(var + ε) · weight + bias, per sample.

    Args:
        x: (…, *normalized_shape).
        normalized_shape: the trailing axes of x, over which the mean and the variance are taken.
        weight: of shape normalized_shape, or None for ones.
        bias: of shape normalized_shape, or None for zeros.
        eps: added to the variance.

    Raises:
        ShapeError: shapes do not fit.

    Source: Ba, Kiros and Hinton, arXiv:1607.06450.
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(f"layer_norm: x must end with the axes {shape}, got x.shape={x.shape}")
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and given.shape != shape:
            raise ShapeError(f"layer_norm: {name} must have shape {shape}, got {given.shape}")
    weight = Tensor(x.backend.xp.ones(shape, x.dtype)) if weight is None else weight
    bias = Tensor(x.backend.xp.zeros(shape, x.dtype)) if bias is None else bias
    return ops.LayerNorm.apply(x, weight, bias, eps=eps)


# ---- losses ---------------------------------------------------------------------------------------------------------


def cross_entropy(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """-ln softmax(x)[target], from logits, for one class per row.

    Args:
        x: logits, (N, C).
        target: class indices, integers of shape (N,): a Tensor or an array of x's backend.
        reduction: "mean", "sum" or "none" (one loss per row).

    Raises:
        DataError: a target lies outside the classes (checked on the CPU; a dataset checks its labels when it is made).
        ShapeError, DTypeError: shapes or dtypes do not fit.
    """
    _check_reduction("cross_entropy", reduction)
    return ops.CrossEntropy.apply(x, labels=asarray(target).data, reduction=reduction)


def binary_cross_entropy_with_logits(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """-t ln σ(x) - (1 - t) ln(1 - σ(x)), from logits, computed as softplus(x) - t x, which cannot overflow.

    Args:
        x: logits, any shape.
        target: probabilities (0 … 1) of x's shape.
        reduction: "mean", "sum" or "none".
    """
    target = _beside(x, target)
    _same_shape("binary_cross_entropy_with_logits", x, target)
    return _reduce("binary_cross_entropy_with_logits", softplus(x) - x * target, reduction)


def mse_loss(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """(x - target)²: the mean over all elements, their sum, or each."""
    target = _beside(x, target)
    _same_shape("mse_loss", x, target)
    difference = x - target
    return _reduce("mse_loss", difference * difference, reduction)


def _reduce(name: str, losses: Tensor, reduction: str) -> Tensor:
    _check_reduction(name, reduction)
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f'{name}: reduction must be "mean", "sum" or "none", got {reduction!r}')


def _beside(x: Tensor, target: Any) -> Any:
    """A target as it is, or, of lists and numbers, an array on x's backend."""
    return target if hasattr(target, "dtype") else x.backend.asarray(target, x.dtype)


def _same_shape(name: str, x: Tensor, target: Any) -> None:
    if x.shape != tuple(target.shape):
        raise ShapeError(f"{name}: x and target must have one shape, got {x.shape} and {tuple(target.shape)}")


def _image_size(name: str, x: Tensor) -> Sequence[int]:
    if x.ndim != 4:
        raise ShapeError(f"{name}: expected a tensor of shape (N, C, H, W), got {x.shape}")
    return x.shape[2:]
