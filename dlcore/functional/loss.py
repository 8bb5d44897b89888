"""Losses. `reduction` is "mean", "sum" or "none" (one loss for each element or row)."""

from typing import Any

from dlcore import ops
from dlcore.array_functions import gather, where
from dlcore.autograd import without_gradient
from dlcore.functional.activation import log_softmax, softplus
from dlcore.ops.half import in_float32
from dlcore.tensor import Tensor, asarray, operand
from kernels import options
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
    x, labels = operand("cross_entropy", "x", x), asarray(target)
    label_smoothing = options.number("cross_entropy", "label_smoothing", label_smoothing, least=0.0, most=1.0)
    if ignore_index is not None:
        ignore_index = options.whole("cross_entropy", "ignore_index", ignore_index, least=-(2**63), most=2**63 - 1)
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
    return _cross_entropy_of_shares(x, labels, reduction, weight, label_smoothing)


@in_float32
def _cross_entropy_of_shares(x: Tensor, labels: Tensor, reduction: str, weight: Any, label_smoothing: float) -> Tensor:
    smooth = labels * (1.0 - label_smoothing) + label_smoothing / x.shape[1]
    shares = smooth if weight is None else smooth * _class_weights(x, weight)
    losses = -(shares * log_softmax(x, 1)).sum(1)
    return _reduce("cross_entropy", losses, reduction)


@in_float32
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
    losses = _of_labels(logs, known) * per_row
    if label_smoothing:
        smooth = -logs_by_class.mean(1) * counted.astype(x.dtype)
        losses = losses * (1.0 - label_smoothing) + smooth * label_smoothing
    return losses.sum() / per_row.sum() if reduction == "mean" else _reduce("cross_entropy", losses, reduction)


def _class_weights(x: Tensor, weight: Any) -> Tensor:
    weights = _beside(x, weight)
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
    x, labels = operand("nll_loss", "x", x), asarray(target)
    ops.check_labels(x.data, labels.data)
    return _reduce("nll_loss", _of_labels(x, labels), reduction)


def _of_labels(logs: Tensor, labels: Tensor) -> Tensor:
    """-logs[label] of each row; on a device, where no label was looked at, NaN for one outside the classes."""
    losses = -gather(logs, labels.expand_dims(1), 1).squeeze(1)
    owner = labels.backend
    if owner.is_host:
        return losses
    with owner.active_device():
        is_class = without_gradient((labels.data >= 0) & (labels.data < logs.shape[1]))
    return where(is_class, losses, float("nan"))


@in_float32
def kl_div(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """P · (ln p - x): how far log-probabilities x are from probabilities p; where p is 0, 0.

    Args:
        x: log-probabilities, any shape.
        target: probabilities of x's shape.
        reduction: "mean" (over all elements, as PyTorch's), "sum", "none", or "batchmean": the sum divided by x's
            length, which is the divergence itself.
    """
    x = operand("kl_div", "x", x)
    p = _beside(x, target)
    _same_shape("kl_div", x, p)
    safe = where(p > 0, p, 1.0)
    losses = where(p > 0, p * (safe.log() - x), 0.0)
    if reduction == "batchmean":
        return losses.sum() / x.shape[0]
    return _reduce("kl_div", losses, reduction)


@in_float32
def binary_cross_entropy(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """-t ln x - (1 - t) ln(1 - x), from probabilities; logarithms are held above -100, as PyTorch does.

    Where one is held, its derivative is 0.

    Args:
        x: probabilities, any shape. From logits, `binary_cross_entropy_with_logits` is more exact.
        target: probabilities (0 … 1) of x's shape.
        reduction: "mean", "sum" or "none".
    """
    x = operand("binary_cross_entropy", "x", x)
    t = _beside(x, target)
    _same_shape("binary_cross_entropy", x, t)
    losses = -t * _held_logarithm(x) - (1.0 - t) * _held_logarithm(1.0 - x)
    return _reduce("binary_cross_entropy", losses, reduction)


def _held_logarithm(x: Tensor) -> Tensor:
    """Ln x, at least -100; of 0 as well, and without an infinite derivative there."""
    is_zero = x == 0
    return where(is_zero, -100.0, where(is_zero, 1.0, x).log().clip(low=-100.0))


@in_float32
def binary_cross_entropy_with_logits(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """-t ln σ(x) - (1 - t) ln(1 - σ(x)), from logits, computed as softplus(x) - t x, which cannot overflow.

    Args:
        x: logits, any shape.
        target: probabilities (0 … 1) of x's shape.
        reduction: "mean", "sum" or "none".
    """
    x = operand("binary_cross_entropy_with_logits", "x", x)
    target = _beside(x, target)
    _same_shape("binary_cross_entropy_with_logits", x, target)
    return _reduce("binary_cross_entropy_with_logits", softplus(x) - x * target, reduction)


@in_float32
def mse_loss(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """(x - target)²: the mean over all elements, their sum, or each."""
    x = operand("mse_loss", "x", x)
    target = _beside(x, target)
    _same_shape("mse_loss", x, target)
    difference = x - target
    return _reduce("mse_loss", difference * difference, reduction)


def l1_loss(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """|x - target|."""
    x = operand("l1_loss", "x", x)
    target = _beside(x, target)
    _same_shape("l1_loss", x, target)
    return _reduce("l1_loss", (x - target).abs(), reduction)


@in_float32
def huber_loss(x: Tensor, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """(x - target)² / 2 where they differ by up to delta, beyond it delta · (|x - target| - delta / 2).

    Source: Huber, "Robust estimation of a location parameter" (1964).
    """
    delta = options.number("huber_loss", "delta", delta, least=0.0, above=True)
    x = operand("huber_loss", "x", x)
    target = _beside(x, target)
    _same_shape("huber_loss", x, target)
    distance = (x - target).abs()
    near = distance.clip(high=delta)
    return _reduce("huber_loss", near * (distance - 0.5 * near), reduction)


def _reduce(name: str, losses: Tensor, reduction: str) -> Tensor:
    _check_reduction(name, reduction)
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _check_reduction(name: str, reduction: str) -> None:
    options.choice(name, "reduction", reduction, ("mean", "sum", "none"))


def _beside(x: Tensor, target: Any) -> Tensor:
    """A target as a Tensor: of lists and numbers, one on x's backend."""
    return asarray(target if hasattr(target, "dtype") else x.backend.asarray(target, x.dtype))


def _same_shape(name: str, x: Tensor, target: Tensor) -> None:
    if x.shape != target.shape:
        raise ShapeError(f"{name}: x and target must have one shape, got {x.shape} and {target.shape}")
