"""Optimizers, under PyTorch's names and defaults; `Momentum` and `Nesterov` are SGD's two forms with a memory."""

from dlcore.optim.adaptive import AdaGrad, Adam, AdamW, RMSprop
from dlcore.optim.optimizer import Optimizer
from dlcore.optim.sgd import SGD, Momentum, Nesterov

__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "Optimizer", "RMSprop"]
