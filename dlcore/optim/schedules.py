"""Schedules: learning rates that follow a curve over the steps (or epochs), under PyTorch's names and defaults.

    schedule = optim.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        ...
        schedule.step()

Each group of parameters follows its own curve, from the learning rate that it had when its first schedule was made.
Every rate is a function of the number of steps alone, so nothing adds up over them but rounding of that one formula.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dlcore.optim.groups import check_range
from dlcore.optim.optimizer import Optimizer
from kernels import options
from kernels.errors import ArgumentError, StateDictError


class Schedule:
    """Base of schedules: a subclass says the learning rate after `count` steps.

    class SquareRoot(optim.Schedule):
        def rate(self, initial, count):
            return initial / math.sqrt(1 + count)

    Args:
        optimizer: whose learning rates are set: at once, and by each `step()`.

    Attributes:
        count: how many steps were made.
        initial: each group's learning rate that the curve starts from.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{type(self).__name__}: expected an Optimizer first, got {options.short(optimizer)}")
        self.optimizer = optimizer
        self.count = 0
        self.initial: list[float] = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self.set_rates()

    def rate(self, initial: float, count: int) -> float:
        """The learning rate after `count` steps of a group that began with `initial`."""
        raise NotImplementedError(f"{type(self).__name__} has no rate")

    def rates(self, count: int) -> list[float]:
        """The learning rate of each group after `count` steps."""
        return [self.rate(initial, count) for initial in self.initial]

    def step(self) -> None:
        """Go on to the next learning rate."""
        self.count += 1
        self.set_rates()

    def set_rates(self) -> None:
        """Give each group the learning rate of the present step."""
        for group, rate in zip(self.optimizer.param_groups, self.rates(self.count), strict=True):
            group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as it is now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs to go on, in plain numbers and lists; the optimizer keeps the rates themselves."""
        return {"count": self.count, "initial": list(self.initial)}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`, of a schedule made with the same options.

        Raises:
            StateDictError: entries are missing or unknown, or it is of another number of groups; nothing is loaded.
        """
        check_entries(self, self.state_dict(), saved)
        count, initial = saved["count"], saved["initial"]
        if not isinstance(count, int) or count < 0 or not isinstance(initial, list):
            raise StateDictError(f"{type(self).__name__}: expected what state_dict() gives, got {options.short(saved)}")
        try:
            check_range(type(self).__name__, **{f"initial[{n}]": (rate, 0.0, None) for n, rate in enumerate(initial)})
        except ArgumentError as error:
            raise StateDictError(f"{error} (in the saved state)") from None
        if len(saved["initial"]) != len(self.initial):
            raise StateDictError(
                f"{type(self).__name__}: the saved state is of {len(saved['initial'])} groups, not {len(self.initial)}"
            )
        self.count, self.initial = saved["count"], list(saved["initial"])


class StepLR(Schedule):
    """Multiplied by gamma every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        _check_count("StepLR", "step_size", step_size)
        check_range("StepLR", gamma=(gamma, 0.0, None))
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, initial: float, count: int) -> float:
        """Initial · gamma^⌊count / step_size⌋."""
        return initial * self.gamma ** (count // self.step_size)


class ExponentialLR(Schedule):
    """Multiplied by gamma every step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        check_range("ExponentialLR", gamma=(gamma, 0.0, None))
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, initial: float, count: int) -> float:
        """Initial · gamma^count."""
        return initial * self.gamma**count


class CosineAnnealingLR(Schedule):
    """Half a wave of the cosine, from the initial rate to `eta_min` in `T_max` steps (and back again in as many).

    Source: Loshchilov and Hutter, "SGDR" (arXiv:1608.03983), equation 5, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        _check_count("CosineAnnealingLR", "T_max", T_max)
        check_range("CosineAnnealingLR", eta_min=(eta_min, 0.0, None))
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, initial: float, count: int) -> float:
        """eta_min + (initial - eta_min) · (1 + cos(π count / T_max)) / 2."""
        return self.eta_min + (initial - self.eta_min) * (1 + math.cos(math.pi * count / self.T_max)) / 2


class LinearLR(Schedule):
    """Warm-up: a straight line from start_factor to end_factor times the initial rate, in `total_iters` steps."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        _check_count("LinearLR", "total_iters", total_iters)
        check_range("LinearLR", start_factor=(start_factor, 0.0, None), end_factor=(end_factor, 0.0, None))
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, initial: float, count: int) -> float:
        """The line, and beyond its end the last rate."""
        share = min(count, self.total_iters) / self.total_iters
        return initial * (self.start_factor + (self.end_factor - self.start_factor) * share)


