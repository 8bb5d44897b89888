"""Modules that hold modules."""

from collections.abc import Iterable, Iterator, Mapping

from dlcore.nn.activations import Identity
from dlcore.nn.fusion import fused
from dlcore.nn.hooks import is_observed
from dlcore.nn.module import Module
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError
from kernels.options import items


def in_sequence(x: Tensor, *layers: Module) -> Tensor:
    """What the layers make of x, one after the other; some neighbours are computed together (`dlcore.nn.fusion`).

    For a `forward` whose layers have names of their own: in_sequence(x, self.conv1, self.bn1, self.relu).
    """
    for layer in layers:
        if not isinstance(layer, Module):
            raise ArgumentError(f"in_sequence: expected Modules, got {type(layer).__qualname__}")
    for step in layers if is_observed() else fused(layers):
        x = step(x)
    return x


class Sequential(Module):
    """Modules applied one after the other.

    Args:
        layers: modules, named "0", "1", … in order; or one mapping from names to modules.
    """

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        super().__init__()
        first = layers[0] if len(layers) == 1 else None
        named = first if isinstance(first, Mapping) else {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in named.items():
            if not isinstance(layer, Module):
                raise ArgumentError(f"Sequential: layer {name} must be a Module, got {type(layer).__qualname__}")
            if not isinstance(name, str) or hasattr(self, name) or not name or "." in name:
                raise ArgumentError(f"Sequential: no layer can be called {name!r}; choose another name, without dots")
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """The last module's output. Some neighbours are computed together; see `dlcore.nn.fusion`."""
        return in_sequence(x, *self)

    def __iter__(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def __len__(self) -> int:
        return len(list(self.named_children()))

    def __getitem__(self, index: int | slice) -> Module:
        layers = list(self)
        return Sequential(*layers[index]) if isinstance(index, slice) else layers[index]


class ModuleList(Module):
    """Modules in a list, whose parameters are found; it computes nothing itself.

    Args:
        modules: named "0", "1", … in order.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def append(self, module: Module) -> "ModuleList":
        """Add a module at the end."""
        if not isinstance(module, Module):
            raise ArgumentError(f"ModuleList: expected a Module, got {type(module).__qualname__}")
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> "ModuleList":
        """Add modules at the end."""
        for module in items("ModuleList", "modules", modules, "Modules"):
            self.append(module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def __len__(self) -> int:
        return len(list(self.named_children()))

    def __getitem__(self, index: int | slice) -> Module:
        modules = list(self)
        return ModuleList(modules[index]) if isinstance(index, slice) else modules[index]

    def __setitem__(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise ArgumentError(f"ModuleList: expected a Module, got {type(module).__qualname__}")
        setattr(self, str(range(len(self))[index]), module)


class ModuleDict(Module):
    """Modules by name, whose parameters are found; it computes nothing itself.

    Args:
        modules: name → module; a name has no dots, and is no attribute of modules.
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        if modules is not None and not isinstance(modules, Mapping):
            raise ArgumentError(f"ModuleDict: expected modules by name, got {type(modules).__qualname__}")
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise ArgumentError(f"ModuleDict: {name} must be a Module, got {type(module).__qualname__}")
        if not isinstance(name, str) or not name or "." in name or (hasattr(self, name) and name not in self):
            raise ArgumentError(f"ModuleDict: no module can be called {name!r}; choose another name, without dots")
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        return dict(self.named_children())[name]

    def __contains__(self, name: object) -> bool:
        return name in dict(self.named_children())

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.named_children())

    def __len__(self) -> int:
        return len(list(self.named_children()))

    def items(self) -> Iterator[tuple[str, Module]]:
        """Names with their modules."""
        return self.named_children()


class Residual(Module):
    """f(x) + shortcut(x): what is learned is how the output differs from the input.

    Args:
        function: f.
        shortcut: the input itself unless given; a 1×1 convolution where f changes the shape.

    Source: He et al., "Deep residual learning for image recognition" (arXiv:1512.03385).
    """

    def __init__(self, function: Module, shortcut: Module | None = None) -> None:
        super().__init__()
        shortcut = Identity() if shortcut is None else shortcut
        for name, part in (("function", function), ("shortcut", shortcut)):
            if not isinstance(part, Module):
                raise ArgumentError(f"Residual: {name} must be a Module, got {type(part).__qualname__}")
        self.function = function
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The shape of both."""
        return self.function(x) + self.shortcut(x)
