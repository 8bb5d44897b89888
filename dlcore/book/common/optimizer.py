"""`common.optimizer`: ways to follow a gradient down (chapter 6).

An optimiser is its formula: a static method of one parameter w, its gradient g, what is kept beside w, and numbers,
which returns the new w and the new kept values. Arrays go through it in one compiled pass, `kernels.optimizer_step`;
Python numbers, and arrays that kernels do not take, go through it as they are.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, ClassVar

import numpy as np

import kernels
from kernels.types import Array

__all__ = ["SGD", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop", "np"]

#: Keeps divisors from being 0.
_EPSILON = 1e-7

Params = MutableMapping[str, Any]
Grads = Mapping[str, Any]


class _Optimizer:
    """What all optimisers share.

    Attributes:
        formula: see this module.
        kept: the names of the attributes that hold what is kept, each a dict like `params`; None before the first
            update.
    """

    formula: ClassVar[Callable[..., tuple[Any, ...]]]
    kept: ClassVar[tuple[str, ...]] = ()

    def update(self, params: Params, grads: Grads) -> None:
        """Move parameters: arrays in place, numbers in the dict.

        Args:
            params: by name, arrays or numbers.
            grads: by the same names; others are not looked at.
        """
        for name in self.kept:
            if getattr(self, name) is None:
                setattr(self, name, {key: np.zeros_like(value) for key, value in params.items()})
        kept = [getattr(self, name) for name in self.kept]
        numbers, formula = self._numbers(), type(self).formula
        together = []
        for key in params:
            values = [params[key], grads[key], *(values[key] for values in kept)]
            if _are_alike(values):
                together.append(values)
                continue
            new = formula(*values, *numbers)
            for store, value in zip((params, *kept), new, strict=True):
                if isinstance(params[key], np.ndarray):
                    np.copyto(store[key], value, casting="same_kind")
                else:
                    store[key] = value
        kernels.optimizer_step(formula, together, [numbers] * len(together))

    def _numbers(self) -> tuple[float, ...]:
        """What the formula takes behind the arrays."""
        raise NotImplementedError


def _are_alike(values: list[Any]) -> bool:
    """Whether these are arrays of one shape, and of one type that kernels take."""
    first = values[0]
    return (
        isinstance(first, np.ndarray)
        and first.dtype in (np.float32, np.float64)
        and all(type(x) is np.ndarray and x.shape == first.shape and x.dtype == first.dtype for x in values)
    )


class SGD(_Optimizer):
    """Stochastic gradient descent: against the gradient, by lr times its length."""

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr

    @staticmethod
    def formula(w: Array, g: Array, lr: float) -> tuple[Array]:
        """See the class."""
        return (w - lr * g,)

    def _numbers(self) -> tuple[float, ...]:
        return (self.lr,)


class Momentum(_Optimizer):
    """Steps that keep a part of the last step: a ball with friction."""

    kept = ("v",)

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        self.lr = lr
        self.momentum = momentum
        self.v: dict[str, Any] | None = None

    @staticmethod
    def formula(w: Array, g: Array, v: Array, lr: float, momentum: float) -> tuple[Array, Array]:
        """See the class."""
        v = momentum * v - lr * g
        return w + v, v

    def _numbers(self) -> tuple[float, ...]:
        return self.lr, self.momentum


class Nesterov(Momentum):
    """Momentum whose gradient is taken where the last step would lead, as the book's code has it.

    w + momentum² · v − (1 + momentum) · lr · g, with v already moved. (Equation 7 of its source, Bengio et al.,
    "Advances in optimizing recurrent networks", 2012, arXiv:1212.0901, has the v of before; so has `dlcore.optim`.)
    """

    @staticmethod
    def formula(w: Array, g: Array, v: Array, lr: float, momentum: float) -> tuple[Array, Array]:
        """See the class."""
        v = momentum * v - lr * g
        return w + momentum * momentum * v - lr * g - momentum * lr * g, v


class AdaGrad(_Optimizer):
    """Each element by its own rate: lr over the root of all its squared gradients so far."""

    kept = ("h",)

    def __init__(self, lr: float = 0.01) -> None:
        self.lr = lr
        self.h: dict[str, Any] | None = None

    @staticmethod
    def formula(w: Array, g: Array, h: Array, lr: float, epsilon: float) -> tuple[Array, Array]:
        """See the class."""
        h = h + g * g
        return w - lr * g / (np.sqrt(h) + epsilon), h

    def _numbers(self) -> tuple[float, ...]:
        return self.lr, _EPSILON


class RMSprop(_Optimizer):
    """As AdaGrad, but squared gradients are forgotten by and by."""

    kept = ("h",)

    def __init__(self, lr: float = 0.01, decay_rate: float = 0.99) -> None:
        self.lr = lr
        self.decay_rate = decay_rate
        self.h: dict[str, Any] | None = None

    @staticmethod
    def formula(
        w: Array, g: Array, h: Array, lr: float, decay_rate: float, fresh: float, epsilon: float
    ) -> tuple[Array, Array]:
        """See the class."""
        h = decay_rate * h + fresh * g * g
        return w - lr * g / (np.sqrt(h) + epsilon), h

    def _numbers(self) -> tuple[float, ...]:
        return self.lr, self.decay_rate, 1 - self.decay_rate, _EPSILON


class Adam(_Optimizer):
    """Running means of the gradient and of its square, both without their bias towards 0.

    Source: Kingma & Ba, "Adam" (2014, arXiv:1412.6980), in the form at the end of its section 2.
    """

    kept = ("m", "v")

    def __init__(self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.lr = lr
        self.beta1 = beta1
        self.beta2 = beta2
        self.iter = 0
        self.m: dict[str, Any] | None = None
        self.v: dict[str, Any] | None = None

    def update(self, params: Params, grads: Grads) -> None:
        """As the others do; `iter` counts the calls."""
        self.iter += 1
        super().update(params, grads)

    @staticmethod
    def formula(
        w: Array, g: Array, m: Array, v: Array, rate: float, fresh1: float, fresh2: float, epsilon: float
    ) -> tuple[Array, Array, Array]:
        """See the class."""
        m = m + fresh1 * (g - m)
        v = v + fresh2 * (g * g - v)
        return w - rate * m / (np.sqrt(v) + epsilon), m, v

    def _numbers(self) -> tuple[float, ...]:
        rate = self.lr * (1.0 - self.beta2**self.iter) ** 0.5 / (1.0 - self.beta1**self.iter)
        return rate, 1 - self.beta1, 1 - self.beta2, _EPSILON
