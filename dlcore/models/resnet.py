"""ResNet: blocks that learn what to add to their input, under torchvision's parameter names."""

from collections.abc import Sequence
from typing import Literal

from dlcore import functional as F
from dlcore import nn
from dlcore.models.convnet import image_shape
from dlcore.models.vgg import IMAGENET_SIZE
from dlcore.tensor import Tensor
from kernels import options
from kernels.errors import ArgumentError

#: In one stage; the deepest ResNet of the paper has 202 blocks in all.
_MOST_BLOCKS = 1000

Stem = Literal["imagenet", "small"]


class BasicBlock(nn.Module):
    """relu(f(x) + x), where f is two 3×3 convolutions with batch norm; a 1×1 convolution brings x to f's shape.

    Args:
        in_channels: C of the input.
        out_channels: of the output.
        stride: of the first convolution: 2 halves the image.

    Source: He et al., arXiv:1512.03385, figure 2 and section 3.3, option B.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, out_channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.conv2 = _convolution(out_channels, out_channels, 3)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                _convolution(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(nn.in_sequence(x, self.conv1, self.bn1, self.relu, self.conv2, self.bn2) + shortcut)


class ResNet(nn.Module):
    """A stem, four stages of basic blocks, each but the first halving the image, then the average and one affine layer.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: how many scores.
        blocks: how many stand in each stage: (2, 2, 2, 2) makes 18 layers, (3, 4, 6, 3) 34.
        stem: "imagenet": a 7×7 convolution and a pool, which quarter the image, as in the paper; "small": one 3×3
            convolution, as its section 4.2 has for CIFAR; by default "imagenet" for images from 64×64.
        width: channels of the first stage, 64 in the paper; each further one has twice as many.

    Source: He et al., "Deep residual learning for image recognition" (arXiv:1512.03385).
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        blocks: Sequence[int] = (2, 2, 2, 2),
        *,
        stem: Stem | None = None,
        width: int = 64,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        channels, height, columns = image_shape(name, input_shape, least=1)
        options.choice(name, "stem", stem, (None, "imagenet", "small"))
        options.whole(name, "width", width, least=1)
        blocks = options.items(name, "blocks", blocks, "ints")
        if len(blocks) != 4:
            raise ArgumentError(f"{name}: expected four positive counts of blocks, got blocks={tuple(blocks)}")
        for count in blocks:
            options.whole(name, "each count of blocks", count, least=1, most=_MOST_BLOCKS)
        small = min(height, columns) < IMAGENET_SIZE if stem is None else stem == "small"
        self.conv1 = _convolution(channels, width, 3) if small else _convolution(channels, width, 7, 2)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool: nn.Module = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(width, width, blocks[0], 1)
        self.layer2 = _stage(width, 2 * width, blocks[1], 2)
        self.layer3 = _stage(2 * width, 4 * width, blocks[2], 2)
        self.layer4 = _stage(4 * width, 8 * width, blocks[3], 2)
        self.avgpool = nn.GlobalAvgPool2d()
        self.fc = nn.Linear(8 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, num_classes)."""
        x = nn.in_sequence(x, self.conv1, self.bn1, self.relu, self.maxpool)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class ResNet18(ResNet):
    """ResNet of 18 layers: a stem, 8 residual blocks of two 3×3 convolutions, one affine layer."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(input_shape, num_classes, (2, 2, 2, 2))


class ResNet34(ResNet):
    """ResNet of 34 layers: a stem, 16 residual blocks of two 3×3 convolutions, one affine layer."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(input_shape, num_classes, (3, 4, 6, 3))


def _stage(in_channels: int, out_channels: int, count: int, stride: int) -> nn.Sequential:
    rest = (BasicBlock(out_channels, out_channels) for _ in range(count - 1))
    return nn.Sequential(BasicBlock(in_channels, out_channels, stride), *rest)


def _convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """Without a bias, since batch norm follows; padded so that stride 1 keeps the size; He initial weights."""
    with nn.init.skipped():
        layer = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.he_normal_(layer.weight)
    return layer
