"""An optimizer's formula: what may stand in it, and how it runs on arrays that compiled code does not take."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from kernels.errors import ArgumentError
from kernels.types import Array


def check_formula(formula: Callable[..., tuple[Any, ...]]) -> None:
    """The formula knows nothing but its arguments and modules, so that its compiled form stays true.

    Raises:
        ArgumentError: it uses something else from outside.
    """
    code = formula.__code__
    known = {name: formula.__globals__[name] for name in code.co_names if name in formula.__globals__}
    others = [name for name, value in known.items() if not isinstance(value, ModuleType)]
    if formula.__closure__ or others:
        names = ", ".join([*code.co_freevars, *others])
        raise ArgumentError(
            f"optimizer_step: the formula {formula.__qualname__} uses {names} from outside, which its compiled form "
            "would not notice changing; pass such numbers as arguments."
        )


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
