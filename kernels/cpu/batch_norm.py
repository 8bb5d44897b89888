"""Batch normalization, its gradient, and the form with given statistics, each with ReLU fused in.

The rows of the channels-last block, C long, are joined to *periods* of many channels, so that vector lanes are full
for any C, and cut into tasks of whole periods. A lane is one place within the period: it always meets the same
channel. The cut is a function of the shape alone, and so is the order in which the tasks' results are combined: every
number of threads gives the same bits.
"""

from typing import Literal, NamedTuple

import numpy as np

from kernels import layout
from kernels.cpu import memory
from kernels.cpu.arrays import channels_last
from kernels.cpu.rows import row_kernel
from kernels.cpu.stack import TILE, stack_array
from kernels.types import Array

#: Elements per task: 256 KiB in float32. What a task hands on is three float64 for each lane, under 3 % of that.
_TASK = 1 << 16
#: Periods from whose mean a task measures its deviations. See `_statistics`.
_FIRST_PERIODS = 8


class _Cut(NamedTuple):
    """How a block is cut: the channels of a period, the elements of a task, the number of tasks."""

    period: int
    step: int
    tasks: int


def batch_norm(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5, activation: Literal["relu"] | None = None
) -> tuple[Array, Array, Array]:
    """Normalize by the batch's own statistics. Reads x twice, writes y once."""
    block = channels_last(x)
    cut = _cut(block)
    partial = np.empty((cut.tasks, 3, cut.period))
    _statistics(cut.tasks, block.reshape(-1), partial, cut.step)
    statistics = np.empty((2, x.shape[1]))
    _merge(-(-x.shape[1] // TILE), partial, statistics)
    mean, var = statistics.astype(x.dtype)
    return _normalized(block, weight, bias, mean, var, eps, activation), mean, var


def batch_norm_inference(
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    activation: Literal["relu"] | None = None,
) -> Array:
    """Normalize by given statistics. Reads x once, writes y once."""
    return _normalized(channels_last(x), weight, bias, mean, var, eps, activation)


def batch_norm_grad(
    grad_output: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    activation: Literal["relu"] | None = None,
    constant_statistics: bool = False,
) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias. Reads dy and x twice, writes dx once.

    Where ReLU cut is found out again from x: cheaper than to read a mask.
    """
    block, dy = channels_last(x), channels_last(grad_output)
    cut = _cut(block)
    inv_std = 1 / np.sqrt(var + eps)
    values = mean, weight * inv_std, bias, _least(activation)
    partial = np.empty((cut.tasks, 2, cut.period))
    flat = dy.reshape(-1), block.reshape(-1)
    _gradient_sums(cut.tasks, *flat, _spread(cut, block, *values), partial, cut.step)
    sum_grad, sum_product = partial.sum(axis=0).reshape(2, -1, x.shape[1]).sum(axis=1)
    # dx = scale · (dy − mean(dy) − x̂ · mean(dy · x̂)); of given statistics the last two terms are none.
    share = 0.0 if constant_statistics else x.shape[1] / max(1, block.size)
    slopes = sum_grad * share, sum_product * inv_std**2 * share
    dx = memory.empty_like(block)
    _input_gradient(cut.tasks, *flat, _spread(cut, block, *values, *slopes), dx.reshape(-1), cut.step)
    grad_weight, grad_bias = (sum_product * inv_std).astype(x.dtype), sum_grad.astype(x.dtype)
    return layout.from_channels_last(dx), grad_weight, grad_bias


def _normalized(
    block: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float, activation: str | None
) -> Array:
    cut = _cut(block)
    # The scale is rounded as in the gradient, which must find the same values positive.
    values = _spread(cut, block, mean, weight * (1 / np.sqrt(var + eps)), bias, _least(activation))
    y = memory.empty_like(block)
    _normalize(cut.tasks, block.reshape(-1), values, y.reshape(-1), cut.step)
    return layout.from_channels_last(y)


def _cut(block: Array) -> _Cut:
    channels = block.shape[-1]
    period = channels * max(1, TILE // channels)
    step = period * max(_FIRST_PERIODS, _TASK // period)
    return _Cut(period, step, -(-block.size // step))


def _spread(cut: _Cut, block: Array, *values: Array | float) -> Array:
    """The channels' values, repeated over a period: one row for each argument."""
    channels = block.shape[-1]
    rows = np.empty((len(values), cut.period // channels, channels), block.dtype)
    for row, value in zip(rows, values, strict=True):
        row[...] = value
    return rows.reshape(len(values), cut.period)


def _least(activation: str | None) -> float:
    """What a result is at least: no number is less than NaN, so NaN stands for no bound."""
    return 0.0 if activation == "relu" else np.nan


@row_kernel
def _statistics(x: Array, partial: Array, step: int, task: int) -> None:
    """Mean, sum of squared deviations, and number of the values of each lane, over one task.

    Deviations d are measured from the mean of the lane's first few values, in one pass: Σ(x − mean)² is then
    Σd² − (Σd)² / n. As those values are among the n, a distant mean makes the variance large too: the difference
    keeps at least their share of the digits, whatever the data.
    """
    source, period = x[task * step : (task + 1) * step], partial.shape[2]
    shift, total, squares = stack_array(x), stack_array(x), stack_array(x)
    first = source[: _FIRST_PERIODS * period]
    zero, size = x.dtype.type(0), len(source)
    # How many values a lane has: one more where the last period, which may be cut short, reaches it.
    whole, rest = divmod(size, period)
    first_whole, first_rest = divmod(len(first), period)
    for tile in range(0, period, TILE):
        width = min(TILE, period - tile)
        for lane in range(width):
            shift[lane] = total[lane] = squares[lane] = zero
        for start in range(tile, len(first), period):
            row = first[start : start + width]
            for lane in range(len(row)):
                shift[lane] += row[lane]
        for lane in range(width):
            shift[lane] /= x.dtype.type(max(1, first_whole + (tile + lane < first_rest)))
        for start in range(tile, size, period):
            row = source[start : start + width]
            for lane in range(len(row)):
                deviation = row[lane] - shift[lane]
                total[lane] += deviation
                squares[lane] += deviation * deviation
        for lane in range(width):
            count = whole + (tile + lane < rest)
            mean = np.float64(total[lane]) / max(1, count)
            spread = squares[lane] - mean * total[lane]
            partial[task, 0, tile + lane] = shift[lane] + mean
            partial[task, 1, tile + lane] = 0.0 if spread < 0.0 else spread  # NaN stays: it is not less
            partial[task, 2, tile + lane] = count


@row_kernel
def _merge(partial: Array, statistics: Array, tile: int) -> None:
    """One mean and one variance per channel, from those of all its lanes in all tasks; a few channels at a time."""
    tasks, _, period = partial.shape
    channels = statistics.shape[1]
    first, last = tile * TILE, min((tile + 1) * TILE, channels)
    mean, var = statistics[0, first:last], statistics[1, first:last]
    count = 0.0
    for lane in range(first, period, channels):
        for task in range(tasks):
            count += partial[task, 2, lane]
    for i in range(len(mean)):
        mean[i] = var[i] = 0.0
    for lane in range(first, period, channels):
        for task in range(tasks):
            means, counts = partial[task, 0, lane : lane + len(mean)], partial[task, 2, lane : lane + len(mean)]
            for i in range(len(mean)):
                mean[i] += means[i] * counts[i]
    for i in range(len(mean)):
        mean[i] /= count
    for lane in range(first, period, channels):
        for task in range(tasks):
            means, counts = partial[task, 0, lane : lane + len(mean)], partial[task, 2, lane : lane + len(mean)]
            spreads = partial[task, 1, lane : lane + len(mean)]
            for i in range(len(mean)):
                distance = means[i] - mean[i]
                var[i] += spreads[i] + distance * distance * counts[i]
    for i in range(len(var)):
        var[i] /= count


@row_kernel
def _normalize(x: Array, values: Array, y: Array, step: int, task: int) -> None:
    """The larger of (x − mean) · scale + bias and least; these four are the rows of `values`."""
    source, target, period = x[task * step : (task + 1) * step], y[task * step : (task + 1) * step], values.shape[1]
    mean, scale, bias, least = values[0], values[1], values[2], values[3, 0]
    for start in range(0, len(target), period):
        row, out = source[start : start + period], target[start : start + period]
        for lane in range(len(out)):
            value = (row[lane] - mean[lane]) * scale[lane] + bias[lane]
            out[lane] = least if value < least else value


@row_kernel
def _gradient_sums(dy: Array, x: Array, values: Array, partial: Array, step: int, task: int) -> None:
    """Σ dy and Σ dy · (x − mean) of each lane, over one task, where ReLU let the value through.

    The rows of `values` are mean, scale, bias and least.
    """
    gradient, source, period = dy[task * step : (task + 1) * step], x[task * step : (task + 1) * step], values.shape[1]
    total, products = stack_array(x), stack_array(x)
    zero, least = x.dtype.type(0), values[3, 0]
    always = least != least
    for tile in range(0, period, TILE):
        width = min(TILE, period - tile)
        mean, scale = values[0, tile : tile + width], values[1, tile : tile + width]
        bias = values[2, tile : tile + width]
        for lane in range(width):
            total[lane] = products[lane] = zero
        for start in range(tile, len(source), period):
            row, grad = source[start : start + width], gradient[start : start + width]
            for lane in range(len(row)):
                a, g = row[lane] - mean[lane], grad[lane]
                g = g if always or a * scale[lane] + bias[lane] > least else zero
                total[lane] += g
                products[lane] += g * a
        for lane in range(width):
            partial[task, 0, tile + lane] = total[lane]
            partial[task, 1, tile + lane] = products[lane]


@row_kernel
def _input_gradient(dy: Array, x: Array, values: Array, dx: Array, step: int, task: int) -> None:
    """The gradient scale · (dy − mean(dy) − (x − mean) · slope), dy where ReLU let the value through.

    The rows of `values` are mean, scale, bias, least, mean(dy) and slope.
    """
    first, last = task * step, (task + 1) * step
    gradient, source, target = dy[first:last], x[first:last], dx[first:last]
    mean, scale, bias, mean_grad, slope = values[0], values[1], values[2], values[4], values[5]
    zero, least, period = x.dtype.type(0), values[3, 0], values.shape[1]
    always = least != least
    for start in range(0, len(target), period):
        row, grad = source[start : start + period], gradient[start : start + period]
        out = target[start : start + period]
        for lane in range(len(out)):
            a, g = row[lane] - mean[lane], grad[lane]
            g = g if always or a * scale[lane] + bias[lane] > least else zero
            out[lane] = scale[lane] * (g - mean_grad[lane] - a * slope[lane])
