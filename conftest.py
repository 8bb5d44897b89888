"""What tests and benchmarks share: the choice of backends, and the line that says which are covered."""

from collections.abc import Iterator

import pytest

import dlcore
from dlcore import backend as backends


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        metavar="NAME",
        help="run on this backend only (repeatable); without it, on every backend this machine has",
    )


def chosen_backends(config: pytest.Config) -> list[str]:
    """Names of the backends to run on: those asked for with --backend, or all that this machine has."""
    available = backends.available()
    asked: list[str] | None = config.getoption("--backend")
    if asked is None:
        return [name for name, state in available.items() if state is True]
    for name in asked:
        state = available.get(name.partition(":")[0], "no such backend")
        if state is not True:
            raise pytest.UsageError(f"--backend {name}: {state}")
    return asked


def pytest_configure(config: pytest.Config) -> None:
    chosen_backends(config)  # a backend that is not there is said once, before anything is collected


def pytest_report_header(config: pytest.Config) -> list[str]:
    covered = chosen_backends(config)
    header = [f"dlcore {dlcore.__version__}, backends covered: {', '.join(covered)}"]
    for name, state in backends.available().items():
        if name not in covered:
            reason = "left out by --backend" if state is True else state
            header.append(f"backend {name} not covered: {reason}")
    return header


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", chosen_backends(metafunc.config), indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[backends.Backend]:
    """Run the test once per backend, with new arrays made there; the value is the active Backend."""
    with backends.using(request.param):
        yield backends.current()
