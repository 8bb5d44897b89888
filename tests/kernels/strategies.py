"""Random convolutions, poolings and arrays, small enough for loops in Python."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from dlcore.backend import Backend
from kernels.geometry import Padding, Pair, convolution_window, pooling_window
from kernels.layout import array_module
from tests import emulation

#: Random cases of a test: fewer where kernels run thread by thread.
MANY = 100 if emulation.is_installed() else 300

#: The most multiplications of one case.
MOST_WORK = 20_000

ARRANGEMENTS = ("plain", "channels-last", "reversed", "every other", "read-only", "field of a record")

NDArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Arrays:
    """Makes arrays for one case, always the same."""

    dtype: str
    arrangement: str
    seed: int

    def make(self, *shapes: tuple[int, ...], values: str = "normal") -> list[NDArray]:
        """One array for each shape: values of unit scale, memory arranged as this case says."""
        random = np.random.default_rng(self.seed)
        return [arrange(_values(random, shape, values).astype(self.dtype), self.arrangement) for shape in shapes]

    def on(self, backend: Backend, *arrays: NDArray) -> list[Any]:
        """The arrays on a backend, arranged alike as far as its arrays can be."""
        if backend.is_host:
            return list(arrays)
        return [arrange(backend.asarray(np.array(array, order="C")), self.arrangement) for array in arrays]


@dataclass(frozen=True)
class Convolution:
    """Arguments of a convolution. `options` are those that all three of its functions take."""

    input_shape: tuple[int, int, int, int]
    weight_shape: tuple[int, int, int, int]
    output_shape: tuple[int, int, int, int]
    has_bias: bool
    activation: str | None
    options: dict[str, Any]
    algorithm: str
    arrays: Arrays


@dataclass(frozen=True)
class Unfolding:
    """Arguments of im2col, and of col2im."""

    input_shape: tuple[int, int, int, int]
    cols_shape: tuple[int, int]
    kernel_size: Pair
    options: dict[str, Any]
    arrays: Arrays


@dataclass(frozen=True)
class Pooling:
    """Arguments of a pooling. Max pooling takes `dilation` besides, average pooling `count_include_pad`."""

    input_shape: tuple[int, int, int, int]
    output_shape: tuple[int, int, int, int]
    kernel_size: Pair
    options: dict[str, Any]
    dilation: Pair
    count_include_pad: bool
    values: str
    arrays: Arrays


def arrange(array: NDArray, arrangement: str) -> NDArray:
    """The same values in other memory: one of `ARRANGEMENTS`, as far as CuPy's arrays know them."""
    xp = array_module(array)
    if arrangement == "channels-last" and array.ndim == 4:
        return xp.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if arrangement == "reversed":
        return xp.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if arrangement == "every other":
        return xp.repeat(array, 2, axis=-1)[..., ::2]
    if xp is not np and arrangement == "field of a record":  # a device has none: begin where no 16 bytes begin
        longer = xp.concatenate([array.ravel(), array.ravel()[:1]])
        longer[1:] = array.ravel()
        return longer[1:].reshape(array.shape)
    if xp is not np:
        return array
    if arrangement == "field of a record":  # elements lie at no whole distance of their size
        records = np.zeros(array.shape, [("value", array.dtype), ("rest", np.int16)])
        records["value"] = array
        return records["value"]
    if arrangement == "read-only":
        array = array.copy()
        array.flags.writeable = False
    return array


def _values(random: np.random.Generator, shape: tuple[int, ...], values: str) -> NDArray:
    if values == "ties":
        return random.integers(0, 3, shape).astype(np.float64)
    normal = random.standard_normal(shape)
    if values == "not finite":
        special = np.array([np.nan, np.inf, -np.inf])
        return np.where(random.random(shape) < 0.4, random.choice(special, shape), normal)
    return normal


arrays = st.builds(
    Arrays, st.sampled_from(["float32", "float64"]), st.sampled_from(ARRANGEMENTS), st.integers(0, 2**32 - 1)
)

#: Fewer, as many and more than vectors have lanes.
channel_counts = st.sampled_from([1, 1, 2, 3, 4, 5, 8, 9, 16, 17])


def sizes(least: int, most: int) -> st.SearchStrategy[Pair]:
    """(height, width)."""
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def paddings(draw: st.DrawFn, most: Pair, *, names: bool = True) -> Padding:
    """Padding in each of the forms that it can be written in, up to `most` cells per side."""
    height, width = (st.integers(0, cells) for cells in most)
    forms: list[st.SearchStrategy[Any]] = [
        st.integers(0, min(most)),
        st.tuples(height, width),
        st.tuples(st.tuples(height, height), st.tuples(width, width)),
    ]
    if names:
        forms.append(st.sampled_from(["same", "valid"]))
    return draw(st.one_of(forms))


