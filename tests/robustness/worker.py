"""A process that runs cases: their numbers come on standard input, a line of JSON for each goes to standard output.

    python -m tests.robustness.worker [--backend NAME]

Its memory is limited, and a case that takes longer than it may ends the process, after a traceback.
"""

import argparse
import faulthandler
import json
import resource
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

#: What cases may allocate on top of what the process has at its start, in bytes.
MEMORY = 3 << 29
#: What an emulated device has, in bytes.
DEVICE_MEMORY = 1 << 29
#: Seconds of processor time for one case. The first ones compile what they need.
SECONDS = 30
EMULATED = "cupy-emulated"


def limit_memory() -> None:
    """Let allocations fail beyond `MEMORY` more than now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run(number: int, folder: Path) -> dict[str, object]:
    """Judge one case, with everything that cases may set as it was at the start."""
    import dlcore as dl
    from dlcore import backend
    from tests.robustness.cases import judge

    backend.seed(0)
    dl.set_num_threads(1)
    backend.precision("highest")
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    outcome = judge(number, folder)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return asdict(outcome) | {"is_right": outcome.is_right}


def main() -> None:
    """Run the cases whose numbers come in."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", default="numpy")
    name = parser.parse_args().backend
    answers, sys.stdout = sys.stdout, sys.stderr  # what a case prints is not an answer
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)  # says where, and then the process ends
    if name == EMULATED:
        from tests import emulation

        emulation.install()
        emulation.stand_in().get_default_memory_pool().set_limit(size=DEVICE_MEMORY)
        name = "cupy"
    from dlcore import backend

    with tempfile.TemporaryDirectory(prefix="dlcore-robustness-") as folder, backend.using(name):
        limit_memory()
        for line in sys.stdin:
            result = run(int(line), Path(folder))
            backend.use(name)
            print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
