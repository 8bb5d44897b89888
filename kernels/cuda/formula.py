"""A Python formula as C: it is called once with symbols, which write down what is done with them.

def momentum(w, g, v, lr, friction):      const A t0 = n1 * a2;
    v = friction * v + g                  const A t1 = t0 + a1;
    return w - lr * v, v                  const A t2 = n0 * t1;
                                          const A t3 = a0 - t2;
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from kernels.array_formula import check_formula
from kernels.errors import ArgumentError

#: NumPy's functions in C: of numbers to numbers, with NumPy's way with NaN.
_NUMBERS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} * {}",
    "divide": "{} / {}",
    "negative": "-{}",
    "positive": "{}",
    "reciprocal": "(A)1 / {}",
    "square": "{0} * {0}",
    "power": "pow({}, {})",
    "sqrt": "sqrt({})",
    "exp": "exp({})",
    "expm1": "expm1({})",
    "log": "log({})",
    "log1p": "log1p({})",
    "tanh": "tanh({})",
    "absolute": "fabs({})",
    "fabs": "fabs({})",
    "sign": "{0} > 0 ? (A)1 : {0} < 0 ? (A)-1 : {0}",
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
}

#: Of anything to truth values.
_TRUTHS = {
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
    "less": "{} < {}",
    "less_equal": "{} <= {}",
    "equal": "{} == {}",
    "not_equal": "{} != {}",
    "logical_and": "{} && {}",
    "logical_or": "{} || {}",
    "logical_not": "!{}",
    "isnan": "{0} != {0}",
}

#: Operators of truth values: &, | and ~.
_OF_TRUTHS = {"bitwise_and": "{} && {}", "bitwise_or": "{} || {}", "invert": "!{}"}

_KNOWN = _NUMBERS | _TRUTHS | _OF_TRUTHS


class _Program:
    """The statements that a formula has made so far."""

    def __init__(self, formula: Callable[..., Any]) -> None:
        self.name = formula.__qualname__
        self.lines: list[str] = []

    def compute(self, template: str, operands: tuple[Any, ...], kind: str = "A") -> "_Symbol":
        """A new symbol for what `template` makes of symbols and numbers."""
        names = [self.text(operand) for operand in operands]
        self.lines.append(f"const {kind} t{len(self.lines)} = {template.format(*names)};")
        return _Symbol(self, f"t{len(self.lines) - 1}", kind)

    def text(self, operand: Any) -> str:
        """A symbol's name, or a number as C writes it."""
        if isinstance(operand, _Symbol):
            return operand.name
        if isinstance(operand, (bool, int, float, np.number, np.bool_)) and np.isfinite(operand):
            return f"(A){float(operand)!r}"
        raise self.cannot(f"uses {operand!r}, which is no finite number")

    def cannot(self, what: str) -> ArgumentError:
        """The error for a formula that does something that has no place in a kernel."""
        known = ", ".join(sorted(_NUMBERS | _TRUTHS))
        return ArgumentError(
            f"optimizer_step: the formula {self.name} {what}; on a GPU it is turned into a kernel and may use "
            f"operators, np.where, and of NumPy's functions {known}."
        )


class _Symbol(NDArrayOperatorsMixin):
    """Stands for a number in a formula. Its operators are NumPy's functions, which end up in `__array_ufunc__`."""

    def __init__(self, program: _Program, name: str, kind: str = "A") -> None:
        self._program = program
        self.name = name
        self.kind = kind

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> "_Symbol":
        name = ufunc.__name__
        if method != "__call__" or options or name not in _KNOWN:
            raise self._program.cannot(f"uses np.{name}{'' if method == '__call__' else '.' + method}")
        if name in _OF_TRUTHS and any(getattr(operand, "kind", "bool") != "bool" for operand in inputs):
            raise self._program.cannot(f"uses np.{name} of numbers")
        if name == "power" and not isinstance(inputs[1], _Symbol) and inputs[1] == 2:
            name, inputs = "square", inputs[:1]
        return self._program.compute(_KNOWN[name], inputs, "A" if name in _NUMBERS else "bool")

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> "_Symbol":
        if function is not np.where or len(arguments) != 3 or options:
            raise self._program.cannot(f"uses np.{function.__name__}")
        return self._program.compute("{} ? {} : {}", arguments)

    def __bool__(self) -> bool:
        raise self._program.cannot("branches on a value that only the GPU knows")

    def __float__(self) -> float:
        raise self._program.cannot("makes a Python number of a value that only the GPU knows")

    __int__ = __index__ = __float__


@functools.cache
def trace(
    formula: Callable[..., tuple[Any, ...]], arrays: int, numbers: int, decays: bool, shrinks: bool
) -> tuple[str, ...]:
    """The macros that make optimizers.cu run a formula.

    Args:
        formula: see `kernels.optimizer_step`.
        arrays: how many it takes: w, g and what is kept.
        numbers: how many it takes behind them.
        decays: whether weight_decay · w is added to g.
        shrinks: whether w is multiplied by shrink.

    Raises:
        ArgumentError: the formula cannot be turned into C.
    """
    check_formula(formula)
    program = _Program(formula)
    w, g, *kept = (program.compute(f"a[{k}]", ()) for k in range(arrays))
    if decays:
        g = g + _Symbol(program, "weight_decay") * w
    if shrinks:
        w = w * _Symbol(program, "shrink")
    results = formula(w, g, *kept, *(_Symbol(program, f"n{k}") for k in range(numbers)))
    if not isinstance(results, tuple) or len(results) != arrays - 1:
        raise program.cannot(f"does not return a tuple of the new w and {arrays - 2} kept values")
    places = [k for k in range(arrays) if k != 1]
    ends = [f"a[{k}] = {program.text(result)};" for k, result in zip(places, results, strict=True)]
    parameters = "".join(f", A n{k}" for k in range(numbers))
    return f"ARRAYS={arrays}", f"NUMBERS={parameters}", f"FORMULA={' '.join(program.lines + ends)}"
