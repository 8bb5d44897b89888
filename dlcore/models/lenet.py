"""The first convolutional network in wide use."""

from dlcore import nn
from dlcore.models.convnet import image_shape


class LeNet5(nn.Sequential):
    """LeNet-5: conv 6@5×5 - pool - conv 16@5×5 - pool - affine 120 - affine 84 - affine, with tanh between.

    As it is built today: pools average without weights of their own, the second convolution sees all six channels, and
    the output is affine, for cross-entropy. The first convolution is padded by 2, as the paper padded its 28×28 images.

    Args:
        input_shape: (C, H, W) of one image, at least 12×12.
        num_classes: how many scores.

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998).
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        channels, height, width = image_shape("LeNet5", input_shape, least=12)
        rows, columns = ((length // 2 - 4) // 2 for length in (height, width))
        super().__init__(
            {
                "conv1": nn.Conv2d(channels, 6, 5, padding=2),
                "tanh1": nn.Tanh(),
                "pool1": nn.AvgPool2d(2),
                "conv2": nn.Conv2d(6, 16, 5),
                "tanh2": nn.Tanh(),
                "pool2": nn.AvgPool2d(2),
                "flatten": nn.Flatten(),
                "fc1": nn.Linear(16 * rows * columns, 120),
                "tanh3": nn.Tanh(),
                "fc2": nn.Linear(120, 84),
                "tanh4": nn.Tanh(),
                "output": nn.Linear(84, num_classes),
            }
        )
