"""What tests and benchmarks share: the choice of backends, and the lines that say which were covered."""

from collections import Counter
from collections.abc import Iterator

import pytest

import dlcore
from dlcore import backend as backends

#: CuPy as tests/emulation stands in for it. It is never chosen without being asked for.
EMULATED = "cupy-emulated"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        metavar="NAME",
        help=f"run on this backend only (repeatable), {EMULATED} among them: CUDA kernels on the CPU, with no GPU; "
        "without it, on every backend this machine has",
    )


def chosen_backends(config: pytest.Config) -> list[str]:
    """Names of the backends to run on: those asked for with --backend, or all that this machine has."""
    available = backends.available()
    asked: list[str] | None = config.getoption("--backend")
    if asked is None:
        return [name for name, state in available.items() if state is True]
    for name in asked:
        state = True if name == EMULATED else available.get(name.partition(":")[0], "no such backend")
        if state is not True:
            raise pytest.UsageError(f"--backend {name}: {state}")
        if name.startswith("cupy") and name != EMULATED and EMULATED in asked:
            raise pytest.UsageError(f"--backend {EMULATED} takes CuPy's place: run {name} on its own")
    return asked


def pytest_configure(config: pytest.Config) -> None:
    if EMULATED in (config.getoption("--backend") or ()):
        from tests import emulation

        emulation.install()
    chosen_backends(config)  # a backend that is not there is said once, before anything is collected


def pytest_report_header(config: pytest.Config) -> list[str]:
    covered = chosen_backends(config)
    header = [f"dlcore {dlcore.__version__}, backends covered: {', '.join(covered)}"]
    for name, state in backends.available().items():
        if name not in covered and not (name == "cupy" and EMULATED in covered):
            reason = "left out by --backend" if state is True else state
            header.append(f"backend {name} not covered: {reason}")
    if "numpy" not in covered:
        header.append("tests that concern no backend are left out: they run with numpy")
    return header


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", chosen_backends(metafunc.config), indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[backends.Backend]:
    """Run the test once per backend, with new arrays made there; the value is the active Backend."""
    name: str = request.param
    if name == EMULATED:
        from tests import emulation

        if reason := emulation.why_not():
            pytest.skip(reason)
        name = "cupy"
    with backends.using(name):
        yield backends.current()


# --------------------------------------------------------------------------------------- what was covered, by backend


def _backend_of(item: pytest.Item) -> str:
    """The backend that a test runs on, "no backend" if it concerns none."""
    call = getattr(item, "callspec", None)
    return str(call.params["backend"]) if call is not None and "backend" in call.params else "no backend"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs with NumPy anyway, and note of each test where it runs, for the closing lines."""
    covered = chosen_backends(config)
    has_device = backends.available()["cupy"] is True and EMULATED not in covered
    for item in items:
        item.user_properties.append(("backend", _backend_of(item)))
        if item.get_closest_marker("device") and not has_device:
            reason = "the emulated CuPy is none" if EMULATED in covered else backends.available()["cupy"]
            item.add_marker(pytest.mark.skip(reason=f"needs a CUDA device: {reason}"))
    if "numpy" not in covered:
        config.hook.pytest_deselected(items=[item for item in items if _backend_of(item) == "no backend"])
        items[:] = [item for item in items if _backend_of(item) != "no backend"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How many tests passed, failed and were skipped on each backend."""
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in (*chosen_backends(config), "no backend")}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed"):
        for report in terminalreporter.stats.get(outcome, ()):
            where = dict(getattr(report, "user_properties", ())).get("backend", "no backend")
            outcomes.setdefault(where, Counter())[outcome] += 1
    terminalreporter.section("tests by backend")
    for name, counted in outcomes.items():
        if counted:
            terminalreporter.line(f"{name}: {', '.join(f'{number} {outcome}' for outcome, number in counted.items())}")
