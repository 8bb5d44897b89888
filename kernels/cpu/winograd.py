"""Winograd's minimal filtering: 3×3 convolution with stride 1 in a quarter of the multiplications.

A tile of m × m outputs is computed from (m+2) × (m+2) inputs d and the 3×3 weight g as

    y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A          F(m×m, 3×3); here m = 2 or 4

where ⊙ multiplies element by element: (m+2)² products instead of 9 m². Summed over input channels, each of those
elements is a matrix product over tiles and channels, which the microkernel does:

    M_e [tiles, K] = V_e [tiles, C] · U_e [C, K]          for each e of (m+2)²,   V = Bᵀ d B,   U = G g Gᵀ

The input gradient is the same with the weight turned round and its channels swapped. The weight gradient is the
adjoint in g: dg = Gᵀ [ Σ_tiles (Bᵀ d B) ⊙ (A dy Aᵀ) ] G, its sums products [C, tiles] · [tiles, K].

A task takes a block of tiles through all three steps, so that V and M stay in its core's second-level cache. Pixels
outside the image are read from a row of zeros and written to a row that nobody reads, so no tile is special. How
the work is cut depends on the shape alone, so results do not depend on the number of threads.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308.
"""

import numpy as np

from kernels.cpu import memory
from kernels.cpu.arrays import in_elements
from kernels.cpu.blocks import copy_block
from kernels.cpu.direct import collect
from kernels.cpu.jit import jit
from kernels.cpu.microkernel import BLOCK_STEPS, WIDE_ROWS, panel_address, run_panel, tile_columns
from kernels.cpu.rows import memory_at, row_kernel
from kernels.cpu.squares import square_map
from kernels.cpu.tasks import address_of
from kernels.cpu.vectors import broadcast, lanes, load, store
from kernels.geometry import Window
from kernels.types import Array

#: Bytes of V and M that one task works on: most of a second-level cache of 512 KiB.
_BLOCK_BYTES = 320 << 10
#: Rows of tiles of the microkernel per block, at least: U passes once per block, and may come from memory.
_LEAST_ROWS = 8
#: Chunks of tiles, each with sums for a weight gradient of its own: at most so many, and with sums of so many bytes.
_CHUNKS = 16
_CHUNK_BYTES = 1 << 22
#: Output channels of a part of the sums, and its bytes, at least.
_PART_COLUMNS = 64
_PART_BYTES = 1 << 20
#: Few blocks come in multiples of this, so that neither thread of two or four has more than the others.
_EVEN = 4
_LINE = 64


def _matrices(m: int) -> tuple[Array, Array, Array]:
    """Bᵀ, G and Aᵀ for outputs of m: Cook and Toom's, for the points 0, ±a, ±b and ∞ (for m = 2 only 0, ±a and ∞).

    A product of polynomials is fixed by its values at the points. With p(t) = Π (t - point) over the finite ones,
    row t of Bᵀ holds the coefficients of p(t) / (t - point), G evaluates the weight (over the value of that quotient
    at its own point), and Aᵀ takes powers of the points.

    Usual are a, b = 1, 2. With √½ and √2 the largest error of m = 4 is three times smaller: a² b² = 1, and numbers
    of like size meet in every sum.
    """
    points = [0.0, 1.0, -1.0] if m == 2 else [0.0, 0.5**0.5, -(0.5**0.5), 2.0**0.5, -(2.0**0.5)]
    n = len(points) + 1
    b, g, a = np.zeros((n, n)), np.zeros((n, 3)), np.zeros((m, n))
    for row, point in enumerate(points):
        others = points[:row] + points[row + 1 :]
        b[row, : n - 1] = np.poly(others)[::-1]
        g[row] = point ** np.arange(3) / np.prod([point - other for other in others])
        a[:, row] = point ** np.arange(m)
    b[-1] = np.poly(points)[::-1]
    g[-1, -1] = a[-1, -1] = 1
    b[abs(b) < 1e-12] = 0  # what rounding leaves of zeros
    signs = (-1.0) ** np.arange(n)
    for row in range(2, n - 1, 2):  # -a after a: exact mirror images, which `square_map` finds
        b[row], g[row], a[:, row] = signs * b[row - 1], signs[:3] * g[row - 1], signs[:m] * a[:, row - 1]
    return b, g, a


