"""Rectification against the reference loops: any shape, layout and dtype, NaN, and more than one chunk of work."""

import numpy as np
import pytest

import kernels
from dlcore.backend import Backend, to_numpy
from kernels import cpu, reference
from kernels.cpu import activation
from kernels.types import Array
from tests.kernels.half import HALVES, half_type
from tests.kernels.strategies import arrange
from tests.tolerances import assert_close

SHAPES = [(), (0,), (7,), (3, 5), (2, 3, 4), (2, 3, 4, 5), (0, 3, 2, 2), (2, 2, 2, 2, 2), (5, 260)]


def values(shape: tuple[int, ...], dtype: str) -> Array:
    random = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    return np.asarray(np.where(np.abs(random) < 0.2, np.dtype(dtype).type(0), random))


@pytest.mark.parametrize("arrangement", ["plain", "reversed", "channels-last"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_loops(backend: Backend, shape: tuple[int, ...], dtype: str, arrangement: str) -> None:
    x, gradient = values(shape, dtype), values(shape, dtype) + np.dtype(dtype).type(1)
    y = kernels.relu(arrange(backend.asarray(x), arrangement if shape else "plain"))
    np.testing.assert_array_equal(to_numpy(y), reference.relu(x))
    grad_input = kernels.relu_grad(backend.asarray(gradient), y)
    np.testing.assert_array_equal(to_numpy(grad_input), reference.relu_grad(gradient, reference.relu(x)))
    assert y.dtype == grad_input.dtype == np.dtype(dtype)
    assert y.shape == grad_input.shape == shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_error_function_equals_loops(backend: Backend, shape: tuple[int, ...], dtype: str) -> None:
    x = 3 * values(shape, dtype)
    y = kernels.erf(backend.asarray(x))
    assert_close(to_numpy(y), reference.erf(x), "erf")
    assert (y.dtype, y.shape) == (np.dtype(dtype), shape)


@pytest.mark.parametrize("name", HALVES)
def test_half_precision(backend: Backend, name: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 16)).astype(half_type(backend, name))
    y = kernels.relu(backend.asarray(x))
    np.testing.assert_array_equal(to_numpy(y), np.where(x > 0, x, x.dtype.type(0)))
    np.testing.assert_array_equal(to_numpy(kernels.relu_grad(y, y)), to_numpy(y))
    assert y.dtype == x.dtype


def test_parts_of_arrays_need_not_be_aligned(backend: Backend) -> None:
    x = np.random.default_rng(0).standard_normal(17).astype(np.float32)
    y = kernels.relu(backend.asarray(x)[1:])
    np.testing.assert_array_equal(to_numpy(y), np.maximum(x[1:], 0))


def test_nan_stays_and_passes_no_gradient(backend: Backend) -> None:
    y = kernels.relu(backend.asarray(np.array([np.nan, -np.inf, np.inf, -0.0])))
    np.testing.assert_array_equal(to_numpy(y), [np.nan, 0, np.inf, 0])
    dx = kernels.relu_grad(backend.asarray(np.ones(4)), y)
    np.testing.assert_array_equal(to_numpy(dx), [0, 0, 1, 0])


def test_many_chunks() -> None:
    x = np.random.default_rng(0).standard_normal(3 * activation._CHUNK + 5).astype(np.float32)
    y = cpu.relu(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(cpu.relu_grad(x, y), y)
