"""Batch normalization (Ioffe and Szegedy, 2015, arXiv:1502.03167)."""

from typing import TYPE_CHECKING

from dlcore import backend
from dlcore.autograd import Fused
from dlcore.backend import pointwise
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor

Running = tuple[Array, Array, float] | None


class BatchNorm(Fused):
    """y = (x - mean) / √(var + ε) · weight + bias, statistics per channel (axis 1) over everything else.

    The statistics depend on x, so with x̂ the normalized input and m the number of values in a channel

        dL/dx = weight / √(var + ε) · (dy - mean(dy) - x̂ · mean(dy · x̂))    (section 3 of the paper)

    `running` is (mean, var, momentum): arrays of shape (C,) that `forward` moves towards the batch's statistics, in
    place (the variance towards the unbiased one); or None.
    """

    def forward(self, x: Array, weight: Array, bias: Array, *, eps: float, running: Running) -> Array:
        self.eps = eps
        self.axes = (0, *range(2, x.ndim))
        xp = backend.of(x).xp
        mean = x.mean(axis=self.axes, keepdims=True)
        centered = pointwise(xp.subtract, x, mean)
        var = pointwise(xp.square, centered).mean(axis=self.axes, keepdims=True)
        self.inv_std = 1.0 / xp.sqrt(var + eps)
        self.normalized = pointwise(xp.multiply, centered, self.inv_std)
        if running is not None:
            count = x.size // weight.size
            running_mean, running_var, momentum = running
            running_mean += momentum * (mean.reshape(-1) - running_mean)
            running_var += momentum * (var.reshape(-1) * (count / (count - 1)) - running_var)
        self.save(x, weight, bias)
        scaled = pointwise(xp.multiply, self.normalized, _per_channel(weight, x.ndim))
        return pointwise(xp.add, scaled, _per_channel(bias, x.ndim))

    def backward_arrays(self, grad_output: Array) -> tuple[Array | None, ...]:
        xp = backend.of(grad_output).xp
        needs_x, _, _ = self.needs_input_grad
        weight = self.saved[1].data
        product = pointwise(xp.multiply, grad_output, self.normalized)
        grad_weight = product.sum(axis=self.axes)
        grad_bias = grad_output.sum(axis=self.axes)
        grad_x = None
        if needs_x:
            ndim, count = grad_output.ndim, grad_output.size // weight.size
            scale = _per_channel(weight, ndim) * self.inv_std
            mean_grad, mean_product = (_per_channel(total, ndim) / count for total in (grad_bias, grad_weight))
            grad_x = pointwise(
                lambda g, x_hat, mean_g, mean_p, scale: (g - mean_g - x_hat * mean_p) * scale,
                *(grad_output, self.normalized, mean_grad, mean_product, scale),
            )
        return grad_x, grad_weight, grad_bias

    def composite(self, x: "Tensor", weight: "Tensor", bias: "Tensor") -> "Tensor":  # type: ignore[override]
        shape = (1, -1) + (1,) * (x.ndim - 2)
        centered = x - x.mean(axis=self.axes, keepdims=True)
        var = (centered * centered).mean(axis=self.axes, keepdims=True)
        return centered / (var + self.eps).sqrt() * weight.reshape(shape) + bias.reshape(shape)


def _per_channel(values: Array, ndim: int) -> Array:
    """(C,) → (1, C, 1, …), to broadcast along axis 1."""
    return values.reshape(1, -1, *(1,) * (ndim - 2))
