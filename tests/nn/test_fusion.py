"""Layers computed together give the same results as one after the other, bit for bit, forward and backward."""

from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn
from dlcore.nn.fusion import fused
from tests.kernels.strategies import Arrays

LAYERS: dict[str, list[nn.Module]] = {
    "convolution, ReLU": [nn.Conv2d(3, 9, 3, padding=1), nn.ReLU()],
    "without a bias": [nn.Conv2d(3, 9, 3, bias=False), nn.ReLU()],
    "convolution, ReLU, pooling": [nn.Conv2d(3, 9, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
    "windows that overlap": [nn.Conv2d(3, 9, 3), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)],
    "ReLU, pooling": [nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)],
    "batch norm, ReLU": [nn.BatchNorm2d(3), nn.ReLU()],
    "batch norm between": [nn.Conv2d(3, 9, 3), nn.BatchNorm2d(9), nn.ReLU(), nn.MaxPool2d(2)],
    "fully connected": [nn.Flatten(), nn.Linear(270, 7), nn.ReLU(), nn.Linear(7, 5)],
    "two blocks": [nn.Conv2d(3, 9, 3), nn.ReLU(), nn.Conv2d(9, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()],
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("values", ["normal", "ties", "not finite"])
def test_fused_layers_equal_single_ones(layers: list[nn.Module], values: str, backend: Any) -> None:
    (images,) = Arrays("float32", "plain", 0).make((2, 3, 9, 10), values=values)
    network = nn.Sequential(*layers).to(backend.name)
    results = []
    for steps in (list(network), [network]):
        network.zero_grad()
        x = dl.tensor(images, requires_grad=True).to(backend.name)
        y = x
        for step in steps:
            y = step(y)
        (y * y).sum().backward()
        results.append([y.numpy(), *(parameter.grad.numpy() for parameter in network.parameters())])
    for single, together in zip(*results, strict=True):
        np.testing.assert_array_equal(together, single)


def test_what_is_computed_together(backend: Any) -> None:
    convolution, relu, pool = nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)
    assert len(list(fused([convolution, relu, convolution]))) == 2
    assert list(fused([convolution, relu, pool])) == [convolution, pool, relu]
    assert list(fused([relu, convolution])) == [relu, convolution]


def test_subclasses_are_left_alone(backend: Any) -> None:
    class Own(nn.ReLU):
        def forward(self, x: dl.Tensor) -> dl.Tensor:
            return x + 1.0

    convolution, own, pool = nn.Conv2d(1, 2, 3), Own(), nn.MaxPool2d(2)
    assert list(fused([convolution, own, pool])) == [convolution, own, pool]


def test_a_layer_with_a_forward_of_its_own_is_asked(backend: Any) -> None:
    convolution, relu, seen = nn.Conv2d(1, 2, 3), nn.ReLU(), []
    relu.forward = lambda x: seen.append(x) or x  # type: ignore[func-returns-value, method-assign]
    nn.Sequential(convolution, relu)(dl.randn(1, 1, 5, 5))
    assert len(seen) == 1


@pytest.mark.parametrize("hooked", [0, 1, 2])
def test_a_layer_with_hooks_is_asked(hooked: int) -> None:
    layers: list[nn.Module] = [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1)]
    network, seen = nn.Sequential(*layers), []
    handle = layers[hooked].register_forward_hook(lambda module, inputs, output: seen.append(output.numpy()))
    x = dl.randn(1, 1, 5, 5)
    y = network(x)
    assert len(seen) == 1
    handle.remove()
    np.testing.assert_array_equal(network(x).numpy(), y.numpy())
    np.testing.assert_array_equal(seen[0], network[: hooked + 1](x).numpy())
    assert len(list(fused(layers))) == 2


def test_a_summary_still_shows_every_layer(backend: Any) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    assert [row.layer.partition("(")[0] for row in network.summary((1, 8, 8)).rows] == ["Conv2d", "ReLU", "MaxPool2d"]


def test_derivatives_of_the_second_order_pass_through(backend: Any) -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()).astype(np.float64)
    (images,) = Arrays("float64", "plain", 1).make((1, 2, 5, 5))
    assert dl.gradgradcheck(lambda x: network(x), [dl.tensor(images, requires_grad=True)])
