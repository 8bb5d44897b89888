"""The training loop.

    trainer = dl.Trainer(network, optim.Adam(network.parameters()), loss=F.cross_entropy, metrics=["accuracy"])
    history = trainer.fit(DataLoader(train, batch_size=100, shuffle=True), epochs=5, validation=test)

A step only hands work to the device: loss and metrics add up there (`tally.Tally`) and are read about ten times a
second, for the progress bar and to notice a loss that is no longer finite.
"""

import itertools
import math
import time
from collections.abc import Sequence, Sized
from contextlib import ExitStack, closing
from typing import Any, NoReturn

import numpy as np

from dlcore import functional as F
from dlcore.data import Dataset
from dlcore.nn import Module
from dlcore.optim import Optimizer
from dlcore.tensor import Tensor
from dlcore.train.callbacks import Callback
from dlcore.train.checkpoint import Checkpoint, Checkpoints
from dlcore.train.divergence import Watch
from dlcore.train.evaluation import Batches, Loss, bring, bring_loss, evaluate, measured, mode, predict
from dlcore.train.history import History, Record
from dlcore.train.metrics import resolve
from dlcore.train.progress import Progress
from dlcore.train.resume import restore, state_of
from dlcore.train.tally import Metric, Tally
from kernels.errors import ArgumentError, DataError, TrainingError
from kernels.options import short, whole
from kernels.types import Array

#: Seconds between two readings of loss and metrics within an epoch.
READ_INTERVAL = 0.1


