"""Modules that hold modules."""

from collections.abc import Iterator, Mapping

from dlcore.nn.fusion import fused
from dlcore.nn.module import Module, is_observed
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError


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
            if hasattr(self, name) or not name or "." in name:
                raise ArgumentError(f"Sequential: no layer can be called {name!r}; choose another name, without dots")
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """The last module's output. Some neighbours are computed together; see `dlcore.nn.fusion`."""
        for step in self if is_observed() else fused(list(self)):
            x = step(x)
        return x

    def __iter__(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def __len__(self) -> int:
        return len(list(self.named_children()))

    def __getitem__(self, index: int | slice) -> Module:
        layers = list(self)
        return Sequential(*layers[index]) if isinstance(index, slice) else layers[index]
