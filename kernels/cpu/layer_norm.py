"""Layer normalization and its gradient: a row is read from memory once and normalized while it is in the cache.

Rows are cut into tasks by the shape alone, and the tasks' shares of the weight's and the bias's gradients are summed
in order, so that every number of threads gives the same bits.
"""

import math

import numpy as np

from kernels.cpu import memory
from kernels.cpu.arrays import compact
from kernels.cpu.rows import row_kernel
from kernels.types import Array

#: Elements per task of the forward pass: 64 KiB in float32.
_TASK = 1 << 14
#: Elements and rows per task of the backward pass, at least: each hands on two rows of float64.
_GRADIENT_TASK, _GRADIENT_ROWS = 1 << 16, 32


def layer_norm(x: Array, weight: Array, bias: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Normalize over the trailing axes that `weight` has. Reads x once, writes y once."""
    lengths = x.shape[: x.ndim - weight.ndim]
    rows = compact(x).reshape(math.prod(lengths), weight.size)
    y = memory.empty_like(rows)
    statistics = np.empty((2, len(rows)), x.dtype)
    parameters = np.stack([weight.reshape(-1), bias.reshape(-1)])
    step = max(1, _TASK // weight.size)
    _layer_norm(-(-len(rows) // step), rows, parameters, np.array([eps], x.dtype), y, statistics, step)
    mean, var = statistics.reshape(2, *lengths)
    return y.reshape(x.shape), mean, var


def layer_norm_grad(
    grad_output: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias. Reads dy and x once, writes dx once."""
    rows, dy = compact(x).reshape(mean.size, weight.size), compact(grad_output).reshape(mean.size, weight.size)
    dx = memory.empty_like(rows)
    statistics = np.stack([mean.reshape(-1), 1 / np.sqrt(var.reshape(-1) + eps)])
    step = max(_GRADIENT_ROWS, _GRADIENT_TASK // weight.size)
    tasks = -(-len(rows) // step)
    partial = np.empty((tasks, 2, weight.size))
    _layer_norm_grad(tasks, dy, rows, compact(weight).reshape(-1), statistics, dx, partial, step)
    grad_weight, grad_bias = partial.sum(axis=0).astype(x.dtype).reshape(2, *weight.shape)
    return dx.reshape(x.shape), grad_weight, grad_bias


@row_kernel
def _layer_norm(x: Array, parameters: Array, eps: Array, y: Array, statistics: Array, step: int, task: int) -> None:
    zero, length = x.dtype.type(0), x.dtype.type(x.shape[1])
    weight, bias = parameters[0], parameters[1]
    for number in range(task * step, min((task + 1) * step, len(x))):
        row, out = x[number], y[number]
        mean = zero
        for i in range(len(row)):
            mean += row[i]
        mean /= length
        var = zero
        for i in range(len(row)):
            var += (row[i] - mean) * (row[i] - mean)
        var /= length
        inv_std = x.dtype.type(1) / np.sqrt(var + eps[0])
        for i in range(len(row)):
            out[i] = (row[i] - mean) * inv_std * weight[i] + bias[i]
        statistics[0, number], statistics[1, number] = mean, var


@row_kernel
def _layer_norm_grad(
    dy: Array, x: Array, weight: Array, statistics: Array, dx: Array, partial: Array, step: int, task: int
) -> None:
    """The gradient (g − mean(g) − x̂ · mean(g · x̂)) / std with g = dy · weight; `statistics` are mean and 1 / std."""
    zero, length = x.dtype.type(0), x.dtype.type(x.shape[1])
    grad_weight, grad_bias = partial[task, 0], partial[task, 1]
    for i in range(len(weight)):
        grad_weight[i] = grad_bias[i] = 0.0
    for number in range(task * step, min((task + 1) * step, len(x))):
        row, grad, out = x[number], dy[number], dx[number]
        mean, inv_std = statistics[0, number], statistics[1, number]
        mean_grad, mean_product = zero, zero
        for i in range(len(row)):
            g = grad[i] * weight[i]
            mean_grad += g
            mean_product += g * (row[i] - mean)
        mean_grad /= length
        mean_product *= inv_std * inv_std / length
        for i in range(len(row)):
            out[i] = inv_std * (grad[i] * weight[i] - mean_grad - (row[i] - mean) * mean_product)
        for i in range(len(row)):
            grad_weight[i] += grad[i] * ((row[i] - mean) * inv_std)
            grad_bias[i] += grad[i]
