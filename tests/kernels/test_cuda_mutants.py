"""Errors planted in the CUDA sources and in their launches: the emulated device, or the results, must give each away.

A mutant is a piece of a source exchanged for a wrong one, or a launch of one block too few. Each family of kernels has
a check that must hold before, and fail with each of its mutants.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlcore as dl
import kernels
from kernels import reference
from kernels.cuda import launch
from tests import emulation
from tests.tolerances import assert_close

pytestmark = pytest.mark.slow


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def agree(name: str, *given: Any, **options: Any) -> None:
    """A kernel on the device gives what its reference gives."""
    on_device = [dl.backend.asarray(x) if isinstance(x, np.ndarray) else x for x in given]
    found = getattr(kernels, name)(*on_device, **options)
    options.pop("algorithm", None)
    expected = getattr(reference, name)(*given, **options)
    pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
    for one, two in pairs:
        if two.dtype.kind == "f":
            assert_close(dl.backend.to_numpy(one), two, name)
        else:
            np.testing.assert_array_equal(dl.backend.to_numpy(one), two, err_msg=name)


def patches() -> None:
    x, cols = arrays((2, 3, 9, 7), (2 * 5 * 9, 18))
    options: dict[str, Any] = {"stride": (2, 1), "padding": ((1, 2), (1, 2))}
    agree("im2col", x, (3, 2), **options)
    agree("col2im", cols, (2, 3, 9, 7), (3, 2), **options)
    (cols,) = arrays((2 * 4 * 3, 12))
    agree("col2im", cols, (2, 3, 9, 7), 2, stride=2)  # the last row and column lie under no window
    convolution("gemm", channels=16, outputs=8, groups=2)


def convolution(algorithm: str, channels: int, outputs: int, groups: int, window: int = 3) -> None:
    size = 9
    after = (size + 2 - window) // 2 + 1
    shapes = ((3, channels, size, size), (outputs, channels // groups, window, window), (outputs,))
    x, weight, bias, dy = arrays(*shapes, (3, outputs, after, after))
    options = {"stride": 2, "padding": 1, "groups": groups, "algorithm": algorithm}
    agree("conv2d", x, weight, bias, activation="relu", **options)
    agree("conv2d", x, weight, bias, **options)
    agree("conv2d_input_grad", dy, weight, x.shape, **options)
    agree("conv2d_weight_grad", x, dy, weight.shape, **options)


def direct() -> None:
    convolution("direct", channels=3, outputs=5, groups=1)
    convolution("direct", channels=6, outputs=4, groups=2, window=2)


def depthwise() -> None:
    convolution("auto", channels=6, outputs=6, groups=6)
    convolution("auto", channels=3, outputs=6, groups=3)


def matmul() -> None:
    a, b, bias = arrays((37, 19), (19, 11), (11,))
    agree("matmul", a, b, bias)
    agree("matmul", a, b, bias, activation="relu")


def max_pooling() -> None:
    (x,) = arrays((2, 5, 9, 8))
    x = np.round(2 * x)  # ties
    for options in ({"stride": 2, "padding": 1}, {"stride": 1, "dilation": 2}):
        y, argmax = reference.max_pool2d(x, 3, **options)
        agree("max_pool2d", x, 3, **options)
        (dy,) = arrays(y.shape)
        agree("max_pool2d_grad", dy, argmax, x.shape, 3, **options)
        agree("max_pool2d_gather", x, argmax, 3, **options)


def average_pooling() -> None:
    (x,) = arrays((2, 5, 9, 8))
    for window, options in ((3, {"stride": 2, "padding": 1}), ((9, 8), {})):
        agree("avg_pool2d", x, window, **options)
        (dy,) = arrays(reference.avg_pool2d(x, window, **options).shape)
        agree("avg_pool2d_grad", dy, x.shape, window, **options)


def normalization() -> None:
    x, dy, weight, bias = arrays((5, 6, 7, 9), (5, 6, 7, 9), (6,), (6,))
    x += 3
    _, mean, var = reference.batch_norm(x, weight, bias)
    agree("batch_norm", x, weight, bias, activation="relu")
    agree("batch_norm_inference", x, weight, bias, mean, var)
    agree("batch_norm_grad", dy, x, weight, bias, mean, var)
    x, dy, weight, bias = arrays((33, 70), (33, 70), (70,), (70,))
    _, mean, var = reference.layer_norm(x, weight, bias)
    agree("layer_norm", x, weight, bias)
    agree("layer_norm_grad", dy, x, weight, mean, var)


def cross_entropy() -> None:
    x, dlosses = arrays((35, 21), (35,))
    labels = np.arange(70)[::2] % 21
    _, probability = reference.softmax_cross_entropy(x, labels)
    agree("softmax_cross_entropy", x, labels)
    agree("softmax_cross_entropy_grad", dlosses, probability, labels)


def dropout() -> None:
    (x,) = arrays((3, 5, 7, 11))
    agree("dropout", x, 0.3, key=5, stream=7, start=9)
    np.testing.assert_array_equal(
        dl.backend.to_numpy(dl.backend.current().rng.words(999, "a")), dl.random.Generator(0).words(999, "a")
    )


def optimizers() -> None:
    sizes = ((3, 5), (9_001,), (2,))
    host = [arrays(shape, shape, shape) for shape in sizes]
    device = [[dl.backend.asarray(array) for array in own] for own in host]
    numbers = [(0.1, 0.9)] * len(sizes)
    kernels.optimizer_step(_momentum, device, numbers, weight_decay=0.01)
    reference.optimizer_step(_momentum, host, numbers, weight_decay=0.01)
    for own, expected in zip(device, host, strict=True):
        for one, two in zip(own, expected, strict=True):
            assert_close(dl.backend.to_numpy(one), two, "optimizer_step")


def _momentum(w: Any, g: Any, v: Any, lr: Any, friction: Any) -> tuple[Any, Any]:
    v = friction * v + g
    return w - lr * v, v


def activation() -> None:
    x, y = arrays((3, 5, 17, 11), (3, 5, 17, 11))
    agree("relu", x)
    agree("relu_grad", x, y)


@dataclass(frozen=True)
class Mutant:
    """A wrong source, where `right` is exchanged for `wrong`; or, without these, a launch of `kernel` gone wrong."""

    check: Callable[[], None]
    source: str
    right: str = ""
    wrong: str = ""
    kernel: str = ""

    def __str__(self) -> str:
        return f"{self.source}: {self.right} -> {self.wrong}" if self.right else f"{self.kernel}: a block too few"


SOURCES = [
    Mutant(
        patches, "im2col", "int channel = i / taps, tap = i % taps;", "int channel = i % channels, tap = i / channels;"
    ),
    Mutant(patches, "im2col", "cell * image_packs + first_pack + pack)", "cell * image_packs + pack)"),
    Mutant(patches, "im2col", "|| oh >= output_h) continue;", "|| oh > output_h) continue;"),
    Mutant(patches, "im2col", "from_left - s * dilation_w;", "from_left + s * dilation_w;"),
    Mutant(patches, "im2col", "return cell < size ? max(cell, -1) : -1;", "return max(cell, -1);"),
    Mutant(direct, "direct", "h * stride_h - top : image_h;", "h * stride_h : image_h;"),
    Mutant(direct, "direct", "__syncthreads();  // the tiles have been used", "//"),
    Mutant(direct, "direct", "if (step.channel >= 0 && h >= 0 && w >= 0) {", "if (step.channel >= 0 && h >= 0) {"),
    Mutant(direct, "direct_weight_grad", "q < length && h >= 0 && h < image_h", "q < length && h < image_h"),
    Mutant(direct, "direct_weight_grad", "p < end ? (row - n * output_h)", "p <= end ? (row - n * output_h)"),
    Mutant(direct, "partial_sums", "partials[(long long)part * count + i]", "partials[(long long)part * count]"),
    Mutant(depthwise, "depthwise", "if (source_w < 0) continue;", ""),
    Mutant(depthwise, "depthwise", "load(weight, k * taps + tap)", "load(weight, k * taps + taps - 1 - tap)"),
    Mutant(depthwise, "depthwise", "w < 0 || w >= image_w) continue;", "w < 0 || w > image_w) continue;"),
    Mutant(matmul, "matmul", "if (relu && value < 0) value = 0;", "if (value < 0) value = 0;"),
    Mutant(matmul, "matmul", "(long long)row * packs + pack);", "(long long)pack * rows + row);"),
    Mutant(max_pooling, "max_pooling", "value > best[k] ||", "value >= best[k] ||"),
    Mutant(max_pooling, "max_pooling", "(reach_h + stride_h - 1) / stride_h", "reach_h / stride_h + 1"),
    Mutant(max_pooling, "max_pooling", "cell % kernel_w * dilation_w - left", "cell % kernel_w - left"),
    Mutant(average_pooling, "average_pooling", "h < min(start_h + kernel_h, H)", "h < start_h + kernel_h"),
    Mutant(average_pooling, "average_pooling", "thread + half * blockDim.x]", "thread + half]"),
    Mutant(average_pooling, "average_pooling", "(w - kernel_w) / stride_w + 1", "(w - kernel_w) / stride_w"),
    Mutant(average_pooling, "average_pooling", "        __syncthreads();\n", ""),
    Mutant(
        normalization,
        "normalization",
        "squares += squares2 + distance * distance * share * (Number)count;",
        "squares += squares2;",
    ),
    Mutant(normalization, "normalization", "row_sum(squares, sums) / length", "row_sum(squares, sums) / (length - 1)"),
    Mutant(normalization, "normalization", "1 / sqrt(var + eps)", "1 / sqrt(var)"),
    Mutant(cross_entropy, "cross_entropy", "labels[row * label_stride] == i;", "labels[row * label_stride] == i + 1;"),
    Mutant(
        cross_entropy,
        "cross_entropy",
        "long long label = labels[row * label_stride];",
        "long long label = labels[row + 1];",
    ),
    Mutant(cross_entropy, "cross_entropy", "total = row_sum(total, shared);", ""),
    Mutant(dropout, "dropout", "philox(key, stream, start + block)", "philox(key, stream, block)"),
    Mutant(dropout, "dropout", "if (4 * block + k < count) words", "if (4 * block + k <= count) words"),
    Mutant(optimizers, "optimizers", "if (k != 1) store_pack", "if (k != 2) store_pack"),
    Mutant(optimizers, "optimizers", "min(first + CHUNK, row[1])", "first + CHUNK"),
    Mutant(activation, "activation", "if (i >= packs) return;", ""),
    Mutant(activation, "activation", "if (!(load(value.element, k) > 0))", "if (load(value.element, k) > 0)"),
]

LAUNCHES = [
    Mutant(patches, "im2col", kernel="im2col"),
    Mutant(patches, "im2col", kernel="columns_by_tap"),
    Mutant(patches, "im2col", kernel="col2im"),
    Mutant(direct, "direct", kernel="direct"),
    Mutant(direct, "direct_weight_grad", kernel="direct_weight_grad"),
    Mutant(depthwise, "depthwise", kernel="depthwise"),
    Mutant(matmul, "matmul", kernel="finish"),
    Mutant(max_pooling, "max_pooling", kernel="max_pool2d"),
    Mutant(average_pooling, "average_pooling", kernel="avg_pool2d_grad"),
    Mutant(normalization, "normalization", kernel="batch_statistics"),
    Mutant(cross_entropy, "cross_entropy", kernel="softmax_cross_entropy"),
    Mutant(dropout, "dropout", kernel="dropout"),
    Mutant(optimizers, "optimizers", kernel="optimizer_step"),
    Mutant(activation, "activation", kernel="relu"),
]


@pytest.fixture
def emulated(backend: dl.backend.Backend) -> None:
    if not emulation.is_installed():
        pytest.skip("plants errors that only the emulation may run (--backend cupy-emulated)")


@pytest.fixture
def fresh_modules() -> Any:
    """Sources are read again, before and after."""
    for cached in (launch._module, launch._function):
        cached.cache_clear()
    yield
    for cached in (launch._module, launch._function):
        cached.cache_clear()


@pytest.mark.parametrize("check", dict.fromkeys(m.check for m in SOURCES), ids=lambda check: check.__name__)
def test_the_checks_hold_without_mutants(emulated: None, check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("mutant", SOURCES, ids=str)
def test_a_wrong_source_is_caught(
    emulated: None, fresh_modules: None, monkeypatch: pytest.MonkeyPatch, mutant: Mutant
) -> None:
    text = (Path(launch.__file__).parent / f"{mutant.source}.cu").read_text()
    assert mutant.right in text, "the mutant must be brought up to date with its source"
    original = launch.source_text

    def mutated(source: str) -> str:
        found = original(source)
        return found.replace(mutant.right, mutant.wrong) if source == mutant.source else found

    monkeypatch.setattr(launch, "source_text", mutated)
    with pytest.raises((AssertionError, emulation.EmulationError)):
        mutant.check()


@pytest.mark.parametrize("mutant", LAUNCHES, ids=str)
def test_a_wrong_launch_is_caught(
    emulated: None, fresh_modules: None, monkeypatch: pytest.MonkeyPatch, mutant: Mutant
) -> None:
    original = launch._module
    launched = []

    class Short:
        """The module, whose kernel is launched with a block too few."""

        def __init__(self, module: Any) -> None:
            self.module = module

        def get_function(self, name: str) -> Any:
            function = self.module.get_function(name)
            if name != mutant.kernel:
                return function

            def short(grid: tuple[int, ...], *rest: Any, **options: Any) -> None:
                launched.append(name)
                axis = max(range(len(grid)), key=grid.__getitem__)
                function(tuple(n - (i == axis) for i, n in enumerate(grid)), *rest, **options)

            return short

    monkeypatch.setattr(launch, "_module", lambda *given: Short(original(*given)))
    # A grid of no blocks is what CUDA itself refuses.
    with pytest.raises((AssertionError, emulation.EmulationError, RuntimeError)):
        mutant.check()
    assert launched
