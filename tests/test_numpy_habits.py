"""What hands that know NumPy and PyTorch type: operators, loops, numbers, text, copies and pickles of tensors."""

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import data, models, nn, optim
from dlcore import functional as F

X = np.array([[1.5, -2.0, 3.0], [0.5, 4.0, -1.0]], np.float32)

# ---- operators, both ways round -------------------------------------------------------------------------------------

OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
]
POSITIVE = np.abs(X) + np.float32(0.25)

every_operator = pytest.mark.parametrize("operate", OPERATORS, ids=lambda function: function.__name__)


@every_operator
@pytest.mark.parametrize("number", [2, 2.5, True, np.float32(2.5), np.float64(2.5), np.int64(2)], ids=repr)
def test_operators_with_numbers(backend: dl.backend.Backend, operate: Callable[..., Any], number: Any) -> None:
    x, weak = dl.tensor(POSITIVE), float(number)
    for found, expected in (
        (operate(x, number), operate(POSITIVE, weak)),
        (operate(number, x), operate(weak, POSITIVE)),
    ):
        assert isinstance(found, dl.Tensor)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@every_operator
def test_operators_with_arrays(backend: dl.backend.Backend, operate: Callable[..., Any]) -> None:
    row = np.array([2.0, 0.75, 1.5], np.float32)
    x, array = dl.tensor(POSITIVE), backend.asarray(row)
    for found, expected in (
        (operate(x, array), operate(POSITIVE, row)),
        (operate(array, x), operate(row, POSITIVE)),
        (operate(x, dl.tensor(row)), operate(POSITIVE, row)),
    ):
        assert isinstance(found, dl.Tensor)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_matrix_products_with_arrays(backend: dl.backend.Backend) -> None:
    array, x = backend.asarray(X), dl.tensor(X.T.copy(), requires_grad=True)
    for product, expected in ((array @ x, X @ X.T), (x @ array, X.T @ X)):
        assert isinstance(product, dl.Tensor)
        np.testing.assert_allclose(product.numpy(), expected, rtol=1e-5)
    (array @ x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.repeat(X.sum(0)[:, None], 2, axis=1))


