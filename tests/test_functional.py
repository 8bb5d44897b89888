"""`functional` against PyTorch's functions of the same names: arguments by position, and their defaults."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F
from tests.tolerances import assert_close

IMAGES, WEIGHT, BIAS, VECTORS = (2, 4, 7, 8), (6, 2, 3, 3), (6,), (5, 4)
MEAN_AND_VARIANCE = [(4,), (4,)]

#: name, shapes of the tensors, further positional arguments
CALLS: list[tuple[str, list[tuple[int, ...]], tuple[Any, ...]]] = [
    ("relu", [VECTORS], ()),
    ("sigmoid", [VECTORS], ()),
    ("tanh", [VECTORS], ()),
    ("softplus", [VECTORS], ()),
    ("softmax", [VECTORS], (0,)),
    ("log_softmax", [VECTORS], (-1,)),
    ("linear", [VECTORS, (3, 4), (3,)], ()),
    ("linear", [VECTORS, (3, 4)], ()),
    ("conv2d", [IMAGES, (6, 4, 3, 3)], ()),
    ("conv2d", [IMAGES, WEIGHT, BIAS], (2, 1, 1, 2)),
    ("conv2d", [IMAGES, WEIGHT, BIAS], ((1, 2), (2, 0), (2, 1), 2)),
    ("conv2d", [IMAGES, WEIGHT, BIAS], (1, "same", 2, 2)),
    ("max_pool2d", [IMAGES], (2,)),
    ("max_pool2d", [IMAGES], (3, 2, 1, 1, True)),
    ("max_pool2d", [IMAGES], ((2, 3), None, 0, 2)),
    ("avg_pool2d", [IMAGES], (2,)),
    ("avg_pool2d", [IMAGES], (3, (1, 2), 1, True, False)),
    ("dropout", [VECTORS], (0.5, False)),
    ("batch_norm", [IMAGES, *MEAN_AND_VARIANCE, (4,), (4,)], ()),
    ("batch_norm", [VECTORS, *MEAN_AND_VARIANCE, (4,), (4,)], (True, 0.3, 0.01)),
    ("layer_norm", [IMAGES], ((7, 8),)),
    ("layer_norm", [VECTORS], ([4], None, None, 0.1)),
    ("mse_loss", [VECTORS, VECTORS], ()),
    ("binary_cross_entropy_with_logits", [VECTORS, VECTORS], ()),
]


def test_every_function_is_listed() -> None:
    tested_elsewhere = {"cross_entropy", "flatten", "global_avg_pool2d", "global_max_pool2d"}
    assert {name for name, *_ in CALLS} | tested_elsewhere == set(F.__all__)


@pytest.mark.parametrize(("name", "shapes", "arguments"), CALLS, ids=str)
def test_like_torch(
    backend: dl.backend.Backend,
    torch: ModuleType,
    name: str,
    shapes: list[tuple[int, ...]],
    arguments: tuple[Any, ...],
) -> None:
    tensors = [dl.rand(*shape) for shape in shapes]
    peers = [torch.tensor(tensor.numpy()) for tensor in tensors]
    peer = getattr(torch.nn.functional, name, None) or getattr(torch, name)
    assert_close(getattr(F, name)(*tensors, *arguments).numpy(), peer(*peers, *arguments).numpy(), name)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "softmax", "log_softmax"])
def test_methods_are_the_same_functions(backend: dl.backend.Backend, name: str) -> None:
    x = dl.randn(2, 3)
    assert (getattr(x, name)() == getattr(F, name)(x)).numpy().all()


@pytest.mark.parametrize(
    ("shape", "start_axis", "expected"),
    [
        ((2, 3, 4), 1, (2, 12)),
        ((2, 3, 4), 0, (24,)),
        ((2, 3, 4), -2, (2, 12)),
        ((0, 3, 4), 1, (0, 12)),
        ((2, 1), 1, (2, 1)),
    ],
    ids=str,
)
def test_flatten(
    backend: dl.backend.Backend, shape: tuple[int, ...], start_axis: int, expected: tuple[int, ...]
) -> None:
    x = dl.randn(*shape)
    assert F.flatten(x, start_axis).shape == expected
    assert F.flatten(dl.randn(2, 3, 4)).shape == (2, 12)


@pytest.mark.parametrize(
    ("pool", "reduce"),
    [(F.global_avg_pool2d, lambda x: x.mean((2, 3), True)), (F.global_max_pool2d, lambda x: x.max((2, 3), True))],
    ids=["avg", "max"],
)
def test_global_pools(
    backend: dl.backend.Backend, pool: Callable[..., dl.Tensor], reduce: Callable[..., dl.Tensor]
) -> None:
    x = dl.randn(2, 3, 4, 5)
    assert_close(pool(x).numpy(), reduce(x).numpy(), "pooled")
    assert pool(x).shape == (2, 3, 1, 1)


def test_losses_take_lists_as_targets(backend: dl.backend.Backend) -> None:
    x = dl.tensor([1.0, 3.0])
    assert F.mse_loss(x, [1.0, 1.0]).item() == 2.0
    assert F.binary_cross_entropy_with_logits(dl.zeros(2), [0, 1]).item() == pytest.approx(np.log(2))
    with pytest.raises(dl.ShapeError, match="mse_loss: x and target must have one shape"):
        F.mse_loss(x, 0.0)


def test_batch_norm_without_weight_and_bias(backend: dl.backend.Backend) -> None:
    x = dl.tensor([[1.0], [3.0]])
    np.testing.assert_allclose(F.batch_norm(x, None, None, training=True, eps=0.0).numpy(), [[-1.0], [1.0]])
