"""Softmax cross-entropy and its gradient against naive loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import cpu, cuda, reference
from tests.kernels.strategies import Arrays, arrays
from tests.tolerances import assert_close

IMPLEMENTATIONS = {"cpu": cpu, "cuda on NumPy": cuda}


@pytest.mark.usefixtures("one_thread")
@settings(max_examples=300)
@given(
    rows=st.integers(0, 30),
    classes=st.integers(1, 20),
    labels_dtype=st.sampled_from(["int64", "int32", "uint8"]),
    arrays=arrays,
)
def test_equals_loops(rows: int, classes: int, labels_dtype: str, arrays: Arrays) -> None:
    x, grad = arrays.make((rows, classes), (rows,))
    labels = np.random.default_rng(arrays.seed).integers(0, classes, rows).astype(labels_dtype)
    losses, probability = reference.softmax_cross_entropy(x.astype(np.float64), labels)
    dx = reference.softmax_cross_entropy_grad(grad.astype(np.float64), probability, labels)
    for name, package in IMPLEMENTATIONS.items():
        found_losses, found_probability = package.softmax_cross_entropy(x, labels)
        assert_close(found_losses, losses, f"losses, {name}")
        assert_close(found_probability, probability, f"probability, {name}")
        found = package.softmax_cross_entropy_grad(grad, probability.astype(x.dtype), labels)
        assert_close(found, dx, f"gradient, {name}")


@pytest.mark.parametrize("package", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
def test_extreme_and_impossible_rows(package: Any) -> None:
    x = np.array([[1e4, -1e4], [-1e4, 1e4], [-np.inf, 0.0], [np.nan, 0.0], [1.0, 2.0], [1.0, 2.0]])
    losses, probability = package.softmax_cross_entropy(x, np.array([0, 0, 1, 0, -1, 2]))
    np.testing.assert_array_equal(losses, [0.0, 2e4, 0.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(probability[:3], [[1, 0], [0, 1], [0, 1]])
    gradient = package.softmax_cross_entropy_grad(np.ones(6), probability, np.array([0, 0, 1, 0, -1, 2]))
    np.testing.assert_array_equal(gradient[4:], probability[4:])
