"""`functional` against PyTorch's functions of the same names: arguments by position, and their defaults."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcore as dl
from dlcore import functional as F
from tests.ops.functional_cases import FUNCTIONAL_CASES
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
    ("binary_cross_entropy", [VECTORS, VECTORS], ()),
    ("l1_loss", [VECTORS, VECTORS], ()),
    ("huber_loss", [VECTORS, VECTORS], ("sum", 0.4)),
    ("fold", [(2, 36, 30)], ((7, 8), 3)),
]


def test_every_function_is_listed() -> None:
    tested_elsewhere = {"flatten", "global_avg_pool2d", "global_max_pool2d"}
    with_derivatives = {case.name.partition("-")[0] for case in FUNCTIONAL_CASES}
    assert {name for name, *_ in CALLS} | with_derivatives | tested_elsewhere == set(F.__all__)


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


# ---- losses and their options ----------------------------------------------------------------------------------------


def values_and_gradients(torch: ModuleType, ours: Any, theirs: Any, x: dl.Tensor, peer_x: Any) -> None:
    assert_close(ours.numpy(), theirs.detach().numpy(), "loss")
    ours.sum().backward()
    theirs.sum().backward()
    assert_close(x.grad.numpy(), peer_x.grad.numpy(), "gradient")


@settings(max_examples=40)
@given(data=st.data())
def test_cross_entropy_like_torch(backend: dl.backend.Backend, torch: ModuleType, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    rows, classes = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    options: dict[str, Any] = {
        "reduction": data.draw(st.sampled_from(["mean", "sum", "none"])),
        "label_smoothing": data.draw(st.sampled_from([0.0, 0.1, 1.0])),
    }
    weight = rng.uniform(0.1, 2.0, classes) if data.draw(st.booleans()) else None
    if data.draw(st.booleans()):
        target = rng.dirichlet(np.ones(classes), rows)
    else:
        target = rng.integers(0, classes, rows)
        if data.draw(st.booleans()):
            options["ignore_index"] = ignored = data.draw(st.sampled_from([-100, -1, 0]))
            target = np.where((rng.random(rows) < 0.4) & (np.arange(rows) > 0), ignored, target)
            if ignored == 0 and not target.any():
                options["reduction"] = "sum"  # the mean of no row is NaN
    x = dl.tensor(rng.normal(size=(rows, classes)), "float64", requires_grad=True)
    peer_x = torch.tensor(x.numpy(), requires_grad=True)
    ours = F.cross_entropy(
        x, backend.asarray(target), weight=None if weight is None else backend.asarray(weight), **options
    )
    theirs = torch.nn.functional.cross_entropy(
        peer_x, torch.from_numpy(target), weight=None if weight is None else torch.from_numpy(weight), **options
    )
    values_and_gradients(torch, ours, theirs, x, peer_x)


@settings(max_examples=20)
@given(
    name=st.sampled_from(
        ["binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "l1_loss", "huber_loss"]
    ),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    shape=st.lists(st.integers(1, 4), max_size=3),
)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch's, of its own kl_div
def test_losses_like_torch(
    backend: dl.backend.Backend, torch: ModuleType, name: str, reduction: str, shape: list[int]
) -> None:
    rng = np.random.default_rng(len(shape))
    x = dl.tensor(rng.uniform(0.05, 0.95, shape), "float64", requires_grad=True)
    target = rng.uniform(0.05, 0.95, shape)
    peer_x = torch.tensor(x.numpy(), requires_grad=True)
    ours = getattr(F, name)(x, backend.asarray(target), reduction)
    theirs = getattr(torch.nn.functional, name)(peer_x, torch.tensor(target), reduction=reduction)
    values_and_gradients(torch, ours, theirs, x, peer_x)


def test_class_indices_are_one_hot_probabilities(backend: dl.backend.Backend) -> None:
    x, labels = dl.randn(4, 3), [2, 0, 1, 1]
    one_hot = np.eye(3, dtype=np.float32)[labels]
    options: dict[str, Any] = {"weight": [0.5, 1.0, 2.0], "label_smoothing": 0.2, "reduction": "sum"}
    plain, spread = (F.cross_entropy(x, target, **options) for target in (labels, backend.asarray(one_hot)))
    assert_close(plain.numpy(), spread.numpy(), "loss")


def test_binary_cross_entropy_of_certainties(backend: dl.backend.Backend) -> None:
    x = dl.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(x, [0.0, 1.0, 1.0, 0.0], "none")
    assert losses.numpy().tolist() == [0.0, 0.0, 100.0, 100.0]
    losses.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_kl_div_of_impossible_events(backend: dl.backend.Backend) -> None:
    x = dl.tensor([[0.0, -3.0]], requires_grad=True)
    loss = F.kl_div(x, [[1.0, 0.0]], "batchmean")
    assert loss.item() == 0.0
    loss.backward()
    assert x.grad.numpy().tolist() == [[-1.0, 0.0]]


@pytest.mark.parametrize("name", ["elu", "selu", "softplus", "silu", "gelu", "hardswish", "leaky_relu"])
def test_activations_of_large_numbers_are_finite(backend: dl.backend.Backend, name: str) -> None:
    x = dl.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], requires_grad=True)
    y = getattr(F, name)(x)
    y.sum().backward()
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("size", [(4, 6), (5, 5), (1, 1), (9, 2)])
def test_adaptive_pools_split_images_as_torch(
    backend: dl.backend.Backend, torch: ModuleType, size: tuple[int, int]
) -> None:
    x = dl.randn(2, 3, *size)
    for parts in (1, (2, 3), (4, 6), 5):
        for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
            peer = getattr(torch.nn.functional, name)(torch.tensor(x.numpy()), parts)
            assert_close(getattr(F, name)(x, parts).numpy(), peer.numpy(), name)


def images(*shape: int) -> dl.Tensor:
    return dl.ones(shape)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.cross_entropy(images(2, 3), [0, 3]), dl.DataError, r"labels\[1\] is 3, but there are 3 classes"),
        (lambda: F.cross_entropy(images(2, 3), [0, 3], weight=[1.0] * 3), dl.DataError, r"labels\[1\] is 3"),
        (lambda: F.cross_entropy(images(2, 3), [0, -1], ignore_index=-2), dl.DataError, r"labels\[1\] is -1"),
        (lambda: F.cross_entropy(images(2, 3), [0, 1], weight=[1.0]), dl.ShapeError, r"weight must have shape \(3,\)"),
        (lambda: F.cross_entropy(images(2, 3), [0, 1], label_smoothing=2.0), dl.ArgumentError, "to 1.0, got 2.0"),
        (lambda: F.cross_entropy(images(2, 3), [0, 1], "max"), dl.ArgumentError, "cross_entropy: reduction must be"),
        (lambda: F.cross_entropy(images(2, 3), [0.0, 1.0]), dl.DTypeError, "labels must be integers"),
        (lambda: F.cross_entropy(images(2, 3), [0.0, 1.0], ignore_index=1), dl.DTypeError, "labels must be integers"),
        (lambda: F.cross_entropy(images(2, 3), images(2, 2)), dl.ShapeError, r"probabilities of x's shape \(N, C\)"),
        (lambda: F.cross_entropy(images(2, 3), [[0, 1, 0]] * 2), dl.ShapeError, r"labels of shape \(N,\), got"),
        (lambda: F.cross_entropy(images(2, 3), images(2, 3), ignore_index=1), dl.ArgumentError, "is for class indices"),
        (lambda: F.nll_loss(images(2, 3), [0, 3]), dl.DataError, r"labels\[1\] is 3"),
        (lambda: F.nll_loss(images(2, 3), [0, 1], "max"), dl.ArgumentError, "nll_loss: reduction must be"),
        (lambda: F.kl_div(images(2, 3), images(3, 2)), dl.ShapeError, "kl_div: x and target must have one shape"),
        (lambda: F.kl_div(images(2), images(2), "max"), dl.ArgumentError, "kl_div: reduction must be"),
        (lambda: F.binary_cross_entropy(images(2), images(1)), dl.ShapeError, "binary_cross_entropy: x and target"),
        (lambda: F.huber_loss(images(2), images(2), delta=0.0), dl.ArgumentError, "delta must be a number above 0.0"),
        (lambda: F.l1_loss(images(2), 1.0), dl.ShapeError, "l1_loss: x and target must have one shape"),
        (lambda: F.conv1d(images(1, 2, 3, 4), images(1, 2, 3)), dl.ShapeError, r"conv1d: x must have axes \(N, C, L\)"),
        (lambda: F.conv1d(images(1, 2, 2), images(1, 2, 3)), dl.ShapeError, "conv2d: the output would be empty"),
        (lambda: F.conv_transpose1d(images(1, 2), images(2, 1, 3)), dl.ShapeError, "conv_transpose1d: x must"),
        (lambda: F.conv_transpose2d(images(1, 2, 3), images(2, 1, 3, 3)), dl.ShapeError, "conv_transpose2d: x must"),
        (lambda: F.conv_transpose2d(images(1, 2, 3, 3), images(3, 1, 3, 3)), dl.ShapeError, "but weight expects 3"),
        (
            lambda: F.conv_transpose2d(images(1, 2, 3, 3), images(2, 1, 3, 3), output_padding=1),
            dl.ArgumentError,
            "output_padding must be below the stride or the dilation",
        ),
        (
            lambda: F.conv_transpose2d(images(1, 2, 1, 1), images(2, 1, 3, 3), padding=2),
            dl.ShapeError,
            r"conv_transpose2d: an output of \(-1, -1\) has no cells",
        ),
        (
            lambda: F.conv_transpose2d(images(1, 2, 3, 3), images(2, 1, 3, 3), images(2)),
            dl.ShapeError,
            r"conv_transpose2d: bias must have shape \(1,\), got \(2,\)",
        ),
        (lambda: F.unfold(images(1, 2, 2, 2), 3), dl.ShapeError, "the output would be empty"),
        (lambda: F.fold(images(1, 7, 4), 3, 2), dl.ShapeError, r"fold: x must have axes \(N, C · 2 · 2, L\)"),
        (lambda: F.fold(images(1, 8, 5), 3, 2), dl.ShapeError, "fold: the window has 2 · 2 places"),
        (lambda: F.adaptive_avg_pool2d(images(2, 3), 1), dl.ShapeError, r"expected a tensor of shape \(N, C, H, W\)"),
        (lambda: F.adaptive_max_pool2d(images(1, 2, 3, 3), 0), dl.ArgumentError, "adaptive_max_pool2d: output_size"),
        (lambda: F.group_norm(images(2, 6, 3), 4), dl.ShapeError, "group_norm: num_groups=4 must divide the channels"),
        (lambda: F.group_norm(images(2, 6), 2, images(2)), dl.ShapeError, r"weight must have shape \(6,\), got \(2,\)"),
        (lambda: F.instance_norm(images(6)), dl.ShapeError, "must divide the channels"),
        (lambda: F.embedding(images(2), images(3, 2)), dl.DTypeError, "indices must be integers, got float32"),
    ],
)  # fmt: skip
def test_errors(backend: dl.backend.Backend, call: Callable[[], Any], error: type[Exception], message: str) -> None:
    if error is dl.DataError and not backend.is_host:
        pytest.skip("labels are not read on a device: that would wait for it")
    with pytest.raises(error, match=message):
        call()


def test_rows_outside_an_embedding_are_refused_on_the_host() -> None:
    with pytest.raises(dl.ShapeError, match="out of bounds"):
        F.embedding([3], images(3, 2))
