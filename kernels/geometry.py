"""Where a sliding window stands: sizes, strides, padding and output sizes, in plain integers.

Everything here is per axis and exact. `convolution_window` and `pooling_window` turn the options that a user
writes (`stride=2`, `padding="same"`, …) into a `Window`, which all kernels read instead of the options.
"""

import functools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from kernels.errors import ArgumentError, ShapeError
from kernels.options import flag, short

#: One number for both axes, or (height, width).
Size: TypeAlias = int | Sequence[int]
#: One number, (height, width), ((top, bottom), (left, right)), or a name.
Padding: TypeAlias = int | Sequence[int] | Sequence[Sequence[int]] | Literal["same", "valid"]
#: (height, width)
Pair: TypeAlias = tuple[int, int]

#: Sizes, strides and padding are below it: kernels count with 64 bits, also in products of two of them.
_MOST = 2**31
#: More places of a window than memory has bytes anywhere.
_MOST_PLACES = 2**40


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window over the last two axes of an input.

    For output (oh, ow), tap (i, j) looks at the input cell

        (oh · stride[0] + i · dilation[0] − top,  ow · stride[1] + j · dilation[1] − left)

    or at padding where that lies outside the input.

    Attributes:
        kernel_size: taps per axis.
        stride: cells from one output to the next.
        padding: ((top, bottom), (left, right)), in cells.
        dilation: cells from one tap to the next.
        input_size: the input's (height, width).
        output_size: the output's (height, width).
    """

    kernel_size: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    input_size: Pair
    output_size: Pair

    @property
    def top(self) -> int:
        """Cells of padding above the input."""
        return self.padding[0][0]

    @property
    def left(self) -> int:
        """Cells of padding left of the input."""
        return self.padding[1][0]

    @property
    def cells(self) -> int:
        """Taps of the window: KH · KW."""
        return self.kernel_size[0] * self.kernel_size[1]

    @property
    def padded_size(self) -> Pair:
        """The (height, width) from the first padding cell to the last cell that counts.

        That is the input, the padding before it, and after it as much as any window reaches: less than the
        padding asked for where the stride stops short of it, more where `ceil_mode` lets a window stick out.
        """
        height, width = (
            max(before + size, (outputs - 1) * stride + _extent(kernel, dilation))
            for (before, _), size, outputs, stride, kernel, dilation in zip(
                self.padding,
                self.input_size,
                self.output_size,
                self.stride,
                self.kernel_size,
                self.dilation,
                strict=True,
            )
        )
        return height, width

    def counted(self, count_include_pad: bool) -> tuple[Pair, Pair]:
        """The rows [first, last) and the columns [first, last) whose cells an average over a window counts."""
        (top, bottom), (left, right) = self.padding if count_include_pad else ((0, 0), (0, 0))
        height, width = self.input_size
        return (-top, height + bottom), (-left, width + right)

    @property
    def is_pointwise(self) -> bool:
        """Whether each output looks at its own input cell only: 1×1, stride 1, no padding."""
        return self.kernel_size == (1, 1) and self.stride == (1, 1) and self.padding == ((0, 0), (0, 0))

    def taps(self) -> Iterator[tuple[int, int]]:
        """The window's taps (i, j), row by row: the order in which `argmax` numbers them."""
        return ((i, j) for i in range(self.kernel_size[0]) for j in range(self.kernel_size[1]))


def convolution_window(
    operation: str, input_size: Pair, kernel_size: Size, stride: Size, padding: Padding, dilation: Size
) -> Window:
    """The window of a convolution.

    `padding="same"` gives ceil(input / stride) outputs; of an odd total the larger half goes to the bottom
    and the right (TensorFlow's rule, and PyTorch's where the stride is 1). `padding="valid"` is 0.

    Args:
        operation: whom error messages name.
        input_size: (height, width).
        kernel_size: int or (height, width).
        stride: int or (height, width).
        padding: int, (height, width), ((top, bottom), (left, right)), "same" or "valid".
        dilation: int or (height, width).

    Raises:
        ArgumentError: an option is out of its range.
        ShapeError: the input with its padding is smaller than the window.
    """
    kernel = pair(operation, "kernel_size", kernel_size)
    step = pair(operation, "stride", stride)
    spread = pair(operation, "dilation", dilation)
    pads = _padding_pairs(operation, padding, input_size, kernel, step, spread)
    return _window(operation, input_size, kernel, step, pads, spread, False)


def pooling_window(
    operation: str,
    input_size: Pair,
    kernel_size: Size,
    stride: Size | None,
    padding: Padding,
    dilation: Size,
    ceil_mode: bool,
) -> Window:
    """The window of a pooling. Every placement of it sees at least one cell of the input.

    With `ceil_mode` a last window that sticks out of the padded input counts too, as long as it starts inside
    the input or the padding before it (PyTorch's rule).

    Args:
        operation: whom error messages name.
        input_size: (height, width).
        kernel_size: int or (height, width).
        stride: int, (height, width), or None for the kernel size.
        padding: as in `convolution_window`.
        dilation: int or (height, width).
        ceil_mode: round the output size up instead of down.

    Raises:
        ArgumentError: an option is out of its range, or a window would see padding only.
        ShapeError: the input with its padding is smaller than the window.
    """
    kernel = pair(operation, "kernel_size", kernel_size)
    step = kernel if stride is None else pair(operation, "stride", stride)
    spread = pair(operation, "dilation", dilation)
    pads = _padding_pairs(operation, padding, input_size, kernel, step, spread)
    window = _window(operation, input_size, kernel, step, pads, spread, flag(operation, "ceil_mode", ceil_mode))
    if not _every_window_sees_input(window):
        raise ArgumentError(
            f"{operation}: padding={window.padding} leaves a window with nothing but padding; use less of it "
            f"(input {_by(input_size)}, kernel_size={window.kernel_size}, stride={window.stride}, "
            f"dilation={window.dilation})."
        )
    return window


