"""Pooling layers; chapter 7 of the book."""

from dlcore import functional as F
from dlcore.nn.module import Module
from dlcore.tensor import Tensor
from kernels.geometry import Padding, Size


class MaxPool2d(Module):
    """The maximum of each window.

    Args:
        kernel_size: the window: an int or (height, width).
        stride: from one window to the next; `kernel_size` unless given.
        padding: cells around the input that never are the maximum.
        dilation: distance between the cells of a window.
        ceil_mode: whether a last window may stick out of the input.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, P, Q)."""
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        """The window."""
        return _window(self.kernel_size, self.stride, self.padding)


class AvgPool2d(Module):
    """The mean of each window.

    Args:
        kernel_size: the window: an int or (height, width).
        stride: from one window to the next; `kernel_size` unless given.
        padding: zeros around the input.
        ceil_mode: whether a last window may stick out of the input.
        count_include_pad: whether padding counts in the mean.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, P, Q)."""
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        """The window."""
        return _window(self.kernel_size, self.stride, self.padding)


class GlobalAvgPool2d(Module):
    """The mean of each channel's image."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, 1, 1)."""
        return F.global_avg_pool2d(x)


class GlobalMaxPool2d(Module):
    """The maximum of each channel's image."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, 1, 1)."""
        return F.global_max_pool2d(x)


class AdaptiveAvgPool2d(Module):
    """The means of `output_size` parts of each image, of whatever size it is; see `F.adaptive_avg_pool2d`.

    Args:
        output_size: how many parts: an int or (rows, columns).
    """

    def __init__(self, output_size: Size) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, rows, columns)."""
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        """How many parts."""
        return f"{self.output_size}"


class AdaptiveMaxPool2d(Module):
    """The maxima of `output_size` parts of each image, of whatever size it is; see `F.adaptive_max_pool2d`.

    Args:
        output_size: how many parts: an int or (rows, columns).
    """

    def __init__(self, output_size: Size) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, rows, columns)."""
        return F.adaptive_max_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        """How many parts."""
        return f"{self.output_size}"


def _window(kernel_size: Size, stride: Size | None, padding: Padding) -> str:
    text = f"{kernel_size}" + ("" if stride is None else f", stride={stride}")
    return text + ("" if isinstance(padding, int) and padding == 0 else f", padding={padding!r}")
