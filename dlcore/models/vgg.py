"""VGG: deep stacks of 3×3 convolutions, under torchvision's parameter names."""

from typing import Literal

from dlcore import nn
from dlcore.models.convnet import image_shape
from dlcore.tensor import Tensor
from kernels import options
from kernels.errors import ArgumentError

#: Images from this size on get the layers of the paper; smaller ones the lighter form that suits them.
IMAGENET_SIZE = 64

#: How many convolutions stand before each of the five pools.
_BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

Head = Literal["imagenet", "small"]


class VGG(nn.Module):
    """Five blocks of 3×3 convolutions with ReLU, each halved by a pool, then affine layers.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: how many scores.
        depth: 11, 13, 16 or 19 layers with weights.
        batch_norm: normalize after each convolution.
        head: "imagenet": averages of 7×7 parts and three affine layers with dropout, as in the paper; "small": the
            average of all, and one affine layer; by default "imagenet" for images from 64×64. Pools that would halve a
            single row or column are left out.
        width: channels of the first block; the paper's is 64, the last block has eight times as many.
        hidden: neurons of the two hidden affine layers of the head "imagenet".

    Source: Simonyan and Zisserman, arXiv:1409.1556.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        depth: int = 16,
        batch_norm: bool = False,
        *,
        head: Head | None = None,
        width: int = 64,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        channels, height, columns = image_shape(name, input_shape, least=1)
        options.choice(name, "head", head, (None, "imagenet", "small"))
        batch_norm = options.flag(name, "batch_norm", batch_norm)
        options.whole(name, "width", width, least=1)
        options.whole(name, "hidden", hidden, least=1)
        if options.whole(name, "depth", depth) not in _BLOCKS:
            raise ArgumentError(f"{name}: expected depth of {' or '.join(map(str, _BLOCKS))}, got depth={depth}")
        small = min(height, columns) < IMAGENET_SIZE if head is None else head == "small"
        layers: list[nn.Module] = []
        side = min(height, columns)
        for block, count in enumerate(_BLOCKS[depth]):
            width_out = width * min(2**block, 8)
            for _ in range(count):
                layers.append(_convolution(channels, width_out))
                layers += [nn.BatchNorm2d(width_out), nn.ReLU()] if batch_norm else [nn.ReLU()]
                channels = width_out
            layers.append(nn.MaxPool2d(2) if side > 1 else nn.Identity())  # the numbers of later layers stay
            side = max(side // 2, 1)
        self.features = nn.Sequential(*layers)
        if small:
            self.avgpool: nn.Module = nn.GlobalAvgPool2d()
            self.classifier = nn.Sequential(nn.Linear(channels, num_classes))
        else:
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
            self.classifier = nn.Sequential(
                *(nn.Linear(channels * 49, hidden), nn.ReLU(), nn.Dropout()),
                *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout()),
                nn.Linear(hidden, num_classes),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, num_classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


class VGG11(VGG):
    """VGG of 11 layers: 8 3×3 convolutions in five pooled blocks, then affine ones."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, batch_norm: bool = False) -> None:
        super().__init__(input_shape, num_classes, 11, batch_norm)


class VGG16(VGG):
    """VGG of 16 layers: 13 3×3 convolutions in five pooled blocks, then affine ones."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, batch_norm: bool = False) -> None:
        super().__init__(input_shape, num_classes, 16, batch_norm)


def _convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size; He initial weights, zero bias."""
    with nn.init.skipped():
        layer = nn.Conv2d(in_channels, out_channels, 3, padding=1)  # its bias stays 0
    nn.init.he_normal_(layer.weight)
    return layer
