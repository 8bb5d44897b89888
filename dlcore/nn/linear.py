"""Fully connected layers, and what goes before them: images as rows, and indices as vectors."""

import math
from typing import Any, Literal

from dlcore import functional as F
from dlcore.creation import zeros
from dlcore.nn import init
from dlcore.nn.module import Module, Parameter
from dlcore.tensor import Tensor
from kernels import options


class Linear(Module):
    """y = x Wᵀ + b; the book's affine layer (chapter 5).

    Weight and bias start uniform on ± 1 / √in_features, as in PyTorch; `nn.init` has the others.

    Args:
        in_features: length of x's last axis.
        out_features: length of y's last axis.
        bias: whether there is a b.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,) or None.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features = options.whole("Linear", "in_features", in_features, least=0, most=2**62)
        self.out_features = out_features = options.whole("Linear", "out_features", out_features, least=0)
        bound = 1.0 / math.sqrt(in_features) if in_features else 0.0
        self.weight = Parameter(zeros((out_features, in_features)))
        init.uniform_(self.weight, -bound, bound)
        self.bias = Parameter(zeros(out_features)) if bias else None
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, activation: Literal["relu"] | None = None) -> Tensor:
        """(…, in_features) → (…, out_features); with `activation`, relu of that."""
        return F.linear(x, self.weight, self.bias, activation=activation)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")


class Flatten(Module):
    """All axes but the first as one: (N, C, H, W) → (N, C · H · W)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) → (N, product of the rest)."""
        return F.flatten(x)


class Embedding(Module):
    """A table of vectors, one for each index; normal initial values, as in PyTorch.

    Args:
        num_embeddings: how many vectors.
        embedding_dim: how long each is.

    Attributes:
        weight: (num_embeddings, embedding_dim).
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_embeddings = options.whole("Embedding", "num_embeddings", num_embeddings, least=1)
        self.embedding_dim = options.whole("Embedding", "embedding_dim", embedding_dim, least=1)
        self.weight = Parameter(zeros((num_embeddings, embedding_dim)))
        init.normal_(self.weight)

    def forward(self, indices: Any) -> Tensor:
        """Integers (…) → (…, embedding_dim)."""
        return F.embedding(indices, self.weight)

    def extra_repr(self) -> str:
        """The size of the table."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
