"""How many bad inputs the tests here went through, for the suite's last lines."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest

from dlcore.backend import Backend
from tests import emulation
from tests.robustness.judging import Outcome
from tests.robustness.runner import judged

_ENDINGS: pytest.StashKey[dict[str, Counter[str]]] = pytest.StashKey()

Judge = Callable[[str, Iterable[int]], list[Outcome]]


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Judge:
    """Runs cases on a backend, counts how they end, and returns those that end as they should not."""
    endings = request.config.stash.setdefault(_ENDINGS, {})

    def run(backend: str, numbers: Iterable[int]) -> list[Outcome]:
        counted, wrong = endings.setdefault(backend, Counter()), []
        for outcome in judged(numbers, backend):
            counted[outcome.ended] += 1
            if not outcome.is_right:
                wrong.append(outcome)
        return wrong

    return run


@pytest.fixture
def worker_backend(backend: Backend) -> Iterator[str]:
    """What a worker process calls the backend of the test."""
    return "cupy-emulated" if emulation.is_installed() and not backend.is_host else backend.name


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for backend, counted in config.stash.get(_ENDINGS, {}).items():
        refused, results = counted["refused"], counted["result"]
        terminalreporter.line(
            f"bad input on {backend}: {counted.total()} cases, {refused} refused with a documented exception, "
            f"{results} with a result, {counted.total() - refused - results} defects"
        )
