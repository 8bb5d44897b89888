"""Max- and average-pooling over windows.

Both are linear once the positions of the maxima are known, so each map and its transpose are each other's gradient:
gather ↔ scatter for the maxima, average ↔ spread for the averages.
"""

from typing import TYPE_CHECKING, Any

import kernels
from dlcore.autograd import Function
from kernels.types import Array, Shape4

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class MaxPool2d(Function):
    """y = the maximum of each window; the gradient goes to the first of equals."""

    def forward(self, x: Array, **options: Any) -> Array:
        y, argmax = kernels.max_pool2d(x, **options)
        self.window = {"argmax": argmax, "options": options}
        return y

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return MaxPool2dScatter.apply(grad_output, input_shape=self.edges[0].shape, **self.window)


class MaxPool2dScatter(Function):
    """Each window's value put where its maximum was; zero elsewhere."""

    def forward(self, y: Array, *, input_shape: Shape4, argmax: Array, options: dict[str, Any]) -> Array:
        self.window = {"argmax": argmax, "options": options}
        return kernels.max_pool2d_grad(y, argmax, input_shape, **options)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return MaxPool2dGather.apply(grad_output, **self.window)


class MaxPool2dGather(Function):
    """Each window's element at the position where the maximum was."""

    def forward(self, x: Array, *, argmax: Array, options: dict[str, Any]) -> Array:
        self.window = {"argmax": argmax, "options": options}
        return kernels.max_pool2d_gather(x, argmax, **options)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return MaxPool2dScatter.apply(grad_output, input_shape=self.edges[0].shape, **self.window)


class AvgPool2d(Function):
    """y = the mean of each window."""

    def forward(self, x: Array, **options: Any) -> Array:
        self.options = options
        return kernels.avg_pool2d(x, **options)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return AvgPool2dSpread.apply(grad_output, input_shape=self.edges[0].shape, **self.options)


class AvgPool2dSpread(Function):
    """Each window's value shared equally among its elements."""

    def forward(self, y: Array, *, input_shape: Shape4, **options: Any) -> Array:
        self.options = options
        return kernels.avg_pool2d_grad(y, input_shape, **options)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return AvgPool2d.apply(grad_output, **self.options)
