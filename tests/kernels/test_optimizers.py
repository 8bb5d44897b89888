"""An optimizer's formula, compiled, against the same formula called for each element."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from dlcore import optim
from kernels import cpu, cuda, reference
from kernels.cpu import optimizers
from kernels.types import Array
from tests.kernels.strategies import arrange
from tests.tolerances import assert_close

IMPLEMENTATIONS = {"cpu": cpu, "cuda on NumPy": cuda}
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


def compare(name: str, package: ModuleType, given: list[list[Array]], **options: float) -> None:
    formula, _, numbers = FORMULAS[name]
    numbers_of_each = [(numbers[0] / (i + 1), *numbers[1:]) for i in range(len(given))]
    exact = [[array.astype(np.float64) for array in own] for own in given]
    reference.optimizer_step(formula, exact, numbers_of_each, **options)
    gradients = [own[1].copy() for own in given]
    package.optimizer_step(formula, given, numbers_of_each, **options)
    for own, expected, gradient in zip(given, exact, gradients, strict=True):
        for number, (a, b) in enumerate(zip(own, expected, strict=True)):
            assert_close(a, b, f"array {number} of shape {a.shape}")
        np.testing.assert_array_equal(own[1], gradient)


@every_formula
@pytest.mark.parametrize("package", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"shrink": 0.9}], ids=str)
def test_equals_loops(name: str, package: ModuleType, dtype: str, options: dict[str, float]) -> None:
    compare(name, package, parameters(name, dtype), **options)


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
def test_any_memory_layout(arrangement: str, which: str) -> None:
    given = parameters("adam", "float32", [(2, 3, 4, 5), (6, 7)])
    arranged = [
        [arrange(a, arrangement) if which == "all" or i == 1 else a for i, a in enumerate(own)] for own in given
    ]
    compare("adam", cpu, arranged)


def test_mixed_types_and_long_parameters() -> None:
    long = optimizers._BLOCK * 2 + 7
    given = parameters("momentum", "float32", [(long,), (3,)]) + parameters("momentum", "float64", [(5,), (long,)])
    given += [[array.astype(np.float16) for array in own] for own in parameters("momentum", "float64", [(1,)])]
    half = given.pop()
    compare("momentum", cpu, given)
    formula, _, numbers = FORMULAS["momentum"]
    cpu.optimizer_step(formula, [half], [numbers])  # not compiled, but computed
    assert np.isfinite(half[0]).all()


def test_a_parameter_given_twice_moves_twice() -> None:
    w, g = np.ones(4, np.float32), np.ones(4, np.float32)
    cpu.optimizer_step(optim.SGD.plain_formula, [[w, g], [w, g]], [(0.25,), (0.5,)])
    np.testing.assert_array_equal(w, 0.25)


def test_read_only_parameters_are_refused() -> None:
    w, g = np.ones(4, np.float32), np.ones(4, np.float32)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        cpu.optimizer_step(optim.SGD.plain_formula, [[w, g]], [(0.25,)])


def test_nothing_to_do() -> None:
    cpu.optimizer_step(optim.SGD.plain_formula, [], [])
