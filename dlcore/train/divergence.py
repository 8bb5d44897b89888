"""When a loss is NaN or infinite: which step it was, and where in the network that came from.

Where figures can be read without waiting, each loss is looked at before it changes anything. On a device it is only
seen when the figures are read; so what the steps since then started from is kept there: weights, the optimizer's state,
the position of the random numbers, and the batches. With that they are gone through again, up to the bad one, whose
layers are then watched. Either way the network is left as it was before that step.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from dlcore import backend as backends
from dlcore import random
from dlcore.nn import Module, Parameter
from dlcore.nn.hooks import observing
from dlcore.nn.location import describe
from dlcore.optim import Optimizer
from dlcore.tensor import Tensor
from dlcore.train.evaluation import Loss
from kernels.errors import DataError, DeviceMemoryError
from kernels.types import Array

Batch = tuple[Tensor, Tensor]

_NO_MEMORY = "the device has too little memory to look for the layer; try a smaller learning rate"

#: On a device: bytes of batches that are kept until figures are read, at least those of one step.
MOST_KEPT = 1 << 28


class Step(NamedTuple):
    """An update of the parameters: its number in the run, from 1, and what it was made from."""

    number: int
    first: int  # the number of its first batch in the epoch, from 0
    batches: list[Batch]
    options: list[dict[str, Any]]  # learning rate and the like, of each of the optimizer's groups

    @property
    def learning_rate(self) -> float:
        """The first group's, as `Optimizer.lr` gives it."""
        rate: float = self.options[0]["lr"]
        return rate


class _Moment:
    """The random numbers' position, some tensors, and the state of an optimizer (or of none), as they were."""

    def __init__(self, tensors: Sequence[Tensor], optimizer: Optimizer | None = None) -> None:
        self.tensors = [(tensor, _copied(tensor.data)) for tensor in tensors]
        self.optimizer = optimizer
        self.state = None if optimizer is None else _copied(optimizer.state_dict())
        self.generator = random.default_generator().state_dict()

    def restore(self) -> None:
        """Let it be as it was."""
        for tensor, values in self.tensors:
            tensor.copy_(values)
        if self.optimizer is not None and self.state is not None:
            self.optimizer.load_state_dict(self.state)
        random.default_generator().load_state_dict(self.generator)


