"""DataLoader: a dataset as batches of Tensors on one backend."""

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import numpy as np

from dlcore import random
from dlcore.backend import Backend, current, get
from dlcore.data.dataset import Dataset, Pair
from dlcore.data.prefetch import Prefetcher
from dlcore.data.transforms import Transform
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError, DataError, StateDictError


class DataLoader:
    """Iterates over a dataset in batches (x, y) of Tensors.

    An epoch, its order and what a random transform does to its batches, is a pure function of `seed` and the
    epoch's number, so a run repeats exactly, on every backend, and one that was broken off goes on as if it had
    not been. A background thread cuts the next batches on the host; the transfer to the backend happens
    in the thread that iterates. A batch is the caller's own: changing it does not change the dataset.

    Args:
        dataset: where the items come from.
        batch_size: items per batch.
        shuffle: a new random order in each epoch, instead of the dataset's order.
        drop_last: leave out the last batch where it is smaller than the others.
        seed: of shuffles and transforms; None derives one from the default generator's, when the loader is made.
        prefetch: how many batches are cut ahead of time; 0 cuts them in the iterating thread.
        backend: where the batches go, a Backend or its name; None is the one active when an iteration starts.
        transform: what is done to the inputs of each batch, on the host, ahead of time like the cutting: a
            callable that gets an array of shape (N, ...) and a `dlcore.random.Generator` of that batch's own,
            and returns an array of N inputs, such as those of `dlcore.data.transforms`.

    Attributes:
        epoch: the number of the next epoch, from 0. It advances when the last batch of an epoch is handed
            out; an iteration that is left early is begun again by the next one, in the same order.

    Raises:
        ArgumentError: batch_size is below 1, prefetch below 0, or the transform cannot be called.
        DataError: the dataset is empty, or drop_last leaves no batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int | None = None,
        prefetch: int = 2,
        backend: Backend | str | None = None,
        transform: Transform | None = None,
    ) -> None:
        _check_integer("batch_size", batch_size, least=1)
        _check_integer("prefetch", prefetch, least=0)
        if not isinstance(dataset, Dataset):
            raise ArgumentError(f"DataLoader: expected a Dataset first, got {type(dataset).__qualname__}")
        if transform is not None and not callable(transform):
            raise ArgumentError(f"DataLoader: transform must be a callable or None, got {transform!r:.60}")
        if len(dataset) == 0:
            raise DataError("DataLoader: the dataset is empty")
        if drop_last and len(dataset) < batch_size:
            raise DataError(
                f"DataLoader: drop_last leaves no batch: {len(dataset)} items, but batch_size is {batch_size}"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.prefetch = prefetch
        self.backend = None if backend is None else get(backend)
        self.transform = transform
        self.epoch = 0
        unseeded = random.default_generator().spawn("loader")
        self._generator = unseeded if seed is None else random.Generator(seed)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be that of epoch number `epoch`, counted from 0."""
        _check_integer("epoch", epoch, least=0)
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return len(self._starts())

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.batches()

    def batches(self, backend: Backend | str | None = None, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of batches.

        Args:
            backend: where they go; without it, to the loader's own backend, else to the active one.
            start: the number of the first one, counted from 0. Those before it are not made. With the number
                of batches, the epoch is over before it began.

        Raises:
            ArgumentError: there are fewer batches than `start`.
        """
        _check_integer("start", start, least=0)
        if start > len(self):
            raise ArgumentError(f"DataLoader: start is {start}, but an epoch has {len(self)} batches")
        target = self.backend or current() if backend is None else get(backend)
        return self._epoch(target, start)

    def state_dict(self) -> dict[str, int]:
        """The seed and the number of the next epoch: with them, the same epochs come again."""
        return {"seed": self._generator.seed, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the epochs of the loader whose `state_dict` this is.

        Raises:
            StateDictError: a value is missing or out of its range; nothing is changed then.
        """
        try:
            seed, epoch = state["seed"], state["epoch"]
            generator = random.Generator(seed)
            self.set_epoch(epoch)
        except (KeyError, TypeError, ArgumentError) as error:
            raise StateDictError(f"DataLoader: expected a state of seed and epoch, got {state!r}") from error
        self._generator = generator

    def _epoch(self, target: Backend, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        epoch, count = self.epoch, len(self)
        if start == count:
            self.epoch = epoch + 1
            return
        cut = self._cut(epoch, start)
        source = Prefetcher(cut, min(self.prefetch, max(count, 1))) if self.prefetch else cut
        try:
            for number, (x, y) in enumerate(source, start=start + 1):
                if number == count:
                    self.epoch = epoch + 1
                yield Tensor(target.asarray(x)), Tensor(target.asarray(y))
        finally:
            source.close()

    def _cut(self, epoch: int, start: int) -> Generator[Pair]:
        """The batches of an epoch from number `start` on, as host arrays of their own (indexing by an array copies)."""
        generator = self._generator.spawn(f"epoch {epoch}")
        order = np.arange(len(self.dataset))
        if self.shuffle:
            order = generator.permutation(len(self.dataset))
        for number, first in enumerate(self._starts()[start:], start=start):
            x, y = self.dataset[order[first : first + self.batch_size]]
            if self.transform is not None:
                x = self.transform(x, generator.spawn(f"batch {number}"))
                if not isinstance(x, np.ndarray) or x.ndim == 0:
                    name = getattr(self.transform, "__name__", type(self.transform).__qualname__)
                    raise DataError(
                        f"DataLoader: the transform {name} must return an array of {len(y)} inputs, "
                        f"got {type(x).__qualname__}"
                    )
                if len(x) != len(y):
                    raise DataError(f"DataLoader: the transform made {len(x)} inputs of a batch of {len(y)}")
            yield x, y

    def _starts(self) -> range:
        """The first item of each batch."""
        items = len(self.dataset)
        end = items - items % self.batch_size if self.drop_last else items
        return range(0, end, self.batch_size)


def _check_integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"DataLoader: {name} must be an integer of at least {least}, got {value!r}")
