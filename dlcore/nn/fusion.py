"""Layers that are computed together: the same results with fewer passes over memory.

`Sequential` looks for two patterns:

* a convolution, a fully connected layer or batch normalization followed by ReLU: rectified on the way out;
* ReLU followed by max pooling: the maximum of rectified numbers is the rectified maximum, so ReLU comes second, where
  there are fewer numbers. The gradient is the same too: it goes to the first largest, if that is above 0.

Only the layers' own classes are joined: a subclass, or a layer with hooks or a `forward` of its own, may do something
else.
"""

from collections.abc import Callable, Iterator, Sequence

from dlcore.nn.activations import ReLU
from dlcore.nn.convolution import Conv2d
from dlcore.nn.linear import Linear
from dlcore.nn.module import Module
from dlcore.nn.normalization import BatchNorm1d, BatchNorm2d
from dlcore.nn.pooling import MaxPool2d
from dlcore.tensor import Tensor

#: Layers whose `forward` takes an activation.
_RECTIFYING = (BatchNorm1d, BatchNorm2d, Conv2d, Linear)


def fused(layers: Sequence[Module]) -> Iterator[Callable[[Tensor], Tensor]]:
    """What to apply, one after the other, for the results of `layers`."""
    remaining = list(reversed(layers))
    while remaining:
        layer = remaining.pop()
        kind, *following = [_kind(other) for other in (layer, *reversed(remaining[-2:]))]
        if kind is ReLU and following[:1] == [MaxPool2d]:
            yield remaining.pop()
            yield layer
        elif kind in _RECTIFYING and following[:1] == [ReLU] and following != [ReLU, MaxPool2d]:
            remaining.pop()
            yield _rectified(layer)
        else:
            yield layer


def _kind(layer: Module) -> type[Module] | None:
    """The class that says what the layer does; None where the object itself says something else."""
    return None if "forward" in vars(layer) or layer.has_hooks else type(layer)


def _rectified(layer: Module) -> Callable[[Tensor], Tensor]:
    return lambda x: layer(x, activation="relu")
