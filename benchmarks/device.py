"""`python -m benchmarks device`: kernels and whole steps on a CUDA device, beside PyTorch there and dlcore on the CPU.

Times are taken on the device, by CUDA events around several launches, contenders in turns; a call alone would time the
launch. Every contender computes at one precision, in the memory layout that it likes best.
"""

import contextlib
import functools
import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks import cases, contenders, machine, networks, report, results, timing
from benchmarks.cases import Case, Inputs
from benchmarks.contenders import Call, Contender
from benchmarks.goals import STEP
from benchmarks.kernel_rows import choose
from benchmarks.options import Options
from benchmarks.results import OURS, Row
from dlcore import backend
from dlcore.backend import Backend
from kernels.errors import ArgumentError

#: The backend that rehearses this on the CPU.
EMULATED = "cupy-emulated"
#: The column of dlcore on the machine's processor.
ON_CPU = "dlcore on the CPU"
#: Launches between two events take about so long, so that their own time does not count.
_SPAN_SECONDS = 0.005
_MOST_LAUNCHES = 200
_LEAST_SPANS = 5
_COPY_BYTES = 1 << 28
_MATRIX = 4096

_NOTES = (
    "Times: milliseconds on the device, the fastest of several spans between CUDA events. × : how many times dlcore on",
    "the device is faster. PyTorch best: the better of NCHW and channels last, row by row, at the same precision.",
    "Ceiling: of a product of large matrices at this precision where a GFLOP/s stands, else of a large copy.",
)


@dataclass(frozen=True)
class DeviceOptions(Options):
    """What `device` takes besides.

    Attributes:
        backend: the device's backend.
        only: a regular expression that cases must match.
        precision: of float32 products, "highest" or "tf32".
    """

    backend: str = "cupy"
    only: str | None = None
    precision: str = "highest"


def run(options: DeviceOptions) -> dict[str, Any]:
    """Measure what the options ask for, print it, and return it for JSON.

    Raises:
        DLCoreError: the backend is not to be had, or is the CPU's.
    """
    emulated = options.backend == EMULATED
    if emulated:
        importlib.import_module("tests.emulation").install()  # a stand-in for CuPy, which only tests have
    where = backend.get("cupy" if emulated else options.backend)
    if where.is_host:
        raise ArgumentError(f'device: expected a CUDA backend such as "cupy", got {options.backend!r}')
    seconds = 0.01 if options.quick else 0.1
    peers = _pytorch(options.precision)
    chosen = choose(cases.CASES, quick=options.quick, only=options.only)
    if emulated:  # a part of each case: only whether everything runs is of interest
        chosen = [replace(case.sample(), batch=1) for case in chosen]
    batch = 2 if emulated else networks.BATCH
    names = [] if options.only else ["DeepConvNet"] if options.quick else list(networks.NETWORKS)
    before = backend.precision()
    backend.precision(options.precision)
    try:
        with timing.pinned_threads(options.threads, torch=bool(peers)), backend.using(where), where.active_device():
            clock = Clock(where)
            described = {**_describe(where, emulated), **machine.describe("cupy-cuda12x", "cupy-cuda13x", "torch")}
            limits = _Limits(where, clock, options.precision, emulated)
            rows: list[Row] = []
            failed: list[str] = []
            tasks: list[tuple[str, Callable[[], Row]]] = [
                *((str(case), functools.partial(limits.measured, case, peers, clock, seconds)) for case in chosen),
                *((name, functools.partial(measure_step, name, batch, peers, clock, seconds)) for name in names),
            ]
            for what, measured in options.track(tasks):
                try:
                    rows.append(measured())
                except Exception as error:  # one case must not take minutes of others with it
                    failed.append(f"{what}: {type(error).__name__}: {error}")
    finally:
        backend.precision(before)
    found = results.means(rows, lambda key: None)
    report.show_facts({**described, "precision": options.precision})
    report.show_facts(limits.in_words())
    report.show_rows(rows)
    report.show_notes(*_NOTES)
    report.show_notes("")
    report.show_means(found)
    report.show_notes(*(f"FAILED: {failure}" for failure in failed))
    return {
        "command": "device",
        "quick": options.quick,
        "machine": described,
        "precision": options.precision,
        "ceiling": limits.as_json(),
        "failed": failed,
        **results.as_json(rows, found),
    }


class Clock:
    """Times launches on the current stream of a device."""

    def __init__(self, where: Backend) -> None:
        self._where = where
        self._cuda: Any = where.xp.cuda

    def span(self, call: Call, launches: int) -> float:
        """Seconds per call, of so many between two events."""
        begin, end = self._cuda.Event(), self._cuda.Event()
        begin.record()
        for _ in range(launches):
            call()
        end.record()
        end.synchronize()
        return float(self._cuda.get_elapsed_time(begin, end)) * 1e-3 / launches

    def interleave(self, calls: Sequence[Call], seconds: float) -> list[list[float]]:
        """Samples for each call, spans in turns, until each has run for about `seconds`."""
        for call in calls:  # compiles, fills caches and the memory pool
            call()
            call()
        self._where.synchronize()
        launches = [self._launches(self.span(call, 1)) for call in calls]
        samples: list[list[float]] = [[] for _ in calls]
        for _ in range(max(_LEAST_SPANS, math.ceil(seconds / _SPAN_SECONDS))):
            for taken, call, count in zip(samples, calls, launches, strict=True):
                taken.append(self.span(call, count))
        return samples

    @staticmethod
    def _launches(seconds: float) -> int:
        return max(1, min(_MOST_LAUNCHES, math.ceil(_SPAN_SECONDS / max(seconds, 1e-7))))


