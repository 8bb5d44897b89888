"""Batch and layer normalization and their gradients, with array operations."""

import math
from typing import Any, Literal

from kernels.layout import array_module, channels_last, from_channels_last
from kernels.types import Array


def batch_norm(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5, activation: Literal["relu"] | None = None
) -> tuple[Array, Array, Array]:
    """Normalize each channel by its own mean and variance."""
    xp = array_module(x)
    rows = channels_last(x).reshape(-1, x.shape[1])
    mean = rows.mean(axis=0, dtype=xp.float64).astype(x.dtype)
    var = xp.square(rows - mean).mean(axis=0, dtype=xp.float64).astype(x.dtype)
    return batch_norm_inference(x, weight, bias, mean, var, eps=eps, activation=activation), mean, var


def batch_norm_inference(
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    activation: Literal["relu"] | None = None,
) -> Array:
    """Normalize each channel by a given mean and variance."""
    xp = array_module(x)
    y = (channels_last(x) - mean) * (weight * (1 / xp.sqrt(var + eps))) + bias
    return from_channels_last(xp.maximum(y, 0) if activation == "relu" else y)


def batch_norm_grad(
    grad_output: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    activation: Literal["relu"] | None = None,
    constant_statistics: bool = False,
) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias."""
    xp = array_module(x)
    block, dy = channels_last(x), channels_last(grad_output)
    centered, inv_std = block - mean, 1 / xp.sqrt(var + eps)
    if activation == "relu":
        dy = xp.where(centered * (weight * inv_std) + bias > 0, dy, dy.dtype.type(0))
    normalized = centered * inv_std
    axes = tuple(range(x.ndim - 1))
    grad_weight = _total(xp, dy * normalized, axes)
    grad_bias = _total(xp, dy, axes)
    slope = dy
    if not constant_statistics:
        count = math.prod(dy.shape[:-1])
        slope = dy - grad_bias / count - normalized * (grad_weight / count)
    return from_channels_last(weight * inv_std * slope), grad_weight, grad_bias


def layer_norm(x: Array, weight: Array, bias: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Normalize each sample by its own mean and variance."""
    xp = array_module(x)
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    x = xp.ascontiguousarray(x)
    mean = x.mean(axis=axes, keepdims=True)
    var = xp.square(x - mean).mean(axis=axes, keepdims=True)
    y = (x - mean) / xp.sqrt(var + eps) * weight + bias
    lengths = x.shape[: x.ndim - weight.ndim]
    return y, mean.reshape(lengths), var.reshape(lengths)


def layer_norm_grad(
    grad_output: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias."""
    xp = array_module(x)
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    lengths = (*mean.shape, *(1,) * weight.ndim)
    inv_std = 1 / xp.sqrt(var.reshape(lengths) + eps)
    normalized = (xp.ascontiguousarray(x) - mean.reshape(lengths)) * inv_std
    samples = tuple(range(mean.ndim))
    grad_weight, grad_bias = _total(xp, grad_output * normalized, samples), _total(xp, grad_output, samples)
    g = grad_output * weight
    mean_grad = g.mean(axis=axes, keepdims=True)
    mean_product = (g * normalized).mean(axis=axes, keepdims=True)
    return xp.ascontiguousarray(inv_std * (g - mean_grad - normalized * mean_product)), grad_weight, grad_bias


def _total(xp: Any, values: Array, axes: tuple[int, ...]) -> Array:
    """The sum, formed in float64: there may be many values."""
    total: Array = values.sum(axis=axes, dtype=xp.float64).astype(values.dtype)
    return total