def argmax_dtype(cells: int) -> np.dtype[Any]:
    """The smallest unsigned type for an offset inside a window: one byte up to 255 cells, then wider."""
    return np.dtype(np.uint8 if cells <= 255 else np.uint16 if cells <= 65535 else np.uint32)


def pair(operation: str, name: str, value: Size, *, least: int = 1) -> Pair:
    """`value` as (height, width), each at least `least`.

    Raises:
        ArgumentError: `value` is neither an int nor two of them, or too small.
    """
    if type(value) is int and least <= value < _MOST:
        return value, value
    try:
        given = value if isinstance(value, Sequence) else (value, value)
        height, width = (operator.index(number) for number in given)
    except (TypeError, ValueError):
        height = width = least - 1
    if min(height, width) < least or max(height, width) >= _MOST:
        below = "" if height < least or width < least else f" and below {_MOST}"
        raise ArgumentError(
            f"{operation}: {name} must be an int of at least {least}{below} or a (height, width) pair of them, got "
            f"{short(value)}."
        )
    return height, width


# The same few windows come back at every training step.
@functools.lru_cache(maxsize=1024)
def _window(
    operation: str,
    input_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    ceil_mode: bool,
) -> Window:
    height, width = (
        _outputs(size, kernel, step, pads, spread, ceil_mode)
        for size, kernel, step, pads, spread in zip(input_size, kernel_size, stride, padding, dilation, strict=True)
    )
    if min(height, width) < 1:
        extent = tuple(map(_extent, kernel_size, dilation))
        padded = tuple(size + sum(pads) for size, pads in zip(input_size, padding, strict=True))
        raise ShapeError(
            f"{operation}: the output would be empty: the window covers {_by(extent)} cells but the padded "
            f"input has {_by(padded)} (input {_by(input_size)}, kernel_size={kernel_size}, "
            f"padding={padding}, dilation={dilation})."
        )
    if height * width > _MOST_PLACES:
        raise ShapeError(
            f"{operation}: the output would have {_by((height, width))} cells, more than memory holds (input "
            f"{_by(input_size)}, stride={stride}, padding={padding})."
        )
    return Window(kernel_size, stride, padding, dilation, input_size, (height, width))


def _extent(kernel: int, dilation: int) -> int:
    """Cells from a window's first tap to its last, both included."""
    return (kernel - 1) * dilation + 1


def _outputs(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool) -> int:
    before, after = padding
    room = size + before + after - _extent(kernel, dilation)
    if not ceil_mode:
        return room // stride + 1
    outputs = -(-room // stride) + 1
    starts_inside = (outputs - 1) * stride < size + before
    return outputs if starts_inside else outputs - 1


def _padding_pairs(
    operation: str, padding: Padding, input_size: Pair, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[Pair, Pair]:
    if isinstance(padding, str) and padding == "valid":
        return (0, 0), (0, 0)
    if isinstance(padding, str) and padding == "same":
        vertical, horizontal = map(_same_padding, input_size, kernel, stride, dilation)
        return vertical, horizontal
    try:
        if isinstance(padding, Sequence) and any(isinstance(side, Sequence) for side in padding):
            (top, bottom), (left, right) = (map(operator.index, side) for side in padding)  # type: ignore
        else:
            top, left = bottom, right = pair(operation, "padding", padding, least=0)  # type: ignore
    except (TypeError, ValueError):  # an ArgumentError of `pair` is a ValueError
        top = bottom = left = right = -1
    if min(top, bottom, left, right) < 0 or max(top, bottom, left, right) >= _MOST:
        raise ArgumentError(
            f"{operation}: padding must be an int of at least 0, (height, width), "
            f'((top, bottom), (left, right)), "same" or "valid", got {short(padding)}.'
        )
    return (top, bottom), (left, right)


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + _extent(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


@functools.lru_cache(maxsize=1024)
def _every_window_sees_input(window: Window) -> bool:
    if window.padding == ((0, 0), (0, 0)):
        return True  # then every window starts on an input cell
    return all(
        _sees_input(*axis)
        for axis in zip(
            (before for before, _ in window.padding),
            window.input_size,
            window.output_size,
            window.stride,
            window.kernel_size,
            window.dilation,
            strict=True,
        )
    )


def _sees_input(before: int, size: int, outputs: int, stride: int, kernel: int, dilation: int) -> bool:
    """Whether every window of an axis has a tap on one of its `size` cells, in front of which lie `before` others."""
    if (outputs - 1) * stride - before >= size or -(-before // dilation) >= kernel:
        return False  # the last window begins behind the input, or the first one ends before it
    if dilation <= size:
        return True
    # Taps may step over the input. Where a window begins before it, the first tap that does not lie before it counts.
    begins_before = min(outputs, -(-before // stride))
    return all((output * stride - before) % dilation < size for output in range(begins_before))


def _by(size: Sequence[int]) -> str:
    return "×".join(map(str, size))