def test_operators_of_one(backend: dl.backend.Backend) -> None:
    x = dl.tensor(X)
    for function in (operator.neg, operator.pos, operator.abs, round):
        np.testing.assert_array_equal(function(x).numpy(), np.round(X) if function is round else function(X))
    np.testing.assert_allclose(round(dl.tensor([1.26, -0.34]), 1).numpy(), np.float32([1.3, -0.3]))
    assert round(dl.tensor([3, 4])).dtype == np.int64
    for found, expected in zip(divmod(x, 0.75) + divmod(7, x), divmod(X, 0.75) + divmod(7, X), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_masks(backend: dl.backend.Backend) -> None:
    x = dl.tensor(X)
    inside, outside = (x > 0) & (x < 2), (x <= 0) | (x >= 2)
    np.testing.assert_array_equal((~inside).numpy(), outside.numpy())
    np.testing.assert_array_equal((inside ^ True).numpy(), outside.numpy())
    assert (True & inside).numpy().tolist() == inside.numpy().tolist()
    assert x[inside].numpy().tolist() == [1.5, 0.5]
    assert (inside.any(), inside.all()) == (True, False)
    assert inside.any(axis=1).tolist() == [True, True]
    assert (inside | outside).all(axis=(0, 1), keepdims=True).shape == (1, 1)
    with pytest.raises(dl.DTypeError, match="bitwise_and: this is not computed with elements of float32 and bool"):
        x & inside


@pytest.mark.parametrize("operate", [operator.iadd, operator.imul, operator.isub], ids=lambda f: f.__name__)
def test_augmented_assignment_makes_a_new_tensor(backend: dl.backend.Backend, operate: Callable[..., Any]) -> None:
    x = dl.tensor(X, requires_grad=True)
    assert operate(x, 2).grad_fn is not None
    np.testing.assert_array_equal(x.numpy(), X)


@pytest.mark.parametrize("other", [None, "text", object()], ids=lambda other: type(other).__name__)
def test_what_is_no_number(backend: dl.backend.Backend, other: Any) -> None:
    x = dl.tensor(X)
    assert (x == other) is False
    assert (x != other) is True
    assert other not in x
    with pytest.raises(TypeError):
        _ = x < other
    with pytest.raises(dl.DTypeError):
        _ = x + other
    with pytest.raises(dl.DTypeError):
        _ = other * x


def test_equality_with_lists(backend: dl.backend.Backend) -> None:
    x = dl.tensor([1.0, 0.1])
    assert (x == [1, 2]).tolist() == [True, False]
    assert (x == (1.0, 0.1)).tolist() == [True, True]
    assert (x != [1.0, 0.2]).tolist() == [False, True]
    assert ([1.0, 0.1] == x).tolist() == [True, True]  # noqa: SIM300 (the other way round)
    assert (x == [["a"]]) is False
    assert (x == [[1.0], [1.0, 2.0]]) is False
    assert (x == 1j) is False
    assert (x != 1j) is True
    with pytest.raises(dl.ShapeError, match="do not broadcast"):
        _ = x == [1.0, 2.0, 3.0]


def test_lists_are_not_taken_for_arrays(backend: dl.backend.Backend) -> None:
    for operate in (operator.lt, operator.ge, operator.add):
        with pytest.raises(dl.DTypeError, match="got list"):
            operate(dl.tensor([1.0, 2.0]), [1.0, 2.0])


def test_operators_say_what_does_not_fit(backend: dl.backend.Backend) -> None:
    mask, whole = dl.tensor([True, False]), dl.tensor([1, 2])
    with pytest.raises(dl.DTypeError, match="subtract: this is not computed with elements of bool and bool"):
        _ = mask - mask
    with pytest.raises(dl.DTypeError, match="negative: this is not computed with elements of bool"):
        _ = -mask
    if backend.is_host:  # a device gives 0
        with pytest.raises(dl.ArgumentError, match=r"power: Integers to negative integer powers"):
            _ = whole**-1
    assert (whole**0.5).dtype == np.float32


def test_functions_of_numpy_do_not_swallow_gradients(backend: dl.backend.Backend) -> None:
    """NumPy's own error names the protocol; methods and operators are what to write."""
    x = dl.tensor(X, requires_grad=True)
    for call in (lambda: np.add(x, 1), lambda: np.exp(x), lambda: np.multiply(X, x)):
        with pytest.raises(TypeError, match=r"does not support ufuncs \(__array_ufunc__=None\)"):
            call()
    assert (x + 1).grad_fn is not None


def test_gradients_pass_through_every_way_to_write_it(backend: dl.backend.Backend) -> None:
    x = dl.tensor([2.0], requires_grad=True)
    array = backend.asarray(np.array([3.0], np.float32))
    y = array * x + np.float32(2) * x - 1 / x + 2**x + abs(-x) + x % 1.5 + x // 3
    y.sum().backward()
    assert x.grad.item() == pytest.approx(3 + 2 + 0.25 + 4 * np.log(2) + 1 + 1)


# ---- a sequence -----------------------------------------------------------------------------------------------------


def test_rows(backend: dl.backend.Backend) -> None:
    x = dl.tensor(X, requires_grad=True)
    first, second = x
    assert (len(x), len(list(x)), first.shape) == (2, 2, (3,))
    np.testing.assert_array_equal([row.numpy() for row in reversed(x)], X[::-1])
    (first * 2 + sum(x)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[3, 3, 3], [1, 1, 1]])
    assert (2 * second).grad_fn is not None
    assert [row.item() for row in dl.tensor([1.0, 2.0])] == [1.0, 2.0]


def test_a_number_has_no_rows(backend: dl.backend.Backend) -> None:
    x = dl.tensor(1.0)
    for call in (len, iter, list):
        with pytest.raises(dl.UnsizedError, match=r"len: a tensor of shape \(\) has no length") as caught:
            call(x)
        assert isinstance(caught.value, TypeError)  # as Python's own


def test_membership(backend: dl.backend.Backend) -> None:
    x = dl.tensor(X)
    assert 4 in x
    assert 5.0 not in x
    assert dl.tensor([0.5, 4.0, -1.0]) in x
    assert max(dl.tensor([1.0, 3.0, 2.0])).item() == 3.0


