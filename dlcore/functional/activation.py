"""Activation functions, element by element unless said otherwise."""

import math

from dlcore import ops
from dlcore.array_functions import minimum, where
from dlcore.ops.half import in_float32
from dlcore.tensor import Tensor, operand
from kernels import options


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


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """X where x > 0, else negative_slope · x.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013).
    """
    x = operand("leaky_relu", "x", x)
    negative_slope = options.number("leaky_relu", "negative_slope", negative_slope)
    return where(x > 0, x, x * negative_slope)


@in_float32
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """X where x > 0, else alpha · (eˣ - 1).

    Source: Clevert, Unterthiner and Hochreiter, arXiv:1511.07289.
    """
    x = operand("elu", "x", x)
    alpha = options.number("elu", "alpha", alpha)
    # The minimum keeps eˣ finite where it is not chosen: 0 · ∞ would spoil the gradient.
    return where(x > 0, x, alpha * minimum(x, 0.0).expm1())


@in_float32
def selu(x: Tensor) -> Tensor:
    """Scale · elu(x, alpha), with the constants under which mean 0 and variance 1 are a fixed point.

    Source: Klambauer et al., "Self-normalizing neural networks" (arXiv:1706.02515).
    """
    x = operand("selu", "x", x)
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


@in_float32
def gelu(x: Tensor) -> Tensor:
    """X · Φ(x), with the normal distribution's Φ(x) = (1 + erf(x / √2)) / 2.

    Source: Hendrycks and Gimpel, arXiv:1606.08415.
    """
    x = operand("gelu", "x", x)
    return x * (0.5 + 0.5 * (x * math.sqrt(0.5)).erf())


@in_float32
def silu(x: Tensor) -> Tensor:
    """X · sigmoid(x), also called Swish.

    Source: Elfwing, Uchibe and Doya, arXiv:1702.03118.
    """
    x = operand("silu", "x", x)
    return x * sigmoid(x)


@in_float32
def hardswish(x: Tensor) -> Tensor:
    """X · clip(x + 3, 0, 6) / 6: Swish of straight pieces.

    Source: Howard et al., "Searching for MobileNetV3" (arXiv:1905.02244).
    """
    x = operand("hardswish", "x", x)
    return x * (x + 3.0).clip(0.0, 6.0) * (1.0 / 6.0)
