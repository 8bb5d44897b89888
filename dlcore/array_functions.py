"""Functions of several tensors, and those that rearrange one, under NumPy's names.

They take Tensors, arrays and numbers; gradients flow to the Tensors.
"""

import itertools
import operator
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from dlcore import ops
from dlcore.ops.shape import normalize_axis
from dlcore.tensor import Operand, Tensor, as_array, asarray
from kernels import options
from kernels.errors import ArgumentError, ShapeError


def maximum(a: Operand, b: Operand) -> Tensor:
    """The greater of two, element by element; NaN where either is. Of equals, `a` gets the gradient."""
    return ops.Maximum.apply(_one_array(a, b), b)


def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller of two, element by element; NaN where either is. Of equals, `a` gets the gradient."""
    return ops.Minimum.apply(_one_array(a, b), b)


def concat(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """The tensors joined along an axis that they have."""
    parts = [asarray(t) for t in _several("concat", tensors)]
    if not parts:
        raise ArgumentError("concat: expected at least one tensor, got none")
    return ops.Concat.apply(*parts, axis=axis)


def stack(tensors: Sequence[Operand], axis: int = 0) -> Tensor:
    """The tensors joined along a new axis."""
    parts = [asarray(t) for t in _several("stack", tensors)]
    if not parts:
        raise ArgumentError("stack: expected at least one tensor, got none")
    position = normalize_axis("stack", axis, parts[0].ndim + 1)
    return concat([t.reshape((*t.shape[:position], 1, *t.shape[position:])) for t in parts], axis=position)


def where(condition: Operand, a: Operand, b: Operand) -> Tensor:
    """Elements of `a` where the condition holds, of `b` elsewhere."""
    mask = condition.data if isinstance(condition, Tensor) else condition
    if not (hasattr(a, "dtype") or hasattr(b, "dtype")):
        a = as_array(a, None)  # of two numbers, too, comes float32
    return ops.Where.apply(mask, a, b)


def split(x: Operand, parts: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """The tensor cut along an axis: views.

    Args:
        x: what is cut.
        parts: into how many equal parts; or the positions where a new part begins.
        axis: along which.

    Raises:
        ShapeError: the axis cannot be cut into so many equal parts.
    """
    tensor = asarray(x)
    along = normalize_axis("split", axis, tensor.ndim)
    length = tensor.shape[along]
    if isinstance(parts, (int, np.integer)):
        if parts < 1 or length % parts:
            raise ShapeError(f"split: axis {axis} of length {length} cannot be cut into {parts} equal parts")
        parts = range(length // parts, length, length // parts) if length else [0] * (parts - 1)
    cuts = options.items("split", "parts", parts, "ints")
    bounds = [0, *(options.whole("split", "each position", cut) for cut in cuts), length]
    return [tensor[_along(along, slice(*pair))] for pair in itertools.pairwise(bounds)]


def pad(
    x: Operand,
    widths: Sequence[tuple[int, int]],
    mode: Literal["constant", "reflect", "edge"] = "constant",
    value: float = 0.0,
) -> Tensor:
    """The tensor with a border.

    Args:
        x: any shape.
        widths: for each axis the elements before and after it.
        mode: "constant": filled with `value`; "reflect": mirrored at the outermost element, which is not repeated;
            "edge": the outermost element repeated.
        value: for "constant".

    Raises:
        ArgumentError: the mode is unknown, or widths are not one pair of ints from 0 for each axis.
        ShapeError: an axis is too short to be mirrored so far.
    """
    tensor = asarray(x)
    try:
        pairs = [tuple(operator.index(width) for width in pair) for pair in widths]
    except TypeError:
        pairs = [()]
    if len(pairs) != tensor.ndim or any(len(pair) != 2 or not 0 <= min(pair) <= max(pair) < 2**62 for pair in pairs):
        raise ArgumentError(
            f"pad: expected a pair of ints from 0 for each of {tensor.ndim} axes, got {options.short(widths)}"
        )
    options.lengths("pad", tuple(n + before + after for n, (before, after) in zip(tensor.shape, pairs, strict=True)))
    options.choice("pad", "mode", mode, ("constant", "reflect", "edge"))
    if mode == "constant":
        shape = tuple(n + before + after for n, (before, after) in zip(tensor.shape, pairs, strict=True))
        place = tuple(slice(before, before + n) for n, (before, _) in zip(tensor.shape, pairs, strict=True))
        value = options.number("pad", "value", value)
        framed = ops.PutItem.apply(tensor, index=place, shape=shape)
        if value == 0.0:
            return framed
        inside = ops.PutItem.apply(tensor.detach() * 0.0 + 1.0, index=place, shape=shape)
        return framed + (1.0 - inside) * value
    extended = _mirrored if mode == "reflect" else _edged
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            tensor = extended(tensor, axis, before, after)
    return tensor


# Both extend one axis by slices, so that the gradient needs no index that repeats.


def _mirrored(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    length = x.shape[axis]
    if max(before, after) >= length:
        raise ShapeError(f"pad: axis {axis} of length {length} is too short to be mirrored by {(before, after)}")
    stop = length - 2 - after
    first = [x[_along(axis, slice(before, 0, -1))]] if before else []
    last = [x[_along(axis, slice(length - 2, None if stop < 0 else stop, -1))]] if after else []
    return concat([*first, x, *last], axis)


def _edged(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    length = x.shape[axis]
    if not length:
        raise ShapeError(f"pad: axis {axis} is empty and has no edge to repeat")
    ends = ((slice(0, 1), before), (slice(length - 1, length), after))
    first, last = (
        [x[_along(axis, end)].broadcast_to((*x.shape[:axis], count, *x.shape[axis + 1 :]))] if count else []
        for end, count in ends
    )
    return concat([*first, x, *last], axis)


def flip(x: Operand, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """The elements in reverse order along `axis` (one, several, or all)."""
    tensor = asarray(x)
    axes = ops.normalize_axes("flip", axis, tensor.ndim)
    return tensor[tuple(slice(None, None, -1) if a in axes else slice(None) for a in range(tensor.ndim))]


def roll(x: Operand, shift: int, axis: int) -> Tensor:
    """The elements moved along an axis by `shift`; what leaves at one end enters at the other."""
    tensor = asarray(x)
    along = normalize_axis("roll", axis, tensor.ndim)
    cut = tensor.shape[along] - options.whole("roll", "shift", shift) % max(tensor.shape[along], 1)
    return concat([tensor[_along(along, slice(cut, None))], tensor[_along(along, slice(None, cut))]], along)


def take(x: Operand, indices: Operand, axis: int) -> Tensor:
    """The slices at these positions of an axis; `indices` may have any shape, which stands in the axis' place."""
    tensor = asarray(x)
    index = indices.data if isinstance(indices, Tensor) else indices
    return tensor[_along(normalize_axis("take", axis, tensor.ndim), index)]


