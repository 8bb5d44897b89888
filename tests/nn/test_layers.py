"""Layers: against PyTorch's of the same names with the same weights, and what each says of itself and refuses."""

import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F
from dlcore import nn, optim
from tests.tolerances import assert_close

IMAGES, VECTORS = (3, 4, 7, 6), (5, 4)

#: class, arguments (by position, as in PyTorch), keywords, input shape
LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Linear", (4, 3), {}, VECTORS),
    ("Linear", (4, 3, False), {}, (2, 5, 4)),
    ("Conv2d", (4, 6, 3), {}, IMAGES),
    ("Conv2d", (4, 6, (3, 2), (1, 2), (2, 1), (1, 2), 2, False), {}, IMAGES),
    ("Conv2d", (4, 8, 3), {"padding": "same", "groups": 4}, IMAGES),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("MaxPool2d", (3, 2, 1), {"ceil_mode": True, "dilation": 2}, IMAGES),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", (3, 2, 1, True, False), {}, IMAGES),
    ("BatchNorm1d", (4,), {}, VECTORS),
    ("BatchNorm1d", (4, 1e-3, 0.3), {}, (5, 4, 3)),
    ("BatchNorm2d", (4,), {}, IMAGES),
    ("LayerNorm", (4,), {}, VECTORS),
    ("LayerNorm", ((7, 6), 1e-3, True, False), {}, IMAGES),
    ("LayerNorm", (4,), {"elementwise_affine": False}, (2, 5, 4)),
    ("ReLU", (), {}, VECTORS),
    ("Sigmoid", (), {}, VECTORS),
    ("Tanh", (), {}, VECTORS),
    ("Softmax", (1,), {}, VECTORS),
    ("LogSoftmax", (0,), {}, VECTORS),
    ("Flatten", (), {}, IMAGES),
    ("Identity", (), {}, VECTORS),
    ("LeakyReLU", (0.2,), {}, VECTORS),
    ("ELU", (0.7,), {}, VECTORS),
    ("SELU", (), {}, VECTORS),
    ("GELU", (), {}, VECTORS),
    ("SiLU", (), {}, VECTORS),
    ("Hardswish", (), {}, VECTORS),
    ("Softplus", (), {}, VECTORS),
    ("Conv1d", (4, 6, 3), {}, (2, 4, 7)),
    ("Conv1d", (4, 6, 3, 2, 1, 2, 2, False), {}, (2, 4, 7)),
    ("ConvTranspose1d", (4, 6, 3), {}, (2, 4, 5)),
    ("ConvTranspose1d", (4, 6, 3, 3, 1, 2, 2, False, 2), {}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {}, IMAGES),
    ("ConvTranspose2d", (4, 6, (3, 2), (2, 3), 1, (1, 2), 2, False, (1, 2)), {}, IMAGES),
    ("GroupNorm", (2, 4), {}, IMAGES),
    ("GroupNorm", (4, 4, 1e-3, False), {}, (2, 4, 5)),
    ("InstanceNorm2d", (4,), {}, IMAGES),
    ("InstanceNorm2d", (4, 1e-3), {"affine": True}, IMAGES),
    ("AdaptiveAvgPool2d", (2,), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((7, 3),), {}, IMAGES),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, IMAGES),
]


