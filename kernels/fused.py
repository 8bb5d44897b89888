"""Normalization, softmax cross-entropy, dropout and an optimizer's step: the kernels that read and write memory once.

Public like those of `kernels`, which exports them. Conventions and errors are the same: see there.

Normalization of half-precision arrays: means and variances that are returned are float32; those that are given, and
weights and biases, may be float32 or the array's own type. A weight's gradient has the weight's type.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from kernels import options, validation
from kernels.dispatch import implementation
from kernels.errors import ArgumentError, DTypeError, ShapeError
from kernels.shortage import within_memory
from kernels.types import Array


@within_memory
def batch_norm(
    x: Array, weight: Array, bias: Array, *, eps: float = 1e-5, activation: Literal["relu"] | None = None
) -> tuple[Array, Array, Array]:
    """Normalize each channel by its own mean and variance in the batch.

        y = activation((x − mean) / √(var + eps) · weight + bias)

    Args:
        x: (N, C) or (N, C, …).
        weight: (C,).
        bias: (C,).
        eps: added to the variance.
        activation: "relu" or None, applied on the way out.

    Returns:
        y of x's shape; the mean, (C,); the variance, (C,), biased: divided by the number of values.

    Source: Ioffe & Szegedy, "Batch normalization" (2015, arXiv:1502.03167), algorithm 1.
    """
    kernels = implementation("batch_norm", {"x": x, "weight": weight, "bias": bias})
    _check_channels("batch_norm", x, activation, weight=weight, bias=bias)
    eps = options.number("batch_norm", "eps", eps, least=0.0)
    y, mean, var = kernels.batch_norm(x, weight, bias, eps=eps, activation=activation)
    return y, mean, var


@within_memory
def batch_norm_inference(
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    activation: Literal["relu"] | None = None,
) -> Array:
    """Normalize each channel by a given mean and variance: `batch_norm` once the network is trained.

    Args:
        x: (N, C) or (N, C, …).
        weight: (C,).
        bias: (C,).
        mean: (C,).
        var: (C,).
        eps: added to the variance.
        activation: "relu" or None, applied on the way out.

    Returns:
        The shape of x.
    """
    parts = {"weight": weight, "bias": bias, "mean": mean, "var": var}
    kernels = implementation("batch_norm_inference", {"x": x, **parts})
    _check_channels("batch_norm_inference", x, activation, **parts)
    eps = options.number("batch_norm_inference", "eps", eps, least=0.0)
    y: Array = kernels.batch_norm_inference(x, weight, bias, mean, var, eps=eps, activation=activation)
    return y


@within_memory
def batch_norm_grad(
    grad_output: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    activation: Literal["relu"] | None = None,
    constant_statistics: bool = False,
) -> tuple[Array, Array, Array]:
    """The gradients of `batch_norm`, or, with `constant_statistics`, of `batch_norm_inference`.

    Args:
        grad_output: the shape of x.
        x: as in `batch_norm`.
        weight: as in `batch_norm`.
        bias: as in `batch_norm`.
        mean: (C,), from `batch_norm`.
        var: (C,), from `batch_norm`.
        eps: as in `batch_norm`.
        activation: as in `batch_norm`.
        constant_statistics: the mean and the variance do not depend on x.

    Returns:
        The gradients of x, weight and bias.
    """
    parts = {"weight": weight, "bias": bias, "mean": mean, "var": var}
    kernels = implementation("batch_norm_grad", {"grad_output": grad_output, "x": x, **parts})
    _check_channels("batch_norm_grad", x, activation, **parts)
    validation.floats("batch_norm_grad", x=x, grad_output=grad_output)
    validation.shape("batch_norm_grad", "grad_output", grad_output, x.shape, f"x.shape={x.shape}")
    eps = options.number("batch_norm_grad", "eps", eps, least=0.0)
    dx, grad_weight, grad_bias = kernels.batch_norm_grad(
        grad_output,
        x,
        weight,
        bias,
        mean,
        var,
        eps=eps,
        activation=activation,
        constant_statistics=constant_statistics,
    )
    return dx, grad_weight, grad_bias


@within_memory
def layer_norm(x: Array, weight: Array, bias: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Normalize each sample by its own mean and variance: y = (x − mean) / √(var + eps) · weight + bias.

    Args:
        x: (…, D), or with several axes in D's place.
        weight: (D,), or so many axes: those over which x is normalized.
        bias: the shape of weight.
        eps: added to the variance.

    Returns:
        y of x's shape, C-contiguous; the mean and the variance (biased) of each sample, of shape (…).

    Source: Ba, Kiros & Hinton, "Layer normalization" (2016, arXiv:1607.06450), equation 4.
    """
    kernels = implementation("layer_norm", {"x": x, "weight": weight, "bias": bias})
    _check_trailing("layer_norm", x, weight)
    validation.floats_beside("layer_norm", x, weight=weight, bias=bias)
    validation.shape("layer_norm", "bias", bias, weight.shape, f"weight.shape={weight.shape}")
    eps = options.number("layer_norm", "eps", eps, least=0.0)
    y, mean, var = kernels.layer_norm(x, weight, bias, eps=eps)
    return y, mean, var