@pytest.mark.parametrize("index", [2, (0, 3), -3], ids=str)
def test_an_index_outside_ends_a_loop(backend: dl.backend.Backend, index: Any) -> None:
    if not backend.is_host:
        index = index if isinstance(index, tuple) else (index,)
    with pytest.raises(dl.IndexingError, match=r"indexing: .*out of bounds.*shape \(2, 3\)") as caught:
        dl.tensor(X)[index]
    assert isinstance(caught.value, IndexError)


def test_tensors_as_indices(backend: dl.backend.Backend) -> None:
    x, position = dl.tensor(X), dl.tensor(1)
    np.testing.assert_array_equal(x[position].numpy(), X[1])
    np.testing.assert_array_equal(x[:, dl.tensor([2, 0])].numpy(), X[:, [2, 0]])
    assert (["a", "b"][position], list(range(position)), operator.index(position)) == ("b", [0], 1)
    for wrong in (dl.tensor(1.0), dl.tensor(True)):
        with pytest.raises(dl.DTypeError, match="an index must be an integer, but the tensor is"):
            operator.index(wrong)
    with pytest.raises(dl.ShapeError, match="index: expected a tensor of one element"):
        operator.index(dl.tensor([1, 2]))


def test_elements_are_views(backend: dl.backend.Backend) -> None:
    x = dl.zeros(3)
    x[1].copy_(2.0)
    x[2:][0].copy_(3.0)
    assert x.tolist() == [0.0, 2.0, 3.0]


def test_assignment(backend: dl.backend.Backend) -> None:
    x = dl.tensor(X)
    x[0] = 7
    x[1, 1:] = dl.tensor([8.0, 9.0])
    x[x == 0.5] = backend.asarray(np.array([1.0], np.float32))
    assert x.tolist() == [[7.0, 7.0, 7.0], [1.0, 8.0, 9.0]]
    with pytest.raises(dl.ShapeError, match=r"shape \(2,\) do not fit a place of shape \(3,\)"):
        x[0] = np.zeros(2, np.float32) if backend.is_host else dl.zeros(2)
    with pytest.raises(dl.IndexingError, match="out of bounds"):
        x[0, 5] = 1


def test_assignment_says_what_is_wrong(backend: dl.backend.Backend) -> None:
    x, whole = dl.tensor(X), dl.zeros(2, "int32")
    for wrong in (None, "text", object(), 1j, [[1.0], [1.0, 2.0]]):
        with pytest.raises(dl.DTypeError, match="values must be a number, a Tensor or an array of numbers"):
            x[0] = wrong
    with pytest.raises(dl.ArgumentError, match="slice step cannot be zero"):
        x[::0] = 1.0
    if backend.is_host:
        with pytest.raises(dl.ArgumentError, match="NaN to integer"):
            whole[0] = float("nan")
        with pytest.raises(dl.ArgumentError, match="out of bounds for int32"):
            whole[0] = 2**40
        frozen = dl.asarray(np.broadcast_to(np.float32(1), (3,)))
        with pytest.raises(dl.GraphError, match="memory is read-only"):
            frozen[0] = 2.0
    x[0], whole[:] = [1, 2, 3], (4, 5)
    assert (x[0].tolist(), whole.tolist()) == ([1.0, 2.0, 3.0], [4, 5])


def test_values_with_a_gradient_are_not_written_in_place(backend: dl.backend.Backend) -> None:
    x, w = dl.zeros(2), dl.ones(2, requires_grad=True)
    for value in (w, w * 2):
        with pytest.raises(dl.GraphError, match=r"dl.stack or dl.where, or write values.detach\(\)"):
            x[:] = value
        with pytest.raises(dl.GraphError, match="copy_: the values require a gradient"):
            x.copy_(value)
    with dl.no_grad():
        x[:] = w
        x.copy_(w * 2)
    x[0] = w.detach()[0]
    assert x.tolist() == [1.0, 2.0]


