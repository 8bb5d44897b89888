"""Dropout (Srivastava et al., 2014), inverted: the kept values are scaled up in training, nothing happens otherwise."""

import operator
from typing import TYPE_CHECKING

from dlcore import backend
from dlcore.autograd import Function
from dlcore.backend import pointwise
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class Dropout(Function):
    """y = x · m, where m is 0 with probability p and 1 / (1 - p) otherwise."""

    def forward(self, x: Array, *, p: float) -> Array:
        # Images are drawn in the order of their memory, (N, H, W, C), so the mask has their layout.
        shape = x.shape if x.ndim != 4 else tuple(x.shape[axis] for axis in (0, 2, 3, 1))
        keep = backend.of(x).rng.bernoulli(shape, 1.0 - p, purpose="dropout")
        mask = keep.astype(x.dtype) / (1.0 - p) if p < 1.0 else keep.astype(x.dtype)
        self.mask = mask if x.ndim != 4 else mask.transpose(0, 3, 1, 2)
        return pointwise(operator.mul, x, self.mask)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return grad_output * self.mask
