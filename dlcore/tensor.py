"""Tensor: an array with a memory of how it was computed.

Methods and operators follow NumPy and the array API standard (`axis`, `keepdims`, `permute_dims`, `concat`); what is
specific to differentiation (`backward`, `grad`, `detach`, `requires_grad`) follows PyTorch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcore import autograd, backend, ops
from dlcore.autograd import Function, Version, without_gradient
from dlcore.backend import Backend
from dlcore.ops.shape import broadcasting
from dlcore.protocols import Protocols
from kernels import options
from kernels.errors import ArgumentError, DLCoreError, DTypeError, GraphError, IndexingError, ShapeError
from kernels.types import Array

Axis = int | tuple[int, ...] | None
Operand = Any  # a Tensor, an array of the same backend, or a number


class Tensor(Protocols):
    """An array that can be differentiated through.

    Args:
        data: an array, shared and not copied; lists and numbers become arrays of the active backend. Python floats
            become float32.
        requires_grad: whether `backward` shall leave a gradient in `.grad`.

    Attributes:
        data: the array. Writing into it directly goes unnoticed: autograd does not check it, and a convolution in
            inference may still use what it packed of the old weight. The methods of Tensor (`copy_`, …) are noticed.
        grad: after `backward`, the gradient, of the same shape; None before.
        grad_fn: the operation that computed this tensor; None for a leaf.
    """

    __slots__ = ("__weakref__", "data", "grad", "grad_fn", "requires_grad", "version")

    data: Array
    grad: "Tensor | None"
    grad_fn: Function | None
    requires_grad: bool
    version: Version

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data = as_array(data, None)
        requires_grad = options.flag("Tensor", "requires_grad", requires_grad)
        if requires_grad and self.data.dtype.kind != "f":
            raise DTypeError(f"Tensor: only floating-point tensors can require a gradient, got {self.data.dtype}")
        self.grad = None
        self.grad_fn = None
        self.requires_grad = requires_grad
        self.version = Version()

    @classmethod
    def _wrap(cls, data: Array, grad_fn: Function | None, version: Version) -> "Tensor":
        """An operation's output: no checks, no conversion."""
        tensor = Tensor.__new__(Tensor)
        tensor.data = data
        tensor.grad = None
        tensor.grad_fn = grad_fn
        tensor.requires_grad = grad_fn is not None
        tensor.version = version
        return tensor

    # ---- what it is -------------------------------------------------------------------------------------------------

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation computed it; gradients are kept in leaves."""
        return self.grad_fn is None

    # ---- to and from ------------------------------------------------------------------------------------------------

    def detach(self) -> "Tensor":
        """The same values in the same memory, as a leaf that nothing is differentiated through."""
        return Tensor._wrap(self.data, None, self.version)

    def to(self, choice: str | Backend) -> "Tensor":
        """This tensor on another backend, differentiably; itself if it is there already."""
        target = backend.get(choice)
        return self if self.backend is target else ops.Transfer.apply(self, to=target)

    def astype(self, dtype: npt.DTypeLike) -> "Tensor":
        """The values in another dtype."""
        wanted = options.element_type("astype", dtype)
        if wanted == self.dtype:
            return self
        if wanted.kind != "f":  # integers and booleans carry no gradient
            with self.backend.active_device():
                return without_gradient(self.data.astype(wanted))
        return ops.AsType.apply(self, dtype=wanted)

    # ---- differentiation --------------------------------------------------------------------------------------------

    def backward(
        self, gradient: "Tensor | None" = None, *, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add d self / d leaf to the `.grad` of each leaf; see `dlcore.autograd.backward`."""
        autograd.backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def copy_(self, values: Any) -> "Tensor":
        """Overwrite the values in place, keeping shape, dtype and backend; backward notices."""
        if self.grad_fn is not None:
            raise GraphError("copy_: this tensor was computed; only leaves can be overwritten")
        _refuse_graph("copy_", values)
        array = as_array(values, None, on=self.backend)
        if array.shape != self.shape:
            raise ShapeError(f"copy_: values have shape {array.shape} but the tensor has {self.shape}")
        if self.backend.is_host and not self.data.flags.writeable:
            raise GraphError("copy_: this tensor's memory is read-only; overwrite a copy of it, dl.tensor(…)")
        with self.backend.active_device():
            self.data[...] = array
        self.version.changed()
        return self

    # ---- arithmetic -------------------------------------------------------------------------------------------------

    def __add__(self, other: Operand) -> "Tensor":
        return ops.Add.apply(self, other)

    def __sub__(self, other: Operand) -> "Tensor":
        return ops.Subtract.apply(self, other)

    def __rsub__(self, other: Operand) -> "Tensor":
        return ops.Subtract.apply(other, self)

    def __mul__(self, other: Operand) -> "Tensor":
        return ops.Multiply.apply(self, other)

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> "Tensor":
        return ops.Divide.apply(self, other)

    def __rtruediv__(self, other: Operand) -> "Tensor":
        return ops.Divide.apply(other, self)

    def __pow__(self, other: Operand) -> "Tensor":
        return ops.Power.apply(self, other)

    def __rpow__(self, other: Operand) -> "Tensor":
        return ops.Power.apply(other, self)

    def __floordiv__(self, other: Operand) -> "Tensor":
        return ops.FloorDivide.apply(self, other)

    def __rfloordiv__(self, other: Operand) -> "Tensor":
        return ops.FloorDivide.apply(other, self)

    def __mod__(self, other: Operand) -> "Tensor":
        return ops.Remainder.apply(self, other)

    def __rmod__(self, other: Operand) -> "Tensor":
        return ops.Remainder.apply(other, self)

    def __divmod__(self, other: Operand) -> "tuple[Tensor, Tensor]":
        return self // other, self % other

    def __rdivmod__(self, other: Operand) -> "tuple[Tensor, Tensor]":
        return other // self, other % self

    def __neg__(self) -> "Tensor":
        return ops.Negative.apply(self)

    def __pos__(self) -> "Tensor":
        return self

    def __round__(self, ndigits: int | None = None) -> "Tensor":
        return self.round(ndigits or 0)

    def __matmul__(self, other: Operand) -> "Tensor":
        return matmul(self, other)

    def __rmatmul__(self, other: Operand) -> "Tensor":
        return matmul(other, self)

    # Comparisons have no gradient: they give tensors of booleans. To what is no number, as None, a tensor is not equal.

    def __eq__(self, other: Operand) -> "Tensor":  # type: ignore[override]
        return self._without_gradient("equal", self._listed(other))

    def __ne__(self, other: Operand) -> "Tensor":  # type: ignore[override]
        return self._without_gradient("not_equal", self._listed(other))

    def __lt__(self, other: Operand) -> "Tensor":
        return self._without_gradient("less", other)

    def __le__(self, other: Operand) -> "Tensor":
        return self._without_gradient("less_equal", other)

    def __gt__(self, other: Operand) -> "Tensor":
        return self._without_gradient("greater", other)

    def __ge__(self, other: Operand) -> "Tensor":
        return self._without_gradient("greater_equal", other)

    __hash__ = object.__hash__

    # Of booleans: and, or, either, not; of integers, bit by bit.

    def __and__(self, other: Operand) -> "Tensor":
        return self._without_gradient("bitwise_and", other)

    def __or__(self, other: Operand) -> "Tensor":
        return self._without_gradient("bitwise_or", other)

    def __xor__(self, other: Operand) -> "Tensor":
        return self._without_gradient("bitwise_xor", other)

    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__

    def __invert__(self) -> "Tensor":
        return self._without_gradient("invert")

    def _listed(self, other: Operand) -> Operand:
        """What is compared for equality: lists of numbers as arrays; what cannot be compared as None."""
        if isinstance(other, (list, tuple)):
            try:
                listed = np.asarray(other)
            except (TypeError, ValueError, OverflowError):  # lists of different lengths
                return None
            if not autograd.is_numeric(listed):
                return None
            # As weak as the numbers in it: 0.1 is equal to the float32 nearest to it.
            is_weak = listed.dtype.kind == "f" and self.dtype.kind == "f"
            return self.backend.asarray(listed, self.dtype if is_weak else None)
        return None if isinstance(other, complex) else other

    def _without_gradient(self, name: str, *others: Operand) -> Any:
        """An element-wise function of the array module; NotImplemented where `others` are no numbers."""
        owner = self.backend
        function: Callable[..., Array] = getattr(owner.xp, name)
        arrays = []
        for other in others:
            array = other.data if isinstance(other, Tensor) else other
            array = array.item() if isinstance(array, np.generic) else array  # as weak as in arithmetic
            if hasattr(array, "dtype"):
                backend.common(name, {"self": self.data, "other": array})
            elif isinstance(array, (list, tuple, complex)):
                raise DTypeError(f"{name}: expected a Tensor, an array or a number, got {type(array).__name__}")
            elif not isinstance(array, (bool, int, float)):
                return NotImplemented
            arrays.append(array)
        with owner.active_device():
            return without_gradient(broadcasting(name, function, self.data, *arrays))

    def __getitem__(self, index: Any) -> "Tensor":
        return ops.GetItem.apply(self, index=_of_arrays(index))

    def __setitem__(self, index: Any, values: Operand) -> None:
        """Overwrite the elements at an index in place, in a leaf; backward notices.

        Raises:
            GraphError: the tensor was computed, the values require a gradient, or the memory is read-only.
            DTypeError: the values are no numbers.
            IndexingError, ArgumentError: there is no such element, or this is no index.
            ShapeError, ArgumentError: the values do not fit there, or not into this type.
        """
        if self.grad_fn is not None:
            raise GraphError("x[…] = …: this tensor was computed; only leaves can be overwritten, so use dl.where")
        _refuse_graph("x[…] = …", values)
        array = self._assignable(values)
        if self.backend.is_host and not self.data.flags.writeable:
            raise GraphError("x[…] = …: this tensor's memory is read-only; overwrite a copy of it, dl.tensor(…)")
        place = _of_arrays(index)
        try:
            with self.backend.active_device():
                self.data[place] = array
        except IndexError as error:
            raise IndexingError(f"indexing: {error} (shape {self.shape})") from None
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, DLCoreError):
                raise
            target = self.detach()[index].shape  # says so if it is the index that is wrong
            if not _fits(np.shape(array), target):
                raise ShapeError(
                    f"x[…] = …: values of shape {np.shape(array)} do not fit a place of shape {target} "
                    f"(x.shape={self.shape})"
                ) from None
            raise ArgumentError(f"x[…] = …: {error} (values {options.short(values)}, x is {self.dtype})") from None
        self.version.changed()

    def _assignable(self, values: Operand) -> Any:
        """What is written into elements: a number, or an array on this backend."""
        if isinstance(values, (bool, int, float)):
            return values
        array: Any = values.data if isinstance(values, Tensor) else values
        if isinstance(array, np.generic) and autograd.is_numeric(array):
            return array.item()
        if backend.is_foreign(array):
            array = backend.from_dlpack(array)
        if isinstance(array, (list, tuple)):
            try:
                array = np.asarray(array)
            except (TypeError, ValueError, OverflowError):  # lists of different lengths
                array = None
            if autograd.is_numeric(array):
                return self.backend.asarray(array)
        if not autograd.is_numeric(array):
            raise DTypeError(
                f"x[…] = …: values must be a number, a Tensor or an array of numbers, or lists of equal lengths, got "
                f"{options.short(values)}"
            )
        backend.common("x[…] = …", {"x": self.data, "values": array})
        return array