def test_places_and_labels_may_change_before_backward(backend: dl.backend.Backend) -> None:
    """A batch's memory may be filled again: backward has its own copy of integers."""
    places, labels = dl.tensor([0, 0, 2]), dl.tensor([1, 0])
    x, w = dl.tensor(X, requires_grad=True), dl.tensor(X[0], requires_grad=True)
    chosen, loss = w[places].sum() + dl.take(w, places, 0).sum(), F.cross_entropy(x, labels)
    places[:], labels[:] = 1, 2
    chosen.backward()
    loss.backward()
    assert w.grad.tolist() == [4.0, 0.0, 2.0]
    assert (x.grad.numpy() < 0).tolist() == [[False, True, False], [True, False, False]]


def test_copies_of_places_have_a_version_of_their_own(backend: dl.backend.Backend) -> None:
    x, w = dl.tensor([1.0, 2.0, 3.0]), dl.ones(2, requires_grad=True)
    for index in ([0, 2], dl.tensor([0, 2]), dl.tensor([True, False, True])):
        product = (w * x[index]).sum()
        x[0] = 5.0
        product.backward()  # x[index] is a copy, and as it was
    product = (w * x[:2]).sum()
    x[0] = 6.0
    with pytest.raises(dl.GraphError, match="modified in place"):
        product.backward()


def test_rounding_to_tens(backend: dl.backend.Backend) -> None:
    whole, real = np.array([14, 15, 25, -26]), np.float32([14.0, 15.0, 250.0, -26.5])
    for values, decimals in (
        *((whole, -1), (whole, 2), (whole, -30), (whole.astype(np.int8), -1), (whole.astype(np.int8), -3)),
        *((real, -1), (real, -2)),
    ):
        found = dl.tensor(values).round(decimals)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found.numpy(), np.round(values, decimals))


def test_arrays_of_one_number_are_numbers(backend: dl.backend.Backend) -> None:
    """On the host; one on a GPU would be waited for, unseen."""
    assert dl.arange(np.array(3)).tolist() == [0, 1, 2]
    assert dl.full(np.array([2]), np.array(1.5)).tolist() == [1.5, 1.5]
    assert dl.zeros(range(1, 3)).shape == dl.ones(6).reshape(np.array([1, 2, -1]))[..., 0].shape == (1, 2)
    assert dl.tensor(X).sum(axis=np.array(1)).shape == (2,)
    if backend.is_host:
        assert dl.full((n for n in (1, 2)), dl.tensor(2.0)).tolist() == [[2.0, 2.0]]
        assert dl.arange(dl.tensor(3)).tolist() == [0, 1, 2]
    for wrong in (np.array(True), np.array("2"), np.array([2])):
        with pytest.raises(dl.ArgumentError, match="axis must be an int"):
            dl.tensor(X).sum(axis=wrong)
    for wrong in (float("nan"), float("inf"), 2**40, 1e30):
        with pytest.raises(dl.ArgumentError, match="is no value of type int32"):
            dl.full((2,), wrong, "int32")


def test_clip_between_arrays(backend: dl.backend.Backend) -> None:
    large = 2**53 + 1
    assert dl.tensor([0, 2**60]).clip(1, large).tolist() == [1, large]
    assert dl.tensor([0, 3]).clip(0.5).tolist() == [0.5, 3.0]
    x = dl.tensor([1.0, 5.0, 9.0], requires_grad=True)
    low, high = dl.tensor([2.0, 2.0, 2.0], requires_grad=True), dl.tensor(8.0, requires_grad=True)
    y = x.clip(low, high)
    y.sum().backward()
    assert y.tolist() == [2.0, 5.0, 8.0]
    assert (x.grad.tolist(), low.grad.tolist(), high.grad.item()) == ([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], 1.0)
    assert x.detach().clip(high=backend.asarray([0.0, 1.0, 2.0], "float32")).tolist() == [0.0, 1.0, 2.0]


def test_assignment_is_noticed_by_backward(backend: dl.backend.Backend) -> None:
    x = dl.tensor(X, requires_grad=True)
    y = (x * x).sum()
    x[0, 0] = 5.0
    with pytest.raises(dl.GraphError, match="modified in place"):
        y.backward()
    with pytest.raises(dl.GraphError, match="only leaves can be overwritten"):
        (x * 2)[0] = 1.0


# ---- numbers and text -----------------------------------------------------------------------------------------------


