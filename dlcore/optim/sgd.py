"""Gradient descent, and the same with a memory of its direction; chapter 6 of the book."""

from collections.abc import Iterable
from types import ModuleType

from dlcore.optim.optimizer import Optimizer, check_range
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError
from kernels.types import Array


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
        parameters: Iterable[Tensor],
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

    def update(self, xp: ModuleType, w: Array, g: Array, state: dict[str, Array], step: int) -> None:
        """One step of one parameter."""
        if self.momentum:
            v = state["velocity"]
            v *= self.momentum
            v += (1 - self.dampening) * g if step > 1 else g
            g = g + self.momentum * v if self.nesterov else v
        w -= self.lr * g


class Momentum(SGD):
    """SGD with a momentum of 0.9 unless given.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964).
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, lr, momentum, weight_decay=weight_decay)


class Nesterov(SGD):
    """SGD with Nesterov's momentum, 0.9 unless given.

    Source: Nesterov (1983), in the form of Sutskever et al. (2013).
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, lr, momentum, weight_decay=weight_decay, nesterov=True)
