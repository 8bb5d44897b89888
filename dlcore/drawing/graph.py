"""What a picture of a graph shows: boxes for operations and tensors, arrows with values and gradients."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from dlcore import backend
from dlcore.autograd import FEW, Function, Source, Version, grad
from dlcore.tensor import Tensor
from kernels.errors import GraphError

_SYMBOLS = {"Add": "+", "Subtract": "−", "Multiply": "×", "Divide": "÷", "Negative": "−", "Matmul": "@", "Power": "^"}


@dataclass(eq=False)
class Box:
    """An operation, a tensor that was given, or the output.

    Attributes:
        kind: decides the colour.
        lines: what stands in it.
        inputs: the arrows that lead to it, in the order of the operation's inputs.
    """

    kind: Literal["operation", "leaf", "constant", "output"]
    lines: list[str]
    inputs: "list[Arrow]" = field(default_factory=list)


@dataclass(eq=False)
class Arrow:
    """A tensor on its way from the box that made it to one that uses it.

    Attributes:
        value: its numbers, or its shape; may be empty.
        gradient: the derivative of the output by it; may be empty.
    """

    source: Box
    target: Box
    value: str
    gradient: str


@dataclass(eq=False)
class Graph:
    """Boxes in the order of computation, the output last.

    Attributes:
        is_small: whether arrows carry values; else they carry shapes, and weights stand in the operations' boxes.
    """

    boxes: list[Box]
    is_small: bool

    @property
    def arrows(self) -> list[Arrow]:
        """All arrows."""
        return [arrow for box in self.boxes for arrow in box.inputs]


def read(output: Tensor, names: Mapping[str, Tensor]) -> Graph:
    """The picture's content, from the graph behind `output`; see `draw_graph`."""
    last = output.grad_fn
    if last is None:
        raise GraphError(
            "draw_graph: this tensor was not computed from tensors that require a gradient, so nothing was recorded; "
            "set requires_grad=True on what it depends on"
        )
    nodes = _nodes(last)
    shapes = [output.shape, *(edge.shape for node in nodes for edge in node.edges)]
    is_small = max(map(math.prod, shapes)) <= FEW
    most = FEW if is_small else 1
    gradients = _gradients(output, nodes) if is_small and output.size == 1 else {}
    # A result is known by its operation, a leaf is itself, a constant is known by its array.
    known = {
        id(tensor.grad_fn or (tensor if tensor.requires_grad else tensor.data)): name for name, tensor in names.items()
    }
    boxes: dict[int, Box] = {}

    def connect(source: Source, array: Any, shape: tuple[int, ...], target: Box) -> None:
        """An arrow to `target`, from a new box where the source has none."""
        value = _text(array, shape, most)
        key = id(array) if source is None else id(source)
        if isinstance(source, Function):
            origin = boxes[key]
        elif source is not None:
            origin = boxes.setdefault(key, Box("leaf", [known.get(key, "tensor")]))
        else:
            name = known.get(key, "" if is_small else "input")
            origin = Box("constant", [name or value])
            boxes[id(origin)] = origin
            value = value if name else ""
        target.inputs.append(Arrow(origin, target, value, gradients.get(key, "")))

    for node in nodes:
        box = Box("operation", [_title(node)])
        for position, (source, shape, _) in enumerate(node.edges):
            if isinstance(source, Function):
                connect(source, source.few[0] if source.few else None, shape, box)
                continue
            array = _constant(node, position) if source is None else source.data
            if array is None and not shape:
                continue  # an optional input that was left out
            if is_small or position == 0:
                connect(source, array, shape, box)
            else:
                name = known.get(id(array) if source is None else id(source), "")
                box.lines.append(f"{name} {_text(array, shape, most)}".strip())
        if node is not last and id(node) in known:
            box.lines.append(known[id(node)])
        boxes[id(node)] = box
    end = Box("output", [known.get(id(last), "output")])
    connect(last, output.data, output.shape, end)
    boxes[id(end)] = end
    return Graph(list(boxes.values()), is_small)


def _nodes(last: Function) -> list[Function]:
    """The operations behind the last one and that one, in the order of computation."""
    found = {last: None}
    for node in (waiting := [last]):  # grows while it is walked
        if node._saved is None:
            raise GraphError(
                f"draw_graph: the graph through {type(node).__name__} was freed by backward(); draw before it, or pass "
                "retain_graph=True to it"
            )
        for source, _, _ in node.edges:
            if isinstance(source, Function) and source not in found:
                found[source] = None
                waiting.append(source)
    return sorted(found, key=lambda node: node.order)


def _gradients(output: Tensor, nodes: list[Function]) -> dict[int, str]:
    """The derivatives of the output by each result and each leaf, as texts, by the id of their source."""
    tensors = {id(node): Tensor._wrap(node.few[0], node, Version()) for node in nodes}
    tensors |= {
        id(edge.source): edge.source for node in nodes for edge in node.edges if isinstance(edge.source, Tensor)
    }
    found = grad(output, list(tensors.values()), retain_graph=True, allow_unused=True)
    return {
        key: _text(gradient.data, gradient.shape, FEW)
        for key, gradient in zip(tensors, found, strict=True)
        if gradient is not None
    }


def _constant(node: Function, position: int) -> Any:
    """The input at `position`, which no gradient reaches, if the node has it still."""
    if node.few:
        return node.few[1 + position]
    return next((saved.array for saved in node._saved or () if saved.position == position), None)


def _title(node: Function) -> str:
    name = type(node).__name__
    activation = getattr(node, "activation", None)  # what a fused operation does on the way out
    return _SYMBOLS.get(name, name) + (f", {activation}" if activation else "")


def _text(array: Any, shape: tuple[int, ...], most: int) -> str:
    """The numbers, if they are known and at most so many; else the shape."""
    if array is None or math.prod(shape) > most:
        return str(shape)
    values = backend.to_numpy(array) if hasattr(array, "dtype") else np.asarray(array)
    return np.array2string(values, separator=" ", formatter={"all": _number}).replace("\n", "")


def _number(value: Any) -> str:
    return f"{value:.4g}".replace("-", "−")