class Trainer:
    """Trains a network, measures it and lets it predict.

    Args:
        network: any Module; its backend is where everything runs, batches are brought there.
        optimizer: made for the network's parameters.
        loss: a function of (outputs, labels) that returns the batch's mean loss as a scalar Tensor. A loss module's
            buffers, such as class weights, are brought to the network's backend.
        metrics: names ("accuracy") or Metric objects, measured beside the loss in training and validation.
        callbacks: what else should happen; see `dlcore.train.callbacks`.
        accumulate: batches per update. Their gradients add up, each example with the same weight, so that 4 batches of
            25 give the update of one batch of 100 in a quarter of the memory (batch norm aside, which sees 25).
        progress: show a progress bar and a table row per epoch (`Progress`, unless the callbacks hold one already).

    Attributes:
        history: one record per epoch, over all calls of `fit`.
        epoch, step: epochs begun and updates made, over all calls of `fit`; `epochs`: the last one of this call.
        batch, batches: batches done in this epoch, and how many it has (None: not known).
        examples, seconds: examples seen in this epoch, and how long its updates took, once they are done.
        elapsed: seconds that all epochs took so far, with their validation; those before a resume included.
        figures: the names of loss and metrics in each record of this call of `fit`.
        running: this epoch's loss and metrics, as they were last read.
        should_stop: set it to True to end training after the current epoch.
        loader, validation: what the present call of `fit` was given.
        tally: what adds up of the epoch under way, None between epochs.
        learning_rate: with which this epoch began.

    Raises:
        ArgumentError: an unknown metric, or one that is no single number; or an argument is not what it must be.
    """

    def __init__(
        self,
        network: Module,
        optimizer: Optimizer,
        loss: Loss = F.cross_entropy,
        metrics: Sequence[str | Metric] = ("accuracy",),
        callbacks: Sequence[Callback] = (),
        *,
        accumulate: int = 1,
        progress: bool = True,
    ) -> None:
        for name, given, article, kind in (
            ("network", network, "a", Module),
            ("optimizer", optimizer, "an", Optimizer),
        ):
            if not isinstance(given, kind):
                raise ArgumentError(f"Trainer: {name} must be {article} {kind.__name__} object, got {short(given)}")
        if isinstance(loss, type) or not callable(loss):
            raise ArgumentError(f"Trainer: loss must be a function or a loss module, made, got {short(loss)}")
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise ArgumentError(f"Trainer: callbacks must be Callback objects, got {short(callback)}")
        self.network = network
        self.optimizer = optimizer
        self.accumulate = whole("Trainer", "accumulate", accumulate, least=1)
        self.loss = loss
        self.metrics = resolve(metrics)
        for metric in self.metrics:
            if not metric.is_scalar:
                raise ArgumentError(
                    f"Trainer: metric {metric.name!r} is no single number that a history could hold; "
                    f"ask for it with evaluate(…, metrics=[{metric.name!r}])"
                )
        self.callbacks = list(callbacks)
        if progress and not any(isinstance(callback, Progress) for callback in callbacks):
            self.callbacks.insert(0, Progress())
        # Checkpoints come last, and so hold what the others made of a batch or an epoch.
        self.callbacks.sort(key=lambda callback: isinstance(callback, Checkpoints))
        self.history = History()
        self.epoch = self.epochs = self.step = 0
        self.batch = self.examples = 0
        self.batches: int | None = None
        self.seconds = self.elapsed = 0.0
        self.figures: list[str] = []
        self.running: Record = {}
        self.should_stop = False
        self.learning_rate = math.nan
        self.tally: Tally | None = None
        self.loader: Batches = ()
        self.validation: Batches | Dataset | None = None
        self._began = 0.0
        self._watch = Watch(network, optimizer, loss)

    def fit(
        self, loader: Batches, *, epochs: int, validation: Batches | Dataset | None = None, resume: bool = False
    ) -> History:
        """Train for `epochs` more epochs.

        Args:
            loader: the batches of an epoch, usually a DataLoader with `shuffle=True`.
            epochs: how often to go through them.
            validation: what to measure the network on after each epoch, as "validation_loss" and so on.
            resume: go on from the newest checkpoint in the folder of the `Checkpoints` callback, if there is one.
                `epochs` then counts those already done, so the same script begins a run and goes on with it.

        Returns:
            The trainer's history.

        Raises:
            TrainingError: the loss became NaN or infinite; names the step, the learning rate, and the layer whose
                output was the first that is not finite, or what else was the reason. The network, the optimizer and the
                random numbers are as they were before that step. (A validation loss stops nothing.) Or weights became
                so, where a checkpoint was due.
            DataError: an epoch has no batches, a batch is empty, or a label lies outside the classes.
            ArgumentError: `epochs` is less than 1, `loader` is a Dataset, which does not say how to form batches, or
                there is no `Checkpoints` callback to resume from.
            CheckpointError: checkpoints can't be written, or none of those that are there can be read.
            StateDictError: the checkpoint is of another network, optimizer, loader or set of callbacks; network and
                optimizer are as they were.
        """
        epochs = whole("fit", "epochs", epochs, least=1)
        if isinstance(loader, Dataset):
            raise ArgumentError("fit: expected batches, got a Dataset; wrap it: DataLoader(dataset, 100, shuffle=True)")
        names = ["loss", *(metric.name for metric in self.metrics)]
        self.figures = names + ([f"validation_{name}" for name in names] if validation is not None else [])
        self.loader, self.validation, self.tally = loader, validation, None
        bring_loss(self.loss, self.network.backend)
        self.should_stop = False
        with mode(self.network, training=True), ExitStack() as ending:
            checkpoint = self._open_checkpoints(ending, resume)
            self.epochs = epochs if resume else self.epoch + epochs
            for callback in self.callbacks:
                ending.callback(callback.on_fit_end, self)
                callback.on_fit_start(self)
            if checkpoint is not None:
                restore(self, checkpoint)
            while self.tally is not None or (self.epoch < self.epochs and not self.should_stop):
                self._run_epoch()
        return self.history

    def _open_checkpoints(self, ending: ExitStack, resume: bool) -> Checkpoint | None:
        """Take the folder of checkpoints for this call of `fit`; the newest of them, if it shall be gone on from."""
        folder = next((callback for callback in self.callbacks if isinstance(callback, Checkpoints)), None)
        if folder is not None:
            ending.enter_context(folder.alone())
            if resume:
                return folder.newest()
            folder.check_unused(self)
        elif resume:
            raise ArgumentError("fit: resume needs to know where from; give Trainer a Checkpoints callback")
        return None

    def evaluate(
        self, source: Batches | Dataset, *, metrics: Sequence[str | Metric] | None = None, batch_size: int = 100
    ) -> dict[str, Any]:
        """The network's loss and metrics on batches or a whole dataset; see `dlcore.train.evaluate`.

        Args:
            source: batches, or a Dataset, which is read in order in batches of `batch_size`.
            metrics: names or Metric objects; by default the trainer's own.
            batch_size: used for a Dataset only.
        """
        chosen = self.metrics if metrics is None else metrics
        return evaluate(self.network, source, loss=self.loss, metrics=chosen, batch_size=batch_size)

    def predict(self, x: Tensor | Array | Dataset, *, batch_size: int = 100) -> Array:
        """The network's outputs for inputs of shape (N, …), or a dataset's; see `dlcore.train.predict`."""
        return predict(self.network, x, batch_size=batch_size)

    # ---- an epoch ---------------------------------------------------------------------------------------------------

    def _run_epoch(self) -> None:
        """One epoch, or the rest of the one that a checkpoint was taken in."""
        self._began = time.perf_counter()
        self.batches = len(self.loader) if isinstance(self.loader, Sized) else None
        if self.tally is None:
            self.tally = Tally(self.metrics)
            self.epoch += 1
            self.batch = self.examples = 0
            self._notify("on_epoch_start")
            self.learning_rate = self.optimizer.lr
        figures = self._train(self.tally)
        record: Record = {"epoch": self.epoch, "step": self.step, "learning_rate": self.learning_rate} | figures
        if self.validation is not None:
            record |= {f"validation_{name}": value for name, value in self.evaluate(self.validation).items()}
        self.tally = None
        self.history.append(record)
        self.elapsed += time.perf_counter() - self._began
        self._notify("on_epoch_end", record)

    @property
    def seconds_so_far(self) -> float:
        """`elapsed`, with what the epoch under way has taken."""
        return self.elapsed + (0.0 if self.tally is None else time.perf_counter() - self._began)

    def _train(self, tally: Tally) -> Record:
        """Go through the batches once; return loss and metrics, measured while the network changed."""
        self._watch = Watch(self.network, self.optimizer, self.loss)
        started = read = time.perf_counter()
        # Closed at once, whatever happens: a loader may keep a thread for it.
        with closing(bring(self.loader, self.network.backend, start=self.batch)) as batches:
            while group := list(itertools.islice(batches, self.accumulate)):
                self._watch.begin(self.step + 1, self.batch, group)
                for (_, labels), (outputs, loss) in zip(group, self._update(group), strict=True):
                    tally.add(loss.data, outputs.data, labels.data)
                self.step += 1
                self.batch, self.examples = tally.batches, tally.examples
                if self._watch.is_full or time.perf_counter() - read >= READ_INTERVAL:
                    self._read(tally)
                    read = time.perf_counter()
                self._notify("on_batch_end")
        if not tally.batches:
            raise DataError("fit: the loader yielded no batches")
        self._read(tally)
        self.seconds = time.perf_counter() - started
        return self.running

    def _update(self, group: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """One step of the optimiser, from one batch or several; returns outputs and loss of each."""
        results: list[tuple[Tensor, Tensor]] = []
        examples = sum(len(labels) for _, labels in group)
        self.optimizer.zero_grad()
        # A loss that overflows is reported with its step and layer; NumPy's warnings would only come before that.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for inputs, labels in group:
                outputs = self.network(inputs)
                loss = measured(self.loss, outputs, labels)
                if loss.backend.is_host and not np.isfinite(loss.data):
                    self._stop(self.batch + len(results))
                share = len(labels) / examples
                (loss if share == 1 else loss * share).backward()
                results.append((outputs.detach(), loss.detach()))
            self.optimizer.step()
        return results

    def _read(self, tally: Tally) -> None:
        """Bring this epoch's figures to the host: the only place in training that waits for the device."""
        bad = tally.first_bad_batch()
        if bad is not None:
            self._stop(bad)
        self.running = tally.read()
        self._watch.clear()

    def _stop(self, batch: int) -> NoReturn:
        """End training because of the loss of a batch of this epoch, whose number counts from 0."""
        step, reason = self._watch.explain(batch, self._update)
        self.step, self.batch = step.number - 1, step.first
        raise TrainingError(
            f"training: the loss is NaN or infinite at step {step.number} (epoch {self.epoch}, batch {batch + 1}, "
            f"learning rate {step.learning_rate:g}): {reason}"
        )

    # ---- checkpoints ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to go on from here, but for the network's weights; see `dlcore.train.resume`.

        To be taken between two updates.

        Raises:
            TrainingError: the loss became NaN or infinite, which nobody should go on from.
        """
        if self.tally is not None and self.tally.batches:
            self._read(self.tally)
        return state_of(self)

    def _notify(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)
