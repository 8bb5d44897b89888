"""Matrix products."""

from typing import Literal

from kernels.cuda.activation import relu
from kernels.layout import array_module
from kernels.types import Array


def matmul(
    a: Array,
    b: Array,
    bias: Array | None = None,
    *,
    activation: Literal["relu"] | None = None,
    out: Array | None = None,
) -> Array:
    """The matrix product (M, K) · (K, N) → (M, N), by the vendor's library, plus the bias (N,), activated."""
    product: Array = array_module(a).matmul(a, b, out=out)
    if bias is not None:
        product += bias
    return relu(product) if activation == "relu" else product
