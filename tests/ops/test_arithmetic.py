"""Arithmetic at its edges: numbers beside tensors, mixed types, broadcasting, empty and 0-d tensors, powers of 0."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
NUMBERS = [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.float16(2.5), np.int64(2), np.bool_(True)]

each_operator = pytest.mark.parametrize("operate", OPERATORS, ids=lambda function: function.__name__)


@each_operator
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__}")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_take_the_tensors_dtype(
    backend: dl.backend.Backend, operate: Callable[..., Any], number: Any, dtype: str
) -> None:
    x = dl.tensor([1.0, 2.0], dtype)
    for result, expected in (
        (operate(x, number), operate(x.numpy(), float(number))),
        (operate(number, x), operate(float(number), x.numpy())),
    ):
        assert isinstance(result, dl.Tensor)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


@each_operator
def test_arrays_are_operands_on_both_sides(backend: dl.backend.Backend, operate: Callable[..., Any]) -> None:
    x = dl.tensor([[1.0, 2.0]])
    array = backend.asarray(np.array([[3.0], [4.0]], dtype=np.float32))
    np.testing.assert_array_equal(operate(x, array).numpy(), operate(x, dl.Tensor(array)).numpy())
    np.testing.assert_array_equal(operate(array, x).numpy(), operate(dl.Tensor(array), x).numpy())


@each_operator
def test_mixed_dtypes_promote_and_each_gradient_has_its_inputs(
    backend: dl.backend.Backend, operate: Callable[..., Any]
) -> None:
    a = dl.tensor([1.0, 2.0], requires_grad=True)
    b = dl.tensor([3.0, 2.0], "float64", requires_grad=True)
    result = operate(a, b)
    assert result.dtype == "float64"
    result.sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == ("float32", "float64")


@each_operator
@pytest.mark.parametrize(("shape_a", "shape_b"), [((), (0,)), ((0, 3), (1, 3)), ((2, 0), (2, 1)), ((), ())])
def test_empty_and_0d(
    backend: dl.backend.Backend, operate: Callable[..., Any], shape_a: tuple[int, ...], shape_b: tuple[int, ...]
) -> None:
    a, b = dl.ones(shape_a, requires_grad=True), dl.ones(shape_b, requires_grad=True)
    result = operate(a, b)
    assert result.shape == np.broadcast_shapes(shape_a, shape_b)
    result.sum().backward()
    assert (a.grad.shape, b.grad.shape) == (shape_a, shape_b)


@each_operator
def test_shapes_that_do_not_broadcast(backend: dl.backend.Backend, operate: Callable[..., Any]) -> None:
    with pytest.raises(dl.ShapeError, match=r"^\w+: shapes \(2, 3\) and \(2,\) do not broadcast$"):
        operate(dl.ones((2, 3)), dl.ones(2))


@pytest.mark.parametrize("other", [[1.0, 2.0], "2", 2j, object()])
def test_other_operands_are_refused(backend: dl.backend.Backend, other: Any) -> None:
    with pytest.raises(dl.DTypeError, match=r"expected a Tensor, an array of numbers or a number, got \w+"):
        dl.ones(2) * other


def test_integers_receive_no_gradient(backend: dl.backend.Backend) -> None:
    x = dl.tensor([1.0, 2.0], requires_grad=True)
    (x * dl.tensor([3, 4])).sum().backward()
    assert x.grad.numpy().tolist() == [3.0, 4.0]
    assert x.grad.dtype == "float32"


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("as_tensor", [False, True], ids=["number", "tensor"])
def test_powers_of_zero(backend: dl.backend.Backend, exponent: float, as_tensor: bool) -> None:
    x = dl.tensor([0.0, 2.0], "float64", requires_grad=True)
    y = x ** (dl.tensor([exponent, exponent], "float64") if as_tensor else exponent)
    (slope,) = dl.grad(y.sum(), x, create_graph=True)
    curvature = dl.grad(slope.sum(), x)[0] if slope.requires_grad else dl.zeros(2)
    for number, (value, base) in enumerate(zip(y.numpy(), (0.0, 2.0), strict=True)):
        assert value == base**exponent
        assert slope.numpy()[number] == (exponent * base ** (exponent - 1) if exponent else 0)
        assert curvature.numpy()[number] == (exponent * (exponent - 1) * base ** (exponent - 2) if exponent > 1 else 0)


def test_gradient_for_the_exponent_where_the_base_is_zero(backend: dl.backend.Backend) -> None:
    for base in (dl.tensor([0.0, 0.0]), 0, 0.0):
        exponent = dl.tensor([0.0, 2.0], requires_grad=True)
        (base**exponent).sum().backward()
        assert exponent.grad.numpy().tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda: dl.arange(3) * dl.ones(3), "float32"),
        (lambda: dl.ones(3, dtype="float64") + dl.arange(3), "float64"),
        (lambda: dl.arange(3) / 2, "float32"),
        (lambda: dl.arange(3) * 0.5, "float32"),
        (lambda: dl.arange(3) / dl.arange(1, 4), "float32"),
        (lambda: dl.arange(3) * 2, "int64"),
    ],
)
def test_integers_are_weak_beside_floats(backend: Any, compute: Callable[[], dl.Tensor], expected: str) -> None:
    assert compute().dtype == np.dtype(expected)
