"""Where a training step's time goes: kernel by kernel, the optimiser, and what is left for Python and NumPy.

Public functions of `kernels`, the optimiser's step and the engine's backward pass are wrapped in timers, whose own
cost is measured and told. A timer that runs inside another is not counted twice.
"""

import functools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import isfunction
from typing import Any
from unittest.mock import patch

import kernels
from dlcore.autograd import Function
from dlcore.optim import Optimizer

OUTSIDE = ", outside kernels"
KERNELS = "kernels"
OPERATIONS = f"operations{OUTSIDE}"
OPTIMIZER = f"optimizer.step{OUTSIDE}"
REST = "the rest: autograd, modules, Python"


@dataclass
class Profile:
    """Times of single steps.

    Attributes:
        seconds: median per step, by what was timed; largest first.
        calls: per step.
        step: median seconds of a step with timers.
        bare: median seconds of a step without them.
    """

    seconds: dict[str, float]
    calls: dict[str, float]
    step: float
    bare: float

    @property
    def cost_of_timers(self) -> float:
        """Seconds per step that the timers take themselves."""
        return self.step - self.bare

    def sums(self) -> dict[str, float]:
        """Seconds by kind: all kernels together, what operations do outside of them, the optimiser, the rest."""
        sums = dict.fromkeys((KERNELS, OPERATIONS, OPTIMIZER, REST), 0.0)
        for what, seconds in self.seconds.items():
            kind = what if what in sums else OPERATIONS if what.endswith(OUTSIDE) else KERNELS
            sums[kind] += seconds
        return sums

    def as_json(self) -> dict[str, Any]:
        """Milliseconds."""
        parts = [
            {"what": what, "ms": seconds * 1e3, "calls": self.calls[what]} for what, seconds in self.seconds.items()
        ]
        return {
            "step_ms": self.step * 1e3,
            "step_without_timers_ms": self.bare * 1e3,
            "sums_ms": {kind: seconds * 1e3 for kind, seconds in self.sums().items()},
            "parts": parts,
        }


def profile(step: Callable[[], object], seconds: float = 1.0) -> Profile:
    """Profile a training step that was warmed up; without timers and with them for about `seconds` each."""
    bare = [_seconds(step) for _ in _during(seconds)]
    timers = Timers()
    taken, parts = [], []
    with timers.attached():
        for _ in _during(seconds):
            timers.clear()
            taken.append(_seconds(step))
            parts.append(timers.seconds | {REST: taken[-1] - sum(timers.seconds.values())})
    whats = sorted(parts[0], key=lambda what: -_median([part.get(what, 0.0) for part in parts]))
    return Profile(
        seconds={what: _median([part.get(what, 0.0) for part in parts]) for what in whats},
        calls={what: timers.calls.get(what, 1) for what in whats},
        step=_median(taken),
        bare=_median(bare),
    )


@dataclass
class Timers:
    """Times of the current step, each without the timers that ran inside it.

    Attributes:
        seconds: by what was timed.
        calls: the same.
    """

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _inside: list[float] = field(default_factory=lambda: [0.0])

    def clear(self) -> None:
        """Begin a step."""
        self.seconds.clear()
        self.calls.clear()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Wrap the kernels' public functions, the operations' forward and the optimisers' step within the block."""
        patches = [
            patch.object(kernels, name, self._timed(name, function, shaped=True))
            for name in kernels.__all__
            if isfunction(function := getattr(kernels, name))
        ]
        for operation in _subclasses(Function):
            if isfunction(forward := vars(operation).get("forward")):
                title = f"{operation.__name__}.forward{OUTSIDE}"
                patches.append(patch.object(operation, "forward", self._timed(title, forward)))
        for optimizer in (Optimizer, *_subclasses(Optimizer)):
            if isfunction(step := vars(optimizer).get("step")):
                patches.append(patch.object(optimizer, "step", self._timed(OPTIMIZER, step)))
        for replaced in patches:
            replaced.start()
        try:
            yield
        finally:
            for replaced in reversed(patches):
                replaced.stop()

    def _timed(self, title: str, function: Callable[..., Any], *, shaped: bool = False) -> Callable[..., Any]:
        """The function with a timer of that title, to which the first argument's shape is added if `shaped`."""

        @functools.wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            self._inside.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                took = time.perf_counter() - began
                what = f"{title} {_shape(arguments[0])}" if shaped and arguments else title
                self.seconds[what] += took - self._inside.pop()
                self.calls[what] += 1
                self._inside[-1] += took

        return timed


def _subclasses(base: Any) -> Iterator[Any]:
    for derived in base.__subclasses__():
        yield derived
        yield from _subclasses(derived)


def _shape(argument: Any) -> str:
    return "×".join(map(str, argument.shape)) if hasattr(argument, "shape") else ""


def _during(seconds: float, least: int = 5) -> Iterator[int]:
    """Numbers until so many seconds have passed, at least so many."""
    deadline, number = time.perf_counter() + seconds, 0
    while number < least or time.perf_counter() < deadline:
        yield number
        number += 1


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _median(values: list[float]) -> float:
    return statistics.median(values)
