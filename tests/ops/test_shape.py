"""Reshaping, indexing, joining: what is a view, what is refused, and the odd shapes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl

INDICES = [
    0,
    -1,
    np.int64(1),
    slice(None, None, -1),
    (..., 1),
    (None, 0),
    (slice(1, 3), [0, 2]),
    [0, 0, 2],
    ((0, 0, 2),),
    np.array([[0, 1], [1, 1]]),
    (np.array([0, 0]), np.array([1, 1])),
    np.array([True, False, True]),
    True,
    slice(5, 9),
    [],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_every_index_of_numpy(backend: dl.backend.Backend, index: Any) -> None:
    values = np.arange(12.0).reshape(3, 4)
    x = dl.tensor(values, requires_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y.numpy(), values[index])
    (y * y).sum().backward()
    expected = np.zeros((3, 4))
    np.add.at(expected, index, 2 * values[index])
    np.testing.assert_array_equal(x.grad.numpy(), expected)


def test_tensors_are_indices(backend: dl.backend.Backend) -> None:
    x = dl.tensor([3.0, 1.0, 2.0])
    assert x[dl.tensor([2, 2, 0])].numpy().tolist() == [2.0, 2.0, 3.0]
    assert x[x > 1.5].numpy().tolist() == [3.0, 2.0]
    assert x[x.argmax()].item() == 3.0


def test_iteration_gives_rows(backend: dl.backend.Backend) -> None:
    x = dl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    (first * second).sum().backward()
    assert x.grad.numpy().tolist() == [[3.0, 4.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("view", "shape"),
    [
        (lambda x: x.reshape(3, 2), (3, 2)),
        (lambda x: x.reshape((-1,)), (6,)),
        (lambda x: x.flatten(), (6,)),
        (lambda x: x.flatten(-1), (2, 3)),
        (lambda x: x.T, (3, 2)),
        (lambda x: x.permute_dims([-1, 0]), (3, 2)),
        (lambda x: x[1:, ::2], (1, 2)),
        (lambda x: x.broadcast_to((4, 2, 3)), (4, 2, 3)),
    ],
)
def test_views_share_memory(
    backend: dl.backend.Backend, view: Callable[[dl.Tensor], dl.Tensor], shape: tuple[int, ...]
) -> None:
    x = dl.zeros((2, 3))
    y = view(x)
    assert y.shape == shape
    x.copy_(np.ones((2, 3)))
    assert y.numpy().all()


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda x: x.reshape(4), r"reshape: an array of shape \(2, 3\) has 6 elements and cannot become \(4,\)"),
        (lambda x: x.reshape(-1, 4), r"reshape: .* cannot become \(-1, 4\)"),
        (lambda x: x.reshape(-1, -1), r"reshape: .* cannot become"),
        (lambda x: x.flatten(2), "flatten: axis 2 does not fit an array of 2 dimensions"),
        (lambda x: x.permute_dims((0,)), r"permute_dims: axes \(0,\) are no permutation of the 2 axes"),
        (lambda x: x.permute_dims((0, 0)), "permute_dims: axes"),
        (lambda x: x.permute_dims((0, 3)), "permute_dims: axis 3 does not fit"),
        (lambda x: x[0].mT, r"mT: expected at least 2 axes, got shape \(3,\)"),
        (lambda x: x.broadcast_to((2, 2)), r"broadcast_to: shape \(2, 3\) does not broadcast to \(2, 2\)"),
        (lambda x: x[2], r"indexing: index 2 is out of bounds for axis 0 with size 2 \(shape \(2, 3\)\)"),
        (lambda x: x[0, 0, 0], "indexing: too many indices"),
        (lambda x: dl.concat([x, x[0]]), r"concat: array 1 has shape \(3,\) and the first \(2, 3\)"),
        (lambda x: dl.concat([x, x.T]), "they may differ only along axis 0"),
        (lambda x: dl.concat([x, x], axis=2), "concat: axis 2 does not fit an array of 2 dimensions"),
        (lambda x: dl.concat([x[0, 0], x[0, 0]]), "concat: axis 0 does not fit an array of 0 dimensions"),
        (lambda x: dl.stack([x, x], axis=3), "stack: axis 3 does not fit"),
        (lambda x: dl.stack([x, x.T]), "concat: array 1"),
    ],
)
def test_errors(backend: dl.backend.Backend, operation: Callable[[dl.Tensor], Any], message: str) -> None:
    with pytest.raises(dl.ShapeError, match=message):
        operation(dl.zeros((2, 3)))


@pytest.mark.parametrize("join", [dl.concat, dl.stack])
def test_joining_nothing(backend: dl.backend.Backend, join: Callable[..., dl.Tensor]) -> None:
    with pytest.raises(dl.ArgumentError, match=f"{join.__name__}: expected at least one tensor, got none"):
        join([])


def test_joining_keeps_each_inputs_dtype_in_its_gradient(backend: dl.backend.Backend) -> None:
    a, b = dl.ones(2, requires_grad=True), dl.ones(3, "float64", requires_grad=True)
    joined = dl.concat([a, b, np.zeros(0, np.float32) if backend.is_host else dl.zeros(0)])
    assert joined.dtype == "float64"
    (joined * dl.arange(5)).sum().backward()
    assert a.grad.numpy().tolist() == [0.0, 1.0]
    assert (a.grad.dtype, b.grad.dtype) == ("float32", "float64")


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 4)])
def test_empty(backend: dl.backend.Backend, shape: tuple[int, ...]) -> None:
    x = dl.zeros(shape, requires_grad=True)
    y = dl.stack([x.T.T.flatten().reshape(shape), x], axis=-1)
    assert y.shape == (*shape, 2)
    y.sum().backward()
    assert x.grad.shape == shape


def test_a_minus_one_stands_for_an_empty_length_too(backend: dl.backend.Backend) -> None:
    assert dl.zeros((0, 3)).reshape(-1, 3).shape == (0, 3)
    with pytest.raises(dl.ShapeError, match="cannot become"):
        dl.zeros((0, 3)).reshape(0, -1)
