"""`common.gradient`: derivatives from differences (chapter 4)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcore.book.dtypes import as_floats
from kernels.types import Array

__all__ = ["np", "numerical_gradient", "numerical_gradient_2d"]

#: Half the distance of the two points whose difference is taken.
_STEP = 1e-4


def numerical_gradient(f: Callable[[Array], Any], x: Any) -> Array:
    """The derivatives of f at x by central differences.

    One element of x after the other is moved **in place** and put back, so f may also read x from elsewhere: a
    network's loss reads the weight that x is. (Integers cannot be moved by 1e-4; they are copied.)

    Args:
        f: takes x, returns a number.
        x: any shape.

    Returns:
        The derivatives, in the shape and type of x.
    """
    x = as_floats(x)
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        value = x[index]
        try:
            x[index] = float(value) + _STEP
            above = f(x)
            x[index] = float(value) - _STEP
            below = f(x)
        finally:
            x[index] = value
        gradient[index] = (above - below) / (2 * _STEP)
    return gradient


def numerical_gradient_2d(f: Callable[[Array], Any], X: Any) -> Array:
    """The derivatives of f at each row of X; f takes one row. For X with one axis as `numerical_gradient`."""
    X = as_floats(X)
    if X.ndim == 1:
        return numerical_gradient(f, X)
    gradient = np.zeros_like(X)
    for number, row in enumerate(X):
        gradient[number] = numerical_gradient(f, row)
    return gradient
