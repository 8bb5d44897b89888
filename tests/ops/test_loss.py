"""Losses: values, reductions, extreme logits, labels that cannot be."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F
from tests.tolerances import assert_close

LOSSES = {
    "cross_entropy": lambda x, reduction: F.cross_entropy(x, [0, 2], reduction),
    "binary_cross_entropy_with_logits": lambda x, reduction: F.binary_cross_entropy_with_logits(x, x * 0.5, reduction),
    "mse_loss": lambda x, reduction: F.mse_loss(x, x * 0.5, reduction),
}


def labels(values: Any, dtype: str = "int64") -> Any:
    return dl.backend.asarray(np.array(values, dtype=dtype))


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_labels_of_any_integer_type_as_array_tensor_or_list(backend: dl.backend.Backend, dtype: str) -> None:
    x = dl.tensor(np.log([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]), "float64")
    for target in (labels([2, 0], dtype), dl.Tensor(labels([2, 0], dtype)), [2, 0]):
        losses = F.cross_entropy(x, target, "none")
        np.testing.assert_allclose(losses.numpy(), -np.log([0.7, 0.5]), rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_reductions(backend: dl.backend.Backend, loss: str) -> None:
    x = dl.randn(2, 3, dtype="float64")
    each = LOSSES[loss](x, "none").numpy()
    assert each.shape == ((2,) if loss == "cross_entropy" else (2, 3))
    assert_close(LOSSES[loss](x, "mean").numpy(), each.mean(), "mean")
    assert_close(LOSSES[loss](x, "sum").numpy(), each.sum(), "sum")
    with pytest.raises(dl.ArgumentError, match=f'{loss}: reduction must be "mean", "sum" or "none", got \'max\''):
        LOSSES[loss](x, "max")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits(backend: dl.backend.Backend, dtype: str) -> None:
    x = dl.tensor([[1e4, -1e4], [-1e4, 1e4], [-np.inf, 0.0]], dtype, requires_grad=True)
    losses = F.cross_entropy(x, labels([0, 0, 1]), "none")
    assert losses.numpy().tolist() == [0.0, 2e4, 0.0]
    losses.sum().backward()
    assert x.grad.numpy().tolist() == [[0.0, 0.0], [-1.0, 1.0], [0.0, 0.0]]

    logits = dl.tensor([1e4, -1e4, 1e4, -1e4], dtype, requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(logits, dl.tensor([1.0, 0.0, 0.0, 1.0], dtype), "none")
    assert losses.numpy().tolist() == [0.0, 0.0, 1e4, 1e4]
    losses.sum().backward()
    assert logits.grad.numpy().tolist() == [0.0, 0.0, 1.0, -1.0]


def test_gradients_for_each_reduction_against_torch(backend: dl.backend.Backend, torch: ModuleType) -> None:
    x, classes = dl.randn(4, 3, dtype="float64", requires_grad=True), [0, 2, 1, 1]
    for reduction in ("mean", "sum", "none"):
        peer = torch.tensor(x.numpy(), requires_grad=True)
        torch.nn.functional.cross_entropy(peer, torch.tensor(classes), reduction=reduction).sum().backward()
        (gradient,) = dl.grad(F.cross_entropy(x, classes, reduction).sum(), x)
        assert_close(gradient.numpy(), peer.grad.numpy(), reduction)


@pytest.mark.parametrize(
    ("shape", "target", "error", "message"),
    [
        ((2, 3), [0, 3], dl.DataError, r"labels\[1\] is 3, but there are 3 classes \(0 first\)"),
        ((2, 3), [-1, 0], dl.DataError, r"labels\[0\] is -1"),
        (
            (2, 3),
            [0, 1, 2],
            dl.ShapeError,
            r"logits of shape \(N, C\) and labels of shape \(N,\), got \(2, 3\) and \(3,\)",
        ),
        ((2, 3), [[0], [1]], dl.ShapeError, r"and \(2, 1\)"),
        ((3,), [0, 1, 2], dl.ShapeError, r"got \(3,\) and"),
        ((2, 3), [0.0, 1.0], dl.DTypeError, r"labels must be integers \(class indices\), got float32"),
        ((2, 3), [True, False], dl.DTypeError, "got bool"),
    ],
    ids=str,
)
def test_cross_entropy_errors(
    backend: dl.backend.Backend, shape: tuple[int, ...], target: Any, error: type[Exception], message: str
) -> None:
    if error is dl.DataError and not backend.is_host:
        pytest.skip("labels on a device are not read: a dataset checks them when it is made")
    with pytest.raises(error, match=f"cross_entropy: .*{message}"):
        F.cross_entropy(dl.zeros(shape), target)


def test_cross_entropy_of_an_empty_batch(backend: dl.backend.Backend) -> None:
    with pytest.raises(dl.DataError, match="cross_entropy: the batch is empty"):
        F.cross_entropy(dl.zeros((0, 3)), labels([]))


@pytest.mark.parametrize("loss", [F.mse_loss, F.binary_cross_entropy_with_logits], ids=lambda loss: loss.__name__)
def test_targets_of_another_shape(backend: dl.backend.Backend, loss: Any) -> None:
    with pytest.raises(dl.ShapeError, match=r"x and target must have one shape, got \(2, 1\) and \(2,\)"):
        loss(dl.zeros((2, 1)), dl.zeros(2))
