"""Dropout (Srivastava et al., 2014), inverted: the kept values are scaled up in training, nothing happens otherwise."""

from typing import TYPE_CHECKING

import kernels
from dlcore import backend
from dlcore.autograd import Function
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class Dropout(Function):
    """y = x · m, where m is 0 with probability p and 1 / (1 - p) otherwise."""

    def forward(self, x: Array, *, p: float) -> Array:
        draw = backend.of(x).rng.reserve(x.size, "dropout")
        y, self.kept = kernels.dropout(x, p, **draw)
        self.p = p
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return DropoutGrad.apply(grad_output, kept=self.kept, p=self.p)


class DropoutGrad(Function):
    """The product with a mask that was drawn before: linear, and its own transpose."""

    def forward(self, grad_output: Array, *, kept: Array, p: float) -> Array:
        self.kept, self.p = kept, p
        return kernels.dropout_grad(grad_output, kept, p)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return DropoutGrad.apply(grad_output, kept=self.kept, p=self.p)
