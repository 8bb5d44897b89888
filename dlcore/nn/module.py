"""Module: a function with parameters; networks are modules made of modules.

Whatever a module's `__init__` assigns to an attribute (a `Parameter`, a `Buffer`, another module) is found there by
name, in order of assignment: nothing needs to be registered.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dlcore import backend
from dlcore.autograd import no_grad
from dlcore.backend import Backend
from dlcore.creation import zeros
from dlcore.nn.hooks import OBSERVER, Hook, HookHandle, Hooks, observing
from dlcore.nn.location import locate
from dlcore.nn.summary import Row, Summary
from dlcore.tensor import Tensor, as_array
from kernels import options
from kernels.errors import ArgumentError, DTypeError, StateDictError
from kernels.types import Array

Self = TypeVar("Self", bound="Module")

#: What PyTorch's batch norm keeps besides: a count that nothing here needs.
_PYTORCH_ONLY = "num_batches_tracked"


class Parameter(Tensor):
    """A tensor that is learned: a module's attribute that requires a gradient."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def requires_grad_(self, requires_grad: bool = True) -> "Parameter":
        """Freeze it (False): it gets no gradient any more, so optimizers leave it alone; or let it learn again.

        The gradient that it may have already is forgotten.
        """
        self.requires_grad = options.flag("requires_grad_", "requires_grad", requires_grad)
        if not self.requires_grad:
            self.grad = None
        return self


class Buffer(Tensor):
    """A tensor that is part of a module's state but not learned, such as a running mean."""

    __slots__ = ()


