"""Functions of one number, applied to each element; and the choice between two.

Where a derivative jumps its value is stated: ReLU has derivative 0 at 0.
"""

from typing import TYPE_CHECKING, Any

import kernels
from dlcore import backend
from dlcore.autograd import Function
from dlcore.backend import pointwise
from dlcore.ops.shape import broadcasting, sum_to
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class Exp(Function):
    """y = eˣ; dy/dx = y."""

    def forward(self, x: Array) -> Array:
        y = pointwise(backend.of(x).xp.exp, x)
        self.save(y)
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (y,) = self.saved
        return grad_output * y


class Log(Function):
    """y = ln x; dy/dx = 1 / x."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return pointwise(backend.of(x).xp.log, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (x,) = self.saved
        return grad_output / x


class Sqrt(Function):
    """y = √x; dy/dx = 1 / 2y."""

    def forward(self, x: Array) -> Array:
        y = pointwise(backend.of(x).xp.sqrt, x)
        self.save(y)
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (y,) = self.saved
        return grad_output * 0.5 / y


class Tanh(Function):
    """y = tanh x; dy/dx = 1 - y²."""

    def forward(self, x: Array) -> Array:
        y = pointwise(backend.of(x).xp.tanh, x)
        self.save(y)
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (y,) = self.saved
        return grad_output * (1 - y * y)


class Sigmoid(Function):
    """y = 1 / (1 + e⁻ˣ); dy/dx = y (1 - y)."""

    def forward(self, x: Array) -> Array:
        y = pointwise(sigmoid, x)
        self.save(y)
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (y,) = self.saved
        return grad_output * (y * (1 - y))


def sigmoid(x: Array) -> Array:
    """The logistic function on arrays, to full relative precision, without overflow for any x."""
    xp = backend.of(x).xp
    small = xp.exp(-xp.abs(x))  # e^-|x| is at most 1
    result: Array = xp.where(x >= 0, 1.0, small) / (1.0 + small)
    return result


class Softplus(Function):
    """y = ln(1 + eˣ); dy/dx = sigmoid(x)."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        xp = backend.of(x).xp
        return pointwise(lambda x: xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x))), x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (x,) = self.saved
        return grad_output * Sigmoid.apply(x)


class ReLU(Function):
    """y = max(x, 0); dy/dx = 1 where x > 0, else 0."""

    def forward(self, x: Array) -> Array:
        y = kernels.relu(x)
        self.save(y)
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (y,) = self.saved
        return ReLUGrad.apply(grad_output, y=y.data)


class ReLUGrad(Function):
    """The gradient where y, an array, is positive, else 0: linear, and its own transpose."""

    def forward(self, grad_output: Array, *, y: Array) -> Array:
        self.y = y
        return kernels.relu_grad(grad_output, y)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return ReLUGrad.apply(grad_output, y=self.y)


class Where(Function):
    """y = a where the condition (a boolean array) holds, else b."""

    def forward(self, condition: Array, a: Any, b: Any) -> Array:
        self.condition = condition
        return broadcasting("where", backend.of(condition).xp.where, condition, a, b)

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", ...]:
        _, needs_a, needs_b = self.needs_input_grad
        return (
            None,
            sum_to(Where.apply(self.condition, grad_output, 0.0), self.edges[1].shape) if needs_a else None,
            sum_to(Where.apply(self.condition, 0.0, grad_output), self.edges[2].shape) if needs_b else None,
        )
