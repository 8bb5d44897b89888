"""Optimizers: step by step against PyTorch's, their state, what they leave alone, what they refuse."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import dlcore as dl
import kernels
from dlcore import nn, optim
from tests.tolerances import assert_close

#: class, options, class in PyTorch, options there
CASES: list[tuple[type[optim.Optimizer], dict[str, Any], str, dict[str, Any]]] = [
    (optim.SGD, {}, "SGD", {}),
    (optim.SGD, {"lr": 0.1, "weight_decay": 0.1}, "SGD", "same"),
    (optim.SGD, {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.05}, "SGD", "same"),
    (optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}, "SGD", "same"),
    (optim.Momentum, {}, "SGD", {"lr": 0.01, "momentum": 0.9}),
    (optim.Momentum, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1}, "SGD", "same"),
    (optim.Nesterov, {}, "SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    (optim.AdaGrad, {}, "Adagrad", {}),
    (optim.AdaGrad, {"lr": 0.1, "eps": 1e-3, "weight_decay": 0.1}, "Adagrad", "same"),
    (optim.AdaDelta, {}, "Adadelta", {}),
    (optim.AdaDelta, {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}, "Adadelta", "same"),
    (optim.RMSprop, {}, "RMSprop", {}),
    (optim.RMSprop, {"lr": 0.1, "alpha": 0.5, "eps": 1e-3, "weight_decay": 0.1}, "RMSprop", "same"),
    (optim.Adam, {}, "Adam", {}),
    (optim.Adam, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}, "Adam", "same"),
    (optim.Adam, {"lr": 0.1, "betas": (0.0, 0.0)}, "Adam", "same"),
    (optim.AdamW, {}, "AdamW", {}),
    (optim.AdamW, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.3}, "AdamW", "same"),
]  # fmt: skip
OPTIMIZERS = [
    *(optim.SGD, optim.Momentum, optim.Nesterov, optim.AdaGrad, optim.AdaDelta, optim.RMSprop),
    *(optim.Adam, optim.AdamW),
]
SHAPES = [(3, 4), (5,), ()]

every_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)


def parameters(dtype: str = "float64") -> list[dl.Tensor]:
    rng = np.random.default_rng(0)
    return [dl.tensor(rng.normal(size=shape), dtype, requires_grad=True) for shape in SHAPES]


def gradients(step: int) -> list[np.ndarray]:
    """Of one step; the last parameter has none until step 3, and in step 6 all are 0."""
    rng = np.random.default_rng(step)
    return [None if s == () and step < 3 else rng.normal(size=s) * (step != 6) for s in SHAPES]


def on_host(state: dict[str, Any]) -> dict[str, Any]:
    """A copy of an optimizer's state with NumPy arrays."""
    arrays = [{slot: np.array(dl.backend.to_numpy(array)) for slot, array in kept.items()} for kept in state["state"]]
    return state | {"steps": list(state["steps"]), "state": arrays}


def take(optimizer: optim.Optimizer, steps: Sequence[int]) -> list[np.ndarray]:
    for step in steps:
        for parameter, gradient in zip(optimizer.parameters, gradients(step), strict=True):
            parameter.grad = None if gradient is None else dl.tensor(gradient, parameter.dtype)
        optimizer.step()
    return [parameter.numpy() for parameter in optimizer.parameters]


@pytest.mark.parametrize(("kind", "options", "peer", "peer_options"), CASES, ids=str)
def test_ten_steps_like_torch(
    backend: dl.backend.Backend,
    torch: ModuleType,
    kind: Callable[..., optim.Optimizer],
    options: dict[str, Any],
    peer: str,
    peer_options: Any,
) -> None:
    weights = [torch.tensor(parameter.numpy(), requires_grad=True) for parameter in parameters()]
    theirs = getattr(torch.optim, peer)(weights, **(options if peer_options == "same" else peer_options))
    ours = kind(parameters(), **options)
    for step in range(10):
        for weight, gradient in zip(weights, gradients(step), strict=True):
            weight.grad = None if gradient is None else torch.tensor(gradient)
        theirs.step()
        for found, weight in zip(take(ours, [step]), weights, strict=True):
            assert_close(found, weight.detach().numpy(), f"step {step}")


def test_every_optimizer_is_compared() -> None:
    classes = {getattr(optim, name) for name in optim.__all__} - {optim.Optimizer}
    public = {kind for kind in classes if issubclass(kind, optim.Optimizer)}
    assert public == set(OPTIMIZERS) == {kind for kind, *_ in CASES}


@every_optimizer
def test_float32_stays_float32_and_follows_float64(backend: dl.backend.Backend, kind: Any) -> None:
    wide, narrow = (take(kind(parameters(dtype)), range(10)) for dtype in ("float64", "float32"))
    for found, expected in zip(narrow, wide, strict=True):
        assert found.dtype == "float32"
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@every_optimizer
def test_it_descends(backend: dl.backend.Backend, kind: Any) -> None:
    """The book's valley, f = x²/20 + y² (chapter 6)."""
    point = dl.tensor([-7.0, 2.0], requires_grad=True)
    optimizer = kind([point], lr=20.0 if kind is optim.AdaDelta else 0.1)  # its steps begin at √ε, 0.001
    curvature = dl.tensor([0.05, 1.0])
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = (curvature * point * point).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-10:]) < 0.7 * losses[0]
    assert abs(point.numpy()[1]) < 1.7


