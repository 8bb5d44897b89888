"""VGG and ResNet: torchvision's names and shapes, PyTorch's logits from the same file, and that they learn."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import dlcore as dl
from dlcore import functional as F
from dlcore import models, nn, optim

pytestmark = pytest.mark.usefixtures("one_thread")


# ---- the same networks from PyTorch's own modules, with torchvision's names ------------------------------------------


def torch_resnet(torch: ModuleType, blocks: tuple[int, ...], width: int, num_classes: int, small: bool) -> Any:
    """As torchvision's resnet.py builds it; `small` is its usual change for CIFAR."""
    layers = torch.nn

    def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> Any:
        return layers.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)

    class BasicBlock(layers.Module):  # type: ignore[name-defined, misc]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = convolution(inputs, outputs, 3, stride)
            self.bn1 = layers.BatchNorm2d(outputs)
            self.conv2 = convolution(outputs, outputs, 3)
            self.bn2 = layers.BatchNorm2d(outputs)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = layers.Sequential(
                    convolution(inputs, outputs, 1, stride), layers.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
            return (y + (x if self.downsample is None else self.downsample(x))).relu()

    class ResNet(layers.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = convolution(3, width, 3) if small else convolution(3, width, 7, 2)
            self.bn1 = layers.BatchNorm2d(width)
            self.maxpool = layers.Identity() if small else layers.MaxPool2d(3, 2, 1)
            channels = width
            for number, count in enumerate(blocks):
                stage = []
                for position in range(count):
                    outputs = width * 2**number
                    stage.append(BasicBlock(channels, outputs, 2 if number and not position else 1))
                    channels = outputs
                setattr(self, f"layer{number + 1}", layers.Sequential(*stage))
            self.fc = layers.Linear(channels, num_classes)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.bn1(self.conv1(x)).relu())
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return ResNet()


def torch_vgg(torch: ModuleType, plan: list[Any], batch_norm: bool, hidden: int, num_classes: int) -> Any:
    """As torchvision's vgg.py builds it, from a plan of channels and "M" for a pool."""
    layers = torch.nn

    class VGG(layers.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            features, channels = [], 3
            for item in plan:
                if item == "M":
                    features.append(layers.MaxPool2d(2, 2))
                    continue
                features.append(layers.Conv2d(channels, item, 3, padding=1))
                features += [layers.BatchNorm2d(item), layers.ReLU()] if batch_norm else [layers.ReLU()]
                channels = item
            self.features = layers.Sequential(*features)
            self.avgpool = layers.AdaptiveAvgPool2d((7, 7))
            self.classifier = layers.Sequential(
                *(layers.Linear(channels * 49, hidden), layers.ReLU(), layers.Dropout()),
                *(layers.Linear(hidden, hidden), layers.ReLU(), layers.Dropout()),
                layers.Linear(hidden, num_classes),
            )

        def forward(self, x: Any) -> Any:
            return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))

    return VGG()


