"""Checkpoints: what a training run goes on from as if nothing had happened.

    checkpoints = train.Checkpoints("checkpoints", every=500)
    trainer = dl.Trainer(network, optimizer, callbacks=[checkpoints])
    trainer.fit(loader, epochs=20, resume=True)

The same script, run again after it was killed, goes on where its newest checkpoint stands, and ends with the same
weights and figures, bit for bit, as a run that nobody disturbed (on a GPU: as far as its kernels repeat themselves).
"""

import os
import re
import shutil
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dlcore.train.callbacks import Callback
from dlcore.train.history import Record
from dlcore.train.snapshot import read_snapshot, remove_snapshot, write_snapshot
from kernels.errors import ArgumentError, CheckpointError, DLCoreError
from kernels.types import Array

if TYPE_CHECKING:
    from dlcore.train.trainer import Trainer

# A snapshot's folder; one made at the end of an epoch sorts behind one made at the same step.
_NAME = re.compile(r"step-\d{9,}(-epoch-\d{4,})?")
# What a killed run left half written or half removed.
_LEFT_OVER = re.compile(r"\.step-\d.*")


class Checkpoint(NamedTuple):
    """A checkpoint that was read: where it lies, the network's weights, and the state of everything else."""

    path: Path
    weights: dict[str, Array]
    state: dict[str, Any]


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)


class Checkpoints(Callback):
    """Writes a checkpoint after each epoch and every so many steps, and keeps the newest.

    One holds weights, optimizer, schedules and the state of other callbacks, random numbers, the position in the data,
    and the figures so far. It is written under another name and renamed, so it is there whole or not at all.

    While training runs, Ctrl-C lets the present step end, writes a checkpoint and then raises KeyboardInterrupt; a
    second Ctrl-C interrupts at once.

    Args:
        folder: where to; made when training starts.
        every: steps between checkpoints within an epoch; None writes them after epochs alone.
        keep: how many of the newest stay.
        report: takes a sentence about a damaged checkpoint that was passed over; by default a Python warning.

    Raises:
        ArgumentError: an option is out of range; when training starts without `resume`: there are checkpoints of an
            earlier run.
        CheckpointError: a checkpoint can't be written, or there are some and none can be read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int | None = None,
        keep: int = 2,
        report: Callable[[str], None] = _warn,
    ) -> None:
        for name, value in (("every", every), ("keep", keep)):
            is_none = name == "every" and value is None
            if not is_none and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ArgumentError(f"Checkpoints: {name} must be a whole number from 1, got {value!r}")
        self.folder = Path(folder)
        self.every = every
        self.keep = keep
        self.report = report
        self._interrupted = False
        self._handler: Any = None

    # ---- reading ----------------------------------------------------------------------------------------------------

    def paths(self) -> list[Path]:
        """The checkpoints that are there, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted((path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)), key=_age)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that can be read, None if there is none at all.

        Newer ones that can't be read are reported, and renamed to "damaged-…", so that they are in nobody's way.

        Raises:
            CheckpointError: there are checkpoints, but none can be read.
        """
        reasons = []
        for path in reversed(self.paths()):
            try:
                found = Checkpoint(path, *read_snapshot(path))
            except (DLCoreError, OSError) as error:
                reasons.append((path, str(error)))
                continue
            for damaged, reason in reasons:
                self.report(f"a checkpoint can't be read and is passed over ({reason}); going on from {path.name}")
                with suppress(OSError):
                    damaged.rename(damaged.with_name(f"damaged-{damaged.name}"))
            return found
        if reasons:
            raise CheckpointError(
                f"none of the {len(reasons)} checkpoints in {self.folder} can be read ({reasons[0][1]}); "
                "remove them to begin anew"
            )
        return None

    # ---- writing ----------------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Make the folder, so that one that can't be made or written to is noticed now; let Ctrl-C wait for a step."""
        if any(_age(path) > (trainer.step, trainer.epoch) for path in self.paths()):
            raise ArgumentError(
                f"Checkpoints: {self.folder} holds checkpoints of an earlier run; go on from them with "
                "fit(…, resume=True), or name another folder"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left_over in self.folder.iterdir():
                if _LEFT_OVER.fullmatch(left_over.name):
                    shutil.rmtree(left_over, ignore_errors=True)
            probe = self.folder / f".step-{os.getpid()}"
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise CheckpointError(
                f"no checkpoint can be written into {self.folder}: {error.strerror or error}"
            ) from error
        self._interrupted = False
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._handler = signal.signal(signal.SIGINT, self._interrupt)

    def on_batch_end(self, trainer: "Trainer") -> None:
        """Write, if it is time."""
        is_due = self.every is not None and trainer.step % self.every == 0
        if (is_due or self._interrupted) and trainer.batch != trainer.batches:  # else the epoch's end is next
            self._write(trainer, f"step-{trainer.step:09}")
            self._stop_if_interrupted(trainer)

    def on_epoch_end(self, trainer: "Trainer", record: Record) -> None:
        """Write."""
        self._write(trainer, f"step-{trainer.step:09}-epoch-{trainer.epoch:04}")
        self._stop_if_interrupted(trainer)

    def on_fit_end(self, trainer: "Trainer") -> None:
        """Let Ctrl-C do again what it did before."""
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self._handler = None

    def _write(self, trainer: "Trainer", name: str) -> None:
        try:
            write_snapshot(self.folder / name, trainer.network.state_dict(), trainer.state_dict())
        except OSError as error:
            before = self.paths()
            rest = f"; the one before, {before[-1].name}, is as it was" if before else ""
            raise CheckpointError(
                f"the checkpoint of step {trainer.step} can't be written into {self.folder}: "
                f"{error.strerror or error}{rest}"
            ) from error
        for path in self.paths()[: -self.keep]:
            with suppress(OSError):
                remove_snapshot(path)

    def _interrupt(self, number: int, frame: Any) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True

    def _stop_if_interrupted(self, trainer: "Trainer") -> None:
        if self._interrupted:
            raise KeyboardInterrupt(f"stopped after step {trainer.step}; a checkpoint was written into {self.folder}")


def _age(path: Path) -> tuple[int, int]:
    """A checkpoint's step, and the epoch that it ends (0: none)."""
    _, step, *epoch = path.name.split("-")
    return int(step), int(epoch[1]) if epoch else 0
