"""Who competes: plain Python loops, the same loops under Numba, the textbook's NumPy, and dlcore.

A contender makes of a case and its inputs a call without arguments that does the work and returns the result.
What has to be made only once is made before: the memory layout that the contender likes best, and what a forward
pass keeps for its backward pass.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np

import kernels
from benchmarks import textbook
from benchmarks.cases import Case, Inputs
from dlcore import backend
from kernels import layout, reference
from kernels.types import Array

Call = Callable[[], Any]


class Contender(NamedTuple):
    """One way to run every case.

    Attributes:
        title: its column's heading.
        prepare: makes the call that is timed.
        is_sampled: whether it is so slow that it runs `case.sample()` and its time is scaled.
    """

    title: str
    prepare: Callable[[Case, Inputs], Call]
    is_sampled: bool = False


def _kernel_call(module: ModuleType, case: Case, inputs: Inputs, place: Callable[[Array], Array]) -> Call:
    """A call of a module with the kernels' face; `place` puts each array where and how the module likes it."""
    arguments: dict[str, Callable[[], tuple[Any, ...]]] = {
        "im2col": lambda: (inputs.x, case.window),
        "col2im": lambda: (inputs.columns, case.input_shape, case.window),
        "conv2d": lambda: (inputs.x, inputs.weight, inputs.bias),
        "conv2d_input_grad": lambda: (inputs.grad_output, inputs.weight, case.input_shape),
        "conv2d_weight_grad": lambda: (inputs.x, inputs.grad_output, case.weight_shape),
        "max_pool2d": lambda: (inputs.x, case.window),
        "max_pool2d_grad": lambda: (inputs.grad_output, inputs.argmax, case.input_shape, case.window),
        "avg_pool2d": lambda: (inputs.x, case.window),
        "avg_pool2d_grad": lambda: (inputs.grad_output, case.input_shape, case.window),
    }
    placed = [place(a) if isinstance(a, np.ndarray) else a for a in arguments[case.kernel]()]
    kernel = getattr(module, case.kernel)
    return functools.partial(kernel, *placed, stride=case.stride, padding=case.padding)


def _as_it_is(array: Array) -> Array:
    return array


def _python_loops(case: Case, inputs: Inputs) -> Call:
    return _kernel_call(reference, case, inputs, _as_it_is)


@functools.cache
def _compiled_reference() -> ModuleType:
    """A second copy of `kernels.reference` in which Numba compiles the loops, just as they stand."""
    spec = importlib.util.spec_from_file_location("benchmarks.compiled_reference", reference.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, function in list(vars(module).items()):
        if name.endswith("_loops"):
            setattr(module, name, numba.njit(function))
    return module


def _numba_loops(case: Case, inputs: Inputs) -> Call:
    return _kernel_call(_compiled_reference(), case, inputs, _as_it_is)


def _textbook_numpy(case: Case, inputs: Inputs) -> Call:
    geometry = (case.window, case.stride, case.padding)
    arguments: dict[str, Callable[[], tuple[Any, ...]]] = {
        "im2col": lambda: (inputs.x, *geometry),
        "col2im": lambda: (inputs.columns, case.input_shape, *geometry),
        "conv2d": lambda: (inputs.x, inputs.weight, inputs.bias, *geometry[1:]),
        "conv2d_input_grad": lambda: (inputs.grad_output, inputs.weight, case.input_shape, *geometry[1:]),
        # The textbook's forward pass keeps its columns, so the gradient need not make them again.
        "conv2d_weight_grad": lambda: (inputs.columns, inputs.grad_output, case.weight_shape),
        "max_pool2d": lambda: (inputs.x, *geometry),
        "max_pool2d_grad": lambda: (inputs.grad_output, inputs.argmax, case.input_shape, *geometry),
        "avg_pool2d": lambda: (inputs.x, *geometry),
        "avg_pool2d_grad": lambda: (inputs.grad_output, case.input_shape, *geometry),
    }
    return functools.partial(getattr(textbook, case.kernel), *arguments[case.kernel]())


def _dlcore(case: Case, inputs: Inputs) -> Call:
    """On the active backend; the call ends when the device has finished."""
    where = backend.current()

    def place(array: Array) -> Array:
        if array.ndim != 4:
            return where.asarray(array)
        return layout.from_channels_last(where.asarray(layout.channels_last(array)))

    launch = _kernel_call(kernels, case, inputs, place)

    def call() -> Any:
        result = launch()
        where.synchronize()
        return result

    return call


DLCORE = Contender("dlcore", _dlcore)
PEERS = [
    Contender("Python loops", _python_loops, is_sampled=True),
    Contender("Numba loops", _numba_loops),
    Contender("textbook NumPy", _textbook_numpy),
]
CONTENDERS = [*PEERS, DLCORE]


def check(case: Case, contender: Contender, inputs: Inputs, result: Any) -> None:
    """Hold a contender's result against the textbook's, to 1e-4 of the largest value.

    Raises:
        AssertionError: they differ; NumPy's message shows where.
    """
    expected = _textbook_numpy(case, inputs)()
    for ours, theirs in zip(_arrays(result), _arrays(expected), strict=True):
        np.testing.assert_allclose(
            ours, theirs, rtol=1e-4, atol=1e-4 * float(np.abs(theirs).max()), err_msg=f"{contender.title}: {case}"
        )


def _arrays(result: Any) -> Iterator[Array]:
    for array in result if isinstance(result, tuple) else (result,):
        yield backend.to_numpy(array)