@pytest.mark.parametrize(("name", "arguments", "keywords", "shape"), LAYERS, ids=str)
def test_like_torch(
    backend: dl.backend.Backend,
    torch: ModuleType,
    name: str,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    shape: tuple[int, ...],
) -> None:
    """Outputs, gradients and running statistics, over two steps of training and one of evaluation."""
    ours = getattr(nn, name)(*arguments, **keywords)
    theirs = getattr(torch.nn, name)(*arguments, **keywords)
    weights = {key: torch.tensor(dl.backend.to_numpy(array)) for key, array in ours.state_dict().items()}
    counters = {key: value for key, value in theirs.state_dict().items() if key.endswith("num_batches_tracked")}
    theirs.load_state_dict(weights | counters)

    for training in (True, True, False):
        x = dl.randn(*shape, requires_grad=True)
        peer_x = torch.tensor(x.numpy(), requires_grad=True)
        y, peer_y = ours.train(training)(x), theirs.train(training)(peer_x)
        slopes = dl.randn(*y.shape)
        y.backward(slopes)
        peer_y.backward(torch.tensor(slopes.numpy()))
        assert_close(y.numpy(), peer_y.detach().numpy(), "output")
        assert_close(x.grad.numpy(), peer_x.grad.numpy(), "input gradient")
    for (key, parameter), peer in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(parameter.grad.numpy(), peer.grad.numpy(), f"gradient of {key}")
    for key, array in ours.state_dict().items():
        assert_close(dl.backend.to_numpy(array), theirs.state_dict()[key].numpy(), key)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (lambda: nn.Conv2d(4, 6, 3, padding=((0, 1), (2, 0))), IMAGES, (3, 6, 6, 6)),
        (lambda: nn.Conv2d(4, 6, 3, padding="valid"), IMAGES, (3, 6, 5, 4)),
        (nn.GlobalAvgPool2d, IMAGES, (3, 4, 1, 1)),
        (nn.GlobalMaxPool2d, IMAGES, (3, 4, 1, 1)),
        (nn.Dropout, VECTORS, VECTORS),
        (nn.Flatten, (0, 2, 3), (0, 6)),
        (lambda: nn.Linear(4, 0), VECTORS, (5, 0)),
    ],
)
def test_output_shapes(
    backend: dl.backend.Backend, layer: Callable[[], nn.Module], shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert layer()(dl.randn(*shape)).shape == expected


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (lambda: nn.Linear(4, 3, bias=False), "Linear(4, 3, bias=False)"),
        (
            lambda: nn.Conv2d(4, 6, 3, 2, "same", (1, 2), 2, bias=False),
            "Conv2d(4, 6, kernel_size=(3, 3), stride=2, padding='same', dilation=(1, 2), groups=2, bias=False)",
        ),
        (lambda: nn.MaxPool2d(3, 2, 1), "MaxPool2d(3, stride=2, padding=1)"),
        (lambda: nn.AvgPool2d(2), "AvgPool2d(2)"),
        (lambda: nn.BatchNorm2d(4), "BatchNorm2d(4, eps=1e-05, momentum=0.1)"),
        (lambda: nn.Dropout(0.2), "Dropout(0.2)"),
        (lambda: nn.MSELoss("sum"), "MSELoss(reduction='sum')"),
        (lambda: nn.LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
        (lambda: nn.ELU(), "ELU(alpha=1.0)"),
        (lambda: nn.Conv1d(4, 6, 3, padding="same"), "Conv1d(4, 6, kernel_size=(3,), padding='same')"),
        (lambda: nn.ConvTranspose1d(4, 6, 3, bias=False), "ConvTranspose1d(4, 6, kernel_size=(3,), bias=False)"),
        (
            lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, dilation=3),
            "ConvTranspose2d(4, 6, kernel_size=(3, 3), stride=2, padding=1, output_padding=1, groups=2, dilation=3)",
        ),
        (lambda: nn.LayerNorm((2, 3)), "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True)"),
        (lambda: nn.GroupNorm(2, 4), "GroupNorm(2, 4, eps=1e-05, affine=True)"),
        (lambda: nn.InstanceNorm2d(4), "InstanceNorm2d(4, eps=1e-05, affine=False)"),
        (lambda: nn.AdaptiveAvgPool2d((2, 3)), "AdaptiveAvgPool2d((2, 3))"),
        (lambda: nn.AdaptiveMaxPool2d(2), "AdaptiveMaxPool2d(2)"),
        (lambda: nn.Embedding(10, 3), "Embedding(10, 3)"),
    ],
)
def test_repr(backend: dl.backend.Backend, layer: Callable[[], nn.Module], text: str) -> None:
    assert repr(layer()) == text


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Linear(4, 3)(dl.ones((2, 5))), dl.ShapeError, "linear: x has 5 features but weight expects 4"),
        (lambda: nn.Conv2d(4, 6, 3, groups=3), dl.ArgumentError, "Conv2d: .* multiples of groups, got in_channels=4"),
        (lambda: nn.Conv2d(0, 6, 3), dl.ArgumentError, "Conv2d: in_channels and out_channels must be positive"),
        (lambda: nn.Conv2d(4, 6, 0), dl.ArgumentError, "Conv2d: kernel_size must be"),
        (lambda: nn.Conv2d(4, 6, 3)(dl.ones((1, 3, 5, 5))), dl.ShapeError, "conv2d: x has 3 channels"),
        (lambda: nn.Conv2d(4, 6, 3, stride=0)(dl.ones((1, 4, 5, 5))), dl.ArgumentError, "conv2d: stride must be"),
        (lambda: nn.MaxPool2d(5)(dl.ones((1, 4, 3, 3))), dl.ShapeError, "max_pool2d: the output would be empty"),
        (lambda: nn.BatchNorm1d(4)(dl.ones((2, 5))), dl.ShapeError, r"BatchNorm1d: expected \(N, C\) or .* with C = 4"),
        (lambda: nn.BatchNorm2d(4)(dl.ones((2, 4))), dl.ShapeError, r"\(N, C, H, W\) with .*, got shape \(2, 4\)"),
        (lambda: nn.Dropout(1.5), dl.ArgumentError, "Dropout: p must be a probability from 0 to 1, got 1.5"),
        (lambda: nn.Conv1d(4, 6, 3, groups=3), dl.ArgumentError, "Conv1d: .* multiples of groups, got in_channels=4"),
        (lambda: nn.Conv1d(4, 6, 0), dl.ArgumentError, "Conv1d: kernel_size must be"),
        (lambda: nn.ConvTranspose2d(4, 6, 3, groups=3), dl.ArgumentError, "ConvTranspose2d: .* multiples of groups"),
        (lambda: nn.GroupNorm(3, 4), dl.ArgumentError, "GroupNorm: num_channels must be a positive multiple"),
        (lambda: nn.GroupNorm(2, 4)(dl.ones((2, 6))), dl.ShapeError, r"GroupNorm: expected \(N, C, …\) with C = 4"),
        (lambda: nn.InstanceNorm2d(4)(dl.ones((2, 4))), dl.ShapeError, r"InstanceNorm2d: expected \(N, C, H, W\)"),
        (lambda: nn.Embedding(0, 3), dl.ArgumentError, "Embedding: num_embeddings must be an int of at least 1, got 0"),
        (lambda: nn.MSELoss("max")(dl.ones(1), dl.ones(1)), dl.ArgumentError, "mse_loss: reduction must be"),
    ],
)  # fmt: skip
def test_errors(backend: dl.backend.Backend, call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("loss", "function"),
    [
        (nn.CrossEntropyLoss, F.cross_entropy),
        (nn.NLLLoss, F.nll_loss),
        (nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits),
        (nn.BCELoss, F.binary_cross_entropy),
        (nn.KLDivLoss, F.kl_div),
        (nn.MSELoss, F.mse_loss),
        (nn.L1Loss, F.l1_loss),
        (nn.HuberLoss, F.huber_loss),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_modules_are_the_functions(
    backend: dl.backend.Backend, loss: Any, function: Callable[..., dl.Tensor], reduction: str
) -> None:
    x = dl.rand(3, 4)
    target = [0, 3, 1] if loss in (nn.CrossEntropyLoss, nn.NLLLoss) else dl.rand(3, 4)
    np.testing.assert_array_equal(loss(reduction)(x, target).numpy(), function(x, target, reduction).numpy())
    np.testing.assert_array_equal(loss()(x, target).numpy(), function(x, target).numpy())


def test_loss_modules_hand_on_their_options(backend: dl.backend.Backend) -> None:
    x, labels, weight = dl.randn(3, 4), [0, 3, 1], [1.0, 2.0, 0.5, 3.0]
    options: dict[str, Any] = {"ignore_index": 3, "label_smoothing": 0.1}
    loss = nn.CrossEntropyLoss("sum", weight=weight, **options)
    expected = F.cross_entropy(x, labels, "sum", weight=weight, **options)
    np.testing.assert_array_equal(loss(x, labels).numpy(), expected.numpy())
    assert loss.astype("float64").weight.dtype == "float64"
    assert loss.parameters() == []
    y = dl.randn(3, 4)
    np.testing.assert_array_equal(nn.HuberLoss(delta=0.3)(x, y).numpy(), F.huber_loss(x, y, delta=0.3).numpy())


def test_an_embedding_is_its_rows(backend: dl.backend.Backend) -> None:
    layer = nn.Embedding(5, 3)
    indices = dl.tensor([[4, 0], [4, 2]], dtype="int64")
    y = layer(indices)
    np.testing.assert_array_equal(y.numpy(), layer.weight.numpy()[indices.numpy()])
    y.sum().backward()
    assert layer.weight.grad.numpy()[:, 0].tolist() == [1.0, 0.0, 1.0, 0.0, 2.0]


# ---- layers that behave differently in training ----------------------------------------------------------------------


def test_dropout_drops_in_training_only(backend: dl.backend.Backend) -> None:
    layer, x = nn.Dropout(0.3), dl.ones(10_000)
    dropped = (layer(x).numpy() == 0).mean()
    assert abs(dropped - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 10_000)
    assert layer.eval()(x) is x


def test_running_statistics_find_the_datas(backend: dl.backend.Backend) -> None:
    layer = nn.BatchNorm1d(2, momentum=0.05)
    std, mean = dl.tensor([1.0, 3.0]), dl.tensor([0.0, 2.0])
    with dl.no_grad():
        for _ in range(200):
            layer(dl.randn(64, 2) * std + mean)
    np.testing.assert_allclose(layer.running_mean.numpy(), [0, 2], atol=0.2)
    np.testing.assert_allclose(layer.running_var.numpy(), [1, 9], rtol=0.1)
    y = layer.eval()(dl.randn(10_000, 2) * std + mean).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=0.15)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=0.1)


