"""What a kernel asks of the device: so many launches and nothing else, counted where CuPy is emulated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kernels
from dlcore import optim
from dlcore.backend import Backend
from kernels.types import Array
from tests import emulation

WINDOW: dict[str, Any] = {"kernel_size": 2, "stride": 1, "padding": "same"}


class Given:
    """Arguments on a backend, images in channels-last memory as kernels return them."""

    def __init__(self, backend: Backend) -> None:
        random = np.random.default_rng(0)
        block = random.standard_normal((2, 4, 4, 8)).astype(np.float32)
        self.x = backend.asarray(block).transpose(0, 3, 1, 2)
        self.argmax = backend.asarray(np.zeros(block.shape, np.uint8)).transpose(0, 3, 1, 2)
        self.kept = backend.asarray(block > 0).transpose(0, 3, 1, 2)
        self.rows = backend.asarray(random.standard_normal((5, 8)).astype(np.float32))
        self.numbers = backend.asarray(np.ones(8, np.float32))
        self.of_rows = backend.asarray(np.ones(5, np.float32))
        self.labels = backend.asarray(np.arange(5))


#: Calls, and how many launches each takes.
CALLS: dict[str, tuple[Callable[[Given], Any], int]] = {
    "relu": (lambda a: kernels.relu(a.x), 1),
    "relu_grad": (lambda a: kernels.relu_grad(a.x, a.x), 1),
    "max_pool2d": (lambda a: kernels.max_pool2d(a.x, **WINDOW), 1),
    "max_pool2d_grad": (lambda a: kernels.max_pool2d_grad(a.x, a.argmax, a.x.shape, **WINDOW), 1),
    "max_pool2d_gather": (lambda a: kernels.max_pool2d_gather(a.x, a.argmax, **WINDOW), 1),
    "avg_pool2d": (lambda a: kernels.avg_pool2d(a.x, 2), 1),
    "avg_pool2d of all": (lambda a: kernels.avg_pool2d(a.x, 4), 1),
    "avg_pool2d_grad": (lambda a: kernels.avg_pool2d_grad(a.x, a.x.shape, **WINDOW), 1),
    "batch_norm": (lambda a: kernels.batch_norm(a.x, a.numbers, a.numbers), 3),
    "batch_norm_inference": (lambda a: kernels.batch_norm_inference(a.x, *[a.numbers] * 4), 1),
    "batch_norm_grad": (lambda a: kernels.batch_norm_grad(a.x, a.x, *[a.numbers] * 4), 3),
    "layer_norm": (lambda a: kernels.layer_norm(a.rows, a.numbers, a.numbers), 1),
    "layer_norm_grad": (lambda a: kernels.layer_norm_grad(a.rows, a.rows, a.numbers, a.of_rows, a.of_rows), 3),
    "softmax_cross_entropy": (lambda a: kernels.softmax_cross_entropy(a.rows, a.labels), 1),
    "softmax_cross_entropy_grad": (lambda a: kernels.softmax_cross_entropy_grad(a.of_rows, a.rows, a.labels), 1),
    "dropout": (lambda a: kernels.dropout(a.x, 0.5, key=1), 1),
    "dropout_grad": (lambda a: kernels.dropout_grad(a.x, a.kept, 0.5), 1),
}


def counted(call: Callable[[], Any]) -> tuple[int, int]:
    """How many kernels a call launches, and how often it does anything else that a device would notice."""
    if not emulation.is_installed():
        pytest.skip("only the emulated CuPy counts what it is asked for (--backend cupy-emulated)")
    with emulation.counting() as counts:
        call()
    others = counts.gets + counts.synchronizations + counts.array_functions + counts.layout_copies
    return counts.launches.total(), others.total() + counts.sets


@pytest.mark.parametrize("name", CALLS)
def test_kernels_do_nothing_but_launch(backend: Backend, name: str) -> None:
    call, launches = CALLS[name]
    given = Given(backend)
    assert counted(lambda: call(given)) == (launches, 0)


def test_a_step_of_all_parameters_is_one_launch(backend: Backend) -> None:
    """At first the table of addresses is sent; as long as arrays stay where they are, never again."""
    shapes: list[tuple[int, ...]] = [(3, 4), (), (5000,), (7,)]
    parameters: list[list[Array]] = [[backend.asarray(np.ones(shape)) for _ in range(4)] for shape in shapes]
    numbers = [(0.1, 0.1, 0.01, 1.5, 1.7, 1e-3)] * len(shapes)

    def step() -> None:
        kernels.optimizer_step(optim.Adam.formula, parameters, numbers, weight_decay=0.1)

    assert counted(step) == (1, 1)
    assert counted(step) == (1, 0)
