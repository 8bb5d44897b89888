"""How figures of a run add up where the network runs: a metric, batch by batch, and a Tally of the loss and metrics.

Nothing is brought to the host, so nothing waits for a GPU, until a figure is asked for.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dlcore import backend as backends
from dlcore.backend import Backend
from kernels.errors import ArgumentError, DLCoreError, StateDictError
from kernels.types import Array


class Metric:
    """Base of metrics: `update` with each batch, then `compute`."""

    #: The name that the figure has in histories, files and progress bars.
    name: str
    #: Whether the figure is one number, which a history can hold. A confusion matrix is not.
    is_scalar: bool = True

    def update(self, outputs: Array, labels: Array) -> None:
        """Take one batch in: the network's outputs and what they should have been. Must not bring them to the host."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def compute(self) -> Any:
        """The figure over all batches so far, on the host; waits for the device if there is one."""
        raise NotImplementedError(f"{type(self).__name__} has no compute")

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs to go on counting: all attributes, the arrays among them live and not copied.

        Raises:
            ArgumentError: an attribute is neither an array nor a number, text or None; a metric that keeps such things
                overrides this method and `load_state_dict`.
        """
        return {name: _plain(f"{type(self).__name__}.{name}", value) for name, value in vars(self).items()}

    def load_state_dict(self, state: Mapping[str, Any], backend: Backend) -> None:
        """Go on counting from `state_dict()`, with its arrays copied to a backend.

        Raises:
            StateDictError: the state is of a metric with other attributes or other options; nothing is loaded.
        """
        own = vars(self)
        if set(state) != set(own):
            raise StateDictError(
                f"{type(self).__name__}: the saved state is of a metric with {', '.join(state) or 'no attributes'}, "
                f"not {', '.join(own) or 'none'}"
            )
        for name, value in own.items():
            if isinstance(value, str) and state[name] != value:
                raise StateDictError(
                    f"{type(self).__name__}: the saved state has {name} = {state[name]!r}, not {value!r}"
                )
        for name, value in state.items():
            setattr(self, name, _loaded(value, backend))


class Tally:
    """Mean loss and metrics of the batches so far, adding up on the device until `read`.

    The loss is the mean of the batches' losses, each weighted by its number of examples. So a mean over examples in the
    batch is one over all examples; a batch's mean that is itself weighted (class weights, `ignore_index`) goes in as
    it is, and counts by its examples, not by their weights.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = [copy.deepcopy(metric) for metric in metrics]
        self._loss: Any = 0.0
        self._finite_batches: Any = 0
        self.batches = 0
        self.examples = 0

    def add(self, loss: Array, outputs: Array, labels: Array) -> None:
        """Take one batch in: its mean loss (a scalar array), the outputs and the labels."""
        with backends.of(loss).active_device():
            xp = backends.of(loss).xp
            self._loss = self._loss + loss.astype(xp.float64) * len(outputs)
            # A sum that has met NaN or infinity stays so: counting the finite ones tells which batch was the first.
            self._finite_batches = self._finite_batches + xp.isfinite(self._loss)
            self.batches += 1
            self.examples += len(outputs)
            for metric in self.metrics:
                metric.update(outputs, labels)

    def first_bad_batch(self) -> int | None:
        """The index of the first batch whose loss was NaN or infinite, None if all were finite."""
        finite = int(backends.to_numpy(self._finite_batches))
        return finite if finite < self.batches else None

    def read(self) -> dict[str, Any]:
        """The mean loss as "loss", and each metric under its name."""
        loss = float(backends.to_numpy(self._loss)) / self.examples if self.examples else float("nan")
        return {"loss": loss} | {metric.name: metric.compute() for metric in self.metrics}

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs to go on adding, bit for bit: numbers, text, and live arrays."""
        return {
            "loss": _plain("Tally.loss", self._loss),
            "finite_batches": _plain("Tally.finite_batches", self._finite_batches),
            "batches": self.batches,
            "examples": self.examples,
            "metrics": [{"name": metric.name, "state": metric.state_dict()} for metric in self.metrics],
        }

    def load_state_dict(self, state: Mapping[str, Any], backend: Backend) -> None:
        """Go on from `state_dict()`, with its arrays copied to a backend.

        Raises:
            StateDictError: the state is of other metrics; the tally is then of no further use.
        """
        saved, own = [each["name"] for each in state["metrics"]], [metric.name for metric in self.metrics]
        if saved != own:
            raise StateDictError(
                f"Tally: the saved metrics are {', '.join(saved) or 'none'}, not {', '.join(own) or 'none'}"
            )
        for metric, each in zip(self.metrics, state["metrics"], strict=True):
            metric.load_state_dict(each["state"], backend)
        self._loss = _loaded(state["loss"], backend)
        self._finite_batches = _loaded(state["finite_batches"], backend)
        self.batches, self.examples = state["batches"], state["examples"]


def _plain(where: str, value: Any) -> Any:
    """A value as a state holds it."""
    if isinstance(value, np.generic):
        return np.asarray(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        backends.of(value)
    except DLCoreError:
        raise ArgumentError(
            f"{where} is a {type(value).__qualname__}; a state holds arrays, numbers, text and None: override "
            "state_dict and load_state_dict"
        ) from None
    return value


def _loaded(value: Any, backend: Backend) -> Any:
    """A value of a state, an array as a copy on a backend."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    with backend.active_device():
        return backend.asarray(value).copy()
