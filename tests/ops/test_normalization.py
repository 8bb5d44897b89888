"""Batch normalization: running statistics, evaluation, what it refuses."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F
from tests.tolerances import assert_close

SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 4)]


def parts(channels: int = 3) -> dict[str, dl.Tensor]:
    return {
        "running_mean": dl.randn(channels),
        "running_var": dl.rand(channels) + 0.5,
        "weight": dl.randn(channels),
        "bias": dl.randn(channels),
    }


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_like_torch(backend: dl.backend.Backend, torch: ModuleType, shape: tuple[int, ...], training: bool) -> None:
    ours = parts()
    theirs = {name: torch.tensor(tensor.numpy()) for name, tensor in ours.items()}
    for momentum in (0.1, 0.7):  # twice, so that statistics that have moved move on
        x = dl.randn(*shape)
        y = F.batch_norm(x, **ours, training=training, momentum=momentum)
        expected = torch.nn.functional.batch_norm(
            torch.tensor(x.numpy()), **theirs, training=training, momentum=momentum
        )
        assert_close(y.numpy(), expected.numpy(), "y")
        for name in ("running_mean", "running_var"):
            assert_close(ours[name].numpy(), theirs[name].numpy(), name)


def test_evaluation_differentiates_through_the_running_statistics(backend: dl.backend.Backend) -> None:
    x = dl.randn(4, 3, dtype="float64", requires_grad=True)
    fixed = {name: tensor.astype("float64") for name, tensor in parts().items()}
    scale, shift = (dl.Tensor(fixed.pop(name).data, requires_grad=True) for name in ("weight", "bias"))
    assert dl.gradcheck(lambda x, w, b: F.batch_norm(x, weight=w, bias=b, **fixed), [x, scale, shift])


def test_large_means_do_not_hide_the_variance(backend: dl.backend.Backend) -> None:
    x = dl.tensor(np.array([[1e4], [1e4 + 1], [1e4 + 2]], dtype=np.float32))
    y = F.batch_norm(x, None, None, dl.ones(1), dl.zeros(1), training=True)
    np.testing.assert_allclose(y.numpy()[:, 0], [-np.sqrt(1.5), 0.0, np.sqrt(1.5)], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "changes", "error", "message"),
    [
        ((4, 2), {}, dl.ShapeError, r"x has 2 channels \(x.shape=\(4, 2\)\) but weight.shape=\(3,\)"),
        ((4, 3), {"running_var": (2,)}, dl.ShapeError, r"but running_var.shape=\(2,\)"),
        ((1, 3), {}, dl.ShapeError, r"more than one value .* got x.shape=\(1, 3\); use larger batches"),
        ((1, 3, 1, 1), {}, dl.ShapeError, "more than one value"),
        ((0, 3), {}, dl.ShapeError, "more than one value"),
        ((), {}, dl.ShapeError, "x has 0 channels"),
    ],
)
def test_errors(
    backend: dl.backend.Backend, shape: tuple[int, ...], changes: Any, error: type[Exception], message: str
) -> None:
    arguments = parts() | {name: dl.zeros(shape) for name, shape in changes.items()}
    with pytest.raises(error, match=f"batch_norm: .*{message}"):
        F.batch_norm(dl.ones(shape), **arguments, training=True)


def test_evaluation_needs_running_statistics(backend: dl.backend.Backend) -> None:
    with pytest.raises(dl.ArgumentError, match="without training, running_mean and running_var are needed"):
        F.batch_norm(dl.ones((2, 3)), None, None, dl.ones(3), dl.zeros(3))


def test_one_tensor_as_weight_and_bias(backend: dl.backend.Backend) -> None:
    """Its gradient is the sum of both, once, also where the derivative goes through the composite."""
    x, both = dl.randn(4, 3, dtype="float64"), dl.ones(3, "float64", requires_grad=True)
    y = F.batch_norm(x, None, None, both, both, training=True)
    (first,) = dl.grad((y * y).sum(), both, retain_graph=True)
    (with_graph,) = dl.grad((y * y).sum(), both, create_graph=True)
    assert_close(with_graph.numpy(), first.numpy(), "gradient")


def test_a_weight_computed_from_the_input(backend: dl.backend.Backend) -> None:
    """The fused node is left to differentiate by each input alone; what lies between them is done once."""
    x = dl.randn(4, 3, dtype="float64", requires_grad=True)

    def normalized_by_itself(x: dl.Tensor) -> dl.Tensor:
        return F.batch_norm(x, None, None, x.sum(axis=0), x.max(axis=0), training=True)

    assert dl.gradcheck(normalized_by_itself, [x])
    assert dl.gradgradcheck(normalized_by_itself, [x])
