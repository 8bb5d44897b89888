"""Normalization: mean 0 and variance 1, over one set of axes or another."""

import math
from collections.abc import Sequence
from typing import Literal

from dlcore import ops
from dlcore.tensor import Tensor, asarray, operand
from kernels import options
from kernels.errors import ArgumentError, DTypeError, ShapeError


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
    x = operand("batch_norm", "x", x)
    channels = x.shape[1] if x.ndim > 1 else 0
    for name, given in (
        ("weight", weight),
        ("bias", bias),
        ("running_mean", running_mean),
        ("running_var", running_var),
    ):
        if given is not None and operand("batch_norm", name, given).shape != (channels,):
            raise ShapeError(
                f"batch_norm: x has {channels} channels (x.shape={x.shape}) but {name}.shape={given.shape}"
            )
    weight = _filled(x, channels, 1) if weight is None else weight
    bias = _filled(x, channels, 0) if bias is None else bias
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
        momentum = options.number("batch_norm", "momentum", momentum, least=0.0, most=1.0)
        for name, given in (("running_mean", running_mean), ("running_var", running_var)):
            if not isinstance(given, Tensor) or given.dtype.kind in "biu":
                raise DTypeError(f"batch_norm: {name} must be a Tensor of floats, got {options.short(given)}")
            if given.backend.is_host and not given.data.flags.writeable:
                raise ArgumentError(f"batch_norm: {name} is in read-only memory, and cannot be moved")
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
    x = operand("layer_norm", "x", x)
    shape = options.lengths("layer_norm", normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(f"layer_norm: x must end with the axes {shape}, got x.shape={x.shape}")
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and operand("layer_norm", name, given).shape != shape:
            raise ShapeError(f"layer_norm: {name} must have shape {shape}, got {given.shape}")
    weight = _filled(x, shape, 1) if weight is None else weight
    bias = _filled(x, shape, 0) if bias is None else bias
    return ops.LayerNorm.apply(x, weight, bias, eps=eps)


def group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / √(var + ε) · weight + bias, per sample and group of channels.

    Args:
        x: (N, C, …).
        num_groups: divides C.
        weight: (C,), or None for ones.
        bias: (C,), or None for zeros.
        eps: added to the variance.

    Raises:
        ShapeError: shapes do not fit, or `num_groups` does not divide C.

    Source: Wu and He, arXiv:1803.08494.
    """
    x = operand("group_norm", "x", x)
    channels, num_groups = x.shape[1] if x.ndim > 1 else 0, options.whole("group_norm", "num_groups", num_groups)
    if num_groups < 1 or not channels or channels % num_groups:
        raise ShapeError(f"group_norm: num_groups={num_groups} must divide the channels of x.shape={x.shape}")
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and operand("group_norm", name, given).shape != (channels,):
            raise ShapeError(f"group_norm: {name} must have shape ({channels},), got {given.shape}")
    rows = x.reshape((x.shape[0] * num_groups, channels // num_groups * math.prod(x.shape[2:])))
    y = layer_norm(rows, rows.shape[1], eps=eps).reshape(x.shape)
    per_channel = (1, channels, *(1,) * (x.ndim - 2))
    y = y if weight is None else y * asarray(weight).reshape(per_channel)
    return y if bias is None else y + asarray(bias).reshape(per_channel)


def instance_norm(x: Tensor, *, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """(x - mean) / √(var + ε) · weight + bias, per sample and channel: `group_norm` with a group for each channel.

    Source: Ulyanov, Vedaldi and Lempitsky, arXiv:1607.08022.
    """
    x = operand("instance_norm", "x", x)
    return group_norm(x, x.shape[1] if x.ndim > 1 else 0, weight, bias, eps)


def _filled(like: Tensor, shape: int | tuple[int, ...], value: float) -> Tensor:
    """A constant beside a tensor: of its type, on its device."""
    owner = like.backend
    with owner.active_device():
        return Tensor(owner.xp.full(shape, value, like.dtype))
