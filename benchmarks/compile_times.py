"""How long Numba takes to compile each function: what a first step with an empty kernel cache waits for."""

import functools
import time
from typing import Any

import numba.core.event
from numba.core.ccallback import CFunc


def compile_times() -> dict[str, float]:
    """From now on, the seconds that each function took to compile, by name.

    What is compiled on the way to another function counts for that one. Reading from the disk cache counts, too.
    """
    times: dict[str, float] = {}
    began: list[float] = []

    def begin() -> None:
        began.append(time.perf_counter())

    def end(function: Any) -> None:
        took = time.perf_counter() - began.pop()
        if not began:
            name = f"{function.__module__}.{function.__qualname__}"
            times[name] = times.get(name, 0.0) + took

    class Listener(numba.core.event.Listener):  # type: ignore[misc]  # Numba has no type hints
        def on_start(self, event: Any) -> None:
            begin()

        def on_end(self, event: Any) -> None:
            end(event.data["dispatcher"].py_func)

    original = CFunc.compile

    @functools.wraps(original)
    def compile_c_function(c_function: Any) -> Any:
        begin()
        try:
            return original(c_function)
        finally:
            end(c_function._pyfunc)

    numba.core.event.register("numba:compile", Listener())
    setattr(CFunc, "compile", compile_c_function)  # noqa: B010  (mypy takes no assignment to a method)
    return times
