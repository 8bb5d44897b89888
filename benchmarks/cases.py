"""The cases: which kernel, on which shapes. Everything that is timed kernel by kernel is in this one list.

A case belongs to a group of layers that are alike, and is one pass of such a layer: its output, the gradient of
its input, or the gradient of its weight. Goals (`goals.py`) are set per group and pass.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from benchmarks import textbook
from kernels.types import Array

MNIST = "MNIST-scale convolutions"
SQUARE = "3×3 stride 1, C ≥ 64"
POINTWISE = "1×1"
STRIDED = "stem and strided"
DEPTHWISE = "depthwise"
MAX_POOL = "max-pool"
AVG_POOL = "average-pool"
BATCH_NORM = "batch norm + ReLU"
PATCHES = "im2col and col2im"
GROUPS = (MNIST, SQUARE, POINTWISE, STRIDED, DEPTHWISE, MAX_POOL, AVG_POOL, BATCH_NORM, PATCHES)

FORWARD, INPUT_GRAD, WEIGHT_GRAD = PASSES = ("forward", "input grad", "weight grad")

#: Each kernel's pass. `col2im` and the pooling gradients give the gradient of an input, `batch_norm_grad` all three.
PASS_OF = {
    "conv2d": FORWARD,
    "conv2d_input_grad": INPUT_GRAD,
    "conv2d_weight_grad": WEIGHT_GRAD,
    "max_pool2d": FORWARD,
    "max_pool2d_grad": INPUT_GRAD,
    "avg_pool2d": FORWARD,
    "avg_pool2d_grad": INPUT_GRAD,
    "batch_norm": FORWARD,
    "batch_norm_grad": INPUT_GRAD,
    "im2col": FORWARD,
    "col2im": INPUT_GRAD,
}

_ITEMSIZE = 4
#: Plain Python loops take a good part of a microsecond a step, so this many finish within a second.
_SAMPLE_STEPS = 1_000_000
_SAMPLE_SIZE = 8


@dataclass(frozen=True)
class Case:
    """One kernel on one layer: square images, a square window, float32.

    Args:
        group: one of `GROUPS`.
        kernel: name of the function in `kernels`.
        batch: images.
        in_channels: channels of the input.
        out_channels: filters of a convolution; what is no convolution has as many as `in_channels`.
        size: height and width of the input, in pixels.
        window: height and width of the kernel or pooling window; 1 for batch norm.
        stride: of the window, both axes.
        padding: on each side, both axes.
        groups: of channels; as many as `in_channels` make a convolution depthwise.
    """

    group: str
    kernel: str
    batch: int
    in_channels: int
    out_channels: int
    size: int
    window: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def is_convolution(self) -> bool:
        """Whether the kernel has weights that slide over images."""
        return self.kernel.startswith("conv2d")

    @property
    def direction(self) -> str:
        """The pass: "forward", "input grad" or "weight grad"."""
        return PASS_OF[self.kernel]

    @property
    def layer(self) -> str:
        """The layer in short, such as `16->32@14 k3 p1 N=100`; a stride of 1 and no padding go without saying."""
        filters = f"->{self.out_channels}" if self.is_convolution and self.groups == 1 else ""
        depthwise = " dw" if self.groups > 1 else ""
        window = "" if self.kernel.startswith("batch_norm") else f" k{self.window}"
        stride = f" s{self.stride}" if self.stride > 1 else ""
        padding = f" p{self.padding}" if self.padding else ""
        return f"{self.in_channels}{filters}@{self.size}{depthwise}{window}{stride}{padding} N={self.batch}"

    @property
    def output_size(self) -> int:
        """Height and width of the output, in pixels."""
        return textbook.output_size(self.size, self.window, self.stride, self.padding)

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input, (N, C, H, W)."""
        return (self.batch, self.in_channels, self.size, self.size)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the layer's output, (N, K, OH, OW)."""
        return (self.batch, self.out_channels, self.output_size, self.output_size)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of a convolution's weight, (K, C / groups, R, S)."""
        return (self.out_channels, self.in_channels // self.groups, self.window, self.window)

    @property
    def steps(self) -> int:
        """Innermost steps of the naive loops, to which their time is proportional."""
        filters = self.out_channels // self.groups if self.is_convolution else 1
        return self.batch * self.in_channels * filters * (self.output_size * self.window) ** 2

    @property
    def operations(self) -> int:
        """Floating-point operations of a convolution by its definition, two a step; 0 where memory is the limit."""
        return 2 * self.steps if self.is_convolution and self.groups == 1 else 0

    @property
    def traffic(self) -> int:
        """Bytes that must be read or written at least once, whatever the algorithm; the arg-max counts one each."""
        x = self.batch * self.in_channels * self.size**2 * _ITEMSIZE
        y = self.batch * self.out_channels * self.output_size**2 * _ITEMSIZE
        if self.kernel in ("im2col", "col2im"):
            return x + y * self.window**2
        if self.kernel.startswith("max_pool"):
            return x + y + y // _ITEMSIZE
        if self.kernel == "batch_norm":
            return 2 * x + y  # the mean and variance are needed before the first output
        if self.kernel == "batch_norm_grad":
            return 2 * (x + y) + x
        if self.is_convolution:
            return x + y + int(np.prod(self.weight_shape)) * _ITEMSIZE
        return x + y

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

    Args:
        case: what they are for.
        rectified: whether x is what a ReLU leaves: half of it zeros.
        seed: another one gives other numbers.

    Attributes:
        x: the layer's input, (N, C, H, W).
        weight: (K, C / groups, R, S); (K,) for batch norm.
        bias: (K,).
        grad_output: gradient of the layer's output, (N, K, OH, OW).
    """

    def __init__(self, case: Case, *, rectified: bool = False, seed: int = 0) -> None:
        self._case = case
        rng = np.random.default_rng(seed)

        def normal(*shape: int) -> Array:
            return rng.standard_normal(shape, dtype=np.float32)

        self.x = normal(*case.input_shape)
        if rectified:
            np.maximum(self.x, 0, out=self.x)
        self.weight = normal(*(case.weight_shape if case.is_convolution else (case.out_channels,)))
        self.bias = normal(case.out_channels)
        self.grad_output = normal(*case.output_shape)

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

    @cached_property
    def statistics(self) -> tuple[Array, Array]:
        """Mean and variance of each channel of x, (C,) both."""
        return self.x.mean(axis=(0, 2, 3)), self.x.var(axis=(0, 2, 3))


#: batch, in_channels, out_channels, size, window, stride, padding
_CONVOLUTIONS: dict[str, list[tuple[int, ...]]] = {
    MNIST: [
        (100, 1, 6, 28, 5),  # LeNet, first layer
        (100, 6, 16, 14, 5),  # LeNet, second
        (100, 1, 30, 28, 5),  # SimpleConvNet
        (100, 1, 16, 28, 3, 1, 1),  # DeepConvNet, layer by layer
        (100, 16, 16, 28, 3, 1, 1),
        (100, 16, 32, 14, 3, 1, 1),
        (100, 32, 32, 14, 3, 1, 2),
        (100, 32, 64, 8, 3, 1, 1),
        (100, 64, 64, 8, 3, 1, 1),
    ],
    SQUARE: [
        (4, 64, 64, 224, 3, 1, 1),  # VGG-16
        (4, 128, 128, 112, 3, 1, 1),
        (4, 256, 256, 56, 3, 1, 1),
        (4, 512, 512, 28, 3, 1, 1),
        (4, 512, 512, 14, 3, 1, 1),
        (8, 64, 64, 56, 3, 1, 1),  # ResNet
        (8, 128, 128, 28, 3, 1, 1),
        (8, 256, 256, 14, 3, 1, 1),
        (8, 512, 512, 7, 3, 1, 1),
    ],
    POINTWISE: [  # ResNet's bottlenecks
        (8, 64, 256, 56, 1),
        (8, 256, 64, 56, 1),
        (8, 512, 128, 28, 1),
        (8, 1024, 256, 14, 1),
        (8, 2048, 512, 7, 1),
    ],
    STRIDED: [
        (4, 3, 64, 224, 3, 1, 1),  # VGG-16, first layer
        (8, 3, 64, 224, 7, 2, 3),  # ResNet, first layer
        (8, 64, 128, 56, 3, 2, 1),
        (8, 256, 512, 56, 1, 2),
    ],
}

#: batch, channels, size, stride; the window is 3×3 with padding 1. MobileNet's.
_DEPTHWISE = [(8, 32, 112, 1), (8, 64, 112, 2), (8, 128, 56, 1), (8, 256, 28, 1), (8, 512, 14, 1), (8, 1024, 7, 1)]

#: batch, channels, size: DeepConvNet's first block, ResNet's first blocks.
_IMAGES = [(100, 16, 28), (8, 64, 56), (8, 256, 56)]

#: Layers on which the naive loops are timed too: one of each kind, and none so large that they would take a minute.
_NAIVE_CONVOLUTIONS: list[tuple[str, tuple[int, ...]]] = [
    (MNIST, (100, 1, 30, 28, 5)),
    (MNIST, (100, 16, 32, 14, 3, 1, 1)),
    (MNIST, (100, 64, 64, 8, 3, 1, 1)),
    (SQUARE, (8, 64, 64, 56, 3, 1, 1)),
]
_CONVOLUTION_KERNELS = ("conv2d", "conv2d_input_grad", "conv2d_weight_grad")


def _cases() -> list[Case]:
    cases = [
        Case(group, kernel, *layer)
        for group, layers in _CONVOLUTIONS.items()
        for kernel in _CONVOLUTION_KERNELS
        for layer in layers
    ]
    cases += [
        Case(DEPTHWISE, kernel, batch, channels, channels, size, 3, stride, 1, groups=channels)
        for kernel in _CONVOLUTION_KERNELS
        for batch, channels, size, stride in _DEPTHWISE
    ]
    for group, name, windows in (
        (MAX_POOL, "max_pool2d", [(2, 2, 0), (3, 2, 1)]),
        (AVG_POOL, "avg_pool2d", [(2, 2, 0), None]),
    ):
        cases += [
            Case(group, kernel, batch, channels, channels, size, *(window or (size, size)))  # None: global
            for kernel in (name, f"{name}_grad")
            for window in windows
            for batch, channels, size in _IMAGES
        ]
    cases += [
        Case(BATCH_NORM, kernel, batch, channels, channels, size, 1)
        for kernel in ("batch_norm", "batch_norm_grad")
        for batch, channels, size in _IMAGES
    ]
    # The number of filters plays no part in these.
    cases += [
        Case(PATCHES, kernel, batch, channels, channels, size, *window)
        for kernel in ("im2col", "col2im")
        for _, (batch, channels, _, size, *window) in _NAIVE_CONVOLUTIONS
    ]
    return cases


CASES = _cases()


def _against_loops(case: Case) -> bool:
    if case.is_convolution:
        return any(case == Case(group, case.kernel, *layer) for group, layer in _NAIVE_CONVOLUTIONS)
    return case.group == PATCHES or (case.group in (MAX_POOL, AVG_POOL) and case.in_channels < 256)


#: The cases on which naive loops compete.
LOOP_CASES = [case for case in CASES if _against_loops(case)]


def quick(cases: list[Case]) -> list[Case]:
    """Of each group and kernel the case with the least work, in their order."""
    least: dict[tuple[str, str], Case] = {}
    for case in cases:
        key = (case.group, case.kernel)
        if key not in least or case.steps < least[key].steps:
            least[key] = case
    return list(least.values())
