"""Matrix products by the vendor's library, and what follows them."""

from typing import Literal

from kernels.cuda.arrays import accumulator, grid_of, tile, vector
from kernels.cuda.launch import THREADS, blocks_for, launch
from kernels.layout import array_module
from kernels.types import Array


def matmul(a: Array, b: Array, bias: Array | None = None, *, activation: Literal["relu"] | None = None) -> Array:
    """The matrix product (M, K) · (K, N) → (M, N), plus the bias (N,), activated.

    Operands that are neither C- nor Fortran-contiguous are copied first. Bias and activation take one more pass.
    """
    c = product(a, b)
    finish(c, bias, activation == "relu")
    return c


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """The product a · b, summed in float32 or float64.

    Always two-dimensional: CuPy computes products of more dimensions with other, worse settings (half precision is
    converted, TF32 is not used).

    Args:
        a: (M, K).
        b: (K, N).
        out: where the product goes; C-contiguous, since CuPy would go through a copy else.
    """
    xp = array_module(a)
    if a.itemsize < 4 and a.shape[0] == b.shape[1] == 1:
        # CuPy makes a single number by its own reduction, which rounds every term to half precision.
        single = xp.matmul(a.astype("float32"), b.astype("float32")).astype(a.dtype)
        if out is None:
            return single
        out[...] = single
        return out
    return xp.matmul(a, b, out=out)


def finish(
    product: Array, bias: Array | None, relu: bool, result: Array | None = None, group: int = 0, groups: int = 1
) -> None:
    """Add the bias, rectify, and put the product in its place: one pass, or none where nothing is to be done.

    Args:
        product: (rows, columns), C-contiguous.
        bias: (groups · columns,), or None.
        relu: whether to rectify.
        result: (rows, groups · columns), C-contiguous, of which the group's columns are written; None for the product
            itself.
        group: whose columns these are.
        groups: how many share the result.
    """
    if product.size == 0 or (result is None and bias is None and not relu):
        return
    if result is None:
        result = product
    rows, columns = product.shape
    pack = vector(columns, product, result)
    packs = columns // pack
    threads = tile(packs)
    shift = None if bias is None else array_module(bias).ascontiguousarray(bias)
    arguments = (
        product, shift, result, relu, rows, packs, group * packs, groups * packs,
    )  # fmt: skip
    grid = grid_of(rows, packs, threads)
    launch("matmul", "finish", grid, threads, arguments, product.dtype, defines=(f"VECTOR={pack}",))


class Accumulator:
    """A product summed over pieces of its inner dimension, piece after piece, in float32 or float64.

    Args:
        result: where the sum goes, C-contiguous.
        pieces: how many pieces there will be; a single one goes to the result without a detour.
    """

    def __init__(self, result: Array, pieces: int) -> None:
        self._result = result
        self._is_single = pieces == 1
        self._is_first = True
        if not self._is_single:
            xp = array_module(result)
            self._product = xp.empty(result.shape, result.dtype)
            self._total = xp.empty(result.shape, accumulator(result.dtype))

    def add(self, a: Array, b: Array) -> None:
        """Add a · b."""
        if self._is_single:
            product(a, b, out=self._result)
            return
        product(a, b, out=self._product)
        count = self._result.size
        arguments = (self._product, self._total, self._result, self._is_first, count)
        launch("matmul", "accumulate", blocks_for(count), (THREADS,), arguments, self._result.dtype)
        self._is_first = False
