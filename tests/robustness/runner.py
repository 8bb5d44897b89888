"""Cases handed to worker processes; a worker that crashes or hangs is a defect of its case, and the next takes over."""

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.robustness.judging import Outcome

#: Seconds on the clock after which a case counts as hanging, even if it computes nothing; the worker limits its own
#: processor time before.
PATIENCE = 120.0
ROOT = Path(__file__).parents[2]


class Worker:
    """A process of `tests.robustness.worker`."""

    def __init__(self, backend: str) -> None:
        self._folder = tempfile.TemporaryDirectory()  # what a case writes under a name without a folder lands here
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process lives)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "DLCORE_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        environment.pop("DLCORE_BACKEND", None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.robustness.worker", "--backend", backend],
            cwd=self._folder.name,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def judge(self, number: int) -> Outcome | None:
        """The outcome of a case; None if the process ended over it, or had to be ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"%d\n" % number)
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            self._process.kill()
        line = self._process.stdout.readline()
        if not line:
            return None
        values = json.loads(line)
        values.pop("is_right")
        return Outcome(**values)

    def last_words(self) -> str:
        """How the process ended, and the end of what it said."""
        code = self._process.wait()
        self._errors.seek(0)
        return f"exit code {code}: ... {self._errors.read().decode(errors='replace')[-1500:]}"

    def close(self) -> None:
        """End the process, if it has not ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
        self._errors.close()
        self._folder.cleanup()


def judged(numbers: Iterable[int], backend: str = "numpy") -> Iterator[Outcome]:
    """The outcomes of these cases, in their order."""
    worker = Worker(backend)
    try:
        for number in numbers:
            outcome = worker.judge(number)
            if outcome is None:
                yield Outcome(number, "?", "ended the process", worker.last_words())
                worker.close()
                worker = Worker(backend)
            else:
                yield outcome
    finally:
        worker.close()
