"""The methods of Tensor that NumPy's arrays and the array API standard have, besides the operators.

They are a class of their own, from which Tensor derives, so that `tensor.py` shows what a tensor is, and this file what
can be computed with it. Axes count from 0, negative ones from the end; `axis=None` means all of them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcore import backend, ops
from dlcore.autograd import without_gradient
from dlcore.backend import Backend
from dlcore.ops.half import in_float32
from dlcore.ops.reduction import normalize_axes
from dlcore.ops.shape import normalize_axis
from kernels import options
from kernels.errors import ArgumentError, ShapeError
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor

Axis = int | tuple[int, ...] | None

#: Beyond it is no finite float32.
_LARGEST = 3.0e38


class ArrayMethods:
    """What is computed from one array: element by element, over axes, or by moving elements."""

    __slots__ = ()

    data: Array

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self.data.dtype

    @property
    def backend(self) -> Backend:
        """The backend that owns the data."""
        return backend.of(self.data)

    # ---- functions of each element ----------------------------------------------------------------------------------

    def exp(self) -> "Tensor":
        """The exponential of each element."""
        return ops.Exp.apply(self)

    def log(self) -> "Tensor":
        """The natural logarithm of each element."""
        return ops.Log.apply(self)

    def sqrt(self) -> "Tensor":
        """The square root of each element."""
        return ops.Sqrt.apply(self)

    def tanh(self) -> "Tensor":
        """The hyperbolic tangent of each element."""
        return ops.Tanh.apply(self)

    def log1p(self) -> "Tensor":
        """ln(1 + x) of each element, exact near 0."""
        return ops.Log1p.apply(self)

    def expm1(self) -> "Tensor":
        """eˣ - 1 of each element, exact near 0."""
        return ops.Expm1.apply(self)

    def sin(self) -> "Tensor":
        """The sine of each element, in radians."""
        return ops.Sin.apply(self)

    def cos(self) -> "Tensor":
        """The cosine of each element, in radians."""
        return ops.Cos.apply(self)

    def erf(self) -> "Tensor":
        """The error function of each element, 2 / √π ∫₀ˣ exp(-t²) dt."""
        return ops.Erf.apply(self)

    def abs(self) -> "Tensor":
        """The absolute value of each element; derivative 0 at 0."""
        return ops.Abs.apply(self)

    __abs__ = abs

    def sign(self) -> "Tensor":
        """-1, 0 or 1 for each element; derivative 0."""
        return ops.Sign.apply(self)

    def floor(self) -> "Tensor":
        """The greatest integer that is not above each element; derivative 0."""
        return ops.Floor.apply(self)

    @in_float32
    def round(self, decimals: int = 0) -> "Tensor":
        """Each element at the nearest number with so many decimals, of two the even one; derivative 0.

        Negative decimals round to tens, hundreds, …; integers stay integers.
        """
        decimals = options.whole("round", "decimals", decimals, least=-30, most=30)
        if decimals < 0 and self.dtype.kind in "iu":
            with self.backend.active_device():
                return without_gradient(_to_multiples(self.data, 10**-decimals))
        if not decimals or self.dtype.kind in "biu":
            return ops.Round.apply(self)
        scale = 10.0 ** abs(decimals)  # a power of ten from 1 on is exact, up to 10²²
        if decimals < 0:
            return ops.Round.apply(ops.Divide.apply(self, scale)) * scale
        return ops.Round.apply(ops.Multiply.apply(self, scale)) / scale

    def clip(self, low: Any = None, high: Any = None) -> "Tensor":
        """Each element brought into [low, high]; derivative 1 inside and at the bounds, else 0.

        Args:
            low: the least: a number, or for each element an array or Tensor, which gets the gradient of what it
                replaces; None for no bound.
            high: the greatest, alike.

        Raises:
            ArgumentError: both are None, or one is no number.
            ShapeError: the shape of a bound does not broadcast.
        """
        if low is None and high is None:
            raise ArgumentError("clip: expected low, high or both, got neither")
        low, high = _bound(self, "low", low), _bound(self, "high", high)
        has_integers = self.dtype.kind in "iu"
        if all(not hasattr(bound, "dtype") and not (has_integers and type(bound) is float) for bound in (low, high)):
            return ops.Clip.apply(self, low=low, high=high)
        clipped = self if low is None else ops.Maximum.apply(self, low)
        return clipped if high is None else ops.Minimum.apply(clipped, high)  # type: ignore[return-value]

    def sigmoid(self) -> "Tensor":
        """1 / (1 + e⁻ˣ) of each element."""
        return ops.Sigmoid.apply(self)

    def relu(self) -> "Tensor":
        """max(x, 0) of each element; derivative 0 at 0."""
        return ops.ReLU.apply(self)

    # ---- reductions -------------------------------------------------------------------------------------------------

    def sum(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The sum over `axis` (one, several, or all)."""
        return ops.Sum.apply(self, axis=axis, keepdims=keepdims)

    @in_float32
    def mean(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The mean over `axis` (one, several, or all)."""
        total = self.sum(axis, keepdims)
        return total / (self.size / total.size if total.size else 0.0)

    def max(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The maximum over `axis`; its gradient goes to the first of equals."""
        return ops.Max.apply(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The minimum over `axis`; its gradient goes to the first of equals."""
        return -ops.Max.apply(ops.Negative.apply(self), axis=axis, keepdims=keepdims)

    @in_float32
    def var(self, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> "Tensor":
        """The variance over `axis`: mean squares of deviations, divided by their number less `correction`."""
        correction = options.number("var", "correction", correction)
        centered = self - self.mean(axis, keepdims=True)
        squares = (centered * centered).sum(axis, keepdims)
        count = self.size / squares.size if squares.size else 0.0
        if count <= correction:
            raise ShapeError(f"var: {count:g} values and correction={correction} leave none (shape {self.shape})")
        return squares / (count - correction)

    @in_float32
    def std(self, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> "Tensor":
        """The standard deviation over `axis`: the root of `var`."""
        return self.var(axis, correction, keepdims).sqrt()

    @in_float32
    def prod(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The product over `axis`, multiplied pairwise, so that zeros have derivatives too."""
        axes, keepdims = normalize_axes("prod", axis, self.ndim), options.flag("prod", "keepdims", keepdims)
        kept = tuple(a for a in range(self.ndim) if a not in axes)
        rows = self.permute_dims(kept + axes).reshape((*(self.shape[a] for a in kept), -1))
        while (count := rows.shape[-1]) > 1:
            pairs = rows[..., : count - count % 2 : 2] * rows[..., 1::2]
            rows = pairs if count % 2 == 0 else ops.Concat.apply(pairs, rows[..., count - 1 :], axis=-1)
        shape = tuple(1 if a in axes else n for a, n in enumerate(self.shape)) if keepdims else rows.shape[:-1]
        return rows.reshape(shape)

    def cumsum(self, axis: int = 0) -> "Tensor":
        """Sums of the elements so far along `axis`."""
        return ops.CumSum.apply(self, axis=axis)

    @in_float32
    def logsumexp(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """Ln Σ eˣ over `axis`, without overflow."""
        axes, keepdims = normalize_axes("logsumexp", axis, self.ndim), options.flag("logsumexp", "keepdims", keepdims)
        if any(not self.shape[a] for a in axes):
            raise ShapeError(f"logsumexp: axis {axis} of shape {self.shape} is empty")
        with self.backend.active_device():
            top = without_gradient(self.data.max(axis=axes, keepdims=True)).clip(-_LARGEST, _LARGEST)  # -∞ - -∞ is NaN
        logarithm = (self - top).exp().sum(axes, keepdims=True).log() + top
        return logarithm if keepdims else logarithm.squeeze(axes)

    def argmax(self, axis: int | None = None) -> "Tensor":
        """The position of the maximum along `axis` (of the flattened tensor for None): integers, no gradient."""
        along = None if axis is None else normalize_axis("argmax", axis, self.ndim)
        if not (self.size if along is None else self.shape[along]):
            raise ShapeError(f"argmax: there is none along axis {axis} of shape {self.shape}: it is empty")
        with self.backend.active_device():
            return without_gradient(self.data.argmax(axis=along))

    def argmin(self, axis: int | None = None) -> "Tensor":
        """The position of the minimum along `axis` (of the flattened tensor for None): integers, no gradient."""
        along = None if axis is None else normalize_axis("argmin", axis, self.ndim)
        if not (self.size if along is None else self.shape[along]):
            raise ShapeError(f"argmin: there is none along axis {axis} of shape {self.shape}: it is empty")
        with self.backend.active_device():
            return without_gradient(self.data.argmin(axis=along))

    def any(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """Whether an element over `axis` is not 0 or False: booleans, no gradient."""
        axes = normalize_axes("any", axis, self.ndim)
        with self.backend.active_device():
            return without_gradient(self.data.any(axis=axes, keepdims=keepdims))

    def all(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """Whether no element over `axis` is 0 or False: booleans, no gradient."""
        axes = normalize_axes("all", axis, self.ndim)
        with self.backend.active_device():
            return without_gradient(self.data.all(axis=axes, keepdims=keepdims))

    def softmax(self, axis: int = -1) -> "Tensor":
        """eˣ / Σ eˣ along `axis`, without overflow."""
        return ops.Softmax.apply(self, axis=axis)

    def log_softmax(self, axis: int = -1) -> "Tensor":
        """The logarithm of `softmax`, without overflow or underflow."""
        return ops.LogSoftmax.apply(self, axis=axis)

    # ---- shape ------------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> "Tensor":
        """The same elements under another shape; one length may be -1."""
        return ops.Reshape.apply(self, shape=lengths_of(shape))

    def flatten(self, start_axis: int = 0) -> "Tensor":
        """All axes from `start_axis` on as one."""
        kept = self.shape[: normalize_axis("flatten", start_axis, max(self.ndim, 1))]
        return self.reshape((*kept, int(np.prod(self.shape[len(kept) :], dtype=np.int64))))

    def squeeze(self, axis: Axis = None) -> "Tensor":
        """Without axes of length 1: those named, or all of them."""
        axes = tuple(a for a in range(self.ndim) if self.shape[a] == 1) if axis is None else axis
        dropped = normalize_axes("squeeze", axes, self.ndim)
        for a in dropped:
            if self.shape[a] != 1:
                raise ShapeError(f"squeeze: axis {a} of shape {self.shape} has length {self.shape[a]}, not 1")
        return self.reshape(tuple(n for a, n in enumerate(self.shape) if a not in dropped))

    def expand_dims(self, axis: int = 0) -> "Tensor":
        """With a new axis of length 1 at this position."""
        position = normalize_axis("expand_dims", axis, self.ndim + 1)
        return self.reshape((*self.shape[:position], 1, *self.shape[position:]))

    def permute_dims(self, axes: Sequence[int]) -> "Tensor":
        """The axes in another order."""
        return ops.PermuteDims.apply(self, axes=tuple(options.items("permute_dims", "axes", axes, "ints")))

    def broadcast_to(self, shape: Sequence[int]) -> "Tensor":
        """Repeated along axes of length 1 and new leading axes."""
        return ops.BroadcastTo.apply(self, shape=options.lengths("broadcast_to", shape))

    @property
    def T(self) -> "Tensor":  # noqa: N802 (NumPy's name)
        """The axes in reverse order."""
        return self.permute_dims(range(self.ndim)[::-1])

    @property
    def mT(self) -> "Tensor":  # noqa: N802 (the array API's name)
        """The last two axes exchanged: each matrix transposed."""
        if self.ndim < 2:
            raise ShapeError(f"mT: expected at least 2 axes, got shape {self.shape}")
        return self.permute_dims((*range(self.ndim - 2), self.ndim - 1, self.ndim - 2))


def lengths_of(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as several integers, or as one tuple, list or array of them."""
    lengths = options.one_or_several(shape[0]) if len(shape) == 1 else shape
    return tuple(options.whole("shape", "each length", length) for length in lengths)


def _to_multiples(x: Array, unit: int) -> Array:
    """Each integer at the nearest multiple of `unit`, of two the even one: exact, as floats would not be."""
    if unit > np.iinfo(x.dtype).max:
        return x * 0
    quotient, remainder = x // unit, x % unit  # the remainder is never negative
    rest = unit - remainder
    is_up = (remainder > rest) | ((remainder == rest) & (quotient % 2 == 1))
    return (quotient + is_up) * unit


def _bound(x: ArrayMethods, name: str, bound: Any) -> Any:
    """A bound of `clip`: None, a number (an int for integers), or an array or Tensor of bounds."""
    value = bound if getattr(bound, "requires_grad", False) else options.plain(bound)
    if value is None or hasattr(value, "dtype"):
        return value
    return value if x.dtype.kind in "iu" and type(value) is int else options.number("clip", name, value)
