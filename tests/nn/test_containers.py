"""Modules that hold modules: lists, dictionaries, residual connections; and freezing and sharing parameters."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn, optim


def test_a_list_of_modules_is_found(backend: dl.backend.Backend) -> None:
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    modules = nn.ModuleList(layers[:2]).append(layers[2])
    assert list(modules.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert (len(modules), list(modules), modules[-1]) == (3, layers, layers[2])
    assert list(modules[1:]) == layers[1:]
    modules[-1] = nn.Identity()
    assert (len(modules), isinstance(modules[2], nn.Identity)) == (3, True)
    assert not any(layer.training for layer in modules.eval())


def test_a_dictionary_of_modules_is_found(backend: dl.backend.Backend) -> None:
    modules = nn.ModuleDict({"first": nn.Linear(2, 3)})
    modules["second"] = nn.Linear(3, 1, bias=False)
    modules["second"] = nn.Linear(3, 2, bias=False)
    assert list(modules.state_dict()) == ["first.weight", "first.bias", "second.weight"]
    assert (len(modules), list(modules), "first" in modules, "third" in modules) == (
        2,
        ["first", "second"],
        True,
        False,
    )
    assert dict(modules.items())["second"] is modules["second"]
    with pytest.raises(KeyError):
        modules["third"]


def test_residual(backend: dl.backend.Backend) -> None:
    x = dl.randn(2, 3)
    layer, shortcut = nn.Linear(3, 3), nn.Linear(3, 3)
    np.testing.assert_array_equal(nn.Residual(layer)(x).numpy(), (layer(x) + x).numpy())
    both = nn.Residual(layer, shortcut)
    np.testing.assert_array_equal(both(x).numpy(), (layer(x) + shortcut(x)).numpy())
    assert [name for name, _ in both.named_children()] == ["function", "shortcut"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.ModuleList([len]), "ModuleList: expected a Module, got builtin_function_or_method"),
        (lambda: nn.ModuleList([nn.ReLU()]).__setitem__(0, 1), "ModuleList: expected a Module, got int"),
        (lambda: nn.ModuleDict({"a": 1}), "ModuleDict: a must be a Module, got int"),
        (lambda: nn.ModuleDict({"items": nn.ReLU()}), "ModuleDict: no module can be called 'items'"),
        (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), "ModuleDict: no module can be called 'a.b'"),
    ],
)
def test_errors(backend: dl.backend.Backend, call: Callable[[], Any], message: str) -> None:
    with pytest.raises(dl.ArgumentError, match=message):
        call()


# ---- freezing and sharing --------------------------------------------------------------------------------------------


def test_frozen_parameters_stay(backend: dl.backend.Backend) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    network(dl.randn(5, 3)).sum().backward()
    assert network[0].requires_grad_(False) is network[0]
    assert network[0].weight.grad is None
    before = copy.deepcopy(network.state_dict())
    optimizer = optim.Adam(network.parameters(), weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(dl.randn(5, 3)).sum().backward()
        optimizer.step()
    moved = {name: (dl.backend.to_numpy(a != before[name])).any() for name, a in network.state_dict().items()}
    assert moved == {"0.weight": False, "0.bias": False, "2.weight": True, "2.bias": True}
    network.requires_grad_()
    network(dl.randn(5, 3)).sum().backward()
    assert network[0].weight.grad is not None
    assert not network[0].bias.requires_grad_(False).requires_grad


def test_a_network_that_is_frozen_whole_still_hands_gradients_on(backend: dl.backend.Backend) -> None:
    network, x = nn.Linear(3, 2).requires_grad_(False), dl.randn(4, 3, requires_grad=True)
    network(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.tile(network.weight.numpy().sum(0), (4, 1)), rtol=1e-6)


def test_a_shared_layer_gets_the_sum_of_its_gradients(backend: dl.backend.Backend) -> None:
    layer, x = nn.Linear(3, 3), dl.randn(2, 3)
    nn.Sequential(layer, nn.Tanh(), layer)(x).sum().backward()
    shared = layer.weight.grad.numpy()
    twin = copy.deepcopy(layer)
    layer.zero_grad()
    twin.zero_grad()
    nn.Sequential(layer, nn.Tanh(), twin)(x).sum().backward()
    np.testing.assert_allclose(shared, layer.weight.grad.numpy() + twin.weight.grad.numpy(), rtol=1e-5)
