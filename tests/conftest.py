"""Fixtures and settings of every test. The `backend` fixture stands in the conftest.py above."""

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType

import hypothesis
import pytest

import dlcore
from dlcore import backend as backends
from tests import emulation

# The same examples in every run, on every machine. The `backend` fixture is set up once per test, not per
# example; it only chooses where arrays are made, so examples may share it.
hypothesis.settings.register_profile(
    "dlcore",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
# Emulated kernels take longer: the cases are the same, but fewer.
hypothesis.settings.register_profile("emulated", parent=hypothesis.settings.get_profile("dlcore"), max_examples=30)
hypothesis.settings.load_profile("emulated" if emulation.is_installed() else "dlcore")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the `torch` fixture, so that `-m torch` finds it."""
    for item in items:
        if isinstance(item, pytest.Function) and "torch" in item.fixturenames:
            item.add_marker("torch")


#: Lines that tests leave for the end of the run.
_CLOSING = pytest.StashKey[list[str]]()


@pytest.fixture(scope="module")
def closing_line(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something at the end of the run: counts, above all."""
    return request.config.stash.setdefault(_CLOSING, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_CLOSING, []):
        terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Start every test from the same random numbers."""
    backends.seed(0)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Kernels on one thread: for many small arrays, which gain nothing from a second but the wait for it."""
    threads = dlcore.get_num_threads()
    dlcore.set_num_threads(1)
    yield
    dlcore.set_num_threads(threads)


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """PyTorch as a peer to compare with; tests that use it are skipped where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed (pip install torch==2.13.0)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("torch")
