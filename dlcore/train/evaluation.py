"""What a network does in evaluation mode: measured on data, or its outputs for given inputs."""

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from dlcore import functional as F
from dlcore.autograd import no_grad
from dlcore.backend import Backend
from dlcore.data import DataLoader, Dataset
from dlcore.nn import Module
from dlcore.tensor import Tensor
from dlcore.train.metrics import resolve
from dlcore.train.tally import Metric, Tally
from kernels.errors import ArgumentError, DataError
from kernels.options import short
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
        loss: a function of (outputs, labels) that returns the batch's mean as a scalar Tensor; a loss module, whose
            class weights are brought to the network's backend.
        metrics: names or Metric objects.
        batch_size: used for a Dataset only.

    Returns:
        "loss" and each metric by name; every example has the same weight (see `dlcore.train.tally.Tally` for losses
        that weight classes). A loss that is NaN or infinite is returned as it is.

    Raises:
        DataError: there are no examples, or a batch is empty or no pair of as many inputs as labels.
    """
    check_network("evaluate", network)
    tally = Tally(resolve(metrics))
    bring_loss(loss, network.backend)
    with mode(network, training=False), no_grad():
        for inputs, labels in bring(source, network.backend, batch_size):
            outputs = network(inputs)
            tally.add(measured(loss, outputs, labels).data, outputs.data, labels.data)
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
    check_network("predict", network)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"predict: expected batch_size of at least 1, got {short(batch_size)}")
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


def bring(
    source: Batches | Dataset, backend: Backend, batch_size: int = 100, *, start: int = 0
) -> Generator[tuple[Tensor, Tensor]]:
    """Batches as Tensors on a backend, from number `start` on; a Dataset in batches of `batch_size`, in order."""
    if isinstance(source, Dataset):
        source = DataLoader(source, batch_size)
    batches: Batches
    if isinstance(source, DataLoader):
        batches = source.batches(backend, start=start)
    elif not isinstance(source, Iterable):
        raise DataError(f"expected batches (a DataLoader, or pairs of inputs and labels), got {short(source)}")
    else:
        batches = itertools.islice(source, start, None)
    for number, batch in enumerate(batches, start):
        inputs, labels = _checked(number, batch)
        yield to_backend(inputs, backend), to_backend(labels, backend)


def check_network(name: str, network: object) -> None:
    """Raise ArgumentError if it is no Module."""
    if not isinstance(network, Module):
        raise ArgumentError(f"{name}: expected a network (a Module) first, got {short(network)}")


def _checked(number: int, batch: Any) -> tuple[Tensor | Array, Tensor | Array]:
    """The two parts of a batch, whose lengths are known without waiting for a device.

    Raises:
        DataError: it is no pair of arrays, it is empty, or there are more of one than of the other.
    """
    try:
        inputs, labels = batch
        shapes = f"inputs.shape={inputs.shape}, labels.shape={labels.shape}"
    except (TypeError, ValueError, AttributeError):
        raise DataError(f"batch {number} is no pair of arrays (inputs, labels), but {short(batch)}") from None
    if not inputs.ndim or not labels.ndim or len(inputs) != len(labels):
        raise DataError(f"batch {number} needs as many labels as inputs, got {shapes}")
    if not len(inputs):
        raise DataError(f"batch {number} is empty: {shapes}")
    return inputs, labels


def measured(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
    """The loss of a batch.

    Raises:
        ArgumentError: the function gave something else than a scalar Tensor.
    """
    value = loss(outputs, labels)
    if not isinstance(value, Tensor) or value.shape:
        kind = f"shape {value.shape}" if isinstance(value, Tensor) else f"a {type(value).__qualname__}"
        raise ArgumentError(f"loss: expected the batch's mean as a Tensor of shape (), got {kind}")
    return value


def bring_loss(loss: Loss, backend: Backend) -> None:
    """Move the buffers of a loss that is a Module (class weights) to a backend, in place."""
    if isinstance(loss, Module):
        loss.to(backend)


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
