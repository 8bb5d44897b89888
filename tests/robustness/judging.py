"""Whether a call with bad input ended as it should: with a result, or with a documented exception.

A result has the type that the valid call's has, and where there is a definition by loops and nothing overflows, its
values. Arguments that are not documented as changed are the same bits afterwards.
"""

import functools
import math
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import dlcore as dl
from dlcore import backend, nn
from kernels import shortage
from tests.robustness.calls import Call, every_call
from tests.robustness.mutations import mutated

SEED = 20_260
#: Larger arrays are not compared with what they were: reading them would take longer than the call.
_COMPARED = 1 << 20
#: A learning rate that is given as an int comes back as one.
_NUMBERS = {"int", "float"}
_SOURCES = tuple(str(Path(__file__).parents[2] / package) for package in ("dlcore", "kernels"))
#: NumPy says that a number overflowed, or is none; infinity and NaN are in the result.
_ARITHMETIC = "encountered in"


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        number: of the case.
        title: the name called, and what was wrong with its arguments.
        ended: "result" or "refused"; anything else is a defect.
        detail: the exception, or what is wrong.
    """

    number: int
    title: str
    ended: str
    detail: str = ""

    @property
    def is_right(self) -> bool:
        """Whether this is how a case should end."""
        return self.ended in ("result", "refused")


@functools.cache
def _calls() -> list[Call]:
    return every_call()


def judge_call(number: int) -> Outcome:
    """Make case `number`, run it, and judge it."""
    rng = np.random.default_rng([SEED, number])
    call = _calls()[number % len(_calls())]
    arguments, notes = mutated(rng, call.arguments(), call.fixed, call.many)
    title = f"{call.name} ({'; '.join(notes)})"
    before = {name: _frozen(value) for name, value in arguments.items() if name not in call.changes}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=f".*{_ARITHMETIC}", category=RuntimeWarning)
        try:
            result = call.function(**arguments)
        except Exception as error:
            ended, detail = judged_exception(error, call.raises)
        else:
            ended, detail = _judged_result(call, arguments, result)
    for name, frozen in before.items():
        if frozen != _frozen(arguments[name]):
            return Outcome(number, title, "changed its argument", name)
    return Outcome(number, title, ended, detail)


def judged_exception(error: Exception, documented: tuple[type[Exception], ...]) -> tuple[str, str]:
    """How a case ended that raised: "refused", or what is wrong with the exception; and its text."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, dl.DLCoreError):
        return ("refused", text) if "\n" not in str(error) else ("said more than one line", text)
    if isinstance(error, AssertionError):
        return "did what it must not", text
    is_of_call = isinstance(error, TypeError) and "positional argument" in str(error)  # of a user's function
    if isinstance(error, documented) or is_of_call or not _is_ours(error):
        return "refused", text
    frames = traceback.extract_tb(error.__traceback__)
    where = [frame for frame in frames if frame.filename.startswith(_SOURCES)][-1]
    return "raised a foreign exception", f"{text} at {Path(where.filename).name}:{where.lineno}"


def _is_ours(error: Exception) -> bool:
    """Whether it was raised below dlcore: not where Python matched the arguments of a call."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(frame.filename.startswith(_SOURCES) and frame.filename != shortage.__file__ for frame in frames)


def _judged_result(call: Call, arguments: dict[str, Any], result: Any) -> tuple[str, str]:
    expected = _kinds(call)
    is_right = type(result).__name__ == expected or type(result) in call.gives or isinstance(result, nn.Module)
    if not is_right and not (isinstance(result, (int, float, np.number)) and expected in _NUMBERS):
        return "returned another type", f"{type(result).__name__}, not {expected}"
    if call.peer is not None and all(_is_tame(value) for value in arguments.values()):
        try:
            plain = call.peer(**_on_host(arguments))
        except Exception as error:
            return "did what its definition cannot do", f"{type(error).__name__}: {error}"
        pairs = zip(result, plain, strict=True) if isinstance(result, tuple) else [(result, plain)]
        for one, other in pairs:
            if not np.allclose(backend.to_numpy(one), other, rtol=1e-3, atol=1e-4, equal_nan=True):
                return "differs from its definition", f"{one!r:.60} and {other!r:.60}"
    return "result", ""


@functools.cache
def _kinds(call: Call) -> str:
    """The type that the valid call returns."""
    return type(call.function(**call.arguments())).__name__


def _on_host(arguments: dict[str, Any]) -> dict[str, Any]:
    arrays = {name: value for name, value in arguments.items() if hasattr(value, "strides")}
    on_host = {name: backend.to_numpy(value) for name, value in arrays.items() if not isinstance(value, np.generic)}
    return {name: value for name, value in (arguments | on_host).items() if name != "packed"}


def _is_tame(value: Any) -> bool:
    if isinstance(value, (np.number, int, float)):
        return abs(value) < 100
    if not hasattr(value, "dtype"):
        return True
    if not _is_small(value):
        return False
    host = backend.to_numpy(value)
    return host.dtype.kind in "biuf" and bool((np.abs(host.astype(float)) < 100).all())


def _is_small(value: Any) -> bool:
    return math.prod(value.shape) * value.dtype.itemsize <= _COMPARED


def _frozen(value: Any) -> Any:
    """What can be compared with itself later: bits of arrays, and all else that is plain."""
    if isinstance(value, dl.Tensor):
        return _frozen(value.data)
    if hasattr(value, "dtype") and not isinstance(value, type):
        if not _is_small(value):
            return (value.shape, str(value.dtype))
        host = value if isinstance(value, (np.ndarray, np.generic)) else backend.to_numpy(value)
        return (host.shape, str(host.dtype), host.tobytes() if host.dtype.kind != "O" else b"")
    if isinstance(value, nn.Module):
        return {name: _frozen(array) for name, array in value.state_dict().items()}
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_frozen(item) for item in value]
    return repr(value) if isinstance(value, (int, float, str, bytes, bool, type(None))) else id(value)
