"""`pytest benchmarks`: every contender on every case, grouped by case.

Plain Python loops run once, on a part of the case; their time is for that part, and `extra_info` says which
multiple of it the whole is. The others run on the whole case. Large layers are marked slow: `-m ""` runs them too.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import onnx_runtime, pytorch
from benchmarks.cases import CASES, LOOP_CASES, Case, Inputs
from benchmarks.contenders import DLCORE, LOOPS, Contender, check, expected
from dlcore.backend import Backend

#: Innermost steps of a case above which it is marked slow: about a second, with what the checks take.
_SLOW_STEPS = 100_000_000


def _parameters(cases: list[Case]) -> list[object]:
    return [
        pytest.param(case, marks=[pytest.mark.slow] if case.steps > _SLOW_STEPS else [], id=str(case)) for case in cases
    ]


@pytest.mark.parametrize("peer", LOOPS, ids=lambda peer: peer.title)
@pytest.mark.parametrize("case", _parameters(LOOP_CASES))
def test_loops(case: Case, peer: Contender, benchmark: BenchmarkFixture) -> None:
    """Loops in Python, loops under Numba, and the textbook: on the CPU, whatever the backend."""
    _run(case, peer, benchmark)


@pytest.mark.torch
@pytest.mark.skipif(not pytorch.is_installed, reason=pytorch.MISSING)
@pytest.mark.parametrize("number", range(2), ids=["NCHW", "channels_last"])
@pytest.mark.parametrize("case", _parameters(CASES))
def test_pytorch(case: Case, number: int, benchmark: BenchmarkFixture) -> None:
    """PyTorch in both memory formats."""
    _run(case, pytorch.contenders()[number], benchmark)


@pytest.mark.skipif(not onnx_runtime.is_installed, reason=onnx_runtime.MISSING)
@pytest.mark.parametrize("case", _parameters([case for case in CASES if case.kernel == "conv2d"]))
def test_onnx_runtime(case: Case, benchmark: BenchmarkFixture) -> None:
    """ONNX Runtime, the forward pass of convolutions."""
    _run(case, onnx_runtime.contenders()[0], benchmark)


@pytest.mark.parametrize("case", _parameters(CASES))
def test_dlcore(case: Case, backend: Backend, benchmark: BenchmarkFixture) -> None:
    """Our kernels, once per backend."""
    _run(case, DLCORE, benchmark)


def _run(case: Case, contender: Contender, benchmark: BenchmarkFixture) -> None:
    if not contender.takes(case):
        pytest.skip(f"{contender.title} does not compete in {case.kernel}")
    benchmark.group = str(case)
    task = case.sample() if contender.is_sampled else case
    inputs = Inputs(task)
    call = contender.prepare(task, inputs)
    check(task, contender, call(), expected(task, inputs))
    if contender.is_sampled:
        benchmark.extra_info["scaled_by"] = case.steps / task.steps
        benchmark.pedantic(call)  # type: ignore[no-untyped-call]
    else:
        benchmark(call)
