"""Options, checked where users give them: numbers, whole numbers, choices, types of elements, shapes.

Each check returns the option as a plain Python value, or raises one sentence that names the operation and the option,
echoes what was given and says what was expected.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.errors import ArgumentError, DTypeError
from kernels.layout import is_cupy

#: Memory is addressed with so many bytes, and not more.
_MOST_BYTES = 2**63 - 1


def number(
    operation: str, name: str, value: Any, *, least: float | None = None, most: float | None = None, above: bool = False
) -> float:
    """A real number from `least` (with `above`: above it) to `most`; NaN is none, and without `most` infinity is one.

    Raises:
        ArgumentError: it is anything else.
    """
    found = value if type(value) is float else _as_float(plain(value))
    too_small = least is not None and (found < least or (above and found == least))
    if math.isnan(found) or too_small or (most is not None and found > most):
        raise ArgumentError(f"{operation}: {name} must be a number{_range(least, most, above)}, got {short(value)}.")
    return found


def probability(operation: str, value: Any) -> float:
    """The option p: a number from 0 to 1.

    Raises:
        ArgumentError: it is anything else.
    """
    try:
        return number(operation, "p", value, least=0.0, most=1.0)
    except ArgumentError:
        raise ArgumentError(f"{operation}: p must be a probability from 0 to 1, got {short(value)}.") from None


def whole(operation: str, name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """A whole number from `least` to `most`.

    Raises:
        ArgumentError: it is anything else, True and False included.
    """
    if type(value) is not int:
        found = plain(value)
        if not isinstance(found, int) or isinstance(found, bool):
            raise ArgumentError(f"{operation}: {name} must be an int{_range(least, most)}, got {short(value)}.")
        value = int(found)
    if (least is not None and value < least) or (most is not None and value > most):
        raise ArgumentError(f"{operation}: {name} must be an int{_range(least, most)}, got {short(value)}.")
    return value


def flag(operation: str, name: str, value: Any) -> bool:
    """True or False; 1 and 0 will do.

    Raises:
        ArgumentError: it is anything else.
    """
    if value is True or value is False:
        return value
    if isinstance(value, (int, np.integer, np.bool_)) and value in (0, 1):
        return bool(value)
    raise ArgumentError(f"{operation}: {name} must be True or False, got {short(value)}.")


def choice(operation: str, name: str, value: Any, allowed: Sequence[str | None]) -> None:
    """One of a few words.

    Raises:
        ArgumentError: it is anything else.
    """
    # Types first: an array compares element by element.
    if not (value is None or isinstance(value, str)) or value not in allowed:
        words = ["None" if word is None else f'"{word}"' for word in allowed]
        raise ArgumentError(f"{operation}: {name} must be {', '.join(words[:-1])} or {words[-1]}, got {short(value)}.")


def element_type(operation: str, dtype: npt.DTypeLike) -> np.dtype[Any]:
    """What names a type of real numbers, as NumPy's dtype.

    Raises:
        DTypeError: it names none, or another type.
    """
    try:
        found = np.dtype(dtype)
    except Exception:  # NumPy's answers to what is no type are of many kinds
        raise DTypeError(f'{operation}: {short(dtype)} is no type of elements; give one like "float32".') from None
    if dtype is None or (found.kind not in "biuf" and found.name != "bfloat16"):
        raise DTypeError(f'{operation}: expected a type of real numbers like "float32", got {short(dtype)}.')
    return found


def lengths(operation: str, shape: Any) -> tuple[int, ...]:
    """A shape: one int from 0, or several (a tuple, a range, an array, …), of an array that memory could hold.

    Raises:
        ArgumentError: it is anything else.
    """
    try:
        result = tuple(whole(operation, "shape", length, least=0) for length in one_or_several(shape))
    except ArgumentError:
        raise ArgumentError(f"{operation}: shape must be an int or several, each from 0, got {short(shape)}.") from None
    if len(result) > 64 or math.prod(n or 1 for n in result) > _MOST_BYTES // 8:
        raise ArgumentError(
            f"{operation}: there is no array of shape {short(shape)}: that is more than can be addressed."
        )
    return result


def items(operation: str, name: str, value: Any, of: str) -> list[Any]:
    """What a loop over `value` gives; `of` says in messages what it should hold.

    Raises:
        ArgumentError: no loop can be made over it.
    """
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
        raise ArgumentError(f"{operation}: {name} must be several {of}, got {short(value)}.")
    return list(value)


def one_or_several(value: Any) -> Sequence[Any]:
    """What stands for one number or for several, as several: at most 65, more than any array has axes."""
    if isinstance(value, (tuple, list)):
        return value
    is_one = not isinstance(value, Iterable) or isinstance(value, (str, bytes)) or getattr(value, "ndim", 1) == 0
    return (value,) if is_one else tuple(itertools.islice(value, 65))


def plain(value: Any) -> Any:
    """The number in a NumPy scalar, or in an array or Tensor of shape () that lies on the host; all else as it is.

    Those on a GPU stay: reading them would wait for the device, unseen.
    """
    if isinstance(value, np.generic):
        return value.item()
    if getattr(value, "ndim", None) != 0 or not hasattr(value, "item"):
        return value
    array = value if isinstance(value, np.ndarray) else getattr(value, "data", None)
    return value if is_cupy(value) or is_cupy(array) else value.item()


def short(value: Any) -> str:
    """A value for messages, on one line and not long."""
    if hasattr(value, "dtype") and hasattr(value, "shape") and value.shape != ():
        return f"{type(value).__name__} of shape {tuple(value.shape)} and dtype {value.dtype}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _as_float(value: Any) -> float:
    """A number of another type as a float; NaN for what is none, or is too large."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    return math.nan


def _range(least: float | None, most: float | None, above: bool = False) -> str:
    if least is None:
        return "" if most is None else f" of at most {most}"
    lower = f" above {least}" if above else f" of at least {least}"
    return lower if most is None else f" from {least} to {most}"
