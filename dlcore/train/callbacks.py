"""What happens around training: hooks at five moments, and the callbacks that most runs want.

A callback sees the whole Trainer: `trainer.network`, `.optimizer`, `.epoch`, `.step`, `.batches` (of an epoch, if
known), `.running` (the epoch's loss and metrics when they were last read) and `.history`. Setting
`trainer.should_stop = True` ends training after the current epoch.
"""

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dlcore.backend import to_numpy
from dlcore.files import replacing
from dlcore.io import save
from dlcore.optim import ReduceLROnPlateau
from dlcore.optim.schedules import Schedule
from dlcore.train.history import Record, is_better
from kernels.errors import ArgumentError

if TYPE_CHECKING:
    from dlcore.train.trainer import Trainer


class Callback:
    """Base of callbacks; each hook does nothing unless overridden."""

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Before the first epoch."""

    def on_epoch_start(self, trainer: "Trainer") -> None:
        """Before an epoch's first batch; `trainer.epoch` is its number, from 1. Not where a checkpoint lies within."""

    def on_batch_end(self, trainer: "Trainer") -> None:
        """After a parameter update. Runs often: don't read arrays here, that would wait for the device."""

    def on_epoch_end(self, trainer: "Trainer", record: Record) -> None:
        """After an epoch and its validation; `record` holds its figures and is the last one of the history."""

    def on_fit_end(self, trainer: "Trainer") -> None:
        """After the last epoch; also when training was broken off by an error or by Ctrl-C."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: arrays, numbers, text, lists and dicts of them."""
        return {}

    def on_resume(self, trainer: "Trainer", state: dict[str, Any]) -> None:
        """Go on from `state_dict()`, as it was in the checkpoint; called after `on_fit_start`."""


class EarlyStopping(Callback):
    """End training when a figure has not become better for some epochs, and go back to the best weights.

    Args:
        monitor: the figure to watch; a name that ends in "loss" is better when smaller, any other when larger.
        patience: how many epochs without a better value to wait for.
        min_delta: how much better a value must be to count.
        restore_best: put the best epoch's weights back when training ends (a copy is kept beside the network).

    Raises:
        ArgumentError: an option is out of range; when training starts: there is no figure of that name.
    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        is_whole = isinstance(patience, int) and not isinstance(patience, bool)
        if not (is_whole and isinstance(min_delta, (int, float)) and patience >= 1 and min_delta >= 0):
            raise ArgumentError(
                f"EarlyStopping: expected patience of at least 1 and min_delta of at least 0, "
                f"got patience={patience}, min_delta={min_delta}"
            )
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.restore_best = restore_best
        self.best = math.nan
        self.best_epoch = 0
        self._weights: dict[str, Any] = {}

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Check that the figure will be there; begin to wait."""
        _check_monitor("EarlyStopping", self.monitor, trainer)
        self.best, self.best_epoch, self._weights = math.nan, trainer.epoch, {}

    def on_epoch_end(self, trainer: "Trainer", record: Record) -> None:
        """Compare with the best so far."""
        if is_better(self.monitor, record[self.monitor], self.best, self.min_delta):
            self.best, self.best_epoch = record[self.monitor], trainer.epoch
            if self.restore_best:
                self._weights = {name: array.copy() for name, array in trainer.network.state_dict().items()}
        elif trainer.epoch - self.best_epoch >= self.patience:
            trainer.should_stop = True

    def on_fit_end(self, trainer: "Trainer") -> None:
        """Go back to the best weights."""
        if self._weights:
            trainer.network.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best figure, its epoch and its weights."""
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self._weights}

    def on_resume(self, trainer: "Trainer", state: dict[str, Any]) -> None:
        """Go on waiting."""
        self.best, self.best_epoch, self._weights = state["best"], state["best_epoch"], state["weights"]


class SaveWeights(Callback):
    """Write the network's weights to a safetensors file after each epoch, or after each that was the best so far.

    Args:
        path: the file, replaced in one piece each time.
        monitor: the figure that must have become better (see `EarlyStopping`); None: write every epoch.

    Raises:
        ArgumentError: when training starts: there is no figure of that name.
    """

    def __init__(self, path: str | os.PathLike[str], monitor: str | None = None) -> None:
        self.path = Path(path)
        self.monitor = monitor
        self._best = math.nan
        self._weights: dict[str, Any] = {}

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Check that the figure will be there."""
        if self.monitor is not None:
            _check_monitor("SaveWeights", self.monitor, trainer)

    def on_epoch_end(self, trainer: "Trainer", record: Record) -> None:
        """Write, if it is the best so far."""
        if self.monitor is not None:
            if not is_better(self.monitor, record[self.monitor], self._best):
                return
            self._best = record[self.monitor]
            self._weights = {name: to_numpy(array).copy() for name, array in trainer.network.state_dict().items()}
        save(trainer.network, self.path)

    def state_dict(self) -> dict[str, Any]:
        """The best figure so far, and the weights that the file holds."""
        return {"best": self._best, "weights": self._weights}

    def on_resume(self, trainer: "Trainer", state: dict[str, Any]) -> None:
        """Go on; the file is as it was then, whatever a run that was killed has made of it since."""
        self._best, self._weights = state["best"], state["weights"]
        if self._weights:
            save(self._weights, self.path)


