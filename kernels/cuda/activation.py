"""Rectification, its gradient, and the error function: one pass over memory, in whatever order it lies."""

from typing import Any

import numpy as np

from kernels.cuda.arrays import memory_order, shaped, vector
from kernels.cuda.launch import THREADS, blocks_for, launch
from kernels.layout import array_module
from kernels.types import Array


def relu(x: Array) -> Array:
    """max(x, 0), element by element; NaN stays. Reads x once, writes y once."""
    return _elementwise("relu", x)


def relu_grad(grad_output: Array, y: Array) -> Array:
    """The gradient where y > 0, else 0. Reads both once, writes dx once."""
    return _elementwise("relu_grad", grad_output, y)


def erf(x: Array) -> Array:
    """2 / √π ∫₀ˣ exp(-t²) dt, element by element. Reads x once, writes y once."""
    return _elementwise("error_function", x)


def _elementwise(kernel: str, *given: Array) -> Array:
    inputs = [memory_order(x) for x in given]
    result: Any = array_module(given[0]).empty(inputs[0].shape, inputs[0].dtype)
    width = vector(result.size, *inputs, result)
    packs = result.size // width
    arguments = (*inputs, result, np.int64(packs))
    launch("activation", kernel, blocks_for(packs), (THREADS,), arguments, result.dtype, defines=(f"VECTOR={width}",))
    return shaped(result, given[0])