@within_memory
def layer_norm_grad(
    grad_output: Array, x: Array, weight: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """The gradients of `layer_norm`.

    Args:
        grad_output: the shape of x.
        x: as in `layer_norm`.
        weight: as in `layer_norm`.
        mean: from `layer_norm`.
        var: from `layer_norm`.
        eps: as in `layer_norm`.

    Returns:
        The gradients of x, weight and bias.
    """
    arrays = {"grad_output": grad_output, "x": x, "weight": weight, "mean": mean, "var": var}
    kernels = implementation("layer_norm_grad", arrays)
    _check_trailing("layer_norm_grad", x, weight)
    validation.floats("layer_norm_grad", grad_output=grad_output, x=x)
    validation.floats_beside("layer_norm_grad", x, weight=weight)
    validation.floats_beside("layer_norm_grad", x, mean=mean, var=var)
    because = f"x.shape={x.shape}, weight.shape={weight.shape}"
    validation.shape("layer_norm_grad", "grad_output", grad_output, x.shape, because)
    for name, array in (("mean", mean), ("var", var)):
        validation.shape("layer_norm_grad", name, array, x.shape[: x.ndim - weight.ndim], because)
    eps = options.number("layer_norm_grad", "eps", eps, least=0.0)
    dx, grad_weight, grad_bias = kernels.layer_norm_grad(grad_output, x, weight, mean, var, eps=eps)
    return dx, grad_weight, grad_bias


@within_memory
def softmax_cross_entropy(x: Array, labels: Array) -> tuple[Array, Array]:
    """−ln softmax(x)[label] of each row.

    Args:
        x: logits, (N, C).
        labels: (N,), integers from 0 to C − 1; the loss of a row whose label lies elsewhere is NaN.

    Returns:
        The losses, (N,), and softmax(x), (N, C), for `softmax_cross_entropy_grad`.
    """
    kernels = implementation("softmax_cross_entropy", {"x": x, "labels": labels})
    validation.floats("softmax_cross_entropy", x=x)
    validation.axes("softmax_cross_entropy", "x", x, "(N, C)")
    _check_labels("softmax_cross_entropy", x, labels)
    losses, probability = kernels.softmax_cross_entropy(x, labels)
    return losses, probability


@within_memory
def softmax_cross_entropy_grad(grad_losses: Array, probability: Array, labels: Array) -> Array:
    """The gradient of `softmax_cross_entropy` with respect to the logits: (softmax(x) − one_hot(label)) · grad.

    Args:
        grad_losses: (N,).
        probability: (N, C), from `softmax_cross_entropy`.
        labels: as there.

    Returns:
        (N, C).
    """
    operation = "softmax_cross_entropy_grad"
    kernels = implementation(operation, {"grad_losses": grad_losses, "probability": probability, "labels": labels})
    validation.floats(operation, grad_losses=grad_losses, probability=probability)
    validation.axes(operation, "probability", probability, "(N, C)")
    because = f"probability.shape={probability.shape}"
    validation.shape(operation, "grad_losses", grad_losses, probability.shape[:1], because)
    _check_labels(operation, probability, labels)
    dx: Array = kernels.softmax_cross_entropy_grad(grad_losses, probability, labels)
    return dx


@within_memory
def dropout(x: Array, p: float, *, key: int, stream: int = 0, start: int = 0) -> tuple[Array, Array]:
    """Set elements to zero with probability p and divide the others by 1 − p.

    Element number i in memory order (4-D arrays: N, H, W, C) is kept where word i of Philox's stream is below
    (1 − p) · 2³².

    Args:
        x: any shape.
        p: from 0 to 1.
        key: 64 bits; see `kernels.philox` for these three.
        stream: 64 bits.
        start: the first block of four words.

    Returns:
        y, and where x was kept (booleans), both of x's shape.

    Source: Srivastava et al., "Dropout" (JMLR 2014), in its inverted form.
    """
    kernels = implementation("dropout", {"x": x})
    validation.floats("dropout", x=x)
    p = options.probability("dropout", p)
    key, stream, start = (
        options.whole("dropout", name, value, least=0, most=2**64 - 1)
        for name, value in (("key", key), ("stream", stream), ("start", start))
    )
    y, kept = kernels.dropout(x, p, key=key, stream=stream, start=start)
    return y, kept


@within_memory
def dropout_grad(grad_output: Array, kept: Array, p: float) -> Array:
    """The gradient of `dropout`, which is linear: what was kept, divided by 1 − p.

    Args:
        grad_output: the shape of x.
        kept: from `dropout`.
        p: as there.

    Returns:
        The shape of x.
    """
    kernels = implementation("dropout_grad", {"grad_output": grad_output, "kept": kept})
    validation.floats("dropout_grad", grad_output=grad_output)
    if kept.dtype != bool:
        raise DTypeError(f"dropout_grad: kept is {kept.dtype} but dropout returns booleans.")
    validation.shape("dropout_grad", "kept", kept, grad_output.shape, f"grad_output.shape={grad_output.shape}")
    p = options.probability("dropout_grad", p)
    dx: Array = kernels.dropout_grad(grad_output, kept, p)
    return dx


@within_memory
def optimizer_step(
    formula: Callable[..., tuple[Any, ...]],
    parameters: Sequence[Sequence[Array]],
    numbers: Sequence[Sequence[float]],
    *,
    weight_decay: float = 0.0,
    shrink: float = 1.0,
) -> None:
    """Move parameters by an optimizer's formula, in place, all in one pass.

        def momentum(w, g, v, lr, friction):
            v = friction * v + g
            return w - lr * v, v

        optimizer_step(momentum, [(w, grad_w, v), (b, grad_b, u)], [(0.1, 0.9), (0.1, 0.9)])

    Args:
        formula: takes w, g, the arrays kept beside w, and the numbers; returns the new w and the new kept values. It
            is called with single elements and with whole arrays, so it uses operators and `np.sqrt` and the like, and
            knows nothing but its arguments. On the CPU it is compiled: numbers written in it would make float32
            float64, so hand them over. On a GPU it is called with symbols and becomes a kernel; np.where stands for
            a branch, and half precision is computed in float32.
        parameters: for each parameter w, its gradient, and what is kept: one shape, one backend for all.
        numbers: for each parameter what the formula takes behind the arrays.
        weight_decay: g + weight_decay · w stands for g.
        shrink: w · shrink stands for w in the formula.
    """
    _check_step(formula, parameters, numbers)
    if not parameters:
        return
    arrays = {"w": parameters[0][0], "g": parameters[0][1]}
    kind = type(parameters[0][0])
    for own in parameters:
        for array in own:
            if type(array) is not kind:  # refused, unless it is a subclass
                implementation("optimizer_step", {"w": parameters[0][0], "another array": array})
            if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
                raise DTypeError(f"optimizer_step: arrays of floats are expected, got {array.dtype}.")
            if array.shape != own[0].shape:
                raise ShapeError(
                    f"optimizer_step: the arrays of a parameter must have one shape, got {[a.shape for a in own]}."
                )
        if kind is np.ndarray and not all(array.flags.writeable for array in (own[0], *own[2:])):
            raise ArgumentError("optimizer_step: a parameter, or what is kept beside it, is in read-only memory.")
    step = implementation("optimizer_step", arrays).optimizer_step
    weight_decay = options.number("optimizer_step", "weight_decay", weight_decay)
    shrink = options.number("optimizer_step", "shrink", shrink)
    step(formula, parameters, numbers, weight_decay=weight_decay, shrink=shrink)


def _check_channels(operation: str, x: Array, activation: str | None, **parts: Array) -> None:
    for names in (("weight", "bias"), ("mean", "var")):
        if names[0] in parts:
            validation.floats_beside(operation, x, **{name: parts[name] for name in names})
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise ShapeError(
            f"{operation}: x must have axes (N, C) or (N, C, …), of which only N may be empty, got x.shape={x.shape}."
        )
    for name, array in parts.items():
        validation.shape(operation, name, array, x.shape[1:2], f"x.shape={x.shape}")
    options.choice(operation, "activation", activation, (None, "relu"))


def _check_trailing(operation: str, x: Array, weight: Array) -> None:
    if not 1 <= weight.ndim <= x.ndim or x.shape[x.ndim - weight.ndim :] != weight.shape or not weight.size:
        raise ShapeError(
            f"{operation}: x must end with the axes of weight, which are not empty, got x.shape={x.shape}, "
            f"weight.shape={weight.shape}."
        )


def _check_labels(operation: str, x: Array, labels: Array) -> None:
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"{operation}: labels are {labels.dtype} but integers are expected.")
    validation.shape(operation, "labels", labels, x.shape[:1], f"{len(x)} rows")


def _check_step(formula: Any, parameters: Any, numbers: Any) -> None:
    if not hasattr(formula, "__code__"):
        raise ArgumentError(f"optimizer_step: formula must be a Python function, got {options.short(formula)}.")
    if not isinstance(parameters, (list, tuple)) or not isinstance(numbers, (list, tuple)):
        raise ArgumentError("optimizer_step: parameters and numbers must be lists, of one length.")
    if len(parameters) != len(numbers):
        raise ArgumentError(
            f"optimizer_step: expected numbers for each parameter, got {len(parameters)} and {len(numbers)}."
        )
    expected = formula.__code__.co_argcount
    for own, behind in zip(parameters, numbers, strict=True):
        if not (isinstance(own, (list, tuple)) and len(own) >= 2 and isinstance(behind, (list, tuple))):
            raise ArgumentError(
                "optimizer_step: each parameter must be a list of its array, its gradient and what is kept."
            )
        if len(own) + len(behind) != expected:
            raise ArgumentError(
                f"optimizer_step: the formula takes {expected} arguments, but there are {len(own)} arrays and "
                f"{len(behind)} numbers."
            )
        for number in behind:
            if type(number) is not float:
                options.number("optimizer_step", "each of numbers", number)
