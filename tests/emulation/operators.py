"""Operators and methods of the stand-in's arrays that are functions of functions.py under another name."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.emulation import functions
from tests.emulation.storage import Storage

_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
    "matmul": "matmul",
}
_ONE_WAY = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "neg": "negative",
    "abs": "absolute",
    "invert": "invert",
}
_METHODS = str.split("""
    all any argmax argmin argsort clip cumsum dot max mean min nonzero prod repeat std sum take trace var
""")


def attach(array_type: type[Storage]) -> None:
    """Give the class its operators and methods."""
    for short, name in _OPERATORS.items():
        setattr(array_type, f"__{short}__", _operator(name))
        setattr(array_type, f"__r{short}__", _operator(name, reflected=True))
        if name != "matmul":
            setattr(array_type, f"__i{short}__", _operator(name, in_place=True))
    for short, name in _ONE_WAY.items():
        setattr(array_type, f"__{short}__", _operator(name))
    for name in _METHODS:
        setattr(array_type, name, _method(name))


def _operator(name: str, *, reflected: bool = False, in_place: bool = False) -> Callable[..., Any]:
    def apply(self: Storage, *others: Any) -> Any:
        for other in others:
            is_foreign = not isinstance(other, (Storage, np.ndarray))
            if is_foreign and getattr(other, "__array_ufunc__", ...) is None:
                return NotImplemented
        operands = (*others, self) if reflected else (self, *others)
        return functions.BY_NAME[name](*operands, out=self if in_place else None)

    return apply


def _method(name: str) -> Callable[..., Any]:
    def method(self: Storage, *arguments: Any, **options: Any) -> Any:
        return functions.BY_NAME[name](self, *arguments, **options)

    method.__name__ = name
    return method
