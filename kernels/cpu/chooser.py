"""Which way a convolution goes: a pure function of its shape, element type and the host, never of a timing.

Depthwise convolution has a way of its own, and 1×1 with stride 1 is one matrix product. For the rest this is a small
model of the cycles that one core spends, in which the microkernel's tiles are counted and the rest is a few constants
per vector. `python -m benchmarks algorithms` holds it against measured times.

Winograd's way is never chosen in float64: who asks for that wants the digits.
"""

import functools
from typing import Literal, NamedTuple

from kernels.cpu import narrow
from kernels.cpu.microkernel import panel_cycles, tile_columns
from kernels.geometry import Window

Pass = Literal["forward", "input_grad", "weight_grad"]

#: Cycles to start a tile and to write it.
_PER_TILE = 60
#: Cycles per vector of channels to transform a tile's input, its output and the weight, by the outputs m of a tile.
_INPUT_CYCLES = {2: 95, 4: 270}
_OUTPUT_CYCLES = {2: 60, 4: 190}
_WEIGHT_CYCLES = {2: 50, 4: 100}
#: What direct convolution takes beyond its tiles, for borders and cache misses.
_DIRECT_FACTOR = {"forward": 1.2, "weight_grad": 1.6}
#: Cycles to find a tile's pixels, in the input and in the output.
_FIND_CYCLES = 300
#: Cycles of correlation with few outputs: per vector of inputs, and to add up a vector's lanes.
_NARROW_CYCLES = 0.8
_LANE_SUM_CYCLES = 10
#: Bytes per cycle that a core moves from and to memory.
_BYTES_PER_CYCLE = 4.0


class Way(NamedTuple):
    """How a convolution is computed: the algorithm, and for "winograd" the outputs m of a tile, 2 or 4."""

    algorithm: str
    m: int = 0


def choose(algorithm: str, which: Pass, N: int, C: int, K: int, window: Window, groups: int, itemsize: int) -> Way:
    """The way for `algorithm`, which is "auto" or names one."""
    if algorithm == "auto":
        if groups > 1 and groups == C:
            return Way("depthwise")
        if window.is_pointwise and groups == 1:
            return Way("gemm")
        if not suits_winograd(window, groups) or itemsize != 4:
            return Way("direct")
        return _cheapest(("direct", "winograd"), which, N, C, K, window, itemsize)
    if algorithm == "winograd":
        return _cheapest(("winograd",), which, N, C, K, window, itemsize)
    return Way(algorithm)


def suits_winograd(window: Window, groups: int) -> bool:
    """Whether Winograd's way can take it: 3×3, one step at a time, all channels together."""
    return window.kernel_size == (3, 3) and window.stride == window.dilation == (1, 1) and groups == 1


@functools.lru_cache(maxsize=1024)
def _cheapest(algorithms: tuple[str, ...], which: Pass, N: int, C: int, K: int, window: Window, itemsize: int) -> Way:
    costs = estimate(which, N, C, K, window, itemsize)
    return min((way for way in costs if way.algorithm in algorithms), key=lambda way: costs[way])


def estimate(which: Pass, N: int, C: int, K: int, window: Window, itemsize: int) -> dict[Way, float]:
    """Cycles of one core for each way that could take a 3×3 convolution with stride 1."""
    if which == "input_grad":  # a forward pass the other way round
        sizes, C, K = window.input_size, K, C
    else:
        sizes = window.output_size
    direct = _direct_weight_grad if which == "weight_grad" else _direct
    winograd = _winograd_weight_grad if which == "weight_grad" else _winograd
    costs = {Way("direct"): direct(N, C, K, sizes, itemsize)}
    for m in (2, 4):
        costs[Way("winograd", m)] = winograd(N, C, K, sizes, itemsize, m)
    return costs


def _direct(N: int, C: int, K: int, size: tuple[int, int], itemsize: int) -> float:
    rows = N * size[0]
    if narrow.takes(C, K, itemsize):
        vectors = -(-9 * C // (tile_columns(itemsize) // 2))
        return rows * size[1] * K * (_NARROW_CYCLES * vectors + _LANE_SUM_CYCLES)
    tiles = rows * _panels(size[1], K, itemsize, steps=9 * C)
    return _DIRECT_FACTOR["forward"] * tiles + _moved(9 * C * K, itemsize)


def _direct_weight_grad(N: int, C: int, K: int, size: tuple[int, int], itemsize: int) -> float:
    # A band of rows is one run of steps; each adds to sums that are read and written.
    tiles = N * 3 * _panels(3 * C, K, itemsize, steps=size[0] * size[1])
    return _DIRECT_FACTOR["weight_grad"] * tiles + N * _moved(9 * C * K, itemsize) / 4


def _winograd(N: int, C: int, K: int, size: tuple[int, int], itemsize: int, m: int) -> float:
    tiles, vector = N * -(-size[0] // m) * -(-size[1] // m), tile_columns(itemsize) // 2
    inputs, outputs = -(-C // vector), -(-K // vector)
    elements = (m + 2) ** 2
    transforms = tiles * (inputs * _INPUT_CYCLES[m] + outputs * _OUTPUT_CYCLES[m] + _FIND_CYCLES)
    weight = C * outputs * _WEIGHT_CYCLES[m] + _moved(elements * C * K, itemsize)
    return transforms + weight + elements * _panels(tiles, K, itemsize, steps=C)


def _winograd_weight_grad(N: int, C: int, K: int, size: tuple[int, int], itemsize: int, m: int) -> float:
    tiles, vector = N * -(-size[0] // m) * -(-size[1] // m), tile_columns(itemsize) // 2
    inputs, outputs = -(-C // vector), -(-K // vector)
    elements = (m + 2) ** 2
    transforms = tiles * (inputs * _INPUT_CYCLES[m] + outputs * _OUTPUT_CYCLES[m] + _FIND_CYCLES)
    blocks = max(1, -(-tiles // 48))
    sums = C * outputs * _WEIGHT_CYCLES[m] + (blocks / 4 + 1) * _moved(elements * C * K, itemsize)
    return transforms + sums + blocks * elements * _panels(C, K, itemsize, steps=tiles / blocks)


def _panels(rows: int, columns: int, itemsize: int, steps: float) -> float:
    """A matrix product of so many rows and columns by tiles."""
    width = tile_columns(itemsize)
    whole, rest = divmod(columns, width)
    cycles = whole * panel_cycles(rows, 2, steps, _PER_TILE)
    if rest:
        cycles += panel_cycles(rows, 1 if 2 * rest <= width else 2, steps, _PER_TILE)
    return cycles


def _moved(elements: int, itemsize: int) -> float:
    return 2 * elements * itemsize / _BYTES_PER_CYCLE