class Scheduled(Callback):
    """Let a schedule of learning rates take its steps.

    Args:
        schedule: one of `dlcore.optim`, made for the trainer's optimizer.
        every: "epoch" or "step": after what it takes one.
        monitor: for `ReduceLROnPlateau`, the figure that it watches (see `EarlyStopping`).

    Raises:
        ArgumentError: `every` is neither, or ReduceLROnPlateau would step after steps, which have no figures; when
            training starts: there is no figure of that name.
    """

    def __init__(
        self,
        schedule: Schedule | ReduceLROnPlateau,
        every: Literal["epoch", "step"] = "epoch",
        monitor: str = "validation_loss",
    ) -> None:
        if not isinstance(schedule, (Schedule, ReduceLROnPlateau)):
            raise ArgumentError(f"Scheduled: schedule must be a schedule of dlcore.optim, got {schedule!r:.60}")
        if (
            not isinstance(every, str)
            or every not in ("epoch", "step")
            or (every == "step" and isinstance(schedule, ReduceLROnPlateau))
        ):
            also = ' or "step"' if isinstance(schedule, Schedule) else " for ReduceLROnPlateau"
            raise ArgumentError(f'Scheduled: every must be "epoch"{also}, got {every!r}')
        self.schedule = schedule
        self.every = every
        self.monitor = monitor

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Check that the figure will be there."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            _check_monitor("Scheduled", self.monitor, trainer)

    def on_batch_end(self, trainer: "Trainer") -> None:
        """Take a step, if it is to take one after every step."""
        if self.every == "step" and isinstance(self.schedule, Schedule):
            self.schedule.step()

    def on_epoch_end(self, trainer: "Trainer", record: Record) -> None:
        """Take a step, if it is to take one after every epoch."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(record[self.monitor])
        elif self.every == "epoch":
            self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """The schedule's."""
        return self.schedule.state_dict()

    def on_resume(self, trainer: "Trainer", state: dict[str, Any]) -> None:
        """Go on with the schedule."""
        self.schedule.load_state_dict(state)


class MetricsFile(Callback):
    """Keep a file with one line per epoch, each a JSON object of that epoch's figures (infinite or NaN: null).

    After each epoch the file is replaced in one piece, so that a reader never meets half a line. It holds what seed and
    data determine, and no times: the same run gives the same file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def on_epoch_end(self, trainer: "Trainer", record: Record) -> None:
        """Write all epochs so far."""
        with replacing(self.path) as temporary:
            temporary.write_text("".join(_json_line(each) for each in trainer.history), encoding="utf-8")


def _json_line(record: Record) -> str:
    finite = {name: value if math.isfinite(value) else None for name, value in record.items()}
    return json.dumps(finite) + "\n"


def _check_monitor(callback: str, monitor: str, trainer: "Trainer") -> None:
    if monitor not in trainer.figures:
        raise ArgumentError(
            f"{callback}: there is no figure {monitor!r} to monitor, only {', '.join(trainer.figures)}"
            + ("; give fit validation data" if monitor.startswith("validation_") else "")
        )