# ---- state ---------------------------------------------------------------------------------------------------------


@every_optimizer
def test_going_on_from_saved_state_is_bitwise_the_same(backend: dl.backend.Backend, kind: Any) -> None:
    whole = kind(parameters("float32"), lr=0.1, weight_decay=0.01)
    expected = take(whole, range(10))

    first = kind(parameters("float32"), lr=0.1, weight_decay=0.01)
    halfway = [dl.tensor(values, requires_grad=True) for values in take(first, range(5))]
    second = kind(halfway, lr=99.0, weight_decay=0.01)
    second.load_state_dict(first.state_dict())
    take(first, range(5, 7))  # what goes on with the first does not reach the second
    for found, wanted in zip(take(second, range(5, 10)), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_equal(second.state_dict()["steps"], whole.state_dict()["steps"])


def without(state: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: without(state, "lr"), "Adam: the saved state has no lr"),
        (lambda state: {}, "Adam: the saved state has no lr, state, steps"),
        (lambda state: state | {"state": state["state"][:2]}, "the saved state is of 2 parameters, not 3"),
        (lambda state: state | {"state": state["state"][::-1]}, r"parameter 0 of shape \(3, 4\) keeps"),
        (lambda state: state | {"state": [{"mean": s["mean"]} for s in state["state"]]}, "saved state has {'mean'"),
    ],
)  # fmt: skip
def test_state_that_does_not_fit_changes_nothing(
    backend: dl.backend.Backend, change: Callable[[Any], Any], message: str
) -> None:
    optimizer = optim.Adam(parameters())
    take(optimizer, range(4))
    before = on_host(optimizer.state_dict())
    other = optim.Adam(parameters(), lr=0.5)
    take(other, range(6))
    with pytest.raises(dl.StateDictError, match=message):
        optimizer.load_state_dict(change(other.state_dict()))
    np.testing.assert_equal(on_host(optimizer.state_dict()), before)


# ---- parameters and gradients ----------------------------------------------------------------------------------------


@every_optimizer
def test_without_gradients_nothing_moves(backend: dl.backend.Backend, kind: Any) -> None:
    moved, still = dl.ones(2, requires_grad=True), dl.ones(2, requires_grad=True)
    optimizer = kind([moved, still], lr=0.1, weight_decay=0.1)
    (moved * 2).sum().backward()
    optimizer.step()
    assert (moved.numpy() != 1).all()
    assert (still.numpy() == 1).all()
    optimizer.zero_grad()
    assert moved.grad is None


