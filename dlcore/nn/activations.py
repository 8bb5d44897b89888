"""Activations and dropout: layers without parameters."""

from dlcore import functional as F
from dlcore.nn.module import Module
from dlcore.tensor import Tensor
from kernels import options


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


class LeakyReLU(Module):
    """X where x > 0, else negative_slope · x; see `F.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """X where x > 0, else alpha · (eˣ - 1); see `F.elu`."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """Alpha."""
        return f"alpha={self.alpha}"


class SELU(Module):
    """ELU scaled so that mean 0 and variance 1 are kept, with LeCun initial weights; see `F.selu`."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.selu(x)


class GELU(Module):
    """X · Φ(x), of the normal distribution's Φ; see `F.gelu`."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.gelu(x)


class SiLU(Module):
    """X · sigmoid(x), also called Swish; see `F.silu`."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.silu(x)


class Hardswish(Module):
    """X · clip(x + 3, 0, 6) / 6; see `F.hardswish`."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.hardswish(x)


class Softplus(Module):
    """ln(1 + eˣ), a smooth ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.softplus(x)


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
        self.p = options.probability("Dropout", p)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return str(self.p)
