"""Hooks: functions that see, or change, what goes into a module and comes out of it, forward and backward.

Names and arguments are PyTorch's. A layer that has hooks is never computed together with its neighbours.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dlcore.autograd import Function, is_grad_enabled
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError, GraphError
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.nn.module import Module

#: What a backward hook is called with, and hands on.
Gradients = tuple[Tensor | None, ...]
Hook = Callable[..., Any]

_numbers = itertools.count()

#: A function that sees each module and its output.
Observer = Callable[["Module", Any], None]
OBSERVER: ContextVar[Observer | None] = ContextVar("dlcore_observer", default=None)


@contextmanager
def observing(observer: Observer) -> Iterator[None]:
    """A block in which `observer` is called with each module and its output once it has run, the innermost first."""
    token = OBSERVER.set(observer)
    try:
        yield
    finally:
        OBSERVER.reset(token)


def is_observed() -> bool:
    """Whether someone wants to see each layer's own output, so that none may be computed together."""
    return OBSERVER.get() is not None


class HookHandle:
    """A registered hook; `remove()`, or the end of a `with` block, takes it away again."""

    def __init__(self, hooks: dict[int, Hook], hook: Hook) -> None:
        if not callable(hook):
            raise ArgumentError(f"a hook must be a function, got {type(hook).__qualname__}")
        self._hooks = hooks
        self._number = next(_numbers)
        hooks[self._number] = hook

    def remove(self) -> None:
        """Call the hook no more; a second call does nothing."""
        self._hooks.pop(self._number, None)

    def __enter__(self) -> "HookHandle":
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module, in the order of their registration."""

    def __init__(self) -> None:
        self.before: dict[int, Hook] = {}
        self.after: dict[int, Hook] = {}
        self.backward: dict[int, Hook] = {}

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.backward)

    def run(self, module: "Module", inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The module's `forward`, with what the hooks make of it."""
        for hook in list(self.before.values()):
            changed = hook(module, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        passage = _Passage(module, list(self.backward.values())) if self.backward and is_grad_enabled() else None
        if passage is not None:
            inputs = passage.enter(inputs)
        output = module.forward(*inputs, **options)
        for hook in list(self.after.values()):
            changed = hook(module, inputs, output)
            output = output if changed is None else changed
        return output if passage is None else passage.leave(output)


class _Passage:
    """One call of a module on whose way back its backward hooks wait.

    Both ends are marked by a node that changes nothing: the one at the output notes the gradient that comes in, the one
    at the input calls the hooks with both. Where no input wants a gradient, the first calls them.
    """

    def __init__(self, module: "Module", hooks: list[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.grad_output: Tensor | None = None
        self.place: int | None = None  # of the input that wants a gradient
        self.count = 0

    def enter(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        places = [place for place, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        if len(places) > 1:
            raise ArgumentError(
                f"{type(self.module).__name__}: a backward hook is for modules of one input that requires a gradient, "
                f"but {len(places)} do; put the hook on a module inside"
            )
        self.count = len(inputs)
        if not places:
            return inputs
        (self.place,) = places
        marked = _Mark.apply(inputs[self.place], seen=self._at_input)
        return (*inputs[: self.place], marked, *inputs[self.place + 1 :])

    def leave(self, output: Any) -> Any:
        if not isinstance(output, Tensor):
            raise ArgumentError(
                f"{type(self.module).__name__}: a backward hook needs a module that returns one Tensor, "
                f"got {type(output).__qualname__}"
            )
        return _Mark.apply(output, seen=self._at_output) if output.requires_grad else output

    def _at_output(self, gradient: Tensor) -> Tensor:
        self.grad_output = gradient
        if self.place is None:
            self._call((None,) * self.count)
        return gradient

    def _at_input(self, gradient: Tensor) -> Tensor:
        assert self.place is not None
        found = self._call(tuple(gradient if place == self.place else None for place in range(self.count)))
        changed = found[self.place]
        assert changed is not None
        return changed

    def _call(self, grad_input: Gradients) -> Gradients:
        for hook in self.hooks:
            changed = hook(self.module, grad_input, (self.grad_output,))
            if changed is None or self.place is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != self.count or not isinstance(changed[self.place], Tensor):
                raise GraphError(
                    f"{type(self.module).__name__}: a backward hook must return None or a tuple like its grad_input, "
                    f"with a Tensor in place {self.place} of {self.count}"
                )
            grad_input = changed
        self.grad_output = None  # under create_graph it leads back here
        return grad_input


class _Mark(Function):
    """The same tensor; its gradient is shown to `seen`, which returns what goes on."""

    is_view = True

    def forward(self, x: Array, *, seen: Callable[[Tensor], Tensor]) -> Array:
        self.seen = seen
        return x

    def backward(self, grad_output: Tensor) -> Tensor:
        return self.seen(grad_output)
