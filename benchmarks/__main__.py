"""`python -m benchmarks`: every case, every contender, in turns; a table of times and ratios."""

import argparse
import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks import report, timing
from benchmarks.cases import CASES, QUICK_CASES, Case, Inputs
from benchmarks.contenders import CONTENDERS, check
from dlcore import backend
from kernels.errors import DLCoreError


def main() -> None:
    """Run the benchmarks that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one layer per kernel, a moment each")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every thread pool (all cores)")
    parser.add_argument("--backend", default="numpy", help='where dlcore computes: "numpy" or "cupy"')
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the times here, with the machine's description")
    options = parser.parse_args()

    cases, seconds = (QUICK_CASES, 0.05) if options.quick else (CASES, 0.5)
    progress = track(cases, "timing", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    try:
        with backend.using(options.backend), timing.pinned_threads(options.threads):
            rows = [report.Row(case, measure(case, seconds)) for case in progress]
            machine = {"backend": backend.current().name, **timing.machine()}
    except DLCoreError as error:
        parser.error(str(error))

    report.show(rows, machine)
    if options.json:
        options.json.write_text(json.dumps(report.as_json(rows, machine), indent=1) + "\n")


def measure(case: Case, seconds: float) -> dict[str, timing.Timing]:
    """Check the contenders on one case, then time them in turns for about `seconds` each.

    Returns:
        The timing of each contender, by title.
    """
    calls = []
    timings = []
    for contender in CONTENDERS:
        task = case.sample() if contender.is_sampled else case
        inputs = Inputs(task)
        call = contender.prepare(task, inputs)
        check(task, contender, inputs, call())  # warms up, too
        calls.append(call)
        timings.append(timing.Timing(scale=case.steps / task.steps))
    for taken, samples in zip(timings, timing.interleave(calls, seconds), strict=True):
        taken.samples = samples
    return {contender.title: taken for contender, taken in zip(CONTENDERS, timings, strict=True)}


if __name__ == "__main__":
    main()