class Watch:
    """Remembers the steps since the figures were last read, so that a bad one can be gone through again.

    Args:
        network, optimizer, loss: what is trained, how, towards what.
    """

    def __init__(self, network: Module, optimizer: Optimizer, loss: Loss) -> None:
        self.network = network
        self.optimizer = optimizer
        self.loss = loss
        self.steps: list[Step] = []
        self._is_host = network.backend.is_host
        modules = [network, loss] if isinstance(loss, Module) else [network]
        self._state = [tensor for module in modules for _, tensor in module.named_state()]
        self._buffers = [tensor for tensor in self._state if not isinstance(tensor, Parameter)]
        self._start: _Moment | None = None  # what the first of the steps started from
        self._bytes = 0

    def begin(self, number: int, first: int, batches: list[Batch]) -> None:
        """Take note of a step that is about to be made."""
        if self._is_host:  # where the step before was looked at already, and no update has to be undone
            self.clear()
            self._start = _Moment(self._buffers)
        elif not self.steps:
            with suppress(DeviceMemoryError):  # then there will be less to say, but training can go on
                self._start = _Moment(self._state, self.optimizer)
        groups = self.optimizer.param_groups
        options = [{name: value for name, value in group.items() if name != "params"} for group in groups]
        kept = [] if self._start is None else batches
        self.steps.append(Step(number, first, kept, options))
        self._bytes += sum(tensor.data.nbytes for batch in kept for tensor in batch)

    @property
    def is_full(self) -> bool:
        """Whether so much is kept that figures should be read, after which it can be forgotten."""
        return not self._is_host and self._bytes > MOST_KEPT

    def clear(self) -> None:
        """Forget the steps: their losses were finite."""
        self.steps.clear()
        self._start = None
        self._bytes = 0

    def explain(self, batch: int, update: Callable[[list[Batch]], object]) -> tuple[Step, str]:
        """The step that a bad batch belongs to, and why its loss is bad, in words.

        Network, optimizer and random numbers are left as they were before that step; where there was no memory to keep
        what that takes, as they are.

        Args:
            batch: its number in the epoch, from 0.
            update: makes one step from its batches.

        Raises:
            DataError: the batch has a label that lies outside the classes.
        """
        index = max((i for i, step in enumerate(self.steps) if step.first <= batch), default=0)
        step = self.steps[index]
        if self._start is None:
            return step, _NO_MEMORY
        try:
            self._start.restore()
            with np.errstate(all="ignore"):
                for earlier in self.steps[:index]:
                    self._set_options(earlier)
                    update(earlier.batches)
                self._set_options(step)
                return step, self._reason(step, batch - step.first)
        except DeviceMemoryError:
            return step, _NO_MEMORY

    def _set_options(self, step: Step) -> None:
        for group, options in zip(self.optimizer.param_groups, step.options, strict=True):
            group.update(options)

    def _reason(self, step: Step, bad: int) -> str:
        before = _Moment(self._buffers)
        try:
            for inputs, _ in step.batches[:bad]:  # they move the random numbers and batch norm's statistics on
                self.network(inputs)
            inputs, labels = step.batches[bad]
            return self._bad_data(inputs, labels) or self._bad_parameter() or self._bad_output(step, inputs, labels)
        finally:
            before.restore()
            self.optimizer.zero_grad()

    def _bad_data(self, inputs: Tensor, labels: Tensor) -> str:
        for name, tensor in (("inputs", inputs), ("labels", labels)):
            if not _is_finite(tensor):
                bad = ~backends.to_numpy(_finite(tensor.data))
                return f"the batch's {name} are not finite: {_first(name, tensor.data, bad)}; look at the data"
        return ""

    def _bad_parameter(self) -> str:
        for path, module in self.network.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and not _is_finite(value):
                    return (
                        f"when the step began, the {name} of {describe(path, module)} was no longer finite, so an "
                        "update overflowed; clip gradients, or try a smaller learning rate"
                    )
        return ""

    def _bad_output(self, step: Step, inputs: Tensor, labels: Tensor) -> str:
        found: list[Module] = []

        def observe(module: Module, output: Any) -> None:
            if not found and not _is_finite(output):
                found.append(module)

        with observing(observe):
            outputs = self.network(inputs)
        if found:
            path = next((path for path, module in self.network.named_modules() if module is found[0]), "")
            layer = describe(path, found[0])
            return f"the first output that is not finite is that of {layer}; try a smaller learning rate"
        self._check_labels(step, outputs, labels)
        if _is_finite(self.loss(outputs, labels)):
            return "it was finite when the step was repeated, so network or loss depend on more than weights and batch"
        return "the outputs of all layers are finite, so it comes from the loss function"

    def _check_labels(self, step: Step, outputs: Tensor, labels: Tensor) -> None:
        """On a device no label is looked at before the loss; one that is no class made that NaN."""
        if labels.dtype.kind not in "iu" or outputs.ndim < 2 or labels.shape != outputs.shape[:1] + outputs.shape[2:]:
            return
        values, classes = backends.to_numpy(labels.data), outputs.shape[1]
        outside = ((values < 0) | (values >= classes)) & (values != getattr(self.loss, "ignore_index", None))
        if outside.any():
            raise DataError(
                f"training: at step {step.number}, {_first('labels', labels.data, outside)}, but there are {classes} "
                "classes (0 first)"
            )


def _copied(value: Any) -> Any:
    """A copy of an array, or of all arrays in dicts and lists."""
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_copied(part) for part in value]
    if not hasattr(value, "dtype"):
        return value
    with backends.of(value).active_device():
        return value.copy()


def _is_finite(value: Any) -> bool:
    """Whether all numbers of a tensor, or of tensors in lists, tuples and dicts, are finite; waits for the device."""
    if isinstance(value, (list, tuple, dict)):
        return all(_is_finite(part) for part in (value.values() if isinstance(value, dict) else value))
    if not isinstance(value, Tensor) or value.dtype.kind in "biu":
        return True
    with value.backend.active_device():
        return bool(backends.to_numpy(_finite(value.data).all()))


def _finite(array: Array) -> Array:
    owner = backends.of(array)
    with owner.active_device():
        wide = array.astype(np.float32) if array.dtype.itemsize == 2 else array
        finite: Array = owner.xp.isfinite(wide)
    return finite


def _first(name: str, array: Array, where: Any) -> str:
    """The first element for which `where` holds, with its place: "labels[3] is 7"."""
    place = tuple(np.argwhere(where)[0].tolist())
    return f"{name}[{', '.join(map(str, place))}] is {backends.to_numpy(array)[place]}"