def _cells_around(padding: Padding) -> Pair:
    """Cells of padding before and after, per axis; none counted for names."""
    if isinstance(padding, str):
        return 0, 0
    if isinstance(padding, int):
        return 2 * padding, 2 * padding
    height, width = (2 * side if isinstance(side, int) else sum(side) for side in padding)
    return height, width


@st.composite
def input_sizes(draw: st.DrawFn, kernel: Pair, dilation: Pair, padding: Padding) -> Pair:
    """Inputs that hold at least one window, and up to a few more."""
    extents = ((taps - 1) * spread + 1 for taps, spread in zip(kernel, dilation, strict=True))
    least = (max(1, extent - pad) for extent, pad in zip(extents, _cells_around(padding), strict=True))
    height, width = (draw(st.integers(size, size + 5)) for size in least)
    return height, width


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Convolutions with every option, depthwise ones included; the batch may be empty."""
    kernel, dilation, stride = draw(sizes(1, 4)), draw(sizes(1, 3)), draw(sizes(1, 3))
    padding = draw(paddings((4, 4)))
    H, W = draw(input_sizes(kernel, dilation, padding))
    window = convolution_window("conv2d", (H, W), kernel, stride, padding, dilation)
    N = draw(st.sampled_from([0, 1, 1, 2, 2, 3]))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
    per_pixel = max(1, N) * window.output_size[0] * window.output_size[1] * window.cells
    counts = [
        (C, K)
        for C in (1, 1, 2, 3, 5, 8, 9, 17)
        for K in (1, 1, 2, 3, 5, 8, 9, 17)
        if per_pixel * groups * C * K <= MOST_WORK
    ]
    C, K = draw(st.sampled_from(counts or [(1, 1)]))
    return Convolution(
        input_shape=(N, groups * C, H, W),
        weight_shape=(groups * K, C, *kernel),
        output_shape=(N, groups * K, *window.output_size),
        has_bias=draw(st.booleans()),
        activation=draw(st.sampled_from([None, "relu"])),
        options={"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
        algorithm=draw(st.sampled_from(["auto", "direct", "gemm"])),
        arrays=draw(arrays),
    )


@st.composite
def unfoldings(draw: st.DrawFn) -> Unfolding:
    """Arguments of im2col and col2im; the batch may be empty."""
    kernel, dilation, stride = draw(sizes(1, 4)), draw(sizes(1, 3)), draw(sizes(1, 3))
    padding = draw(paddings((4, 4)))
    H, W = draw(input_sizes(kernel, dilation, padding))
    OH, OW = convolution_window("im2col", (H, W), kernel, stride, padding, dilation).output_size
    N, C = draw(st.integers(0, 3)), draw(channel_counts)
    return Unfolding(
        input_shape=(N, C, H, W),
        cols_shape=(N * OH * OW, C * kernel[0] * kernel[1]),
        kernel_size=kernel,
        options={"stride": stride, "padding": padding, "dilation": dilation},
        arrays=draw(arrays),
    )


@st.composite
def poolings(draw: st.DrawFn, *, dilated: bool) -> Pooling:
    """Poolings with every option; some values are all different, some tie, some are not finite."""
    kernel = draw(sizes(1, 4))
    dilation = draw(sizes(1, 3)) if dilated else (1, 1)
    stride = draw(st.one_of(st.none(), sizes(1, 4)))
    # More padding than this could hide a window from the input.
    most = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2) if dilation != (1, 1) else (kernel[0] - 1, kernel[1] - 1)
    padding = draw(paddings(most))
    H, W = draw(input_sizes(kernel, dilation, padding))
    if dilation != (1, 1):  # holes between the taps must not swallow the whole input
        H, W = max(H, dilation[0] * kernel[0]), max(W, dilation[1] * kernel[1])
    ceil_mode = draw(st.booleans())
    window = pooling_window("pool", (H, W), kernel, stride, padding, dilation, ceil_mode)
    N, C = draw(st.integers(0, 2)), draw(channel_counts)
    return Pooling(
        input_shape=(N, C, H, W),
        output_shape=(N, C, *window.output_size),
        kernel_size=kernel,
        options={"stride": stride, "padding": padding, "ceil_mode": ceil_mode},
        dilation=dilation,
        count_include_pad=draw(st.booleans()),
        values=draw(st.sampled_from(["normal", "ties", "not finite"] if dilated else ["normal"])),
        arrays=draw(arrays),
    )
