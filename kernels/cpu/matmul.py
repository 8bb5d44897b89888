"""Matrix products on the microkernel, blocked for the caches.

    C[M, N] = A[M, K] · B[K, N]

K is cut into blocks of `_BLOCK_K`. Within one, a panel of B (two vectors wide) stays in the first-level cache
while the rows of A stream past it, and a block of A's rows stays in the second-level cache while the panels of B
pass. B is copied into panels beforehand and A's blocks into rows free of cache conflicts, each only where its
own layout would not do. A long K with a small C (a weight gradient) is cut into chunks, summed at the end.

How rows and columns are spread over tasks depends on the number of threads, and that changes no result: each
element of C is one sum over k, whose cut depends on M, N and K alone.

Compiled code gets addresses and strides, not arrays: one compilation serves both element types, all layouts.
"""

from typing import Any, Literal

import numpy as np
from numba import carray

from kernels.cpu import memory
from kernels.cpu.arrays import compact, in_elements
from kernels.cpu.blocks import copy_block
from kernels.cpu.microkernel import WIDE_ROWS, panel_address, run_panel, tile_columns
from kernels.cpu.tasks import SERIAL_WORK, address_of, run_tasks, task_address
from kernels.cpu.threads import get_num_threads
from kernels.types import Array

#: The most steps of the inner loop per block: a panel of so many rows of 64 bytes leaves a first-level cache of
#: 32 KiB room for the rows of A.
_BLOCK_K = 320
#: Rows of a block of A: 192 KiB in float32, well within a second-level cache beside the panels that pass.
_BLOCK_ROWS = 192 // WIDE_ROWS * WIDE_ROWS
#: Rows of a packed block of A lie so many elements further apart than they are long: a distance that is a power
#: of two would send all rows of a tile to the same few lines of the cache.
_ROW_GAP = 16
#: Panels of B that are packed together: 1 MiB, which waits in the third-level cache.
_GROUP_PANELS = 64
_ROWS_AT_ONCE = 16

#: Multiply-adds up to which NumPy's product is used: it is called in 2 µs, ours in 7, and it does not start
#: threads for so little, so its result is as repeatable.
_BLAS_WORK = 1 << 16

#: K is cut into chunks only where C has at most this many elements: a larger one has tiles for every thread.
_CHUNKED_RESULT = 1 << 16
_CHUNK_K = 4 * _BLOCK_K
_MOST_CHUNKS = 64


def matmul(
    a: Array,
    b: Array,
    bias: Array | None = None,
    *,
    activation: Literal["relu"] | None = None,
    out: Array | None = None,
) -> Array:
    """The matrix product (M, K) · (K, N) → (M, N), as `np.matmul`; then a bias is added, and negative sums become 0.

    Args:
        a: (M, K), float32 or float64, any strides.
        b: (K, N), of the same type, any strides.
        bias: (N,), of the same type, or None.
        activation: "relu" or None.
        out: (M, N), where the product goes, any strides; it shares no memory with `a` and `b`.

    Reads A and B once to pack them where that pays, then each from cache once per block of the other; writes C
    once per block of K. Bitwise the same at any number of threads.
    """
    M, K = a.shape
    N = b.shape[1]
    if out is None:
        out = memory.empty((M, N), a.dtype)
    if out.size == 0:
        return out
    relu = activation == "relu"
    is_small = M > 1 and N > 1 and M * N * K <= _BLAS_WORK
    has_rows = N == 1 or out.strides[1] == out.itemsize
    if K > 0 and has_rows and not is_small:
        _multiply(in_elements(a), in_elements(b), out, None if bias is None else compact(bias), relu)
        return out
    if K == 0:
        out[...] = 0
    elif is_small:
        with np.errstate(over="ignore", invalid="ignore"):  # no product warns, small or large
            np.matmul(a, b, out=out)
    elif out.strides[0] == out.itemsize:  # Cᵀ = Bᵀ · Aᵀ
        _multiply(in_elements(b.T), in_elements(a.T), out.T, None, False)
    else:
        out[...] = matmul(a, b)
    _finish(out, bias, relu)
    return out


def _finish(c: Array, bias: Array | None, relu: bool) -> None:
    """What the panels do themselves where they form the whole sum."""
    if bias is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            c += bias
    if relu:
        np.maximum(c, 0, out=c)


