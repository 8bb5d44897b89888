"""Tensor as a value: how it is made, what it shares, how it compares, converts, prints and refuses."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl

# ---- making one ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        ([1.5, 2], "float32"),
        ([[1, 2], [3, 4]], "int64"),
        ([True, False], "bool"),
        ([], "float32"),
        (np.array([1.5]), "float64"),
        (np.array([1.5], dtype=np.float16), "float16"),
        (np.array([1], dtype=np.uint8), "uint8"),
    ],
    ids=str,
)
@pytest.mark.parametrize("make", [dl.tensor, dl.asarray, dl.Tensor])
def test_dtypes(backend: dl.backend.Backend, make: Callable[..., dl.Tensor], data: Any, dtype: str) -> None:
    x = make(data)
    assert x.dtype == dtype
    np.testing.assert_array_equal(x.numpy(), np.asarray(data))
    assert dl.tensor(data, "float64").dtype == "float64"


def test_tensor_copies_and_asarray_shares(backend: dl.backend.Backend) -> None:
    array = backend.asarray(np.zeros(3, np.float32))
    copied, shared, wrapped = dl.tensor(array), dl.asarray(array), dl.Tensor(array)
    array[...] = 1
    assert not copied.numpy().any()
    assert shared.numpy().all()
    assert wrapped.numpy().all()
    assert dl.asarray(shared) is shared
    assert dl.asarray(shared, "float64").dtype == "float64"
    assert dl.tensor(shared).data is not shared.data


@pytest.mark.parametrize("shape", [(), 3, (3,), [2, 3], (0, 2)], ids=str)
def test_filled(backend: dl.backend.Backend, shape: Any) -> None:
    expected = np.zeros(shape, np.float32)
    for tensor, value in ((dl.zeros(shape), 0), (dl.ones(shape), 1), (dl.full(shape, 2.5), 2.5)):
        assert tensor.dtype == "float32"
        assert tensor.backend is backend
        np.testing.assert_array_equal(tensor.numpy(), expected + value)
    assert dl.full(shape, 2, "int64", requires_grad=False).dtype == "int64"
    assert dl.ones(shape, requires_grad=True).requires_grad


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((4,), [0, 1, 2, 3]), ((1, 4), [1, 2, 3]), ((4, 0, -2), [4, 2]), ((0, 1, 0.25), [0, 0.25, 0.5, 0.75])],
    ids=str,
)
def test_arange(backend: dl.backend.Backend, arguments: tuple[float, ...], expected: list[float]) -> None:
    x = dl.arange(*arguments)
    assert x.numpy().tolist() == expected
    assert x.dtype == ("float32" if 0.25 in arguments else "int64")
    assert dl.arange(*arguments, dtype="float64").dtype == "float64"


def test_random_tensors_come_from_the_default_generator(backend: dl.backend.Backend) -> None:
    first = dl.randn(2, 3), dl.rand(2, 3, dtype="float64", requires_grad=True)
    dl.backend.seed(0)
    second = dl.randn(2, 3), dl.rand(2, 3, dtype="float64")
    for a, b in zip(first, second, strict=True):
        assert a.shape == (2, 3)
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert first[1].dtype == "float64"
    assert dl.randn().shape == ()


@pytest.mark.parametrize("data", ["text", [[1], [1, 2]], {"a": 1}, 1j, object()], ids=lambda data: type(data).__name__)
def test_what_is_no_tensor(backend: dl.backend.Backend, data: Any) -> None:
    for dtype in (None, "float32"):
        with pytest.raises(dl.DTypeError, match=r"expected real numbers .* got "):
            dl.tensor(data, dtype)


# ---- what it is ----------------------------------------------------------------------------------------------------


def test_attributes(backend: dl.backend.Backend) -> None:
    x = dl.zeros((2, 3))
    assert (x.shape, x.ndim, x.size, len(x), x.dtype, x.backend) == ((2, 3), 2, 6, 2, "float32", backend)
    assert (x.grad, x.grad_fn, x.requires_grad, x.is_leaf) == (None, None, False, True)


def test_python_numbers(backend: dl.backend.Backend) -> None:
    x = dl.tensor([[2.5]])
    assert (x.item(), float(x), int(x), bool(x)) == (2.5, 2.5, 2, True)
    assert isinstance(x.item(), float)
    with pytest.raises(dl.ShapeError, match=r"item: expected a tensor of one element, got shape \(2,\)"):
        dl.zeros(2).item()


def test_numpy_is_a_copy(backend: dl.backend.Backend) -> None:
    x = dl.zeros(2)
    x.numpy()[...] = 1
    assert not x.numpy().any()
    assert isinstance(dl.backend.to_numpy(x), np.ndarray)


def test_repr(backend: dl.backend.Backend) -> None:
    x = dl.tensor([1.0, 2.0], requires_grad=True)
    where = "" if backend.is_host else f", backend={backend.name}"
    assert repr(x) == f"tensor([1., 2.], shape=(2,), dtype=float32{where}, requires_grad=True)"
    assert repr(x * 2) == f"tensor([2., 4.], shape=(2,), dtype=float32{where}, grad_fn=Multiply)"
    assert repr(dl.tensor([[1], [2]])) == f"tensor([[1],\n        [2]], shape=(2, 1), dtype=int64{where})"


# ---- comparing ------------------------------------------------------------------------------------------------------

COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("compare", COMPARISONS, ids=lambda function: function.__name__)
def test_comparisons_are_booleans_without_gradient(backend: dl.backend.Backend, compare: Callable[..., Any]) -> None:
    x = dl.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for other in (2, np.float64(2), dl.full(3, 2.0), backend.asarray(np.full(3, 2.0, np.float32))):
        result = compare(x, other)
        assert result.dtype == bool
        assert not result.requires_grad
        np.testing.assert_array_equal(result.numpy(), compare(x.numpy(), 2))
        np.testing.assert_array_equal(compare(other, x).numpy(), compare(2, x.numpy()))


def test_comparisons_are_as_weak_with_numbers_as_arithmetic(backend: dl.backend.Backend) -> None:
    x = dl.tensor([0.1])
    assert bool(x == 0.1)
    assert bool(x == np.float64(0.1))


def test_comparing_shapes_that_do_not_broadcast(backend: dl.backend.Backend) -> None:
    with pytest.raises(dl.ShapeError, match=r"less: shapes \(2,\) and \(3,\) do not broadcast"):
        operator.lt(dl.zeros(2), dl.zeros(3))


def test_tensors_are_keys_by_identity(backend: dl.backend.Backend) -> None:
    x, y = dl.zeros(2), dl.zeros(2)
    assert {x: 1, y: 2}[x] == 1


# ---- changing ------------------------------------------------------------------------------------------------------


def test_copy_overwrites_values_only(backend: dl.backend.Backend) -> None:
    x = dl.zeros(2, requires_grad=True)
    array = x.data
    for values in (dl.tensor([1.0, 2.0], "float64"), np.array([1, 2]), [1.0, 2.0]):
        assert x.copy_(values) is x
        assert x.data is array
        assert (x.dtype, x.numpy().tolist()) == ("float32", [1.0, 2.0])
    with pytest.raises(dl.ShapeError, match=r"copy_: values have shape \(3,\) but the tensor has \(2,\)"):
        x.copy_(np.zeros(3))
    with pytest.raises(dl.GraphError, match="only leaves can be overwritten"):
        (x * 2).copy_(x)


def test_astype(backend: dl.backend.Backend) -> None:
    x = dl.tensor([1.5, 2.5], requires_grad=True)
    assert x.astype("float32") is x
    wide = x.astype("float64")
    (wide * wide).sum().backward()
    assert (wide.dtype, x.grad.dtype, x.grad.numpy().tolist()) == ("float64", "float32", [3.0, 5.0])
    whole = x.astype("int64")
    assert (whole.numpy().tolist(), whole.requires_grad) == ([1, 2], False)


def test_detached_twins_share_memory(backend: dl.backend.Backend) -> None:
    x = dl.zeros(2, requires_grad=True)
    twin = (x * 2).detach()
    assert (twin.is_leaf, twin.requires_grad) == (True, False)
    x.detach().copy_([1.0, 1.0])
    assert x.numpy().all()


def test_to_the_same_backend_is_the_tensor_itself(backend: dl.backend.Backend) -> None:
    x = dl.zeros(2)
    assert x.to(backend) is x
    assert x.to(backend.name) is x


def test_to_another_backend_and_back(backend: dl.backend.Backend) -> None:
    x = dl.tensor([1.0, 2.0], requires_grad=True)
    on_host = (x * x).to("numpy")
    assert on_host.backend.name == "numpy"
    back = on_host.to(backend) * 3
    back.sum().backward()
    assert back.backend is backend
    assert x.grad.numpy().tolist() == [6.0, 12.0]
