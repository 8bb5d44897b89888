"""An optimizer's step, parameter by parameter, with array operations."""

from collections.abc import Callable, Sequence
from typing import Any

from kernels.array_formula import step_on_arrays
from kernels.types import Array


def optimizer_step(
    formula: Callable[..., tuple[Any, ...]],
    parameters: Sequence[Sequence[Array]],
    numbers: Sequence[Sequence[float]],
    *,
    weight_decay: float = 0.0,
    shrink: float = 1.0,
) -> None:
    """Move every parameter by the formula, in place."""
    for arrays, own in zip(parameters, numbers, strict=True):
        step_on_arrays(formula, arrays, own, weight_decay, shrink)