class Module:
    """Base class of layers and networks: assign parts in `__init__`, compute in `forward`.

    class TwoLayers(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(784, 50)
            self.second = nn.Linear(50, 10)

        def forward(self, x):
            return self.second(self.first(x).relu())
    """

    training: bool = True
    _hooks: Hooks | None = None

    def forward(self, *inputs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward`, and the hooks. What a layer raises names it, by its path in the network that was called."""
        try:
            output = self._hooks.run(self, inputs, options) if self._hooks else self.forward(*inputs, **options)
        except Exception as error:
            locate(error, self)
            raise
        observer = OBSERVER.get()
        if observer is not None:
            observer(self, output)
        return output

    # ---- hooks ------------------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: Hook) -> HookHandle:
        """Call hook(module, inputs) before each `forward`; what it returns, if not None, are the inputs instead.

        Args:
            hook: takes this module and the tuple of its inputs; returns None, one input, or a tuple of inputs.

        Returns:
            A handle; its `remove()` ends it.
        """
        return HookHandle(self._own_hooks().before, hook)

    def register_forward_hook(self, hook: Hook) -> HookHandle:
        """Call hook(module, inputs, output) after each `forward`; what it returns, if not None, is the output instead.

        Returns:
            A handle; its `remove()` ends it.
        """
        return HookHandle(self._own_hooks().after, hook)

    def register_full_backward_hook(self, hook: Hook) -> HookHandle:
        """Call hook(module, grad_input, grad_output) once the gradient of this module's input is known.

        Args:
            hook: takes this module and two tuples of Tensors: the gradient of the input (None for an input that
                requires none), and the gradient of the output. What it returns, if not None, replaces `grad_input`.

        Returns:
            A handle; its `remove()` ends it.

        Raises:
            ArgumentError: when called, more than one of the module's inputs requires a gradient, or its output is no
                Tensor.
        """
        return HookHandle(self._own_hooks().backward, hook)

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    @property
    def has_hooks(self) -> bool:
        """Whether a hook is registered on this very module."""
        return bool(self._hooks)

    # ---- parts ------------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        if any(isinstance(part, (Module, Parameter)) for part in parts):
            raise ArgumentError(
                f"{type(self).__name__}.{name}: parts in a {type(value).__name__} are not found by parameters() and "
                "train(); use nn.Sequential, nn.ModuleList or nn.ModuleDict"
            )
        super().__setattr__(name, value)

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """The modules that are this one's own attributes, with their names."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """This module (named "") and all below it, depth first, with dotted names."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator["Module"]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_state(self) -> Iterator[tuple[str, Tensor]]:
        """All parameters and buffers, with dotted names: what a file of weights holds."""
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, (Parameter, Buffer)):
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names; one that is shared comes once, under its first name."""
        seen: set[int] = set()
        for name, value in self.named_state():
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> list[Parameter]:
        """All parameters, each once: what an optimizer takes."""
        return [parameter for _, parameter in self.named_parameters()]

    # ---- state ------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Name → array of every parameter and buffer: the live arrays, not copies."""
        return {name: value.data for name, value in self.named_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy arrays of any backend into the parameters and buffers of the same names.

        Names that end with "num_batches_tracked", in files of PyTorch's networks, are passed over.

        Raises:
            StateDictError: names are missing or unexpected, or shapes differ; all of them are listed, and nothing is
                loaded.
        """
        own = dict(self.named_state())
        if not isinstance(state, Mapping):
            raise StateDictError(f"load_state_dict: expected arrays by name, got {options.short(state)}")
        problems = [f"missing {name} {tensor.shape}" for name, tensor in own.items() if name not in state]
        arrays: dict[str, Array] = {}
        for name, value in state.items():
            try:
                arrays[name] = as_array(value, None)
            except DTypeError:
                problems.append(f"{name} holds no real numbers")
        unexpected = [name for name in arrays if not (name in own or str(name).rpartition(".")[2] == _PYTORCH_ONLY)]
        problems += [f"unexpected {name} {arrays[name].shape}" for name in unexpected]
        problems += [
            f"{name} has shape {arrays[name].shape} where the network has {tensor.shape}"
            for name, tensor in own.items()
            if name in arrays and arrays[name].shape != tensor.shape
        ]
        if problems:
            raise StateDictError(f"load_state_dict: {type(self).__name__} does not match: " + "; ".join(problems))
        for name, tensor in own.items():
            tensor.copy_(arrays[name])

    # ---- modes and places -------------------------------------------------------------------------------------------

    def train(self: Self, mode: bool = True) -> Self:
        """Training mode for this module and all below it: dropout drops, batch norm uses the batch."""
        mode = options.flag("train", "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Evaluation mode: the output depends on the input and the parameters alone."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Freeze all parameters (False), or let them learn again; see `Parameter.requires_grad_`.

        Batch norm's running statistics are no parameters: `eval()` holds those.
        """
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget every parameter's gradient."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self: Self, choice: str | Backend) -> Self:
        """Move parameters, buffers and gradients to a backend, in place."""
        target = backend.get(choice)
        return self._convert(target.asarray)

    def astype(self: Self, dtype: npt.DTypeLike) -> Self:
        """Convert parameters, buffers and gradients to a floating dtype, in place.

        Raises:
            DTypeError: it is no floating dtype.
        """
        wanted = options.element_type("astype", dtype)
        if wanted.kind in "biu":
            raise DTypeError(f"astype: parameters are floating-point, and cannot be {wanted}")
        return self._convert(lambda array: array.astype(wanted))

    def _convert(self: Self, convert: Callable[[Array], Array]) -> Self:
        for _, tensor in self.named_state():
            with tensor.backend.active_device():
                tensor.data = convert(tensor.data)
                tensor.version.changed()
                if tensor.grad is not None:
                    tensor.grad = Tensor(convert(tensor.grad.data))
        return self

    @property
    def backend(self) -> Backend:
        """The backend of the parameters (of new arrays, if there are none)."""
        return next((tensor.backend for _, tensor in self.named_state()), backend.current())

    # ---- display ----------------------------------------------------------------------------------------------------

    def summary(self, input_shape: tuple[int, ...]) -> Summary:
        """A table of layers, output shapes and parameter counts, from running one example through.

        Args:
            input_shape: of one example, without the batch axis: (1, 28, 28).
        """
        names = {id(module): name for name, module in self.named_modules()}
        rows: list[Row] = []

        def observe(module: Module, output: Tensor) -> None:
            if not any(True for _ in module.named_children()):
                count = sum(parameter.size for parameter in module.parameters())
                rows.append(Row(names.get(id(module), "?"), repr(module), ("N", *output.shape[1:]), count))

        first = next((tensor for _, tensor in self.named_state()), None)
        dtype = np.float32 if first is None else first.dtype
        modes = {module: module.training for module in self.modules()}
        try:
            with observing(observe), no_grad(), backend.using(self.backend):
                self.eval()(zeros((1, *options.lengths("summary", input_shape)), dtype))
        finally:
            for module, mode in modes.items():
                module.training = mode
        total = sum(parameter.size for parameter in self.parameters())
        return Summary(type(self).__name__, ("N", *input_shape), tuple(rows), total)

    def extra_repr(self) -> str:
        """The arguments that `repr` shows."""
        return ""

    def __repr__(self) -> str:
        children = list(self.named_children())
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = "\n".join(f"({name}): {child!r}" for name, child in children)
        return f"{type(self).__name__}(\n  " + lines.replace("\n", "\n  ") + "\n)"