def test_numbers_of_one_element(backend: dl.backend.Backend) -> None:
    x = dl.tensor([[2.5]], requires_grad=True)
    assert (float(x), int(x), bool(x), complex(x), x.item(), x.tolist()) == (2.5, 2, True, 2.5, 2.5, [[2.5]])
    assert isinstance(dl.tensor(3).item(), int)
    assert isinstance(dl.tensor(True).item(), bool)
    assert dl.tensor(1.5).tolist() == 1.5
    assert dl.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("shape", [(2,), (0,), (2, 1)], ids=str)
def test_numbers_of_other_shapes(backend: dl.backend.Backend, shape: tuple[int, ...]) -> None:
    x = dl.zeros(shape)
    with pytest.raises(dl.ShapeError, match=r"bool: a tensor of shape .* is not one truth value; use .any\(\) or .all"):
        bool(x)
    for call in (float, int, complex, dl.Tensor.item):
        with pytest.raises(dl.ShapeError, match=r"(float|int|item): expected a tensor of one element, got shape"):
            call(x)


def test_text(backend: dl.backend.Backend) -> None:
    loss = (dl.tensor([2.0, 0.46912], requires_grad=True)).sum()
    assert f"{loss:.3f}|{loss:>8.2f}|{dl.tensor([3]):04d}|{dl.tensor(0.5):.0%}" == "2.469|    2.47|0003|50%"
    assert f"{dl.tensor(1.5)}" == "1.5"  # as NumPy and PyTorch have it
    x = dl.tensor([1.0, 2.0])
    assert f"{x}" == str(x) == repr(x)
    with pytest.raises(dl.ShapeError, match=r"format: '.2f' is for tensors of one element, got shape \(2,\)"):
        f"{x:.2f}"


def test_large_tensors_are_abbreviated(backend: dl.backend.Backend) -> None:
    place = "" if backend.is_host else f", backend={backend.name}"
    expected = np.array2string(np.arange(3000.0), separator=", ", prefix="tensor(", threshold=100)
    assert repr(dl.arange(3000.0)) == f"tensor({expected}, shape=(3000,), dtype=float32{place})"
    assert repr(dl.zeros((1000, 1000))).count("\n") == 6
    assert repr(dl.zeros((2, 3, 500))).count("...") == 6
    assert "..." not in repr(dl.zeros((10, 10)))
    assert "shape=(0, 1000)" in repr(dl.zeros((0, 1000)))


# ---- NumPy's arrays -------------------------------------------------------------------------------------------------


def test_asarray(backend: dl.backend.Backend) -> None:
    """A copy of the values, of a tensor that requires a gradient too; but never from a device."""
    x = dl.tensor(X, requires_grad=True)
    if not backend.is_host:
        for call in (np.asarray, np.array, lambda x: np.allclose(x, X)):
            with pytest.raises(dl.BackendMismatchError, match=r"np.asarray: the tensor is on cupy.* x.numpy\(\) makes"):
                call(x)
        return
    array = np.asarray(x)
    np.testing.assert_array_equal(array, X)
    array[...] = 0
    np.testing.assert_array_equal(x.numpy(), X)
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert np.shares_memory(np.asarray(x, copy=False), x.data)
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype=np.float64, copy=False)
    assert np.stack([dl.ones(2), dl.zeros(2)]).tolist() == [[1, 1], [0, 0]]


# ---- copies and pickles ---------------------------------------------------------------------------------------------


def channels_last(backend: dl.backend.Backend) -> dl.Tensor:
    x = dl.tensor(np.arange(120, dtype=np.float32).reshape(2, 4, 5, 3))
    return x.permute_dims((0, 3, 1, 2)).detach()


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_twins_are_independent(backend: dl.backend.Backend, way: Callable[[Any], Any]) -> None:
    x = nn.Parameter(backend.asarray(X.copy()))
    x.grad = dl.ones((2, 3))
    twin = way(x)
    assert (type(twin), twin.requires_grad, twin.backend) == (nn.Parameter, True, backend)
    np.testing.assert_array_equal(twin.grad.numpy(), 1)
    twin[...] = 0
    twin.grad[...] = 0
    np.testing.assert_array_equal(x.numpy(), X)
    np.testing.assert_array_equal(x.grad.numpy(), 1)
    images = channels_last(backend)
    assert way(images).data.strides == images.data.strides
    for shape in ((), (0, 2)):
        assert way(dl.zeros(shape)).shape == shape


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_what_was_computed_is_not_copied_with_its_graph(backend: dl.backend.Backend, way: Callable[[Any], Any]) -> None:
    y = dl.tensor(X, requires_grad=True) * 2
    with pytest.raises(dl.GraphError, match=r"this tensor was computed \(grad_fn=Multiply\).*take x.detach\(\)"):
        way(y)
    np.testing.assert_array_equal(way(y.detach()).numpy(), 2 * X)


