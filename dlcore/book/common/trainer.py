"""`common.trainer`: training in mini-batches, with accuracies once per epoch (chapters 7 and 8)."""

import os
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from dlcore.book.common import optimizer as optimizers
from dlcore.book.common.optimizer import *  # noqa: F403  (as in the book: for scripts that import * from here)
from dlcore.book.common.optimizer import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSprop
from kernels.errors import ArgumentError
from kernels.types import Array

__all__ = [*optimizers.__all__, "Trainer", "os", "sys"]

_OPTIMIZERS: dict[str, Any] = {
    "sgd": SGD,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adagrad": AdaGrad,
    "rmsprop": RMSprop,
    "rmsprpo": RMSprop,  # early printings know it under this name only
    "adam": Adam,
}
_DEFAULTS = MappingProxyType({"lr": 0.01})


class Trainer:
    """Trains a network that has `params`, `gradient`, `loss` and `accuracy`.

    Args:
        network: see above.
        x_train: inputs to learn from, (N, …).
        t_train: their classes, indices or one-hot.
        x_test: inputs on which accuracy is measured, too.
        t_test: their classes.
        epochs: how often as many samples are drawn as there are.
        mini_batch_size: samples per step, drawn with repetition by `np.random.choice`.
        optimizer: "SGD", "Momentum", "Nesterov", "AdaGrad", "RMSprop" or "Adam", in any case.
        optimizer_param: what the optimiser is made with.
        evaluate_sample_num_per_epoch: accuracies are measured on so many samples, the first ones; None for all.
        verbose: whether losses and accuracies are printed.

    Attributes:
        train_loss_list: the loss of each step's batch, after the step.
        train_acc_list, test_acc_list: the accuracies, measured in the first step of each epoch.

    Raises:
        ArgumentError: the optimiser is unknown.
    """

    def __init__(
        self,
        network: Any,
        x_train: Array,
        t_train: Array,
        x_test: Array,
        t_test: Array,
        epochs: int = 20,
        mini_batch_size: int = 100,
        optimizer: str = "SGD",
        optimizer_param: Mapping[str, float] = _DEFAULTS,
        evaluate_sample_num_per_epoch: int | None = None,
        verbose: bool = True,
    ) -> None:
        if optimizer.lower() not in _OPTIMIZERS:
            known = ", ".join(name for name in _OPTIMIZERS if name != "rmsprpo")
            raise ArgumentError(f"Trainer: optimizer must be one of {known}, got {optimizer!r}.")
        self.network = network
        self.verbose = verbose
        self.x_train = x_train
        self.t_train = t_train
        self.x_test = x_test
        self.t_test = t_test
        self.epochs = epochs
        self.batch_size = mini_batch_size
        self.evaluate_sample_num_per_epoch = evaluate_sample_num_per_epoch
        self.optimizer = _OPTIMIZERS[optimizer.lower()](**optimizer_param)
        self.train_size = x_train.shape[0]
        self.iter_per_epoch = max(self.train_size / mini_batch_size, 1)
        self.max_iter = int(epochs * self.iter_per_epoch)
        self.current_iter = 0
        self.current_epoch = 0
        self.train_loss_list: list[Any] = []
        self.train_acc_list: list[Any] = []
        self.test_acc_list: list[Any] = []

    def train_step(self) -> None:
        """One mini-batch: gradients, update, and the loss behind it; at an epoch's start the accuracies as well."""
        batch = np.random.choice(self.train_size, self.batch_size)
        x, t = self.x_train[batch], self.t_train[batch]
        self.optimizer.update(self.network.params, self.network.gradient(x, t))
        loss = self.network.loss(x, t)
        self.train_loss_list.append(loss)
        self._say(f"train loss:{loss}")
        # Where an epoch is no whole number of steps, this is so only in some epochs, as in the book.
        if self.current_iter % self.iter_per_epoch == 0:
            self._measure()
        self.current_iter += 1

    def _measure(self) -> None:
        self.current_epoch += 1
        first = slice(self.evaluate_sample_num_per_epoch)
        train_accuracy = self.network.accuracy(self.x_train[first], self.t_train[first])
        test_accuracy = self.network.accuracy(self.x_test[first], self.t_test[first])
        self.train_acc_list.append(train_accuracy)
        self.test_acc_list.append(test_accuracy)
        self._say(f"=== epoch:{self.current_epoch}, train acc:{train_accuracy}, test acc:{test_accuracy} ===")

    def train(self) -> None:
        """All epochs, and the accuracy on all test samples at the end."""
        for _ in range(self.max_iter):
            self.train_step()
        accuracy = self.network.accuracy(self.x_test, self.t_test)
        self._say("=============== Final Test Accuracy ===============")
        self._say(f"test acc:{accuracy}")

    def _say(self, text: str) -> None:
        if self.verbose:
            print(text)
