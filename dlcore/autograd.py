"""Reverse-mode automatic differentiation: the graph, and the loop that walks it backwards.

An operation is a class derived from `Function`: `forward` on arrays, and under it `backward` on Tensors. An instance is
one application of it, and at the same time one node of the graph; its edges lead to the nodes that made its inputs.
This file knows no operation and no operator.

    order 0: x (leaf)   order 1: Exp   order 2: Multiply   …   every edge leads to a lower order, so taking nodes
    from the highest order down visits each only after everything that used its output: no recursion, no sorting pass.
"""

import heapq
import inspect
import itertools
import math
from collections.abc import Iterable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np

from dlcore import backend
from kernels.errors import DTypeError, GraphError, ShapeError
from kernels.options import items
from kernels.shortage import out_of_memory
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.tensor import Tensor

#: What made a tensor and so receives its gradient: a node of the graph, a leaf, or nobody.
Source: TypeAlias = "Function | Tensor | None"

_grad_enabled: ContextVar[bool] = ContextVar("dlcore_grad_enabled", default=True)
_order = itertools.count(1)
_tensor_type: "type[Tensor]"


def register_tensor(cls: "type[Tensor]") -> "type[Tensor]":
    """Name the class of outputs; `tensor.py` calls it, so that operations need not import Tensor."""
    global _tensor_type
    _tensor_type = cls
    return cls


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread or task."""
    return _grad_enabled.get()


class set_grad_enabled(ContextDecorator):  # noqa: N801 (a context manager, named as PyTorch names it)
    """A block, or a decorated function, in which operations are recorded or not."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._tokens.append(_grad_enabled.set(self.mode))

    def __exit__(self, *exception: object) -> None:
        _grad_enabled.reset(self._tokens.pop())

    def _recreate_cm(self) -> "set_grad_enabled":
        return set_grad_enabled(self.mode)  # a decorated function may run in many threads: one block per call


def no_grad() -> set_grad_enabled:
    """A block, or a decorated function, that records nothing: for inference and for updates of parameters."""
    return set_grad_enabled(False)


def enable_grad() -> set_grad_enabled:
    """A block, or a decorated function, that records again inside `no_grad`."""
    return set_grad_enabled(True)


class Version:
    """Counts in-place changes of one block of memory; a tensor shares it with its views and detached twins."""

    __slots__ = ("_kept", "count")

    def __init__(self) -> None:
        self.count = 0
        self._kept: tuple[int, Array, dict[str, Array]] | None = None

    def changed(self) -> None:
        """Count a change that was made."""
        self.count += 1
        self._kept = None

    def __getstate__(self) -> int:
        return self.count  # what is kept belongs to this process

    def __setstate__(self, count: int) -> None:
        self.count, self._kept = count, None

    def kept(self, data: Array) -> dict[str, Array]:
        """What was derived from `data` in its present state, and need not be derived again; empty after a change."""
        if self._kept is None or self._kept[0] != self.count or self._kept[1] is not data:
            self._kept = self.count, data, {}
        return self._kept[2]


class Edge(NamedTuple):
    """From a node to where one of its inputs came from, with what the gradient must look like."""

    source: Source
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Saved(NamedTuple):
    """An array kept for backward, with the input it belongs to (or OUTPUT) and that tensor's version at the time.

    What belongs to neither is a constant; it has no version.
    """

    array: Any
    position: int
    version: Version | None
    seen: int


OUTPUT = -1
#: A node keeps an output of at most so many elements, and its constants, so that small graphs can be drawn with values.
FEW = 6
_WEAK = np.dtype(np.float64)  # of numbers, which receive no gradient