def test_a_shallow_copy_shares_memory_and_graph(backend: dl.backend.Backend) -> None:
    x = dl.tensor(X, requires_grad=True)
    twin = copy.copy(x * 2)
    twin.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2)
    leaf = copy.copy(x)
    assert leaf is not x
    leaf[0] = 0
    assert not x[0].numpy().any()


def test_a_pickle_returns_to_its_backend(backend: dl.backend.Backend) -> None:
    pickled = pickle.dumps(dl.tensor(X))
    assert b"cupy.ndarray" not in pickled  # values go through host memory
    with dl.backend.using("numpy"):
        assert pickle.loads(pickled).backend is backend


class Note(dl.Tensor):
    """A user's own kind of tensor, with an attribute more."""

    def __init__(self, values: Any, text: str) -> None:
        super().__init__(values)
        self.text = [text]


def test_attributes_of_ones_own_go_along(backend: dl.backend.Backend) -> None:
    note = Note(backend.asarray(X), "scaled")
    for twin in (copy.copy(note), copy.deepcopy(note), pickle.loads(pickle.dumps(note))):
        assert (type(twin), twin.text) == (Note, ["scaled"])
    assert copy.copy(note).text is note.text
    assert copy.deepcopy(note).text is not note.text


@pytest.mark.parametrize("way", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_networks_and_optimizers(backend: dl.backend.Backend, way: Callable[[Any], Any]) -> None:
    """Together they stay together, and train on as the originals do."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    optimizer = optim.Adam(network.parameters(), lr=0.01)
    schedule = optim.StepLR(optimizer, step_size=2)
    x, labels = dl.randn(5, 1, 8, 8), backend.asarray(np.array([0, 1, 2, 1, 0]))

    def step(network: nn.Module, optimizer: optim.Optimizer, schedule: Any) -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss)

    step(network, optimizer, schedule)
    twins = way((network, optimizer, schedule))
    assert twins[1].parameters[0] is twins[0].parameters()[0]
    assert twins[2].optimizer is twins[1]
    for _ in range(2):
        assert step(network, optimizer, schedule) == step(*twins)
    assert twins[1].lr == optimizer.lr
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(dl.backend.to_numpy(array), dl.backend.to_numpy(twins[0].state_dict()[name]))


def test_models_and_shared_parameters(backend: dl.backend.Backend) -> None:
    first = nn.Linear(3, 3)
    shared = nn.Sequential(first, nn.ReLU(), first)
    twin = pickle.loads(pickle.dumps(shared))
    assert len(twin.parameters()) == 2
    network = models.SimpleConvNet((1, 8, 8), num_classes=3).eval()
    again = pickle.loads(pickle.dumps(network))
    x = dl.randn(2, 1, 8, 8)
    assert not again.training
    with dl.no_grad():
        np.testing.assert_array_equal(again(x).numpy(), network(x).numpy())


def test_datasets() -> None:
    x, y = np.arange(12, dtype=np.uint8).reshape(6, 2), np.array([0, 1, 2, 0, 1, 2])
    dataset = data.ArrayDataset(x, y, classes=["a", "b", "c"])
    for twin in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert (len(twin), twin.classes) == (6, ["a", "b", "c"])
        np.testing.assert_array_equal(twin[2:4][0], dataset[2:4][0])
    loader = pickle.loads(pickle.dumps(data.DataLoader(dataset, batch_size=2)))
    assert [len(labels) for _, labels in loader] == [2, 2, 2]
