"""Gradient descent, and the same with a memory of its direction; chapter 6 of the book."""

from typing import Any

from dlcore.optim.groups import Parameters, check_range
from dlcore.optim.optimizer import Optimizer
from kernels.errors import ArgumentError


class SGD(Optimizer):
    """Stochastic gradient descent: v ← momentum · v + (1 - dampening) · g, w ← w - lr · v.

    At the first step v = g. With `nesterov` the step is along g + momentum · v instead of v.

    Args:
        parameters: what to update.
        lr: the learning rate.
        momentum: how much of the last direction is kept, from 0 to 1.
        dampening: how much of the gradient is left out of v.
        weight_decay: L2 penalty.
        nesterov: look ahead along v; needs a momentum and no dampening.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013).
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        check_range(type(self).__name__, momentum=(momentum, 0.0, None))
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError(f"{type(self).__name__}: nesterov needs a momentum above 0 and a dampening of 0")
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.slots = ("velocity",) if momentum else ()
        self.formula = self.nesterov_formula if nesterov else self.momentum_formula if momentum else self.plain_formula

    @staticmethod
    def plain_formula(w: Any, g: Any, lr: Any) -> tuple[Any]:
        """One step of one number, or of an array, without a memory."""
        return (w - lr * g,)

    @staticmethod
    def momentum_formula(w: Any, g: Any, v: Any, lr: Any, momentum: Any, rest: Any) -> tuple[Any, Any]:
        """The step along v."""
        v = momentum * v + rest * g
        return w - lr * v, v

    @staticmethod
    def nesterov_formula(w: Any, g: Any, v: Any, lr: Any, momentum: Any, rest: Any) -> tuple[Any, Any]:
        """The step along g + momentum · v."""
        v = momentum * v + rest * g
        return w - lr * (g + momentum * v), v

    def numbers(self, step: int) -> tuple[float, ...]:
        """The learning rate; with a memory also momentum, and 1 - dampening, which is 1 at the first step."""
        return (self.lr, self.momentum, 1 - self.dampening if step > 1 else 1.0) if self.momentum else (self.lr,)


class Momentum(SGD):
    """SGD with a momentum of 0.9 unless given.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964).
    """

    def __init__(
        self, parameters: Parameters, lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, lr, momentum, weight_decay=weight_decay)


class Nesterov(SGD):
    """SGD with Nesterov's momentum, 0.9 unless given.

    Source: Nesterov (1983), in the form of Sutskever et al. (2013).
    """

    def __init__(
        self, parameters: Parameters, lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, lr, momentum, weight_decay=weight_decay, nesterov=True)
