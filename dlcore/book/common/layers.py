"""`common.layers`: layers with `forward` and `backward`, arrays in and out (chapters 5 to 7).

A layer keeps in `forward` what its `backward` needs, and leaves the gradients of its parameters in attributes named
after them (W and dW). Parameters are read anew in every call, so they may be changed in place or exchanged.
Convolution, pooling and normalization are done by `kernels`.
"""

from typing import Any

import numpy as np

import kernels
from dlcore.book.common.functions import (
    cross_entropy_error,
    identity_function,
    mean_squared_error,
    relu,
    relu_grad,
    sigmoid,
    sigmoid_grad,
    softmax,
    softmax_loss,
    step_function,
    sum_squared_error,
)
from dlcore.book.common.util import col2im, im2col
from dlcore.book.dtypes import for_kernels, in_type
from kernels import layout
from kernels.types import Array

# Scripts that say `from common.layers import *` count on the functions, on im2col and on `np`, too.
__all__ = [
    "Affine",
    "BatchNormalization",
    "Convolution",
    "Dropout",
    "Pooling",
    "Relu",
    "Sigmoid",
    "SoftmaxWithLoss",
    "col2im",
    "cross_entropy_error",
    "identity_function",
    "im2col",
    "mean_squared_error",
    "np",
    "relu",
    "relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "softmax",
    "softmax_loss",
    "step_function",
    "sum_squared_error",
]

#: Added to variances: the book's 10e-7.
_EPSILON = 1e-6
#: Elements: from here on a second thread, and memory that is used again, count for more than the call.
_LARGE = 1 << 16
#: From so many channels on, in and out, convolutions of 3×3 are faster by Winograd's way.
_WINOGRAD_CHANNELS = 16


class Relu:
    """Negative values become 0.

    Attributes:
        mask: where the input was 0 or less.
    """

    def __init__(self) -> None:
        self.mask: Any = None

    def forward(self, x: Array) -> Array:
        """Any shape → the same."""
        self.mask = x <= 0
        return kernels.relu(x) if _is_for_kernels(x) else np.where(self.mask, x.dtype.type(0), x)

    def backward(self, dout: Array) -> Array:
        """The gradient where the input was positive, else 0."""
        if _is_for_kernels(dout):
            return kernels.dropout_grad(dout, ~self.mask, 0.0)  # what was not kept becomes 0
        return np.where(self.mask, dout.dtype.type(0), dout)


def _is_for_kernels(x: Array) -> bool:
    """Whether x is of a type that kernels take, and so large that they are faster than NumPy."""
    return x.size >= _LARGE and x.dtype in (np.float32, np.float64)


class Sigmoid:
    """1 / (1 + e^−x).

    Attributes:
        out: the output.
    """

    def __init__(self) -> None:
        self.out: Any = None

    def forward(self, x: Array) -> Array:
        """Any shape → the same."""
        self.out = sigmoid(x)
        return self.out

    def backward(self, dout: Array) -> Array:
        """The gradient times out · (1 − out)."""
        return dout * (1.0 - self.out) * self.out


class Affine:
    """x · W + b, for inputs of any shape.

    Attributes:
        W: (D, units).
        b: (units,).
        x: the input as rows, (N, D).
        original_x_shape: the input's shape, (N, …).
        dW, db: the gradients, after `backward`.
    """

    def __init__(self, W: Array, b: Any) -> None:
        self.W = W
        self.b = b
        self.x: Any = None
        self.original_x_shape: Any = None
        self.dW: Any = None
        self.db: Any = None

    def forward(self, x: Array) -> Array:
        """(N, …) → (N, units)."""
        self.original_x_shape = x.shape
        self.x = x.reshape(len(x), -1)
        (rows, weight), dtype = for_kernels(self.x, self.W)
        return in_type(kernels.matmul(rows, weight), dtype) + self.b

    def backward(self, dout: Array) -> Array:
        """(N, units) → (N, …)."""
        (rows, weight, grad), dtype = for_kernels(self.x, self.W, dout)
        self.dW = in_type(kernels.matmul(rows.T, grad), dtype)
        self.db = np.sum(dout, axis=0)
        return in_type(kernels.matmul(grad, weight.T), dtype).reshape(self.original_x_shape)


