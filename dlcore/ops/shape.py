"""Operations that move elements without computing: each gradient is another of them.

The inverse pairs: reshape ↔ reshape, permute ↔ permute, broadcast ↔ sum, take out ↔ put into zeros, concat ↔ slices.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcore import backend
from dlcore.autograd import Function
from dlcore.backend import pointwise
from dlcore.ops.half import narrowed, widened
from kernels import options
from kernels.errors import ArgumentError, DLCoreError, DTypeError, IndexingError, ShapeError
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor

Shape = tuple[int, ...]


def broadcasting(operation: str, function: Callable[..., Array], *operands: Any) -> Array:
    """An element-wise function of arrays and numbers.

    Raises:
        ShapeError: their shapes do not broadcast.
        DTypeError: the function does not take elements of these types.
        ArgumentError: NumPy refuses the values (integers to negative powers).
    """
    try:
        return pointwise(function, *operands)
    except DTypeError as error:
        raise DTypeError(f"{operation}: {error}") from None
    except ValueError as error:
        shapes = [np.shape(operand) for operand in operands]
        if broadcast(*shapes):
            raise ArgumentError(f"{operation}: {error}") from None
        raise ShapeError(f"{operation}: shapes {' and '.join(map(str, shapes))} do not broadcast") from None


def broadcast(*shapes: Shape) -> bool:
    """Whether the shapes broadcast."""
    try:
        np.broadcast_shapes(*shapes)
    except (ValueError, RuntimeError):  # the latter beyond 32 axes
        return False
    return True


def normalize_axis(operation: str, axis: int, ndim: int) -> int:
    """An axis as a number from 0; negative ones count from the end."""
    number = options.whole(operation, "axis", axis)
    if not -ndim <= number < ndim:
        raise ShapeError(f"{operation}: axis {axis} does not fit an array of {ndim} dimensions")
    return number % ndim


class Reshape(Function):
    """The same elements, in logical (row-major) order, under another shape; one length may be -1."""

    is_view = True

    def forward(self, x: Array, *, shape: Shape) -> Array:
        known = math.prod(length for length in shape if length != -1)
        fits = x.size == known if -1 not in shape else known > 0 and x.size % known == 0
        if not fits or min(shape, default=0) < -1 or shape.count(-1) > 1:
            raise ShapeError(f"reshape: an array of shape {x.shape} has {x.size} elements and cannot become {shape}")
        return x.reshape(shape)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return grad_output.reshape(self.edges[0].shape)


class PermuteDims(Function):
    """Axes in another order: a view."""

    is_view = True

    def forward(self, x: Array, *, axes: Shape) -> Array:
        self.axes = tuple(normalize_axis("permute_dims", axis, x.ndim) for axis in axes)
        if sorted(self.axes) != list(range(x.ndim)):
            raise ShapeError(f"permute_dims: axes {axes} are no permutation of the {x.ndim} axes of shape {x.shape}")
        return x.transpose(self.axes)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        inverse = sorted(range(len(self.axes)), key=self.axes.__getitem__)
        return PermuteDims.apply(grad_output, axes=tuple(inverse))


class BroadcastTo(Function):
    """Repeat along new axes and axes of length 1, as a view."""

    is_view = True

    def forward(self, x: Array, *, shape: Shape) -> Array:
        try:
            view: Array = backend.of(x).xp.broadcast_to(x, shape)
        except ValueError:
            raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {shape}") from None
        return view

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return sum_to(grad_output, self.edges[0].shape)


class SumTo(Function):
    """Sum over the axes along which broadcasting from `shape` would repeat."""

    def forward(self, x: Array, *, shape: Shape) -> Array:
        extra = x.ndim - len(shape)
        repeated = [axis + extra for axis, length in enumerate(shape) if length == 1 and x.shape[axis + extra] != 1]
        return backend.total(x, (*range(extra), *repeated), keepdims=True).reshape(shape)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return BroadcastTo.apply(grad_output, shape=self.edges[0].shape)


def sum_to(x: "Tensor", shape: Shape) -> "Tensor":
    """Undo broadcasting: `x` summed down to `shape`."""
    return x if x.shape == shape else SumTo.apply(x, shape=shape)


class GetItem(Function):
    """y = x[index], for every index that NumPy takes: a view for ints and slices, a copy for arrays of places."""

    def forward(self, x: Array, *, index: Any) -> Array:
        parts = index if isinstance(index, tuple) else (index,)
        self.is_view = _is_basic(parts) and not any(isinstance(part, bool) for part in parts)
        # What is written into an array of places after this goes unnoticed: backward has its own.
        self.index = tuple(map(_own, parts)) if True in self.needs_input_grad and not self.is_view else index
        try:
            y: Any = x[index]
            if isinstance(y, np.generic):  # NumPy copies a single element: but this is a view of its memory
                y = x[*(index if isinstance(index, tuple) else (index,)), ...]
        except IndexError as error:
            raise IndexingError(f"indexing: {error} (shape {x.shape})") from None
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, DLCoreError):
                raise
            raise ArgumentError(f"indexing: {error} (index {options.short(index)}, shape {x.shape})") from None
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return PutItem.apply(grad_output, index=self.index, shape=self.edges[0].shape)


def _is_basic(parts: tuple[Any, ...]) -> bool:
    """Whether an index of these parts names each element at most once, without looking into arrays."""
    return all(part is None or part is ... or isinstance(part, (int, np.integer, slice)) for part in parts)


def _own(part: Any) -> Any:
    """A part of an index that nobody else writes into."""
    return deepcopy(part) if isinstance(part, list) else part.copy() if hasattr(part, "dtype") else part


class PutItem(Function):
    """Zeros of `shape` with x added at an index; where an integer index repeats, the values add up."""

    def forward(self, x: Array, *, index: Any, shape: Shape) -> Array:
        self.index = index
        xp = backend.of(x).xp
        parts = index if isinstance(index, tuple) else (index,)
        if _is_basic(parts):
            y: Array = xp.zeros(shape, dtype=x.dtype)
            y[index] = x  # a view of y: nothing repeats
            return y
        values = widened(x)
        total: Array = xp.zeros(shape, dtype=values.dtype)
        xp.add.at(total, index, values)
        return narrowed(total, x.dtype)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return grad_output[self.index]


class Concat(Function):
    """Arrays joined along an axis that exists."""

    def forward(self, *arrays: Array, axis: int) -> Array:
        self.axis = normalize_axis("concat", axis, arrays[0].ndim)
        first = list(arrays[0].shape)
        for number, array in enumerate(arrays):
            shape = list(array.shape)
            if len(shape) != len(first) or shape[: self.axis] + shape[self.axis + 1 :] != (
                first[: self.axis] + first[self.axis + 1 :]
            ):
                raise ShapeError(
                    f"concat: array {number} has shape {array.shape} and the first {arrays[0].shape}; "
                    f"they may differ only along axis {self.axis}"
                )
        joined: Array = backend.of(arrays[0]).xp.concatenate(arrays, axis=self.axis)
        return joined

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", ...]:
        start, gradients = 0, []
        for edge, needed in zip(self.edges, self.needs_input_grad, strict=True):
            stop = start + edge.shape[self.axis]
            gradients.append(grad_output[(slice(None),) * self.axis + (slice(start, stop),)] if needed else None)
            start = stop
        return tuple(gradients)


class AsType(Function):
    """The same values in another dtype; always a new array."""

    def forward(self, x: Array, *, dtype: np.dtype[Any]) -> Array:
        return x.astype(dtype)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return grad_output.astype(self.edges[0].dtype)


class Transfer(Function):
    """The same values on another backend: the one operation that copies between devices."""

    def forward(self, x: Array, *, to: backend.Backend) -> Array:
        self.origin = backend.of(x)
        return to.asarray(x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return Transfer.apply(grad_output, to=self.origin)
