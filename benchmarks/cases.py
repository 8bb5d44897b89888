"""The cases: which kernel, on which shapes. Everything that is timed is in this one list."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from benchmarks import textbook
from kernels.types import Array

#: Plain Python loops take a good part of a microsecond a step, so this many finish within a second.
_SAMPLE_STEPS = 1_000_000
_SAMPLE_SIZE = 8


@dataclass(frozen=True)
class Case:
    """One kernel on one layer: square images, a square window, float32.

    Args:
        kernel: name of the function in `kernels`.
        batch: images.
        in_channels: channels of the input.
        out_channels: filters of a convolution; a pooling has as many as `in_channels`.
        size: height and width of the input, in pixels.
        window: height and width of the kernel or pooling window.
        stride: of the window, both axes.
        padding: on each side, both axes.
    """

    kernel: str
    batch: int
    in_channels: int
    out_channels: int
    size: int
    window: int
    stride: int = 1
    padding: int = 0

    @property
    def layer(self) -> str:
        """The layer in short, such as `16->32@14 k3 p1 N=100`; a stride of 1 and no padding go without saying."""
        filters = f"->{self.out_channels}" if self.kernel.startswith("conv2d") else ""
        stride = f" s{self.stride}" if self.stride > 1 else ""
        padding = f" p{self.padding}" if self.padding else ""
        return f"{self.in_channels}{filters}@{self.size} k{self.window}{stride}{padding} N={self.batch}"

    @property
    def output_size(self) -> int:
        """Height and width of the output, in pixels."""
        return textbook.output_size(self.size, self.window, self.stride, self.padding)

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input, (N, C, H, W)."""
        return (self.batch, self.in_channels, self.size, self.size)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of a convolution's weight, (K, C, R, S)."""
        return (self.out_channels, self.in_channels, self.window, self.window)

    @property
    def steps(self) -> int:
        """Innermost steps of the naive loops, to which their time is proportional."""
        filters = self.out_channels if self.kernel.startswith("conv2d") else 1
        return self.batch * self.in_channels * filters * (self.output_size * self.window) ** 2

    def sample(self) -> "Case":
        """The same kernel on fewer images, and smaller ones where one is still too many, for plain Python."""
        one = replace(self, batch=1)
        if one.steps > 3 * _SAMPLE_STEPS:
            one = replace(one, size=_SAMPLE_SIZE)
        return replace(one, batch=min(self.batch, max(1, _SAMPLE_STEPS // one.steps)))

    def __str__(self) -> str:
        return f"{self.kernel} {self.layer}"


class Inputs:
    """Arrays for a case, the same in every run: float32, C-contiguous, normal with standard deviation 1.

    Attributes:
        x: the layer's input, (N, C, H, W).
        weight: (K, C, R, S).
        bias: (K,).
        grad_output: gradient of the layer's output, (N, K, OH, OW).
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        rng = np.random.default_rng(0)

        def normal(*shape: int) -> Array:
            return rng.standard_normal(shape, dtype=np.float32)

        self.x = normal(*case.input_shape)
        self.weight = normal(*case.weight_shape)
        self.bias = normal(case.out_channels)
        self.grad_output = normal(case.batch, case.out_channels, case.output_size, case.output_size)

    @cached_property
    def columns(self) -> Array:
        """Patches of x as rows, (N·OH·OW, C·R·S)."""
        return textbook.im2col(self.x, self._case.window, self._case.stride, self._case.padding)

    @cached_property
    def argmax(self) -> Array:
        """The cell of each window in which x is largest, (N, C, OH, OW), uint8."""
        case = self._case
        argmax = textbook.max_pool2d(self.x, case.window, case.stride, case.padding)[1]
        return np.ascontiguousarray(argmax, dtype=np.uint8)


#: batch, in_channels, out_channels, size, window, stride, padding
_CONVOLUTIONS = [
    (100, 1, 30, 28, 5, 1, 0),  # SimpleConvNet
    (100, 16, 32, 14, 3, 1, 1),  # DeepConvNet, third layer
    (100, 64, 64, 8, 3, 1, 1),  # DeepConvNet, last layer
    (8, 64, 64, 56, 3, 1, 1),  # ResNet, first block
]
_POOLINGS = [
    (100, 30, 30, 24, 2, 2, 0),  # SimpleConvNet
    (100, 16, 16, 28, 2, 2, 0),  # DeepConvNet, first
    (8, 64, 64, 112, 3, 2, 1),  # ResNet, stem
]

CASES = [
    Case(kernel, *layer)
    for kernels, layers in [
        (("im2col", "col2im", "conv2d", "conv2d_input_grad", "conv2d_weight_grad"), _CONVOLUTIONS),
        (("max_pool2d", "max_pool2d_grad", "avg_pool2d", "avg_pool2d_grad"), _POOLINGS),
    ]
    for kernel in kernels
    for layer in layers
]

#: One layer per kernel, of DeepConvNet.
QUICK_CASES = [case for case in CASES if case.in_channels == 16]
