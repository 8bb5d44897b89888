"""Whole networks as contenders: a training step, and inference, on the same weights and images for all.

The networks are dlcore's; PyTorch's, ONNX Runtime's and the textbook's are made from them layer by layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import dlcore as dl
from benchmarks import textbook_network
from benchmarks.contenders import Call
from benchmarks.goals import ONNX_RUNTIME, STEP, TEXTBOOK
from benchmarks.results import OURS
from dlcore import functional as F
from dlcore import models, nn, optim
from kernels.types import Array

BATCH, SHAPE, CLASSES = 100, (1, 28, 28), 10

INFERENCE_ONE, INFERENCE = "inference, batch 1", "inference, batch 100"
#: What networks are asked to do, with the number of images.
ACTIONS = {STEP: BATCH, INFERENCE_ONE: 1, INFERENCE: BATCH}

#: The networks by name; MNIST's shapes.
NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "MLP 784-50-10": lambda: models.MLP(SHAPE, CLASSES, hidden=(50,)),
    "SimpleConvNet": lambda: models.SimpleConvNet(SHAPE, CLASSES),
    "DeepConvNet": lambda: models.DeepConvNet(SHAPE, CLASSES),
}


@dataclass(frozen=True)
class NetworkContender:
    """One way to run networks.

    Attributes:
        title: its column's heading.
        prepare: makes of a network, what it is asked to do and the images the call that is timed. Of a training step
            the call returns nothing, of inference the scores, as NumPy's array.
        takes: whether it can do what is asked.
    """

    title: str
    prepare: Callable[[nn.Sequential, str, Array], Call]
    takes: Callable[[str], bool] = lambda action: True


def images(count: int) -> Array:
    """Random images, (N, 1, 28, 28), the same in every run."""
    return np.random.default_rng(0).random((count, *SHAPE), dtype=np.float32)


def labels(count: int) -> Array:
    """Random classes, (N,)."""
    return np.random.default_rng(1).integers(0, CLASSES, count)


def training_step(network: nn.Sequential, x: Array) -> Call:
    """One step of Adam with dlcore, as a user writes it."""
    network.train()
    optimizer = optim.Adam(network.parameters())
    inputs, targets = dl.tensor(x), dl.tensor(labels(len(x)))

    def step() -> None:
        loss = F.cross_entropy(network(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _dlcore(network: nn.Sequential, action: str, x: Array) -> Call:
    if action == STEP:
        return training_step(network, x)
    network.eval()
    inputs = dl.tensor(x)

    def infer() -> Array:
        with dl.no_grad():
            return network(inputs).numpy()

    return infer


def _textbook(network: nn.Sequential, action: str, x: Array) -> Call:
    twin = textbook_network.like(network)
    if action == STEP:
        targets = labels(len(x))
        return lambda: twin.step(x, targets)
    return lambda: twin.scores(x)


def _onnx(network: nn.Sequential, action: str, x: Array) -> Call:
    from benchmarks import onnx_runtime  # optional

    session = onnx_runtime.network_session(network, x.shape)
    return lambda: session.run(None, {"x": x})[0]


DLCORE = NetworkContender(OURS, _dlcore)
TEXTBOOK_NETWORK = NetworkContender(TEXTBOOK, _textbook)
ONNX_NETWORK = NetworkContender(ONNX_RUNTIME, _onnx, takes=lambda action: action != STEP)


def check(contender: NetworkContender, name: str, result: Any, right: Array) -> None:
    """Hold a contender's scores against dlcore's, to a thousandth of the largest.

    Raises:
        AssertionError: they differ.
    """
    np.testing.assert_allclose(
        result, right, rtol=1e-3, atol=1e-3 * float(np.abs(right).max()), err_msg=f"{contender.title}: {name}"
    )
