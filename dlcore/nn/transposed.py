"""Transposed convolutional layers: they enlarge images, and are the input gradients of convolutions."""

import math
from typing import Any

from dlcore import functional as F
from dlcore.creation import zeros
from dlcore.nn import init
from dlcore.nn.convolution import channels_last_zeros, check_channels
from dlcore.nn.module import Module, Parameter
from dlcore.tensor import Tensor
from kernels.geometry import Size, pair


class _ConvTranspose(Module):
    """What transposed convolutions over any number of axes share; see `ConvTranspose2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: Any,
        padding: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        dilation: Any,
    ) -> None:
        super().__init__()
        check_channels(type(self).__name__, in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.output_padding = output_padding
        self.groups = groups
        self.dilation = dilation
        shape = (in_channels, out_channels // groups, *kernel_size)
        self.weight = Parameter(zeros(shape) if len(shape) == 3 else channels_last_zeros(shape))
        bound = 1.0 / math.sqrt(init.fans(self.weight)[0])
        init.uniform_(self.weight, -bound, bound)
        self.bias = Parameter(zeros(out_channels)) if bias else None
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, value, default in (
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("output_padding", self.output_padding, 0),
            ("groups", self.groups, 1),
            ("dilation", self.dilation, 1),
        ):
            if type(value) is not type(default) or value != default:
                text += f", {name}={value!r}"
        return text + ("" if self.bias is not None else ", bias=False")


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of sequences (N, C, L); see `ConvTranspose2d`.

    Attributes:
        weight: (in_channels, out_channels / groups, kernel_size).
        bias: (out_channels,) or None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int = 1,
    ) -> None:
        window = pair("ConvTranspose1d", "kernel_size", kernel_size)[:1]
        super().__init__(in_channels, out_channels, window, stride, padding, output_padding, groups, bias, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, L) → (N, out_channels, M)."""
        options = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return F.conv_transpose1d(x, self.weight, self.bias, *options)


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images: each input number adds a scaled window to the output.

    Weight and bias start uniform on ± 1 / √(out_channels / groups · window), as in PyTorch.

    Args:
        in_channels: C of the input (N, C, H, W).
        out_channels: K of the output (N, K, P, Q).
        kernel_size: the window: an int or (height, width).
        stride: rows and columns of the output from one input to the next.
        padding: rows and columns cut off each side of the output.
        output_padding: rows and columns added at its end.
        groups: into how many independent parts the channels are split.
        bias: whether a bias is added to each output channel.
        dilation: distance between the taps of the window.

    Attributes:
        weight: (in_channels, out_channels / groups, height, width).
        bias: (out_channels,) or None.

    Raises:
        ArgumentError: `groups` does not divide both channel counts, or a size is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
    ) -> None:
        window = pair("ConvTranspose2d", "kernel_size", kernel_size)
        super().__init__(in_channels, out_channels, window, stride, padding, output_padding, groups, bias, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, P, Q)."""
        options = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return F.conv_transpose2d(x, self.weight, self.bias, *options)
