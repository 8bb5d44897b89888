"""Errors planted in derivatives, the graph, hooks and composites: the checks of the default suite must notice each.

A mutant survives if every check that runs its function holds. With `-m slow` all are planted, and counted in the
closing lines; a few in every run. `tests/kernels` has those of kernels.
"""

import importlib
import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests import test_autograd, test_functional, test_graph, test_tensor
from tests.nn import test_hooks
from tests.ops import mutants, oracles
from tests.ops.cases import CASES
from tests.ops.mutants import EQUIVALENT, QUICK, WRITTEN
from tests.ops.mutation import Mutant
from tests.ops.test_derivatives import CASES as ALL_CASES

pytestmark = pytest.mark.usefixtures("one_thread")

FILES = list(mutants.operations())


@pytest.mark.parametrize("mutant", QUICK, ids=str)
def test_a_few_planted_errors_are_caught(mutant: Mutant) -> None:
    own = mutant.function.partition(".")[0].strip("_")
    names = {"per_input": ["add-broadcast"], "walk": ["multiply-itself"]}
    cases = [case for case in CASES if case.op.__name__ == own or case.name in names.get(own, ())]
    checks = oracles.measured(oracles.of_cases(cases[:4]))
    assert oracles.what_catches(checks, mutant.target(), mutant.planted()), f"{mutant} survives"


@pytest.fixture(scope="module")
def checks(request: pytest.FixtureRequest) -> list[oracles.Oracle]:
    """The default suite's checks, all of which hold with nothing planted."""
    torch: ModuleType | None = None
    if importlib.util.find_spec("torch") is not None:
        torch = request.getfixturevalue("torch")
    families = [importlib.import_module(f"tests.ops.test_{name}") for name in FILES if _has_tests(name)]
    modules = [*families, test_autograd, test_graph, test_hooks, test_functional, test_tensor]
    return oracles.measured([*oracles.of_cases(ALL_CASES, torch), *oracles.of_tests(modules, torch)])


def _has_tests(file: str) -> bool:
    return importlib.util.find_spec(f"tests.ops.test_{file}") is not None


@pytest.fixture(scope="module")
def tally(closing_line: Callable[[str], None]) -> Iterator[dict[str, tuple[int, int]]]:
    """How many were planted and caught, by file: printed in the end."""
    counts: dict[str, tuple[int, int]] = {}
    yield counts
    if counts:
        planted, caught = map(sum, zip(*counts.values(), strict=True))
        each = ", ".join(f"{name} {b} of {a}" for name, (a, b) in counts.items())
        closing_line(f"autograd mutants: {planted} planted, {caught} caught ({each})")


def plant(given: list[Mutant], checks: list[oracles.Oracle]) -> list[Mutant]:
    """Those that survive."""
    return [m for m in given if oracles.what_catches(checks, m.target(), m.planted()) is None]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_every_error_generated_in_an_operation_is_caught(
    file: str, checks: list[oracles.Oracle], tally: dict[str, tuple[int, int]]
) -> None:
    given = [mutant for mutant in mutants.generated_in(file) if str(mutant) not in EQUIVALENT]
    survivors = plant(given, checks)
    tally[file] = len(given), len(given) - len(survivors)
    assert not survivors, "survivors:\n" + "\n".join(map(str, survivors))


@pytest.mark.slow
@pytest.mark.parametrize("family", WRITTEN)
def test_every_written_error_is_caught(
    family: str, checks: list[oracles.Oracle], tally: dict[str, tuple[int, int]]
) -> None:
    if family == "composites" and importlib.util.find_spec("torch") is None:
        pytest.skip("many of these values are compared with PyTorch's only, which is not installed")
    survivors = plant(WRITTEN[family], checks)
    tally[family] = len(WRITTEN[family]), len(WRITTEN[family]) - len(survivors)
    assert not survivors, "survivors:\n" + "\n".join(map(str, survivors))


def test_every_operation_has_mutants_and_no_exception_is_out_of_date() -> None:
    made = [mutant for file in FILES for mutant in mutants.generated_in(file)]
    counts = Counter(mutant.function.partition(".")[0] for mutant in made)
    assert set(EQUIVALENT) <= {str(mutant) for mutant in made}
    assert [op for own in mutants.operations().values() for op in own if not counts[op.__name__]] == []
