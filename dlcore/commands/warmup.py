"""`dlcore warmup`."""

import functools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dlcore import functional as F
from dlcore import models
from dlcore.commands import choices, datasets
from dlcore.commands.output import say
from dlcore.nn import Module
from dlcore.optim import Optimizer
from dlcore.tensor import Tensor
from dlcore.train import evaluate
from kernels.types import Array


def warm_up(model: str, data: str, batch_size: int | None, optimizer: str) -> None:
    """Compile what a network needs, by training and evaluating a new one on random images.

    Which kernels are needed can depend on how much work there is, so it is done with a whole batch and with a single
    image.

    Raises:
        ArgumentError: a name is unknown, or the network does not take such images.
        DLCoreError: a path is given, and what is there cannot be read.
    """
    choices.check_names(model, data, optimizer)
    input_shape, classes, usual_batch_size = _examples(data)
    batch_size = batch_size or usual_batch_size
    network = models.create(model, input_shape, classes)
    learner = choices.make_optimizer(optimizer, network, None, None)
    say(f"{model} for {data}, batches of {batch_size}, {optimizer}; {network.backend.name}")
    folder = _cache_folder() if network.backend.is_host else None
    before = _compiled(folder)
    began = time.perf_counter()
    _run_all(_stages(network, learner, input_shape, classes, batch_size))
    seconds = time.perf_counter() - began
    if not network.backend.is_host:
        say(f"ready after {seconds:.1f} s")
    elif folder is None:
        say(f"compiled in {seconds:.1f} s, but not kept: no folder can be written; let DLCORE_CACHE name one")
    elif new := _compiled(folder) - before:
        say(f"compiled {new} functions in {seconds:.1f} s; they are kept in {folder}")
    else:
        say(f"nothing to compile (looked for {seconds:.1f} s): all is in {folder}")


def _examples(data: str) -> tuple[tuple[int, ...], int, int]:
    """The shape of one input, the number of classes and the usual batch size; only what lies at a path is read."""
    if data in datasets.NAMED:
        choice = datasets.NAMED[data]
        return choice.input_shape, choice.num_classes, choice.batch_size
    train = datasets.load(data).train
    return train.input_shape, train.num_classes, datasets.default_batch_size(data, train)


Stage = tuple[str, Callable[[], object]]


def _stages(
    network: Module, optimizer: Optimizer, input_shape: tuple[int, ...], classes: int, batch_size: int
) -> list[Stage]:
    rng = np.random.default_rng(0)

    def examples(count: int) -> tuple[Array, Array]:
        return rng.random((count, *input_shape), dtype=np.float32), rng.integers(0, classes, count)

    stages: list[Stage] = []
    for count in dict.fromkeys((batch_size, 1)):
        x, labels = examples(count)
        images = "1 image" if count == 1 else f"{count} images"
        stages.append((f"evaluation of {images}", functools.partial(evaluate, network, [(x, labels)])))
        stages.append((f"training on {images}", functools.partial(_train, network, optimizer, x, labels)))
    return stages


def _train(network: Module, optimizer: Optimizer, x: Array, labels: Array) -> None:
    network.train()
    where = network.backend
    loss = F.cross_entropy(network(Tensor(where.asarray(x))), where.asarray(labels))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    where.synchronize()


def _run_all(stages: list[Stage]) -> None:
    """Run them one after the other, with a bar where somebody watches; on a pipe nothing is drawn."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(stages))
        for description, run in stages:
            bar.update(task, description=description)
            run()
            bar.advance(task)


def _cache_folder() -> Path | None:
    from kernels.cpu.jit import cache_folder  # slow: loads Numba

    return cache_folder()


def _compiled(folder: Path | None) -> int:
    """How many compiled functions the folder holds."""
    return 0 if folder is None else len(list(folder.rglob("*.nbc")))  # Numba's name for compiled code
