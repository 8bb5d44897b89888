"""How a tensor behaves as a Python object: as a sequence, a number, text, NumPy's input, a copy, a pickle.

They are a class of their own, on which Tensor builds, so that `tensor.py` shows what a tensor is.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dlcore import backend
from dlcore.array_methods import ArrayMethods
from dlcore.autograd import Function, Version
from kernels.errors import BackendMismatchError, DTypeError, GraphError, ShapeError, UnsizedError
from kernels.shortage import within_memory
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class Protocols(ArrayMethods):
    """What Python, NumPy and other libraries ask of a value."""

    __slots__ = ()

    grad: "Tensor | None"
    grad_fn: Function | None
    requires_grad: bool
    version: Version

    # ---- a sequence of rows -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if not self.ndim:
            raise UnsizedError("len: a tensor of shape () has no length, and no rows to go through")
        return self.shape[0]

    def __iter__(self) -> Iterator["Tensor"]:
        rows: Any = self
        return (rows[index] for index in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        found: Any = self == value
        return found is not False and bool(found.any())

    # ---- a number, of one element; on a GPU that waits for the device ------------------------------------------------

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(f"bool: a tensor of shape {self.shape} is not one truth value; use .any() or .all()")
        return bool(self.data)

    def __float__(self) -> float:
        return float(self._only_element("float"))

    def __int__(self) -> int:
        return int(self._only_element("int"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(f"an index must be an integer, but the tensor is {self.dtype}")
        return int(self._only_element("index"))

    def _only_element(self, operation: str) -> Any:
        if self.size != 1:
            raise ShapeError(f"{operation}: expected a tensor of one element, got shape {self.shape}")
        return self.data.item()

    def item(self) -> Any:
        """The value of a tensor of one element, as a Python number; waits for the device if there is one."""
        return self._only_element("item")

    # ---- text -------------------------------------------------------------------------------------------------------

    def __format__(self, specification: str) -> str:
        if not self.ndim or (specification and self.size == 1):
            return format(self.item(), specification)
        if specification:
            raise ShapeError(f"format: {specification!r} is for tensors of one element, got shape {self.shape}")
        return repr(self)

    def __repr__(self) -> str:
        values = _printed(self.data)
        notes = [f"shape={self.shape}", f"dtype={self.dtype}"]
        if self.backend.name != "numpy":
            notes.append(f"backend={self.backend.name}")
        if self.grad_fn is not None:
            notes.append(f"grad_fn={type(self.grad_fn).__name__}")
        elif self.requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({values}, {', '.join(notes)})"

    # ---- an array ---------------------------------------------------------------------------------------------------

    @within_memory
    def numpy(self) -> npt.NDArray[Any]:
        """A copy of the values as a NumPy array; of a tensor that requires a gradient, too."""
        values = backend.to_numpy(self.data)
        return np.array(values) if values is self.data else values

    def tolist(self) -> Any:
        """The values as Python numbers, in nested lists; of a tensor without axes the number itself."""
        return self.data.tolist()

    # NumPy's operators leave array + tensor to the tensor. Its functions refuse a tensor, as their results would have
    # lost the gradient: np.exp(t) is written t.exp(), or np.exp(t.numpy()).
    __array_ufunc__ = None

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """For np.asarray: a copy of the values, without the graph; with copy=False, the very memory."""
        if not self.backend.is_host:
            raise BackendMismatchError(
                f"np.asarray: the tensor is on {self.backend.name}, and nothing is copied between devices silently; "
                "x.numpy() makes a copy"
            )
        return np.array(self.data, dtype=dtype, copy=copy is not False)

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

    # ---- copies and pickles -----------------------------------------------------------------------------------------

    def __copy__(self) -> Any:
        """Another tensor with the same memory, gradient and graph."""
        twin = type(self).__new__(type(self))
        for name in _PARTS:
            setattr(twin, name, getattr(self, name))
        getattr(twin, "__dict__", {}).update(getattr(self, "__dict__", {}))  # what subclasses add
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A leaf of its own: its memory on the same device and in the same order, its gradient."""
        self._refuse_if_computed("deepcopy")
        twin = memo[id(self)] = self.__copy__()
        owner = self.backend
        if id(self.data) not in memo:
            with owner.active_device():
                memo[id(self.data)] = owner.xp.array(self.data)
        twin.data = memo[id(self.data)]
        twin.grad = deepcopy(self.grad, memo)
        twin.version = deepcopy(self.version, memo)
        getattr(twin, "__dict__", {}).update(deepcopy(getattr(self, "__dict__", {}), memo))
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds of a leaf: the values in host memory, and the backend to which they return."""
        self._refuse_if_computed("pickle")
        order = sorted(range(self.ndim), key=lambda axis: -abs(self.data.strides[axis]))  # as they lie in memory
        return {
            "values": backend.to_numpy(self.data.transpose(order)),
            "order": order,
            "backend": self.backend.name,
            "parts": {name: getattr(self, name) for name in _PARTS if name != "data"},
            "others": getattr(self, "__dict__", {}),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        owner, order = backend.get(state["backend"]), state["order"]
        data = owner.asarray(state["values"]).transpose(sorted(range(len(order)), key=order.__getitem__))
        for name, value in {"data": data, **state["parts"]}.items():
            setattr(self, name, value)
        getattr(self, "__dict__", {}).update(state["others"])

    def _refuse_if_computed(self, operation: str) -> None:
        if self.grad_fn is not None:
            raise GraphError(
                f"{operation}: this tensor was computed (grad_fn={type(self.grad_fn).__name__}) and its graph is not "
                "copied; take x.detach()"
            )


#: The attributes of a tensor.
_PARTS = ("data", "grad", "grad_fn", "requires_grad", "version")

#: Up to so many elements are printed; of more, so many at both ends of each axis.
_PRINTED, _EDGE = 100, 3


def _printed(x: Array) -> str:
    """The values as text. Of a large array only what is shown is looked at, and copied from a device."""
    is_abbreviated = x.size > _PRINTED
    if is_abbreviated:
        owner = backend.of(x)
        with owner.active_device():
            for axis, length in enumerate(x.shape):
                if length > 2 * _EDGE + 1:  # one more than is shown stands for the others
                    ends = slice(0, _EDGE + 1), slice(length - _EDGE, length)
                    x = owner.xp.concatenate([x[(slice(None),) * axis + (end,)] for end in ends], axis=axis)
    threshold = 0 if is_abbreviated else _PRINTED
    return np.array2string(backend.to_numpy(x), separator=", ", prefix="tensor(", threshold=threshold, edgeitems=_EDGE)
