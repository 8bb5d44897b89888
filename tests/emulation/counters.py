"""What the emulated device was asked for: so that tests can say what a training step must not do."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Counts:
    """How often something happened since the last `reset`.

    Attributes:
        gets: copies from the device to the host, by the way they came about: "get", "item", "float", "bool", "int" …
        sets: copies from the host to the device.
        synchronizations: waits for the device that copy nothing, by what waited.
        launches: kernels of RawModule, by name.
        array_functions: array functions of the stand-in, by name; on a device each is a launch or more.
        layout_copies: copies of 4-D arrays into another memory order, by the function that made them.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start from zero."""
        self.gets: Counter[str] = Counter()
        self.sets = 0
        self.synchronizations: Counter[str] = Counter()
        self.launches: Counter[str] = Counter()
        self.array_functions: Counter[str] = Counter()
        self.layout_copies: Counter[str] = Counter()


counts = Counts()


@contextmanager
def counting() -> Iterator[Counts]:
    """A block that is counted from zero."""
    counts.reset()
    yield counts
