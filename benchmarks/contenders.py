"""Who competes: plain Python loops, the same loops under Numba, the textbook's NumPy, and dlcore.

A contender makes of a case and its inputs a call without arguments that does the work and returns the result.
What has to be made only once is made before: the memory layout that the contender likes best, and what a forward
pass keeps for its backward pass. PyTorch and ONNX Runtime are in files of their own.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numba
import numpy as np

import kernels
from benchmarks import textbook
from benchmarks.cases import Case, Inputs
from benchmarks.goals import NUMBA_LOOPS, PYTHON_LOOPS, TEXTBOOK
from dlcore import backend
from kernels import layout, reference
from kernels.types import Array

Call = Callable[[], Any]

#: What batch norm adds to the variance, everywhere.
EPSILON = 1e-5
#: Results agree if they differ by no more than this share of the largest value.
_TOLERANCE = 1e-3


def _first(case: Case, result: Any) -> Array:
    return backend.to_numpy(result[0] if isinstance(result, tuple) else result)


@dataclass(frozen=True)
class Contender:
    """One way to run cases.

    Attributes:
        title: its column's heading.
        prepare: makes the call that is timed.
        result: of what the call returns, the array that contenders are compared by, as NumPy's, in the shape that
            the function of that name in `kernels` gives it.
        is_sampled: whether it is so slow that it runs `case.sample()` and its time is scaled.
        takes: whether it competes in a case.
    """

    title: str
    prepare: Callable[[Case, Inputs], Call]
    result: Callable[[Case, Any], Array] = _first
    is_sampled: bool = False
    takes: Callable[[Case], bool] = lambda case: True


def _kernel_call(module: ModuleType, case: Case, inputs: Inputs, place: Callable[[Array], Array]) -> Call:
    """A call of a module with the kernels' face; `place` puts each array where and how the module likes it."""
    convolution = {"stride": case.stride, "padding": case.padding, "groups": case.groups}
    window = {"stride": case.stride, "padding": case.padding}
    normalization = {"eps": EPSILON, "activation": "relu"}
    arguments: dict[str, Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]] = {
        "im2col": lambda: ((inputs.x, case.window), window),
        "col2im": lambda: ((inputs.columns, case.input_shape, case.window), window),
        "conv2d": lambda: ((inputs.x, inputs.weight, inputs.bias), convolution),
        "conv2d_input_grad": lambda: ((inputs.grad_output, inputs.weight, case.input_shape), convolution),
        "conv2d_weight_grad": lambda: ((inputs.x, inputs.grad_output, case.weight_shape), convolution),
        "max_pool2d": lambda: ((inputs.x, case.window), window),
        "max_pool2d_grad": lambda: ((inputs.grad_output, inputs.argmax, case.input_shape, case.window), window),
        "avg_pool2d": lambda: ((inputs.x, case.window), window),
        "avg_pool2d_grad": lambda: ((inputs.grad_output, case.input_shape, case.window), window),
        "batch_norm": lambda: ((inputs.x, inputs.weight, inputs.bias), normalization),
        "batch_norm_grad": lambda: (
            (inputs.grad_output, inputs.x, inputs.weight, inputs.bias, *inputs.statistics),
            normalization,
        ),
    }
    given, options = arguments[case.kernel]()
    placed = [place(a) if isinstance(a, np.ndarray) else a for a in given]
    return functools.partial(getattr(module, case.kernel), *placed, **options)


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
        "batch_norm": lambda: (inputs.x, inputs.weight, inputs.bias, EPSILON),
        "batch_norm_grad": lambda: (inputs.grad_output, inputs.x, inputs.weight, inputs.bias, EPSILON),
    }
    return functools.partial(getattr(textbook, case.kernel), *arguments[case.kernel]())


def launches(case: Case, inputs: Inputs) -> Call:
    """Dlcore on the active backend, in its own memory layout; on a device, the call ends before its work does."""
    where = backend.current()

    def place(array: Array) -> Array:
        if array.ndim != 4:
            return where.asarray(array)
        return layout.from_channels_last(where.asarray(layout.channels_last(array)))

    return _kernel_call(kernels, case, inputs, place)


def _dlcore(case: Case, inputs: Inputs) -> Call:
    where, launch = backend.current(), launches(case, inputs)

    def call() -> Any:
        result = launch()
        where.synchronize()
        return result

    return call


DLCORE = Contender("dlcore", _dlcore)
LOOPS = [
    Contender(PYTHON_LOOPS, _python_loops, is_sampled=True),
    Contender(NUMBA_LOOPS, _numba_loops),
    Contender(TEXTBOOK, _textbook_numpy, takes=lambda case: case.groups == 1),
]


def expected(case: Case, inputs: Inputs) -> Array:
    """What the case must give: the textbook's result, and that of naive loops where the textbook has none."""
    textbooks = LOOPS[-1]
    judge = textbooks if textbooks.takes(case) else LOOPS[1]
    return judge.result(case, judge.prepare(case, inputs)())


def check(case: Case, contender: Contender, result: Any, right: Array) -> None:
    """Hold what a contender's call returned against the right result.

    Raises:
        AssertionError: they differ by more than a thousandth of the largest value; NumPy's message shows where.
    """
    np.testing.assert_allclose(
        contender.result(case, result),
        right,
        rtol=_TOLERANCE,
        atol=_TOLERANCE * float(np.abs(right).max()),
        err_msg=f"{contender.title}: {case}",
    )
