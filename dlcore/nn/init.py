"""Initial values, written into a tensor in place and returned.

Weights are (out, in, …): a linear layer's has fan_in = in and fan_out = out, a convolution's each times the window's
cells. The random numbers come from the default generator (`backend.seed`), so they are the same on every backend.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from dlcore.backend import to_numpy
from dlcore.tensor import Tensor
from kernels import options
from kernels.errors import ArgumentError, DTypeError, ShapeError
from kernels.shortage import within_memory

#: By how much an activation shrinks its input's standard deviation, inverted; PyTorch's table.
GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0)}

_skips: ContextVar[bool] = ContextVar("dlcore_skips_initial_values", default=False)


@contextmanager
def skipped() -> Iterator[None]:
    """A block in which random initial values are left out, and new weights stay 0.

    It saves time where a network is made to load weights into, to give it other ones, or only to look at it.
    """
    token = _skips.set(True)
    try:
        yield
    finally:
        _skips.reset(token)


def zeros_(tensor: Tensor) -> Tensor:
    """All 0: right for biases; in weights it keeps all neurons of a layer alike for ever."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """All 1."""
    return constant_(tensor, 1.0)


@within_memory
def constant_(tensor: Tensor, value: float) -> Tensor:
    """All `value`."""
    value = options.number("init", "value", value)
    return _checked(tensor).copy_(np.full(tensor.shape, value, dtype=tensor.dtype))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal, with the given mean and standard deviation."""
    if _skips.get():
        return tensor
    return _checked(tensor).copy_(
        tensor.backend.rng.normal(tensor.shape, mean, std, tensor.dtype, purpose="initial values")
    )


def uniform_(tensor: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform on [low, high)."""
    if _skips.get():
        return tensor
    return _checked(tensor).copy_(
        tensor.backend.rng.uniform(tensor.shape, low, high, tensor.dtype, purpose="initial values")
    )


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with std = gain · √(2 / (fan_in + fan_out)), for sigmoid and tanh.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010),
    equation 12; chapter 6 of the book.
    """
    return normal_(tensor, 0.0, options.number("init", "gain", gain) * math.sqrt(2.0 / sum(fans(tensor))))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform on ± gain · √(6 / (fan_in + fan_out)), for sigmoid and tanh.

    Source: Glorot and Bengio (2010), equation 16.
    """
    bound = options.number("init", "gain", gain) * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def he_normal_(tensor: Tensor, nonlinearity: str = "relu") -> Tensor:
    """Normal with std = gain / √fan_in (√(2 / fan_in) for ReLU).

    Source: He et al., "Delving deep into rectifiers" (arXiv:1502.01852), equation 10; chapter 6 of the book.
    """
    return normal_(tensor, 0.0, _gain(nonlinearity) / math.sqrt(fans(tensor)[0]))


def he_uniform_(tensor: Tensor, nonlinearity: str = "relu") -> Tensor:
    """Uniform on ± gain · √(3 / fan_in), of the same variance as `he_normal_`.

    Source: He et al. (arXiv:1502.01852).
    """
    bound = _gain(nonlinearity) * math.sqrt(3.0 / fans(tensor)[0])
    return uniform_(tensor, -bound, bound)


def lecun_normal_(tensor: Tensor) -> Tensor:
    """Normal with std = √(1 / fan_in), for SELU.

    Source: LeCun et al., "Efficient BackProp" (1998), section 4.6.
    """
    return he_normal_(tensor, "linear")


def lecun_uniform_(tensor: Tensor) -> Tensor:
    """Uniform on ± √(3 / fan_in), of the same variance as `lecun_normal_`.

    Source: LeCun et al. (1998).
    """
    return he_uniform_(tensor, "linear")


@within_memory
def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Orthonormal rows, or columns if there are fewer of them, times `gain`; all axes but the first are columns.

    It is computed on the host, so the values are the same on every backend.

    Source: Saxe, McClelland and Ganguli, arXiv:1312.6120.

    Raises:
        ShapeError: the tensor has fewer than two axes.
    """
    fans(tensor)
    gain = options.number("init", "gain", gain)
    if _skips.get():
        return tensor
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    size = (max(rows, columns), min(rows, columns))
    normal = tensor.backend.rng.normal(size, 0.0, 1.0, np.float64, purpose="initial values")
    q, r = np.linalg.qr(to_numpy(normal))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # without this, directions would not be equally likely
    return tensor.copy_((gain * (q if rows >= columns else q.T)).reshape(tensor.shape).astype(tensor.dtype))


kaiming_normal_ = he_normal_
kaiming_uniform_ = he_uniform_


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs feed one output, and how many outputs one input feeds.

    Raises:
        ShapeError: the tensor has fewer than two axes.
    """
    if _checked(tensor).ndim < 2 or not tensor.size:
        raise ShapeError(f"init: fan_in and fan_out need a weight of shape (out, in, …), got {tensor.shape}")
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _checked(tensor: Tensor) -> Tensor:
    """The tensor, if it is one of floats.

    Raises:
        DTypeError: it is not.
    """
    if not isinstance(tensor, Tensor) or tensor.dtype.kind in "biu":
        raise DTypeError(f"init: expected a Tensor of floats, got {options.short(tensor)}")
    return tensor


def _gain(nonlinearity: str) -> float:
    if not isinstance(nonlinearity, str) or nonlinearity not in GAINS:
        raise ArgumentError(f"init: nonlinearity must be one of {', '.join(GAINS)}, got {nonlinearity!r}")
    return GAINS[nonlinearity]
