"""Functions of each element where rounding, overflow or a kink could go wrong."""

from collections.abc import Callable

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F

FAR = np.array([-1e4, -1000.0, -80.0, 80.0, 1000.0, 1e4])


def test_relu_has_no_slope_at_zero(backend: dl.backend.Backend) -> None:
    x = dl.tensor([-1.0, -0.0, 0.0, 1.0], requires_grad=True)
    x.relu().sum().backward()
    assert x.grad.numpy().tolist() == [0.0, 0.0, 0.0, 1.0]


def test_the_absolute_value_has_no_slope_at_zero(backend: dl.backend.Backend) -> None:
    x = dl.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    x.abs().sum().backward()
    assert x.grad.numpy().tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("choose", [dl.maximum, dl.minimum])
def test_of_equals_the_first_gets_the_gradient(backend: dl.backend.Backend, choose: Callable[..., dl.Tensor]) -> None:
    a, b = dl.tensor([1.0, 2.0], requires_grad=True), dl.tensor([1.0, 2.0], requires_grad=True)
    choose(a, b).sum().backward()
    assert (a.grad.numpy().tolist(), b.grad.numpy().tolist()) == ([1.0, 1.0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("bounds", "expected", "slope"),
    [
        ({"low": -1.0}, [-1.0, -1.0, 0.5, 3.0], [0.0, 1.0, 1.0, 1.0]),
        ({"high": 0.5}, [-2.0, -1.0, 0.5, 0.5], [1.0, 1.0, 1.0, 0.0]),
        ({"low": -1.0, "high": 0.5}, [-1.0, -1.0, 0.5, 0.5], [0.0, 1.0, 1.0, 0.0]),
    ],
    ids=["low", "high", "both"],
)
def test_clip_and_its_slope_at_the_bounds(
    backend: dl.backend.Backend, bounds: dict[str, float], expected: list[float], slope: list[float]
) -> None:
    x = dl.tensor([-2.0, -1.0, 0.5, 3.0], requires_grad=True)
    y = x.clip(**bounds)
    y.sum().backward()
    assert (y.numpy().tolist(), x.grad.numpy().tolist()) == (expected, slope)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("function", "expected", "slope"),
    [
        (F.sigmoid, [0, 0, np.exp(-80), 1, 1, 1], [0, 0, np.exp(-80), 0, 0, 0]),
        (F.softplus, [0, 0, np.exp(-80), 80, 1000, 1e4], [0, 0, np.exp(-80), 1, 1, 1]),
        (F.tanh, [-1, -1, -1, 1, 1, 1], [0, 0, 0, 0, 0, 0]),
    ],
    ids=["sigmoid", "softplus", "tanh"],
)
def test_far_from_zero(
    backend: dl.backend.Backend,
    function: Callable[[dl.Tensor], dl.Tensor],
    expected: list[float],
    slope: list[float],
    dtype: str,
) -> None:
    x = dl.tensor(FAR, dtype, requires_grad=True)
    y = function(x)
    y.sum().backward()
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-37)
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-4, atol=1e-34)


def test_where_of_two_numbers_is_float32(backend: dl.backend.Backend) -> None:
    y = dl.where(dl.tensor([True, False]), 1.5, 0.0)
    assert y.dtype == "float32"
    assert y.numpy().tolist() == [1.5, 0.0]


def test_where_hides_what_it_does_not_choose(backend: dl.backend.Backend) -> None:
    x = dl.tensor([0.0, 4.0], requires_grad=True)
    dl.where(x > 0, x, 1.0).sqrt().sum().backward()
    assert x.grad.numpy().tolist() == [0.0, 0.25]


def test_where_broadcasts_its_condition(backend: dl.backend.Backend) -> None:
    a = dl.ones((2, 1), requires_grad=True)
    y = dl.where(dl.tensor([True, False, True]), a, dl.zeros(()))
    assert y.shape == (2, 3)
    y.sum().backward()
    assert a.grad.numpy().tolist() == [[2.0], [2.0]]
    with pytest.raises(dl.ShapeError, match="where: shapes"):
        dl.where(dl.tensor([True, False]), dl.ones(3), 0.0)
