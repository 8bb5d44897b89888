"""What a checkpoint holds of a Trainer, and how a Trainer goes on from it."""

from collections.abc import Sized
from typing import TYPE_CHECKING, Any

from dlcore import random
from dlcore.data import DataLoader
from dlcore.nn import Module
from dlcore.train.checkpoint import Checkpoint
from dlcore.train.tally import Tally
from kernels.errors import ArgumentError, CheckpointError, StateDictError
from kernels.options import whole

if TYPE_CHECKING:
    from dlcore.train.trainer import Trainer

_COUNTS = ("epoch", "step", "batch", "examples")


def state_of(trainer: "Trainer") -> dict[str, Any]:
    """All that a later run needs to go on from here, but for the network's weights.

    That is the state of optimizer, callbacks and a loss with parameters, the history, the figures of the epoch under
    way, the position in the data, and that of the default generator of random numbers.
    """
    return {
        **{name: getattr(trainer, name) for name in _COUNTS},
        "batches": trainer.batches,
        "learning_rate": trainer.learning_rate,
        "elapsed": trainer.seconds_so_far,
        "should_stop": trainer.should_stop,
        "history": trainer.history.records,
        "tally": None if trainer.tally is None else trainer.tally.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "loss": trainer.loss.state_dict() if isinstance(trainer.loss, Module) else {},
        "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in trainer.callbacks],
        "generator": random.default_generator().state_dict(),
        "loader": _position(trainer.loader),
        "validation": _position(trainer.validation),
    }


def restore(trainer: "Trainer", checkpoint: Checkpoint) -> None:
    """Let a Trainer that was just started go on from a checkpoint; if that fails, network and optimizer are as before.

    Raises:
        StateDictError: the checkpoint is of another network, optimizer, loader or set of callbacks.
        ArgumentError: more epochs are done already than there shall be.
    """
    weights = {name: array.copy() for name, array in trainer.network.state_dict().items()}
    optimizer = trainer.optimizer.state_dict()
    try:
        trainer.network.load_state_dict(checkpoint.weights)
        _load(trainer, checkpoint.state)
        _resume_callbacks(trainer, checkpoint.state["callbacks"])
    except BaseException as error:
        trainer.network.load_state_dict(weights)
        trainer.optimizer.load_state_dict(optimizer)
        trainer.tally = None
        is_misfit = isinstance(error, (StateDictError, LookupError, TypeError, ValueError))
        if not is_misfit or isinstance(error, (ArgumentError, CheckpointError)):
            raise
        raise StateDictError(f"{checkpoint.path} can't be resumed from: {error}") from error


def _load(trainer: "Trainer", state: dict[str, Any]) -> None:
    try:
        counts = {name: whole("fit", name, state[name], least=0) for name in _COUNTS}
        elapsed, learning_rate = float(state["elapsed"]), float(state["learning_rate"])
    except ArgumentError as error:
        raise StateDictError(str(error)) from error
    under_way = state["tally"] is not None
    if counts["epoch"] > trainer.epochs:
        raise ArgumentError(f"fit: epochs is {trainer.epochs}, but the checkpoint has begun epoch {counts['epoch']}")
    batches = len(trainer.loader) if isinstance(trainer.loader, Sized) else None
    if under_way and batches != state["batches"]:
        raise StateDictError(
            f"fit: the checkpoint was taken in an epoch of {state['batches']} batches, but the loader has {batches}"
        )
    tally = None
    if under_way:
        tally = Tally(trainer.metrics)
        tally.load_state_dict(state["tally"], trainer.network.backend)
    trainer.optimizer.load_state_dict(state["optimizer"])
    if isinstance(trainer.loss, Module):
        trainer.loss.load_state_dict(state["loss"])
    for loader, position in ((trainer.loader, state["loader"]), (trainer.validation, state["validation"])):
        if isinstance(loader, DataLoader) and position is not None:
            loader.load_state_dict(position)
    random.default_generator().load_state_dict(state["generator"])
    for name, count in counts.items():
        setattr(trainer, name, count)
    trainer.elapsed, trainer.learning_rate, trainer.tally = elapsed, learning_rate, tally
    trainer.should_stop = bool(state["should_stop"])
    trainer.history.records = list(state["history"])


def _resume_callbacks(trainer: "Trainer", callbacks: list[tuple[str, dict[str, Any]]]) -> None:
    """Each callback goes on from its own state: the first of a class from the first saved of that name, and so on.

    Callbacks that keep no state may come and go between two runs.
    """
    saved: dict[str, list[dict[str, Any]]] = {}
    for name, state in callbacks:
        saved.setdefault(name, []).append(state)
    for callback in trainer.callbacks:
        states = saved.get(type(callback).__name__)
        if states:
            callback.on_resume(trainer, states.pop(0))
    if left := [name for name, states in saved.items() if any(states)]:
        raise StateDictError(f"it holds the state of {', '.join(left)}; give Trainer that callback")


def _position(loader: Any) -> dict[str, int] | None:
    return loader.state_dict() if isinstance(loader, DataLoader) else None
