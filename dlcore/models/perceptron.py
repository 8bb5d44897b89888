"""Networks of fully connected layers; chapters 2 to 6 of the book."""

import math

from dlcore import nn
from kernels import options


class Perceptron(nn.Sequential):
    """One layer: each class's score is a weighted sum of the inputs (Rosenblatt, 1958).

    Args:
        input_shape: of one example, without the batch axis.
        num_classes: how many scores.
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__(
            {"flatten": nn.Flatten(), "output": nn.Linear(_inputs("Perceptron", input_shape), num_classes)}
        )


class MLP(nn.Sequential):
    """A multi-layer perceptron: affine layers with ReLU between them, He initial values.

    Args:
        input_shape: of one example, without the batch axis.
        num_classes: how many scores.
        hidden: the number of neurons in each hidden layer.
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int, hidden: tuple[int, ...] = (100,)) -> None:
        layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
        features = _inputs("MLP", input_shape)
        for number, width in enumerate(options.items("MLP", "hidden", hidden, "ints"), start=1):
            layers[f"hidden{number}"] = affine(features, width)
            layers[f"relu{number}"] = nn.ReLU()
            features = width
        layers["output"] = affine(features, num_classes)
        super().__init__(layers)


def _inputs(name: str, input_shape: tuple[int, ...]) -> int:
    """How many numbers an example has."""
    return math.prod(options.lengths(f"{name}, input_shape", input_shape))


def affine(in_features: int, out_features: int) -> nn.Linear:
    """A linear layer with He initial weights and zero bias, as the book initializes them."""
    layer = nn.Linear(in_features, out_features)
    nn.init.he_normal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
