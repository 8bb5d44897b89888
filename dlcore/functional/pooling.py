"""Pooling: one number of each window, or of each part of an image."""

from collections.abc import Sequence

import numpy as np

from dlcore import ops
from dlcore.array_functions import stack
from dlcore.tensor import Tensor, operand
from kernels.errors import ArgumentError, ShapeError
from kernels.geometry import Padding, Size, pair
from kernels.shortage import within_memory

#: Uneven parts, each of which takes a call of its own.
_MOST_PARTS = 1 << 16


def max_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The maximum of each window of an (N, C, H, W) tensor; `stride` is `kernel_size` unless given."""
    return ops.MaxPool2d.apply(
        x, kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )


def avg_pool2d(
    x: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of an (N, C, H, W) tensor; `stride` is `kernel_size` unless given."""
    return ops.AvgPool2d.apply(
        x,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
    )


def global_avg_pool2d(x: Tensor) -> Tensor:
    """The mean of each channel's image: (N, C, H, W) → (N, C, 1, 1)."""
    return avg_pool2d(x, _image_size("global_avg_pool2d", x))


def global_max_pool2d(x: Tensor) -> Tensor:
    """The maximum of each channel's image: (N, C, H, W) → (N, C, 1, 1)."""
    return max_pool2d(x, _image_size("global_max_pool2d", x))


@within_memory
def adaptive_avg_pool2d(x: Tensor, output_size: Size) -> Tensor:
    """The means of `output_size` parts of each image: (N, C, H, W) → (N, C, *output_size).

    Part i of an axis of n cells in m parts goes from ⌊i n / m⌋ to ⌈(i + 1) n / m⌉; parts may overlap by a cell.
    """
    x = operand("adaptive_avg_pool2d", "x", x)
    size, parts = _image_size("adaptive_avg_pool2d", x), pair("adaptive_avg_pool2d", "output_size", output_size)
    if all(n % m == 0 for n, m in zip(size, parts, strict=True)):
        return avg_pool2d(x, (size[0] // parts[0], size[1] // parts[1]))
    # A mean over rows and columns is a product with a matrix of shares from each side.
    rows, columns = (Tensor(x.backend.asarray(_shares(n, m), x.dtype)) for n, m in zip(size, parts, strict=True))
    return rows @ x @ columns.T


def adaptive_max_pool2d(x: Tensor, output_size: Size) -> Tensor:
    """The maxima of `output_size` parts of each image; parts are those of `adaptive_avg_pool2d`.

    Raises:
        ShapeError: x is no (N, C, H, W) tensor.
        ArgumentError: `output_size` is no positive size, or of more than 65,536 uneven parts.
    """
    x = operand("adaptive_max_pool2d", "x", x)
    size, parts = _image_size("adaptive_max_pool2d", x), pair("adaptive_max_pool2d", "output_size", output_size)
    if all(n % m == 0 for n, m in zip(size, parts, strict=True)):
        return max_pool2d(x, (size[0] // parts[0], size[1] // parts[1]))
    if parts[0] * parts[1] > _MOST_PARTS:
        raise ArgumentError(f"adaptive_max_pool2d: output_size={parts} has more parts than the {_MOST_PARTS:,} at most")
    rows, columns = (_bounds(n, m) for n, m in zip(size, parts, strict=True))
    return stack([stack([x[:, :, a:b, c:d].max((2, 3)) for c, d in columns], axis=-1) for a, b in rows], axis=2)


def _bounds(length: int, parts: int) -> list[tuple[int, int]]:
    return [(i * length // parts, -(-(i + 1) * length // parts)) for i in range(parts)]


def _shares(length: int, parts: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(parts, length): row i is 1 / count over the cells of part i."""
    shares = np.zeros((parts, length))
    for row, (begin, end) in zip(shares, _bounds(length, parts), strict=True):
        row[begin:end] = 1.0 / (end - begin)
    return shares


def _image_size(name: str, x: Tensor) -> Sequence[int]:
    if operand(name, "x", x).ndim != 4:
        raise ShapeError(f"{name}: expected a tensor of shape (N, C, H, W), got {x.shape}")
    return x.shape[2:]
