"""`common.functions`: activation functions and losses (chapters 3 and 4)."""

from typing import Any

import numpy as np

from dlcore.book.dtypes import as_floats
from kernels.types import Array

# Scripts that say `from common.functions import *` count on `np`, too.
__all__ = [
    "cross_entropy_error",
    "identity_function",
    "mean_squared_error",
    "np",
    "relu",
    "relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "softmax",
    "softmax_loss",
    "step_function",
    "sum_squared_error",
]

#: Added to probabilities before their logarithm is taken.
_LEAST_PROBABILITY = 1e-7


def identity_function(x: Any) -> Any:
    """The input itself: the output activation of regression."""
    return x


def step_function(x: Any) -> Array:
    """1 where x is positive, else 0: integers of x's shape."""
    return np.array(np.asarray(x) > 0, dtype=int)


def sigmoid(x: Any) -> Array:
    """1 / (1 + e^−x), element by element; 0 where e^−x is too large for a number."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-as_floats(x)))


def sigmoid_grad(x: Any) -> Array:
    """The derivative of `sigmoid` at x."""
    y = sigmoid(x)
    return (1.0 - y) * y


def relu(x: Any) -> Array:
    """The larger of 0 and x, element by element."""
    return np.maximum(0, x)


def relu_grad(x: Any) -> Array:
    """The book's derivative of `relu` at x: 1 where x ≥ 0, so 1 at 0 itself."""
    x = np.asarray(x)
    return np.where(x >= 0, x.dtype.type(1), x.dtype.type(0))


def softmax(x: Any) -> Array:
    """e^x, divided by its sum along the last axis. The largest x is subtracted first, so nothing overflows."""
    x = as_floats(x)
    powers = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return powers / np.sum(powers, axis=-1, keepdims=True)


def sum_squared_error(y: Any, t: Any) -> Any:
    """Half the sum of squared differences, not divided by the number of samples."""
    return 0.5 * np.sum((as_floats(y) - as_floats(t)) ** 2)


def mean_squared_error(y: Any, t: Any) -> Any:
    """The name that older printings have for `sum_squared_error`."""
    return sum_squared_error(y, t)


def cross_entropy_error(y: Any, t: Any) -> Any:
    """The mean of −ln(y + 1e-7) at the right classes.

    Args:
        y: probabilities, (N, classes), or (classes,) for one sample.
        t: the right classes, as indices (N,), or as rows with a 1 at the class, in the shape of y.
    """
    y, t = np.asarray(y), np.asarray(t)
    y = y.reshape(-1, y.shape[-1])
    classes = t.reshape(y.shape).argmax(axis=1) if t.size == y.size else t.reshape(-1)
    return -np.sum(np.log(y[np.arange(len(y)), classes] + _LEAST_PROBABILITY)) / len(y)


def softmax_loss(X: Any, t: Any) -> Any:
    """`cross_entropy_error` of `softmax`: X are scores, (N, classes) or (classes,)."""
    return cross_entropy_error(softmax(X), t)