autograd.register_tensor(Tensor)


def _refuse_graph(operation: str, values: Any) -> None:
    """Values cannot be written where their gradient would be lost.

    Raises:
        GraphError: they require a gradient, and operations are being recorded.
    """
    if isinstance(values, Tensor) and values.requires_grad and autograd.is_grad_enabled():
        raise GraphError(
            f"{operation}: the values require a gradient, which writing in place would lose; build the tensor with "
            "dl.stack or dl.where, or write values.detach()"
        )


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether values of this shape can be written to a place: leading axes of length 1 are dropped, as in NumPy."""
    extra = len(shape) - len(target)
    kept = shape[max(extra, 0) :]
    return all(n == 1 for n in shape[: max(extra, 0)]) and all(
        n in (1, length) for n, length in zip(reversed(kept), reversed(target), strict=False)
    )


def _of_arrays(index: Any) -> Any:
    """An index, or a tuple of them, with arrays for Tensors."""
    if isinstance(index, tuple):
        return tuple(part.data if isinstance(part, Tensor) else part for part in index)
    return index.data if isinstance(index, Tensor) else index


def asarray(data: Any, dtype: npt.DTypeLike | None = None) -> Tensor:
    """A Tensor that shares memory with `data` where it can: an array, on its own backend, of that dtype.

    Other libraries' arrays are taken through DLPack, PyTorch's tensors among them; see `from_dlpack`.
    """
    if isinstance(data, Tensor):
        return data if dtype is None else data.astype(dtype)
    return Tensor(as_array(data, dtype))


# ---- functions of several tensors -----------------------------------------------------------------------------------


def matmul(a: Operand, b: Operand) -> Tensor:
    """The matrix product; a vector on the left is a row, on the right a column, as in NumPy."""
    left, right = asarray(a), asarray(b)
    if not left.ndim or not right.ndim:
        raise ShapeError(f"matmul: expected at least one axis each, got shapes {left.shape} and {right.shape}")
    rows = left if left.ndim > 1 else left.reshape((1, -1))
    columns = right if right.ndim > 1 else right.reshape((-1, 1))
    product = ops.Matmul.apply(rows, columns)
    if left.ndim == 1:
        product = product[..., 0, :]
    return product if right.ndim > 1 else product[..., 0]


def operand(operation: str, name: str, x: Any) -> Tensor:
    """A Tensor as it is, and an array as a constant one: what functions of tensors take.

    Raises:
        DTypeError: it is neither.
    """
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.generic) or not hasattr(x, "dtype"):
        raise DTypeError(f"{operation}: {name} must be a Tensor, got {options.short(x)}; make one with dl.tensor(…)")
    return Tensor(x)


def as_array(data: Any, dtype: npt.DTypeLike | None, on: Backend | None = None) -> Array:
    """`data` as an array: where it lies, or on `on`; lists and numbers go to the active backend."""
    if isinstance(data, Tensor):
        data = data.data
    if backend.is_foreign(data):
        data = backend.from_dlpack(data)
    is_array = hasattr(data, "dtype")
    if dtype is not None:
        dtype = options.element_type("tensor", dtype)
    try:
        values = data if is_array else np.asarray(data, dtype=dtype)
    except (TypeError, ValueError, OverflowError):  # lists of different lengths, or what cannot become `dtype`
        values = np.asarray(None)
    if not autograd.is_numeric(values):
        raise DTypeError(f"expected real numbers (an array, or lists of equal lengths), got {options.short(data)}")
    if is_array:
        owner = on or backend.of(data)
        return owner.asarray(data, dtype)
    if dtype is None and values.dtype == np.float64:
        values = values.astype(np.float32)
    return (on or backend.current()).asarray(values)