class Function:
    """One differentiable operation; applied, one node of the graph.

        class Square(dl.Function):
            def forward(self, x):                     # arrays in, one array out
                self.save(x)
                return x * x

            def backward(self, grad_output):          # Tensors in, one Tensor (or None) per input out
                (x,) = self.saved
                return grad_output * (2 * x)

        y = Square.apply(x)

    `backward` is written with Tensor operations, so it can be differentiated in its turn. Inputs are Tensors, arrays
    (constants) or Python numbers; options are keywords of `apply`, handed to `forward`.
    """

    #: The output shares memory with the first input (reshape, slices): they share a version too.
    is_view: bool = False

    needs_input_grad: tuple[bool, ...] = ()
    edges: tuple[Edge, ...] = ()
    order: int = 0
    few: tuple[Any, ...] = ()  # the output and then each constant (None for what is none), if they are small
    _kept: tuple[Any, ...] = ()
    _saved: tuple[Saved, ...] | None = ()

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The operation itself: arrays in, one array out."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, grad_output: "Tensor") -> "Tensor | tuple[Tensor | None, ...] | None":
        """The gradient of each input (or None), from the output's gradient, which has the output's shape."""
        raise GraphError(f"{type(self).__name__} has no backward, so no gradient can pass through it")

    @classmethod
    def apply(cls, *inputs: Any, **options: Any) -> "Tensor":
        """Run `forward` on the inputs' arrays and record the node, if any input requires a gradient.

        Raises:
            BackendMismatchError: the inputs lie on different backends.
        """
        node = cls()
        arrays: list[Any] = []
        sources: list[Source] = []
        for value in inputs:
            if isinstance(value, _tensor_type):
                arrays.append(value.data)
                sources.append(value.grad_fn or (value if value.requires_grad else None))
            else:
                arrays.append(constant(value))
                sources.append(None)
        owner = _owner(cls, arrays)
        if _grad_enabled.get():
            node.needs_input_grad = tuple([source is not None for source in sources])
        try:
            if owner is None:
                output = node.forward(*arrays, **options)
            else:
                with owner.active_device():
                    output = node.forward(*arrays, **options)
        except MemoryError as error:
            raise out_of_memory(cls.__name__, error) from None
        if not isinstance(output, np.ndarray) and backend.of(output).xp is np:  # NumPy makes scalars of 0-d results
            scalar, output = output, np.asarray(output)
            node._kept = tuple([output if kept is scalar else kept for kept in node._kept])
        version = inputs[0].version if node.is_view and isinstance(inputs[0], _tensor_type) else Version()
        if True not in node.needs_input_grad:
            return _tensor_type._wrap(output, None, version)
        node._record(inputs, arrays, sources, output, version)
        return _tensor_type._wrap(output, node, version)

    def save(self, *arrays: Any) -> None:
        """Keep inputs, the output or other arrays for `backward`, where `self.saved` gives them back as Tensors.

        Inputs and the output come back connected to the graph, anything else as a constant.
        """
        self._kept = arrays

    @property
    def saved(self) -> tuple[Any, ...]:
        """What `save` kept, in its order: Tensors; numbers and None as they were.

        Raises:
            GraphError: the graph was freed, or a saved tensor was changed in place since.
        """
        if self._saved is None:
            raise GraphError(_freed(self))
        return tuple(self._restore(item) for item in self._saved)

    def _restore(self, item: Saved) -> Any:
        array, position, version, seen = item
        if version is None:
            return array if array is None or isinstance(array, (int, float)) else _constant_tensor(array)
        source = self if position == OUTPUT else self.edges[position].source
        leaf = source if isinstance(source, _tensor_type) else None
        if version.count != seen or (leaf is not None and leaf.data is not array):
            raise GraphError(
                f"{type(self).__name__}: a tensor that backward needs was modified in place after it was used "
                f"(shape {array.shape}); modify it after backward(), or a copy of it"
            )
        return leaf if leaf is not None else _tensor_type._wrap(array, cast("Function | None", source), version)

    def _record(
        self, inputs: Sequence[Any], arrays: list[Any], sources: list[Source], output: Array, version: Version
    ) -> None:
        """Become a node: keep edges and saved arrays, but no Tensor except leaves, so there are no cycles."""
        self.order = next(_order)
        self.edges = tuple([Edge(source, np.shape(x), _dtype_of(x)) for source, x in zip(sources, arrays, strict=True)])
        if output.size <= FEW:
            constants = [
                x if edge.source is None and math.prod(edge.shape) <= FEW else None
                for edge, x in zip(self.edges, arrays, strict=True)
            ]
            self.few = (output.copy() if self.is_view else output, *constants)  # a view would keep all it is part of
        owners: dict[int, list[tuple[int, Version | None]]] = {id(output): [(OUTPUT, version)]}
        for i, (x, array) in enumerate(zip(inputs, arrays, strict=True)):
            owners.setdefault(id(array), []).append((i, x.version if isinstance(x, _tensor_type) else None))
        saved = []
        for array in self._kept:
            found = owners.get(id(array), [(OUTPUT, None)])
            # Two inputs may be one array (x and x.detach()): what is saved in their order comes back in it.
            position, its_version = found.pop(0) if len(found) > 1 else found[0]
            saved.append(Saved(array, position, its_version, 0 if its_version is None else its_version.count))
        self._saved, self._kept = tuple(saved), ()

    def _free(self) -> None:
        self.__dict__ = {"order": self.order, "_saved": None, "edges": ()}


