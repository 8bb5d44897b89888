"""The checks of the default suite as plain calls, each with the functions that it runs: what finds mutants."""

import inspect
import itertools
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest

import dlcore as dl
from tests import test_autograd
from tests.ops import test_derivatives
from tests.ops.cases import Case

#: Tests of depth, which take seconds and say nothing of derivatives that others do not.
_LONG = ("test_long_chains_need_no_recursion",)
#: Seconds for one check: a mutant that never ends is noticed too.
_LONGEST = 20.0


class Check(NamedTuple):
    """Something that must hold.

    Attributes:
        name: for messages.
        call: raises if something is wrong.
        subject: the operation that it is about, if it is about one.
        route: runs the same functions, fewer times; None for `call` itself.
    """

    name: str
    call: Callable[[], None]
    subject: str = ""
    route: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Oracle:
    """A check that holds, with the identities of the code objects that it ran, and the seconds that it took."""

    check: Check
    runs: frozenset[int]
    seconds: float


def measured(checks: Iterable[Check]) -> list[Oracle]:
    """Run each, which must hold, and note what ran."""
    oracles = []
    for check in checks:
        began = time.perf_counter()
        if check.route is None:
            runs = _what_runs(check.call)
        else:
            runs = _what_runs(check.route)
            check.call()
        oracles.append(Oracle(check, runs, time.perf_counter() - began))
    return oracles


def _what_runs(call: Callable[[], Any]) -> frozenset[int]:
    seen: set[int] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        seen.add(id(frame.f_code))

    before = sys.gettrace()
    sys.settrace(note)
    try:
        call()
    finally:
        sys.settrace(before)
    return frozenset(seen)


def what_catches(oracles: Sequence[Oracle], function: FunctionType, planted: Any) -> str | None:
    """The first check that fails with a mutant planted in `function`; None if it survives all that run it."""
    own = function.__qualname__.partition(".")[0]
    runs = [oracle for oracle in oracles if id(function.__code__) in oracle.runs]
    with planted:
        for oracle in sorted(runs, key=lambda oracle: (oracle.check.subject != own, oracle.seconds)):
            try:
                with _limited(_LONGEST):
                    oracle.check.call()
            except (Exception, pytest.fail.Exception):
                return oracle.check.name
    return None


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"a check took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def of_cases(cases: Iterable[Case], torch: ModuleType | None = None) -> Iterator[Check]:
    """What `test_derivatives` checks of each case; with PyTorch's results where `torch` is given."""
    here = dl.backend.current()
    for case in cases:
        checks: dict[str, Callable[[], None]] = {
            "finite differences": lambda case=case: test_derivatives.test_against_finite_differences(here, case),
            "float32": lambda case=case: test_derivatives.test_float32_against_float64(here, case),
        }
        if len(case.shapes) > 1:
            checks["each input alone"] = lambda case=case: test_derivatives.test_each_input_alone(here, case)
        if issubclass(case.op, dl.Fused) and case in test_derivatives.OPERATION_CASES:
            checks["composite"] = lambda case=case: test_derivatives.test_fused_is_its_composite(here, case)
        if torch is not None and case.peer is not None:
            checks["PyTorch"] = lambda case=case: test_derivatives.test_against_torch(here, torch, case)
        for name, call in checks.items():
            # Differences take long because they repeat the same calls: the derivatives themselves make them all.
            route = partial(_derivatives, case) if name == "finite differences" else None
            yield Check(f"{case} ({name})", call, case.op.__name__, route)


def _derivatives(case: Case) -> None:
    test_derivatives.derivatives(case, test_derivatives.leaves(case.arrays()))


def of_tests(modules: Iterable[ModuleType], torch: ModuleType | None = None) -> Iterator[Check]:
    """The test functions of modules, for every set of their parameters, as far as they need no other fixtures.

    Those of random cases are left out: they take long, and the table of cases has one of each kind.
    """
    fixtures: dict[str, Callable[[], Any]] = {"backend": dl.backend.current, "counted": _counted}
    if torch is not None:
        fixtures["torch"] = lambda: torch
    for module in modules:
        for name, function in list(vars(module).items()):
            if not name.startswith("test_") or name in _LONG or hasattr(function, "hypothesis"):
                continue
            marks = getattr(function, "pytestmark", [])
            if any(mark.name in ("slow", "device") for mark in marks):
                continue
            for given in _parameter_sets(marks):
                needed = [parameter for parameter in inspect.signature(function).parameters if parameter not in given]
                if set(needed) <= set(fixtures):
                    call = _call(function, given, {n: fixtures[n] for n in needed}, marks)
                    yield Check(f"{module.__name__}.{name}", call)


def _parameter_sets(marks: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """What `parametrize` hands to a test: the product of its lists."""
    lists = []
    for mark in marks:
        if mark.name == "parametrize":
            names = mark.args[0].replace(" ", "").split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
            rows = [_values(value, len(names)) for value in mark.args[1]]
            lists.append([dict(zip(names, row, strict=True)) for row in rows])
    for choice in itertools.product(*lists):
        yield {name: value for part in choice for name, value in part.items()}


def _values(row: Any, count: int) -> tuple[Any, ...]:
    if isinstance(row, type(pytest.param())):
        return row.values
    return (row,) if count == 1 else tuple(row)


def _call(
    function: Callable[..., None], given: dict[str, Any], fixtures: dict[str, Callable[[], Any]], marks: Sequence[Any]
) -> Callable[[], None]:
    ignored = [mark.args[0].removeprefix("ignore:") for mark in marks if mark.name == "filterwarnings"]

    def call() -> None:
        dl.backend.seed(0)
        with warnings.catch_warnings():
            for message in ignored:
                warnings.filterwarnings("ignore", message)
            function(**given, **{name: make() for name, make in fixtures.items()})

    return call


def _counted() -> type[dl.Function]:
    return type("Counted", (test_autograd.Counted,), {})
