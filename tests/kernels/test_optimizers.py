"""An optimizer's formula, compiled or turned into a kernel, against the same formula called for each element."""

import re
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

import kernels
from dlcore import optim
from dlcore.backend import Backend, to_numpy
from kernels import cpu, reference
from kernels.cpu import optimizers
from kernels.cuda.formula import trace
from kernels.errors import ArgumentError
from kernels.types import Array
from tests.kernels.half import HALVES, half_type
from tests.kernels.strategies import arrange
from tests.tolerances import assert_close

#: A formula, how many arrays are kept, and numbers for it.
FORMULAS: dict[str, tuple[Callable[..., tuple[Any, ...]], int, tuple[float, ...]]] = {
    "sgd": (optim.SGD.plain_formula, 0, (0.1,)),
    "momentum": (optim.SGD.momentum_formula, 1, (0.1, 0.9, 0.8)),
    "nesterov": (optim.SGD.nesterov_formula, 1, (0.1, 0.9, 1.0)),
    "adagrad": (optim.AdaGrad.formula, 1, (0.1, 1e-3)),
    "rmsprop": (optim.RMSprop.formula, 1, (0.1, 0.01, 1e-3)),
    "adam": (optim.Adam.formula, 2, (0.1, 0.1, 0.01, 1.5, 1.7, 1e-3)),
}
SHAPES = [(3, 4), (), (0, 2), (5,), (2, 3, 4, 5), (1,), (17, 3)]

every_formula = pytest.mark.parametrize("name", FORMULAS)


def parameters(name: str, dtype: str, shapes: list[tuple[int, ...]] = SHAPES) -> list[list[Array]]:
    """For each shape w, g and what is kept, which is positive."""
    random = np.random.default_rng(0)
    _, kept, _ = FORMULAS[name]
    made = [[random.standard_normal(shape) for _ in range(2 + kept)] for shape in shapes]
    return [[np.asarray(a if i < 2 else np.abs(a), dtype) for i, a in enumerate(own)] for own in made]


def compare(
    name: str, backend: Backend, given: list[list[Array]], *, same_numbers: bool = False, **options: float
) -> None:
    """Step on a backend's arrays (of any layout) and, from the same values, element by element in float64."""
    formula, _, numbers = FORMULAS[name]
    numbers_of_each = [(numbers[0] / (1 if same_numbers else i + 1), *numbers[1:]) for i in range(len(given))]
    exact = [[to_numpy(array).astype(np.float64) for array in own] for own in given]
    reference.optimizer_step(formula, exact, numbers_of_each, **options)
    gradients = [np.array(to_numpy(own[1])) for own in given]
    kernels.optimizer_step(formula, given, numbers_of_each, **options)
    for own, expected, gradient in zip(given, exact, gradients, strict=True):
        for number, (a, b) in enumerate(zip(own, expected, strict=True)):
            if number != 1:
                assert_close(to_numpy(a), b, f"array {number} of shape {a.shape}")
        np.testing.assert_array_equal(to_numpy(own[1]), gradient)


def on(backend: Backend, given: list[list[Array]]) -> list[list[Array]]:
    return [[backend.asarray(array) for array in own] for own in given]


@every_formula
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"shrink": 0.9}], ids=str)
def test_equals_loops(backend: Backend, name: str, dtype: str, options: dict[str, float]) -> None:
    compare(name, backend, on(backend, parameters(name, dtype)), **options)


@pytest.mark.parametrize("name", HALVES)
def test_half_precision(backend: Backend, name: str) -> None:
    """Computed in float32: a step smaller than what the type resolves at 1 is not lost on the way to the state."""
    dtype = half_type(backend, name)
    given = [[array.astype(dtype) for array in own] for own in parameters("adam", "float64")]
    compare("adam", backend, on(backend, given), weight_decay=0.1)
    w, g, v = (np.full(9, value, dtype) for value in (1.0, 1e-4, 0.0))
    (moved,) = on(backend, [[w, g, v]])
    kernels.optimizer_step(optim.SGD.momentum_formula, [moved], [(0.1, 0.9, 1.0)])
    np.testing.assert_array_equal(to_numpy(moved[2]), g)


@every_formula
def test_formulas_compute_in_float32(name: str) -> None:
    """A number written into a formula would be an int64 or a float64 to the compiler, and halve its speed."""
    formula, kept, numbers = FORMULAS[name]
    compiled = numba.njit(formula)
    compiled.compile((types.float32,) * (2 + kept + len(numbers)))
    (signature,) = compiled.nopython_signatures
    assert signature.return_type == types.UniTuple(types.float32, 1 + kept)


