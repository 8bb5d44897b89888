"""Groups of parameters, each with numbers of its own; and the range that numbers must lie in."""

import math
from collections.abc import Iterable
from typing import Any

from dlcore.tensor import Tensor
from kernels import options
from kernels.errors import ArgumentError

#: Parameters, or groups of them; see `Optimizer`.
Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]


def make_groups(name: str, parameters: Parameters, defaults: dict[str, float]) -> list[dict[str, Any]]:
    """The groups with all their numbers; parameters alone are one group.

    Raises:
        ArgumentError: a group is no dict of what it may be, holds what is no leaf Tensor or stands in another as well,
            or a number is out of its range.
    """
    given = options.items(name, "parameters", parameters, "Tensors, as network.parameters()")
    in_groups = any(isinstance(one, dict) for one in given)
    groups = [_complete(name, number, group, defaults) for number, group in enumerate(given if in_groups else [given])]
    owners: dict[int, int] = {}
    for number, group in enumerate(groups):
        where = f"parameter group {number}, " if in_groups else ""
        for position, parameter in enumerate(group["params"]):
            if not isinstance(parameter, Tensor) or not parameter.is_leaf:
                kind = type(parameter).__name__
                raise ArgumentError(
                    f"{name}: {where}parameter {position} must be a leaf Tensor, got {kind}; pass network.parameters()"
                )
            if parameter.dtype.kind in "biu":
                raise ArgumentError(
                    f"{name}: {where}parameter {position} is {parameter.dtype}, not a floating-point type"
                )
            owner = owners.setdefault(id(parameter), number)
            if owner != number:
                raise ArgumentError(f"{name}: {where}parameter {position} is in group {owner} as well")
    if not owners:
        raise ArgumentError(f"{name}: expected at least one parameter, got none; pass network.parameters()")
    for group in groups:
        check_range(name, **{option: (group[option], 0.0, None) for option in defaults})
    return groups


def _complete(name: str, number: int, given: Any, defaults: dict[str, float]) -> dict[str, Any]:
    group = {"params": given} if isinstance(given, list) else given
    if not isinstance(group, dict) or "params" not in group or set(group) - {"params", *defaults}:
        found = f"a dict of {', '.join(map(repr, group))}" if isinstance(group, dict) else type(group).__qualname__
        known = ", ".join(f'"{option}"' for option in defaults)
        raise ArgumentError(
            f'{name}: parameter group {number} must be a dict of "params" and any of {known}, got {found}'
        )
    params = group["params"]
    several = [params] if isinstance(params, Tensor) else options.items(name, "params", params, "Tensors")
    return {**defaults, **group, "params": several}


def check_range(name: str, **arguments: tuple[Any, float, float | None]) -> None:
    """Each argument is (value, least, bound): least ≤ value < bound."""
    for argument, (value, least, bound) in arguments.items():
        try:
            number = options.number(name, argument, value, least=least)
        except ArgumentError:
            number = -math.inf
        if number == -math.inf or (bound is not None and number >= bound):
            expected = f"at least {least}" + ("" if bound is None else f" and below {bound}")
            raise ArgumentError(f"{name}: {argument} must be a number {expected}, got {options.short(value)}")
