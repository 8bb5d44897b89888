"""Optimizers, under PyTorch's names and defaults; `Momentum` and `Nesterov` are SGD's two forms with a memory."""

from dlcore.optim.adaptive import AdaDelta, AdaGrad, Adam, AdamW, RMSprop
from dlcore.optim.optimizer import Optimizer
from dlcore.optim.plateau import ReduceLROnPlateau
from dlcore.optim.schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    OneCycleLR,
    Schedule,
    SequentialLR,
    StepLR,
)
from dlcore.optim.sgd import SGD, Momentum, Nesterov

__all__ = [
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LinearLR",
    "Momentum",
    "Nesterov",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
]
