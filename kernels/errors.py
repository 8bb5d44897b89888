"""The exceptions of dlcore.

Each derives from `DLCoreError` and from the built-in type that a person would expect, names the argument,
echoes what was given and says what was expected. `dlcore` re-exports all of them.
"""


class DLCoreError(Exception):
    """Base of every exception that dlcore and its kernels raise on purpose.

    Attributes:
        where: the layer that raised it, as "features.3, Conv2d(16, 32, …)": its path in the network that was called,
            and what it is. The text begins with it. "" for what was not raised inside a network.
    """

    where: str = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.where}: {message}" if self.where else message


class ArgumentError(DLCoreError, ValueError):
    """An option has a value outside its range (a stride of 0, an unknown name)."""


class ShapeError(DLCoreError, ValueError):
    """An array has a shape that does not fit the operation or the other arrays."""


class UnsizedError(ShapeError, TypeError):
    """A tensor without axes was used as a sequence."""


class IndexingError(ShapeError, IndexError):
    """An index lies outside a tensor, or is of no kind that indexes one."""


class DTypeError(DLCoreError, TypeError):
    """An array has an element type that the operation does not take, or that differs from the others'."""


class BackendUnavailableError(DLCoreError, RuntimeError):
    """The backend cannot be used on this machine: a package or a device is missing."""


class BackendMismatchError(DLCoreError, TypeError):
    """Arrays of two backends met in one operation; dlcore never copies between devices silently."""


class DeviceMemoryError(DLCoreError, MemoryError):
    """A GPU, or this machine, has too little memory free for what was asked."""


class GraphError(DLCoreError, RuntimeError):
    """The autograd graph cannot do what was asked (freed, modified in place, no gradient to compute)."""


class GradientCheckError(DLCoreError, AssertionError):
    """An analytic derivative differs from the numerical one."""


class StateDictError(DLCoreError, ValueError):
    """Saved names or shapes do not match the network or optimiser that they are loaded into."""


class FileFormatError(DLCoreError, ValueError):
    """A file is truncated, damaged, or not of the kind that was expected."""


class MissingFileError(DLCoreError, FileNotFoundError):
    """A file or folder that was named does not exist."""


class CheckpointError(DLCoreError, OSError):
    """A checkpoint cannot be written, or none of those that are there can be read."""


class DataError(DLCoreError, ValueError):
    """A dataset is empty or inconsistent, or a label lies outside the classes."""


class DataUnavailableError(DLCoreError, FileNotFoundError):
    """A dataset is neither on this machine nor downloadable from here."""


class TrainingError(DLCoreError, ArithmeticError):
    """Training cannot go on: the loss is NaN or infinite."""
