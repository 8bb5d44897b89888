"""The graph itself: when it is freed, recorded or not, changes in place, depth, memory, operations of one's own."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F
from dlcore import optim
from kernels.types import Array


def leaf(values: Any, dtype: str = "float64") -> dl.Tensor:
    return dl.tensor(values, dtype, requires_grad=True)


# ---- the graph is freed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [lambda y, x: y.backward(), lambda y, x: dl.grad(y, x)], ids=["backward", "grad"])
def test_a_second_pass_says_that_the_graph_was_freed(backend: dl.backend.Backend, again: Callable[..., Any]) -> None:
    x = leaf(3.0)
    y = x.exp()
    y.backward()
    with pytest.raises(dl.GraphError, match=r"the graph through Exp was freed .* pass retain_graph=True"):
        again(y, x)
    with pytest.raises(dl.GraphError, match="the graph through Exp was freed"):
        again(y * 2, x)


def test_retain_graph_keeps_it(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    dl.grad(y, x, retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0


def test_two_outputs_over_one_part(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)
    shared = x * x
    first, second = shared * 2, shared * 3
    first.backward(retain_graph=True)
    second.backward()
    assert x.grad.item() == 30.0


# ---- changes in place ----------------------------------------------------------------------------------------------

NOTICED = pytest.raises(dl.GraphError, match=r"Multiply: .* modified in place .*shape \(2,\)")


def test_an_optimizer_step_between_forward_and_backward_is_noticed(backend: dl.backend.Backend) -> None:
    w = leaf([1.0, 2.0])
    optimizer = optim.SGD([w], lr=0.1)
    (w * w).sum().backward()
    stale = (w * w).sum()
    optimizer.step()
    with NOTICED:
        stale.backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.copy_([0.0, 0.0]),
        lambda x: x.detach().copy_([0.0, 0.0]),
        lambda x: x.detach().reshape(1, 2).copy_([[0.0, 0.0]]),
        lambda x: x.detach()[0].copy_(0.0),
    ],
    ids=["leaf", "twin", "view", "element"],
)
@pytest.mark.parametrize(
    "use", [lambda x: x, lambda x: x.reshape(2), lambda x: x[:]], ids=["itself", "reshape", "slice"]
)
def test_views_and_twins_share_a_version(
    backend: dl.backend.Backend, use: Callable[..., dl.Tensor], change: Callable[..., Any]
) -> None:
    x = leaf([1.0, 2.0])
    used = use(x)
    y = (used * used).sum()
    change(x)
    with NOTICED:
        y.backward()


def test_other_data_is_noticed(backend: dl.backend.Backend) -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    x.data = dl.zeros(2, "float64").data
    with NOTICED:
        y.backward()


def test_a_change_of_what_backward_does_not_need_is_harmless(backend: dl.backend.Backend) -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    total = (x + y).sum() + (x.detach() * 1.0 * y).sum()
    x.copy_([0.0, 0.0])
    copied = x * 1.0  # made after the change
    (total + copied.sum()).backward()
    assert x.grad.numpy().tolist() == [2.0, 2.0]


def test_a_changed_constant_is_noticed(backend: dl.backend.Backend) -> None:
    x, constant = leaf([1.0, 2.0]), dl.ones(2, "float64")
    y = (x * constant).sum()
    constant.copy_([0.0, 0.0])
    with NOTICED:
        y.backward()


def test_moving_or_converting_a_network_is_a_change(backend: dl.backend.Backend) -> None:
    layer = dl.nn.Linear(3, 2)
    y = layer(dl.randn(4, 3)).relu().sum()
    layer.astype("float64")
    with pytest.raises(dl.GraphError, match=r"Linear: .* modified in place"):
        y.backward()


# ---- recording or not ----------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad(backend: dl.backend.Backend) -> None:
    x = leaf(3.0)

    @dl.no_grad()
    def constant(x: dl.Tensor) -> dl.Tensor:
        assert not dl.is_grad_enabled()
        return x * x

    @dl.enable_grad()
    def variable(x: dl.Tensor) -> dl.Tensor:
        return x * x

    assert not constant(x).requires_grad
    assert dl.is_grad_enabled()
    with dl.no_grad():
        assert not (x * x).requires_grad
        with dl.enable_grad():
            assert (x * x).requires_grad
        assert variable(x).requires_grad
        assert not dl.is_grad_enabled()
    assert (x * x).requires_grad


def test_no_grad_ends_with_an_error_too(backend: dl.backend.Backend) -> None:
    with pytest.raises(ZeroDivisionError), dl.no_grad():
        raise ZeroDivisionError
    assert dl.is_grad_enabled()


def test_no_grad_holds_for_its_thread_only(backend: dl.backend.Backend) -> None:
    seen: list[bool] = []
    with dl.no_grad():
        thread = threading.Thread(target=lambda: seen.append(dl.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_decorated_function_runs_in_many_threads(backend: dl.backend.Backend) -> None:
    barrier = threading.Barrier(4)
    seen: list[tuple[bool, bool]] = []

    @dl.no_grad()
    def inside() -> bool:
        barrier.wait(timeout=30)  # all are inside at once
        return dl.is_grad_enabled()

    threads = [threading.Thread(target=lambda: seen.append((inside(), dl.is_grad_enabled()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(False, True)] * 4


def test_detach_cuts(backend: dl.backend.Backend) -> None:
    x = leaf([2.0])
    (x * (x * x).detach()).backward()
    assert x.grad.numpy().tolist() == [4.0]


def test_passes_in_many_threads_do_not_meet(backend: dl.backend.Backend) -> None:
    x, results = dl.tensor(np.linspace(0, 1, 50), requires_grad=True), []

    def work(factor: int) -> None:
        results.append((factor, dl.grad((x * factor).exp().sum(), x)[0].numpy()))

    threads = [threading.Thread(target=work, args=(factor,)) for factor in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for factor, gradient in results:
        np.testing.assert_allclose(gradient, factor * np.exp(factor * x.numpy()), rtol=1e-12)


# ---- depth and memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [10_000, 100_000])
def test_long_chains_need_no_recursion(backend: dl.backend.Backend, length: int) -> None:
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = -y
    y.backward(retain_graph=True)
    assert x.grad.item() == 1.0
    del y  # and neither does giving the chain's memory back


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("passes", [0, 1, 2], ids=["forward", "backward", "double backward"])
def test_memory_goes_without_the_cycle_collector(backend: dl.backend.Backend, no_collector: None, passes: int) -> None:
    x, weight = leaf(np.ones((3, 4))), leaf(np.ones((2, 4)))
    hidden = (F.linear(x, weight).exp().tanh() * 2.0).softmax().reshape(2, 3).max(axis=0)
    normalized = F.batch_norm(hidden.reshape(3, 1), None, None, dl.ones(1, "float64"), dl.ones(1, "float64"), True)
    loss = F.cross_entropy(dl.concat([normalized, normalized * 2.0], axis=1), [0, 1, 0])
    watched = [weakref.ref(thing) for thing in (hidden, hidden.grad_fn, normalized.grad_fn, loss, loss.grad_fn)]
    if passes == 1:
        loss.backward()
    if passes == 2:
        (slope,) = dl.grad(loss, x, create_graph=True)
        watched += [weakref.ref(slope), weakref.ref(slope.grad_fn)]
        (slope * slope).sum().backward()
        del slope
    del hidden, normalized, loss
    assert [reference() for reference in watched] == [None] * len(watched)


def test_backward_frees_what_the_graph_kept_although_the_loss_lives(
    backend: dl.backend.Backend, no_collector: None
) -> None:
    x = leaf([1.0])
    hidden = x.exp()
    node = weakref.ref(hidden.grad_fn)
    loss = hidden * 2.0
    del hidden
    assert node() is not None
    loss.backward()
    assert node() is None


# ---- operations of one's own, and what they may get wrong ------------------------------------------------------------


def test_an_operation_of_ones_own(backend: dl.backend.Backend) -> None:
    class Swish(dl.Function):
        def forward(self, x: Array, *, slope: float) -> Array:
            self.slope = slope
            self.save(x)
            return x / (1 + dl.backend.of(x).xp.exp(-slope * x))

        def backward(self, grad_output: dl.Tensor) -> dl.Tensor:
            (x,) = self.saved
            s = (x * self.slope).sigmoid()
            return grad_output * (s + self.slope * x * s * (1 - s))

    x = leaf([-1.0, 0.0, 2.0])
    assert dl.gradcheck(lambda x: Swish.apply(x, slope=2.0), [x])
    assert dl.gradgradcheck(lambda x: Swish.apply(x, slope=2.0), [x])


def function(forward: Callable[..., Any], backward: Callable[..., Any] | None = None) -> type[dl.Function]:
    methods = {"forward": forward} | ({} if backward is None else {"backward": backward})
    return type("Mine", (dl.Function,), methods)


@pytest.mark.parametrize(
    ("mine", "error", "message"),
    [
        (function(lambda self, a: a), dl.GraphError, "Mine has no backward"),
        (
            function(lambda self, a: a, lambda self, g: (g, g)),
            dl.GraphError,
            "Mine.backward returned 2 gradients for 1 inputs",
        ),
        (
            function(lambda self, a: a, lambda self, g: g.sum()),
            dl.ShapeError,
            r"Mine.backward returned a gradient of shape \(\) for input 0, whose shape is \(2,\)",
        ),
        (
            function(lambda self, a: a, lambda self, g: dl.concat([g, g])),
            dl.ShapeError,
            r"Mine.backward returned a gradient of shape \(4,\) for input 0, whose shape is \(2,\)",
        ),
    ],
)
def test_mistakes_in_backward(
    backend: dl.backend.Backend, mine: type[dl.Function], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mine.apply(leaf([1.0, 2.0])).sum().backward()


def test_a_gradient_of_none_is_no_gradient(backend: dl.backend.Backend) -> None:
    x = leaf([1.0, 2.0])
    mine = function(lambda self, a: a + 0, lambda self, g: None)
    (mine.apply(x) + x).sum().backward()
    assert x.grad.numpy().tolist() == [1.0, 1.0]