def test_evaluation_does_not_move_them(backend: dl.backend.Backend) -> None:
    layer = nn.BatchNorm2d(2).eval()
    layer(dl.randn(4, 2, 3, 3))
    assert layer.running_mean.numpy().tolist() == [0.0, 0.0]
    assert layer.running_var.numpy().tolist() == [1.0, 1.0]


def test_they_are_noticed_as_a_change_by_a_graph_of_evaluation(backend: dl.backend.Backend) -> None:
    layer = nn.BatchNorm1d(2)
    y = layer.eval()(dl.randn(4, 2)).sum()
    layer.train()(dl.randn(4, 2))
    with pytest.raises(dl.GraphError, match="modified in place"):
        y.backward()


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_packed_weights_of_inference_follow_every_change(backend: dl.backend.Backend, kernel_size: int) -> None:
    layer = nn.Conv2d(16, 16, kernel_size, padding=1)
    x = dl.randn(2, 16, 12, 12)

    def infer() -> np.ndarray:
        with dl.no_grad():
            return layer(x).numpy()

    def expected() -> np.ndarray:
        return F.conv2d(x, dl.tensor(layer.weight.numpy()), layer.bias, padding=1).numpy()

    np.testing.assert_array_equal(infer(), infer())
    nn.init.normal_(layer.weight)
    np.testing.assert_array_equal(infer(), expected())
    layer(x).sum().backward()
    optim.SGD(layer.parameters(), lr=1.0).step()
    np.testing.assert_array_equal(infer(), expected())
    layer.load_state_dict({name: array + 1 for name, array in layer.state_dict().items()})
    np.testing.assert_array_equal(infer(), expected())
    layer.weight.data = layer.weight.data * 2
    np.testing.assert_array_equal(infer(), expected())
    assert pickle.loads(pickle.dumps(layer.weight)).version._kept is None  # it holds for this processor only


def test_one_weight_under_different_options_in_inference(backend: dl.backend.Backend) -> None:
    weight, narrow = dl.randn(8, 4, 5, 5), dl.randn(1, 16, 3, 3)
    four, eight, sixteen = dl.randn(2, 4, 9, 9), dl.randn(2, 8, 9, 9), dl.randn(2, 16, 9, 9)
    calls = [
        lambda: F.conv2d(four, weight),
        lambda: F.conv2d(eight, weight, groups=2),
        lambda: F.conv2d(sixteen, narrow),
        lambda: F.conv2d(sixteen, narrow, dilation=2),
        lambda: F.conv2d(four, weight.data),
    ]
    expected = [call().numpy() for call in calls]
    with dl.no_grad():
        for _ in range(2):
            for call, wanted in zip(calls, expected, strict=True):
                np.testing.assert_array_equal(call().numpy(), wanted)
