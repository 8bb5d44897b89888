"""Softmax cross-entropy and its gradient against naive loops."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kernels
from dlcore.backend import Backend, to_numpy
from kernels import reference
from tests.kernels.half import HALVES, half_type
from tests.kernels.strategies import MANY, Arrays, arrays
from tests.tolerances import assert_close


@pytest.mark.usefixtures("one_thread")
@settings(max_examples=MANY)
@given(
    rows=st.integers(0, 30),
    classes=st.integers(1, 20),
    labels_dtype=st.sampled_from(["int64", "int32", "uint8"]),
    arrays=arrays,
)
@example(rows=3, classes=1000, labels_dtype="int16", arrays=Arrays("float32", "reversed", 0))
@example(rows=7, classes=250, labels_dtype="uint64", arrays=Arrays("float64", "plain", 0))
def test_equals_loops(backend: Backend, rows: int, classes: int, labels_dtype: str, arrays: Arrays) -> None:
    x, grad = arrays.make((rows, classes), (rows,))
    labels = np.random.default_rng(arrays.seed).integers(0, classes, rows).astype(labels_dtype)
    losses, probability = reference.softmax_cross_entropy(x.astype(np.float64), labels)
    dx = reference.softmax_cross_entropy_grad(grad.astype(np.float64), probability, labels)
    x, grad, device_labels = arrays.on(backend, x, grad, labels)
    found_losses, found_probability = kernels.softmax_cross_entropy(x, device_labels)
    assert_close(to_numpy(found_losses), losses, "losses")
    assert_close(to_numpy(found_probability), probability, "probability")
    given_probability = backend.asarray(probability.astype(x.dtype))
    found = kernels.softmax_cross_entropy_grad(grad, given_probability, device_labels)
    assert_close(to_numpy(found), dx, "gradient")


def test_extreme_and_impossible_rows(backend: Backend) -> None:
    x = np.array([[1e4, -1e4], [-1e4, 1e4], [-np.inf, 0.0], [np.nan, 0.0], [1.0, 2.0], [1.0, 2.0]])
    labels = backend.asarray(np.array([0, 0, 1, 0, -1, 2]))
    losses, probability = kernels.softmax_cross_entropy(backend.asarray(x), labels)
    np.testing.assert_array_equal(to_numpy(losses), [0.0, 2e4, 0.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(to_numpy(probability)[:3], [[1, 0], [0, 1], [0, 1]])
    gradient = kernels.softmax_cross_entropy_grad(backend.asarray(np.ones(6)), probability, labels)
    np.testing.assert_array_equal(to_numpy(gradient)[4:], to_numpy(probability)[4:])


def test_one_gradient_for_all_rows(backend: Backend) -> None:
    """As the mean's gradient comes: broadcast, without memory of its own for each row."""
    probability = np.random.default_rng(0).random((5, 3))
    labels = np.array([0, 2, 1, 1, 0])
    grad = backend.xp.broadcast_to(backend.asarray(np.full((), 0.25)), (5,))
    found = kernels.softmax_cross_entropy_grad(grad, backend.asarray(probability), backend.asarray(labels))
    expected = reference.softmax_cross_entropy_grad(np.full(5, 0.25), probability, labels)
    np.testing.assert_array_equal(to_numpy(found), expected)


@pytest.mark.parametrize("name", HALVES)
def test_half_precision(backend: Backend, name: str) -> None:
    dtype = half_type(backend, name)
    random = np.random.default_rng(0)
    x, grad = random.standard_normal((9, 40)).astype(dtype), random.standard_normal(9).astype(dtype)
    labels = random.integers(0, 40, 9)
    expected = reference.softmax_cross_entropy(x.astype(np.float64), labels)
    losses, probability = kernels.softmax_cross_entropy(backend.asarray(x), backend.asarray(labels))
    assert_close(to_numpy(losses), expected[0], "losses")
    assert_close(to_numpy(probability), expected[1], "probability")
    found = kernels.softmax_cross_entropy_grad(backend.asarray(grad), probability, backend.asarray(labels))
    dx = reference.softmax_cross_entropy_grad(grad.astype(np.float64), expected[1], labels)
    assert_close(to_numpy(found), dx, "gradient")
    assert losses.dtype == probability.dtype == found.dtype == dtype
