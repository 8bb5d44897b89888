"""Convolution: three linear maps, closed under differentiation.

With stride 1 and no padding, y[n,k,p,q] = Σ_crs x[n,c,p+r,q+s] · w[k,c,r,s]. Each factor's gradient moves the sum over
to the other indices of the product:

    dL/dx[n,c,h,w] = Σ_krs dy[n,k,h-r,w-s] · w[k,c,r,s]      conv2d_input_grad(dy, w), a transposed convolution
    dL/dw[k,c,r,s] = Σ_npq dy[n,k,p,q] · x[n,c,p+r,q+s]      conv2d_weight_grad(x, dy)

The same three forms give each other's gradients, so derivatives of every order need nothing new.
"""

from typing import TYPE_CHECKING, Any, Literal

import kernels
from dlcore import backend
from dlcore.autograd import Function
from dlcore.ops.elementwise import ReLUGrad
from dlcore.ops.shape import BroadcastTo
from kernels.layout import channels_last
from kernels.types import Array, Shape4

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class Conv2d(Function):
    """y = x ∗ w + b: x (N, C, H, W), w (K, C / groups, R, S), b (K), y (N, K, P, Q); then the activation."""

    def forward(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        *,
        activation: Literal["relu"] | None = None,
        packed: dict[str, Array] | None = None,
        **options: Any,
    ) -> Array:
        self.options = options
        self.activation = activation
        y = kernels.conv2d(x, weight, bias, activation=activation, packed=packed, **options)
        self.save(x, weight, *([y] if activation else []))
        return y

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", ...]:
        x, weight, *rectified = self.saved
        for y in rectified:
            grad_output = ReLUGrad.apply(grad_output, y=y.data)
        needs_x, needs_weight, *needs_bias = self.needs_input_grad
        gradients = (
            Conv2dInputGrad.apply(grad_output, weight, input_shape=x.shape, **self.options) if needs_x else None,
            Conv2dWeightGrad.apply(x, grad_output, weight_shape=weight.shape, **self.options) if needs_weight else None,
            ChannelSum.apply(grad_output) if any(needs_bias) else None,
        )
        return gradients[: len(self.edges)]


class Conv2dInputGrad(Function):
    """x = the transposed convolution of y with w."""

    def forward(self, y: Array, weight: Array, *, input_shape: Shape4, **options: Any) -> Array:
        self.options = options
        self.save(y, weight)
        return kernels.conv2d_input_grad(y, weight, input_shape, **options)

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", "Tensor | None"]:
        y, weight = self.saved
        needs_y, needs_weight = self.needs_input_grad
        return (
            Conv2d.apply(grad_output, weight, **self.options) if needs_y else None,
            Conv2dWeightGrad.apply(grad_output, y, weight_shape=weight.shape, **self.options) if needs_weight else None,
        )


class Conv2dWeightGrad(Function):
    """w = the correlation of x with y."""

    def forward(self, x: Array, y: Array, *, weight_shape: Shape4, **options: Any) -> Array:
        self.options = options
        self.save(x, y)
        return kernels.conv2d_weight_grad(x, y, weight_shape, **options)

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", "Tensor | None"]:
        x, y = self.saved
        needs_x, needs_y = self.needs_input_grad
        return (
            Conv2dInputGrad.apply(y, grad_output, input_shape=x.shape, **self.options) if needs_x else None,
            Conv2d.apply(x, grad_output, **self.options) if needs_y else None,
        )


class ChannelSum(Function):
    """The sum over images and pixels, the bias's gradient: [1, NPQ] · [NPQ, K] → [K], a product with ones."""

    def forward(self, y: Array) -> Array:
        rows = channels_last(y).reshape(-1, y.shape[1])
        ones = backend.of(y).xp.ones((1, len(rows)), y.dtype)
        return kernels.matmul(ones, rows).reshape(-1)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return BroadcastTo.apply(grad_output.reshape((1, -1, 1, 1)), shape=self.edges[0].shape)
