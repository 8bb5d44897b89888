"""Convolution and pooling as operations on Tensors; their kernels have tests of their own."""

from collections.abc import Callable

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F

POOLS = [
    lambda x: F.max_pool2d(x, 2),
    lambda x: F.avg_pool2d(x, 2),
    F.global_max_pool2d,
    F.global_avg_pool2d,
]

each_pool = pytest.mark.parametrize("pool", POOLS, ids=["max", "avg", "global_max", "global_avg"])


def test_the_message_for_channels_that_do_not_fit(backend: dl.backend.Backend) -> None:
    expected = (
        "conv2d: x has 3 channels but weight expects 16 "
        r"\(x.shape=\(8, 3, 32, 32\), weight.shape=\(32, 16, 3, 3\), groups=1\)"
    )
    with pytest.raises(dl.ShapeError, match=expected):
        F.conv2d(dl.zeros((8, 3, 32, 32)), dl.zeros((32, 16, 3, 3)))


def test_mixed_dtypes_are_refused(backend: dl.backend.Backend) -> None:
    with pytest.raises(dl.DTypeError, match="conv2d: x is float32 but weight is float64"):
        F.conv2d(dl.zeros((1, 1, 3, 3)), dl.zeros((1, 1, 3, 3), "float64"))


def test_convolution_of_an_empty_batch(backend: dl.backend.Backend) -> None:
    x, weight, bias = (dl.ones(shape, requires_grad=True) for shape in ((0, 2, 4, 4), (3, 2, 3, 3), (3,)))
    y = F.conv2d(x, weight, bias)
    assert y.shape == (0, 3, 2, 2)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert weight.grad.shape == weight.shape
    assert not weight.grad.numpy().any()
    assert not bias.grad.numpy().any()


@each_pool
def test_pooling_of_an_empty_batch(backend: dl.backend.Backend, pool: Callable[[dl.Tensor], dl.Tensor]) -> None:
    x = dl.ones((0, 2, 4, 4), requires_grad=True)
    pool(x).sum().backward()
    assert x.grad.shape == x.shape


@each_pool
def test_pooling_takes_images_only(backend: dl.backend.Backend, pool: Callable[[dl.Tensor], dl.Tensor]) -> None:
    with pytest.raises(dl.ShapeError, match=r"\(N, C, H, W\)"):
        pool(dl.ones((2, 4, 4)))


@pytest.mark.parametrize(
    ("pool", "winners"),
    [
        (lambda x: F.max_pool2d(x, 2), [[1, 0, 1, 0], [0, 0, 0, 0]]),
        (lambda x: F.max_pool2d(x, (2, 3), stride=1), [[1, 1, 0, 0], [0, 0, 0, 0]]),
        (F.global_max_pool2d, [[1, 0, 0, 0], [0, 0, 0, 0]]),
    ],
    ids=["windows", "overlapping", "global"],
)
def test_the_maximum_of_a_window_belongs_to_the_first_of_equals(
    backend: dl.backend.Backend, pool: Callable[[dl.Tensor], dl.Tensor], winners: list[list[int]]
) -> None:
    x = dl.ones((1, 1, 2, 4), requires_grad=True)
    pool(x).sum().backward()
    assert x.grad.numpy()[0, 0].tolist() == winners


def test_a_network_of_them_stays_channels_last(backend: dl.backend.Backend) -> None:
    """Activations and their gradients keep the layout that the kernels give them, through all that stands between."""
    x = dl.randn(2, 3, 8, 8)
    weight, scale, shift = dl.randn(4, 3, 3, 3, requires_grad=True), dl.ones(4, requires_grad=True), dl.zeros(4)
    first = F.conv2d(x, weight)
    layers = [first]
    for layer in (
        F.relu,
        lambda x: F.batch_norm(x, None, None, scale, shift, training=True),
        lambda x: F.dropout(x, 0.5),
        lambda x: x * 2.0 + x,
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.avg_pool2d(x, 2),
    ):
        layers.append(layer(layers[-1]))
    gradients = dl.grad((layers[-1] * layers[-1]).sum(), layers[:-1])
    for tensor in (*layers, *gradients):
        assert tensor.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_the_algorithm_can_be_chosen(backend: dl.backend.Backend) -> None:
    x, weight = dl.randn(1, 2, 4, 4), dl.randn(3, 2, 3, 3)
    found = F.conv2d(x, weight, algorithm="gemm").numpy()
    np.testing.assert_allclose(found, F.conv2d(x, weight).numpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(dl.ArgumentError, match="conv2d: algorithm must be one of"):
        F.conv2d(x, weight, algorithm="magic")
