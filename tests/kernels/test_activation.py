"""Rectification against the reference loops: any shape, layout and dtype, NaN, and more than one chunk of work."""

from typing import Any

import numpy as np
import pytest

from kernels import cpu, cuda, reference
from kernels.cpu import activation
from kernels.types import Array

PACKAGES = {"cpu": cpu, "cuda on NumPy arrays": cuda}
SHAPES = [(), (0,), (7,), (3, 5), (2, 3, 4), (2, 3, 4, 5), (0, 3, 2, 2), (2, 2, 2, 2, 2)]


def values(shape: tuple[int, ...], dtype: str, layout: str) -> Array:
    random = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x = np.asarray(np.where(np.abs(random) < 0.2, np.dtype(dtype).type(0), random))
    if layout == "reversed":
        return x[tuple(slice(None, None, -1) for _ in shape)]
    if layout == "channels-last" and x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return x


@pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)
@pytest.mark.parametrize("layout", ["plain", "reversed", "channels-last"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_loops(package: Any, shape: tuple[int, ...], dtype: str, layout: str) -> None:
    x, gradient = values(shape, dtype, layout), values(shape, dtype, "plain") + np.dtype(dtype).type(1)
    y = package.relu(x)
    np.testing.assert_array_equal(y, reference.relu(x))
    grad_input = package.relu_grad(gradient, y)
    np.testing.assert_array_equal(grad_input, reference.relu_grad(gradient, y))
    assert y.dtype == grad_input.dtype == np.dtype(dtype)
    assert y.shape == grad_input.shape == shape


@pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)
def test_nan_stays_and_passes_no_gradient(package: Any) -> None:
    y = package.relu(np.array([np.nan, -np.inf, np.inf, -0.0]))
    np.testing.assert_array_equal(y, [np.nan, 0, np.inf, 0])
    np.testing.assert_array_equal(package.relu_grad(np.ones(4), y), [0, 0, 1, 0])


def test_many_chunks() -> None:
    x = np.random.default_rng(0).standard_normal(3 * activation._CHUNK + 5).astype(np.float32)
    y = cpu.relu(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(cpu.relu_grad(x, y), y)