def gather(x: Operand, indices: Operand, axis: int) -> Tensor:
    """Along an axis, for each position the element that `indices` names there (NumPy's `take_along_axis`).

    Args:
        x: any shape.
        indices: integers with x's number of axes; as long as x along other axes than `axis`, or 1.
        axis: along which.
    """
    tensor, index = asarray(x), as_array(indices, None)
    along = normalize_axis("gather", axis, tensor.ndim)
    if index.ndim != tensor.ndim or index.dtype.kind not in "iu":
        raise ShapeError(
            f"gather: indices must be integers with the {tensor.ndim} axes of x, got {index.dtype} of shape "
            f"{index.shape}"
        )
    owner = tensor.backend
    with owner.active_device():
        places = [
            index if a == along else owner.xp.arange(n).reshape([n if b == a else 1 for b in range(tensor.ndim)])
            for a, n in enumerate(tensor.shape)
        ]
    return tensor[tuple(places)]


def einsum(subscripts: str, *operands: Operand) -> Tensor:
    """Sums of products by Einstein's convention, as `einsum("nij,njk->nik", a, b)`.

    Each letter names an axis; letters that are missing after "->" are summed over. A letter may stand once in each
    input; "..." is not known.

    Raises:
        ArgumentError, ShapeError: the subscripts are not understood, or do not fit the operands.
    """
    if not isinstance(subscripts, str):
        raise ArgumentError(f"einsum: subscripts must be a str, got {options.short(subscripts)}")
    if not operands:
        raise ArgumentError("einsum: expected at least one tensor, got none")
    return ops.Einsum.apply(*(asarray(operand) for operand in operands), subscripts=subscripts)


def _several(operation: str, tensors: Any) -> list[Any]:
    """The operands; a Tensor or an array alone stands for its rows."""
    return options.items(operation, "tensors", tensors, "Tensors")


def _one_array(a: Operand, b: Operand) -> Operand:
    """`a`, as an array if both are numbers."""
    return a if hasattr(a, "dtype") or hasattr(b, "dtype") else as_array(np.asarray(a, np.float32), None)


def _along(axis: int, index: Any) -> tuple[Any, ...]:
    return (slice(None),) * axis + (index,)
