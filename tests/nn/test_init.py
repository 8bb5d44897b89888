"""Initial values: their distribution, what they are made from, and that a seed fixes them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn
from dlcore.nn import init

#: A convolution of 8 channels to 64 with 5×5 windows: fan_in = 200, fan_out = 1600.
SHAPE = (64, 8, 5, 5)


@pytest.mark.parametrize(
    ("initialize", "std", "uniform"),
    [
        (init.normal_, 1.0, False),
        (lambda t: init.normal_(t, 0.0, 0.01), 0.01, False),
        (lambda t: init.uniform_(t, -0.3, 0.3), 0.3 / np.sqrt(3), True),
        (init.xavier_normal_, np.sqrt(2 / 1800), False),
        (lambda t: init.xavier_uniform_(t, gain=5 / 3), 5 / 3 * np.sqrt(2 / 1800), True),
        (init.he_normal_, np.sqrt(2 / 200), False),
        (lambda t: init.he_normal_(t, "tanh"), 5 / 3 / np.sqrt(200), False),
        (init.he_uniform_, np.sqrt(2 / 200), True),
        (lambda t: init.kaiming_uniform_(t, "linear"), 1 / np.sqrt(200), True),
        (init.kaiming_normal_, np.sqrt(2 / 200), False),
        (init.lecun_normal_, np.sqrt(1 / 200), False),
        (init.lecun_uniform_, np.sqrt(1 / 200), True),
    ],
)
def test_distributions(
    backend: dl.backend.Backend, initialize: Callable[[dl.Tensor], dl.Tensor], std: float, uniform: bool
) -> None:
    tensor = dl.zeros(SHAPE, requires_grad=True)
    assert initialize(tensor) is tensor
    z = tensor.numpy().astype(np.float64) / std
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs((z**2).mean() - 1) < 5 * np.sqrt(2 / z.size)
    assert np.abs(z).max() < (np.sqrt(3) * 1.0001 if uniform else 7)
    assert np.abs(z).max() > (np.sqrt(3) * 0.999 if uniform else 3)


@pytest.mark.parametrize(
    ("initialize", "value"), [(init.zeros_, 0.0), (init.ones_, 1.0), (lambda t: init.constant_(t, 0.5), 0.5)]
)
def test_constants(backend: dl.backend.Backend, initialize: Callable[..., dl.Tensor], value: float) -> None:
    assert (initialize(dl.full((2, 3), 7.0)).numpy() == value).all()


@pytest.mark.parametrize("shape", [(2,), ()])
def test_fans_need_two_axes(backend: dl.backend.Backend, shape: tuple[int, ...]) -> None:
    for initialize in (init.xavier_normal_, init.xavier_uniform_, init.he_normal_, init.he_uniform_, init.orthogonal_):
        with pytest.raises(dl.ShapeError, match=r"fan_in and fan_out need a weight of shape \(out, in, …\), got"):
            initialize(dl.zeros(shape))
    assert init.fans(dl.zeros((6, 4))) == (4, 6)


def test_unknown_nonlinearity(backend: dl.backend.Backend) -> None:
    with pytest.raises(dl.ArgumentError, match="nonlinearity must be one of linear, sigmoid, tanh, relu, got 'gelu'"):
        init.he_normal_(dl.zeros((2, 2)), "gelu")


@pytest.mark.parametrize("layer", [lambda: nn.Linear(50, 200), lambda: nn.Conv2d(2, 200, 5)], ids=["linear", "conv"])
def test_layers_start_uniform_within_one_over_the_root_of_fan_in(
    backend: dl.backend.Backend, layer: Callable[[], Any]
) -> None:
    made = layer()
    for tensor in (made.weight, made.bias):
        values = tensor.numpy() * np.sqrt(50)
        assert 0.95 < np.abs(values).max() <= 1
        assert abs(values.mean()) < 5 / np.sqrt(3 * values.size)


def test_a_seed_fixes_a_network(backend: dl.backend.Backend) -> None:
    def weights(seed: int) -> np.ndarray:
        dl.backend.seed(seed)
        network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        return np.stack([network[0].weight.numpy(), network[1].weight.numpy()])

    first = weights(1)
    np.testing.assert_array_equal(weights(1), first)
    assert (weights(2) != first).all()
    assert (first[0] != first[1]).all()


def test_float64_is_filled_in_full_precision(backend: dl.backend.Backend) -> None:
    values = init.uniform_(dl.zeros(100, "float64")).numpy()
    assert (values != values.astype(np.float32)).any()


def test_initial_values_are_a_change_in_place(backend: dl.backend.Backend) -> None:
    w = dl.ones((2, 2), requires_grad=True)
    y = (w * w).sum()
    init.he_normal_(w)
    with pytest.raises(dl.GraphError, match="modified in place"):
        y.backward()


@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (8, 3), (4, 2, 3, 3), (40, 2, 3, 3)])
def test_orthogonal(backend: dl.backend.Backend, shape: tuple[int, ...]) -> None:
    tensor = dl.zeros(shape, "float64")
    assert init.orthogonal_(tensor, gain=2.0) is tensor
    matrix = tensor.numpy().reshape(shape[0], -1)
    gram = matrix @ matrix.T if shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(gram, 4.0 * np.eye(len(gram)), atol=1e-13)


def test_orthogonal_values_lean_to_no_side(backend: dl.backend.Backend) -> None:
    means = [init.orthogonal_(dl.zeros((3, 3))).numpy() for _ in range(200)]
    assert abs(np.mean(means, axis=0)).max() < 5 * np.sqrt(1 / 3 / 200)


def test_initial_values_can_be_left_out(backend: dl.backend.Backend) -> None:
    with init.skipped():
        layers = [nn.Linear(3, 2), nn.Conv2d(2, 2, 3), nn.Embedding(2, 2)]
        init.orthogonal_(layers[0].weight)
        init.ones_(layers[1].bias)
    assert not any(layer.weight.numpy().any() for layer in layers)
    assert layers[1].bias.numpy().all()
    assert nn.Linear(3, 2).weight.numpy().all()
