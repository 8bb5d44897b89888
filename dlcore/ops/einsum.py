"""Sums of products, written in Einstein's way."""

from typing import TYPE_CHECKING

from dlcore import backend
from dlcore.autograd import Function
from dlcore.ops.half import is_half, narrowed, widened
from dlcore.ops.shape import BroadcastTo
from kernels.errors import ArgumentError, ShapeError
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class Einsum(Function):
    """y[out] = Σ over the letters not in `out` of the product of all inputs, as "ij,jk->ik".

    The gradient of one input is the same with that input and the output exchanged, repeated along the letters that
    stand in this input alone.
    """

    def forward(self, *arrays: Array, subscripts: str) -> Array:
        self.inputs, self.output = parse(subscripts, [array.ndim for array in arrays])
        self.lengths: dict[str, int] = {}
        for letters, array in zip(self.inputs, arrays, strict=True):
            for letter, length in zip(letters, array.shape, strict=True):
                if self.lengths.setdefault(letter, length) != length:
                    raise ShapeError(
                        f"einsum: {letter!r} in {subscripts!r} is {self.lengths[letter]} long in one input and "
                        f"{length} in another (shapes {', '.join(str(a.shape) for a in arrays)})"
                    )
        self.save(*arrays)
        y: Array = backend.of(arrays[0]).xp.einsum(f"{','.join(self.inputs)}->{self.output}", *map(widened, arrays))
        return narrowed(y, arrays[0].dtype) if all(is_half(array.dtype) for array in arrays) else y

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", ...]:
        saved = self.saved
        return tuple(
            self._gradient(number, grad_output, saved) if needed else None
            for number, needed in enumerate(self.needs_input_grad)
        )

    def _gradient(self, number: int, grad_output: "Tensor", saved: "tuple[Tensor, ...]") -> "Tensor":
        others = [*self.inputs[:number], *self.inputs[number + 1 :]]
        target = self.inputs[number]
        known = "".join(letter for letter in target if letter in self.output or any(letter in o for o in others))
        subscripts = f"{','.join([self.output, *others])}->{known}"
        gradient = Einsum.apply(grad_output, *saved[:number], *saved[number + 1 :], subscripts=subscripts)
        if known == target:
            return gradient
        shape = tuple(self.lengths[letter] if letter in known else 1 for letter in target)
        return BroadcastTo.apply(gradient.reshape(shape), shape=tuple(self.lengths[letter] for letter in target))


def parse(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The letters of each input and of the output; without "->", those that occur once, in the alphabet's order.

    Raises:
        ArgumentError: a letter stands twice in one input or in the output, or is not known, or "..." is used.
        ShapeError: the letters do not fit the inputs' axes.
    """
    given, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = given.split(",")
    letters = "".join(inputs)
    if not arrow:
        output = "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    if not (letters + output).isalpha() and letters + output:
        raise ArgumentError(f"einsum: expected letters, commas and one '->', got {subscripts!r}")
    for part in (*inputs, output):
        if len(set(part)) != len(part):
            raise ArgumentError(f"einsum: a letter stands twice in {part!r} of {subscripts!r}, which is not supported")
    if unknown := set(output) - set(letters):
        raise ArgumentError(f"einsum: {', '.join(sorted(unknown))} of the output is in no input of {subscripts!r}")
    if [len(part) for part in inputs] != ndims:
        raise ShapeError(
            f"einsum: {subscripts!r} is for inputs of {[len(part) for part in inputs]} axes, but they have {ndims}"
        )
    return inputs, output