class Fused(Function):
    """An operation whose first derivative is computed on arrays, for speed.

    It says what it is a second time, as `composite`: a pure function of the same inputs made of primitive operations.
    Under `create_graph=True` the derivative goes through that, so it has derivatives of every order. `forward` saves
    its inputs, all and first, for the composite to start from.
    """

    def backward_arrays(self, grad_output: Array) -> Array | tuple[Array | None, ...] | None:
        """The gradient of each input, as arrays."""
        raise NotImplementedError(f"{type(self).__name__} has no backward_arrays")

    def composite(self, *inputs: "Tensor") -> "Tensor":
        """The same operation, of primitives; options and randomness are read from `self`."""
        raise NotImplementedError(f"{type(self).__name__} has no composite")

    def backward(self, grad_output: "Tensor") -> tuple["Tensor | None", ...]:
        """First order on arrays; with a graph to create, through the composite."""
        if not _grad_enabled.get():
            gradients = self.backward_arrays(grad_output.data)
            gradients = gradients if isinstance(gradients, tuple) else (gradients,)
            return tuple(None if g is None else _constant_tensor(g) for g in gradients)
        # Partial derivatives are wanted: one input may be computed from another, or be the same tensor. So each gets a
        # node of its own, at which differentiation stops.
        saved = self.saved[: len(self.edges)]
        inputs = [_Alias.apply(x) if need else x for x, need in zip(saved, self.needs_input_grad, strict=True)]
        targets = [x for x, needed in zip(inputs, self.needs_input_grad, strict=True) if needed]
        found = iter(grad(self.composite(*inputs), targets, grad_output, create_graph=True))
        return tuple(next(found) if needed else None for needed in self.needs_input_grad)


class _Alias(Function):
    """The same tensor, as a node of its own."""

    is_view = True

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return grad_output


