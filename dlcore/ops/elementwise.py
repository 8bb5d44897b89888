"""Functions of one number, applied to each element; and the choice between two.

Where a derivative jumps its value is stated: ReLU has derivative 0 at 0.
"""

import math
from typing import TYPE_CHECKING, Any

import kernels
from dlcore import backend
from dlcore.autograd import Function
from dlcore.backend import pointwise
from dlcore.ops.half import narrowed, widened
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


class Log1p(Function):
    """y = ln(1 + x), exact near 0; dy/dx = 1 / (1 + x)."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return pointwise(backend.of(x).xp.log1p, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (x,) = self.saved
        return grad_output / (1 + x)


class Expm1(Function):
    """y = eˣ - 1, exact near 0; dy/dx = y + 1."""

    def forward(self, x: Array) -> Array:
        y = pointwise(backend.of(x).xp.expm1, x)
        self.save(y)
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (y,) = self.saved
        return grad_output * (y + 1)


class Sin(Function):
    """y = sin x; dy/dx = cos x."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return pointwise(backend.of(x).xp.sin, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (x,) = self.saved
        return grad_output * Cos.apply(x)


class Cos(Function):
    """y = cos x; dy/dx = -sin x."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return pointwise(backend.of(x).xp.cos, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (x,) = self.saved
        return -grad_output * Sin.apply(x)


class Erf(Function):
    """y = 2 / √π ∫₀ˣ exp(-t²) dt; dy/dx = 2 / √π · exp(-x²)."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return kernels.erf(x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (x,) = self.saved
        return grad_output * ((-x * x).exp() * (2.0 / math.sqrt(math.pi)))


class Abs(Function):
    """y = |x|; dy/dx = sign x, which is 0 at 0."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return pointwise(backend.of(x).xp.abs, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        (x,) = self.saved
        return grad_output * Sign.apply(x)


class Sign(Function):
    """y = -1, 0 or 1; its derivative is 0 (at 0 as well)."""

    def forward(self, x: Array) -> Array:
        return pointwise(backend.of(x).xp.sign, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return grad_output * 0.0


class Floor(Function):
    """The greatest integer that is not above x; its derivative is 0 (at the jumps as well)."""

    def forward(self, x: Array) -> Array:
        return pointwise(backend.of(x).xp.floor, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return grad_output * 0.0


class Round(Function):
    """The nearest integer, of two the even one; its derivative is 0 (at the jumps as well)."""

    def forward(self, x: Array) -> Array:
        return x.copy() if x.dtype.kind in "biu" else pointwise(backend.of(x).xp.rint, x)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return grad_output * 0.0


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
        y = narrowed(pointwise(sigmoid, widened(x)), x.dtype)
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
        y = pointwise(lambda x: xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x))), widened(x))
        return narrowed(y, x.dtype)

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


class Clip(Function):
    """y = x brought into [low, high]; dy/dx = 1 inside and at the bounds, else 0. NaN stays."""

    def forward(self, x: Array, *, low: float | None, high: float | None) -> Array:
        xp = backend.of(x).xp
        y = x if low is None else pointwise(lambda x: xp.maximum(x, x.dtype.type(low)), x)
        y = y if high is None else pointwise(lambda y: xp.minimum(y, y.dtype.type(high)), y)
        self.inside = xp.asarray(pointwise(lambda x, y: x == y, x, y))  # NumPy makes scalars of 0-d results
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return Where.apply(self.inside, grad_output, 0.0)


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


class Maximum(Function):
    """y = the greater of a and b; NaN where either is. Of equals, a gets the gradient."""

    def forward(self, a: Any, b: Any) -> Array:
        xp = backend.of(a if hasattr(a, "dtype") else b).xp
        self.takes_a = xp.asarray(broadcasting("maximum", lambda a, b: a >= b, a, b))
        return broadcasting("maximum", xp.maximum, a, b)

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", ...]:
        return _to_one_of(self, grad_output)


class Minimum(Function):
    """y = the smaller of a and b; NaN where either is. Of equals, a gets the gradient."""

    def forward(self, a: Any, b: Any) -> Array:
        xp = backend.of(a if hasattr(a, "dtype") else b).xp
        self.takes_a = xp.asarray(broadcasting("minimum", lambda a, b: a <= b, a, b))
        return broadcasting("minimum", xp.minimum, a, b)

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", ...]:
        return _to_one_of(self, grad_output)


def _to_one_of(node: "Maximum | Minimum", grad_output: "Tensor") -> tuple["Tensor | None", ...]:
    needs_a, needs_b = node.needs_input_grad
    return (
        sum_to(Where.apply(node.takes_a, grad_output, 0.0), node.edges[0].shape) if needs_a else None,
        sum_to(Where.apply(node.takes_a, 0.0, grad_output), node.edges[1].shape) if needs_b else None,
    )