class OneCycleLR(Schedule):
    """Up from max_lr / div_factor to `max_lr`, then down to 1 / final_div_factor of where it began.

    Momentum stays as it is: what PyTorch does for cycle_momentum=False.

    Args:
        optimizer: whose learning rates are set.
        max_lr: the highest rate, or one for each group.
        total_steps: how many rates there are, the first included.
        pct_start: the share of the steps that goes up.
        anneal_strategy: "cos" for half waves, "linear" for straight lines.
        div_factor: the highest rate over the first.
        final_div_factor: the first rate over the last.

    Source: Smith and Topin, "Super-convergence" (arXiv:1708.07120).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        _check_count("OneCycleLR", "total_steps", total_steps)
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"OneCycleLR: expected an Optimizer first, got {options.short(optimizer)}")
        options.choice("OneCycleLR", "anneal_strategy", anneal_strategy, ("cos", "linear"))
        pct_start = options.number("OneCycleLR", "pct_start", pct_start, least=0.0, most=1.0)
        for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            options.number("OneCycleLR", name, factor, least=0.0, above=True)
        highest = list(max_lr) if isinstance(max_lr, Sequence) else [max_lr] * len(optimizer.param_groups)
        if len(highest) != len(optimizer.param_groups):
            raise ArgumentError(
                f"OneCycleLR: max_lr has {len(highest)} numbers for {len(optimizer.param_groups)} groups of parameters"
            )
        for number in highest:
            check_range("OneCycleLR", max_lr=(number, 0.0, None))
        self.total_steps = total_steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        for group, number in zip(optimizer.param_groups, highest, strict=True):
            group["initial_lr"] = number / div_factor
        super().__init__(optimizer)

    def rate(self, initial: float, count: int) -> float:
        """Up to initial · div_factor, then down to initial / final_div_factor."""
        if count >= self.total_steps:
            raise ArgumentError(f"OneCycleLR: step {count} is beyond total_steps={self.total_steps}")
        highest, lowest = initial * self.div_factor, initial / self.final_div_factor
        top, end = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if count <= top:
            return self._between(initial, highest, count / top if top else 1.0)
        return self._between(highest, lowest, (count - top) / (end - top) if end > top else 1.0)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


class SequentialLR(Schedule):
    """One schedule after the other: a warm-up and then a cosine, for example.

    Args:
        optimizer: the one that all of `schedulers` were made for.
        schedulers: in their order; each counts its steps from where it begins.
        milestones: the steps at which the second and the further ones begin.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        schedulers = options.items("SequentialLR", "schedulers", schedulers, "Schedules")
        milestones = [
            options.whole("SequentialLR", "each milestone", milestone, least=0)
            for milestone in options.items("SequentialLR", "milestones", milestones, "ints")
        ]
        if len(milestones) != len(schedulers) - 1 or list(milestones) != sorted({*milestones}):
            raise ArgumentError(
                f"SequentialLR: {len(schedulers)} schedules need one rising milestone less, got {list(milestones)}"
            )
        if any(not isinstance(one, Schedule) or one.optimizer is not optimizer for one in schedulers):
            raise ArgumentError("SequentialLR: every one of schedulers must be a Schedule of the same optimizer")
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        super().__init__(optimizer)

    def rates(self, count: int) -> list[float]:
        """What the schedule of this step says."""
        number = bisect_right(self.milestones, count)
        began = self.milestones[number - 1] if number else 0
        return self.schedulers[number].rates(count - began)

    def state_dict(self) -> dict[str, Any]:
        """Its own, and each schedule's."""
        return super().state_dict() | {"schedulers": [one.state_dict() for one in self.schedulers]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`; errors as for any schedule."""
        check_entries(self, self.state_dict(), saved)
        if len(saved["schedulers"]) != len(self.schedulers):
            raise StateDictError(
                f"SequentialLR: the saved state is of {len(saved['schedulers'])} schedules, not {len(self.schedulers)}"
            )
        for one, its in zip(self.schedulers, saved["schedulers"], strict=True):
            one.load_state_dict(its)
        self.count, self.initial = saved["count"], list(saved["initial"])


def check_entries(schedule: object, own: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """A saved state has the entries of the schedule's own, or a StateDictError says which it should have."""
    if not isinstance(saved, Mapping):
        raise StateDictError(f"{type(schedule).__name__}: expected what state_dict() gives, got {options.short(saved)}")
    if set(own) != set(saved):
        raise StateDictError(
            f"{type(schedule).__name__}: expected a saved state of {', '.join(own)}, got {', '.join(map(str, saved))}"
        )


def _check_count(name: str, argument: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**63:
        raise ArgumentError(f"{name}: {argument} must be a whole number from 1, got {options.short(value)}")
