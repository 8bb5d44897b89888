"""How times are taken: interleaved, after a warm-up, with every thread pool pinned, and asleep in the others' turns."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import threadpoolctl

from kernels.cpu import threads

_TURN_SECONDS = 0.01
#: At least so many turns; of calls that take long, at least so many.
_LEAST_TURNS, _LEAST_SLOW_TURNS = 5, 2
_SLOW_SECONDS = 1.0
_LONG_CALL_SECONDS = 0.3
#: Other threads are taken to be asleep once they use less than this share of a core.
_ASLEEP = 0.2
_LONGEST_WAIT = 0.25
_NAP_SECONDS = 0.0005


@dataclass
class Timing:
    """The seconds that single calls took, and how many such calls the case is worth.

    Attributes:
        scale: above 1 where a part of the case was timed: the share of the whole is 1 / scale.
        samples: seconds per call, as measured.
    """

    scale: float = 1.0
    samples: list[float] = field(default_factory=list)

    @property
    def minimum(self) -> float:
        """Seconds for the whole case, from the fastest call: the figure least disturbed by other programs."""
        return min(self.samples) * self.scale

    @property
    def median(self) -> float:
        """Seconds for the whole case, from the median call."""
        return statistics.median(self.samples) * self.scale

    def as_json(self) -> dict[str, Any]:
        """The samples in short."""
        return {
            "minimum_ms": self.minimum * 1e3,
            "median_ms": self.median * 1e3,
            "calls": len(self.samples),
            "scaled_by": self.scale,
        }


def interleave(calls: Sequence[Callable[[], object]], seconds: float) -> list[list[float]]:
    """Time `calls` in turns, A B C A B C …, until each has run for `seconds` and had its least number of turns.

    Taking turns lets a slow spell of the machine fall on all of them. A turn is two calls, or as many as fit into
    10 ms; the first is not counted, for it finds the caches full of the others' data and its threads asleep. (A call of
    more than 0.3 s is a turn by itself.) Before each turn the threads of the turn before have gone to sleep. Every call
    must have been warmed up before.

    Returns:
        For each call, the seconds that its single runs took.
    """
    samples: list[list[float]] = [[] for _ in calls]
    spent = [0.0 for _ in calls]
    turns = 0
    unfinished = list(range(len(calls)))
    while unfinished:
        for index in unfinished:
            wait_until_asleep()
            taken = _turn(calls[index])
            spent[index] += sum(taken)
            samples[index] += taken[1:] or taken
        turns += 1
        unfinished = [index for index in unfinished if spent[index] < seconds or turns < _least_turns(spent[index])]
    return samples


def _least_turns(spent: float) -> int:
    return _LEAST_SLOW_TURNS if spent > _SLOW_SECONDS else _LEAST_TURNS


def _turn(call: Callable[[], object]) -> list[float]:
    """The seconds of each call: at least two, so that every contender's first can be left out, unless one is long."""
    taken: list[float] = []
    turn_began = ended = time.perf_counter()
    while not taken or ended - turn_began < _TURN_SECONDS or (len(taken) == 1 and taken[0] < _LONG_CALL_SECONDS):
        began = time.perf_counter()
        call()
        ended = time.perf_counter()
        taken.append(ended - began)
    return taken


def wait_until_asleep() -> None:
    """Wait until this process uses no processor: idle threads of OpenMP and BLAS spin for a while after their work.

    A pool that spins would take a core from whoever comes next. Gives up after a quarter of a second.
    """
    deadline = time.perf_counter() + _LONGEST_WAIT
    while time.perf_counter() < deadline:
        began, used = time.perf_counter(), time.process_time()
        time.sleep(_NAP_SECONDS)
        if time.process_time() - used < _ASLEEP * (time.perf_counter() - began):
            return


@contextmanager
def pinned_threads(count: int, *, torch: bool = False) -> Iterator[None]:
    """Give the kernels' pool and every BLAS and OpenMP pool in the process `count` threads within the block.

    With `torch` PyTorch's pool too, where it is installed, and from now on.
    """
    if torch:
        from benchmarks import pytorch  # slow, and not always wanted

        if pytorch.is_installed:
            pytorch.set_num_threads(count)
    before = threads.get_num_threads()
    threads.set_num_threads(count)
    try:
        with threadpoolctl.threadpool_limits(count):
            yield
    finally:
        threads.set_num_threads(before)
