"""What optimizers share: the parameters, the learning rate, weight decay, and the state kept per parameter."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

import kernels
from dlcore import backend
from dlcore.autograd import is_numeric
from dlcore.backend import Backend
from dlcore.ops.half import is_half
from dlcore.optim.groups import Parameters, check_range, make_groups
from dlcore.tensor import Tensor
from kernels import options
from kernels.errors import ArgumentError, StateDictError
from kernels.layout import same_order
from kernels.types import Array


class Optimizer:
    """Updates parameters from their gradients, in place.

    An optimizer is a formula for one number, and the numbers that go into it:

        class SignDescent(Optimizer):
            @staticmethod
            def formula(w, g, lr):
                return (w - lr * np.sign(g),)

            def numbers(self, step):
                return (self.lr,)

    On the CPU the formula is compiled into one pass over all parameters (see `kernels.optimizer_step`, which says what
    may stand in it); elsewhere it is called with whole arrays. An optimizer that needs more overrides `update` instead.

    Args:
        parameters: what to update: the network's `parameters()`; or groups of them, as
            [{"params": network.features.parameters(), "lr": 1e-4}, {"params": network.classifier.parameters()}], each
            with a learning rate or weight decay of its own where it names one.
        lr: the learning rate.
        weight_decay: adds weight_decay · w to the gradient of w (an L2 penalty of weight_decay / 2 · |w|²).

    Attributes:
        parameters: all of them, group after group.
        param_groups: one dict for each group (there is one if none were given) of "params", "lr" and "weight_decay";
            the numbers may be changed at any time.

    Raises:
        ArgumentError: there are no parameters, one stands in two groups, or a number is out of its range.
    """

    #: formula(w, g, *kept, *numbers) → (w, *kept), where `kept` are the arrays of `slots`.
    formula: Callable[..., tuple[Any, ...]]

    #: Whether weight decay shrinks w by lr · weight_decay · w beside the step, instead of being added to the gradient.
    #: An overridden `update` applies that itself.
    decouples_weight_decay: ClassVar[bool] = False

    #: The arrays kept for each parameter, zero at first.
    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Parameters, lr: float, weight_decay: float = 0.0) -> None:
        self.param_groups = make_groups(type(self).__name__, parameters, {"lr": lr, "weight_decay": weight_decay})
        self._group = self.param_groups[0]
        self.parameters: list[Tensor] = [parameter for group in self.param_groups for parameter in group["params"]]
        self.steps = [0] * len(self.parameters)  # per parameter: one may go without a gradient at first
        self._state: list[dict[str, Array]] = [{} for _ in self.parameters]

    @property
    def lr(self) -> float:
        """The learning rate: of the first group; within `numbers` and `update`, of the parameter's own.

        Setting it sets that of every group, and is where schedules that are made afterwards start from.
        """
        rate: float = self._group["lr"]
        return rate

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value
            group.pop("initial_lr", None)

    @property
    def weight_decay(self) -> float:
        """The weight decay, with groups as for `lr`."""
        decay: float = self._group["weight_decay"]
        return decay

    @weight_decay.setter
    def weight_decay(self, value: float) -> None:
        for group in self.param_groups:
            group["weight_decay"] = value

    def numbers(self, step: int) -> tuple[float, ...]:
        """What the formula takes behind the arrays, at step number `step` (from 1) of a parameter."""
        raise NotImplementedError(f"{type(self).__name__} has no numbers")

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        first = 0
        try:
            for group in self.param_groups:
                self._group = group
                last = first + len(group["params"])
                self._step_group(range(first, last))
                first = last
        finally:
            self._group = self.param_groups[0]

    def _step_group(self, numbers: range) -> None:
        """Update the parameters of these numbers, which are the present group's."""
        is_formula = type(self).update is Optimizer.update
        together: dict[Backend, list[tuple[int, list[Array]]]] = {}
        for number in numbers:
            parameter, state = self.parameters[number], self._state[number]
            if parameter.grad is None:
                continue
            self.steps[number] += 1
            w, gradient, owner = parameter.data, parameter.grad.data, parameter.backend
            for slot in self.slots:
                state[slot] = _beside(owner, w, state.get(slot))
            if is_formula:
                arrays = [w, gradient, *[state[slot] for slot in self.slots]]
                together.setdefault(owner, []).append((self.steps[number], arrays))
                continue
            with owner.active_device():
                if self.weight_decay and not self.decouples_weight_decay:
                    gradient = gradient + self.weight_decay * w
                self.update(owner.xp, w, gradient, state, self.steps[number])
        for owner, parameters in together.items():
            with owner.active_device():
                self._run_formula(parameters)
        for number in numbers:
            if self.parameters[number].grad is not None:
                self.parameters[number].version.changed()

    def _run_formula(self, parameters: list[tuple[int, list[Array]]]) -> None:
        """The formula, for parameters of one backend: the number of the step, and the arrays."""
        numbers = {step: tuple(map(float, self.numbers(step))) for step in {step for step, _ in parameters}}
        decay = float(self.weight_decay)
        kernels.optimizer_step(
            self.formula,
            [arrays for _, arrays in parameters],
            [numbers[step] for step, _ in parameters],
            weight_decay=0.0 if self.decouples_weight_decay else decay,
            shrink=1.0 - float(self.lr) * decay if self.decouples_weight_decay else 1.0,
        )

    def update(self, xp: ModuleType, w: Array, g: Array, state: dict[str, Array], step: int) -> None:
        """Step number `step`, from 1, of one parameter: changes `w` and `state` in place, given the gradient `g`.

        Overridden, it is called for each parameter, with weight decay already in `g` unless it is decoupled.
        """
        arrays = [w, xp.asarray(g), *[state[slot] for slot in self.slots]]  # NumPy makes scalars of 0-d results
        numbers = tuple(map(float, self.numbers(step)))
        shrink = 1.0 - float(self.lr * self.weight_decay) if self.decouples_weight_decay else 1.0
        kernels.optimizer_step(self.formula, [arrays], [numbers], shrink=shrink)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs to go on: the groups' numbers, and each parameter's step count and (live) arrays."""
        numbers = {name: [group[name] for group in self.param_groups] for name in ("lr", "weight_decay")}
        return {**numbers, "steps": list(self.steps), "state": [dict(state) for state in self._state]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`, with arrays of any backend.

        Raises:
            StateDictError: an entry is missing, or the groups, the number of parameters or the shapes differ; nothing
                is loaded.
        """
        name = type(self).__name__
        kinds = {"lr": list, "weight_decay": list, "steps": list, "state": list}
        if not isinstance(saved, Mapping) or any(
            not isinstance(saved.get(key, []), kind) for key, kind in kinds.items()
        ):
            raise StateDictError(f"{name}: expected what state_dict() gives, got {options.short(saved)}")
        if missing := kinds.keys() - set(saved):
            raise StateDictError(f"{name}: the saved state has no {', '.join(sorted(missing))}")
        states, steps = saved["state"], saved["steps"]
        rates, decays = saved["lr"], saved["weight_decay"]
        if not len(rates) == len(decays) == len(self.param_groups):
            raise StateDictError(f"{name}: the saved state is of {len(rates)} groups, not {len(self.param_groups)}")
        if not len(states) == len(steps) == len(self.parameters):
            raise StateDictError(f"{name}: the saved state is of {len(states)} parameters, not {len(self.parameters)}")
        for number, (state, parameter) in enumerate(zip(states, self.parameters, strict=True)):
            if not isinstance(state, Mapping) or not all(is_numeric(array) for array in state.values()):
                raise StateDictError(f"{name}: the saved state of parameter {number} holds no arrays of numbers")
            found = {slot: np.shape(array) for slot, array in state.items()}
            if found not in ({}, dict.fromkeys(self.slots, parameter.shape)):
                raise StateDictError(
                    f"{name}: parameter {number} of shape {parameter.shape} keeps {self.slots}, but the saved state "
                    f"has {found}"
                )
        try:
            for option, values in (("lr", rates), ("weight_decay", decays)):
                check_range(name, **{f"{option}[{number}]": (value, 0.0, None) for number, value in enumerate(values)})
            steps = [options.whole(name, f"steps[{number}]", step, least=0) for number, step in enumerate(steps)]
        except ArgumentError as error:
            raise StateDictError(f"{error} (in the saved state)") from None
        for group, rate, decay in zip(self.param_groups, rates, decays, strict=True):
            group["lr"], group["weight_decay"] = rate, decay
        self.steps = steps
        self._state = [
            {slot: _copied(parameter.backend, array) for slot, array in state.items()}
            for state, parameter in zip(states, self.parameters, strict=True)
        ]

    def __repr__(self) -> str:
        count = sum(parameter.size for parameter in self.parameters)
        return f"{type(self).__name__}({len(self.parameters)} parameters, {count:,} numbers, lr={self.lr})"


def _copied(owner: Backend, array: Any) -> Array:
    with owner.active_device():
        return owner.asarray(array).copy()


def _beside(owner: Backend, w: Array, kept: Array | None) -> Array:
    """What is kept for w, brought to w's backend, type and memory layout: `net.to` and `astype` move it along.

    Beside half precision it is float32: the square of a gradient of 10⁻⁴ is 0 in float16.
    """
    dtype = np.dtype(np.float32) if is_half(w.dtype) else w.dtype
    if kept is None:
        with owner.active_device():
            zeros: Array = owner.xp.zeros_like(w, dtype=dtype)
        return zeros
    if kept.dtype == dtype and same_order(kept, w) and backend.of(kept) is owner:
        return kept
    with owner.active_device():
        moved: Array = owner.xp.empty_like(w, dtype=dtype)
        moved[...] = owner.asarray(kept)
    return moved
