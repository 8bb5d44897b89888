"""`python -m benchmarks kernels`: single kernels, against loops or against other frameworks."""

import functools
import itertools
import re
from collections.abc import Sequence
from typing import Any

from benchmarks import cases, contenders, machine, report, results, timing
from benchmarks.cases import Case, Inputs
from benchmarks.ceiling import CopyBandwidth, arithmetic
from benchmarks.contenders import DLCORE, LOOPS, Call, Contender
from benchmarks.goals import KERNEL_GOALS, PYTORCH_BEST, loop_goal
from benchmarks.options import KernelOptions
from benchmarks.results import OURS, Row
from dlcore import backend

#: Rotated buffers together are so many times as large as the last cache, but no more than so many.
_PAST_CACHE = 2
_MOST_BUFFERS = 64

_NOTES = (
    "Times: milliseconds, the fastest call of many, contenders in turns. × : how many times dlcore is faster.",
    "Contenders get arrays in the memory order that they like best, and dlcore and PyTorch pack weights in the time.",
)
_LOOP_NOTES = (
    "Python loops: timed on a part of the case (fewer images, smaller ones for the largest layers) and scaled by the",
    "number of their innermost steps. Numba loops: the same functions under numba.njit, which runs them on one thread.",
    "Textbook NumPy: its weight gradient is given the patches that its forward pass kept.",
)
_TORCH_NOTES = (
    "PyTorch: NCHW, as a user writes it. PyTorch best: the better of NCHW and channels last, row by row.",
    "Ceiling: of arithmetic where a GFLOP/s stands, else a copy of as many bytes as must be moved. GFLOP/s count the",
    "operations of the definition; Winograd needs fewer. < : below 0.9 of PyTorch's best, and not at the ceiling.",
)


def run(options: KernelOptions) -> dict[str, Any]:
    """Measure what the options ask for, print it, and return it for JSON, with the cases that failed.

    Raises:
        DLCoreError: the backend or the number of threads is not to be had.
    """
    with_torch = options.against == "torch"
    peers, skipped = _framework_peers() if with_torch else (LOOPS, [])
    chosen = choose(cases.CASES if with_torch else cases.LOOP_CASES, quick=options.quick, only=options.only)
    seconds = 0.05 if options.quick else 0.5
    with backend.using(options.backend), timing.pinned_threads(options.threads, torch=with_torch):
        described = {"backend": backend.current().name, **machine.describe("torch", "onnxruntime")}
        limits = Limits()
        taken: dict[Case, dict[str, timing.Timing]] = {}
        failed = []
        for case in options.track(chosen):
            try:
                taken[case] = measure(
                    case, [*peers, DLCORE], seconds, rotate=options.rotate, rectified=options.relu_inputs
                )
            except Exception as error:  # one case must not take minutes of others with it
                failed.append(f"{case}: {type(error).__name__}: {error}")
        limits.measure_again()
        rows = [limits.row(case, timings) for case, timings in taken.items()]
    if with_torch:
        found = results.means(rows, KERNEL_GOALS.get)
    else:
        found = results.means([_by_kernel(row) for row in rows], lambda key: loop_goal(key[0], key[2]))
    buffers = "rotated past the caches" if options.rotate else "hot"
    inputs = {"inputs": "post-ReLU" if options.relu_inputs else "normal", "buffers": buffers}
    report.show_facts({**described, **inputs})
    report.show_facts(limits.in_words())
    report.show_notes(*(f"Skipped: {reason}." for reason in skipped))
    report.show_rows(rows)
    report.show_notes(*_NOTES, *(_TORCH_NOTES if with_torch else _LOOP_NOTES))
    report.show_notes("")
    report.show_means(found)
    if with_torch:
        behind = [row for row in rows if row.is_behind]
        report.show_notes(f"Rows below {PYTORCH_BEST} by more than a tenth: {len(behind)} of {len(rows)}.")
    report.show_notes(*(f"FAILED: {failure}" for failure in failed))
    return {
        "command": "kernels",
        "against": options.against,
        "quick": options.quick,
        "machine": described,
        **inputs,
        "ceiling": limits.as_json(),
        "skipped": skipped,
        "failed": failed,
        **results.as_json(rows, found),
    }


