"""`python -m benchmarks algorithms`: the ways that a 3×3 convolution can go, how fast and how exact each is.

The chooser's model (`kernels.cpu.chooser`) is held against measured times: a row's loss is the time of the way that it
chooses divided by that of the fastest. Errors are the largest against float64, with weights scaled so that outputs
have a standard deviation of about 1, divided by that of the outputs.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from benchmarks import machine, report, timing
from benchmarks.cases import CASES, FORWARD, INPUT_GRAD, PASSES, Case
from benchmarks.options import Options
from kernels import layout
from kernels.cpu import chooser, direct, winograd
from kernels.cpu.chooser import Pass, Way
from kernels.geometry import Window, convolution_window
from kernels.types import Array

#: Names of the passes as the chooser has them, in the order of `PASSES`.
_CHOOSERS: dict[str, Pass] = dict(zip(PASSES, ("forward", "input_grad", "weight_grad"), strict=True))
#: Batch, in_channels, out_channels, size: layers beside the benchmarks' own, small and odd ones.
_MORE_LAYERS = ((1, 16, 16, 14), (1, 64, 64, 56), (1, 512, 512, 7), (16, 32, 32, 5), (64, 48, 40, 7), (8, 3, 16, 32))
#: Images on which errors are taken.
_IMAGES = 2


@dataclass(frozen=True)
class Comparison:
    """One pass of one layer.

    Attributes:
        layer: the layer in short.
        action: the pass.
        chosen: the way that the chooser takes.
        milliseconds: for each way, the fastest call of many.
        errors: for each way, and for PyTorch where it is installed, the largest error.
    """

    layer: str
    action: str
    chosen: str
    milliseconds: dict[str, float]
    errors: dict[str, float]

    @property
    def loss(self) -> float:
        """The time of the chosen way divided by that of the fastest."""
        return self.milliseconds[self.chosen] / min(self.milliseconds.values())


def run(options: Options) -> dict[str, Any]:
    """Measure every layer and pass, print a table, and return what JSON keeps."""
    layers = _layers()
    if options.quick:
        layers = layers[:3]
    tasks = [(layer, action) for layer in layers for action in PASSES]
    with timing.pinned_threads(options.threads, torch="torch" in sys.modules):
        described = machine.describe("torch")
        rows = [compare(*task, seconds=0.05 if options.quick else 0.2) for task in options.track(tasks)]
    report.show_facts(described)
    names = list(rows[0].milliseconds)
    peers = list(rows[0].errors)
    report.show_table(
        [
            *("3×3, stride 1", "pass", "chosen"),
            *(f"{name}, ms" for name in names),
            "loss",
            *(f"{peer}, error" for peer in peers),
        ],
        [
            [
                *(row.layer, row.action, row.chosen),
                *(report.three_digits(row.milliseconds[name]) for name in names),
                f"{row.loss:.2f}",
                *(f"{row.errors[peer]:.1e}" for peer in peers),
            ]
            for row in rows
        ],
        right=len(names) + 1 + len(peers),
    )
    losses = [row.loss for row in rows]
    mean = math.exp(sum(map(math.log, losses)) / len(losses))
    report.show_notes(
        f"The chooser's loss: {mean:.3f} in the geometric mean, {max(losses):.2f} at worst; "
        f"best way chosen in {sum(loss < 1.05 for loss in losses)} of {len(losses)} (to 5 %)."
    )
    return {
        "command": "algorithms",
        "quick": options.quick,
        "machine": described,
        "rows": [{**asdict(row), "loss": row.loss} for row in rows],
        "mean_loss": mean,
        "worst_loss": max(losses),
    }


def _layers() -> list[tuple[int, int, int, int, int]]:
    """Batch, in_channels, out_channels, size and padding of each layer."""
    found = {
        (case.batch, case.in_channels, case.out_channels, case.size, case.padding): None
        for case in CASES
        if case.kernel == "conv2d" and _is_square(case)
    }
    return [*found, *((*layer, 1) for layer in _MORE_LAYERS)]


def _is_square(case: Case) -> bool:
    return (case.window, case.stride, case.groups) == (3, 1, 1)


def compare(layer: tuple[int, int, int, int, int], action: str, seconds: float) -> Comparison:
    """Time and check all ways of one pass."""
    N, C, K, size, padding = layer
    window = convolution_window("conv2d", (size, size), (3, 3), 1, padding, 1)
    rng = np.random.default_rng(0)

    def images(count: int, channels: int, size: tuple[int, int]) -> Array:
        return layout.from_channels_last(rng.standard_normal((count, *size, channels), dtype=np.float32))

    x, dy = images(N, C, (size, size)), images(N, K, window.output_size)
    weight = images(K, C, (3, 3)) / np.float32(3 * math.sqrt(C if action == FORWARD else K))
    ways = [Way("direct"), Way("winograd", 2), Way("winograd", 4)]
    calls = {_name(way): _call(way, action, x, dy, weight, window) for way in ways}
    for call in calls.values():
        call()
    samples = timing.interleave(list(calls.values()), seconds)
    few_x, few_dy = x[:_IMAGES], dy[:_IMAGES]
    wide_x, wide_dy, wide_weight = (array.astype(np.float64) for array in (few_x, few_dy, weight))
    exact = _call(Way("direct"), action, wide_x, wide_dy, wide_weight, window)()
    results = {_name(way): _call(way, action, few_x, few_dy, weight, window)() for way in ways}
    if (theirs := _in_torch(action, few_x, few_dy, weight, padding)) is not None:
        results["PyTorch"] = theirs
    scale = float(exact.std())
    chosen = chooser.choose("auto", _CHOOSERS[action], N, C, K, window, 1, 4)
    return Comparison(
        layer=f"{C}->{K}@{size} p{padding} N={N}",
        action=action,
        chosen=_name(chosen),
        milliseconds={name: min(taken) * 1e3 for name, taken in zip(calls, samples, strict=True)},
        errors={name: float(np.abs(result - exact).max()) / scale for name, result in results.items()},
    )


def _name(way: Way) -> str:
    return way.algorithm if way.algorithm == "direct" else f"F({way.m}×{way.m})"


def _call(way: Way, action: str, x: Array, dy: Array, weight: Array, window: Window) -> Callable[[], Array]:
    """A call of one way; results are NHWC, or (K, R, S, C)."""
    x_block, dy_block = layout.channels_last(x), layout.channels_last(dy)
    C, shape = x.shape[1], cast("tuple[int, int, int, int]", weight.shape)
    calls: dict[tuple[bool, str], Callable[[], Array]] = {
        (True, FORWARD): lambda: direct.forward(x_block, weight, None, False, window, 1),
        (True, INPUT_GRAD): lambda: direct.input_grad(dy_block, weight, C, window, 1),
        (True, PASSES[2]): lambda: direct.weight_grad(x_block, dy_block, shape, window, 1),
        (False, FORWARD): lambda: winograd.forward(x_block, weight, None, False, window, way.m),
        (False, INPUT_GRAD): lambda: winograd.input_grad(dy_block, weight, window, way.m),
        (False, PASSES[2]): lambda: winograd.weight_grad(x_block, dy_block, window, way.m),
    }
    return calls[way.algorithm == "direct", action]


def _in_torch(action: str, x: Array, dy: Array, weight: Array, padding: int) -> Array | None:
    """PyTorch's result in the same order, or None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    images, gradient, filters = (torch.from_numpy(np.ascontiguousarray(array)) for array in (x, dy, weight))
    if action == FORWARD:
        result = torch.nn.functional.conv2d(images, filters, padding=padding)
    else:
        wanted = [action == INPUT_GRAD, action != INPUT_GRAD, False]
        options = ([0], [1, 1], [padding, padding], [1, 1], False, [0, 0], 1)
        found = torch.ops.aten.convolution_backward(gradient, images, filters, *options, wanted)
        result = found[0] if action == INPUT_GRAD else found[1]
    return cast(Array, result.permute(0, 2, 3, 1).numpy())
