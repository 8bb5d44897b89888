"""Pictures of computational graphs.

price = dl.tensor(100.0, requires_grad=True)
dl.draw_graph(price * 2 * 1.1, {"price": price}).save("bill.svg")
"""

from collections.abc import Mapping

from dlcore.drawing.graph import read
from dlcore.drawing.picture import Picture
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError
from kernels.options import short

__all__ = ["Picture", "draw_graph"]


def draw_graph(tensor: Tensor, names: Mapping[str, Tensor] | None = None) -> Picture:
    """A picture of how a tensor was computed, with values and gradients where they are few.

    In a graph of small tensors, up to 6 elements each, every arrow carries the value that flowed forward and, if
    `tensor` is a scalar, under it the derivative of `tensor` by that value. In larger graphs, those of networks, arrows
    carry shapes, and an operation's weights stand in its box.

    Draw before `backward()`, or call that with `retain_graph=True`: it frees the graph. The gradients are computed for
    the picture; every `.grad` stays as it is.

    Args:
        tensor: computed from tensors that require a gradient.
        names: what to call tensors in the picture, given ones and computed ones; for a network's weights
            `dict(network.named_parameters())`.

    Returns:
        The picture: `.svg` and `.dot` are its texts, `.save(path)` writes either, `.plot(axes)` draws with matplotlib,
        and a notebook shows it by itself.

    Raises:
        GraphError: nothing was recorded, the graph was freed, or a tensor that it needs was changed in place.

    Source: chapter 5 of the book draws its graphs so.
    """
    named = {} if names is None else names
    if not isinstance(named, Mapping) or not all(
        isinstance(name, str) and isinstance(each, Tensor) for name, each in (("", tensor), *named.items())
    ):
        raise ArgumentError(
            f"draw_graph: expected a Tensor, and Tensors by name, got {short(tensor)} and {short(names)}"
        )
    return Picture(read(tensor, named))