def backward(
    output: "Tensor",
    gradient: "Tensor | None" = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradient of `output` with respect to each leaf that requires one to that leaf's `.grad`.

    Args:
        output: what to differentiate; a scalar, unless `gradient` is given.
        gradient: the gradient of some later scalar with respect to `output`, of its shape; 1 by default.
        retain_graph: keep what the graph saved, for another pass.
        create_graph: record the pass itself, so that the gradients can be differentiated (implies `retain_graph`).

    Raises:
        GraphError: `output` requires no gradient, the graph was freed, or a saved tensor was changed in place.
        ShapeError: `output` is not a scalar and no `gradient` was given, or `gradient` has another shape.
    """
    seed = _seed_gradient(output, gradient)
    collected: dict[Source, Tensor] = {}
    _walk([(output, seed)], None, collected, create_graph, retain_graph or create_graph)
    owned = {id(_memory(seed.data))}
    for leaf, found in collected.items():
        assert not isinstance(leaf, Function)
        assert leaf is not None
        if leaf.grad is not None:
            with set_grad_enabled(create_graph):
                leaf.grad = leaf.grad + found
            continue
        leaf.grad = found
        if not create_graph:  # two leaves must not share one block of memory: a later in-place change would reach both
            block = _memory(found.data)
            if id(block) in owned or 0 in found.data.strides:
                with found.backend.active_device():
                    leaf.grad = _constant_tensor(found.data.copy())
            owned.add(id(block))


def grad(
    outputs: "Tensor | Sequence[Tensor]",
    inputs: "Tensor | Sequence[Tensor]",
    grad_outputs: "Tensor | Sequence[Tensor | None] | None" = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> "tuple[Any, ...]":
    """Gradients of the sum of `outputs` with respect to each of `inputs`, leaving every `.grad` alone.

    Args:
        outputs: one tensor or several; scalars, unless `grad_outputs` gives their gradients.
        inputs: one tensor or several, leaves or not. Nothing beyond them is differentiated.
        grad_outputs: for each output a gradient of its shape, or None for 1.
        retain_graph: keep what the graph saved; by default the value of `create_graph`.
        create_graph: record the pass, so that the results can be differentiated again: derivatives of any order.
        allow_unused: give None for an input that no output depends on, instead of raising.

    Raises:
        GraphError: an input is not part of the graph, or as for `backward`.
        ShapeError: as for `backward`.
    """
    output_list, input_list = _tensors("outputs", outputs), _tensors("inputs", inputs)
    if grad_outputs is None:
        seeds: list[Tensor | None] = [None] * len(output_list)
    else:
        seeds = list(grad_outputs) if isinstance(grad_outputs, (list, tuple)) else [cast("Tensor", grad_outputs)]
    if len(seeds) != len(output_list):
        raise GraphError(f"grad: {len(output_list)} outputs were given but {len(seeds)} grad_outputs")
    for index, tensor in enumerate(input_list):
        if not tensor.requires_grad:
            raise GraphError(
                f"grad: input {index} does not require a gradient; set requires_grad=True on it before use"
            )
    roots = [(tensor, _seed_gradient(tensor, seed)) for tensor, seed in zip(output_list, seeds, strict=True)]
    collected: dict[Source, Tensor] = {}
    targets = [_source_of(tensor) for tensor in input_list]
    _walk(roots, targets, collected, create_graph, create_graph if retain_graph is None else retain_graph)
    results = tuple(collected.get(target) for target in targets)
    unused = [index for index, result in enumerate(results) if result is None]
    if unused and not allow_unused:
        raise GraphError(
            f"grad: the outputs do not depend on input {unused[0]}; pass allow_unused=True to get None for it"
        )
    return results


def _tensors(name: str, given: Any) -> "list[Tensor]":
    several = [given] if isinstance(given, _tensor_type) else items("grad", name, given, "Tensors")
    for index, tensor in enumerate(several):
        if not isinstance(tensor, _tensor_type):
            raise DTypeError(f"grad: {name} must be a Tensor or several, got {type(tensor).__qualname__} at {index}")
    return several


def _walk(
    roots: "list[tuple[Tensor, Tensor]]",
    targets: list[Source] | None,
    collected: "dict[Source, Tensor]",
    create_graph: bool,
    retain_graph: bool,
) -> None:
    """The backward pass: hand each node its output's whole gradient, and its inputs' gradients to their sources.

    `collected` receives the gradients of `targets` (nodes or leaves), or of every leaf where `targets` is None.
    """
    useful = None if targets is None else _between([_source_of(tensor) for tensor, _ in roots], targets)
    wanted = frozenset(targets or ())
    pending: dict[Function, Tensor] = {}
    queue: list[tuple[int, Function]] = []

    def deliver(source: Source, gradient: "Tensor") -> None:
        if isinstance(source, Function):
            if source in pending:
                pending[source] = pending[source] + gradient
            else:
                pending[source] = gradient
                heapq.heappush(queue, (-source.order, source))
        elif source in collected:
            collected[source] = collected[source] + gradient
        elif source is not None and (targets is None or source in wanted):
            collected[source] = gradient

    with set_grad_enabled(create_graph):
        for tensor, gradient in roots:
            deliver(_source_of(tensor), gradient)
        while queue:
            _, node = heapq.heappop(queue)
            gradient = pending.pop(node)
            if node in wanted:
                collected[node] = gradient
            if useful is not None and node not in useful:
                continue
            if node._saved is None:
                raise GraphError(_freed(node))
            edges = node.edges
            node.needs_input_grad = tuple(
                edge.source is not None and (useful is None or edge.source in useful or edge.source in wanted)
                for edge in edges
            )
            for edge, needed, found in zip(edges, node.needs_input_grad, _gradients(node, gradient), strict=True):
                if needed and found is not None:
                    deliver(edge.source, found)
            if not retain_graph:
                node._free()


def _gradients(node: Function, gradient: "Tensor") -> "list[Tensor | None]":
    """Run one node's backward and hold its results to what it must return."""
    if type(gradient.data) is np.ndarray:
        returned = node.backward(gradient)
    else:
        with backend.of(gradient.data).active_device():
            returned = node.backward(gradient)
    gradients = list(returned) if isinstance(returned, tuple) else [returned]
    if len(gradients) != len(node.edges):
        raise GraphError(
            f"{type(node).__name__}.backward returned {len(gradients)} gradients for {len(node.edges)} inputs"
        )
    for index, (edge, found) in enumerate(zip(node.edges, gradients, strict=True)):
        if found is None or edge.source is None:
            continue
        if not isinstance(found, _tensor_type):
            raise GraphError(
                f"{type(node).__name__}.backward must return Tensors, got {type(found).__qualname__} for input "
                f"{index}; compute with Tensor operations, so that the result can be differentiated again"
            )
        if found.shape != edge.shape:
            raise ShapeError(
                f"{type(node).__name__}.backward returned a gradient of shape {found.shape} for input {index}, "
                f"whose shape is {edge.shape}"
            )
        if found.dtype != edge.dtype:
            gradients[index] = found.astype(edge.dtype)
    return gradients


def _between(roots: Iterable[Source], targets: Iterable[Source]) -> set[Source]:
    """The nodes through which the roots depend on the targets; only those need a backward."""
    wanted = frozenset(targets)
    floor = min((target.order if isinstance(target, Function) else 0 for target in wanted), default=0)
    stack = [root for root in roots if isinstance(root, Function)]
    seen: dict[Function, None] = {}
    while stack:
        node = stack.pop()
        if node in seen or node.order <= floor:
            continue
        seen[node] = None
        stack.extend(edge.source for edge in node.edges if isinstance(edge.source, Function))
    useful: set[Source] = set()
    for node in sorted(seen, key=lambda node: node.order):
        if node._saved is None or any(edge.source in useful or edge.source in wanted for edge in node.edges):
            useful.add(node)
    return useful


def _seed_gradient(output: "Tensor", gradient: "Tensor | None") -> "Tensor":
    if not output.requires_grad:
        raise GraphError(
            "backward: this tensor does not require a gradient: none of the tensors it was computed from has "
            "requires_grad=True, or it was computed under no_grad()"
        )
    if gradient is None:
        if output.size != 1:
            raise ShapeError(
                f"backward: the output has shape {output.shape}; only a scalar can be differentiated without a "
                "gradient: reduce it (for example .sum()) or pass gradient="
            )
        owner = backend.of(output.data)
        with owner.active_device():
            return _constant_tensor(owner.xp.ones_like(output.data))
    given: Any = gradient.data if isinstance(gradient, _tensor_type) else gradient
    if hasattr(given, "dtype"):
        backend.common("backward", {"output": output.data, "gradient": given})
    if not isinstance(gradient, _tensor_type):
        gradient = _constant_tensor(backend.of(output.data).asarray(gradient, output.dtype))
    if gradient.shape != output.shape:
        raise ShapeError(f"backward: gradient has shape {gradient.shape} but the output has shape {output.shape}")
    return gradient


def _source_of(value: Any) -> Source:
    if not isinstance(value, _tensor_type) or not value.requires_grad:
        return None
    return value if value.grad_fn is None else value.grad_fn


def _constant_tensor(array: Array) -> "Tensor":
    return _tensor_type._wrap(array, None, Version())


def without_gradient(result: Any) -> "Tensor":
    """What an array function returned, as a Tensor that no gradient passes through."""
    return _constant_tensor(
        result if hasattr(result, "dtype") and not isinstance(result, np.generic) else np.asarray(result)
    )


def _dtype_of(x: Any) -> np.dtype[Any]:
    return x.dtype if hasattr(x, "dtype") else _WEAK


def constant(value: Any) -> Any:
    """An input that is no Tensor: an array, or a weak scalar (it takes the other operand's dtype)."""
    if isinstance(value, np.generic) and is_numeric(value):
        return value.item()
    if value is None or isinstance(value, (bool, int, float)) or is_numeric(value):
        return value
    what = f"an array of {value.dtype}" if hasattr(value, "dtype") else type(value).__qualname__
    raise DTypeError(f"expected a Tensor, an array of numbers or a number, got {what}; make one with dl.tensor(…)")


def is_numeric(array: Any) -> bool:
    """Whether it is an array of real numbers or booleans: what a Tensor can hold."""
    dtype = getattr(array, "dtype", None)
    return dtype is not None and (getattr(dtype, "kind", "f") in "biuf" or getattr(dtype, "name", "") == "bfloat16")


def _owner(cls: type[Function], arrays: Sequence[Any]) -> backend.Backend | None:
    """The one backend of these inputs; None if it is NumPy's, or there are only numbers."""
    has_array = False
    for array in arrays:
        if type(array) is np.ndarray:
            has_array = True
        elif not (array is None or isinstance(array, (bool, int, float))):
            break
    else:
        if not has_array:
            given = ", ".join(type(array).__name__ for array in arrays) or "nothing"
            raise DTypeError(f"{cls.__name__}: expected a Tensor or an array, got {given}; make one with dl.tensor(…)")
        return None
    owners = [backend.of(array) for array in arrays if hasattr(array, "dtype")]
    if all(owner is owners[0] for owner in owners):
        return None if owners[0].is_host else owners[0]
    parameters = list(inspect.signature(cls.forward).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    names += [f"input {i}" for i in range(len(names), len(arrays))]
    return backend.common(cls.__name__, {n: a for n, a in zip(names, arrays, strict=False) if hasattr(a, "dtype")})


def _memory(array: Any) -> Any:
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def _freed(node: Function) -> str:
    return (
        f"backward: the graph through {type(node).__name__} was freed by an earlier backward(); "
        "pass retain_graph=True to that first call, or compute the output again"
    )
