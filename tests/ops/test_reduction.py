"""Sums, maxima and softmax: ties, axes, empty tensors, extreme values."""

from typing import Any

import numpy as np
import pytest

import dlcore as dl

AXES = [None, 0, 1, -1, (0, 1), (2, 0), (-1, 1), (0, 1, 2), (), np.int64(1), [0, 2]]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_axes_are_numpys(backend: dl.backend.Backend, axis: Any, keepdims: bool) -> None:
    x = np.random.default_rng(0).permutation(24).reshape(2, 3, 4).astype(np.float32)
    given = tuple(axis) if isinstance(axis, list) else axis
    for name in ("sum", "mean", "max"):
        expected = getattr(x, name)(axis=given, keepdims=keepdims)
        found = getattr(dl.tensor(x), name)(axis, keepdims)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumulative_sums_are_numpys(backend: dl.backend.Backend, axis: int) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(dl.tensor(x).cumsum(axis).numpy(), x.cumsum(axis))


@pytest.mark.parametrize(
    ("axis", "message"),
    [(2, "axis 2 does not fit"), (-3, "axis -3"), ((0, 5), "axis 5"), ((0, 0), "twice"), ((1, -1), "twice")],
)
@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_axes_that_do_not_fit(backend: dl.backend.Backend, name: str, axis: Any, message: str) -> None:
    with pytest.raises(dl.ShapeError, match=message):
        getattr(dl.ones((2, 3)), name)(axis=axis)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "argmax"])
def test_softmax_and_argmax_axes_that_do_not_fit(backend: dl.backend.Backend, name: str) -> None:
    with pytest.raises(dl.ShapeError, match=f"{name}: axis 2 does not fit an array of 2 dimensions"):
        getattr(dl.ones((2, 3)), name)(axis=2)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (None, [[0, 1, 0], [0, 0, 0]]),
        (0, [[1, 1, 0], [0, 0, 1]]),
        (1, [[0, 1, 0], [0, 1, 0]]),
        ((1, 0), [[0, 1, 0], [0, 0, 0]]),
    ],
    ids=str,
)
def test_the_maximum_belongs_to_the_first_of_equals(backend: dl.backend.Backend, axis: Any, expected: Any) -> None:
    x = dl.tensor([[2.0, 3.0, 1.0], [2.0, 3.0, 3.0]], requires_grad=True)
    x.max(axis=axis).sum().backward()
    assert x.grad.numpy().tolist() == expected
    assert x.argmax().item() == 1


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_where_the_extremes_are(backend: dl.backend.Backend, name: str, axis: int | None) -> None:
    values = np.array([[2.0, 3.0, 1.0], [1.0, 3.0, 4.0]], np.float32)
    found = getattr(dl.tensor(values, requires_grad=True), name)(axis)
    assert (found.dtype.kind, found.requires_grad) == ("i", False)
    np.testing.assert_array_equal(found.numpy(), getattr(values, name)(axis))


def test_the_maximum_of_something_with_nan_is_nan(backend: dl.backend.Backend) -> None:
    assert np.isnan(dl.tensor([1.0, float("nan"), 3.0]).max().item())


@pytest.mark.parametrize(("shape", "axis", "result"), [((0, 3), 1, (0,)), ((0, 3), 0, (3,)), ((0,), None, ())], ids=str)
def test_empty(backend: dl.backend.Backend, shape: tuple[int, ...], axis: Any, result: tuple[int, ...]) -> None:
    x = dl.zeros(shape, requires_grad=True)
    total = x.sum(axis=axis)
    assert total.shape == result
    assert not total.numpy().any()
    total.sum().backward()
    assert x.grad.shape == shape
    if result == (0,):  # nothing is reduced over an empty axis
        assert x.max(axis=axis).shape == result
    else:
        with pytest.raises(dl.ShapeError, match=r"max: no maximum over axis .* it is empty"):
            x.max(axis=axis)


def test_0d(backend: dl.backend.Backend) -> None:
    x = dl.tensor(2.0, requires_grad=True)
    y = x.sum() * x.mean() * x.max()
    y.backward()
    assert y.shape == ()
    assert x.grad.item() == 12.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_of_extreme_values(backend: dl.backend.Backend, dtype: str) -> None:
    x = dl.tensor([[1e4, 0.0, -1e4], [1000.0, 1000.0, -np.inf]], dtype)
    assert x.softmax().numpy().tolist() == [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]
    expected = [[0.0, -1e4, -2e4], [-np.log(2), -np.log(2), -np.inf]]
    np.testing.assert_allclose(x.log_softmax().numpy(), expected, rtol=1e-6)
    assert x.log_softmax().dtype == dtype


def test_softmax_does_not_feel_a_shift(backend: dl.backend.Backend) -> None:
    x = dl.tensor(np.linspace(-2, 2, 12).reshape(3, 4))
    np.testing.assert_allclose((x + 100.0).softmax(0).numpy(), x.softmax(0).numpy(), rtol=1e-9)
    np.testing.assert_allclose(x.softmax(0).sum(axis=0).numpy(), 1.0, rtol=1e-9)