@every_optimizer
def test_steps_work_in_place_and_leave_gradients_alone(backend: dl.backend.Backend, kind: Any) -> None:
    w = dl.ones(2, requires_grad=True)
    array = w.data
    optimizer = kind([w], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        w.grad = dl.tensor([1.0, -1.0])
        optimizer.step()
        assert w.grad.numpy().tolist() == [1.0, -1.0]
    assert w.data is array


class SignDescent(optim.Optimizer):
    """Says what it does as a formula: compiled on the CPU."""

    @staticmethod
    def formula(w: Any, g: Any, lr: Any) -> tuple[Any]:
        return (w - lr * np.sign(g),)

    def numbers(self, step: int) -> tuple[float, ...]:
        return (self.lr / step,)


class SignDescentOnArrays(optim.Optimizer):
    """Says the same of whole arrays."""

    def update(self, xp: Any, w: Any, g: Any, state: dict[str, Any], step: int) -> None:
        w -= self.lr / step * xp.sign(g)


class HalfAdam(optim.Adam):
    """Adds to the update of another."""

    def update(self, xp: Any, w: Any, g: Any, state: dict[str, Any], step: int) -> None:
        super().update(xp, w, g / 2, state, step)


def test_users_write_their_own(backend: dl.backend.Backend) -> None:
    formula, on_arrays = (
        take(kind(parameters(), lr=0.1, weight_decay=0.01), range(5)) for kind in (SignDescent, SignDescentOnArrays)
    )
    for found, expected in zip(formula, on_arrays, strict=True):
        assert_close(found, expected, "sign descent")
    for kind in (HalfAdam, optim.Adam):
        optimizer = kind(parameters(), weight_decay=0.01)
        before = [parameter.version.count for parameter in optimizer.parameters]
        moved = take(optimizer, range(3, 6))
        assert all((a != b.numpy()).all() for a, b in zip(moved, parameters(), strict=True))
        assert [parameter.version.count - b for parameter, b in zip(optimizer.parameters, before, strict=True)] == [
            3
        ] * 3


def test_state_that_was_loaded_gets_the_layout_of_its_parameter(backend: dl.backend.Backend) -> None:
    """So that one pass walks through all arrays of a convolution's weight, whose memory is channels-last."""
    weight = dl.nn.Conv2d(3, 4, 2).weight
    optimizer = optim.Adam([weight])
    weight.grad = dl.ones(weight.shape)
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"] = [{slot: np.ascontiguousarray(dl.backend.to_numpy(a)) for slot, a in saved["state"][0].items()}]
    optimizer.load_state_dict(saved)
    optimizer.step()
    assert {array.strides for array in optimizer.state_dict()["state"][0].values()} == {weight.data.strides}


def test_the_learning_rate_can_be_changed(backend: dl.backend.Backend) -> None:
    w = dl.ones(1, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)
    for lr in (0.5, 0.25, np.float64(0.125)):
        optimizer.lr = lr
        w.grad = dl.ones(1)
        optimizer.step()
    assert (w.item(), w.dtype) == (0.125, "float32")


def test_repr(backend: dl.backend.Backend) -> None:
    assert repr(optim.Adam([dl.ones((1000, 2), requires_grad=True)])) == "Adam(1 parameters, 2,000 numbers, lr=0.001)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: optim.SGD([]), "SGD: expected at least one parameter, got none; pass network.parameters"),
        (lambda w: optim.SGD([w, w * 2]), "SGD: parameter 1 must be a leaf Tensor, got Tensor"),
        (lambda w: optim.SGD([w.data]), "SGD: parameter 0 must be a leaf Tensor, got .*ndarray"),
        (lambda w: optim.SGD([w], lr=-0.1), "SGD: lr must be a number at least 0.0, got -0.1"),
        (lambda w: optim.Adam([w], lr=float("nan")), "Adam: lr must be a number at least 0.0, got nan"),
        (lambda w: optim.Adam([w], lr="0.1"), "Adam: lr must be a number at least 0.0, got '0.1'"),
        (lambda w: optim.Momentum([w], weight_decay=-1.0), "Momentum: weight_decay must be"),
        (lambda w: optim.Momentum([w], momentum=-0.5), "Momentum: momentum must be a number at least 0.0"),
        (lambda w: optim.SGD([w], nesterov=True), "SGD: nesterov needs a momentum above 0 and a dampening of 0"),
        (lambda w: optim.SGD([w], momentum=0.9, dampening=0.1, nesterov=True), "SGD: nesterov needs"),
        (lambda w: optim.AdaGrad([w], eps=-1.0), "AdaGrad: eps must be"),
        (
            lambda w: optim.RMSprop([w], alpha=1.0),
            "RMSprop: alpha must be a number at least 0.0 and below 1.0, got 1.0",
        ),
        (lambda w: optim.Adam([w], betas=(0.9, 1.0)), "Adam: beta2 must be a number at least 0.0 and below 1.0"),
        (lambda w: optim.AdamW([w], betas=(-0.1, 0.9)), "AdamW: beta1 must be"),
    ],
)
def test_errors(backend: dl.backend.Backend, make: Callable[[dl.Tensor], Any], message: str) -> None:
    with pytest.raises(dl.ArgumentError, match=message):
        make(dl.ones(2, requires_grad=True))


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.int64(1), 1])
def test_numpys_numbers_are_numbers(backend: dl.backend.Backend, number: Any) -> None:
    assert take(optim.SGD(parameters("float32"), lr=number), range(2))[0].dtype == "float32"


def test_state_follows_parameters_to_another_dtype(backend: dl.backend.Backend) -> None:
    network = dl.nn.Linear(3, 2)
    optimizer = optim.Adam(network.parameters())
    for dtype in ("float32", "float64"):
        network.astype(dtype)
        network.zero_grad()
        network(dl.ones((1, 3), dtype)).sum().backward()
        optimizer.step()
        kept = [array for state in optimizer.state_dict()["state"] for array in state.values()]
        assert {array.dtype.name for array in kept} == {dtype}
        assert all(abs(array).max() > 0 for array in kept)


@pytest.mark.parametrize("shape", [(16, 1, 3, 3), (8, 16, 1, 1), (32, 1, 5, 5), (4, 3, 3, 3)])
def test_every_convolution_weight_is_part_of_the_one_compiled_pass(shape: tuple[int, ...]) -> None:
    weight = nn.Conv2d(shape[1], shape[0], shape[2]).weight
    optimizer = optim.Adam([weight])
    weight.grad = dl.tensor(np.ones(shape, np.float32))
    with patch("kernels.cpu.optimizers.step_on_arrays") as one_by_one:
        optimizer.step()
        kept = optimizer.state_dict()["state"][0]
        optimizer.step()
    assert not one_by_one.called
    assert all(array is kept[name] for name, array in optimizer.state_dict()["state"][0].items())


def test_a_formula_that_looks_outside_is_refused() -> None:
    scale = 2.0

    def formula(w: Any, g: Any) -> tuple[Any, ...]:
        return (w - scale * g,)

    with pytest.raises(dl.ArgumentError, match="uses scale from outside"):
        kernels.optimizer_step(formula, [[np.ones(3, np.float32), np.ones(3, np.float32)]], [()])