class SoftmaxWithLoss:
    """Softmax and cross-entropy, the end of a classifier.

    Attributes:
        loss: the mean loss of the batch.
        y: the probabilities.
        t: the right classes, as they were given.
    """

    def __init__(self) -> None:
        self.loss: Any = None
        self.y: Any = None
        self.t: Any = None

    def forward(self, x: Array, t: Any) -> Any:
        """Scores (N, classes), and class indices (N,) or one-hot rows (N, classes) → the mean loss."""
        self.t = np.asarray(t)
        self.y = softmax(x)
        self.loss = cross_entropy_error(self.y, self.t)
        return self.loss

    def backward(self, dout: float = 1) -> Array:
        """The gradient of the scores. It does not depend on `dout`: nothing comes behind a loss."""
        batch_size = len(self.t) if self.t.ndim else 1
        if self.t.size == self.y.size:
            return (self.y - self.t) / batch_size
        dx = self.y.copy()
        dx.reshape(batch_size, -1)[np.arange(batch_size), self.t] -= 1
        return dx / batch_size


class Dropout:
    """In training random values become 0; otherwise all are scaled by the share that training leaves.

    Attributes:
        dropout_ratio: how probable a 0 is.
        mask: what was kept, drawn by `np.random.rand`.

    Source: Srivastava et al. (2014, arXiv:1207.0580 before); not the inverted form that `dlcore.nn` has.
    """

    def __init__(self, dropout_ratio: float = 0.5) -> None:
        self.dropout_ratio = dropout_ratio
        self.mask: Any = None

    def forward(self, x: Array, train_flg: bool = True) -> Array:
        """Any shape → the same."""
        if not train_flg:
            return x * (1.0 - self.dropout_ratio)
        self.mask = np.random.rand(*x.shape) > self.dropout_ratio
        return x * self.mask

    def backward(self, dout: Array) -> Array:
        """The gradient where values were kept, else 0."""
        return dout * self.mask


class BatchNormalization:
    """Each column of the batch with mean 0 and variance 1, then scaled and shifted.

    An input (N, C, H, W) counts as (N, C·H·W): each position of the image has statistics of its own.

    Attributes:
        gamma, beta: scale and shift, (D,).
        momentum: how much of the running statistics stays in a training step.
        running_mean, running_var: what stands for the batch's statistics outside of training, (D,); zeros at first.
        dgamma, dbeta: the gradients, after `backward`.

    Source: Ioffe & Szegedy (2015, arXiv:1502.03167).
    """

    def __init__(
        self, gamma: Any, beta: Any, momentum: float = 0.9, running_mean: Any = None, running_var: Any = None
    ) -> None:
        self.gamma = gamma
        self.beta = beta
        self.momentum = momentum
        self.input_shape: Any = None
        self.running_mean = running_mean
        self.running_var = running_var
        self.dgamma: Any = None
        self.dbeta: Any = None
        self._x: Any = None
        self._statistics: Any = None

    def forward(self, x: Array, train_flg: bool = True) -> Array:
        """(N, D) or (N, C, H, W) → the same."""
        self.input_shape = x.shape
        columns = x.reshape(len(x), -1)
        if self.running_mean is None:
            self.running_mean = np.zeros(columns.shape[1])
            self.running_var = np.zeros(columns.shape[1])
        parts = [self._per_column(part) for part in (self.gamma, self.beta)]
        if not train_flg:
            parts += [self._per_column(part) for part in (self.running_mean, self.running_var)]
            values, dtype = for_kernels(columns, *parts)
            return in_type(kernels.batch_norm_inference(*values, eps=_EPSILON), dtype).reshape(x.shape)
        values, dtype = for_kernels(columns, *parts)
        y, mean, var = kernels.batch_norm(*values, eps=_EPSILON)
        self._x, self._statistics = columns, (mean, var)
        self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mean
        self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        return in_type(y, dtype).reshape(x.shape)

    def backward(self, dout: Array) -> Array:
        """The shape of the input, for a `forward` with `train_flg`."""
        parts = self._per_column(self.gamma), self._per_column(self.beta), *self._statistics
        values, _ = for_kernels(dout.reshape(len(dout), -1), self._x, *parts)
        grads = kernels.batch_norm_grad(*values, eps=_EPSILON)
        dtype = np.result_type(dout, self._x, self.gamma)
        dx, self.dgamma, self.dbeta = (in_type(grad, dtype) for grad in grads)
        return dx.reshape(self.input_shape)

    def _per_column(self, value: Any) -> Array:
        """(D,), also of a single number."""
        return np.broadcast_to(value, (int(np.prod(self.input_shape[1:])),))


