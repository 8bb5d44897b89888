"""Direct convolution on the microkernel: no columns, no matrix of windows.

Everything is NHWC inside. One correlation serves the forward pass and the input gradient:

    y[n, p, q, k] = Σ_r Σ_s Σ_c  x[n, p·SH + r·DH - top, q·SW + s·DW - left, c] · w[k, c, r, s]

A tile's rows are the pixels q of one output row, its columns output channels, its three loops r, s and c. The weight
is packed as [panel][R][S][C][columns of a panel], so that a panel is read straight through. Where a window reaches
beyond the image, the task copies its band of rows into a buffer with a border of zeros, which stays in cache.

The input gradient with a stride is one such correlation per phase: the cells h ≡ phase (mod SH) see only the taps
r with phase + top - r·DH ≡ 0 (mod SH), a smaller window, and no zeros are ever inserted.

    dw[k, c, r, s] = Σ_n Σ_p Σ_q  x[n, p·SH + r·DH - top, q·SW + s·DW - left, c] · dy[n, p, q, k]

The weight gradient turns the loops round: a tile's rows are the run (s, c) of the input under one row of the window,
which is contiguous, its columns output channels, its loops p and q. Chunks of images each have a sum of their own,
and these are added in order; a weight too large for that has a task per panel instead.

How the work is cut depends on the shape alone, so results do not depend on the number of threads.
"""

import math
from typing import Any

import numpy as np
from numba import carray

from kernels.cpu import memory, narrow
from kernels.cpu.arrays import in_elements
from kernels.cpu.blocks import copy_block, copy_with_border
from kernels.cpu.microkernel import BLOCK_STEPS, panel_address, run_panel, tile_columns
from kernels.cpu.rows import memory_at, row_kernel
from kernels.cpu.tasks import SERIAL_WORK, address_of, run_tasks, task_address
from kernels.geometry import Window
from kernels.types import Array, Shape4

#: Aim of the input rows that one task works on, in bytes: half of a small second-level cache.
_BAND_BYTES = 1 << 18
#: So many tasks at least, where the shape allows: a few for each core, so that none waits long for another.
_LEAST_TASKS = 16
#: Chunks of images, each with a weight gradient of its own, and the bytes that all of these may take.
_CHUNKS = 16
_CHUNK_BYTES = 1 << 23
#: Input channels whose weight gradients are collected together.
_COLLECTED = 32


def forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    relu: bool,
    window: Window,
    groups: int,
    packed: dict[str, Array] | None = None,
) -> Array:
    """The output, (N, OH, OW, K), from x (N, H, W, C), both C-contiguous.

    The weight, (K, C / groups, R, S), may have any strides; `packed` keeps it, packed, for the next call. Reads x and
    writes y once per block of channels; the packed weight comes from cache.
    """
    K, C, R, S = weight.shape
    y = memory.empty((len(x), *window.output_size, K), x.dtype)
    grouped = in_elements(weight).reshape(groups, K // groups, C, R, S)
    _correlate(x, grouped, y, window.stride, window.dilation, (window.top, window.left), bias, relu, packed)
    return y


def input_grad(dy: Array, weight: Array, C: int, window: Window, groups: int) -> Array:
    """The gradient of x, (N, H, W, C), from dy (N, OH, OW, K): one correlation for each phase of the stride."""
    K, group_channels, R, S = weight.shape
    H, W = window.input_size
    dx = memory.empty((len(dy), H, W, C), dy.dtype)
    swapped = in_elements(weight).reshape(groups, K // groups, group_channels, R, S).transpose(0, 2, 1, 3, 4)
    rows = phases(R, window.stride[0], window.dilation[0], window.top)
    columns = phases(S, window.stride[1], window.dilation[1], window.left)
    for phase_h, (taps_h, dilation_h, top) in enumerate(rows):
        for phase_w, (taps_w, dilation_w, left) in enumerate(columns):
            target = dx[:, phase_h :: window.stride[0], phase_w :: window.stride[1]]
            part = swapped[:, :, :, taps_h, taps_w][:, :, :, ::-1, ::-1]
            if part.size:
                _correlate(dy, part, target, (1, 1), (dilation_h, dilation_w), (top, left), None, False)
            else:
                target[...] = 0
    return dx


def weight_grad(x: Array, dy: Array, weight_shape: Shape4, window: Window, groups: int) -> Array:
    """The gradient of the weight, (K, R, S, C / groups), from x (N, H, W, C) and dy (N, OH, OW, K)."""
    K, group_channels, R, S = weight_shape
    N, H, W, C = x.shape
    P, Q = window.output_size
    if N == 0:
        return np.zeros((K, R, S, group_channels), x.dtype)
    size, top, left = x.itemsize, window.top, window.left
    width = tile_columns(size)
    panels = groups * -(-K // groups // width)
    result_bytes = R * S * group_channels * K * size
    band, bands = _bands(N, P, Q, C, window.stride, window.dilation, (R, S), size)
    chunks, panel_tasks = min(N * bands, _CHUNKS), 1
    if chunks * result_bytes > _CHUNK_BYTES:
        chunks, panel_tasks = 1, panels
        if window.padding != ((0, 0), (0, 0)):  # every panel would pad the images again
            x, top, left = _padded(x, window), 0, 0
            _, H, W, _ = x.shape
    sums = memory.empty((chunks, R, S, group_channels, K), x.dtype)
    plan = (
        panel_address(x.dtype), size, address_of(x), H, W, C, groups, K // groups, group_channels, R, S,
        address_of(dy), P, Q, *window.stride, *window.dilation, top, left, band, bands,
        N * bands, chunks, panel_tasks, width, address_of(sums),
    )  # fmt: skip
    parallel = N * P * Q * R * S * group_channels * K >= SERIAL_WORK
    scratch = _band_bytes(band, Q, C, window.stride, window.dilation, (R, S), size)
    run_tasks(task_address(_weight_task), chunks * panel_tasks, plan, parallel=parallel, scratch=scratch)
    return collect(sums.reshape(chunks, R * S, group_channels, K), K, group_channels).reshape(K, R, S, group_channels)


def collect(sums: Array, K: int, C: int) -> Array:
    """The weight gradient, (K, taps, C), from sums over chunks, (chunks, taps, ≥ C, ≥ K), added in their order."""
    dw = memory.empty((K, sums.shape[1], C), sums.dtype)
    rows = -(-C // _COLLECTED)
    _collect(sums.shape[1] * rows, sums, dw, rows, dw.itemsize, scratch=_COLLECTED * sums.shape[3] * dw.itemsize)
    return dw


@row_kernel
def _collect(sums: Array, dw: Array, rows: int, size: int, scratch: int, row: int) -> None:
    """Some input channels of one tap: added in scratch, then transposed on the way to dw."""
    chunks, taps, channels, width = sums.shape
    K, _, C = dw.shape
    tap, c = row // rows, row % rows * _COLLECTED
    count = min(_COLLECTED, C - c)
    total = memory_at(sums, scratch, count * width)
    flat, first, plane = sums.reshape(-1), (tap * channels + c) * width, taps * channels * width
    for place in range(count * width):
        value = flat[first + place]
        for chunk in range(1, chunks):
            value += flat[first + chunk * plane + place]
        total[place] = value
    copy_block(size, K, count, np.int64(dw.ctypes.data) + (tap * C + c) * size, taps * C, scratch, 1, width)


def _correlate(
    x: Array,
    weight: Array,
    y: Array,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    before: tuple[int, int],
    bias: Array | None,
    relu: bool,
    packed: dict[str, Array] | None = None,
) -> None:
    """The correlation at the head of this file.

    Args:
        x: (N, H, W, C), C-contiguous.
        weight: (groups, K / groups, C / groups, R, S), any strides.
        y: (N, P, Q, K), with contiguous channels; overwritten.
        stride: (SH, SW).
        dilation: (DH, DW).
        before: (top, left); negative where the first window starts inside the image.
        bias: (K,), contiguous, or None.
        relu: whether negative results become 0.
        packed: keeps the packed weight for the next call.
    """
    packed = {} if packed is None else packed
    if y.size == 0:
        return
    groups, K, C, R, S = weight.shape
    N, H, W, all_channels = x.shape
    _, P, Q, _ = y.shape
    size = x.itemsize
    width = tile_columns(size)
    band, bands = _bands(N, P, Q, all_channels, stride, dilation, (R, S), size)
    scratch = _band_bytes(band, Q, all_channels, stride, dilation, (R, S), size)
    image, row, pixel, _ = (step // size for step in y.strides)
    parallel = N * P * Q * R * S * C * K * groups >= SERIAL_WORK
    if groups == 1 and narrow.takes(C, K, size):
        bias_or_zeros = np.zeros(K, x.dtype) if bias is None else bias
        key = f"narrow {dilation[1] == 1}"
        w = packed[key] = narrow.pack(weight[0], dilation[1]) if key not in packed else packed[key]
        numbers = (address_of(y), image, row, pixel, P, Q, S, *stride, *dilation, *before, band, bands, size)
        narrow.correlate_band(N * bands, x, w, bias_or_zeros, numbers, relu, scratch=scratch)
        return
    key = f"direct {groups}"
    w = packed[key] = _packed(weight) if key not in packed else packed[key]
    panels = w.shape[1]
    blocks = -(-R * S * C // BLOCK_STEPS)
    plan = (
        panel_address(x.dtype), size, address_of(x), H, W, all_channels, groups, K, C, R, S,
        address_of(w), panels, width, address_of(y), image, row, pixel, P, Q,
        *stride, *dilation, *before, band, bands, -(-C // blocks), 0 if bias is None else address_of(bias), relu,
    )  # fmt: skip
    run_tasks(task_address(_correlate_task), N * bands, plan, parallel=parallel, scratch=scratch)


def _packed(weight: Array) -> Array:
    """The weight (groups, K, C, R, S), any strides, as [groups][panel][R][S][C][columns of a panel]."""
    groups, K, C, R, S = weight.shape
    size, width = weight.itemsize, tile_columns(weight.itemsize)
    panels = -(-K // width)
    packed = (memory.zeros if K % width else memory.empty)((groups, panels, R, S, C, width), weight.dtype)
    plan = (
        size, address_of(weight), *(step // size for step in weight.strides), K, C, R, S,
        address_of(packed), panels, width,
    )  # fmt: skip
    run_tasks(task_address(_pack_task), groups * panels, plan, parallel=packed.size >= SERIAL_WORK)
    return packed


def phases(taps: int, stride: int, dilation: int, before: int) -> list[tuple[slice, int, int]]:
    """For each phase of an axis: the taps that meet it, their dilation in dy, and dy's padding before.

    Cell h = phase + stride · p meets tap r at output o = (h + before - r · dilation) / stride, where that is whole.
    Those r are r₀, r₀ + step, …; and as r goes up, o goes down, so the taps are reversed.
    """
    step = stride // math.gcd(stride, dilation)
    steps = step * dilation // stride
    found = []
    for phase in range(stride):
        first = next((r for r in range(min(step, taps)) if (phase + before - r * dilation) % stride == 0), taps)
        count = len(range(first, taps, step))
        first_output = (phase + before - first * dilation) // stride - (count - 1) * steps
        found.append((slice(first, taps, step), steps, -first_output))
    return found


def _bands(
    N: int,
    P: int,
    Q: int,
    C: int,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    kernel_size: tuple[int, int],
    size: int,
) -> tuple[int, int]:
    """Output rows per task, and how many tasks that makes of an image."""
    row_bytes = ((Q - 1) * stride[1] + (kernel_size[1] - 1) * dilation[1] + 1) * C * size
    input_rows = _BAND_BYTES // row_bytes - (kernel_size[0] - 1) * dilation[0]
    band = max(1, min(P, input_rows // stride[0]))
    bands = min(P, max(-(-P // band), -(-_LEAST_TASKS // max(N, 1))))
    band = -(-P // bands)
    return band, -(-P // band)


def _band_bytes(
    band: int,
    Q: int,
    C: int,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    kernel_size: tuple[int, int],
    size: int,
) -> int:
    """What the input of a band takes, with its border."""
    rows, columns = (
        (outputs - 1) * stride[axis] + (kernel_size[axis] - 1) * dilation[axis] + 1
        for axis, outputs in enumerate((band, Q))
    )
    return rows * columns * C * size


def _padded(x: Array, window: Window) -> Array:
    """The images with their border of zeros."""
    N, H, W, C = x.shape
    padded = memory.zeros((N, *window.padded_size, C), x.dtype)
    inside = padded[:, window.top : window.top + H, window.left : window.left + W]
    inside[...] = x[:, : inside.shape[1], : inside.shape[2]]
    return padded


def _pack_task(plan: Any, number: int, scratch: int) -> None:  # compiled
    """One panel of the weight: [R][S][C][columns]."""
    size, w, w_group, w_k, w_c, w_r, w_s, K, C, R, S, packed, panels, width = carray(plan, (14,))
    group, panel = number // panels, number % panels
    columns = min(width, K - panel * width)
    target = packed + number * R * S * C * width * size
    source = w + (group * w_group + panel * width * w_k) * size
    for r in range(R):
        for s in range(S):
            copy_block(size, C, columns, target, width, source + (r * w_r + s * w_s) * size, w_c, w_k)
            target += C * width * size


def _correlate_task(plan: Any, number: int, scratch: int) -> None:  # compiled
    """One band of output rows of one image, all channels."""
    (
        panel_code, size, x, H, W, C, groups, K, group_c, R, S, packed, panels, width,
        y, y_image, y_row, y_pixel, P, Q, SH, SW, DH, DW, top, left, band, bands, block, bias, relu,
    ) = carray(plan, (31,))  # fmt: skip
    image, part = number // bands, number % bands
    p0, p1 = part * band, min((part + 1) * band, P)
    h0, h1 = p0 * SH - top, (p1 - 1) * SH - top + (R - 1) * DH + 1
    w0, w1 = -left, (Q - 1) * SW - left + (S - 1) * DW + 1
    x += image * H * W * C * size
    inside = h0 >= 0 and h1 <= H and w0 >= 0 and w1 <= W
    if inside:
        a, a_row = x + (h0 * W + w0) * C * size, W * C
    else:
        copy_with_border(size, x, H, W, C, h0, h1, w0, w1, scratch)
        a, a_row = scratch, (w1 - w0) * C
    y += (image * y_image + p0 * y_row) * size

    # Taps and channels that lie side by side are one loop: S·C steps instead of S times C.
    n_s, n_c, as_run = S, block, DW == 1 and groups == 1 and block >= group_c
    if as_run:
        n_s, n_c = 1, S * group_c
    for group in range(groups):
        for c in range(0, group_c, block):
            steps = n_c if as_run else min(block, group_c - c)
            is_last = c + block >= group_c
            for panel in range(panels):
                k = group * K + panel * width
                b = packed + ((group * panels + panel) * R * S * group_c + c) * width * size
                columns = min(width, K - panel * width)
                for p in range(p1 - p0):
                    target = y + (p * y_row + k) * size
                    start, start_row = target, y_pixel
                    if c == 0:
                        start, start_row = (bias + k * size if bias != 0 else 0), 0
                    run_panel(
                        panel_code,
                        (
                            a + (p * SH * a_row + group * group_c + c) * size, b, target, start, Q, columns,
                            R, n_s, steps, DH * a_row, DW * C, 1, SW * C,
                            S * group_c * width, group_c * width, width, y_pixel, start_row, relu * is_last,
                        ),
                    )  # fmt: skip


def _weight_task(plan: Any, number: int, scratch: int) -> None:  # compiled
    """The sum over one chunk of bands, for all panels or for one."""
    (
        panel_code, size, x, H, W, C, groups, K, group_c, R, S, dy, P, Q, SH, SW, DH, DW, top, left, band, bands,
        units, chunks, panel_tasks, width, sums,
    ) = carray(plan, (27,))  # fmt: skip
    chunk, panel_task = number // panel_tasks, number % panel_tasks
    panels = -(-K // width)
    all_k = groups * K
    first_panel, last_panel = (0, groups * panels) if panel_tasks == 1 else (panel_task, panel_task + 1)
    sums += chunk * R * S * group_c * all_k * size
    w0, w1 = -left, (Q - 1) * SW - left + (S - 1) * DW + 1
    # Under one row of the window, taps and channels lie side by side: one run of rows for the tiles.
    runs, run = (1, S * group_c) if DW == 1 and groups == 1 else (S, group_c)
    first_unit, last_unit = chunk * units // chunks, (chunk + 1) * units // chunks
    for unit in range(first_unit, last_unit):
        image, part = unit // bands, unit % bands
        p0, p1 = part * band, min((part + 1) * band, P)
        h0, h1 = p0 * SH - top, (p1 - 1) * SH - top + (R - 1) * DH + 1
        here = x + image * H * W * C * size
        if h0 >= 0 and h1 <= H and w0 >= 0 and w1 <= W:
            a, a_row = here + (h0 * W + w0) * C * size, W * C
        else:
            copy_with_border(size, here, H, W, C, h0, h1, w0, w1, scratch)
            a, a_row = scratch, (w1 - w0) * C
        b = dy + (image * P + p0) * Q * all_k * size
        for panel in range(first_panel, last_panel):
            group, column = panel // panels, panel % panels * width
            k = group * K + column
            for r in range(R):
                for s in range(runs):
                    target = sums + ((r * S + s) * group_c * all_k + k) * size
                    run_panel(
                        panel_code,
                        (
                            a + (r * DH * a_row + s * DW * C + group * group_c) * size, b + k * size, target,
                            target if unit > first_unit else 0, run, min(width, K - column),
                            1, p1 - p0, Q, 0, SH * a_row, SW * C, 1, 0, Q * all_k, all_k, all_k, all_k, 0,
                        ),
                    )  # fmt: skip
