"""`python -m benchmarks cold`: what comes before the second step: importing, compiling, reading compiled code.

Every figure is taken in a process of its own, from its first line on; starting Python is not in it.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import machine, report, timing
from benchmarks.goals import COLD_EMPTY, COLD_GOALS, COLD_IMPORT, COLD_WARM
from benchmarks.options import Options
from benchmarks.report import three_digits

_ROOT = Path(__file__).parents[1]
_TRIES = 3
_SLOWEST = 15

_IMPORT = """
import {module}
tell(seconds=clock())
"""

#: DeepConvNet at batch 100, by dlcore and by PyTorch; what follows is the same for both.
_DLCORE = """
import dlcore
imported = clock()
import numpy as np
from dlcore import functional as F, models, optim, tensor
net = models.DeepConvNet((1, 28, 28), 10)
optimizer = optim.Adam(net.parameters())
x, labels = tensor(np.random.rand(100, 1, 28, 28).astype("float32")), np.random.randint(10, size=100)
"""

_TORCH = """
import torch
imported = clock()
from torch.nn import functional as F
torch.set_num_threads({threads})
channels = (1, 16, 16, 32, 32, 64, 64)
layers = []
for k in range(6):
    layers += [torch.nn.Conv2d(channels[k], channels[k + 1], 3, padding=2 if k == 3 else 1), torch.nn.ReLU()]
    layers += [torch.nn.MaxPool2d(2)] if k % 2 else []
layers += [torch.nn.Flatten(), torch.nn.Linear(1024, 50), torch.nn.ReLU(), torch.nn.Dropout()]
net = torch.nn.Sequential(*layers, torch.nn.Linear(50, 10), torch.nn.Dropout())
optimizer = torch.optim.Adam(net.parameters())
x, labels = torch.rand(100, 1, 28, 28), torch.randint(10, (100,))
"""

_STEP = """
def step():
    loss = F.cross_entropy(net(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
step()
first = clock()
step()
tell(seconds=first, imported=imported, second=clock() - first, compiled=times)
"""

_COMPILE_TIMES = """
from benchmarks.compile_times import compile_times
times = compile_times()
"""

_FRAME = """
import json, sys, time
times = {}
began = time.perf_counter()
def clock():
    return time.perf_counter() - began
def tell(**figures):
    print(json.dumps(figures), file=sys.stderr)
"""


def run(options: Options) -> dict[str, Any]:
    """Measure cold starts, print them, and return them for JSON."""
    tries = 1 if options.quick else _TRIES
    with_torch = importlib.util.find_spec("torch") is not None
    figures: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        caches = [Path(folder) / str(number) for number in range(2)]
        figures["import numpy"] = _measure(_IMPORT.format(module="numpy"), caches[0], options.threads, tries)
        figures[COLD_IMPORT] = _measure(_IMPORT.format(module="dlcore"), caches[0], options.threads, tries)
        figures[COLD_EMPTY] = _measure(_DLCORE + _STEP, caches[0], options.threads, 1)
        figures[COLD_WARM] = _measure(_DLCORE + _STEP, caches[0], options.threads, tries)
        if with_torch:
            step = _TORCH.format(threads=options.threads) + _STEP
            figures["import torch"] = _measure(_IMPORT.format(module="torch"), caches[0], options.threads, tries)
            figures["import torch and its first DeepConvNet step"] = _measure(step, caches[0], options.threads, tries)
        (compiling,) = _measure(_COMPILE_TIMES + _DLCORE + _STEP, caches[1], options.threads, 1)
    with timing.pinned_threads(options.threads):
        described = machine.describe("torch")
    report.show_facts(described)
    if not with_torch:
        report.show_notes("Skipped: PyTorch is not installed (pip install torch).")
    report.show_notes("Seconds from a process's first line; the fastest of its tries.", "")
    report.show_table(["what", "tries", "s", "goal, s", "reached"], [_row(*item) for item in figures.items()], right=3)
    compiled: list[tuple[str, float]] = sorted(compiling["compiled"].items(), key=lambda item: -item[1])
    total = sum(seconds for _, seconds in compiled)
    report.show_notes(
        f"Compiled for that step, from an empty cache: {len(compiled)} functions in {total:.1f} s; the slowest:",
        "",
    )
    report.show_table(["function", "s"], [(name, f"{seconds:.2f}") for name, seconds in compiled[:_SLOWEST]], right=1)
    return {
        "command": "cold",
        "machine": described,
        "figures": {what: _without_times(_fastest(taken)) | {"tries": len(taken)} for what, taken in figures.items()},
        "compiled": dict(compiled),
    }


def _measure(script: str, cache: Path, count: int, tries: int) -> list[dict[str, Any]]:
    """What the script tells about itself, in so many processes of its own, one after the other."""
    environment = os.environ | {
        "DLCORE_CACHE": str(cache),
        "DLCORE_NUM_THREADS": str(count),
        "OMP_NUM_THREADS": str(count),
        "PYTHONPATH": str(_ROOT),
    }
    command = [sys.executable, "-c", _FRAME + script]
    taken = []
    for _ in range(tries):
        process = subprocess.run(command, env=environment, check=True, capture_output=True, encoding="utf-8", cwd=_ROOT)
        taken.append(json.loads(process.stderr.strip().splitlines()[-1]))
    return taken


def _without_times(figures: dict[str, Any]) -> dict[str, Any]:
    return {what: figure for what, figure in figures.items() if what != "compiled"}


def _fastest(taken: list[dict[str, Any]]) -> dict[str, Any]:
    return sorted(taken, key=lambda figures: float(figures["seconds"]))[0]


def _row(what: str, taken: list[dict[str, Any]]) -> tuple[str, ...]:
    seconds = float(_fastest(taken)["seconds"])
    goal = COLD_GOALS.get(what)
    if goal is None:
        return what, str(len(taken)), three_digits(seconds), "", ""
    return what, str(len(taken)), three_digits(seconds), f"≤ {goal:g}", "yes" if seconds <= goal else "NO"
