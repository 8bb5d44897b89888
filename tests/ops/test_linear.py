"""Matrix products and the affine map: shapes, dtypes, empty batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F
from tests.tolerances import assert_close


def random(*shape: int, dtype: str = "float32") -> dl.Tensor:
    return dl.randn(*shape, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize(
    ("left", "right"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((4, 1, 2, 3), (5, 3, 2)), ((3,), (4, 3, 2)), ((4, 2, 3), (3,))],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matmul_is_numpys(
    backend: dl.backend.Backend, left: tuple[int, ...], right: tuple[int, ...], dtype: str
) -> None:
    a, b = random(*left, dtype=dtype), random(*right, dtype=dtype)
    assert_close((a @ b).numpy(), a.numpy() @ b.numpy(), "product")
    assert_close((a.data @ b).numpy(), (a @ b.data).numpy(), "arrays on either side")


@pytest.mark.parametrize(("left", "right"), [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 2))])
def test_matmul_of_nothing(backend: dl.backend.Backend, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    a, b = random(*left), random(*right)
    product = a @ b
    np.testing.assert_array_equal(product.numpy(), a.numpy() @ b.numpy())
    product.sum().backward()
    assert (a.grad.shape, b.grad.shape) == (left, right)
    assert not a.grad.numpy().any()


def test_matmul_of_mixed_dtypes_and_integers(backend: dl.backend.Backend) -> None:
    a, b = random(2, 3), random(3, 2, dtype="float64")
    product = a @ b
    product.sum().backward()
    assert (product.dtype, a.grad.dtype, b.grad.dtype) == ("float64", "float32", "float64")
    assert (dl.tensor([[1, 2]]) @ dl.tensor([[3], [4]])).item() == 11


@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3), (2, 3)), ((3,), (2,)), ((2, 2, 3), (3, 3, 2)), ((), (2, 2)), ((2, 2), ())],
    ids=str,
)
def test_matmul_of_shapes_that_do_not_fit(
    backend: dl.backend.Backend, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    with pytest.raises(dl.ShapeError, match="matmul: expected"):
        dl.zeros(left) @ dl.zeros(right)


@pytest.mark.parametrize("leading", [(), (0,), (1,), (2, 0), (2, 4)], ids=str)
def test_linear_over_any_leading_axes(backend: dl.backend.Backend, leading: tuple[int, ...]) -> None:
    x, weight, bias = random(*leading, 3), random(2, 3), random(2)
    y = F.linear(x, weight, bias)
    assert_close(y.numpy(), x.numpy() @ weight.numpy().T + bias.numpy(), "y")
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert_close(bias.grad.numpy(), np.full(2, np.prod(leading), np.float32), "bias gradient: how many rows there are")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.linear(random(4, 3), random(2, 5)),
            dl.ShapeError,
            r"linear: x has 3 features but weight expects 5 \(x.shape=\(4, 3\), weight.shape=\(2, 5\)\)",
        ),
        (lambda: F.linear(dl.tensor(1.0), random(2, 5)), dl.ShapeError, "linear: x has no axes"),
        (lambda: F.linear(random(3), random(3)), dl.ShapeError, r"weight must be \(out, in\)"),
        (lambda: F.linear(random(4, 3), random(2, 3), random(3)), dl.ShapeError, r"bias must have shape \(2,\)"),
        (
            lambda: F.linear(random(4, 3), random(2, 3, dtype="float64")),
            dl.DTypeError,
            r"x is float32, weight float64; convert with \.astype",
        ),
        (
            lambda: F.linear(random(4, 3), random(2, 3), random(2, dtype="float64")),
            dl.DTypeError,
            "weight float32, bias float64",
        ),
    ],
)
def test_linear_errors(
    backend: dl.backend.Backend, call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_stacks_do_not_depend_on_the_number_of_threads(backend: dl.backend.Backend) -> None:
    a, b = dl.randn(3, 1, 130, 70), dl.randn(2, 70, 90)
    before = dl.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            dl.set_num_threads(threads)
            results.append((a @ b).numpy())
    finally:
        dl.set_num_threads(before)
    assert results[0].shape == (3, 2, 130, 90)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_types_are_promoted(backend: dl.backend.Backend) -> None:
    single, double, whole = dl.ones((2, 3)), dl.ones((3, 2), "float64"), dl.ones((3, 2), "int64")
    assert (single @ double).dtype == np.float64
    assert (whole @ whole.T).dtype == np.int64
    np.testing.assert_array_equal((single @ double).numpy(), np.full((2, 2), 3.0))
