"""Networks by name, each for any input shape and number of classes."""

from collections.abc import Callable

from dlcore import nn
from dlcore.models.convnet import DeepConvNet, SimpleConvNet
from dlcore.models.lenet import LeNet5
from dlcore.models.perceptron import MLP, Perceptron
from dlcore.models.resnet import ResNet, ResNet18, ResNet34
from dlcore.models.vgg import VGG, VGG11, VGG16
from kernels.errors import ArgumentError
from kernels.options import short

__all__ = [
    "MLP",
    "VGG",
    "VGG11",
    "VGG16",
    "DeepConvNet",
    "LeNet5",
    "Perceptron",
    "ResNet",
    "ResNet18",
    "ResNet34",
    "SimpleConvNet",
    "create",
    "describe",
    "names",
]

_MODELS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "perceptron": Perceptron,
    "mlp": MLP,
    "simple-convnet": SimpleConvNet,
    "deep-convnet": DeepConvNet,
    "lenet-5": LeNet5,
    "vgg-11": VGG11,
    "vgg-16": VGG16,
    "resnet-18": ResNet18,
    "resnet-34": ResNet34,
}


def names() -> list[str]:
    """The names that `create` takes."""
    return list(_MODELS)


def create(name: str, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """A new network with initial values from the default generator, on the active backend.

    Raises:
        ArgumentError: there is no network of that name, or it does not take such an input.
    """
    return _find(name)(input_shape, num_classes)


def describe(name: str) -> str:
    """One line on what the network is."""
    return (_find(name).__doc__ or "").partition("\n")[0]


def _find(name: str) -> Callable[[tuple[int, ...], int], nn.Module]:
    if not isinstance(name, str) or name not in _MODELS:
        raise ArgumentError(f"model: expected one of {', '.join(_MODELS)}, got {short(name)}")
    return _MODELS[name]
