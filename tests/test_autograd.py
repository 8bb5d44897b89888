"""What backward and grad() give: accumulation, inner tensors, derivatives of any order, errors."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

import dlcore as dl
from kernels.types import Array


def leaf(values: Any, dtype: str = "float64") -> dl.Tensor:
    return dl.tensor(values, dtype, requires_grad=True)


class Counted(dl.Function):
    """The identity, counting its backward calls."""

    calls: ClassVar[int] = 0

    def forward(self, x: Array) -> Array:
        return x + 0

    def backward(self, grad_output: dl.Tensor) -> dl.Tensor:
        type(self).calls += 1
        return grad_output


@pytest.fixture
def counted() -> type[Counted]:
    return type("Counted", (Counted,), {})


# ---- what backward leaves in the leaves ----------------------------------------------------------------------------


def test_gradients_add_up_over_uses_and_over_passes(backend: dl.backend.Backend) -> None:
    x = leaf([1.0, 2.0])
    (x * x + x).sum().backward()
    assert x.grad.numpy().tolist() == [3.0, 5.0]
    (2 * x).sum().backward()
    assert x.grad.numpy().tolist() == [5.0, 7.0]


def test_each_node_runs_once_however_often_its_output_is_used(
    backend: dl.backend.Backend, counted: type[Counted]
) -> None:
    x = leaf([1.0, 2.0])
    y = counted.apply(x)
    (y * y + y.exp() + y[0]).sum().backward()
    assert counted.calls == 1


def test_only_leaves_that_require_one_get_a_gradient(backend: dl.backend.Backend) -> None:
    x, constant = leaf([1.0]), dl.tensor([2.0], "float64")
    y = x * constant
    y.backward()
    assert (x.is_leaf, y.is_leaf) == (True, False)
    assert constant.grad is None
    assert y.grad is None


def test_the_gradient_of_a_leaf_by_itself(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)
    x.backward()
    assert x.grad.item() == 1.0
    assert dl.grad(x, x)[0].item() == 1.0


@pytest.mark.parametrize("as_tensor", [True, False])
def test_the_outputs_gradient_can_be_given(backend: dl.backend.Backend, as_tensor: bool) -> None:
    x, weights = leaf([1.0, 2.0]), dl.tensor([3.0, 4.0], "float64")
    (x * x).backward(weights if as_tensor else weights.data)
    assert x.grad.numpy().tolist() == [6.0, 16.0]
    x.grad.copy_([0.0, 0.0])
    assert weights.numpy().tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: (a + b).reshape(-1),
        lambda a, b: dl.concat([a, b]),
        lambda a, b: dl.stack([a, b]).T,
        lambda a, b: a + b.sum() + a.mean(),
        lambda a, b: dl.where(a < b, a, b),
    ],
)
def test_gradients_of_two_leaves_never_share_memory(backend: dl.backend.Backend, function: Callable[..., Any]) -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = function(a, b)
    given = dl.ones(y.shape, "float64")
    y.backward(given)
    before = b.grad.numpy()
    a.grad.copy_([7.0, 7.0])
    np.testing.assert_array_equal(b.grad.numpy(), before)
    assert (given.numpy() == 1).all()


def test_a_gradient_that_is_repeated_gets_memory_for_each_element(backend: dl.backend.Backend) -> None:
    x = leaf([1.0, 2.0])
    (2 * x.sum()).backward()
    x.grad[0].copy_(7.0)
    assert x.grad.numpy().tolist() == [7.0, 2.0]


# ---- grad() ---------------------------------------------------------------------------------------------------------


def test_grad_leaves_every_grad_alone(backend: dl.backend.Backend) -> None:
    x, w = leaf([1.0]), leaf([2.0])
    (gradient,) = dl.grad(x * w, [x])
    assert gradient.numpy().tolist() == [2.0]
    assert x.grad is None
    assert w.grad is None


def test_grad_of_several_outputs_by_several_inputs(backend: dl.backend.Backend) -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    weights = dl.tensor([1.0, 10.0], "float64")
    gx, gy, gx_again = dl.grad([(x * y).sum(), x * 2], [x, y, x], [None, weights])
    assert gx.numpy().tolist() == [5.0, 24.0]
    assert gy.numpy().tolist() == [1.0, 2.0]
    assert gx_again.numpy().tolist() == gx.numpy().tolist()


def test_grad_takes_inner_tensors_and_the_output_itself(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)
    inner = x * x
    outer = inner * inner
    assert [g.item() for g in dl.grad(outer, [x, inner, outer])] == [108.0, 18.0, 1.0]


def test_grad_does_not_go_beyond_its_inputs(backend: dl.backend.Backend, counted: type[Counted]) -> None:
    below = counted.apply(leaf([2.0, 4.0])) * 1
    beside = counted.apply(leaf([5.0, 6.0]))
    inner = counted.apply(below)
    (gradient,) = dl.grad((inner * inner * beside).sum(), [inner])
    assert gradient.numpy().tolist() == [20.0, 48.0]
    assert counted.calls == 0  # neither what is below or beside the input nor what made it


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_derivatives_of_any_order(backend: dl.backend.Backend, order: int) -> None:
    x = leaf([0.5, 1.5])
    derivative = x**4 + x.exp()
    for _ in range(order):
        (derivative,) = dl.grad(derivative.sum(), x, create_graph=True)
    factors = [0, 4, 12, 24, 24, 0][order]
    expected = factors * x.numpy() ** max(4 - order, 0) + np.exp(x.numpy())
    np.testing.assert_allclose(derivative.numpy(), expected, rtol=1e-12)


def test_backward_through_backward(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    slope, x.grad = x.grad, None
    slope.backward()
    assert x.grad.item() == 18.0


def test_gradients_that_add_up_can_be_differentiated_if_asked_for(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)
    (x * x).backward(create_graph=True)
    (x * x * x).backward(create_graph=True)
    slope, x.grad = x.grad, None
    slope.backward(retain_graph=True)
    assert x.grad.item() == 2.0 + 18.0
    x.grad = slope
    (x * x).backward()
    assert x.grad.item() == 6.0 + 27.0 + 6.0
    assert not x.grad.requires_grad


def test_without_create_graph_the_result_is_a_constant(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)
    (gradient,) = dl.grad(x * x, x)
    assert not gradient.requires_grad


def test_no_graph_is_made_in_a_pass_that_does_not_ask_for_one(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)
    with dl.no_grad():  # and one is made in a pass that does, wherever it runs
        with dl.enable_grad():
            y = x * x
        (slope,) = dl.grad(y, x, create_graph=True)
    assert dl.grad(slope, x)[0].item() == 2.0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x.detach(),
        lambda x: x.detach() * x,
        lambda x: x * x.data,
        lambda x: x.data * x,
        lambda x: x * dl.Tensor(x.data),
    ],
)
def test_one_array_as_variable_and_constant(backend: dl.backend.Backend, function: Callable[..., Any]) -> None:
    x = leaf(3.0)
    (slope,) = dl.grad(function(x), x, create_graph=True)
    assert slope.item() == 3.0
    assert not slope.requires_grad  # the other factor is a constant, although it is the same array


def test_a_fused_operation_on_one_tensor_twice(backend: dl.backend.Backend) -> None:
    class Product(dl.Fused):
        def forward(self, a: Array, b: Array) -> Array:
            self.save(a, b)
            return a * b

        def backward_arrays(self, grad_output: Array) -> tuple[Array, Array]:
            a, b = self.saved
            return grad_output * b.data, grad_output * a.data

        def composite(self, a: dl.Tensor, b: dl.Tensor) -> dl.Tensor:
            return a * b

    x = leaf([1.0, -2.0])
    assert dl.gradcheck(lambda x: Product.apply(x, x.exp()) + Product.apply(x, x), [x])
    assert dl.gradgradcheck(lambda x: Product.apply(x, x.exp()) + Product.apply(x, x), [x])


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: dl.ones(1).backward(), dl.GraphError, "does not require a gradient: none of the tensors"),
        (
            lambda x: (x * 2).backward(),
            dl.ShapeError,
            r"has shape \(2,\); only a scalar .* reduce it .* or pass gradient=",
        ),
        (lambda x: x.backward(dl.ones(3)), dl.ShapeError, r"gradient has shape \(3,\) but the output has shape \(2,\)"),
        (
            lambda x: dl.grad(x.sum(), dl.ones(1)),
            dl.GraphError,
            "input 0 does not require a gradient; set requires_grad",
        ),
        (
            lambda x: dl.grad(x.sum(), [x, leaf([1.0, 2.0])]),
            dl.GraphError,
            "do not depend on input 1; pass allow_unused=True",
        ),
        (lambda x: dl.grad([x, x], x, [dl.ones(2)]), dl.GraphError, "2 outputs were given but 1 grad_outputs"),
        (lambda x: dl.tensor([1, 2], requires_grad=True), dl.DTypeError, "only floating-point tensors .* got int64"),
    ],
)
def test_errors(
    backend: dl.backend.Backend, call: Callable[[dl.Tensor], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(leaf([1.0, 2.0]))


def test_unused_inputs_can_be_allowed(backend: dl.backend.Backend) -> None:
    x, unused = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    gradient, nothing = dl.grad(x.sum(), [x, unused], allow_unused=True)
    assert gradient.numpy().tolist() == [1.0, 1.0]
    assert nothing is None


def test_backward_must_return_tensors(backend: dl.backend.Backend) -> None:
    class Square(dl.Function):
        def forward(self, x: Any) -> Any:
            self.save(x)
            return x * x

        def backward(self, grad_output: dl.Tensor) -> Any:
            (x,) = self.saved
            return 2 * x.data * grad_output.data

    with pytest.raises(dl.GraphError, match=r"Square\.backward must return Tensors, got \w+ for input 0"):
        Square.apply(dl.ones(3, requires_grad=True)).sum().backward()
