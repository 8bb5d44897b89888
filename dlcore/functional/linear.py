"""Fully connected layers, dropout and embedding."""

from typing import Any, Literal

from dlcore import ops
from dlcore.tensor import Tensor, asarray, operand
from kernels import options
from kernels.errors import DTypeError


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: Literal["relu"] | None = None
) -> Tensor:
    """The affine map y = x Wᵀ + b.

    Args:
        x: (…, in_features).
        weight: (out_features, in_features).
        bias: (out_features,), or None.
        activation: "relu", applied on the way out, or None.

    Returns:
        (…, out_features).

    Raises:
        ShapeError: the numbers of features differ.
        DTypeError: the dtypes differ.
    """
    options.choice("linear", "activation", activation, (None, "relu"))
    given = {"x": x, "weight": weight} | ({} if bias is None else {"bias": bias})
    inputs = [operand("linear", name, value) for name, value in given.items()]
    return ops.Linear.apply(*inputs, activation=activation)


def flatten(x: Tensor, start_axis: int = 1) -> Tensor:
    """All axes from `start_axis` on as one."""
    return operand("flatten", "x", x).flatten(start_axis)


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each element zero with probability `p`, the others scaled by 1 / (1 - p); x itself unless `training`.

    Source: Srivastava et al., "Dropout" (JMLR 2014).
    """
    x, p = operand("dropout", "x", x), options.probability("dropout", p)
    return ops.Dropout.apply(x, p=p) if training and p > 0 else x


def embedding(indices: Any, weight: Tensor) -> Tensor:
    """Rows of `weight` (entries, features) at integer `indices` of any shape: (…, features).

    Raises:
        DTypeError: the indices are not integers.
        ShapeError: one lies outside the table (known on the CPU only; on a GPU, indices wrap round).
    """
    index = asarray(indices)
    if index.dtype.kind not in "iu":
        raise DTypeError(f"embedding: indices must be integers, got {index.dtype}")
    return operand("embedding", "weight", weight)[index]
