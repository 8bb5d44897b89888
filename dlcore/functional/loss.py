"""Losses. `reduction` is "mean", "sum" or "none" (one loss for each element or row)."""

from typing import Any

from dlcore import ops
from dlcore.array_functions import gather, where
from dlcore.autograd import without_gradient
from dlcore.functional.activation import log_softmax, softplus
from dlcore.tensor import Tensor, asarray
from kernels.errors import ArgumentError, DTypeError, ShapeError


def cross_entropy(
    x: Tensor,
    target: Any,
    reduction: str = "mean",
    *,
    weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ p ln softmax(x) over the classes, from logits, for target probabilities p; one class is a p of 1.

    Args:
        x: logits, (N, C).
        target: class indices, integers of shape (N,), or probabilities (or one-hot rows), floats of shape (N, C): a
            Tensor or an array of x's backend.
        reduction: "mean", "sum" or "none" (one loss per row).
        weight: (C,), what each class counts, or None for 1; with class indices the mean divides by the rows' weights.
        ignore_index: rows with this index count nothing, and the mean leaves them out (of no row at all it is NaN);
            None for no such index.
        label_smoothing: this share of each row's probability is spread evenly over all classes (Szegedy et al.,
            arXiv:1512.00567).

    Raises:
        DataError: a target lies outside the classes (checked on the CPU; a dataset checks its labels when it is made).
        ShapeError, DTypeError, ArgumentError: shapes, dtypes or options do not fit.
    """
    _check_reduction("cross_entropy", reduction)
    labels = asarray(target)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing!r}")
    takes_classes = labels.ndim == 1 or labels.dtype.kind != "f"
    if takes_classes and weight is None and ignore_index is None and not label_smoothing:
        return ops.CrossEntropy.apply(x, labels=labels.data, reduction=reduction)
    if takes_classes:
        return _weighted_cross_entropy(x, labels, reduction, weight, ignore_index, label_smoothing)
    if labels.dtype.kind != "f" or labels.shape != x.shape or x.ndim != 2:
        raise ShapeError(
            "cross_entropy: expected class indices of shape (N,) or probabilities of x's shape (N, C), got "
            f"{labels.dtype} of shape {labels.shape} and x.shape={x.shape}"
        )
    if ignore_index is not None:
        raise ArgumentError("cross_entropy: ignore_index is for class indices, but target holds probabilities")
    smooth = labels * (1.0 - label_smoothing) + label_smoothing / x.shape[1]
    shares = smooth if weight is None else smooth * _class_weights(x, weight)
    losses = -(shares * log_softmax(x, 1)).sum(1)
    return _reduce("cross_entropy", losses, reduction)


def _weighted_cross_entropy(
    x: Tensor, labels: Tensor, reduction: str, weight: Any, ignore_index: int | None, label_smoothing: float
) -> Tensor:
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"cross_entropy: labels must be integers (class indices), got {labels.dtype}")
    counted = without_gradient(labels.data == labels.data if ignore_index is None else labels.data != ignore_index)
    known = without_gradient(labels.data * counted.data)  # an ignored row takes class 0, and counts nothing
    ops.check_labels(x.data, known.data)
    logs = log_softmax(x, 1)
    per_row = counted.astype(x.dtype)
    if weight is not None:
        classes = _class_weights(x, weight)
        per_row = per_row * classes[known]
        logs_by_class = logs * classes
    else:
        logs_by_class = logs
    losses = -gather(logs, known.expand_dims(1), 1).squeeze(1) * per_row
    if label_smoothing:
        smooth = -logs_by_class.mean(1) * counted.astype(x.dtype)
        losses = losses * (1.0 - label_smoothing) + smooth * label_smoothing
    return losses.sum() / per_row.sum() if reduction == "mean" else _reduce("cross_entropy", losses, reduction)


def _class_weights(x: Tensor, weight: Any) -> Tensor:
    weights = asarray(_beside(x, weight))
    if weights.shape != x.shape[1:]:
        raise ShapeError(
            f"cross_entropy: weight must have shape {x.shape[1:]}, one for each class, got {weights.shape}"
        )
    return weights


def nll_loss(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """-x[target] of each row: what `log_softmax` leaves of cross-entropy.

    Args:
        x: log-probabilities, (N, C).
        target: class indices, (N,).
        reduction: "mean", "sum" or "none".
    """
    labels = asarray(target)
    ops.check_labels(x.data, labels.data)
    return _reduce("nll_loss", -gather(x, labels.expand_dims(1), 1).squeeze(1), reduction)


def kl_div(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """P · (ln p - x): how far log-probabilities x are from probabilities p; where p is 0, 0.

    Args:
        x: log-probabilities, any shape.
        target: probabilities of x's shape.
        reduction: "mean" (over all elements, as PyTorch's), "sum", "none", or "batchmean": the sum divided by x's
            length, which is the divergence itself.
    """
    p = asarray(_beside(x, target))
    _same_shape("kl_div", x, p)
    safe = where(p > 0, p, 1.0)
    losses = where(p > 0, p * (safe.log() - x), 0.0)
    if reduction == "batchmean":
        return losses.sum() / x.shape[0]
    return _reduce("kl_div", losses, reduction)


def binary_cross_entropy(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """-t ln x - (1 - t) ln(1 - x), from probabilities; logarithms are held above -100, as PyTorch does.

    Where one is held, its derivative is 0.

    Args:
        x: probabilities, any shape. From logits, `binary_cross_entropy_with_logits` is more exact.
        target: probabilities (0 … 1) of x's shape.
        reduction: "mean", "sum" or "none".
    """
    t = asarray(_beside(x, target))
    _same_shape("binary_cross_entropy", x, t)
    losses = -t * _held_logarithm(x) - (1.0 - t) * _held_logarithm(1.0 - x)
    return _reduce("binary_cross_entropy", losses, reduction)


def _held_logarithm(x: Tensor) -> Tensor:
    """Ln x, at least -100; of 0 as well, and without an infinite derivative there."""
    is_zero = x == 0
    return where(is_zero, -100.0, where(is_zero, 1.0, x).log().clip(low=-100.0))


def binary_cross_entropy_with_logits(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """-t ln σ(x) - (1 - t) ln(1 - σ(x)), from logits, computed as softplus(x) - t x, which cannot overflow.

    Args:
        x: logits, any shape.
        target: probabilities (0 … 1) of x's shape.
        reduction: "mean", "sum" or "none".
    """
    target = _beside(x, target)
    _same_shape("binary_cross_entropy_with_logits", x, target)
    return _reduce("binary_cross_entropy_with_logits", softplus(x) - x * target, reduction)


def mse_loss(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """(x - target)²: the mean over all elements, their sum, or each."""
    target = _beside(x, target)
    _same_shape("mse_loss", x, target)
    difference = x - target
    return _reduce("mse_loss", difference * difference, reduction)


def l1_loss(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """|x - target|."""
    target = _beside(x, target)
    _same_shape("l1_loss", x, target)
    return _reduce("l1_loss", (x - target).abs(), reduction)


def huber_loss(x: Tensor, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """(x - target)² / 2 where they differ by up to delta, beyond it delta · (|x - target| - delta / 2).

    Source: Huber, "Robust estimation of a location parameter" (1964).
    """
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta!r}")
    target = _beside(x, target)
    _same_shape("huber_loss", x, target)
    distance = (x - target).abs()
    near = distance.clip(high=delta)
    return _reduce("huber_loss", near * (distance - 0.5 * near), reduction)


def _reduce(name: str, losses: Tensor, reduction: str) -> Tensor:
    _check_reduction(name, reduction)
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _check_reduction(name: str, reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f'{name}: reduction must be "mean", "sum" or "none", got {reduction!r}')


def _beside(x: Tensor, target: Any) -> Any:
    """A target as it is, or, of lists and numbers, an array on x's backend."""
    return target if hasattr(target, "dtype") else x.backend.asarray(target, x.dtype)


def _same_shape(name: str, x: Tensor, target: Any) -> None:
    if x.shape != tuple(target.shape):
        raise ShapeError(f"{name}: x and target must have one shape, got {x.shape} and {tuple(target.shape)}")
