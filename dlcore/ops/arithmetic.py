"""Addition, subtraction, multiplication, division (whole or not), powers: with broadcasting, of arrays and numbers.

Broadcasting repeats an input; so its gradient is the sum over the repeats. `sum_to` says that, once for all.
"""

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcore.autograd import Function
from dlcore.ops.elementwise import Log
from dlcore.ops.shape import broadcasting, sum_to
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor

Gradients = tuple["Tensor | None", "Tensor | None"]


class Add(Function):
    """y = a + b."""

    def forward(self, a: Any, b: Any) -> Array:
        return _combine("add", operator.add, a, b)

    def backward(self, grad_output: "Tensor") -> Gradients:
        return _per_input(self, grad_output, grad_output)


class Subtract(Function):
    """y = a - b."""

    def forward(self, a: Any, b: Any) -> Array:
        return _combine("subtract", operator.sub, a, b)

    def backward(self, grad_output: "Tensor") -> Gradients:
        return _per_input(self, grad_output, -grad_output if self.needs_input_grad[1] else None)


class Multiply(Function):
    """y = a · b."""

    def forward(self, a: Any, b: Any) -> Array:
        self.save(a, b)
        return _combine("multiply", operator.mul, a, b)

    def backward(self, grad_output: "Tensor") -> Gradients:
        a, b = self.saved
        needs_a, needs_b = self.needs_input_grad
        return _per_input(self, grad_output * b if needs_a else None, grad_output * a if needs_b else None)


class Divide(Function):
    """y = a / b."""

    def forward(self, a: Any, b: Any) -> Array:
        self.save(a, b)
        return _combine("divide", operator.truediv, a, b)

    def backward(self, grad_output: "Tensor") -> Gradients:
        a, b = self.saved
        needs_a, needs_b = self.needs_input_grad
        quotient = grad_output / b  # not over b · b, which float16 can hold for few b
        return _per_input(
            self,
            quotient if needs_a else None,
            -quotient * (a / b) if needs_b else None,
        )


class FloorDivide(Function):
    """y = ⌊a / b⌋; its derivative is 0 (at the jumps as well)."""

    def forward(self, a: Any, b: Any) -> Array:
        return _combine("floor_divide", operator.floordiv, a, b)

    def backward(self, grad_output: "Tensor") -> Gradients:
        return _per_input(self, grad_output * 0.0, grad_output * 0.0)


class Remainder(Function):
    """y = a - ⌊a / b⌋ · b, with b's sign: dy/da = 1, dy/db = -⌊a / b⌋."""

    def forward(self, a: Any, b: Any) -> Array:
        self.save(a, b)
        return _combine("remainder", operator.mod, a, b)

    def backward(self, grad_output: "Tensor") -> Gradients:
        a, b = self.saved
        needs_b = self.needs_input_grad[1]
        return _per_input(self, grad_output, -grad_output * FloorDivide.apply(a, b) if needs_b else None)


class Negative(Function):
    """y = -x."""

    def forward(self, x: Array) -> Array:
        return broadcasting("negative", operator.neg, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return -grad_output


class Power(Function):
    """y = a ** b. Where a = 0 the gradient for b is taken as 0."""

    def forward(self, a: Any, b: Any) -> Array:
        y = _combine("power", operator.pow, a, b)
        self.save(a, b, y)
        return y

    def backward(self, grad_output: "Tensor") -> Gradients:
        a, b, y = self.saved
        grad_a = grad_b = None
        if self.needs_input_grad[0]:
            # The power rule; an exponent of 0 must not meet 0 ** -1.
            if not isinstance(b, (int, float)):
                grad_a = grad_output * (b * a ** (b - 1 + ((a.data == 0) & (b.data == 0))))
            else:
                grad_a = grad_output * (b * a ** (b - 1)) if b != 0 else grad_output * 0.0
        if self.needs_input_grad[1]:
            is_zero = (a.data if hasattr(a, "data") else y.data * 0 + a) == 0
            grad_b = grad_output * y * Log.apply(is_zero + a)
        return _per_input(self, grad_a, grad_b)


def _combine(operation: str, function: Callable[[Any, Any], Array], a: Any, b: Any) -> Array:
    """`function` of both, broadcast. Integers are weak beside floats: float32 stays float32."""
    dtypes = [x.dtype for x in (a, b) if hasattr(x, "dtype")]
    if any(dtype.kind in "iu" for dtype in dtypes):
        floats = [dtype for dtype in dtypes if dtype.kind == "f"]
        if floats or function is operator.truediv or isinstance(a, float) or isinstance(b, float):
            wanted = floats[0] if floats else np.dtype(np.float32)
            a, b = (x.astype(wanted) if hasattr(x, "dtype") and x.dtype.kind in "iu" else x for x in (a, b))
    return broadcasting(operation, function, a, b)


def _per_input(node: Function, grad_a: "Tensor | None", grad_b: "Tensor | None") -> Gradients:
    """Bring both gradients to their inputs' shapes; skip those that nobody needs."""
    edge_a, edge_b = node.edges
    needs_a, needs_b = node.needs_input_grad
    return (
        sum_to(grad_a, edge_a.shape) if needs_a and grad_a is not None else None,
        sum_to(grad_b, edge_b.shape) if needs_b and grad_b is not None else None,
    )
