"""`common.multi_layer_net`: fully connected networks with weight decay (chapter 6)."""

import itertools
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlcore.book.common import layers
from dlcore.book.common.gradient import numerical_gradient
from dlcore.book.common.layers import *  # noqa: F403  (as in the book: for scripts that import * from here)
from dlcore.book.common.layers import Affine, Relu, Sigmoid, SoftmaxWithLoss
from kernels.errors import ArgumentError
from kernels.types import Array

__all__ = [*layers.__all__, "MultiLayerNet", "OrderedDict", "numerical_gradient", "os", "sys"]

_ACTIVATIONS: dict[str, Callable[[], Any]] = {"sigmoid": Sigmoid, "relu": Relu}

#: Of initial weights: the variance times the number of inputs.
_VARIANCES = {"relu": 2.0, "he": 2.0, "sigmoid": 1.0, "xavier": 1.0}


class MultiLayerNet:
    """Affine layers with an activation between each two, for classification.

    Args:
        input_size: of one sample, 784 for MNIST.
        hidden_size_list: the units of each hidden layer.
        output_size: the number of classes.
        activation: "relu" or "sigmoid".
        weight_init_std: the standard deviation of initial weights, drawn by `np.random.randn`; or "relu" / "he" for
            √(2 / inputs), "sigmoid" / "xavier" for √(1 / inputs).
        weight_decay_lambda: how strongly large weights are punished: λ/2 · ΣW² is added to the loss.

    Attributes:
        params: W1, b1, W2, …: the very arrays that the layers have.
        layers: Affine1, Activation_function1, Affine2, …, in their order.
        last_layer: a SoftmaxWithLoss.

    Raises:
        ArgumentError: the activation is unknown.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size_list: Sequence[int],
        output_size: int,
        activation: str = "relu",
        weight_init_std: str | float = "relu",
        weight_decay_lambda: float = 0,
    ) -> None:
        self.input_size = input_size
        self.output_size = output_size
        self.hidden_size_list = hidden_size_list
        self.hidden_layer_num = len(hidden_size_list)
        self.weight_decay_lambda = weight_decay_lambda
        self.params: dict[str, Array] = {}
        if activation.lower() not in _ACTIVATIONS:
            raise ArgumentError(f"{type(self).__name__}: activation must be 'relu' or 'sigmoid', got {activation!r}.")
        self._draw_weights(weight_init_std)
        self.layers: OrderedDict[str, Any] = OrderedDict()
        for number in range(1, self.hidden_layer_num + 1):
            self._add_affine(number)
            self._add_behind_affine(number, _ACTIVATIONS[activation.lower()]())
        self._add_affine(self.hidden_layer_num + 1)
        self.last_layer = SoftmaxWithLoss()

    def _draw_weights(self, std: str | float) -> None:
        sizes = [self.input_size, *self.hidden_size_list, self.output_size]
        for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes), start=1):
            variance = _VARIANCES.get(str(std).lower())
            scale = float(std) if variance is None else np.sqrt(variance / inputs)
            self.params[f"W{number}"] = scale * np.random.randn(inputs, outputs)
            self.params[f"b{number}"] = np.zeros(outputs)

    def _add_affine(self, number: int) -> None:
        self.layers[f"Affine{number}"] = Affine(self.params[f"W{number}"], self.params[f"b{number}"])

    def _add_behind_affine(self, number: int, activation: Any) -> None:
        self.layers[f"Activation_function{number}"] = activation

    def predict(self, x: Array) -> Array:
        """Samples (N, input_size) → scores (N, output_size)."""
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x: Array, t: Array) -> Any:
        """The mean loss of samples whose classes are t (indices or one-hot), with the weight decay's part."""
        return self.last_layer.forward(self.predict(x), t) + self._decay()

    def _decay(self) -> Any:
        if not self.weight_decay_lambda:
            return 0.0
        weights = [self.params[f"W{number}"] for number in range(1, self.hidden_layer_num + 2)]
        return sum(0.5 * self.weight_decay_lambda * np.sum(W**2) for W in weights)

    def _training_loss(self, x: Array, t: Array) -> Any:
        """The loss whose gradient is asked for."""
        return self.loss(x, t)

    def accuracy(self, x: Array, t: Array) -> Any:
        """The share of samples whose largest score is at their class t (indices or one-hot)."""
        classes = t if t.ndim == 1 else np.argmax(t, axis=1)
        return np.sum(np.argmax(self.predict(x), axis=1) == classes) / float(len(x))

    def numerical_gradient(self, x: Array, t: Array) -> dict[str, Array]:
        """The gradient of each of `params` by differences: two losses for every number, so for small networks."""
        keys = [f"{name}{number}" for number in range(1, self.hidden_layer_num + 2) for name in ("W", "b")]
        return self._numerical_gradients(keys, x, t)

    def _numerical_gradients(self, keys: Sequence[str], x: Array, t: Array) -> dict[str, Array]:
        return {key: numerical_gradient(lambda _: self._training_loss(x, t), self.params[key]) for key in keys}

    def gradient(self, x: Array, t: Array) -> dict[str, Array]:
        """The gradient of each of `params` by backpropagation."""
        self._training_loss(x, t)
        dout = self.last_layer.backward()
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grads = {}
        for number in range(1, self.hidden_layer_num + 2):
            affine = self.layers[f"Affine{number}"]
            decay = self.weight_decay_lambda
            grads[f"W{number}"] = affine.dW + decay * affine.W if decay else affine.dW
            grads[f"b{number}"] = affine.db
        return grads