class Convolution:
    """Convolution; see `kernels.conv2d`.

    Attributes:
        W: (K, C, R, S).
        b: (K,), or one number for all.
        stride, pad: ints.
        x: the input.
        dW, db: the gradients, after `backward`.
    """

    def __init__(self, W: Array, b: Any, stride: int = 1, pad: int = 0) -> None:
        self.W = W
        self.b = b
        self.stride = stride
        self.pad = pad
        self.x: Any = None
        self.dW: Any = None
        self.db: Any = None

    def forward(self, x: Array) -> Array:
        """(N, C, H, W) → (N, K, OH, OW)."""
        self.x = x
        (inputs, weight, bias), dtype = for_kernels(x, self.W, self.b)
        shift = np.broadcast_to(bias.reshape(-1), len(weight))
        steps: dict[str, Any] = {"stride": self.stride, "padding": self.pad, "algorithm": self._algorithm()}
        return in_type(kernels.conv2d(inputs, weight, shift, **steps), dtype)

    def backward(self, dout: Array) -> Array:
        """(N, K, OH, OW) → (N, C, H, W)."""
        (x, weight, grad), dtype = for_kernels(self.x, self.W, dout)
        steps: dict[str, Any] = {"stride": self.stride, "padding": self.pad, "algorithm": self._algorithm()}
        self.dW = np.ascontiguousarray(in_type(kernels.conv2d_weight_grad(x, grad, weight.shape, **steps), dtype))
        rows = layout.channels_last(grad).reshape(-1, len(weight))
        # A product with ones is twice as fast as rows.sum(axis=0). (After NumPy's @, BLAS's threads would spin for a
        # while, on cores that the next kernel wants.)
        self.db = in_type(kernels.matmul(np.ones((1, len(rows)), grad.dtype), rows).reshape(-1), dtype)
        return in_type(kernels.conv2d_input_grad(grad, weight, x.shape, **steps), dtype)

    def _algorithm(self) -> str:
        """Winograd's where it is faster: in float64 `kernels` leaves that to its callers.

        Its rounding errors, 1e-15 of the largest value, are far below those that numbers here may have.
        """
        channels = min(self.W.shape[:2])
        fits = self.W.shape[2:] == (3, 3) and self.stride == 1 and channels >= _WINOGRAD_CHANNELS
        return "winograd" if fits and self.W.dtype == np.float64 else "auto"


class Pooling:
    """The largest cell of each window; see `kernels.max_pool2d`. Padding is zeros, which win over negative cells.

    Attributes:
        pool_h, pool_w: the window's size.
        stride, pad: ints.
        x: the input.
    """

    def __init__(self, pool_h: int, pool_w: int, stride: int = 2, pad: int = 0) -> None:
        self.pool_h = pool_h
        self.pool_w = pool_w
        self.stride = stride
        self.pad = pad
        self.x: Any = None
        self._argmax: Any = None

    def forward(self, x: Array) -> Array:
        """(N, C, H, W) → (N, C, OH, OW)."""
        self.x = x
        (inputs,), dtype = for_kernels(x)
        if self.pad:
            inputs = np.pad(inputs, ((0, 0), (0, 0), (self.pad, self.pad), (self.pad, self.pad)))
        y, self._argmax = kernels.max_pool2d(inputs, (self.pool_h, self.pool_w), stride=self.stride)
        return in_type(y, dtype)

    def backward(self, dout: Array) -> Array:
        """(N, C, OH, OW) → (N, C, H, W)."""
        (grad,), dtype = for_kernels(dout)
        (N, C, H, W), pad = self.x.shape, self.pad
        padded = (N, C, H + 2 * pad, W + 2 * pad)
        dx = kernels.max_pool2d_grad(grad, self._argmax, padded, (self.pool_h, self.pool_w), stride=self.stride)
        return in_type(dx[:, :, pad : pad + H, pad : pad + W], dtype)
