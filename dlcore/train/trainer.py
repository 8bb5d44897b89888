"""The training loop.

    trainer = dl.Trainer(network, optim.Adam(network.parameters()), loss=F.cross_entropy, metrics=["accuracy"])
    history = trainer.fit(DataLoader(train, batch_size=100, shuffle=True), epochs=5, validation=test)

A step only hands work to the device: loss and metrics add up there (`metrics.Tally`) and are read about ten times a
second, for the progress bar and to notice a loss that is no longer finite.
"""

import time
from collections.abc import Sequence, Sized
from contextlib import ExitStack
from typing import Any

import numpy as np

from dlcore import functional as F
from dlcore.data import Dataset
from dlcore.nn import Module
from dlcore.optim import Optimizer
from dlcore.tensor import Tensor
from dlcore.train.callbacks import Callback
from dlcore.train.evaluation import Batches, Loss, bring, evaluate, mode, predict
from dlcore.train.history import History, Record
from dlcore.train.metrics import Metric, Tally, resolve
from dlcore.train.progress import Progress
from kernels.errors import ArgumentError, DataError, TrainingError
from kernels.types import Array

#: Seconds between two readings of loss and metrics within an epoch.
READ_INTERVAL = 0.1


class Trainer:
    """Trains a network, measures it and lets it predict.

    Args:
        network: any Module; its backend is where everything runs, batches are brought there.
        optimizer: made for the network's parameters.
        loss: a function of (outputs, labels) that returns the batch's mean loss as a scalar Tensor.
        metrics: names ("accuracy") or Metric objects, measured beside the loss in training and validation.
        callbacks: what else should happen; see `dlcore.train.callbacks`.
        progress: show a progress bar and a table row per epoch (`Progress`, unless the callbacks hold one already).

    Attributes:
        history: one record per epoch, over all calls of `fit`.
        epoch, step: epochs begun and updates made, over all calls of `fit`; `epochs`: the last one of this call.
        batch, batches: batches done in this epoch, and how many it has (None: not known).
        examples, seconds: examples seen in this epoch, and how long its updates took, once they are done.
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
        progress: bool = True,
    ) -> None:
        for name, given, article, kind in (
            ("network", network, "a", Module),
            ("optimizer", optimizer, "an", Optimizer),
        ):
            if not isinstance(given, kind):
                raise ArgumentError(f"Trainer: {name} must be {article} {kind.__name__} object, got {given!r:.60}")
        if isinstance(loss, type) or not callable(loss):
            raise ArgumentError(f"Trainer: loss must be a function or a loss module, made, got {loss!r:.60}")
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise ArgumentError(f"Trainer: callbacks must be Callback objects, got {callback!r:.60}")
        self.network = network
        self.optimizer = optimizer
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
        self.history = History()
        self.epoch = self.epochs = self.step = 0
        self.batch = self.examples = 0
        self.batches: int | None = None
        self.seconds = 0.0
        self.figures: list[str] = []
        self.running: Record = {}
        self.should_stop = False

    def fit(self, loader: Batches, *, epochs: int, validation: Batches | Dataset | None = None) -> History:
        """Train for `epochs` more epochs.

        Args:
            loader: the batches of an epoch, usually a DataLoader with `shuffle=True`.
            epochs: how often to go through them.
            validation: what to measure the network on after each epoch, as "validation_loss" and so on.

        Returns:
            The trainer's history.

        Raises:
            TrainingError: the loss became NaN or infinite; names the step and the learning rate.
            DataError: an epoch has no batches.
            ArgumentError: `epochs` is less than 1, or `loader` is a Dataset, which does not say how to form batches.
        """
        if epochs < 1:
            raise ArgumentError(f"fit: expected epochs of at least 1, got {epochs}")
        if isinstance(loader, Dataset):
            raise ArgumentError("fit: expected batches, got a Dataset; wrap it: DataLoader(dataset, 100, shuffle=True)")
        names = ["loss", *(metric.name for metric in self.metrics)]
        self.figures = names + ([f"validation_{name}" for name in names] if validation is not None else [])
        self.epochs = self.epoch + epochs
        self.should_stop = False
        with mode(self.network, training=True), ExitStack() as ending:
            for callback in self.callbacks:
                ending.callback(callback.on_fit_end, self)
                callback.on_fit_start(self)
            while self.epoch < self.epochs and not self.should_stop:
                self._run_epoch(loader, validation)
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

    def _run_epoch(self, loader: Batches, validation: Batches | Dataset | None) -> None:
        self.epoch += 1
        self.batch = self.examples = 0
        self.batches = len(loader) if isinstance(loader, Sized) else None
        self._notify("on_epoch_start")
        learning_rate = self.optimizer.lr
        figures = self._train(loader)
        record: Record = {"epoch": self.epoch, "step": self.step, "learning_rate": learning_rate} | figures
        if validation is not None:
            record |= {f"validation_{name}": value for name, value in self.evaluate(validation).items()}
        self.history.append(record)
        self._notify("on_epoch_end", record)

    def _train(self, loader: Batches) -> Record:
        """Go through the batches once; return loss and metrics, measured while the network changed."""
        tally = Tally(self.metrics)
        learning_rates = []
        started = read = time.perf_counter()
        for inputs, labels in bring(loader, self.network.backend):
            learning_rates.append(self.optimizer.lr)
            outputs, loss = self._update(inputs, labels)
            tally.add(loss.data, outputs.data, labels.data)
            self.step += 1
            self.batch, self.examples = tally.batches, tally.examples
            if time.perf_counter() - read >= READ_INTERVAL:
                self._read(tally, learning_rates)
                read = time.perf_counter()
            self._notify("on_batch_end")
        if not tally.batches:
            raise DataError("fit: the loader yielded no batches")
        self._read(tally, learning_rates)
        self.seconds = time.perf_counter() - started
        return self.running

    def _update(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the optimiser; returns outputs and loss."""
        # A loss that overflows is reported by _read, with its step; NumPy's warnings would only come before it.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            outputs = self.network(inputs)
            loss = self.loss(outputs, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return outputs, loss

    def _read(self, tally: Tally, learning_rates: list[float]) -> None:
        """Bring this epoch's figures to the host: the only place in training that waits for the device."""
        bad = tally.first_bad_batch()
        if bad is not None:
            step = self.step - tally.batches + bad + 1
            raise TrainingError(
                f"training: the loss is NaN or infinite at step {step} (epoch {self.epoch}, batch {bad + 1}, "
                f"learning rate {learning_rates[bad]:g}); try a smaller learning rate"
            )
        self.running = tally.read()

    def _notify(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)
