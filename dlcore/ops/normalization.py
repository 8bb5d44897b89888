"""Batch normalization (Ioffe and Szegedy, 2015, arXiv:1502.03167) and layer normalization (Ba et al., 1607.06450)."""

from typing import TYPE_CHECKING, Any, Literal

import kernels
from dlcore.autograd import Fused
from dlcore.ops.half import narrowed, widened
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor

Running = tuple[Array, Array, float] | None
Activation = Literal["relu"] | None


class BatchNorm(Fused):
    """y = (x - mean) / √(var + ε) · weight + bias, statistics per channel (axis 1) over everything else.

    The statistics depend on x, so with x̂ the normalized input and m the number of values in a channel

        dL/dx = weight / √(var + ε) · (dy - mean(dy) - x̂ · mean(dy · x̂))    (section 3 of the paper)

    `running` is (mean, var, momentum): arrays of shape (C,) that `forward` moves towards the batch's statistics, in
    place (the variance towards the unbiased one); or None. `activation` is "relu", applied on the way out, or None.
    """

    def forward(
        self, x: Array, weight: Array, bias: Array, *, eps: float, running: Running, activation: Activation = None
    ) -> Array:
        self.activation = activation
        self.options: Any = {"eps": eps, "activation": activation}
        y, mean, var = kernels.batch_norm(x, weight, bias, **self.options)
        self.statistics = (mean, var)
        if running is not None:
            count = x.size // weight.size
            running_mean, running_var, momentum = running
            running_mean += momentum * (mean - running_mean)
            running_var += momentum * (var * (count / (count - 1)) - running_var)
        self.save(x, weight, bias)
        return y

    def backward_arrays(self, grad_output: Array) -> tuple[Array | None, ...]:
        x, weight, bias = (tensor.data for tensor in self.saved)
        return kernels.batch_norm_grad(grad_output, x, weight, bias, *self.statistics, **self.options)

    def composite(self, x: "Tensor", weight: "Tensor", bias: "Tensor") -> "Tensor":  # type: ignore[override]
        axes = (0, *range(2, x.ndim))
        centered = x - x.mean(axis=axes, keepdims=True)
        var = (centered * centered).mean(axis=axes, keepdims=True)
        scaled = centered / (var + self.options["eps"]).sqrt() * _per_channel(weight, x.ndim)
        return _activated(scaled + _per_channel(bias, x.ndim), self.activation)


class BatchNormInference(Fused):
    """The same with statistics that are given, of shape (C,): linear in x, so dL/dx = weight / √(var + ε) · dy."""

    def forward(
        self,
        x: Array,
        weight: Array,
        bias: Array,
        mean: Array,
        var: Array,
        *,
        eps: float,
        activation: Activation = None,
    ) -> Array:
        self.activation = activation
        self.options: Any = {"eps": eps, "activation": activation}
        self.save(x, weight, bias, mean, var)
        return kernels.batch_norm_inference(x, weight, bias, mean, var, **self.options)

    def backward_arrays(self, grad_output: Array) -> tuple[Array | None, ...]:
        _, weight, _, _, var = arrays = [tensor.data for tensor in self.saved]
        gradients = kernels.batch_norm_grad(grad_output, *arrays, **self.options, constant_statistics=True)
        _, grad_weight, grad_bias = gradients
        scale, precision = widened(weight), 1 / (widened(var) + self.options["eps"])
        grad_mean = -widened(grad_bias) * scale * precision**0.5
        grad_var = -0.5 * widened(grad_weight) * scale * precision
        return *gradients, narrowed(grad_mean, var.dtype), narrowed(grad_var, var.dtype)

    def composite(self, *inputs: "Tensor") -> "Tensor":
        x, weight, bias, mean, var = inputs
        scale = weight / (var + self.options["eps"]).sqrt()
        y = x * _per_channel(scale, x.ndim) + _per_channel(bias - mean * scale, x.ndim)
        return _activated(y, self.activation)


class LayerNorm(Fused):
    """y = (x - mean) / √(var + ε) · weight + bias, statistics per sample over the trailing axes that weight has.

    With g = dy · weight and x̂ the normalized input, dL/dx = (g - mean(g) - x̂ · mean(g · x̂)) / √(var + ε).
    """

    def forward(self, x: Array, weight: Array, bias: Array, *, eps: float) -> Array:
        self.eps = eps
        y, *self.statistics = kernels.layer_norm(x, weight, bias, eps=eps)
        self.save(x, weight, bias)
        return y

    def backward_arrays(self, grad_output: Array) -> tuple[Array | None, ...]:
        x, weight, _ = (tensor.data for tensor in self.saved)
        return kernels.layer_norm_grad(grad_output, x, weight, *self.statistics, eps=self.eps)

    def composite(self, x: "Tensor", weight: "Tensor", bias: "Tensor") -> "Tensor":  # type: ignore[override]
        axes = tuple(range(x.ndim - weight.ndim, x.ndim))
        centered = x - x.mean(axis=axes, keepdims=True)
        var = (centered * centered).mean(axis=axes, keepdims=True)
        return centered / (var + self.eps).sqrt() * weight + bias


def _per_channel(values: "Tensor", ndim: int) -> "Tensor":
    """(C,) → (1, C, 1, …), to broadcast along axis 1."""
    return values.reshape(1, -1, *(1,) * (ndim - 2))


def _activated(y: "Tensor", activation: Activation) -> "Tensor":
    return y.relu() if activation == "relu" else y
