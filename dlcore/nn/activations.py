"""Activations and dropout: layers without parameters."""

from dlcore import functional as F
from dlcore.nn.module import Module
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.relu(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.tanh(x)


class Softmax(Module):
    """eˣ / Σ eˣ along `axis`. Losses take logits, so it is for looking at probabilities."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.softmax(x, self.axis)


class LogSoftmax(Module):
    """The logarithm of softmax along `axis`."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.log_softmax(x, self.axis)


class Identity(Module):
    """The input itself."""

    def forward(self, x: Tensor) -> Tensor:
        """The same tensor."""
        return x


class Dropout(Module):
    """In training, each element zero with probability `p` and the others scaled by 1 / (1 - p).

    Source: Srivastava et al. (JMLR 2014); chapter 6 of the book.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ArgumentError(f"Dropout: p must be a probability from 0 to 1, got {p!r}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return str(self.p)