def randomize(torch: ModuleType, network: Any) -> None:
    """Weights that keep the size of what passes through, and statistics that are not the first ones."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
                value.uniform_(0.5, 1.5)
            elif name.endswith(("bias", "running_mean")):
                value.normal_(0.0, 0.1)
            elif value.is_floating_point():
                value.normal_(0.0, (2.0 / value[0].numel()) ** 0.5)


def compare(torch: ModuleType, ours: nn.Module, theirs: Any, shape: tuple[int, ...], folder: Path) -> None:
    """Write PyTorch's weights to a file, all of them; load it; the logits agree to 1e-4 of their scale."""
    randomize(torch, theirs)
    weights = {name: value.numpy() for name, value in theirs.state_dict().items()}
    save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, folder / "weights.safetensors")
    own = {name: array.shape for name, array in ours.state_dict().items()}
    assert own == {name: value.shape for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    dl.load(ours, folder / "weights.safetensors")
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    with dl.no_grad(), torch.no_grad():
        expected = theirs.eval()(torch.tensor(x)).numpy()
        found = ours.eval()(dl.tensor(x)).numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize(
    ("blocks", "stem", "size"),
    [((2, 2, 2, 2), "imagenet", 64), ((2, 2, 2, 2), "small", 16), ((3, 4, 6, 3), "small", 9)],
    ids=["18-imagenet", "18-small", "34-small"],
)
def test_resnet_has_pytorchs_logits(
    backend: dl.backend.Backend, torch: ModuleType, tmp_path: Path, blocks: tuple[int, ...], stem: Any, size: int
) -> None:
    ours = models.ResNet((3, size, size), 5, blocks, stem=stem, width=8)
    compare(torch, ours, torch_resnet(torch, blocks, 8, 5, stem == "small"), (3, size, size), tmp_path)


@pytest.mark.parametrize(("depth", "batch_norm"), [(11, False), (11, True), (16, False), (16, True)])
def test_vgg_has_pytorchs_logits(
    backend: dl.backend.Backend, torch: ModuleType, tmp_path: Path, depth: int, batch_norm: bool
) -> None:
    counts = {11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}[depth]
    plan = [item for n, w in zip(counts, (4, 8, 16, 32, 32), strict=True) for item in (*[w] * n, "M")]
    ours = models.VGG((3, 64, 64), 5, depth, batch_norm, width=4, hidden=20)
    compare(torch, ours, torch_vgg(torch, plan, batch_norm, 20, 5), (3, 64, 64), tmp_path)


@pytest.mark.slow
def test_a_whole_resnet_18_has_pytorchs_logits(backend: dl.backend.Backend, torch: ModuleType, tmp_path: Path) -> None:
    with nn.init.skipped():
        ours = models.ResNet18((3, 64, 64), 1000)
    compare(torch, ours, torch_resnet(torch, (2, 2, 2, 2), 64, 1000, False), (3, 64, 64), tmp_path)


# ---- by themselves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "count"),
    [
        # What torchvision's documentation says of its models.
        (lambda: models.ResNet18((3, 224, 224), 1000), 11_689_512),
        (lambda: models.ResNet34((3, 224, 224), 1000), 21_797_672),
        (lambda: models.VGG11((3, 224, 224), 1000), 132_863_336),
        (lambda: models.VGG11((3, 224, 224), 1000, batch_norm=True), 132_868_840),
        (lambda: models.VGG16((3, 224, 224), 1000), 138_357_544),
        (lambda: models.VGG16((3, 224, 224), 1000, batch_norm=True), 138_365_992),
    ],
    ids=["resnet-18", "resnet-34", "vgg-11", "vgg-11-bn", "vgg-16", "vgg-16-bn"],
)
def test_counts_of_parameters(make: Callable[[], nn.Module], count: int) -> None:
    with nn.init.skipped():
        network = make()
    assert sum(parameter.size for parameter in network.parameters()) == count


def test_names(backend: dl.backend.Backend) -> None:
    names = list(models.ResNet((3, 32, 32), 10, width=4).state_dict())
    assert names[:6] == ["conv1.weight", *(f"bn1.{part}" for part in ("weight", "bias", "running_mean", "running_var")),
                         "layer1.0.conv1.weight"]  # fmt: skip
    assert "layer2.0.downsample.1.running_var" in names
    assert names[-2:] == ["fc.weight", "fc.bias"]
    small = models.VGG((1, 8, 8), 10, 11, width=4)
    large = models.VGG((1, 64, 64), 10, 11, width=4, hidden=8)
    features = [[name for name in net.state_dict() if name.startswith("features")] for net in (small, large)]
    assert features[0] == features[1]
    assert features[0][-1] == "features.18.bias"


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: models.ResNet((1, 8, 8), 3, (1, 1, 1, 1), width=4),
    "resnet-imagenet": lambda: models.ResNet((1, 8, 8), 3, (1, 1, 1, 1), stem="imagenet", width=4),
    "vgg": lambda: models.VGG((1, 8, 8), 3, 11, batch_norm=True, width=4),
    "vgg-imagenet": lambda: models.VGG((1, 8, 8), 3, 11, head="imagenet", width=8, hidden=64),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_few_steps_learn_a_few_images(backend: dl.backend.Backend, make: Callable[[], nn.Module]) -> None:
    network = make()
    optimizer = optim.Adam(network.parameters(), lr=3e-3)
    x, labels = dl.randn(6, 1, 8, 8), [0, 1, 2] * 2
    before = F.cross_entropy(network(x), labels).item()
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()
    assert F.cross_entropy(network.eval()(x), labels).item() < 0.6 * before


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_seed_fixes_the_initial_values(backend: dl.backend.Backend, make: Callable[[], nn.Module]) -> None:
    made = []
    for seed in (1, 1, 2):
        dl.backend.seed(seed)
        made.append([parameter.numpy() for parameter in make().parameters()])
    assert all(np.array_equal(a, b) for a, b in zip(made[0], made[1], strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(made[0], made[2], strict=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: models.ResNet((3, 8), 10), r"ResNet: input_shape must be \(channels, height, width\)"),
        (lambda: models.ResNet((3, 8, 8), 10, (2, 2)), r"ResNet: expected four positive counts .* blocks=\(2, 2\)"),
        (lambda: models.ResNet((3, 8, 8), 10, stem="cifar"), 'ResNet: stem must be None, "imagenet" or "small", got'),
        (lambda: models.VGG((3, 8, 8), 10, 12), "VGG: expected depth of 11 or 13 or 16 or 19, got depth=12"),
        (lambda: models.VGG((3, 8, 8), 10, width=0), "VGG: width must be an int of at least 1, got 0"),
    ],
)
def test_errors(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(dl.ArgumentError, match=message):
        make()
