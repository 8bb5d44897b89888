"""Optimizers with a step size of its own for each number; chapter 6 of the book."""

from typing import Any

import numpy as np

from dlcore.optim.groups import Parameters, check_range
from dlcore.optim.optimizer import Optimizer
from kernels import options
from kernels.errors import ArgumentError


class AdaGrad(Optimizer):
    """h ← h + g², w ← w - lr · g / (√h + ε).

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods" (JMLR 2011).
    """

    slots = ("sum_of_squares",)

    def __init__(self, parameters: Parameters, lr: float = 1e-2, weight_decay: float = 0.0, eps: float = 1e-10) -> None:
        super().__init__(parameters, lr, weight_decay)
        check_range("AdaGrad", eps=(eps, 0.0, None))
        self.eps = eps

    @staticmethod
    def formula(w: Any, g: Any, h: Any, lr: Any, eps: Any) -> tuple[Any, Any]:
        """One step of one number, or of an array."""
        h = h + g * g
        return w - lr * g / (np.sqrt(h) + eps), h

    def numbers(self, step: int) -> tuple[float, ...]:
        """The learning rate and ε."""
        return self.lr, self.eps


class AdaDelta(Optimizer):
    """h ← ρ h + (1 - ρ) g², d = g · √(u + ε) / √(h + ε), u ← ρ u + (1 - ρ) d², w ← w - lr · d.

    The step has the unit of w, whatever that of the loss is: hence the learning rate of 1.

    Source: Zeiler, arXiv:1212.5701, algorithm 1.
    """

    slots = ("mean_square", "mean_square_of_steps")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        check_range("AdaDelta", rho=(rho, 0.0, 1.0), eps=(eps, 0.0, None))
        self.rho = rho
        self.eps = eps

    @staticmethod
    def formula(w: Any, g: Any, h: Any, u: Any, lr: Any, rest: Any, eps: Any) -> tuple[Any, Any, Any]:
        """One step of one number, or of an array."""
        h = h + rest * (g * g - h)
        d = g * np.sqrt(u + eps) / np.sqrt(h + eps)
        return w - lr * d, h, u + rest * (d * d - u)

    def numbers(self, step: int) -> tuple[float, ...]:
        """The learning rate, 1 - ρ and ε."""
        return self.lr, 1 - self.rho, self.eps


class RMSprop(Optimizer):
    """h ← alpha · h + (1 - alpha) · g², w ← w - lr · g / (√h + ε).

    Source: Tieleman and Hinton, lecture 6.5 of "Neural networks for machine learning" (2012).
    """

    slots = ("mean_square",)

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        check_range("RMSprop", alpha=(alpha, 0.0, 1.0), eps=(eps, 0.0, None))
        self.alpha = alpha
        self.eps = eps

    @staticmethod
    def formula(w: Any, g: Any, h: Any, lr: Any, rest: Any, eps: Any) -> tuple[Any, Any]:
        """One step of one number, or of an array."""
        h = h + rest * (g * g - h)
        return w - lr * g / (np.sqrt(h) + eps), h

    def numbers(self, step: int) -> tuple[float, ...]:
        """The learning rate, 1 - alpha and ε."""
        return self.lr, 1 - self.alpha, self.eps


class Adam(Optimizer):
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², w ← w - lr · m̂ / (√v̂ + ε).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ), at step t, are m and v without the pull towards their first value, 0.

    Source: Kingma and Ba, arXiv:1412.6980, algorithm 1.
    """

    slots = ("mean", "mean_square")

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        name = type(self).__name__
        pair = options.items(name, "betas", betas, "numbers")
        if len(pair) != 2:
            raise ArgumentError(f"{name}: betas must be two numbers, got {options.short(betas)}")
        check_range(name, beta1=(betas[0], 0.0, 1.0), beta2=(betas[1], 0.0, 1.0), eps=(eps, 0.0, None))
        self.betas = (betas[0], betas[1])
        self.eps = eps

    @staticmethod
    def formula(
        w: Any, g: Any, m: Any, v: Any, lr: Any, rest1: Any, rest2: Any, scale1: Any, scale2: Any, eps: Any
    ) -> tuple[Any, Any, Any]:
        """One step of one number, or of an array."""
        m = m + rest1 * (g - m)
        v = v + rest2 * (g * g - v)
        m_hat = scale1 * m
        v_hat = scale2 * v
        return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v

    def numbers(self, step: int) -> tuple[float, ...]:
        """The learning rate, 1 - β₁, 1 - β₂, 1 / (1 - β₁ᵗ), 1 / (1 - β₂ᵗ) and ε."""
        beta1, beta2 = self.betas
        return self.lr, 1 - beta1, 1 - beta2, 1 / (1 - beta1**step), 1 / (1 - beta2**step), self.eps


class AdamW(Adam):
    """Adam with the weights shrunk by lr · weight_decay beside the gradient step, not through it.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (arXiv:1711.05101), algorithm 2.
    """

    decouples_weight_decay = True

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)