def _multiply(a: Array, b: Array, c: Array, bias: Array | None, relu: bool) -> None:
    """C = A · B for C with contiguous rows, and M, N and K not 0."""
    size = c.itemsize
    (M, K), N = a.shape, b.shape[1]
    a_row, a_k = a.strides[0] // size, a.strides[1] // size
    b_k, b_column = b.strides[0] // size, b.strides[1] // size
    width = tile_columns(size)
    panels = -(-N // width)

    # Chunks of K, and blocks of equal length within a chunk: the same for every number of threads.
    chunks = max(1, min(_MOST_CHUNKS, K // _CHUNK_K)) if M * N <= _CHUNKED_RESULT else 1
    chunk = -(-K // chunks)
    chunks = -(-K // chunk)
    block_k = -(-chunk // -(-chunk // _BLOCK_K))

    workers = get_num_threads() if M * N * K >= SERIAL_WORK else 1
    row_tasks, panel_tasks = _spread(M, panels, workers if chunks == 1 else 1)
    rows = -(-M // (row_tasks * WIDE_ROWS)) * WIDE_ROWS
    row_tasks = -(-M // rows)

    # Rows of B that lie close together, or that a few tiles read, are read where they are.
    pack_b = b_column != 1 or (b_k > 2 * width and rows > 4 * WIDE_ROWS)
    # So are rows of A, until many panels pass; rows whose distance makes them collide in the cache, and columns
    # of A (a transposed operand), are copied sooner.
    pack_a = panels > (8 if a_k == 1 and a_row * size % 2048 else 1)
    products = memory.empty((chunks, M, N), c.dtype) if chunks > 1 else c
    plan = (
        panel_address(c.dtype), size, M, N, K, width, panels,
        address_of(a), a_row, a_k, pack_a, address_of(b), b_k, b_column, pack_b,
        address_of(products), products.strides[-2] // size, block_k, chunk, chunks, rows, panel_tasks,
        0 if bias is None or chunks > 1 else address_of(bias), relu and chunks == 1,
    )  # fmt: skip
    count = chunks * row_tasks * panel_tasks
    scratch = min(_BLOCK_ROWS, rows) * (block_k + _ROW_GAP) * size * pack_a
    scratch += min(_GROUP_PANELS, -(-panels // panel_tasks)) * block_k * width * size * pack_b
    run_tasks(task_address(_multiply_task), count, plan, parallel=workers > 1, scratch=scratch)
    if chunks > 1:
        np.add.reduce(products, axis=0, out=c)
        _finish(c, bias, relu)


def _spread(M: int, panels: int, workers: int) -> tuple[int, int]:
    """How many tasks divide the rows, and how many the panels: by rows, unless these are too few to be even."""
    units = -(-M // WIDE_ROWS)
    if units >= 4 * workers or panels < workers:
        return min(units, workers), 1
    return 1, workers


def _multiply_task(plan: Any, task: int, scratch: int) -> None:  # compiled
    """The compiled part: one chunk of K, for one range of C's rows and one of its panels."""
    (
        address, size, M, N, K, width, panels, a, a_row, a_k, pack_a, b, b_k, b_column, pack_b,
        c, c_row, length, chunk, chunks, task_rows, panel_tasks, bias, relu,
    ) = carray(plan, (24,))  # fmt: skip
    part, task = task % chunks, task // chunks
    panel_task, row_task = task % panel_tasks, task // panel_tasks
    c += part * M * N * size if chunks > 1 else 0
    first_k, last_k = part * chunk, min((part + 1) * chunk, K)
    first_row, last_row = row_task * task_rows, min((row_task + 1) * task_rows, M)
    first_panel, last_panel = panel_task * panels // panel_tasks, (panel_task + 1) * panels // panel_tasks

    block_rows = min(_BLOCK_ROWS, last_row - first_row)
    pitch = length + _ROW_GAP
    packed_a = scratch
    packed_b = scratch + block_rows * pitch * size * pack_a
    for k in range(first_k, last_k, length):
        steps = min(length, last_k - k)
        for group in range(first_panel, last_panel, _GROUP_PANELS):
            end = min(group + _GROUP_PANELS, last_panel)
            if pack_b:
                # A few rows of all panels at a time: so memory is read along the rows of B.
                for step in range(0, steps, _ROWS_AT_ONCE):
                    for panel in range(group, end):
                        target = packed_b + ((panel - group) * length + step) * width * size
                        source = b + ((k + step) * b_k + panel * width * b_column) * size
                        count, columns = min(_ROWS_AT_ONCE, steps - step), min(width, N - panel * width)
                        copy_block(size, count, columns, target, width, source, b_k, b_column)
            for row in range(first_row, last_row, _BLOCK_ROWS):
                rows = min(_BLOCK_ROWS, last_row - row)
                block, block_row, block_k = a + (row * a_row + k * a_k) * size, a_row, a_k
                if pack_a:
                    copy_block(size, rows, steps, packed_a, pitch, block, a_row, a_k)
                    block, block_row, block_k = packed_a, pitch, 1
                for panel in range(group, end):
                    target = c + (row * c_row + panel * width) * size
                    start, start_row = target, c_row
                    if k == first_k:
                        start, start_row = (bias + panel * width * size if bias != 0 else 0), 0
                    panel_b, row_of_b = b + (k * b_k + panel * width) * size, b_k
                    if pack_b:
                        panel_b, row_of_b = packed_b + (panel - group) * length * width * size, width
                    columns = min(width, N - panel * width)
                    run_panel(
                        address,
                        (
                            block, panel_b, target, start, rows, columns, 1, 1, steps,
                            0, 0, block_k, block_row, 0, 0, row_of_b, c_row, start_row,
                            relu * (k + length >= last_k),
                        ),
                    )  # fmt: skip
