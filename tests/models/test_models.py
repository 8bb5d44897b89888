"""The models: shapes, parameter counts worked out by hand, training end to end, what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F
from dlcore import models, nn, optim

pytestmark = pytest.mark.usefixtures("one_thread")

#: The book's networks. The deep ones of the years after it have tests of their own, with fewer channels.
SMALL = ["perceptron", "mlp", "simple-convnet", "deep-convnet", "lenet-5"]

# Weights and biases, layer by layer.
COUNTS: list[tuple[str, tuple[int, ...], int, int]] = [
    ("perceptron", (1, 28, 28), 10, 784 * 10 + 10),
    ("perceptron", (3,), 2, 3 * 2 + 2),
    ("mlp", (1, 28, 28), 10, (784 * 100 + 100) + (100 * 10 + 10)),
    ("mlp", (64,), 3, (64 * 100 + 100) + (100 * 3 + 3)),
    # 28 - 4 = 24, pooled 12
    ("simple-convnet", (1, 28, 28), 10, (30 * 25 + 30) + (30 * 12 * 12 * 100 + 100) + (100 * 10 + 10)),
    # 8 - 4 = 4, pooled 2
    ("simple-convnet", (1, 8, 8), 10, (30 * 25 + 30) + (30 * 2 * 2 * 100 + 100) + (100 * 10 + 10)),
    # height 9 - 4 = 5, pooled 2; width 12 - 4 = 8, pooled 4
    ("simple-convnet", (3, 9, 12), 4, (30 * 75 + 30) + (30 * 2 * 4 * 100 + 100) + (100 * 4 + 4)),
    # 28, pooled 14, padded to 16, pooled 8, pooled 4
    (
        "deep-convnet",
        (1, 28, 28),
        10,
        (16 * 9 + 16)
        + (16 * 16 * 9 + 16)
        + (32 * 16 * 9 + 32)
        + (32 * 32 * 9 + 32)
        + (64 * 32 * 9 + 64)
        + (64 * 64 * 9 + 64)
        + (64 * 4 * 4 * 50 + 50)
        + (50 * 10 + 10),
    ),
    # height 8, 4, 6, 3, 1; width 11, 5, 7, 3, 1
    (
        "deep-convnet",
        (3, 8, 11),
        7,
        (16 * 27 + 16) + 2320 + 4640 + 9248 + 18496 + 36928 + (64 * 1 * 1 * 50 + 50) + (50 * 7 + 7),
    ),
    # 28, pooled 14, less 4 is 10, pooled 5
    (
        "lenet-5",
        (1, 28, 28),
        10,
        (6 * 25 + 6) + (16 * 6 * 25 + 16) + (16 * 5 * 5 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10),
    ),
]


@pytest.mark.parametrize(("name", "input_shape", "num_classes", "count"), COUNTS, ids=str)
def test_shapes_and_counts(
    backend: dl.backend.Backend, name: str, input_shape: tuple[int, ...], num_classes: int, count: int
) -> None:
    network = models.create(name, input_shape, num_classes)
    assert network.backend is backend
    assert sum(parameter.size for parameter in network.parameters()) == count
    assert network.summary(input_shape).parameters == count
    scores = network(dl.randn(2, *input_shape))
    assert scores.shape == (2, num_classes)
    F.cross_entropy(scores, [0, 1]).backward()
    assert all(parameter.grad.numpy().any() for parameter in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_a_few_steps_learn_a_few_images(backend: dl.backend.Backend, name: str) -> None:
    network = models.create(name, (1, 12, 12), 3)
    optimizer = optim.Adam(network.parameters(), lr=3e-3)
    x, labels = dl.randn(6, 1, 12, 12), [0, 1, 2] * 2
    before = F.cross_entropy(network.eval()(x), labels).item()
    network.train()
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()
    assert F.cross_entropy(network.eval()(x), labels).item() < 0.6 * before


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_fixes_the_initial_values(backend: dl.backend.Backend, name: str) -> None:
    made = []
    for seed in (1, 1, 2):
        dl.backend.seed(seed)
        made.append([parameter.numpy() for parameter in models.create(name, (1, 12, 12), 3).parameters()])
    assert all(np.array_equal(a, b) for a, b in zip(made[0], made[1], strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(made[0], made[2], strict=True))


def test_he_initial_values(backend: dl.backend.Backend) -> None:
    network = models.DeepConvNet((1, 28, 28), 10)
    for name, parameter in network.named_parameters():
        values = parameter.numpy()
        if name.endswith("bias"):
            assert not values.any()
        elif values.size > 2000:
            np.testing.assert_allclose(values.std(), np.sqrt(2 / nn.init.fans(parameter)[0]), rtol=0.1)


def test_the_books_layers(backend: dl.backend.Backend) -> None:
    network = models.DeepConvNet((1, 28, 28), 10, dropout=0.3)
    shapes = {row.name: row.output_shape for row in network.summary((1, 28, 28)).rows}
    assert shapes["conv2_2"] == ("N", 32, 16, 16)  # the one with a padding of 2
    assert shapes["pool3"] == ("N", 64, 4, 4)
    assert list(shapes)[-6:] == ["flatten", "hidden", "relu4", "dropout1", "output", "dropout2"]
    assert network[-1].p == 0.3


def test_hidden_layers_can_be_chosen(backend: dl.backend.Backend) -> None:
    network = models.MLP((4,), 2, hidden=(5, 6, 7))
    assert [p.shape for name, p in network.named_parameters() if "weight" in name] == [(5, 4), (6, 5), (7, 6), (2, 7)]
    assert list(models.MLP((4,), 2, hidden=()).state_dict()) == ["output.weight", "output.bias"]


def test_names_and_descriptions(backend: dl.backend.Backend) -> None:
    assert models.names() == [*SMALL, "vgg-11", "vgg-16", "resnet-18", "resnet-34"]
    for name in models.names():
        assert len(models.describe(name)) > 20


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: models.create("resnet-9000", (1, 8, 8), 10),
            "model: expected one of perceptron, .*, got 'resnet-9000'",
        ),
        (lambda: models.describe("x"), "model: expected one of"),
        (lambda: models.SimpleConvNet((1, 5, 28), 10), r"at least 6×6, got \(1, 5, 28\)"),
        (lambda: models.SimpleConvNet((784,), 10), r"SimpleConvNet: input_shape must be \(channels, height, width\)"),
        (lambda: models.DeepConvNet((1, 7, 7), 10), r"at least 8×8, got \(1, 7, 7\)"),
        (lambda: models.LeNet5((1, 8, 8), 10), r"LeNet5: .* at least 12×12, got \(1, 8, 8\)"),
        (lambda: models.DeepConvNet((1, 8, 8), 10, dropout=2.0), "p must be a probability"),
    ],
)
def test_errors(backend: dl.backend.Backend, make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(dl.ArgumentError, match=message):
        make()


def _trained(name: str, threads: int) -> list[np.ndarray]:
    before = dl.get_num_threads()
    dl.set_num_threads(threads)
    try:
        dl.backend.seed(0)
        network = models.create(name, (1, 28, 28), 10)
        optimizer = dl.optim.Adam(network.parameters())
        images, labels = dl.rand(20, 1, 28, 28), dl.backend.asarray(np.arange(20) % 10)
        for _ in range(3):
            optimizer.zero_grad()
            dl.functional.cross_entropy(network(images), labels).backward()
            optimizer.step()
        return [parameter.numpy() for parameter in network.parameters()]
    finally:
        dl.set_num_threads(before)


@pytest.mark.parametrize("name", SMALL)
def test_training_does_not_depend_on_the_number_of_threads(backend: dl.backend.Backend, name: str) -> None:
    expected = _trained(name, 1)
    for threads in (1, 2, 3) if backend.is_host else (1,):  # a device has threads of its own: it repeats itself
        for actual, wanted in zip(_trained(name, threads), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
