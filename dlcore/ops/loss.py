"""Cross-entropy of softmax, as one operation."""

from typing import TYPE_CHECKING

import kernels
from dlcore import backend
from dlcore.autograd import Fused
from dlcore.ops.half import narrowed, widened
from kernels.errors import DataError, DTypeError, ShapeError
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class CrossEntropy(Fused):
    """-ln softmax(x)[label] per row, then the mean, the sum, or all of them: x (N, C), labels (N) of integers.

    dL/dx = (softmax(x) - one_hot(label)) / N for the mean: why softmax and cross-entropy belong together.
    """

    def forward(self, x: Array, *, labels: Array, reduction: str) -> Array:
        check_labels(x, labels)
        # A batch's memory may be filled again before backward.
        self.labels, self.reduction = labels.copy() if True in self.needs_input_grad else labels, reduction
        losses, self.probability = kernels.softmax_cross_entropy(x, labels)
        self.save(x)
        if reduction == "none":
            return losses
        return narrowed(self._reduce(backend.total(widened(losses)), len(losses)), x.dtype)

    def _reduce(self, total: Array, count: int) -> Array:
        return total / count if self.reduction == "mean" else total

    def backward_arrays(self, grad_output: Array) -> Array:
        if self.reduction == "none":
            return kernels.softmax_cross_entropy_grad(grad_output, self.probability, self.labels)
        # One share of many rows is no number of half precision.
        share = self._reduce(widened(grad_output), len(self.labels))
        shares = backend.of(self.labels).xp.broadcast_to(share, self.labels.shape)
        grad_input = kernels.softmax_cross_entropy_grad(shares, widened(self.probability), self.labels)
        return narrowed(grad_input, self.probability.dtype)

    def composite(self, x: "Tensor") -> "Tensor":  # type: ignore[override]
        rows = backend.of(self.labels).xp.arange(len(self.labels))
        losses = -x.log_softmax(axis=1)[rows, self.labels]
        if self.reduction == "none":
            return losses
        return losses.mean() if self.reduction == "mean" else losses.sum()


def check_labels(x: Array, labels: Array) -> None:
    """What cross-entropy needs; the range of the labels only where reading them does not wait for a device."""
    backend.common("cross_entropy", {"x": x, "target": labels})
    if x.ndim != 2 or labels.shape != x.shape[:1]:
        raise ShapeError(
            f"cross_entropy: expected logits of shape (N, C) and labels of shape (N,), got {x.shape} and {labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: labels must be integers (class indices), got {labels.dtype}")
    if not len(labels):
        raise DataError("cross_entropy: the batch is empty, so it has no mean loss")
    if backend.of(labels).is_host and (labels.min() < 0 or labels.max() >= x.shape[1]):
        row = int(((labels < 0) | (labels >= x.shape[1])).argmax())
        raise DataError(f"cross_entropy: labels[{row}] is {labels[row]}, but there are {x.shape[1]} classes (0 first)")
