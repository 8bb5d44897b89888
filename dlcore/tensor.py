"""Tensor: an array with a memory of how it was computed.

Methods and operators follow NumPy and the array API standard (`axis`, `keepdims`, `permute_dims`, `concat`); what is
specific to differentiation (`backward`, `grad`, `detach`, `requires_grad`) follows PyTorch.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcore import autograd, backend, ops
from dlcore.array_methods import ArrayMethods
from dlcore.autograd import Function, Version, without_gradient
from dlcore.backend import Backend
from dlcore.ops.shape import broadcasting
from kernels.errors import DTypeError, GraphError, ShapeError
from kernels.types import Array

Axis = int | tuple[int, ...] | None
Operand = Any  # a Tensor, an array of the same backend, or a number


class Tensor(ArrayMethods):
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
    __array_priority__ = 1000  # array + tensor asks the tensor

    data: Array
    grad: "Tensor | None"
    grad_fn: Function | None
    requires_grad: bool
    version: Version

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data = as_array(data, None)
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

    def __len__(self) -> int:
        if not self.ndim:
            raise ShapeError("len: a tensor of shape () has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[index] for index in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    __array_ufunc__ = None  # array + tensor asks the tensor, instead of making an array of tensors

    def __repr__(self) -> str:
        values = np.array2string(backend.to_numpy(self.data), separator=", ", prefix="tensor(", threshold=100)
        notes = [f"shape={self.shape}", f"dtype={self.dtype}"]
        if self.backend.name != "numpy":
            notes.append(f"backend={self.backend.name}")
        if self.grad_fn is not None:
            notes.append(f"grad_fn={type(self.grad_fn).__name__}")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({values}, {', '.join(notes)})"

    # ---- to and from ------------------------------------------------------------------------------------------------

    def numpy(self) -> npt.NDArray[Any]:
        """A copy of the values as a NumPy array."""
        return np.array(backend.to_numpy(self.data))

    # Other libraries read a tensor without a copy: through DLPack, or where they know only CUDA's older protocol, that.

    def __dlpack__(self, **options: Any) -> Any:
        if self.requires_grad:
            raise GraphError("__dlpack__: other libraries do not see this tensor's graph; hand over x.detach()")
        exported: Any = self.data
        return exported.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        exported: Any = self.data
        return exported.__dlpack_device__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        exported: Any = self.data
        return exported.__cuda_array_interface__

    def item(self) -> Any:
        """The value of a tensor of one element, as a Python number; waits for the device if there is one."""
        if self.size != 1:
            raise ShapeError(f"item: expected a tensor of one element, got shape {self.shape}")
        return self.data.item()

    def detach(self) -> "Tensor":
        """The same values in the same memory, as a leaf that nothing is differentiated through."""
        return Tensor._wrap(self.data, None, self.version)

    def to(self, choice: str | Backend) -> "Tensor":
        """This tensor on another backend, differentiably; itself if it is there already."""
        target = backend.get(choice)
        return self if self.backend is target else ops.Transfer.apply(self, to=target)

    def astype(self, dtype: npt.DTypeLike) -> "Tensor":
        """The values in another dtype."""
        wanted = np.dtype(dtype)
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
        array = values.data if isinstance(values, Tensor) else values
        array = self.backend.asarray(array)
        if array.shape != self.shape:
            raise ShapeError(f"copy_: values have shape {array.shape} but the tensor has {self.shape}")
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

    def __neg__(self) -> "Tensor":
        return ops.Negative.apply(self)

    def __matmul__(self, other: Operand) -> "Tensor":
        return matmul(self, other)

    def __rmatmul__(self, other: Operand) -> "Tensor":
        return matmul(other, self)

    # Comparisons have no gradient: they give tensors of booleans.

    def __eq__(self, other: Operand) -> "Tensor":  # type: ignore[override]
        return self._compare("equal", other)

    def __ne__(self, other: Operand) -> "Tensor":  # type: ignore[override]
        return self._compare("not_equal", other)

    def __lt__(self, other: Operand) -> "Tensor":
        return self._compare("less", other)

    def __le__(self, other: Operand) -> "Tensor":
        return self._compare("less_equal", other)

    def __gt__(self, other: Operand) -> "Tensor":
        return self._compare("greater", other)

    def __ge__(self, other: Operand) -> "Tensor":
        return self._compare("greater_equal", other)

    __hash__ = object.__hash__

    def _compare(self, name: str, other: Operand) -> "Tensor":
        owner = self.backend
        function: Callable[..., Array] = getattr(owner.xp, name)
        array = other.data if isinstance(other, Tensor) else other.item() if isinstance(other, np.generic) else other
        if hasattr(array, "dtype"):
            backend.common(name, {"self": self.data, "other": array})
        with owner.active_device():
            return without_gradient(broadcasting(name, function, self.data, array))

    def __getitem__(self, index: Any) -> "Tensor":
        parts = index if isinstance(index, tuple) else (index,)
        arrays = tuple(part.data if isinstance(part, Tensor) else part for part in parts)
        return ops.GetItem.apply(self, index=arrays if isinstance(index, tuple) else arrays[0])


autograd.register_tensor(Tensor)


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


def as_array(data: Any, dtype: npt.DTypeLike | None, on: Backend | None = None) -> Array:
    """`data` as an array: where it lies, or on `on`; lists and numbers go to the active backend."""
    if isinstance(data, Tensor):
        data = data.data
    if backend.is_foreign(data):
        data = backend.from_dlpack(data)
    is_array = hasattr(data, "dtype")
    try:
        values = data if is_array else np.asarray(data, dtype=dtype)
    except (TypeError, ValueError):  # lists of different lengths, or what cannot become `dtype`
        values = np.asarray(None)
    if values.dtype.kind not in "biuf":
        raise DTypeError(f"expected real numbers (an array, or lists of equal lengths), got {data!r:.60}")
    if is_array:
        owner = on or backend.of(data)
        return owner.asarray(data, dtype)
    if dtype is None and values.dtype == np.float64:
        values = values.astype(np.float32)
    return (on or backend.current()).asarray(values)
