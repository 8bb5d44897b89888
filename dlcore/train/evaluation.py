"""What a network does in evaluation mode: measured on data, or its outputs for given inputs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from dlcore import functional as F
from dlcore.autograd import no_grad
from dlcore.backend import Backend
from dlcore.data import DataLoader, Dataset
from dlcore.nn import Module
from dlcore.tensor import Tensor
from dlcore.train.metrics import Metric, Tally, resolve
from kernels.errors import ArgumentError, DataError
from kernels.types import Array

#: What yields (inputs, labels): a DataLoader, or any iterable of such pairs that can be iterated again each epoch.
Batches: TypeAlias = Iterable[tuple[Tensor | Array, Tensor | Array]]

#: A function of (outputs, labels) that returns the batch's mean loss as a scalar Tensor.
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def evaluate(
    network: Module,
    source: Batches | Dataset,
    *,
    loss: Loss = F.cross_entropy,
    metrics: Sequence[str | Metric] = ("accuracy",),
    batch_size: int = 100,
) -> dict[str, Any]:
    """Loss and metrics of a network on batches or on a whole dataset.

    Args:
        network: any Module; batches are brought to its backend.
        source: batches, or a Dataset, which is read in order in batches of `batch_size`.
        loss: a function of (outputs, labels) that returns the batch's mean.
        metrics: names or Metric objects.
        batch_size: used for a Dataset only.

    Returns:
        "loss" and each metric by name; every example has the same weight.

    Raises:
        DataError: there are no examples.
    """
    tally = Tally(resolve(metrics))
    with mode(network, training=False), no_grad():
        for inputs, labels in bring(source, network.backend, batch_size):
            outputs = network(inputs)
            tally.add(loss(outputs, labels).data, outputs.data, labels.data)
    if not tally.batches:
        raise DataError("evaluate: there are no examples")
    return tally.read()


def predict(network: Module, x: Tensor | Array | Dataset, *, batch_size: int = 100) -> Array:
    """A network's outputs for inputs of shape (N, …), or for a dataset's, as an array on the network's backend.

    For a classifier these are scores; `outputs.argmax(axis=1)` are the classes.

    Raises:
        DataError: there are no examples.
        ArgumentError: `batch_size` is less than 1.
    """
    if batch_size < 1:
        raise ArgumentError(f"predict: expected batch_size of at least 1, got {batch_size}")
    if isinstance(x, Dataset):
        x = x[:][0]
    inputs = to_backend(x, network.backend).data
    if inputs.ndim == 0 or len(inputs) == 0:
        raise DataError(f"predict: expected at least one example, got x.shape={inputs.shape}")
    with mode(network, training=False), no_grad():
        starts = range(0, len(inputs), batch_size)
        outputs = [network(Tensor(inputs[start : start + batch_size])).data for start in starts]
    with network.backend.active_device():
        result: Array = network.backend.xp.concatenate(outputs)
    return result


def bring(source: Batches | Dataset, backend: Backend, batch_size: int = 100) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as Tensors on a backend; a Dataset in batches of `batch_size`, in order."""
    if isinstance(source, Dataset):
        source = DataLoader(source, batch_size)
    batches = source.batches(backend) if isinstance(source, DataLoader) else source
    for inputs, labels in batches:
        yield to_backend(inputs, backend), to_backend(labels, backend)


def to_backend(x: Tensor | Array, backend: Backend) -> Tensor:
    """An array or a Tensor as a Tensor on a backend; copied only if it was on another."""
    return x.to(backend) if isinstance(x, Tensor) else Tensor(backend.asarray(x))


@contextmanager
def mode(network: Module, *, training: bool) -> Iterator[None]:
    """Training or evaluation mode for a block; afterwards each module has the mode it had before."""
    before = [(module, module.training) for module in network.modules()]
    network.train(training)
    try:
        yield
    finally:
        for module, was_training in before:
            module.training = was_training
