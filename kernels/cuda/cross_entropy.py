"""Cross-entropy of softmax and its gradient, with array operations."""

from kernels.layout import array_module
from kernels.types import Array


def softmax_cross_entropy(x: Array, labels: Array) -> tuple[Array, Array]:
    """−ln softmax(x)[label] of each row, and softmax(x)."""
    xp = array_module(x)
    shifted = x - x.max(axis=1, keepdims=True)
    exponentials = xp.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)
    is_class = (labels >= 0) & (labels < x.shape[1])
    index = xp.where(is_class, labels, 0).astype(xp.int64)[:, None]
    losses = xp.log(total[:, 0]) - xp.take_along_axis(shifted, index, axis=1)[:, 0]
    return xp.where(is_class, losses, losses.dtype.type(float("nan"))), exponentials / total


def softmax_cross_entropy_grad(grad_losses: Array, probability: Array, labels: Array) -> Array:
    """(softmax(x) − one_hot(label)) · grad."""
    one_hot = array_module(labels).arange(probability.shape[1]) == labels[:, None]
    dx: Array = (probability - one_hot) * grad_losses[:, None]
    return dx
