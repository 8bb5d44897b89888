"""Datasets: inputs and targets in host memory, from which batches are cut by array slicing."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dlcore.backend import to_numpy
from dlcore.random import Generator
from kernels.errors import ArgumentError, DataError, IndexingError

#: What a dataset is indexed by: one number, a slice, or an array (or list) of numbers.
Index: TypeAlias = int | slice | Sequence[int] | npt.NDArray[Any]

#: Inputs and targets, NumPy arrays.
Pair: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[Any]]

#: A class gets a name and a row of the confusion matrix: more of them than this is a mistake in the labels.
MOST_UNNAMED_CLASSES = 1 << 16


class Dataset(ABC):
    """Pairs of input and target, numbered from 0.

    A dataset of your own needs `__len__` and `__getitem__`; the rest follows from them. A DataLoader calls
    `__getitem__` with index arrays, by default from a background thread.
    """

    @abstractmethod
    def __len__(self) -> int:
        """The number of pairs."""

    @abstractmethod
    def __getitem__(self, index: Index) -> Pair:
        """One pair for a number; for a slice or an index array, stacked inputs and stacked targets.

        Raises:
            IndexError: a number is not below the length.
        """

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their labels; empty where targets are not labels."""
        return []

    @property
    def num_classes(self) -> int:
        """The number of classes; 0 where targets are not labels."""
        return len(self.classes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, (C, H, W) for images."""
        return np.shape(self[0][0])

    @cached_property
    def x(self) -> npt.NDArray[Any]:
        """All inputs as a network sees them, shape (len, *input_shape); for reading only.

        Made at first use and kept. Batches do not need it, so a dataset whose inputs are stored compactly
        stays small until somebody asks for this.
        """
        return self[:][0]

    @property
    def y(self) -> npt.NDArray[Any]:
        """All targets, shape (len, ...)."""
        return self[:][1]

    def __repr__(self) -> str:
        classes = f", {self.num_classes} classes" if self.classes else ""
        return f"{type(self).__name__}({len(self)} inputs of shape {self.input_shape}{classes})"


class ArrayDataset(Dataset):
    """A dataset of two arrays.

    Args:
        x: inputs, shape (N, ...), images as (N, C, H, W). Arrays are shared, not copied; lists of Python
            floats become float32. uint8 values are taken for image pixels: they stay in memory as they are,
            and come out, batch by batch, as float32 in [0, 1] (x / 255). Other dtypes come out unchanged.
        y: targets, N of them. Integers, shape (N,), are class labels, kept as int64. Floating-point targets
            have any shape (N, ...) and are kept as they are.
        classes: the names of the classes, in the order of their labels; without it "0", "1", … up to the
            largest label.

    Labels are checked here, once, on the host, so that no training step has to wait for a check.

    Raises:
        DataError: x or y is empty, their lengths differ, a label lies outside the classes (the first such
            label and its place are named), or a dtype does not fit.
    """

    def __init__(self, x: Any, y: Any, classes: Sequence[str] | None = None) -> None:
        inputs, targets = _as_host_array("x", x), _as_host_array("y", y)
        shapes = f"(x.shape={inputs.shape}, y.shape={targets.shape})"
        if len(inputs) != len(targets):
            raise DataError(f"ArrayDataset: x has {len(inputs)} items but y has {len(targets)} {shapes}")
        if len(inputs) == 0:
            raise DataError(f"ArrayDataset: the data are empty {shapes}")
        self._inputs = inputs
        self._targets: npt.NDArray[Any]
        self._classes: list[str]
        if targets.dtype.kind == "f":
            self._targets, self._classes = _checked_values(targets, classes), []
        else:
            self._targets, self._classes = _checked_labels(targets, classes)

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: Index) -> Pair:
        try:
            inputs = self._inputs[index]
        except IndexError as error:  # it stays one, which ends Python's loops
            raise IndexingError(f"ArrayDataset: {error}, got {index!r:.60}") from None
        except (TypeError, ValueError) as error:
            raise DataError(f"ArrayDataset: {index!r:.60} is no index: {error}") from None
        if inputs.dtype == np.uint8:
            inputs = inputs / np.float32(255)
        return inputs, self._targets[index]

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their labels; empty where targets are not labels."""
        return self._classes

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, (C, H, W) for images."""
        return self._inputs.shape[1:]

    @property
    def y(self) -> npt.NDArray[Any]:
        """All targets: labels as int64 of shape (len,), or floating-point values of shape (len, ...)."""
        return self._targets


def _as_host_array(name: str, value: Any) -> npt.NDArray[Any]:
    try:
        array = to_numpy(value)
    except (TypeError, ValueError) as error:  # rows of different lengths, no numbers
        raise DataError(f"ArrayDataset: {name} is not an array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"ArrayDataset: {name} must hold real numbers, but its dtype is {array.dtype}")
    if array.ndim == 0:
        raise DataError(f"ArrayDataset: {name} must have one row per item, got the single number {array}")
    is_weak = array.dtype == np.float64 and not hasattr(value, "dtype")  # made from Python floats
    return array.astype(np.float32) if is_weak else array


def _checked_values(targets: npt.NDArray[Any], classes: Sequence[str] | None) -> npt.NDArray[Any]:
    if classes is not None:
        raise DataError(f"ArrayDataset: classes are for integer labels, but y has dtype {targets.dtype}")
    if not np.isfinite(targets).all():
        place = tuple(np.argwhere(~np.isfinite(targets))[0].tolist())
        raise DataError(f"ArrayDataset: y{list(place)} is {targets[place]}; targets must be finite")
    return targets


def _checked_labels(labels: npt.NDArray[Any], classes: Sequence[str] | None) -> tuple[npt.NDArray[np.int64], list[str]]:
    if labels.ndim != 1:
        raise DataError(
            f"ArrayDataset: integer labels must have shape ({len(labels)},), got {labels.shape}; "
            "targets that are not class labels must be floating-point"
        )
    if classes is not None and not isinstance(classes, Sequence):
        raise DataError(f"ArrayDataset: classes must be a list of names, got {type(classes).__qualname__}")
    if classes is not None:
        count = len(classes)
        expected = f"there are {count} classes, so labels go from 0 to {count - 1}"
    else:
        count = min(int(labels.max()) + 1, MOST_UNNAMED_CLASSES)
        expected = f"without `classes`, labels go from 0 to at most {MOST_UNNAMED_CLASSES - 1}"
    outside = np.flatnonzero((labels < 0) | (labels >= count))
    if outside.size:
        first = int(outside[0])
        raise DataError(f"ArrayDataset: y[{first}] is {labels[first]}, but {expected}")
    names = [str(name) for name in classes] if classes is not None else [str(label) for label in range(count)]
    return labels.astype(np.int64), names


class Subset(Dataset):
    """Some items of a dataset, in the order given; nothing is copied.

    Args:
        dataset: where the items come from.
        indices: their numbers in `dataset`, integers of shape (M,).

    Raises:
        DataError: there are no indices, or one is not a number of an item.
    """

    def __init__(self, dataset: Dataset, indices: npt.ArrayLike) -> None:
        _check_dataset("Subset", dataset)
        try:
            numbers = np.asarray(indices)
        except ValueError:  # rows of different lengths
            numbers = np.empty(0)
        if numbers.ndim != 1 or numbers.size == 0 or numbers.dtype.kind not in "iu":
            raise DataError(
                "Subset: indices must be one or more integers in one row, "
                f"got dtype {numbers.dtype} and shape {numbers.shape}"
            )
        outside = np.flatnonzero((numbers < 0) | (numbers >= len(dataset)))
        if outside.size:
            first = int(outside[0])
            raise DataError(f"Subset: indices[{first}] is {numbers[first]}, but the dataset has {len(dataset)} items")
        self.dataset = dataset
        self.indices: npt.NDArray[np.int64] = numbers.astype(np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Index) -> Pair:
        return self.dataset[self.indices[index]]

    @property
    def classes(self) -> list[str]:
        """The names of the classes of the whole dataset."""
        return self.dataset.classes

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, (C, H, W) for images."""
        return self.dataset.input_shape

    @property
    def y(self) -> npt.NDArray[Any]:
        """The targets of these items."""
        return self.dataset.y[self.indices]


def _check_dataset(name: str, dataset: object) -> None:
    if not isinstance(dataset, Dataset):
        raise ArgumentError(f"{name}: expected a Dataset first, got {type(dataset).__qualname__}")


def random_split(dataset: Dataset, lengths: Sequence[float], *, seed: int = 0) -> list[Subset]:
    """Deal a dataset's items at random into parts that do not overlap.

    Args:
        dataset: what to split.
        lengths: the size of each part: integers that sum to the dataset's length, or fractions that sum to 1
            (each part then gets its share rounded down, and the items left over go one each to the first
            parts).
        seed: the same seed gives the same split on every machine and backend.

    Returns:
        One Subset for each length.

    Raises:
        ArgumentError: the lengths do not sum to the dataset's length, or the fractions to 1.
        DataError: a part is empty.
    """
    _check_dataset("random_split", dataset)
    if not isinstance(lengths, Sequence) or not all(
        isinstance(n, int | float | np.number) and abs(n) < 2**63 for n in lengths
    ):
        raise ArgumentError(f"random_split: lengths must be several numbers, got {lengths!r:.60}")
    total = len(dataset)
    if all(isinstance(length, int | np.integer) for length in lengths):
        sizes = [int(length) for length in lengths]
        if sum(sizes) != total:
            raise ArgumentError(f"random_split: lengths {sizes} sum to {sum(sizes)}, but the dataset has {total} items")
    else:
        if not math.isclose(math.fsum(lengths), 1.0):
            expected = f"integers that sum to {total}, or fractions that sum to 1"
            raise ArgumentError(f"random_split: expected {expected}, got {lengths}")
        sizes = [math.floor(total * fraction) for fraction in lengths]
        for part in range(total - sum(sizes)):
            sizes[part % len(sizes)] += 1
    if min(sizes) < 1:
        raise DataError(f"random_split: every part needs an item, but the sizes would be {sizes}")
    order = Generator(seed).spawn("random_split").permutation(total)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]
