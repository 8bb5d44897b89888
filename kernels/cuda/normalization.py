"""Batch and layer normalization and their gradients, with ReLU fused into the former.

Sums over many values are formed per slice of rows, a cut that follows from the shape and the alignment, and combined in
order: every run gives the same bits. Means and variances are of the accumulator's type: float32 beside half precision.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from kernels.cuda.arrays import accumulator, c_name, tile, vector
from kernels.cuda.launch import launch
from kernels.layout import array_module, channels_last, from_channels_last
from kernels.types import Array

#: Threads along x in blocks that cut rows into slices: packs of channels of one row that a warp reads.
_PACKS = 32
#: Channels in a pack at most, for the sake of registers.
_MOST = 4
#: Blocks at most, and rows per thread at least: fewer are not worth a partial sum.
_BLOCKS, _ROWS = 1024, 8
#: The block that combines slices: channels along x, slices along y.
_COMBINE = (8, 32)


class _Cut(NamedTuple):
    """How a matrix (rows, channels) is cut over blocks: see normalization.cu."""

    rows: int
    slice: int
    slices: int
    packs: int
    pack: int
    block: tuple[int, int]

    @property
    def grid(self) -> tuple[int, int]:
        return -(-self.packs // self.block[0]), self.slices

    @property
    def sizes(self) -> tuple[int, int, int]:
        """What kernels take: rows, rows of a slice, and packs in a row."""
        return self.rows, self.slice, self.packs


def batch_norm(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5, activation: Literal["relu"] | None = None
) -> tuple[Array, Array, Array]:
    """Normalize each channel by its own mean and variance. Reads x twice, writes y once."""
    xp, block = array_module(x), channels_last(x)
    C = x.shape[1]
    cut = _cut(block, x.size // C, C)
    partial = xp.empty((cut.slices, 2, C), np.float64)
    mean, var = xp.empty((2, C), accumulator(x.dtype))
    defines = _defines(cut, weight, var)
    _launch("batch_statistics", cut.grid, cut.block, (block, partial, *cut.sizes), x, defines)
    arguments = (partial, mean, var, cut.rows, cut.slice, cut.slices, C)
    _launch("combine_statistics", (-(-C // _COMBINE[0]),), _COMBINE, arguments, x, defines)
    return _normalize(x, block, weight, bias, mean, var, eps, activation), mean, var


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
    """Normalize each channel by a given mean and variance. Reads x once, writes y once."""
    return _normalize(x, channels_last(x), weight, bias, mean, var, eps, activation)


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
    """The gradients of x, weight and bias. Reads dy and x twice, writes dx once."""
    xp, block, dy = array_module(x), channels_last(x), channels_last(grad_output)
    C = x.shape[1]
    dx = xp.empty(block.shape, x.dtype)
    cut = _cut(block, x.size // C, C, dy, dx)
    partial = xp.empty((cut.slices, 2, C), accumulator(x.dtype))
    grad_weight, grad_bias = xp.empty((2, C), weight.dtype)
    slopes = xp.empty((2, C), partial.dtype)
    weight, bias, mean, var = map(xp.ascontiguousarray, (weight, bias, mean, var))
    given = (dy, block, weight, bias, mean, var, float(eps))
    relu, defines = activation == "relu", _defines(cut, weight, var)
    _launch("batch_gradient_sums", cut.grid, cut.block, (*given, partial, *cut.sizes, relu), x, defines)
    share = 0.0 if constant_statistics else 1 / max(1, cut.rows)
    arguments = (partial, var, float(eps), share, grad_weight, grad_bias, slopes, cut.slices, C)
    _launch("combine_batch_gradient", (-(-C // _COMBINE[0]),), _COMBINE, arguments, x, defines)
    _launch("batch_input_gradient", cut.grid, cut.block, (*given, slopes, dx, *cut.sizes, relu), x, defines)
    return from_channels_last(dx), grad_weight, grad_bias


def layer_norm(x: Array, weight: Array, bias: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Normalize each sample by its own mean and variance. Reads x once (again from the cache), writes y once."""
    xp, lengths = array_module(x), x.shape[: x.ndim - weight.ndim]
    block, weight, bias = map(xp.ascontiguousarray, (x, weight, bias))
    rows, y = math.prod(lengths), xp.empty(x.shape, x.dtype)
    mean, var = (xp.empty(lengths, accumulator(x.dtype)) for _ in range(2))
    pack = vector(weight.size, block, y, most=_MOST)
    packs = weight.size // pack
    threads = tile(packs, least=32)
    arguments = (block, weight, bias, float(eps), y, mean, var, rows, packs)
    defines = (f"VECTOR={pack}", f"WEIGHT={c_name(weight.dtype)}")
    _launch("layer_norm", (max(1, -(-rows // threads[1])),), threads, arguments, x, defines)
    return y, mean, var


def layer_norm_grad(
    grad_output: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """The gradients of x, weight and bias. Reads dy and x twice, writes dx once."""
    xp, shape, D = array_module(x), weight.shape, weight.size
    dy, block, weight, mean, var = map(xp.ascontiguousarray, (grad_output, x, weight, mean, var))
    dx = xp.empty(x.shape, x.dtype)
    cut = _cut(block, mean.size, D, dy, dx)
    defines, statistics = _defines(cut, weight, var), (mean, var, float(eps))
    threads = tile(cut.packs, least=32)
    arguments: tuple[Any, ...] = (dy, block, weight, *statistics, dx, cut.rows, cut.packs)
    _launch("layer_input_gradient", (max(1, -(-cut.rows // threads[1])),), threads, arguments, x, defines)
    partial = xp.empty((cut.slices, 2, D), accumulator(x.dtype))
    _launch("layer_gradient_sums", cut.grid, cut.block, (dy, block, *statistics, partial, *cut.sizes), x, defines)
    grad_weight, grad_bias = xp.empty((2, *shape), weight.dtype)
    arguments = (partial, grad_weight, grad_bias, cut.slices, D)
    _launch("combine_layer_gradient", (-(-D // _COMBINE[0]),), _COMBINE, arguments, x, defines)
    return dx, grad_weight, grad_bias


def _normalize(
    x: Array,
    block: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    eps: float,
    activation: str | None,
) -> Array:
    xp = array_module(x)
    y = xp.empty(block.shape, x.dtype)
    cut = _cut(block, x.size // x.shape[1], x.shape[1], y)
    weight, bias, mean, var = map(xp.ascontiguousarray, (weight, bias, mean, var))
    arguments = (block, weight, bias, mean, var, float(eps), y, *cut.sizes, activation == "relu")
    _launch("batch_normalize", cut.grid, cut.block, arguments, x, _defines(cut, weight, var))
    return from_channels_last(y)


def _cut(block: Array, rows: int, channels: int, *others: Array) -> _Cut:
    """How a matrix is cut; `others` are of its shape and type."""
    pack = vector(channels, block, *others, most=_MOST)
    packs = channels // pack
    threads = tile(packs, most=_PACKS)
    most = max(1, _BLOCKS // -(-packs // threads[0]))
    slices = min(most, max(1, -(-rows // (threads[1] * _ROWS))))
    slice_rows = max(1, -(-rows // slices))
    return _Cut(rows, slice_rows, max(1, -(-rows // slice_rows)), packs, pack, threads)


def _defines(cut: _Cut, weight: Array, var: Array) -> tuple[str, ...]:
    return f"VECTOR={cut.pack}", f"WEIGHT={c_name(weight.dtype)}", f"STATISTIC={c_name(var.dtype)}"


def _launch(
    kernel: str,
    grid: tuple[int, ...],
    block: tuple[int, int],
    arguments: tuple[Any, ...],
    x: Array,
    defines: tuple[str, ...],
) -> None:
    launch("normalization", kernel, grid, block, arguments, x.dtype, defines=defines)