_B4, _G4, _A4 = _matrices(4)
_B2, _G2, _A2 = _matrices(2)

_input_4, _input_2 = square_map(_B4.tolist()), square_map(_B2.tolist())
_weight_4, _weight_2 = square_map(_G4.tolist()), square_map(_G2.tolist())
_output_4, _output_2 = square_map(_A4.tolist(), finishes=True), square_map(_A2.tolist(), finishes=True)
_gradient_4, _gradient_2 = square_map(_A4.T.tolist()), square_map(_A2.T.tolist())
_sum_4, _sum_2 = square_map(_G4.T.tolist()), square_map(_G2.T.tolist())


def forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    relu: bool,
    window: Window,
    m: int,
    packed: dict[str, Array] | None = None,
) -> Array:
    """The output, (N, P, Q, K), from x (N, H, W, C), C-contiguous, and the weight (K, C, 3, 3), any strides.

    `packed` keeps the transformed weight for the next call.
    """
    return _correlate(x, weight, window.output_size, (window.top, window.left), bias, relu, m, packed)


def input_grad(dy: Array, weight: Array, window: Window, m: int) -> Array:
    """The gradient of x, (N, H, W, C), from dy (N, P, Q, K): a correlation with the weight turned round."""
    turned = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    return _correlate(dy, turned, window.input_size, (2 - window.top, 2 - window.left), None, False, m)


