"""Progress of training: a row of figures per epoch, and on a terminal a bar while the epoch runs."""

import math
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from dlcore.train.callbacks import Callback
from dlcore.train.history import Record

if TYPE_CHECKING:
    from dlcore.train.trainer import Trainer


class Progress(Callback):
    """One progress bar per epoch: loss, metrics, images/s, time left; then one row of a table with the epoch's figures.

    Where output is no terminal (a file, a pipe) only the table is written: plain lines, no control characters.

    Args:
        console: where to write; by default standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._bar: Bar | None = None
        self._task = TaskID(0)
        self._shown: Record = {}
        self._started = 0.0
        self._before = 0
        self._epoch_shown = 0

    def on_fit_start(self, trainer: "Trainer") -> None:
        """Write the table's head."""
        self._columns = {name: max(len(_title(name)), 6) for name in trainer.figures}
        titles = "  ".join(f"{_title(name):>{width}}" for name, width in self._columns.items())
        self._epoch_shown = 0
        self._print(f"{'epoch':>7}  {titles}  {'images/s':>8}  {'time':>7}")

    def on_epoch_start(self, trainer: "Trainer") -> None:
        """Start the epoch's bar."""
        self._start(trainer)

    def _start(self, trainer: "Trainer") -> None:
        self._epoch_shown = trainer.epoch
        self._started = time.perf_counter()
        self._before = trainer.examples  # of an epoch that a checkpoint was taken in
        self._shown = trainer.running
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                TextColumn("left"),
                console=self.console,
                transient=True,
                auto_refresh=False,  # drawn when figures have been read, so it needs no thread of its own
                expand=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(
                f"epoch {self._epoch(trainer)}", total=trainer.batches, completed=trainer.batch, figures=""
            )

    def on_batch_end(self, trainer: "Trainer") -> None:
        """Move the bar, each time that the trainer has read its figures."""
        if self._epoch_shown != trainer.epoch:
            self._start(trainer)  # in the midst of an epoch that a checkpoint was taken in
        if self._bar is None or trainer.running is self._shown:
            return
        self._shown = trainer.running
        figures = "  ".join(f"{_title(name)} {value:.4f}" for name, value in trainer.running.items())
        speed = (trainer.examples - self._before) / (time.perf_counter() - self._started)
        self._bar.update(self._task, completed=trainer.batch, figures=f"{figures}  {speed:,.0f} images/s", refresh=True)

    def on_epoch_end(self, trainer: "Trainer", record: Record) -> None:
        """Write the epoch's row in place of the bar."""
        if self._epoch_shown != trainer.epoch:  # of which nothing was left to do but this
            self._start(trainer)
        self._stop_bar()
        speed = (trainer.examples - self._before) / max(trainer.seconds, 1e-9)
        figures = "  ".join(f"{_figure(record[name]):>{width}}" for name, width in self._columns.items())
        seconds = time.perf_counter() - self._started
        self._print(f"{self._epoch(trainer):>7}  {figures}  {speed:>8,.0f}  {seconds:>5.1f} s")

    def on_fit_end(self, trainer: "Trainer") -> None:
        """Take the bar away if training was broken off."""
        self._stop_bar()

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @staticmethod
    def _epoch(trainer: "Trainer") -> str:
        return f"{trainer.epoch}/{trainer.epochs}"


def _title(figure: str) -> str:
    return figure.replace("_", " ")


def _figure(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) and abs(value) < 1e4 else f"{value:.3g}"
