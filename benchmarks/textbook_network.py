"""Networks as *Deep Learning from Scratch* (Koki Saito), chapters 5 to 8, trains them in NumPy; our own words.

A layer is an object that keeps in `forward` what its `backward` needs; a network is a list of them, Adam a loop over
arrays. Convolution goes over im2col and a matrix product, pooling over im2col and a maximum.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from benchmarks import textbook
from dlcore import nn
from kernels.types import Array


class Layer(Protocol):
    """One step of a network. `parameters` and, after `backward`, `gradients` belong together, in order."""

    parameters: list[Array]
    gradients: list[Array]

    def forward(self, x: Array, training: bool) -> Array:
        """The output."""

    def backward(self, grad_output: Array) -> Array:
        """The gradient of the input."""


class Affine:
    """x · W + b, for images of any shape."""

    def __init__(self, weight: Array, bias: Array) -> None:
        self.parameters: list[Array] = [weight, bias]
        self.gradients: list[Array] = []

    def forward(self, x: Array, training: bool) -> Array:
        """(N, …) → (N, features)."""
        self._shape, self._rows = x.shape, x.reshape(len(x), -1)
        return self._rows @ self.parameters[0] + self.parameters[1]

    def backward(self, grad_output: Array) -> Array:
        """(N, features) → (N, …)."""
        self.gradients = [self._rows.T @ grad_output, grad_output.sum(axis=0)]
        return (grad_output @ self.parameters[0].T).reshape(self._shape)


class Convolution:
    """A convolution with stride 1; keeps the patches of its input."""

    def __init__(self, weight: Array, bias: Array, padding: int) -> None:
        self.parameters: list[Array] = [weight, bias]
        self.gradients: list[Array] = []
        self._padding = padding

    def forward(self, x: Array, training: bool) -> Array:
        """(N, C, H, W) → (N, F, OH, OW)."""
        weight, bias = self.parameters
        filters, _, kernel, _ = weight.shape
        self._shape, self._patches = x.shape, textbook.im2col(x, kernel, 1, self._padding)
        rows = textbook.output_size(x.shape[2], kernel, 1, self._padding)
        product = self._patches @ weight.reshape(filters, -1).T + bias
        return product.reshape(len(x), rows, -1, filters).transpose(0, 3, 1, 2)

    def backward(self, grad_output: Array) -> Array:
        """(N, F, OH, OW) → (N, C, H, W)."""
        weight = self.parameters[0]
        self.gradients = [
            textbook.conv2d_weight_grad(self._patches, grad_output, weight.shape),
            grad_output.sum(axis=(0, 2, 3)),
        ]
        return textbook.conv2d_input_grad(grad_output, weight, self._shape, 1, self._padding)


class MaxPool:
    """The largest of each window; windows touch."""

    def __init__(self, size: int) -> None:
        self.parameters: list[Array] = []
        self.gradients: list[Array] = []
        self._size = size

    def forward(self, x: Array, training: bool) -> Array:
        """(N, C, H, W) → (N, C, OH, OW)."""
        self._shape = x.shape
        y, self._argmax = textbook.max_pool2d(x, self._size, self._size)
        return y

    def backward(self, grad_output: Array) -> Array:
        """(N, C, OH, OW) → (N, C, H, W)."""
        return textbook.max_pool2d_grad(grad_output, self._argmax, self._shape, self._size, self._size)


class Relu:
    """Negative values become 0."""

    def __init__(self) -> None:
        self.parameters: list[Array] = []
        self.gradients: list[Array] = []

    def forward(self, x: Array, training: bool) -> Array:
        """The same shape."""
        self._negative = x <= 0
        y = x.copy()
        y[self._negative] = 0
        return y

    def backward(self, grad_output: Array) -> Array:
        """The same shape."""
        grad_output[self._negative] = 0
        return grad_output


class Dropout:
    """In training a random part of the values becomes 0, and the others grow by as much.

    The book lets them be, and scales all of them later instead; so the outputs can be compared with other contenders'.
    """

    def __init__(self, ratio: float) -> None:
        self.parameters: list[Array] = []
        self.gradients: list[Array] = []
        self._ratio = ratio
        self._rng = np.random.default_rng(0)

    def forward(self, x: Array, training: bool) -> Array:
        """The same shape."""
        if not training:
            return x
        kept = self._rng.random(x.shape, dtype=np.float32) > self._ratio
        self._factors = kept / np.float32(1 - self._ratio)
        return x * self._factors

    def backward(self, grad_output: Array) -> Array:
        """The same shape."""
        return grad_output * self._factors


class Network:
    """Layers, and the Adam that trains them.

    Args:
        layers: from the images to the scores.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        self._steps = 0
        parameters = [parameter for layer in self.layers for parameter in layer.parameters]
        self._means = [np.zeros_like(parameter) for parameter in parameters]
        self._squares = [np.zeros_like(parameter) for parameter in parameters]

    def scores(self, x: Array, *, training: bool = False) -> Array:
        """(N, C, H, W) → (N, classes)."""
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def step(self, x: Array, labels: Array, learning_rate: float = 1e-3) -> float:
        """Forward, softmax and cross-entropy, backward, and one update; returns the loss before it."""
        scores = self.scores(x, training=True)
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        examples = np.arange(len(x))
        loss = -np.log(probabilities[examples, labels] + np.float32(1e-7)).mean()
        gradient = probabilities
        gradient[examples, labels] -= 1
        gradient /= np.float32(len(x))
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        self._update(np.float32(learning_rate))
        return float(loss)

    def _update(self, learning_rate: np.float32) -> None:
        self._steps += 1
        rate = learning_rate * np.float32(np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps))
        parameters = [parameter for layer in self.layers for parameter in layer.parameters]
        gradients = [gradient for layer in self.layers for gradient in layer.gradients]
        for parameter, gradient, mean, square in zip(parameters, gradients, self._means, self._squares, strict=True):
            mean += np.float32(0.1) * (gradient - mean)
            square += np.float32(0.001) * (gradient**2 - square)
            parameter -= rate * mean / (np.sqrt(square) + np.float32(1e-7))


def like(network: nn.Sequential, dtype: npt.DTypeLike = np.float32, dropout: float | None = None) -> Network:
    """A textbook network of the same layers with the same weights.

    Args:
        network: what it copies.
        dtype: of the weights.
        dropout: the probability of all dropout layers; None for the network's own.
    """
    layers: list[Layer] = []
    for layer in network:
        match layer:
            case nn.Linear():
                assert layer.bias is not None
                weight = np.array(layer.weight.numpy().T, dtype, order="C")
                layers.append(Affine(weight, layer.bias.numpy().astype(dtype)))
            case nn.Conv2d():
                assert layer.bias is not None
                assert isinstance(layer.padding, int)
                weight = np.array(layer.weight.numpy(), dtype, order="C")
                layers.append(Convolution(weight, layer.bias.numpy().astype(dtype), layer.padding))
            case nn.MaxPool2d():
                assert isinstance(layer.kernel_size, int)
                layers.append(MaxPool(layer.kernel_size))
            case nn.ReLU():
                layers.append(Relu())
            case nn.Dropout():
                layers.append(Dropout(layer.p if dropout is None else dropout))
            case nn.Flatten():
                pass  # the affine layers flatten
            case _:
                raise TypeError(f"the textbook has no {type(layer).__name__}")
    return Network(layers)