def choose(every: Sequence[Case], *, quick: bool, only: str | None) -> list[Case]:
    """Those cases whose group, kernel, layer or pass matches the regular expression, of all or of the quick ones."""
    chosen = cases.quick(list(every)) if quick else list(every)
    return [case for case in chosen if re.search(only or "", f"{case.group} {case} {case.direction}")]


def _framework_peers() -> tuple[list[Contender], list[str]]:
    from benchmarks import onnx_runtime, pytorch  # slow, and needed here only

    peers, skipped = [], []
    for peer in (pytorch, onnx_runtime):
        if peer.is_installed:
            peers += peer.contenders()
        else:
            skipped.append(peer.MISSING)
    return peers, skipped


def measure(
    case: Case, contending: Sequence[Contender], seconds: float, *, rotate: bool = False, rectified: bool = False
) -> dict[str, timing.Timing]:
    """Check the contenders on one case, then time them in turns for about `seconds` each.

    Without other frameworks the right result is the textbook's, with them it is that of the first of them: the
    textbook would take minutes on the large layers.

    Returns:
        The timing of each contender that takes the case, by title.
    """
    competing = [contender for contender in contending if contender.takes(case)]

    @functools.cache
    def inputs(task: Case, seed: int) -> Inputs:
        return Inputs(task, rectified=rectified, seed=seed)

    right = None
    calls = []
    taken = {}
    for contender in competing:
        task = case.sample() if contender.is_sampled else case
        seeds = range(_buffers(task) if rotate and not contender.is_sampled else 1)
        rotation = [contender.prepare(task, inputs(task, seed)) for seed in seeds]
        result, *_ = [call() for call in rotation]  # warms up, too
        if contender in LOOPS or (right is None and contender is DLCORE):
            contenders.check(task, contender, result, contenders.expected(task, inputs(task, 0)))
        elif right is None:
            right = contender.result(task, result)
        else:
            contenders.check(task, contender, result, right)
        calls.append(_in_turn(rotation))
        taken[contender.title] = timing.Timing(scale=case.steps / task.steps)
    for contender, samples in zip(competing, timing.interleave(calls, seconds), strict=True):
        taken[contender.title].samples = samples
    return taken


def _buffers(task: Case) -> int:
    """How many sets of inputs are larger together than the caches."""
    return int(min(_MOST_BUFFERS, 1 + _PAST_CACHE * machine.last_level_cache() // task.traffic))


def _in_turn(calls: Sequence[Call]) -> Call:
    """A call that makes the next of these calls each time."""
    if len(calls) == 1:
        return calls[0]
    following = itertools.cycle(calls)
    return lambda: next(following)()


class Limits:
    """The machine's ceilings, and how close rows come to them.

    Arithmetic is measured before the cases and after them, for the clock varies; the better of the two counts.
    """

    def __init__(self) -> None:
        self._operations = [arithmetic()]
        self._copies = CopyBandwidth()

    def measure_again(self) -> None:
        """Measure arithmetic once more."""
        self._operations.append(arithmetic())

    def row(self, case: Case, taken: dict[str, timing.Timing]) -> Row:
        """The case's row, with its share of the ceiling."""
        fastest = taken[OURS].minimum
        if case.operations:
            rate = case.operations / fastest
            share, words = rate / max(self._operations), f"{rate / 1e9:.0f} GFLOP/s"
        else:
            rate = case.traffic / fastest
            share, words = rate / self._copies.of(case.traffic), f"{rate / 1e9:.1f} GB/s"
        return Row(case.group, case.direction, case.kernel, case.layer, taken, share, words)

    def as_json(self) -> dict[str, Any]:
        """Arithmetic before and after, and the copies that were measured so far."""
        copies = sorted(self._copies.measured.items())
        return {
            "gflops": [rate / 1e9 for rate in self._operations],
            "copy_gbytes_per_second": {f"{size >> 20} MiB": rate / 1e9 for size, rate in copies},
        }

    def in_words(self) -> dict[str, str]:
        """The same for people."""
        figures = self.as_json()
        copies = (f"{size} {rate:.1f} GB/s" for size, rate in figures["copy_gbytes_per_second"].items())
        return {
            "ceiling": " and ".join(f"{rate:.0f} GFLOP/s" for rate in figures["gflops"]),
            "copies": "; ".join(copies) or "none measured",
        }


def _by_kernel(row: Row) -> Row:
    """The same row, grouped as the goals against loops are: by kernel."""
    return Row(row.kernel, row.action, row.kernel, row.layer, row.timings, row.share, row.rate)
