"""Cross-entropy of softmax, and its gradient: one launch each, labels never looked at on the host."""

import numpy as np

from kernels.cuda.arrays import grid_of, tile
from kernels.cuda.launch import launch
from kernels.layout import array_module
from kernels.types import Array

#: How C calls the types of labels.
_LABEL = {
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
}


def softmax_cross_entropy(x: Array, labels: Array) -> tuple[Array, Array]:
    """Losses per row, and softmax(x). Reads x once (twice more from the cache), writes the probabilities once."""
    xp, logits = array_module(x), array_module(x).ascontiguousarray(x)
    rows, classes = x.shape
    losses, probability = xp.empty(rows, x.dtype), xp.empty(x.shape, x.dtype)
    # From 4 classes per thread on a row gets more than one warp.
    block = tile(classes // 4, least=32)
    arguments = (logits, labels, _stride(labels), losses, probability, rows, classes)
    grid = (max(1, -(-rows // block[1])),)
    launch("cross_entropy", "softmax_cross_entropy", grid, block, arguments, x.dtype, defines=_defines(labels))
    return losses, probability


def softmax_cross_entropy_grad(grad_losses: Array, probability: Array, labels: Array) -> Array:
    """(softmax(x) − one_hot(label)) · dlosses. Reads the probabilities once, writes dx once."""
    xp, given = array_module(probability), array_module(probability).ascontiguousarray(probability)
    rows, classes = probability.shape
    dx: Array = xp.empty(probability.shape, probability.dtype)
    block = tile(classes)
    arguments = (grad_losses, _stride(grad_losses), given, labels, _stride(labels), dx, rows, classes)
    grid, defines = grid_of(rows, classes, block), _defines(labels)
    launch("cross_entropy", "softmax_cross_entropy_grad", grid, block, arguments, dx.dtype, defines=defines)
    return dx


def _stride(vector: Array) -> np.int64:
    """In elements."""
    return np.int64(vector.strides[0] // vector.itemsize)


def _defines(labels: Array) -> tuple[str]:
    return (f"LABEL={_LABEL[labels.dtype.name]}",)
