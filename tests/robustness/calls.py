"""What is called with bad input: one valid call, or more, of every public name, from which bad ones are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import dlcore as dl
from dlcore import backend


@dataclass(frozen=True)
class Call:
    """A public name, and arguments that it takes.

    Attributes:
        name: as a user writes it.
        function: what is called; for a method or an operator, a function of the object and the arguments.
        arguments: makes valid ones, new at each call.
        changes: the arguments that the function may change in place.
        fixed: the arguments that stay as they are, because Python itself would refuse others.
        raises: built-in exceptions that it documents, besides those of dlcore.
        gives: types that it returns besides that of the valid call.
        many: whether arrays of very many elements are among the bad ones: not where each part of one takes a call.
        peer: the same by plain loops, for comparison: takes the same arguments.
    """

    name: str
    function: Callable[..., Any]
    arguments: Callable[[], dict[str, Any]]
    changes: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    raises: tuple[type[Exception], ...] = ()
    gives: tuple[type, ...] = ()
    many: bool = True
    peer: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return self.name


def array(*shape: int, low: float = -1.0, high: float = 1.0, dtype: str = "float32") -> Any:
    """Evenly spaced values on the active backend."""
    return backend.asarray(np.linspace(low, high, int(np.prod(shape))).reshape(shape).astype(dtype))


def whole(*shape: int, below: int = 3, dtype: str = "int64") -> Any:
    """Integers from 0 on, over and over."""
    return backend.asarray((np.arange(int(np.prod(shape))) % below).reshape(shape).astype(dtype))


def tensor(*shape: int, low: float = -1.0, high: float = 1.0, dtype: str = "float32", grad: bool = True) -> dl.Tensor:
    """The same as a Tensor."""
    return dl.Tensor(array(*shape, low=low, high=high, dtype=dtype), requires_grad=grad)


def method(name: str) -> Callable[..., Any]:
    """The method of that name, as a function of its object and arguments."""

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        return getattr(self, name)(*arguments, **options)

    return call


def every_call() -> list[Call]:
    """All of them, in a fixed order."""
    from tests.robustness import data_calls, kernel_calls, layer_calls, network_calls, tensor_calls, training_calls

    return [
        *kernel_calls.CALLS,
        *tensor_calls.CALLS,
        *layer_calls.CALLS,
        *network_calls.CALLS,
        *training_calls.CALLS,
        *data_calls.CALLS,
    ]
