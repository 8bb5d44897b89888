"""Cross-entropy of softmax, and its gradient: a row of logits is in the cache from its maximum to its loss."""

import numpy as np

from kernels.cpu import memory
from kernels.cpu.arrays import compact
from kernels.cpu.rows import row_kernel
from kernels.types import Array

#: Logits per task: 16 KiB in float32, some 20 µs of exponentials.
_TASK = 1 << 12


def softmax_cross_entropy(x: Array, labels: Array) -> tuple[Array, Array]:
    """Losses per row, and softmax(x). Reads x once, writes the probabilities once."""
    losses, probability = np.empty(len(x), x.dtype), memory.empty(x.shape, x.dtype)
    step = max(1, _TASK // x.shape[1])
    classes = compact(labels.astype(np.int64, copy=False))
    _softmax_cross_entropy(-(-len(x) // step), compact(x), classes, losses, probability, step)
    return losses, probability


def softmax_cross_entropy_grad(grad_losses: Array, probability: Array, labels: Array) -> Array:
    """(softmax(x) − one_hot(label)) · dlosses. Reads the probabilities once, writes dx once."""
    dx = memory.empty(probability.shape, probability.dtype)
    step = max(1, 4 * _TASK // probability.shape[1])
    classes = compact(labels.astype(np.int64, copy=False))
    arguments = compact(grad_losses), compact(probability), classes, dx, step
    _softmax_cross_entropy_grad(-(-len(dx) // step), *arguments)
    return dx


@row_kernel
def _softmax_cross_entropy(x: Array, labels: Array, losses: Array, probability: Array, step: int, task: int) -> None:
    one = x.dtype.type(1)
    for number in range(task * step, min((task + 1) * step, len(x))):
        row, out = x[number], probability[number]
        largest = row[0]
        for i in range(1, len(row)):
            if row[i] > largest:
                largest = row[i]
        total = x.dtype.type(0)
        for i in range(len(row)):
            out[i] = np.exp(row[i] - largest)
            total += out[i]
        share = one / total
        for i in range(len(row)):
            out[i] *= share
        label = labels[number]
        losses[number] = np.log(total) - (row[label] - largest) if 0 <= label < len(row) else np.nan


@row_kernel
def _softmax_cross_entropy_grad(
    grad_losses: Array, probability: Array, labels: Array, dx: Array, step: int, task: int
) -> None:
    for number in range(task * step, min((task + 1) * step, len(dx))):
        row, out, grad = probability[number], dx[number], grad_losses[number]
        for i in range(len(row)):
            out[i] = row[i] * grad
        label = labels[number]
        if 0 <= label < len(row):
            out[label] = (row[label] - dx.dtype.type(1)) * grad
