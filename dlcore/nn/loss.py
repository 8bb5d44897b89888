"""Losses as modules; each is the function of the same meaning in `dlcore.functional`."""

from typing import Any

from dlcore import functional as F
from dlcore.nn.module import Buffer, Module
from dlcore.tensor import Tensor


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def extra_repr(self) -> str:
        """The reduction."""
        return f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """`F.cross_entropy`: many classes, one label (or a probability for each), from logits.

    Args:
        reduction: "mean", "sum" or "none".
        weight: (C,), what each class counts; a buffer, which moves along with `to` and is not learned. The Trainer
            brings it to the network's backend.
        ignore_index: rows of this label count nothing; None for no such label. A batch of no other rows has no mean:
            NaN, which ends training. The metrics of `dlcore.train` have an `ignore_index` of their own.
        label_smoothing: the share of each row's probability that is spread evenly over all classes.
    """

    def __init__(
        self,
        reduction: str = "mean",
        *,
        weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Logits (N, C) and class indices (N,) or probabilities (N, C) → a scalar, or (N,) for reduction="none"."""
        return F.cross_entropy(
            *(x, target, self.reduction),
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """`F.nll_loss`: many classes, one label each, from log-probabilities."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Log-probabilities (N, C) and class indices (N,) → a scalar, or (N,) for reduction="none"."""
        return F.nll_loss(x, target, self.reduction)


class KLDivLoss(_Loss):
    """`F.kl_div`: how far log-probabilities are from probabilities; reduction="batchmean" is the divergence itself."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Log-probabilities and probabilities of one shape → a scalar, or that shape for reduction="none"."""
        return F.kl_div(x, target, self.reduction)


class BCELoss(_Loss):
    """`F.binary_cross_entropy`: yes or no, or many labels at once, from probabilities."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Two tensors of probabilities of one shape → a scalar, or that shape for reduction="none"."""
        return F.binary_cross_entropy(x, target, self.reduction)


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


class L1Loss(_Loss):
    """`F.l1_loss`: real values, less drawn to outliers than the squared error."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Two tensors of one shape → a scalar, or that shape for reduction="none"."""
        return F.l1_loss(x, target, self.reduction)


class HuberLoss(_Loss):
    """`F.huber_loss`: squared for differences up to delta, linear beyond.

    Args:
        reduction: "mean", "sum" or "none".
        delta: where the one becomes the other.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """Two tensors of one shape → a scalar, or that shape for reduction="none"."""
        return F.huber_loss(x, target, self.reduction, self.delta)
