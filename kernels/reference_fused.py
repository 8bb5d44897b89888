"""The fused kernels as naive loops: see `kernels.reference`, which exports them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from kernels import layout
from kernels.philox import philox4x32
from kernels.types import Array


def batch_norm(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5, activation: Literal["relu"] | None = None
) -> tuple[Array, Array, Array]:
    """Normalize each channel by its own mean and variance."""
    mean, var = np.empty_like(weight), np.empty_like(weight)
    for c in range(x.shape[1]):
        values = x[:, c]
        total: Any = 0.0
        squares: Any = 0.0
        for index in np.ndindex(values.shape):
            total += values[index]
        mean[c] = total / values.size
        for index in np.ndindex(values.shape):
            squares += (values[index] - mean[c]) ** 2
        var[c] = squares / values.size
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
    y = _empty_like(x)
    for index in np.ndindex(x.shape):
        c = index[1]
        value = (x[index] - mean[c]) / math.sqrt(var[c] + eps) * weight[c] + bias[c]
        y[index] = 0 if activation == "relu" and value < 0 else value
    return y


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
    """The gradients of x, weight and bias; where ReLU cut, dy is 0."""
    dx, grad_weight, grad_bias = _empty_like(x), np.zeros_like(weight), np.zeros_like(weight)
    dy, normalized = _empty_like(x), _empty_like(x)
    for index in np.ndindex(x.shape):
        c = index[1]
        normalized[index] = (x[index] - mean[c]) / math.sqrt(var[c] + eps)
        was_cut = activation == "relu" and not normalized[index] * weight[c] + bias[c] > 0
        dy[index] = 0 if was_cut else grad_output[index]
        grad_weight[c] += dy[index] * normalized[index]
        grad_bias[c] += dy[index]
    count = x.size // x.shape[1]
    for index in np.ndindex(x.shape):
        c = index[1]
        slope = dy[index]
        if not constant_statistics:
            slope -= grad_bias[c] / count + normalized[index] * grad_weight[c] / count
        dx[index] = weight[c] / math.sqrt(var[c] + eps) * slope
    return dx, grad_weight, grad_bias


def layer_norm(x: Array, weight: Array, bias: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Normalize each sample by its own mean and variance."""
    lengths = x.shape[: x.ndim - weight.ndim]
    y, mean, var = np.empty(x.shape, x.dtype), np.empty(lengths, x.dtype), np.empty(lengths, x.dtype)
    for sample in np.ndindex(lengths):
        total: Any = 0.0
        squares: Any = 0.0
        for i in np.ndindex(weight.shape):
            total += x[sample + i]
        mean[sample] = total / weight.size
        for i in np.ndindex(weight.shape):
            squares += (x[sample + i] - mean[sample]) ** 2
        var[sample] = squares / weight.size
        for i in np.ndindex(weight.shape):
            y[sample + i] = (x[sample + i] - mean[sample]) / math.sqrt(var[sample] + eps) * weight[i] + bias[i]
    return y, mean, var


def layer_norm_grad(
    grad_output: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias."""
    dx, grad_weight, grad_bias = np.empty(x.shape, x.dtype), np.zeros_like(weight), np.zeros_like(weight)
    for sample in np.ndindex(mean.shape):
        std = math.sqrt(var[sample] + eps)
        mean_grad: Any = 0.0
        mean_product: Any = 0.0
        for i in np.ndindex(weight.shape):
            normalized = (x[sample + i] - mean[sample]) / std
            grad_weight[i] += grad_output[sample + i] * normalized
            grad_bias[i] += grad_output[sample + i]
            mean_grad += grad_output[sample + i] * weight[i] / weight.size
            mean_product += grad_output[sample + i] * weight[i] * normalized / weight.size
        for i in np.ndindex(weight.shape):
            normalized = (x[sample + i] - mean[sample]) / std
            dx[sample + i] = (grad_output[sample + i] * weight[i] - mean_grad - normalized * mean_product) / std
    return dx, grad_weight, grad_bias


def softmax_cross_entropy(x: Array, labels: Array) -> tuple[Array, Array]:
    """−ln softmax(x)[label] of each row, and softmax(x)."""
    losses, probability = np.empty(len(x), x.dtype), np.empty(x.shape, x.dtype)
    for n in range(len(x)):
        largest = x[n].max()
        total = 0.0
        for c in range(x.shape[1]):
            total += math.exp(x[n, c] - largest)
        for c in range(x.shape[1]):
            probability[n, c] = math.exp(x[n, c] - largest) / total
        is_class = 0 <= labels[n] < x.shape[1]
        losses[n] = math.log(total) - (x[n, labels[n]] - largest) if is_class else math.nan
    return losses, probability


def softmax_cross_entropy_grad(grad_losses: Array, probability: Array, labels: Array) -> Array:
    """(softmax(x) − one_hot(label)) · grad."""
    dx = np.empty(probability.shape, probability.dtype)
    for n, c in np.ndindex(dx.shape):
        dx[n, c] = (probability[n, c] - (c == labels[n])) * grad_losses[n]
    return dx


def dropout(x: Array, p: float, *, key: int, stream: int = 0, start: int = 0) -> tuple[Array, Array]:
    """Zero with probability p, and divided by 1 − p otherwise; and where it was kept."""
    words = philox4x32(np, x.size, key=key, stream=stream, start=start)
    kept = _empty_like(x, np.bool_)
    # In the order of memory: images as N, H, W, C.
    flat = (kept.transpose(0, 2, 3, 1) if x.ndim == 4 else kept).reshape(-1)
    for i in range(x.size):
        flat[i] = int(words[i]) < round((1.0 - p) * 2**32)
    return dropout_grad(x, kept, p), kept


def dropout_grad(grad_output: Array, kept: Array, p: float) -> Array:
    """The gradient: dy / (1 − p) where x was kept, else 0."""
    dx = _empty_like(grad_output)
    one = grad_output.dtype.type(1)
    scale = one / grad_output.dtype.type(1.0 - p) if p < 1 else one
    for index in np.ndindex(dx.shape):
        dx[index] = grad_output[index] * (scale if kept[index] else 0)
    return dx


def optimizer_step(
    formula: Callable[..., tuple[Any, ...]],
    parameters: Sequence[Sequence[Array]],
    numbers: Sequence[Sequence[float]],
    *,
    weight_decay: float = 0.0,
    shrink: float = 1.0,
) -> None:
    """Call the formula for every element of every parameter."""
    for (w, g, *state), own in zip(parameters, numbers, strict=True):
        for index in np.ndindex(w.shape):
            decayed = g[index] + weight_decay * w[index]
            kept = [array[index] for array in state]
            w[index], *new = formula(w[index] * shrink, decayed, *kept, *own)
            for array, value in zip(state, new, strict=True):
                array[index] = value


def _empty_like(x: Array, dtype: Any = None) -> Array:
    dtype = x.dtype if dtype is None else dtype
    return layout.empty(x.shape, dtype) if x.ndim == 4 else np.empty(x.shape, dtype)
