"""The book's convolutional networks; chapters 7 and 8."""

from dlcore import nn
from dlcore.models.perceptron import affine
from kernels import options
from kernels.errors import ArgumentError


class SimpleConvNet(nn.Sequential):
    """conv 30@5×5 - ReLU - pool - affine 100 - ReLU - affine: chapter 7.

    Args:
        input_shape: (C, H, W) of one image, at least 6×6.
        num_classes: how many scores.
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        channels, height, width = image_shape("SimpleConvNet", input_shape, least=6)
        height, width = (height - 4) // 2, (width - 4) // 2
        super().__init__(
            {
                "conv1": convolution(channels, 30, 5, padding=0),
                "relu1": nn.ReLU(),
                "pool1": nn.MaxPool2d(2),
                "flatten": nn.Flatten(),
                "hidden": affine(30 * height * width, 100),
                "relu2": nn.ReLU(),
                "output": affine(100, num_classes),
            }
        )


class DeepConvNet(nn.Sequential):
    """Six 3×3 convolutions in three pooled pairs, then two affine layers with dropout: chapter 8.

    conv16 - ReLU - conv16 - ReLU - pool, conv32 - ReLU - conv32 (padding 2) - ReLU - pool, conv64 - ReLU - conv64 -
    ReLU - pool, affine 50 - ReLU - dropout - affine - dropout. The wider padding brings 28×28 images to an even size
    before the last pool. The book's softmax is part of the loss.

    Args:
        input_shape: (C, H, W) of one image, at least 8×8.
        num_classes: how many scores.
        dropout: the probability of both dropouts.
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, dropout: float = 0.5) -> None:
        channels, height, width = image_shape("DeepConvNet", input_shape, least=8)
        layers: dict[str, nn.Module] = {}
        for block, (width_out, last_padding) in enumerate(((16, 1), (32, 2), (64, 1)), start=1):
            for number, padding in ((1, 1), (2, last_padding)):
                layers[f"conv{block}_{number}"] = convolution(channels, width_out, 3, padding=padding)
                layers[f"relu{block}_{number}"] = nn.ReLU()
                channels = width_out
            layers[f"pool{block}"] = nn.MaxPool2d(2)
            grown = 2 * (last_padding - 1)
            height, width = (height + grown) // 2, (width + grown) // 2
        layers |= {
            "flatten": nn.Flatten(),
            "hidden": affine(channels * height * width, 50),
            "relu4": nn.ReLU(),
            "dropout1": nn.Dropout(dropout),
            "output": affine(50, num_classes),
            "dropout2": nn.Dropout(dropout),
        }
        super().__init__(layers)


def convolution(in_channels: int, out_channels: int, kernel_size: int, padding: int) -> nn.Conv2d:
    """A convolution with He initial weights and zero bias, as the book initializes them."""
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding)
    nn.init.he_normal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def image_shape(model: str, input_shape: tuple[int, ...], least: int) -> tuple[int, int, int]:
    """`input_shape` as (C, H, W).

    Raises:
        ArgumentError: it is no image, or one smaller than `least` × `least`.
    """
    lengths = options.lengths(f"{model}, input_shape", input_shape)
    if len(lengths) != 3 or min(lengths[1:]) < least or lengths[0] < 1:
        raise ArgumentError(
            f"{model}: input_shape must be (channels, height, width) with images of at least {least}×{least}, "
            f"got {lengths}"
        )
    channels, height, width = lengths
    return channels, height, width
