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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dlcore.files import locked
from dlcore.train.callbacks import Callback
from dlcore.train.history import Record
from dlcore.train.snapshot import check_state, first_not_finite, read_snapshot, remove_snapshot, write_snapshot
from dlcore.train.tally import Tally
from kernels.errors import ArgumentError, CheckpointError, FileFormatError, MissingFileError, TrainingError
from kernels.options import whole
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
        ArgumentError: an option is out of range; when training starts: there are checkpoints of an earlier run (without
            `resume`), another run writes into the folder, or a callback's or metric's state is no plain values.
        CheckpointError: a checkpoint can't be written, or or those that are there are damaged, or can't be read.
        TrainingError: weights or the optimizer's state have become NaN or infinite; no checkpoint is made of them.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: int | None = None,
        keep: int = 2,
        report: Callable[[str], None] = _warn,
    ) -> None:
        self.folder = Path(folder)
        self.every = None if every is None else whole("Checkpoints", "every", every, least=1)
        self.keep = whole("Checkpoints", "keep", keep, least=1)
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
        """The newest checkpoint that is whole, None if there is none at all.

        Newer ones that are damaged are reported, and renamed to "damaged-…", so that they are in nobody's way.

        Raises:
            CheckpointError: there are checkpoints, but all are damaged; or the system won't let one be read.
        """
        reasons = []
        for path in reversed(self.paths()):
            try:
                found = Checkpoint(path, *read_snapshot(path))
            except (FileFormatError, MissingFileError) as error:
                reasons.append((path, str(error)))
                continue
            except OSError as error:  # no permission, a disk that fails: the checkpoint may well be whole
                reason = error.strerror or error
                raise CheckpointError(f"{path} can't be read: {reason}; mend that, or move it away") from error
            for damaged, reason in reasons:
                self.report(f"a checkpoint is damaged and passed over ({reason}); going on from {path.name}")
                _set_aside(damaged)
            return found
        if reasons:
            raise CheckpointError(
                f"none of the {len(reasons)} checkpoints in {self.folder} is whole ({reasons[0][1]}); "
                "remove them to begin anew"
            )
        return None

    def check_unused(self, trainer: "Trainer") -> None:
        """Refuse to train beside checkpoints of an earlier run, which would make way for new ones.

        Raises:
            ArgumentError: there are some.
        """
        if any(_age(path) > (trainer.step, trainer.epoch) for path in self.paths()):
            raise ArgumentError(
                f"Checkpoints: {self.folder} holds checkpoints of an earlier run; go on from them with "
                "fit(…, resume=True), or name another folder"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder and hold it during the block; what a killed run left half written in it is removed.

        Raises:
            CheckpointError: it can't be made or written to.
            ArgumentError: another run holds it.
        """
        with ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                is_mine = held.enter_context(locked(self.folder / ".lock"))
                if is_mine:
                    for left_over in self.folder.iterdir():
                        if _LEFT_OVER.fullmatch(left_over.name):
                            shutil.rmtree(left_over, ignore_errors=True)
                    probe = self.folder / f".step-{os.getpid()}"
                    probe.mkdir()
                    probe.rmdir()
            except OSError as error:
                reason = error.strerror or error
                raise CheckpointError(f"no checkpoint can be written into {self.folder}: {reason}") from error
            if not is_mine:
                raise ArgumentError(f"Checkpoints: another run is writing checkpoints into {self.folder}")
            yield

    # ---- writing ----------------------------------------------------------------------------------------------------

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Refuse a state that no checkpoint could hold now, not after an epoch; let Ctrl-C wait for a step."""
        check_state(trainer.state_dict() | {"tally": Tally(trainer.metrics).state_dict()})
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
        weights, state = trainer.network.state_dict(), trainer.state_dict()
        if bad := first_not_finite(weights) or first_not_finite(state["optimizer"], "optimizer"):
            raise TrainingError(
                f"training: {bad} is NaN or infinite after step {trainer.step} (epoch {trainer.epoch}, learning rate "
                f"{trainer.optimizer.lr:g}), so no checkpoint is made of it; clip gradients, or try a smaller learning "
                "rate"
            )
        try:
            write_snapshot(self.folder / name, weights, state)
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
        with suppress(OSError):  # not by print, whose buffer may be in use
            os.write(2, b"\ninterrupted: a checkpoint follows as soon as may be; Ctrl-C again stops at once\n")

    def _stop_if_interrupted(self, trainer: "Trainer") -> None:
        if self._interrupted:
            raise KeyboardInterrupt(f"stopped after step {trainer.step}; a checkpoint was written into {self.folder}")


def _set_aside(damaged: Path) -> None:
    """Rename a damaged checkpoint, so that it is no checkpoint any more, and is still there to look at."""
    names = (f"damaged-{damaged.name}{suffix}" for suffix in ("", *(f"-{number}" for number in range(2, 100))))
    free = next((path for name in names if not (path := damaged.with_name(name)).exists()), None)
    with suppress(OSError):
        if free is not None:
            damaged.rename(free)


def _age(path: Path) -> tuple[int, int]:
    """A checkpoint's step, and the epoch that it ends (0: none)."""
    _, step, *epoch = path.name.split("-")
    return int(step), int(epoch[1]) if epoch else 0
