"""Where in a network something happened: the path of a layer, put in front of what it raises.

While an exception passes through the calls of the modules around the one that raised it, each of them makes the path
longer: "3", "features.3". A layer that was called on its own has none.
"""

from typing import TYPE_CHECKING, NamedTuple

from kernels.errors import DLCoreError

if TYPE_CHECKING:
    from dlcore.nn.module import Module


class _Location(NamedTuple):
    """What is noted on an exception: plain values, so that it can be pickled without the network."""

    path: str  # from the outermost module so far to the layer that raised
    layer: str
    outermost: int  # that module's id; it is still being called, so no other object has it


def locate(error: Exception, module: "Module") -> None:
    """Note that an exception leaves a call of this module; called for each one on its way, the innermost first.

    One of dlcore's own gets the layer as its `where`, which its text begins with; any other gets a note, which Python
    prints below its text.
    """
    known: _Location | None = error.__dict__.get("_location")
    if known is None:
        error.__dict__["_location"] = _Location("", _kind(module), id(module))
        return
    prefix = next((path for path, part in module.named_modules() if id(part) == known.outermost), "")
    if not prefix:  # called, but no part of this module; or this very module, which calls itself
        return
    located = known._replace(path=f"{prefix}.{known.path}" if known.path else prefix, outermost=id(module))
    error.__dict__["_location"] = located
    where = f"{located.path}, {located.layer}"
    if isinstance(error, DLCoreError):
        error.where = where
        return
    note = f"in {known.path}, {known.layer}"
    notes = [text for text in getattr(error, "__notes__", ()) if text != note]
    error.__notes__ = [*notes, f"in {where}"]


def describe(path: str, module: "Module") -> str:
    """A layer by its path and what it is: "features.3, Conv2d(16, 32, …)"; the network itself has no path."""
    return f"{path}, {_kind(module)}" if path else f"the network itself, {_kind(module)}"


def _kind(module: "Module") -> str:
    """A layer with its arguments; of a module of modules, which would fill lines, the class."""
    return type(module).__name__ if any(True for _ in module.named_children()) else repr(module)
