"""How well a network does, counted where the network runs.

A metric adds up batch by batch, as arrays on the batch's own backend; nothing is brought to the host, so nothing waits
for a GPU, until `compute` is asked for the figure. Every example has the same weight, also those of a smaller last
batch. Yours derives from `Metric` and is handed over as an object: `Trainer(…, metrics=["accuracy", MyMetric()])`.
"""

import copy
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dlcore import backend
from kernels.errors import ArgumentError, ShapeError
from kernels.types import Array


class Metric:
    """Base of metrics: `update` with each batch, then `compute`."""

    #: The name that the figure has in histories, files and progress bars.
    name: ClassVar[str]
    #: Whether the figure is one number, which a history can hold. A confusion matrix is not.
    is_scalar: ClassVar[bool] = True

    def update(self, outputs: Array, labels: Array) -> None:
        """Take one batch in: the network's outputs and what they should have been. Must not bring them to the host."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def compute(self) -> Any:
        """The figure over all batches so far, on the host; waits for the device if there is one."""
        raise NotImplementedError(f"{type(self).__name__} has no compute")


class Accuracy(Metric):
    """The share of examples whose highest output is that of the right class; the first of equals counts.

    `outputs` are (N, classes, …) scores, `labels` are (N, …) class indices.
    """

    name = "accuracy"

    def __init__(self) -> None:
        self._right: Any = 0
        self._count = 0

    def update(self, outputs: Array, labels: Array) -> None:
        """Count the right ones of one batch."""
        self._right = self._right + (_predicted(self.name, outputs, labels) == labels).sum()
        self._count += labels.size

    def compute(self) -> float:
        """The share of right ones, 0 … 1; NaN before the first batch."""
        return float(backend.to_numpy(self._right)) / self._count if self._count else float("nan")


class ConfusionMatrix(Metric):
    """How often examples of each class were taken for each class: rows are the truth, columns the prediction.

    `outputs` are (N, classes, …) scores, `labels` are (N, …) class indices.
    """

    name = "confusion_matrix"
    is_scalar = False

    def __init__(self) -> None:
        self._counts: Any = None

    def update(self, outputs: Array, labels: Array) -> None:
        """Count one batch."""
        xp = backend.of(outputs).xp
        classes = xp.arange(outputs.shape[1])
        truth = labels.reshape(-1, 1) == classes
        prediction = _predicted(self.name, outputs, labels).reshape(-1, 1) == classes
        # (classes, N) · (N, classes): a product of zeros and ones needs neither a loop nor a scatter with atomics.
        counts = truth.T.astype(xp.float64) @ prediction.astype(xp.float64)
        self._counts = counts if self._counts is None else self._counts + counts

    def compute(self) -> npt.NDArray[np.int64]:
        """The counts, (classes, classes); (0, 0) before the first batch."""
        if self._counts is None:
            return np.zeros((0, 0), dtype=np.int64)
        return backend.to_numpy(self._counts).astype(np.int64)


METRICS: dict[str, type[Metric]] = {metric.name: metric for metric in (Accuracy, ConfusionMatrix)}


def resolve(metrics: Iterable[str | Metric]) -> list[Metric]:
    """Metric objects from names and objects.

    Raises:
        ArgumentError: there is no metric of that name.
    """
    resolved = []
    for metric in metrics:
        if isinstance(metric, str) and metric in METRICS:
            resolved.append(METRICS[metric]())
        elif isinstance(metric, Metric):
            resolved.append(metric)
        else:
            names = ", ".join(map(repr, METRICS))
            raise ArgumentError(f"metrics: expected one of {names} or a Metric object, got {metric!r}")
    return resolved


class Tally:
    """Mean loss and metrics of the batches so far, adding up on the device until `read`."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = [copy.deepcopy(metric) for metric in metrics]
        self._loss: Any = 0.0
        self._finite_batches: Any = 0
        self.batches = 0
        self.examples = 0

    def add(self, loss: Array, outputs: Array, labels: Array) -> None:
        """Take one batch in: its mean loss (a scalar array), the outputs and the labels."""
        with backend.of(loss).active_device():
            xp = backend.of(loss).xp
            self._loss = self._loss + loss.astype(xp.float64) * len(outputs)
            # A sum that has met NaN or infinity stays so: counting the finite ones tells which batch was the first.
            self._finite_batches = self._finite_batches + xp.isfinite(self._loss)
            self.batches += 1
            self.examples += len(outputs)
            for metric in self.metrics:
                metric.update(outputs, labels)

    def first_bad_batch(self) -> int | None:
        """The index of the first batch whose loss was NaN or infinite, None if all were finite."""
        finite = int(backend.to_numpy(self._finite_batches))
        return finite if finite < self.batches else None

    def read(self) -> dict[str, Any]:
        """The mean loss as "loss", and each metric under its name."""
        loss = float(backend.to_numpy(self._loss)) / self.examples if self.examples else float("nan")
        return {"loss": loss} | {metric.name: metric.compute() for metric in self.metrics}


def _predicted(metric: str, outputs: Array, labels: Array) -> Array:
    """The index of the highest score of each example, with the labels' shape."""
    if outputs.ndim < 2 or labels.shape != outputs.shape[:1] + outputs.shape[2:]:
        raise ShapeError(
            f"{metric}: expected outputs of shape (N, classes, …) and class indices of shape (N, …), "
            f"got outputs.shape={outputs.shape}, labels.shape={labels.shape}"
        )
    predicted: Array = outputs.argmax(axis=1)
    return predicted
