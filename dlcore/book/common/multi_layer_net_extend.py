"""`common.multi_layer_net_extend`: fully connected networks with batch normalization and dropout (chapter 6)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcore.book.common import multi_layer_net
from dlcore.book.common.layers import BatchNormalization, Dropout
from dlcore.book.common.multi_layer_net import *  # noqa: F403  (as in the book: for scripts that import * from here)
from dlcore.book.common.multi_layer_net import MultiLayerNet
from kernels.types import Array

__all__ = [*(name for name in multi_layer_net.__all__ if name != "MultiLayerNet"), "MultiLayerNetExtend"]


class MultiLayerNetExtend(MultiLayerNet):
    """`MultiLayerNet` with batch normalization before each activation, and dropout behind it, where asked for.

    Args:
        input_size: as in `MultiLayerNet`.
        hidden_size_list: as in `MultiLayerNet`.
        output_size: as in `MultiLayerNet`.
        activation: as in `MultiLayerNet`.
        weight_init_std: as in `MultiLayerNet`.
        weight_decay_lambda: as in `MultiLayerNet`.
        use_dropout: whether hidden values are dropped in training.
        dropout_ration: how probable that is.
        use_batchnorm: whether hidden values are normalized; adds gamma1, beta1, … to `params`.

    Attributes:
        layers: Affine1, BatchNorm1, Activation_function1, Dropout1, Affine2, …, in their order.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size_list: Sequence[int],
        output_size: int,
        activation: str = "relu",
        weight_init_std: str | float = "relu",
        weight_decay_lambda: float = 0,
        use_dropout: bool = False,
        dropout_ration: float = 0.5,
        use_batchnorm: bool = False,
    ) -> None:
        self.use_dropout = use_dropout
        self.dropout_ration = dropout_ration
        self.use_batchnorm = use_batchnorm
        super().__init__(input_size, hidden_size_list, output_size, activation, weight_init_std, weight_decay_lambda)

    def _add_behind_affine(self, number: int, activation: Any) -> None:
        if self.use_batchnorm:
            size = self.hidden_size_list[number - 1]
            gamma, beta = np.ones(size), np.zeros(size)
            self.params[f"gamma{number}"], self.params[f"beta{number}"] = gamma, beta
            self.layers[f"BatchNorm{number}"] = BatchNormalization(gamma, beta)
        super()._add_behind_affine(number, activation)
        if self.use_dropout:
            self.layers[f"Dropout{number}"] = Dropout(self.dropout_ration)

    def predict(self, x: Array, train_flg: bool = False) -> Array:
        """Samples (N, input_size) → scores (N, output_size); `train_flg` for the layers that behave otherwise then."""
        for layer in self.layers.values():
            x = layer.forward(x, train_flg) if isinstance(layer, BatchNormalization | Dropout) else layer.forward(x)
        return x

    def loss(self, x: Array, t: Array, train_flg: bool = False) -> Any:
        """As `MultiLayerNet.loss`."""
        return self.last_layer.forward(self.predict(x, train_flg), t) + self._decay()

    def _training_loss(self, x: Array, t: Array) -> Any:
        return self.loss(x, t, train_flg=True)

    def numerical_gradient(self, X: Array, T: Array) -> dict[str, Array]:
        """As `MultiLayerNet.numerical_gradient`, as in training."""
        numbers, names = range(1, self.hidden_layer_num + 2), ("W", "b", "gamma", "beta")
        keys = [f"{name}{number}" for number in numbers for name in names]
        return self._numerical_gradients([key for key in keys if key in self.params], X, T)

    def gradient(self, x: Array, t: Array) -> dict[str, Array]:
        """As `MultiLayerNet.gradient`, as in training."""
        grads = super().gradient(x, t)
        if self.use_batchnorm:
            for number in range(1, self.hidden_layer_num + 1):
                layer = self.layers[f"BatchNorm{number}"]
                grads[f"gamma{number}"], grads[f"beta{number}"] = layer.dgamma, layer.dbeta
        return grads