def measure(case: Case, peers: Sequence[Contender], clock: Clock, seconds: float) -> dict[str, timing.Timing]:
    """Check the contenders on one case, time those on the device in turns, then dlcore on the CPU."""
    inputs = Inputs(case)
    on_device = [Contender(OURS, contenders.launches), *(peer for peer in peers if peer.takes(case))]
    calls = [contender.prepare(case, inputs) for contender in on_device]
    with backend.using("numpy"):
        call = contenders.launches(case, inputs)
        right = contenders.DLCORE.result(case, call())
        on_cpu = timing.interleave([call], min(seconds, 0.05))[0]
    for contender, launched in zip(on_device, calls, strict=True):
        contenders.check(case, contender, launched(), right)
    samples = clock.interleave(calls, seconds)
    taken = {contender.title: timing.Timing(samples=own) for contender, own in zip(on_device, samples, strict=True)}
    return {**taken, ON_CPU: timing.Timing(samples=on_cpu)}


def measure_step(name: str, batch: int, peers: Sequence[Contender], clock: Clock, seconds: float) -> Row:
    """A whole training step: on the device, in PyTorch there, and on the CPU."""
    x = networks.images(batch)
    backend.seed(0)
    calls = {OURS: networks.training_step(networks.NETWORKS[name](), x)}
    with backend.using("numpy"):
        backend.seed(0)
        network = networks.NETWORKS[name]()
        if peers:
            from benchmarks import pytorch_networks

            for peer in pytorch_networks.contenders("cuda"):
                calls[peer.title] = peer.prepare(network, STEP, x)
        on_cpu = networks.training_step(network, x)
        on_cpu()
        cpu_samples = timing.interleave([on_cpu], seconds)[0]
    samples = clock.interleave(list(calls.values()), seconds)
    taken = {title: timing.Timing(samples=own) for title, own in zip(calls, samples, strict=True)}
    taken[ON_CPU] = timing.Timing(samples=cpu_samples)
    return Row(name, STEP, name, "", taken, rate=f"{batch / taken[OURS].minimum:,.0f} images/s")


class _Limits:
    """What the device can do at most: large products and copies."""

    def __init__(self, where: Backend, clock: Clock, precision: str, emulated: bool) -> None:
        xp = where.xp
        matrix, copied = (64, 1 << 16) if emulated else (_MATRIX, _COPY_BYTES)
        a, b = (xp.ones((matrix, matrix), np.float32) for _ in range(2))
        took = self._fastest(clock, lambda: xp.matmul(a, b))
        self.operations = 2 * matrix**3 / took
        source = xp.ones(copied // 4, np.float32)
        target = xp.empty_like(source)
        self.copy = 2 * source.nbytes / self._fastest(clock, lambda: xp.copyto(target, source))
        self.precision = precision

    @staticmethod
    def _fastest(clock: Clock, call: Callable[[], object]) -> float:
        return min(clock.interleave([call], 0.05)[0])

    def measured(self, case: Case, peers: Sequence[Contender], clock: Clock, seconds: float) -> Row:
        """The case's row, with its share of the ceiling."""
        taken = measure(case, peers, clock, seconds)
        fastest = taken[OURS].minimum
        if case.operations:
            rate = case.operations / fastest
            share, words = rate / self.operations, f"{rate / 1e9:.0f} GFLOP/s"
        else:
            rate = case.traffic / fastest
            share, words = rate / self.copy, f"{rate / 1e9:.0f} GB/s"
        return Row(case.group, case.direction, case.kernel, case.layer, taken, share, words)

    def as_json(self) -> dict[str, float]:
        """Both ceilings."""
        return {"gflops": self.operations / 1e9, "copy_gbytes_per_second": self.copy / 1e9}

    def in_words(self) -> dict[str, str]:
        """The same for people."""
        return {
            f"product of matrices, {self.precision}": f"{self.operations / 1e9:,.0f} GFLOP/s",
            "copy": f"{self.copy / 1e9:,.0f} GB/s",
        }


def _describe(where: Backend, emulated: bool) -> dict[str, str | int]:
    """The device, as its driver names it."""
    if emulated:
        return {"device": "cupy-emulated: CUDA sources run on the CPU; times mean nothing"}
    properties = where.xp.cuda.runtime.getDeviceProperties(where.device)
    return {
        "device": properties["name"].decode(),
        "device memory, MiB": properties["totalGlobalMem"] >> 20,
        "multiprocessors": properties["multiProcessorCount"],
        "CUDA runtime": where.xp.cuda.runtime.runtimeGetVersion(),
        "CUDA driver": where.xp.cuda.runtime.driverGetVersion(),
    }


def _pytorch(precision: str) -> list[Contender]:
    """PyTorch on the same device, where it is installed with CUDA, at the same precision."""
    with contextlib.suppress(ImportError):
        import torch

        from benchmarks import pytorch

        if torch.cuda.is_available():
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.benchmark = True
            return pytorch.contenders("cuda")
    return []