def weight_grad(x: Array, dy: Array, window: Window, m: int) -> Array:
    """The gradient of the weight, (K, 3, 3, C), from x (N, H, W, C) and dy (N, P, Q, K), both C-contiguous."""
    size, width = x.itemsize, tile_columns(x.itemsize)
    C, K = x.shape[3], dy.shape[3]
    if dy.size == 0:
        return np.zeros((K, 3, 3, C), x.dtype)
    x, dy = _widened(x, width // 2), _widened(dy, width // 2)
    elements, columns = (m + 2) ** 2, -(-dy.shape[3] // width) * width
    tiles = (-(-dy.shape[1] // m), -(-dy.shape[2] // m))
    count = len(x) * tiles[0] * tiles[1]
    # Sums too large for many copies are cut by output channels; each part transforms the inputs again.
    parts = max(1, min(columns // _PART_COLUMNS, elements * x.shape[3] * columns * size // _PART_BYTES))
    parts = parts if dy.shape[3] % width == 0 else 1  # a last part narrower than a vector would read beyond dy
    pitches = _pitch(x.shape[3], size), -(-columns // (parts * width)) * width
    parts = -(-columns // pitches[1])
    chunks = max(1, min(_CHUNKS, _CHUNK_BYTES // (elements * x.shape[3] * columns * size)))
    block = _tiles_per_block(count, sum(pitches) * elements * size)
    blocks = -(-count // block)
    chunks = min(chunks // _EVEN * _EVEN or chunks, blocks)
    sums = memory.empty((chunks, elements, x.shape[3], columns), x.dtype)
    planes = _plane(block * pitches[0], size), _plane(block * pitches[1], size)
    scratch = elements * sum(planes) * size + (x.shape[3] + dy.shape[3]) * size
    numbers = (*tiles, window.top, window.left, block, blocks, parts, *pitches, *planes, panel_address(x.dtype), size)
    _sum_products(chunks * parts, x, dy, sums, numbers, m, scratch=scratch)
    inverse = memory.empty((1, 9, x.shape[3], columns), x.dtype)
    _transform_sums(x.shape[3], sums, inverse, m, scratch=elements * columns * size)
    return collect(inverse, K, C).reshape(K, 3, 3, C)


def _correlate(
    x: Array,
    weight: Array,
    output_size: tuple[int, int],
    before: tuple[int, int],
    bias: Array | None,
    relu: bool,
    m: int,
    packed: dict[str, Array] | None = None,
) -> Array:
    """The correlation of x (N, H, W, C), which begins `before` the image, with the weight (K, C, 3, 3)."""
    K, size, width = len(weight), x.itemsize, tile_columns(x.itemsize)
    y = memory.empty((len(x), *output_size, max(K, width // 2)), x.dtype)
    if y.size == 0:
        return y[..., :K]
    x = _widened(x, width // 2)
    C, elements, panels = x.shape[3], (m + 2) ** 2, -(-K // width)
    packed = {} if packed is None else packed
    u = packed.get(f"winograd {m}")
    if u is None:
        u = packed[f"winograd {m}"] = _transformed(weight, C, panels, m)
    padded_bias = np.zeros(panels * width, x.dtype)
    if bias is not None:
        padded_bias[:K] = bias
    tiles = (-(-y.shape[1] // m), -(-y.shape[2] // m))
    pitches = _pitch(C, size), panels * width
    count = len(x) * tiles[0] * tiles[1]
    block = _tiles_per_block(count, sum(pitches) * elements * size)
    planes = _plane(block * pitches[0], size), _plane(block * pitches[1], size)
    scratch = elements * sum(planes) * size + (C + y.shape[3]) * size
    numbers = (*tiles, *before, block, panels, width, *pitches, *planes, BLOCK_STEPS, panel_address(x.dtype), size)
    _correlate_block(-(-count // block), x, u, padded_bias, y, numbers, relu, m, scratch=scratch)
    return y if y.shape[3] == K else np.ascontiguousarray(y[..., :K])


def _transformed(weight: Array, C: int, panels: int, m: int) -> Array:
    """U of a weight (K, channels ≤ C, 3, 3) with any strides: [elements][panel][C][columns of a panel]."""
    (K, channels), size, width = weight.shape[:2], weight.itemsize, tile_columns(weight.itemsize)
    u = memory.empty(((m + 2) ** 2, _plane(panels * C * width, size)), weight.dtype)
    if channels < C:
        u.fill(0)
    weight = in_elements(weight)
    strides = tuple(step // size for step in weight.strides)
    layout = (address_of(weight), *strides, K, channels, C, width, size)
    _transform_weight(panels, u, layout, m, scratch=9 * channels * width * size)
    return u


def _widened(x: Array, lanes: int) -> Array:
    """The images with channels of zeros added, where they have fewer than a vector holds."""
    if x.shape[3] >= lanes:
        return x
    wide = memory.zeros((*x.shape[:3], lanes), x.dtype)
    wide[..., : x.shape[3]] = x
    return wide


def _tiles_per_block(tiles: int, bytes_per_tile: int) -> int:
    """So many that V and M stay in cache; and of few blocks, a number that threads can share evenly."""
    block = max(_LEAST_ROWS, _BLOCK_BYTES // (bytes_per_tile * WIDE_ROWS)) * WIDE_ROWS
    blocks = -(-tiles // block)
    if 1 < blocks < 8 * _EVEN:
        block = -(-tiles // (-(-blocks // _EVEN) * _EVEN))
    return block


def _pitch(channels: int, size: int) -> int:
    """Elements from row to row of V: not so that the rows of a tile meet in a few sets of the cache."""
    return channels + (_LINE // size if channels * size % 1024 == 0 else 0)


def _plane(elements: int, size: int) -> int:
    """Room for one of the (m+2)² matrices: an odd number of cache lines, so that they begin in different sets."""
    return (-(-elements * size // _LINE) | 1) * _LINE // size


@row_kernel
def _transform_weight(u: Array, layout: tuple[int, ...], m: int, scratch: int, panel: int) -> None:
    """U_e = G g Gᵀ for one panel of output channels, from a weight of any strides; reads it once, writes U once."""
    address, w_k, w_c, w_r, w_s, K, channels, C, width, size = layout
    columns = min(width, K - panel * width)
    taps = memory_at(u, scratch, 9 * channels * width)
    if columns < width:
        taps[:] = 0
    for tap in range(9):
        source = address + (panel * width * w_k + tap // 3 * w_r + tap % 3 * w_s) * size
        target = scratch + tap * channels * width * size
        copy_block(size, channels, columns, target, width, source, w_c, w_k)
    flat, plane = u.reshape(-1), u.shape[1]
    for place in range(0, channels * width, lanes(u)):
        if m == 4:
            _weight_4(taps, channels * width, place, flat, plane, panel * C * width + place)
        else:
            _weight_2(taps, channels * width, place, flat, plane, panel * C * width + place)


@row_kernel
def _correlate_block(
    x: Array, u: Array, bias: Array, y: Array, numbers: tuple[int, ...], relu: int, m: int, scratch: int, task: int
) -> None:
    """One block of tiles, all channels: reads x once (neighbours again from cache), U once, writes y once."""
    N, H, W, C = x.shape
    _, P, Q, K = y.shape
    tiles_h, tiles_w, top, left, block, panels, width = numbers[:7]
    v_pitch, m_pitch, v_plane, m_plane, block_steps, panel_code, size = numbers[7:]
    first, last = task * block, min((task + 1) * block, N * tiles_h * tiles_w)
    n = m + 2
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    v = memory_at(x, scratch, n * n * v_plane)
    product = memory_at(x, scratch + n * n * v_plane * size, n * n * m_plane)
    zeros = memory_at(x, scratch + n * n * (v_plane + m_plane) * size, C)
    zeros[:] = 0
    nothing = (np.int64(zeros.ctypes.data) - np.int64(x.ctypes.data)) // size
    nowhere = (np.int64(zeros.ctypes.data) - np.int64(y.ctypes.data)) // size + C
    places = np.empty(n * n, np.int64)

    for t in range(first, last):
        image, h, w = t // (tiles_h * tiles_w), t // tiles_w % tiles_h * m - top, t % tiles_w * m - left
        _find_pixels(places, n, image, H, W, C, h, w, nothing)
        row = (t - first) * v_pitch
        for channel in range(0, C, lanes(x)):
            c = min(channel, C - lanes(x))
            if m == 4:
                _input_4(flat_x, places, c, v, v_plane, row + c)
            else:
                _input_2(flat_x, places, c, v, v_plane, row + c)

    for e in range(n * n):
        for panel in range(panels):
            target = np.int64(product.ctypes.data) + (e * m_plane + panel * width) * size
            for c in range(0, C, block_steps):
                a = scratch + (e * v_plane + c) * size
                b = np.int64(u.ctypes.data) + (e * u.shape[1] + (panel * C + c) * width) * size
                start, steps = (target if c > 0 else 0), min(block_steps, C - c)
                run_panel(
                    panel_code,
                    (
                        a, b, target, start, last - first, width, 1, 1, steps,
                        0, 0, 1, v_pitch, 0, 0, width, m_pitch, m_pitch, 0,
                    ),
                )  # fmt: skip

    least = broadcast(x, 0 if relu else -np.inf)
    for t in range(first, last):
        image, p, q = t // (tiles_h * tiles_w), t // tiles_w % tiles_h * m, t % tiles_w * m
        _find_pixels(places, m, image, P, Q, K, p, q, nowhere)
        row = (t - first) * m_pitch
        for channel in range(0, K, lanes(x)):
            k = min(channel, K - lanes(x))
            if m == 4:
                _output_4(product, m_plane, row + k, flat_y, places, k, load(bias, k), least)
            else:
                _output_2(product, m_plane, row + k, flat_y, places, k, load(bias, k), least)


@row_kernel
def _sum_products(x: Array, dy: Array, sums: Array, numbers: tuple[int, ...], m: int, scratch: int, task: int) -> None:
    """Σ (Bᵀ d B) ⊙ (A dy Aᵀ) over one chunk of tiles, for a part of the output channels; reads x and dy once."""
    N, H, W, C = x.shape
    _, P, Q, K = dy.shape
    tiles_h, tiles_w, top, left, block, blocks, parts, v_pitch, d_pitch, v_plane, d_plane, panel_code, size = numbers
    chunks, _, _, columns = sums.shape
    chunk, first_k = task // parts, task % parts * d_pitch
    last_k = min(first_k + d_pitch, K)
    n, width = m + 2, 2 * lanes(x)
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
    v = memory_at(x, scratch, n * n * v_plane)
    d = memory_at(x, scratch + n * n * v_plane * size, n * n * d_plane)
    zeros = memory_at(x, scratch + n * n * (v_plane + d_plane) * size, C + K)
    zeros[:] = 0
    no_x = (np.int64(zeros.ctypes.data) - np.int64(x.ctypes.data)) // size
    no_dy = (np.int64(zeros.ctypes.data) - np.int64(dy.ctypes.data)) // size
    places = np.empty(n * n, np.int64)
    first_block, last_block = chunk * blocks // chunks, (chunk + 1) * blocks // chunks
    for number in range(first_block, last_block):
        first, last = number * block, min((number + 1) * block, N * tiles_h * tiles_w)
        for t in range(first, last):
            image, p, q = t // (tiles_h * tiles_w), t // tiles_w % tiles_h * m, t % tiles_w * m
            _find_pixels(places, n, image, H, W, C, p - top, q - left, no_x)
            row = (t - first) * v_pitch
            for channel in range(0, C, lanes(x)):
                c = min(channel, C - lanes(x))
                if m == 4:
                    _input_4(flat_x, places, c, v, v_plane, row + c)
                else:
                    _input_2(flat_x, places, c, v, v_plane, row + c)
            _find_pixels(places, m, image, P, Q, K, p, q, no_dy)
            row = (t - first) * d_pitch - first_k
            for channel in range(first_k, last_k, lanes(x)):
                k = max(first_k, min(channel, last_k - lanes(x)))
                if m == 4:
                    _gradient_4(flat_dy, places, k, d, d_plane, row + k)
                else:
                    _gradient_2(flat_dy, places, k, d, d_plane, row + k)
        for e in range(n * n):
            for k in range(first_k, last_k, width):
                target = np.int64(sums.ctypes.data) + (((chunk * n * n + e) * C) * columns + k) * size
                a, b = scratch + e * v_plane * size, scratch + (n * n * v_plane + e * d_plane + k - first_k) * size
                run_panel(
                    panel_code,
                    (
                        a, b, target, target if number > first_block else 0, C, min(width, K - k), 1, 1, last - first,
                        0, 0, v_pitch, 1, 0, 0, d_pitch, columns, columns, 0,
                    ),
                )  # fmt: skip


@row_kernel
def _transform_sums(sums: Array, inverse: Array, m: int, scratch: int, c: int) -> None:
    """Gᵀ dU G for one input channel, from dU summed over the chunks in their order; reads them once."""
    chunks, elements, C, columns = sums.shape
    total = memory_at(sums, scratch, elements * columns)
    flat, target = sums.reshape(-1), inverse.reshape(-1)
    for e in range(elements):
        for k in range(0, columns, lanes(sums)):
            value = load(flat, (e * C + c) * columns + k)
            for chunk in range(1, chunks):
                value += load(flat, ((chunk * elements + e) * C + c) * columns + k)
            store(total, e * columns + k, value)
    for k in range(0, columns, lanes(sums)):
        if m == 4:
            _sum_4(total, columns, k, target, C * columns, c * columns + k)
        else:
            _sum_2(total, columns, k, target, C * columns, c * columns + k)


@jit
def _find_pixels(
    places: Array, n: int, image: int, H: int, W: int, C: int, first_h: int, first_w: int, nowhere: int
) -> None:
    """Where the pixels of an n × n square of an image lie, counted in elements; `nowhere` for those outside it."""
    if first_h >= 0 and first_w >= 0 and first_h + n <= H and first_w + n <= W:
        for i in range(n):
            place = ((image * H + first_h + i) * W + first_w) * C
            for j in range(n):
                places[i * n + j] = place + j * C
        return
    for i in range(n):
        h = first_h + i
        row = (image * H + h) * W
        for j in range(n):
            w = first_w + j
            places[i * n + j] = (row + w) * C if 0 <= h < H and 0 <= w < W else nowhere
