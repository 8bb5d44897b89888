"""How well a network does, counted where the network runs.

A metric adds up batch by batch, as arrays on the batch's own backend; nothing is brought to the host, so nothing waits
for a GPU, until `compute` is asked for the figure. Every example has the same weight, also those of a smaller last
batch. Yours derives from `Metric` and is handed over as an object: `Trainer(…, metrics=["accuracy", MyMetric()])`.

Those that are here take scores of classes, (N, classes, …), and class indices, (N, …). Of equal scores the class that
comes first is predicted.
"""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcore import backend as backends
from dlcore.train.tally import Metric
from kernels.errors import ArgumentError, ShapeError
from kernels.options import choice, items, short, whole
from kernels.types import Array


class _Classification(Metric):
    """What metrics of classes share.

    Args:
        ignore_index: examples with this label count nothing, as in `F.cross_entropy`; None for no such label.
    """

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = None if ignore_index is None else whole(type(self).__name__, "ignore_index", ignore_index)

    def _check(self, outputs: Array, labels: Array) -> None:
        if outputs.ndim < 2 or labels.shape != outputs.shape[:1] + outputs.shape[2:]:
            raise ShapeError(
                f"{self.name}: expected outputs of shape (N, classes, …) and class indices of shape (N, …), "
                f"got outputs.shape={outputs.shape}, labels.shape={labels.shape}"
            )

    def _share(self, right: Array, labels: Array) -> tuple[Array, Any]:
        """How many of the examples that count are right, and how many count."""
        if self.ignore_index is None:
            return right.sum(), labels.size
        counts = labels != self.ignore_index
        return (right & counts).sum(), counts.sum()

    def _one_hot(self, outputs: Array, labels: Array) -> tuple[Array, Array]:
        """Whether each example is of each class, and whether it was taken for it: booleans, (examples, classes).

        A label outside the classes is of none; an ignored one was taken for none either.
        """
        self._check(outputs, labels)
        xp = backends.of(outputs).xp
        classes = xp.arange(outputs.shape[1])
        rows = labels.reshape(-1, 1)
        truth, prediction = rows == classes, outputs.argmax(axis=1).reshape(-1, 1) == classes
        if self.ignore_index is None:
            return truth, prediction
        counts = rows != self.ignore_index
        return truth & counts, prediction & counts


class Accuracy(_Classification):
    """The share of examples whose highest output is that of the right class; the first of equals counts.

    Args:
        ignore_index: examples with this label count nothing; None for no such label.
    """

    name = "accuracy"

    def __init__(self, ignore_index: int | None = None) -> None:
        super().__init__(ignore_index)
        self._right: Any = 0
        self._count: Any = 0

    def update(self, outputs: Array, labels: Array) -> None:
        """Count the right ones of one batch."""
        self._check(outputs, labels)
        right, count = self._share(self._is_right(outputs, labels), labels)
        self._right = self._right + right
        self._count = self._count + count

    def _is_right(self, outputs: Array, labels: Array) -> Array:
        right: Array = outputs.argmax(axis=1) == labels
        return right

    def compute(self) -> float:
        """The share of right ones, 0 … 1; NaN before the first batch."""
        count = float(backends.to_numpy(self._count))
        return float(backends.to_numpy(self._right)) / count if count else float("nan")


class TopK(Accuracy):
    """The share of examples whose right class is among the k highest outputs, by name "top5_accuracy" for a k of 5.

    Classes rank by their outputs; the first of equals is ahead. NaN is ahead of every number, and an example whose own
    class has NaN is wrong.

    Args:
        k: from 1 up to the number of classes.
        ignore_index: examples with this label count nothing; None for no such label.
    """

    def __init__(self, k: int = 5, ignore_index: int | None = None) -> None:
        super().__init__(ignore_index)
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ArgumentError(f"TopK: k must be an integer of at least 1, got {k!r}")
        self.k = k
        self.name = f"top{k}_accuracy"

    def _is_right(self, outputs: Array, labels: Array) -> Array:
        classes = outputs.shape[1]
        if self.k > classes:
            raise ArgumentError(f"{self.name}: there are {classes} classes (outputs.shape={outputs.shape})")
        xp = backends.of(outputs).xp
        numbers = xp.arange(classes).reshape((1, classes) + (1,) * (outputs.ndim - 2))
        own = xp.expand_dims(labels, 1)
        is_own = numbers == own
        # Picked by a sum and not by an index, which a label outside the classes would lead out of the array.
        score = xp.where(is_own, outputs, 0).sum(axis=1, keepdims=True)
        ahead = ~(outputs <= score) | ((outputs == score) & (numbers < own))
        right: Array = (ahead.sum(axis=1) < self.k) & is_own.any(axis=1) & (score == score).any(axis=1)
        return right