@pytest.mark.parametrize("arrangement", ["channels-last", "reversed", "every other", "field of a record"])
@pytest.mark.parametrize("which", ["all", "gradients"])
def test_any_memory_layout(backend: Backend, arrangement: str, which: str) -> None:
    given = on(backend, parameters("adam", "float32", [(2, 3, 4, 5), (6, 7)]))
    arranged = [
        [arrange(a, arrangement) if which == "all" or i == 1 else a for i, a in enumerate(own)] for own in given
    ]
    compare("adam", backend, arranged)


def test_mixed_types_and_long_parameters(backend: Backend) -> None:
    long = optimizers._BLOCK * 2 + 7
    given = parameters("momentum", "float32", [(long,), (3,)]) + parameters("momentum", "float64", [(5,), (long,)])
    compare("momentum", backend, on(backend, given), same_numbers=True)


def test_parts_of_arrays_need_not_be_aligned(backend: Backend) -> None:
    whole = on(backend, parameters("adam", "float32", [(23,), (64,)]))
    compare("adam", backend, [[array[1:] for array in own] for own in whole], same_numbers=True)


def test_half_precision_on_the_cpu_is_computed_though_not_compiled() -> None:
    half = [array.astype(np.float16) for array in parameters("momentum", "float64", [(1,)])[0]]
    formula, _, numbers = FORMULAS["momentum"]
    cpu.optimizer_step(formula, [half], [numbers])
    assert np.isfinite(half[0]).all()


def test_a_parameter_given_twice_moves_twice(backend: Backend) -> None:
    w, g = backend.asarray(np.ones(4, np.float32)), backend.asarray(np.ones(4, np.float32))
    kernels.optimizer_step(optim.SGD.plain_formula, [[w, g], [w, g]], [(0.25,), (0.5,)])
    np.testing.assert_array_equal(to_numpy(w), 0.25)


def sign_and_branch(w: Any, g: Any, kept: Any, lr: Any, bound: Any) -> tuple[Any, Any]:
    """What formulas may use besides arithmetic."""
    step = np.where((np.abs(g) > bound) & (kept < np.exp(bound)), np.sign(g), np.tanh(g))
    largest = np.maximum(kept, np.minimum(step**2, 1 / (1 + np.log1p(kept))))
    return w + lr * -step / (0.1 + largest) ** 0.5, largest


def test_formulas_of_ones_own(backend: Backend) -> None:
    random = np.random.default_rng(0)
    arrays = [backend.asarray(array) for array in (*random.standard_normal((2, 40)), random.random(40))]
    expected = sign_and_branch(*map(to_numpy, arrays), 0.1, 0.3)
    w, _, kept = arrays
    kernels.optimizer_step(sign_and_branch, [arrays], [(0.1, 0.3)])
    assert_close(to_numpy(w), expected[0], "w")
    assert_close(to_numpy(kept), expected[1], "kept")


OUTSIDE = 2.0


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda w, g, lr: (w if g > 0 else w - lr,), "branches on a value"),
        (lambda w, g, lr: (w - float(g),), "makes a Python number of a value"),
        (lambda w, g, lr: (np.cbrt(w),), "uses np.cbrt"),
        (lambda w, g, lr: (np.clip(w, 0, 1),), "uses np.clip"),
        (lambda w, g, lr: (w * np.inf,), "uses inf, which is no finite number"),
        (lambda w, g, lr: w - lr * g, "does not return a tuple of the new w and 0 kept values"),
        (lambda w, g, lr: (w, g), "does not return a tuple of the new w and 0 kept values"),
        (lambda w, g, lr: (w - OUTSIDE * g,), "uses OUTSIDE from outside"),
    ],
    ids=["if", "float", "cbrt", "clip", "inf", "no tuple", "too many", "outside"],
)
def test_what_cannot_become_a_kernel_is_refused(formula: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        trace(formula, 2, 1, False, False)


def test_read_only_parameters_are_refused() -> None:
    w, g = np.ones(4, np.float32), np.ones(4, np.float32)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        cpu.optimizer_step(optim.SGD.plain_formula, [[w, g]], [(0.25,)])


def test_nothing_to_do(backend: Backend) -> None:
    kernels.optimizer_step(optim.SGD.plain_formula, [], [])
