"""Dropout and its gradient, with array operations."""

from kernels.layout import array_module, channels_last, from_channels_last
from kernels.philox import philox4x32
from kernels.types import Array


def dropout(x: Array, p: float, *, key: int, stream: int = 0, start: int = 0) -> tuple[Array, Array]:
    """Zero with probability p, and divided by 1 − p otherwise; and where it was kept."""
    xp = array_module(x)
    threshold = round((1.0 - p) * 2**32)
    words = philox4x32(xp, x.size, key=key, stream=stream, start=start).astype(xp.uint64)
    flat = words < xp.uint64(threshold)
    kept = flat.reshape(x.shape)
    if x.ndim == 4:
        kept = from_channels_last(flat.reshape(channels_last(x).shape))
    return dropout_grad(x, kept, p), kept


def dropout_grad(grad_output: Array, kept: Array, p: float) -> Array:
    """The gradient: dy / (1 − p) where x was kept, else 0."""
    xp = array_module(kept)
    one = grad_output.dtype.type(1)
    scale = one / grad_output.dtype.type(1.0 - p) if p < 1 else one
    if grad_output.ndim != 4:
        return xp.ascontiguousarray(grad_output * (kept * scale))
    return from_channels_last(channels_last(grad_output) * (channels_last(kept) * scale))
