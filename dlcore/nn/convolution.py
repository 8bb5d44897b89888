"""Convolutional layers."""

import math
from typing import Literal

import numpy as np

from dlcore import backend
from dlcore import functional as F
from dlcore.creation import zeros
from dlcore.nn import init
from dlcore.nn.module import Module, Parameter
from dlcore.tensor import Tensor
from kernels import layout, options
from kernels.errors import ArgumentError
from kernels.geometry import Padding, Size, pair
from kernels.types import Array


class Conv2d(Module):
    """Two-dimensional convolution; chapter 7 of the book.

    Weight and bias start uniform on ± 1 / √fan_in, as in PyTorch; `nn.init` has the others.

    Args:
        in_channels: C of the input (N, C, H, W).
        out_channels: K of the output (N, K, P, Q).
        kernel_size: the window: an int or (height, width).
        stride: from one output to the next: an int or a pair.
        padding: zeros around the input: an int, (height, width), ((top, bottom), (left, right)), "same" or "valid".
        dilation: distance between the taps of the window: an int or a pair.
        groups: into how many independent convolutions the channels are split.
        bias: whether a bias is added to each output channel.
        algorithm: how it is computed, see `kernels.conv2d`; "direct" where Winograd's larger rounding errors matter.

    Attributes:
        weight: (out_channels, in_channels / groups, height, width).
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
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        algorithm: str = "auto",
    ) -> None:
        super().__init__()
        check_channels("Conv2d", in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.algorithm = algorithm
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        # Channels-last in memory, like its gradient: kernels pack it faster, and optimizers read both straight through.
        self.weight = Parameter(channels_last_zeros(shape))
        bound = 1.0 / math.sqrt(init.fans(self.weight)[0])
        init.uniform_(self.weight, -bound, bound)
        self.bias = Parameter(zeros(out_channels)) if bias else None
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, activation: Literal["relu"] | None = None) -> Tensor:
        """(N, in_channels, H, W) → (N, out_channels, P, Q); with `activation`, relu of that in the same pass."""
        options = (self.stride, self.padding, self.dilation, self.groups)
        return F.conv2d(x, self.weight, self.bias, *options, activation=activation, algorithm=self.algorithm)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, value, default in (
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("dilation", self.dilation, 1),
            ("groups", self.groups, 1),
            ("algorithm", self.algorithm, "auto"),
        ):
            if type(value) is not type(default) or value != default:
                text += f", {name}={value!r}"
        return text + ("" if self.bias is not None else ", bias=False")


class Conv1d(Module):
    """One-dimensional convolution.

    Weight and bias start uniform on ± 1 / √fan_in, as in PyTorch.

    Args:
        in_channels: C of the input (N, C, L).
        out_channels: K of the output (N, K, M).
        kernel_size: the length of the window.
        stride: from one output to the next.
        padding: zeros at both ends: an int, (before, after), "same" or "valid".
        dilation: distance between the taps of the window.
        groups: into how many independent convolutions the channels are split.
        bias: whether a bias is added to each output channel.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel_size).
        bias: (out_channels,) or None.

    Raises:
        ArgumentError: `groups` does not divide both channel counts, or a size is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_channels("Conv1d", in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair("Conv1d", "kernel_size", kernel_size)[:1]
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        self.weight = Parameter(zeros((out_channels, in_channels // groups, *self.kernel_size)))
        bound = 1.0 / math.sqrt(init.fans(self.weight)[0])
        init.uniform_(self.weight, -bound, bound)
        self.bias = Parameter(zeros(out_channels)) if bias else None
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, L) → (N, out_channels, M)."""
        return F.conv1d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        given = {name: getattr(self, name) for name in defaults}
        text += "".join(
            f", {name}={value!r}"
            for name, value in given.items()
            if type(value) is not type(defaults[name]) or value != defaults[name]
        )
        return text + ("" if self.bias is not None else ", bias=False")


def check_channels(name: str, in_channels: int, out_channels: int, groups: int) -> None:
    """Both numbers of channels are positive multiples of `groups`, or an ArgumentError says which are not."""
    for argument, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        options.whole(name, argument, value)
    if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
        raise ArgumentError(
            f"{name}: in_channels and out_channels must be positive multiples of groups, "
            f"got in_channels={in_channels}, out_channels={out_channels}, groups={groups}"
        )


def channels_last_zeros(shape: tuple[int, ...]) -> Array:
    """Zeros on the active backend, whose memory holds the second axis innermost."""
    here, shape = backend.current(), options.lengths("weight", shape)
    with here.active_device():
        return layout.zeros(shape, np.float32, here.xp)
