"""What the command line asks of a benchmark."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What every benchmark takes.

    Attributes:
        threads: of every thread pool.
        quick: a part of the cases, a moment each.
        against: "loops" or "torch"; None for every peer there is.
    """

    threads: int
    quick: bool = False
    against: str | None = None

    def track(self, items: Sequence[T]) -> Iterable[T]:
        """The items, with a progress bar on a terminal."""
        console = Console(stderr=True)
        return track(items, "timing", console=console, transient=True, disable=not sys.stderr.isatty())


@dataclass(frozen=True)
class KernelOptions(Options):
    """What `kernels` takes besides.

    Attributes:
        backend: where dlcore computes.
        only: a regular expression that cases must match.
        rotate: whether inputs are rotated past the caches.
        relu_inputs: whether half of the inputs are zeros, as after a ReLU.
    """

    backend: str = "numpy"
    only: str | None = None
    rotate: bool = False
    relu_inputs: bool = False
