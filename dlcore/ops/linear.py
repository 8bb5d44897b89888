"""Matrix products, and the affine map of a fully connected layer."""

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

import kernels
from dlcore import backend
from dlcore.autograd import Function, Fused
from dlcore.ops.half import narrowed, widened
from dlcore.ops.shape import broadcast, sum_to
from kernels.errors import DTypeError, ShapeError
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class Matmul(Function):
    """Y = A B, for stacks of matrices whose leading axes broadcast.

    dL/dA: [M, N] · [N, K] → [M, K], dY Bᵀ;  dL/dB: [K, M] · [M, N] → [K, N], Aᵀ dY.
    """

    def forward(self, a: Array, b: Array) -> Array:
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2] or not broadcast(a.shape[:-2], b.shape[:-2]):
            raise ShapeError(
                f"matmul: expected shapes (…, M, K) and (…, K, N), got a.shape={a.shape} and b.shape={b.shape}"
            )
        self.save(a, b)
        return product(a, b)

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", "Tensor | None"]:
        a, b = self.saved
        needs_a, needs_b = self.needs_input_grad
        return (
            sum_to(grad_output @ b.mT, a.shape) if needs_a else None,
            sum_to(a.mT @ grad_output, b.shape) if needs_b else None,
        )


def product(a: Array, b: Array) -> Array:
    """The product of stacks of matrices; on the CPU one by one, so that it does not depend on BLAS's threads."""
    owner, dtype = backend.of(a), np.result_type(a.dtype, b.dtype)
    if dtype == np.float16 and owner.is_host:
        return narrowed(product(widened(a), widened(b)), dtype)
    if dtype not in (np.float32, np.float64) or ((a.ndim > 2 or b.ndim > 2) and not owner.is_host):
        result: Array = owner.xp.matmul(a, b)
        return result
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    if a.ndim == b.ndim == 2:
        return kernels.matmul(a, b)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:])
    result = np.empty((*stack, a.shape[-2], b.shape[-1]), dtype)
    for index in np.ndindex(stack):
        result[index] = kernels.matmul(a[index], b[index])
    return result


class Linear(Fused):
    """y = x Wᵀ + b, as PyTorch lays it out: x (…, in), W (out, in), b (out); with `activation`, relu of that.

    dL/dx: [M, out] · [out, in] → [M, in];  dL/dW: [out, M] · [M, in] → [out, in];  dL/db: the sum over M.
    """

    def forward(
        self, x: Array, weight: Array, bias: Array | None = None, *, activation: Literal["relu"] | None = None
    ) -> Array:
        check_linear(x, weight, bias)
        self.activation = activation
        y = kernels.matmul(_rows(x), weight.T, bias, activation=activation).reshape(*x.shape[:-1], weight.shape[0])
        self.save(x, weight, *([] if bias is None else [bias]), *([] if activation is None else [y]))
        return y

    def backward_arrays(self, grad_output: Array) -> tuple[Array | None, ...]:
        x, weight, *others = (tensor.data for tensor in self.saved)
        needs_x, needs_weight, *needs_bias = self.needs_input_grad
        if self.activation is not None:
            grad_output = kernels.relu_grad(grad_output, others[-1])
        rows = _rows(grad_output)
        return (
            kernels.matmul(rows, weight).reshape(x.shape) if needs_x else None,
            kernels.matmul(rows.T, _rows(x)) if needs_weight else None,
            *(backend.total(rows, axis=0) if needed else None for needed in needs_bias),
        )

    def composite(self, x: "Tensor", weight: "Tensor", bias: "Tensor | None" = None) -> "Tensor":  # type: ignore[override]
        y = (x.reshape((math.prod(x.shape[:-1]), x.shape[-1])) @ weight.mT).reshape((*x.shape[:-1], weight.shape[0]))
        y = y if bias is None else y + bias
        return y if self.activation is None else y.relu()


def _rows(x: Array) -> Array:
    """All axes but the last as one."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def check_linear(x: Array, weight: Array, bias: Array | None) -> None:
    """The shapes and dtypes that `Linear` needs."""
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        given = f"x.shape={x.shape}, weight.shape={weight.shape}"
        have = f"x has {x.shape[-1]} features" if x.ndim else "x has no axes"
        want = f"weight expects {weight.shape[1]}" if weight.ndim == 2 else "weight must be (out, in)"
        raise ShapeError(f"linear: {have} but {want} ({given})")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: bias must have shape ({weight.shape[0]},), got {bias.shape}")
    dtypes = {array.dtype for array in (x, weight, bias) if array is not None}
    if len(dtypes) > 1:
        names = f"x is {x.dtype}, weight {weight.dtype}" + ("" if bias is None else f", bias {bias.dtype}")
        raise DTypeError(f"linear: all arguments must have one dtype, but {names}; convert with .astype(…)")
