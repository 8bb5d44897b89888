"""Thousands of bad inputs, to everything public and in every kind of file: none crashes, hangs or changes anything.

Each case has a number; `python -m tests.robustness.replay NUMBER` runs it again.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import dlcore as dl
import kernels
from dlcore import backend as backends
from dlcore import data, models, nn, optim, train
from dlcore import functional as F
from dlcore.backend import Backend
from tests.robustness.calls import every_call
from tests.robustness.cases import CALLS, FILES
from tests.robustness.judging import Outcome, judged_exception
from tests.robustness.readers import READERS, Reader
from tests.robustness.runner import judged

#: Of all cases, this share runs by default; no divisor of the number of calls.
EVERY = 17

#: Public names that have no arguments to be wrong, or which other names here go through.
WITHOUT_CALLS = {
    *("backend.Backend", "backend.available", "backend.current", "backend.name", "backend.pointwise"),
    *("backend.synchronize", "backend.total", "backend.xp", "kernels.OWNER", "models.names"),
    *("dl.enable_grad", "dl.get_num_threads", "dl.is_grad_enabled", "dl.no_grad"),
    *("data.cifar10", "data.digits", "data.fashion_mnist", "data.mnist"),  # read by `readers.py`
    *("models.ResNet18", "models.ResNet34", "models.VGG11", "models.VGG16"),
    *("train.History", "train.Progress"),
    # Bases and modules.
    *("dl.Function", "dl.Fused", "dl.Trainer", "data.Dataset", "data.Transform", "nn.HookHandle", "nn.Module"),
    *("nn.Summary", "optim.Optimizer", "optim.Schedule", "train.Callback", "train.Metric"),
    *("dl.backend", "dl.data", "dl.functional", "dl.models", "dl.nn", "dl.optim"),
    *("nn.init", "nn.utils", "data.transforms"),
}
PUBLIC = {
    "kernels": kernels,
    "dl": dl,
    "F": F,
    "nn": nn,
    "optim": optim,
    "data": data,
    "models": models,
    "train": train,
    "backend": backends,
}


def explained(wrong: list[Outcome]) -> str:
    return "\n".join(f"case {o.number}: {o.title}\n    {o.ended}: {o.detail}" for o in wrong)


def test_a_share_of_all_cases(worker_backend: str, judge: Callable[[str, Iterable[int]], list[Outcome]]) -> None:
    end = CALLS + FILES if worker_backend == "numpy" else CALLS // 4
    wrong = judge(worker_backend, range(0, end, EVERY))
    assert not wrong, explained(wrong)


@pytest.mark.slow
def test_all_other_cases(worker_backend: str, judge: Callable[[str, Iterable[int]], list[Outcome]]) -> None:
    end = CALLS + FILES if worker_backend == "numpy" else CALLS // 4
    wrong = judge(worker_backend, [number for number in range(end) if number % EVERY])
    assert not wrong, explained(wrong)


def test_every_public_name_is_called() -> None:
    called = {call.name for call in every_call()}
    names = {f"{prefix}.{name}" for prefix, module in PUBLIC.items() for name in module.__all__}
    names |= {f"Tensor.{n}" for n in vars(dl.Tensor) if not n.startswith("_") and callable(getattr(dl.Tensor, n))}
    assert {name for name in names - called if not name.endswith("Error")} == WITHOUT_CALLS


@pytest.mark.slow
def test_the_calls_that_bad_ones_are_made_of_are_good(backend: Backend) -> None:
    for call in every_call():
        call.function(**call.arguments())


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_the_files_that_bad_ones_are_made_of_are_good(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / f"file{reader.suffix}"
    reader.make(path)
    reader.read(path)


def raised(function: Callable[[], Any]) -> Exception:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("function", "ended"),
    [
        (lambda: dl.zeros(-1), "refused"),
        (lambda: dl.gradcheck(lambda x: 1 / 0, [dl.Tensor([1.0])]), "refused"),
        (lambda: nn.Module()(), "raised a foreign exception"),
        (lambda: kernels.relu(), "refused"),  # Python's own, of the call
    ],
)
def test_exceptions_are_told_apart(function: Callable[[], Any], ended: str) -> None:
    assert judged_exception(raised(function), ())[0] == ended


@pytest.mark.slow
def test_a_case_that_ends_its_process_is_found_and_the_next_one_runs() -> None:
    first, second = judged([-1, 0])  # there is no case -1: the process ends over it
    assert (first.number, first.ended) == (-1, "ended the process")
    assert second.is_right
