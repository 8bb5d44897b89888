"""Sums and maxima over axes, and softmax, which is made of both.

Among equals the maximum, and so its gradient, belongs to the first.
"""

import math
from typing import TYPE_CHECKING

from dlcore import backend
from dlcore.autograd import Function
from dlcore.backend import pointwise
from dlcore.ops.half import narrowed, widened
from dlcore.ops.shape import BroadcastTo, normalize_axis
from kernels import options
from kernels.errors import DTypeError, ShapeError
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor

Axis = int | tuple[int, ...] | None


def normalize_axes(operation: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    """Axes as sorted numbers from 0; None means all of them."""
    if axis is None:
        return tuple(range(ndim))
    given = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    axes = sorted({normalize_axis(operation, a, ndim) for a in given})
    if len(axes) != len(given):
        raise ShapeError(f"{operation}: axis {axis} names an axis twice")
    return tuple(axes)


class Sum(Function):
    """The sum over some axes."""

    def forward(self, x: Array, *, axis: Axis, keepdims: bool) -> Array:
        self.axes, keepdims = normalize_axes("sum", axis, x.ndim), options.flag("sum", "keepdims", keepdims)
        return backend.total(x, self.axes, keepdims)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return _spread(grad_output, self.axes, self.edges[0].shape)


class Max(Function):
    """The maximum over some axes; NaN where one of them is NaN."""

    def forward(self, x: Array, *, axis: Axis, keepdims: bool) -> Array:
        self.axes = axes = normalize_axes("max", axis, x.ndim)
        keepdims = options.flag("max", "keepdims", keepdims)
        if any(x.shape[a] == 0 for a in axes):
            raise ShapeError(f"max: no maximum over axis {axis} of an array of shape {x.shape}: it is empty")
        xp = backend.of(x).xp
        kept = tuple(a for a in range(x.ndim) if a not in axes)
        # The reduced axes as one, last.
        rows = x.transpose(kept + axes).reshape([*(x.shape[a] for a in kept), math.prod(x.shape[a] for a in axes)])
        first = rows.argmax(axis=-1)[..., None]
        if self.needs_input_grad[:1] == (True,):
            one_hot = xp.arange(rows.shape[-1]) == first
            unpermuted = sorted(range(x.ndim), key=(kept + axes).__getitem__)
            self.mask = one_hot.reshape([x.shape[a] for a in kept + axes]).transpose(unpermuted)
        y: Array = xp.take_along_axis(rows, first, axis=-1)
        return y.reshape([1 if a in axes else n for a, n in enumerate(x.shape)] if keepdims else y.shape[:-1])

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return _spread(grad_output, self.axes, self.edges[0].shape) * self.mask


class CumSum(Function):
    """Sums of the elements so far along one axis; the gradient sums from the end."""

    def forward(self, x: Array, *, axis: int) -> Array:
        self.axis = normalize_axis("cumsum", axis, x.ndim)
        return narrowed(widened(x).cumsum(axis=self.axis), x.dtype)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        from_the_end = (slice(None),) * self.axis + (slice(None, None, -1),)
        return CumSum.apply(grad_output[from_the_end], axis=self.axis)[from_the_end]


class Softmax(Function):
    """y = eˣ / Σ eˣ along one axis; the Jacobian is diag(y) - y yᵀ."""

    def forward(self, x: Array, *, axis: int) -> Array:
        self.axis = axis = _filled_axis("softmax", axis, x)
        wide = widened(x)
        e = pointwise(backend.of(x).xp.exp, wide - wide.max(axis=axis, keepdims=True))
        y = narrowed(e / backend.total(e, axis, keepdims=True), x.dtype)
        self.save(y)
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (y,) = self.saved
        return y * (grad_output - (grad_output * y).sum(axis=self.axis, keepdims=True))


class LogSoftmax(Function):
    """y = x - ln Σ eˣ along one axis, without overflow."""

    def forward(self, x: Array, *, axis: int) -> Array:
        self.axis = axis = _filled_axis("log_softmax", axis, x)
        y = log_softmax(x, axis)
        self.save(y)
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (y,) = self.saved
        return grad_output - y.exp() * grad_output.sum(axis=self.axis, keepdims=True)


def log_softmax(x: Array, axis: int) -> Array:
    """The same on arrays."""
    xp, wide = backend.of(x).xp, widened(x)
    shifted = wide - wide.max(axis=axis, keepdims=True)
    return narrowed(shifted - xp.log(backend.total(xp.exp(shifted), axis, keepdims=True)), x.dtype)


def _filled_axis(operation: str, axis: int, x: Array) -> int:
    """The axis, as a number from 0, if there are numbers along it.

    Raises:
        ShapeError: it has length 0.
        DTypeError: there are booleans.
    """
    along = normalize_axis(operation, axis, x.ndim)
    if not x.shape[along]:
        raise ShapeError(f"{operation}: axis {axis} of shape {x.shape} is empty")
    if x.dtype.kind == "b":
        raise DTypeError(f"{operation}: expected numbers, got booleans; convert them with .astype(…)")
    return along


def _spread(reduced: "Tensor", axes: tuple[int, ...], shape: tuple[int, ...]) -> "Tensor":
    """Put the reduced axes back, and repeat along them."""
    kept = reduced.reshape(tuple(1 if axis in axes else length for axis, length in enumerate(shape)))
    return BroadcastTo.apply(kept, shape=shape)
