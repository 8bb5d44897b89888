"""How times are taken: interleaved, after a warm-up, with every thread pool pinned."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import threadpoolctl

import dlcore
from kernels.cpu import threads

_TURN_SECONDS = 0.01
_LEAST_TURNS = 3


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


def interleave(calls: Sequence[Callable[[], object]], seconds: float) -> list[list[float]]:
    """Time `calls` in turns, A B C A B C …, until each has run for `seconds` or had its least number of turns.

    Taking turns lets a slow spell of the machine fall on all of them. A turn is one call, or as many as fit
    into 10 ms. Every call must have been warmed up before.

    Returns:
        For each call, the seconds that its single runs took.
    """
    samples: list[list[float]] = [[] for _ in calls]
    turns = 0
    unfinished = list(range(len(calls)))
    while unfinished:
        for index in unfinished:
            turn_began = time.perf_counter()
            ended = turn_began
            while ended - turn_began < _TURN_SECONDS:
                began = time.perf_counter()
                calls[index]()
                ended = time.perf_counter()
                samples[index].append(ended - began)
        turns += 1
        unfinished = [index for index in unfinished if turns < _LEAST_TURNS or sum(samples[index]) < seconds]
    return samples


@contextmanager
def pinned_threads(count: int) -> Iterator[None]:
    """Give the kernels' pool and every BLAS and OpenMP pool in the process `count` threads within the block."""
    before = threads.get_num_threads()
    threads.set_num_threads(count)
    try:
        with threadpoolctl.threadpool_limits(count):
            yield
    finally:
        threads.set_num_threads(before)


def machine() -> Mapping[str, str | int]:
    """What the times were taken on: processor, thread count, versions."""
    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": threads.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "blas": ", ".join(f"{pool['internal_api']} {pool['version']}" for pool in blas),
        "numba": version("numba"),
        "dlcore": dlcore.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