class _PerClass(_Classification):
    """What is counted per class and then averaged over the classes; see `Precision`."""

    def __init__(self, average: str | None = "macro", ignore_index: int | None = None) -> None:
        super().__init__(ignore_index)
        choice(type(self).__name__, "average", average, ("macro", "micro", "weighted", None))
        self.average = average
        self.is_scalar = average is not None
        self._right: Any = 0
        self._predicted: Any = 0
        self._actual: Any = 0

    def update(self, outputs: Array, labels: Array) -> None:
        """Count one batch."""
        truth, prediction = self._one_hot(outputs, labels)
        self._right = self._right + (truth & prediction).sum(axis=0)
        self._predicted = self._predicted + prediction.sum(axis=0)
        self._actual = self._actual + truth.sum(axis=0)

    def compute(self) -> Any:
        """The figure, or with average=None an array (classes,); NaN, or (0,), before the first example."""
        counts = (self._right, self._predicted, self._actual)
        right, predicted, actual = (np.atleast_1d(backends.to_numpy(count)).astype(np.float64) for count in counts)
        occurs = predicted + actual > 0
        if not occurs.any():
            return float("nan") if self.average is not None else np.zeros(0)
        if self.average == "micro":
            return float(self._ratio(right.sum(), predicted.sum(), actual.sum()))
        figures = self._ratio(right, predicted, actual)
        if self.average is None:
            return figures
        if self.average == "macro":
            return float(figures[occurs].mean())
        return float((figures * actual).sum() / actual.sum()) if actual.any() else 0.0

    @staticmethod
    def _ratio(right: Any, predicted: Any, actual: Any) -> Any:
        raise NotImplementedError


class Precision(_PerClass):
    """Of the examples taken for a class, the share that are of it.

    Args:
        average: "macro": the mean over the classes that occur, as truth or prediction; "weighted": their mean, each
            class as often as it is the truth; "micro": one share over all examples; None: an array of each class's,
            which a history cannot hold: ask for it with `evaluate`.
        ignore_index: examples with this label count nothing; None for no such label.

    A share of nothing (no example was taken for the class) is 0. Definitions are those of scikit-learn.
    """

    name = "precision"

    @staticmethod
    def _ratio(right: Any, predicted: Any, actual: Any) -> Any:
        return _divided(right, predicted)


class Recall(_PerClass):
    """Of the examples of a class, the share that were taken for it; arguments as for `Precision`."""

    name = "recall"

    @staticmethod
    def _ratio(right: Any, predicted: Any, actual: Any) -> Any:
        return _divided(right, actual)


class F1(_PerClass):
    """The harmonic mean of precision and recall, per class and then averaged; arguments as for `Precision`."""

    name = "f1"

    @staticmethod
    def _ratio(right: Any, predicted: Any, actual: Any) -> Any:
        return _divided(2 * right, predicted + actual)


class ConfusionMatrix(_Classification):
    """How often examples of each class were taken for each class: rows are the truth, columns the prediction.

    Args:
        ignore_index: examples with this label count nothing; None for no such label.
    """

    name = "confusion_matrix"
    is_scalar = False

    def __init__(self, ignore_index: int | None = None) -> None:
        super().__init__(ignore_index)
        self._counts: Any = None

    def update(self, outputs: Array, labels: Array) -> None:
        """Count one batch."""
        truth, prediction = self._one_hot(outputs, labels)
        # (classes, N) · (N, classes): a product of zeros and ones needs neither a loop nor a scatter with atomics.
        counts = truth.T.astype(np.float64) @ prediction.astype(np.float64)
        self._counts = counts if self._counts is None else self._counts + counts

    def compute(self) -> npt.NDArray[np.int64]:
        """The counts, (classes, classes); (0, 0) before the first batch."""
        if self._counts is None:
            return np.zeros((0, 0), dtype=np.int64)
        return backends.to_numpy(self._counts).astype(np.int64)


#: By name; beside these there is "topK_accuracy" for any number K.
METRICS: dict[str, type[Metric]] = {
    metric.name: metric for metric in (Accuracy, ConfusionMatrix, Precision, Recall, F1)
}
_TOP_K = re.compile(r"top([1-9][0-9]{0,5})_accuracy")


def resolve(metrics: Iterable[str | Metric]) -> list[Metric]:
    """Metric objects from names and objects.

    Raises:
        ArgumentError: there is no metric of that name.
    """
    resolved = []
    for metric in items("metrics", "metrics", metrics, "names or Metric objects"):
        top = _TOP_K.fullmatch(metric) if isinstance(metric, str) else None
        if isinstance(metric, str) and metric in METRICS:
            resolved.append(METRICS[metric]())
        elif top is not None:
            resolved.append(TopK(int(top[1])))
        elif isinstance(metric, Metric):
            resolved.append(metric)
        else:
            names = ", ".join(map(repr, METRICS))
            raise ArgumentError(
                f"metrics: expected one of {names}, 'top5_accuracy' (or another number) or a Metric object, "
                f"got {short(metric)}"
            )
    return resolved


def _divided(share: Any, whole: Any) -> Any:
    """The share of the whole, and 0 where the whole is 0."""
    return np.divide(share, whole, out=np.zeros_like(np.asarray(share)), where=np.asarray(whole) > 0)
