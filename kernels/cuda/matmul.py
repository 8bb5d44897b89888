"""Matrix products."""

from kernels.layout import array_module
from kernels.types import Array


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """The matrix product (M, K) · (K, N) → (M, N), by the vendor's library."""
    return array_module(a).matmul(a, b, out=out)
