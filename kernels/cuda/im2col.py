"""Unfolding windows into rows and folding rows back."""

import math

from kernels import layout
from kernels.cuda.arrays import grid_of, tile, vector
from kernels.cuda.launch import launch
from kernels.geometry import Padding, Size, Window, convolution_window
from kernels.types import Array, Shape4

#: Threads along x at most: a warp. Blocks of 256 threads then have at least eight rows or cells.
_ALONG = 32


def im2col(x: Array, kernel_size: Size, *, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> Array:
    """Unfold windows into rows: (N, C, H, W) → (N·OH·OW, C·KH·KW).

    Reads x KH·KW times, from the caches but for the first; writes the rows once.
    """
    window = convolution_window("im2col", x.shape[2:], kernel_size, stride, padding, dilation)
    block = layout.channels_last(x)
    N, _, _, C = block.shape
    rows, length = N * math.prod(window.output_size), C * window.cells
    cols = layout.array_module(x).empty((rows, length), x.dtype)
    if rows:
        threads = tile(length, most=_ALONG)
        grid = grid_of(rows, 1, threads)
        launch("im2col", "im2col", grid, threads, (block, cols, rows, C, *numbers(window)), x.dtype)
    return cols


def col2im(
    cols: Array,
    input_shape: Shape4,
    kernel_size: Size,
    *,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
) -> Array:
    """Fold rows back, adding where windows overlap: (N·OH·OW, C·KH·KW) → (N, C, H, W).

    Reads the rows once, writes x once; sums have a fixed order.
    """
    N, C, H, W = input_shape
    window = convolution_window("col2im", (H, W), kernel_size, stride, padding, dilation)
    xp = layout.array_module(cols)
    x = xp.empty((N, H, W, C), cols.dtype)
    _fold(xp.ascontiguousarray(cols), x, window, pack=1, tap_step=1, pack_step=window.cells)
    return layout.from_channels_last(x)


def columns_by_tap(
    x: Array, cols: Array, first_row: int, rows: int, window: Window, group: int = 0, groups: int = 1
) -> None:
    """Unfold `rows` windows from `first_row` on, counted over all images, in the order KH, KW, C.

    Args:
        x: [N, H, W, C].
        cols: where the rows go, at least `rows` of [KH·KW·C / groups].
        first_row: the first window.
        rows: how many.
        window: the convolution's window.
        group: whose channels.
        groups: into how many C is split.
    """
    C = x.shape[3]
    pack = vector(C // groups, x, cols)
    packs = C // groups // pack
    threads = tile(window.cells * packs, most=_ALONG)
    arguments = (x, cols, first_row, rows, packs, group * packs, groups * packs, *numbers(window))
    grid = grid_of(rows, 1, threads)
    launch("im2col", "columns_by_tap", grid, threads, arguments, x.dtype, defines=(f"VECTOR={pack}",))


def fold_by_tap(cols: Array, x: Array, window: Window, group: int = 0, groups: int = 1) -> None:
    """Fold rows in the order KH, KW, C back onto whole images x, [N, H, W, C]: onto the channels of one group."""
    pack = vector(x.shape[3] // groups, x, cols)
    packs = x.shape[3] // groups // pack
    _fold(cols, x, window, pack=pack, tap_step=packs, pack_step=1, group=group, groups=groups)


def numbers(window: Window) -> tuple[int, ...]:
    """A window as kernels take it: sizes of input, output and kernel, stride, top, left, dilation."""
    sizes = (*window.input_size, *window.output_size, *window.kernel_size)
    return (*sizes, *window.stride, window.top, window.left, *window.dilation)


def _fold(
    cols: Array, x: Array, window: Window, *, pack: int, tap_step: int, pack_step: int, group: int = 0, groups: int = 1
) -> None:
    """A thread for each pack of channels of each cell of `x`."""
    N, H, W, C = x.shape
    cells, packs = N * H * W, C // groups // pack
    if cells == 0:
        return
    threads = tile(packs, most=_ALONG)
    places = (cells, packs, group * packs, groups * packs, tap_step, pack_step)
    grid = grid_of(cells, packs, threads)
    arguments = (cols, x, *places, *numbers(window))
    launch("im2col", "col2im", grid, threads, arguments, x.dtype, defines=(f"VECTOR={pack}",))
