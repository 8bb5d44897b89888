"""Losses as modules; each is the function of the same meaning in `dlcore.functional`."""

from typing import Any

from dlcore import functional as F
from dlcore.nn.module import Module
from dlcore.tensor import Tensor


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def extra_repr(self) -> str:
        """The reduction."""
        return f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """`F.cross_entropy`: many classes, one label each, from logits."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Logits (N, C) and class indices (N,) → a scalar, or (N,) for reduction="none"."""
        return F.cross_entropy(x, target, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """`F.binary_cross_entropy_with_logits`: yes or no, or many labels at once, from logits."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Logits and probabilities of one shape → a scalar, or that shape for reduction="none"."""
        return F.binary_cross_entropy_with_logits(x, target, self.reduction)


class MSELoss(_Loss):
    """`F.mse_loss`: real values."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Two tensors of one shape → a scalar, or that shape for reduction="none"."""
        return F.mse_loss(x, target, self.reduction)
