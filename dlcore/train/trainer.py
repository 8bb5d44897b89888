"""The training loop.

    trainer = dl.Trainer(network, optim.Adam(network.parameters()), loss=F.cross_entropy, metrics=["accuracy"])
    history = trainer.fit(DataLoader(train, batch_size=100, shuffle=True), epochs=5, validation=test)

A step only hands work to the device: loss and metrics add up there (`metrics.Tally`) and are read about ten times a
second, for the progress bar and to notice a loss that is no longer finite.
"""

import itertools
import math
import time
from collections.abc import Mapping, Sequence, Sized
from contextlib import ExitStack
from typing import Any, NoReturn

import numpy as np

from dlcore import functional as F
from dlcore import random
from dlcore.data import DataLoader, Dataset
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
from dlcore.train.tally import Metric, Tally
from kernels.errors import ArgumentError, DataError, StateDictError, TrainingError
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
        if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
            raise ArgumentError(f"Trainer: accumulate must be a whole number of batches from 1, got {accumulate!r}")
        self.network = network
        self.optimizer = optimizer
        self.accumulate = accumulate
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
        self._learning_rate = math.nan  # with which this epoch began
        self._tally: Tally | None = None  # of the epoch that is under way
        self._watch = Watch(network, optimizer, loss)
        self._loader: Batches = ()

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
                random numbers are as they were before that step. (A validation loss stops nothing.)
            DataError: an epoch has no batches, a batch is empty, or a label lies outside the classes.
            ArgumentError: `epochs` is less than 1, `loader` is a Dataset, which does not say how to form batches, or
                there is no `Checkpoints` callback to resume from.
            CheckpointError: checkpoints can't be written, or none of those that are there can be read.
            StateDictError: the checkpoint is of another network, optimizer, loader or set of callbacks.
        """
        if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
            raise ArgumentError(f"fit: expected epochs of at least 1, got {short(epochs)}")
        if isinstance(loader, Dataset):
            raise ArgumentError("fit: expected batches, got a Dataset; wrap it: DataLoader(dataset, 100, shuffle=True)")
        names = ["loss", *(metric.name for metric in self.metrics)]
        self.figures = names + ([f"validation_{name}" for name in names] if validation is not None else [])
        self._tally, self._loader = None, loader
        bring_loss(self.loss, self.network.backend)
        checkpoint = self._resume() if resume else None
        self.epochs = epochs if resume else self.epoch + epochs
        self.should_stop = False
        with mode(self.network, training=True), ExitStack() as ending:
            for callback in self.callbacks:
                ending.callback(callback.on_fit_end, self)
                callback.on_fit_start(self)
            if checkpoint is not None:
                self._resume_callbacks(checkpoint)
            while (self._tally is not None or self.epoch < self.epochs) and not self.should_stop:
                self._run_epoch(validation)
        return self.history

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

    def _run_epoch(self, validation: Batches | Dataset | None) -> None:
        """One epoch, or the rest of the one that a checkpoint was taken in."""
        began = time.perf_counter()
        if self._tally is None:
            self._tally = Tally(self.metrics)
            self._learning_rate = self.optimizer.lr
            self.epoch += 1
            self.batch = self.examples = 0
        self.batches = len(self._loader) if isinstance(self._loader, Sized) else None
        self._notify("on_epoch_start")
        figures = self._train(self._tally)
        record: Record = {"epoch": self.epoch, "step": self.step, "learning_rate": self._learning_rate} | figures
        if validation is not None:
            record |= {f"validation_{name}": value for name, value in self.evaluate(validation).items()}
        self._tally = None
        self.history.append(record)
        self.elapsed += time.perf_counter() - began
        self._notify("on_epoch_end", record)

    def _train(self, tally: Tally) -> Record:
        """Go through the batches once; return loss and metrics, measured while the network changed."""
        self._watch = Watch(self.network, self.optimizer, self.loss)
        started = read = time.perf_counter()
        batches = bring(self._loader, self.network.backend, start=self.batch)
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
        self.optimizer.zero_grad()
        # A loss that overflows is reported with its step and layer; NumPy's warnings would only come before that.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for inputs, labels in group:
                outputs = self.network(inputs)
                loss = measured(self.loss, outputs, labels)
                if loss.backend.is_host and not np.isfinite(loss.data):
                    self._stop(self.batch + len(results))
                share = len(labels) / sum(len(labels) for _, labels in group)
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
        """All that a later run needs to go on from here, but for the network's weights: what a checkpoint holds.

        Taken between two updates: optimizer, callbacks, history, the figures of the epoch under way, the position in
        the data and the default generator of random numbers.

        Raises:
            TrainingError: the loss became NaN or infinite, which nobody should go on from.
        """
        if self._tally is not None and self._tally.batches:
            self._read(self._tally)
        return {
            "epoch": self.epoch,
            "step": self.step,
            "batch": self.batch,
            "batches": self.batches,
            "examples": self.examples,
            "elapsed": self.elapsed,
            "learning_rate": self._learning_rate,
            "history": self.history.records,
            "tally": None if self._tally is None else self._tally.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in self.callbacks],
            "generator": random.default_generator().state_dict(),
            "loader": self._loader.state_dict() if isinstance(self._loader, DataLoader) else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`, callbacks apart, which go on when `fit` has started them.

        Raises:
            StateDictError: it is of another optimizer or loader, or no such state; nothing is loaded.
        """
        for name in ("epoch", "step", "batch", "examples"):
            whole("fit", name, state[name], least=0)
        for name in ("elapsed", "learning_rate"):
            if not isinstance(state[name], (int, float)):  # NaN before the first epoch
                raise StateDictError(f"fit: {name} is {short(state[name])}, which is no number")
        under_way = state["tally"] is not None
        batches = len(self._loader) if isinstance(self._loader, Sized) else None
        if under_way and batches != state["batches"]:
            raise StateDictError(
                f"fit: the checkpoint was taken in an epoch of {state['batches']} batches, but the loader has {batches}"
            )
        tally = None
        if under_way:
            tally = Tally(self.metrics)
            tally.load_state_dict(state["tally"], self.network.backend)
        self.optimizer.load_state_dict(state["optimizer"])
        if isinstance(self._loader, DataLoader) and state["loader"] is not None:
            self._loader.load_state_dict(state["loader"])
        random.default_generator().load_state_dict(state["generator"])
        self.epoch, self.step, self.batch, self.examples = (
            state[name] for name in ("epoch", "step", "batch", "examples")
        )
        self.elapsed, self._learning_rate, self._tally = state["elapsed"], state["learning_rate"], tally
        self.history.records = list(state["history"])

    def _resume(self) -> Checkpoint | None:
        """Go on from the newest checkpoint, if there is one; the network is as it was if that fails."""
        folder = next((callback for callback in self.callbacks if isinstance(callback, Checkpoints)), None)
        if folder is None:
            raise ArgumentError("fit: resume needs to know where from; give Trainer a Checkpoints callback")
        checkpoint = folder.newest()
        if checkpoint is None:
            return None
        before = {name: array.copy() for name, array in self.network.state_dict().items()}
        try:
            self.network.load_state_dict(checkpoint.weights)
            self.load_state_dict(checkpoint.state)
        except (StateDictError, LookupError, TypeError, ValueError) as error:
            self.network.load_state_dict(before)
            raise StateDictError(f"{checkpoint.path} can't be resumed from: {error}") from error
        return checkpoint

    def _resume_callbacks(self, checkpoint: Checkpoint) -> None:
        """Each callback goes on from its own state: the first of a class from the first saved of that name, and so on.

        Callbacks that keep no state may come and go between two runs.
        """
        saved: dict[str, list[dict[str, Any]]] = {}
        for name, state in checkpoint.state["callbacks"]:
            saved.setdefault(name, []).append(state)
        for callback in self.callbacks:
            states = saved.get(type(callback).__name__)
            if states:
                callback.on_resume(self, states.pop(0))
        if left := [name for name, states in saved.items() if any(states)]:
            raise StateDictError(f"{checkpoint.path} holds the state of {', '.join(left)}; give Trainer that callback")

    def _notify(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)
