"""Rectification and its gradient, keeping channels-last memory."""

from kernels.layout import array_module, channels_last, from_channels_last
from kernels.types import Array


def relu(x: Array) -> Array:
    """max(x, 0), element by element; NaN stays."""
    xp = array_module(x)
    if x.ndim != 4:
        return xp.maximum(x, 0)
    return from_channels_last(xp.maximum(channels_last(x), 0))


def relu_grad(grad_output: Array, y: Array) -> Array:
    """The gradient where y > 0, else 0."""
    xp = array_module(y)
    if y.ndim != 4:
        return xp.where(y > 0, grad_output, grad_output.dtype.type(0))
    zero = grad_output.dtype.type(0)
    return from_channels_last(xp.where(channels_last(y) > 0, channels_last(grad_output), zero))
