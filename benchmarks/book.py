"""`python -m benchmarks book`: a training step as the book's own script takes it, under `dlcore.book` and in NumPy.

The script is DeepConvNet's (chapter 8): parameters in float64, as `np.random.randn` makes them, and images in float32,
so that all is computed in float64.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import machine, networks, report, results, textbook_network, timing
from benchmarks.goals import BOOK_GOALS, BOOK_STEP, TEXTBOOK
from benchmarks.options import Options
from benchmarks.results import OURS, Row
from dlcore import backend, models, nn
from dlcore.book.common import layers, optimizer
from kernels.types import Array

_NAME = "the book's DeepConvNet"
_NOTES = (
    "Times: milliseconds, the fastest call of many, contenders in turns, both from the same float64 weights, on 100 "
    "float32 images of 28×28.",
    "A step is forward, loss and backward through the layers of `common.layers`, and `common.optimizer.Adam`.",
    "Textbook NumPy: layers over im2col by slices and one matrix product.",
)
#: Two steps of both agree to this share of the loss.
_AGREEMENT = 1e-6


class BookNetwork:
    """The layers of a network as the book's script lists them, and its `gradient`.

    Args:
        network: what it copies; its parameters become float64.
        dropout: the ratio of all dropout layers; None for the network's own.
    """

    def __init__(self, network: nn.Sequential, dropout: float | None = None) -> None:
        self.params: dict[str, Array] = {}
        self.layers: list[Any] = []
        self.last_layer = layers.SoftmaxWithLoss()
        for layer in network:
            match layer:
                case nn.Conv2d():
                    self._add(layers.Convolution, layer.weight.numpy(), layer.bias, pad=layer.padding)
                case nn.Linear():
                    self._add(layers.Affine, layer.weight.numpy().T, layer.bias)
                case nn.MaxPool2d():
                    self.layers.append(layers.Pooling(pool_h=2, pool_w=2, stride=2))
                case nn.ReLU():
                    self.layers.append(layers.Relu())
                case nn.Dropout():
                    self.layers.append(layers.Dropout(layer.p if dropout is None else dropout))
                case nn.Flatten():
                    pass  # the affine layers flatten
                case _:
                    raise TypeError(f"the book has no {type(layer).__name__}")

    def _add(self, kind: Callable[..., Any], weight: Array, bias: Any, **options: Any) -> None:
        number = len(self.params) // 2 + 1
        self.params[f"W{number}"] = np.array(weight, np.float64, order="C")
        self.params[f"b{number}"] = np.array(bias.numpy(), np.float64)
        self.layers.append(kind(self.params[f"W{number}"], self.params[f"b{number}"], **options))

    def gradient(self, x: Array, t: Array) -> dict[str, Array]:
        """By name, of all parameters; `last_layer.loss` is then the loss."""
        for layer in self.layers:
            x = layer.forward(x)
        self.last_layer.forward(x, t)
        dout = self.last_layer.backward()
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        trained = [layer for layer in self.layers if hasattr(layer, "dW")]
        grads = {f"W{number}": layer.dW for number, layer in enumerate(trained, start=1)}
        return grads | {f"b{number}": layer.db for number, layer in enumerate(trained, start=1)}


def book_step(network: nn.Sequential, x: Array, t: Array, dropout: float | None = None) -> Callable[[], float]:
    """One gradient and one update, as the book's trainer does them; returns the loss before it."""
    twin, adam = BookNetwork(network, dropout), optimizer.Adam()

    def step() -> float:
        adam.update(twin.params, twin.gradient(x, t))
        return float(twin.last_layer.loss)

    return step


def textbook_step(network: nn.Sequential, x: Array, t: Array, dropout: float | None = None) -> Callable[[], float]:
    """The same with the textbook's layers."""
    twin = textbook_network.like(network, np.float64, dropout)
    return lambda: twin.step(x, t)


def run(options: Options) -> dict[str, Any]:
    """Measure it, print it, and return it for JSON.

    Raises:
        DLCoreError: the number of threads is not to be had.
    """
    with timing.pinned_threads(options.threads):
        described = machine.describe()
        rows = [measure(0.5 if options.quick else 10.0)]
    found = results.means(rows, BOOK_GOALS.get)
    report.show_facts(described)
    report.show_rows(rows)
    report.show_notes(*_NOTES)
    report.show_notes("")
    report.show_means(found)
    return {"command": "book", "quick": options.quick, "machine": described, **results.as_json(rows, found)}


def measure(seconds: float) -> Row:
    """Check that both compute the same without dropout, then time them in turns for about `seconds` each."""
    backend.seed(0)
    network = models.DeepConvNet(networks.SHAPE, networks.CLASSES)
    x, t = networks.images(networks.BATCH), networks.labels(networks.BATCH)
    makers = (book_step, textbook_step)
    ours, theirs = ([step() for _ in range(2)] for step in (make(network, x, t, 0.0) for make in makers))
    np.testing.assert_allclose(ours, theirs, rtol=_AGREEMENT, err_msg=_NAME)
    calls = [make(network, x, t) for make in makers]
    for call in calls * 3:
        call()
    taken = {title: timing.Timing() for title in (OURS, TEXTBOOK)}
    for measured, samples in zip(taken.values(), timing.interleave(calls, seconds), strict=True):
        measured.samples = samples
    return Row(_NAME, BOOK_STEP, _NAME, "", taken)
