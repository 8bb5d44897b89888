"""`pytest benchmarks`: every contender on every case, grouped by case.

Plain Python loops run once, on a part of the case; their time is for that part, and `extra_info` says which
multiple of it the whole is. The others run on the whole case.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.cases import CASES, Case, Inputs
from benchmarks.contenders import DLCORE, PEERS, Contender, check
from dlcore.backend import Backend


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.title)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_peer(case: Case, peer: Contender, benchmark: BenchmarkFixture) -> None:
    """Loops in Python, loops under Numba, and the textbook: on the CPU, whatever the backend."""
    _run(case, peer, benchmark)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_dlcore(case: Case, backend: Backend, benchmark: BenchmarkFixture) -> None:
    """Our kernels, once per backend."""
    _run(case, DLCORE, benchmark)


def _run(case: Case, contender: Contender, benchmark: BenchmarkFixture) -> None:
    benchmark.group = str(case)
    task = case.sample() if contender.is_sampled else case
    inputs = Inputs(task)
    call = contender.prepare(task, inputs)
    check(task, contender, inputs, call())
    if contender.is_sampled:
        benchmark.extra_info["scaled_by"] = case.steps / task.steps
        benchmark.pedantic(call)  # type: ignore[no-untyped-call]
    else:
        benchmark(call)
