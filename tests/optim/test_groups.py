"""Groups of parameters: each with its own learning rate and weight decay, as in PyTorch."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn, optim
from tests.tolerances import assert_close

SHAPES = [(3, 4), (5,), (2, 2)]


def tensors() -> list[dl.Tensor]:
    rng = np.random.default_rng(0)
    return [dl.tensor(rng.normal(size=shape), "float64", requires_grad=True) for shape in SHAPES]


def groups(weights: list[Any]) -> list[dict[str, Any]]:
    return [{"params": weights[:1], "lr": 0.3}, {"params": weights[1:2], "weight_decay": 0.2}, {"params": weights[2]}]


@pytest.mark.parametrize(
    ("kind", "peer", "options"),
    [
        (optim.SGD, "SGD", {"momentum": 0.5, "weight_decay": 0.01}),
        (optim.Adam, "Adam", {}),
        (optim.AdamW, "AdamW", {"weight_decay": 0.1}),
    ],
)
def test_like_torch(
    backend: dl.backend.Backend, torch: ModuleType, kind: Any, peer: str, options: dict[str, Any]
) -> None:
    weights = tensors()
    peers = [torch.tensor(weight.numpy(), requires_grad=True) for weight in weights]
    ours = kind(groups(weights), lr=0.05, **options)
    theirs = getattr(torch.optim, peer)(groups(peers), lr=0.05, **options)
    rng = np.random.default_rng(1)
    for step in range(5):
        for weight, twin in zip(weights, peers, strict=True):
            gradient = rng.normal(size=weight.shape)
            weight.grad, twin.grad = dl.tensor(gradient, "float64"), torch.tensor(gradient)
        if step == 3:
            ours.param_groups[1]["lr"] = theirs.param_groups[1]["lr"] = 0.7
        ours.step()
        theirs.step()
        for weight, twin in zip(weights, peers, strict=True):
            assert_close(weight.numpy(), twin.detach().numpy(), f"step {step}")


class Noting(optim.Optimizer):
    """What an `update` of one's own sees."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: list[tuple[float, float]] = []

    def update(self, xp: Any, w: Any, g: Any, state: dict[str, Any], step: int) -> None:
        self.seen.append((self.lr, self.weight_decay))


def test_within_a_step_the_numbers_are_the_groups_own(backend: dl.backend.Backend) -> None:
    weights = tensors()
    optimizer = Noting(groups(weights), lr=0.05)
    for weight in weights:
        weight.grad = dl.ones(weight.shape, "float64")
    optimizer.step()
    assert optimizer.seen == [(0.3, 0.0), (0.05, 0.2), (0.05, 0.0)]
    assert (optimizer.lr, optimizer.weight_decay) == (0.3, 0.0)
    optimizer.lr = 0.1
    optimizer.weight_decay = 0.4
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.1, 0.4)] * 3


def test_state_keeps_the_learning_rates(backend: dl.backend.Backend) -> None:
    optimizer, other = (optim.Adam(groups(tensors())) for _ in range(2))
    optimizer.param_groups[2]["lr"] = 0.9
    other.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in other.param_groups] == [0.3, 1e-3, 0.9]
    with pytest.raises(dl.StateDictError, match="Adam: the saved state is of 1 groups, not 3"):
        other.load_state_dict(optim.Adam(tensors()).state_dict())


def test_networks_by_parts(backend: dl.backend.Backend) -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    optimizer = optim.SGD([{"params": network[0].parameters(), "lr": 0.0}, {"params": network[1].parameters()}], lr=0.1)
    before = [parameter.numpy() for parameter in network.parameters()]
    network(dl.randn(4, 3)).sum().backward()
    optimizer.step()
    still = [(a == b.numpy()).all() for a, b in zip(before, network.parameters(), strict=True)]
    assert still == [True, True, False, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: [{"lr": 0.1}], 'parameter group 0 must be a dict of "params" and any of "lr", "weight_decay"'),
        (lambda w: [{"params": [w], "momentum": 0.1}], "got a dict of 'params', 'momentum'"),
        (lambda w: [{"params": [w]}, w], "parameter group 1 must be a dict of .* got Tensor"),
        (lambda w: [{"params": [w]}, {"params": [w]}], "parameter group 1, parameter 0 is in group 0 as well"),
        (lambda w: [{"params": []}], "SGD: expected at least one parameter, got none"),
        (lambda w: [{"params": [w], "lr": -1.0}], "SGD: lr must be a number at least 0.0, got -1.0"),
        (lambda w: [{"params": [w * 2]}], "parameter group 0, parameter 0 must be a leaf Tensor, got Tensor"),
    ],
)  # fmt: skip
def test_errors(backend: dl.backend.Backend, make: Callable[[dl.Tensor], Any], message: str) -> None:
    with pytest.raises(dl.ArgumentError, match=message):
        optim.SGD(make(dl.ones(2, requires_grad=True)))
