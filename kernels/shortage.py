"""What is said when memory does not suffice: the operation, and how much it asked for."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kernels.errors import DeviceMemoryError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def out_of_memory(operation: str, error: MemoryError) -> DeviceMemoryError:
    """The error in dlcore's words; one that is so already stays."""
    if isinstance(error, DeviceMemoryError):
        return error
    asked = str(error).rstrip(".") or "an array cannot be allocated"
    return DeviceMemoryError(f"{operation}: too little memory: {asked}; take smaller arrays, or a smaller batch.")


def within_memory(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """A function whose MemoryErrors, whoever raises them, become `DeviceMemoryError`."""

    @functools.wraps(function)
    def checked(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        try:
            return function(*arguments, **options)
        except MemoryError as error:
            raise out_of_memory(function.__name__, error) from None

    return checked
