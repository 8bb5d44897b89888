"""An optimizer's formula on whole arrays: how it runs on a GPU, and on arrays that compiled code does not take."""

from collections.abc import Callable, Sequence
from typing import Any

from kernels.types import Array


def step_on_arrays(
    formula: Callable[..., tuple[Any, ...]],
    arrays: Sequence[Array],
    numbers: Sequence[float],
    weight_decay: float,
    shrink: float,
) -> None:
    """One step of one parameter, in place; see `kernels.optimizer_step`."""
    w, g, *state = arrays
    if weight_decay:
        g = g + weight_decay * w
    if shrink != 1:
        w *= shrink
    for array, new in zip((w, *state), formula(w, g, *state, *numbers), strict=True):
        array[...] = new
