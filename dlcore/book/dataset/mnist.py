"""`dataset.mnist`: the handwritten digits (from chapter 3 on), found or downloaded by `dlcore.data`."""

import numpy as np

from dlcore import data
from dlcore.data import Dataset
from kernels.types import Array

__all__ = ["download_mnist", "init_mnist", "load_mnist"]

_WHITE, _CLASSES = 255, 10


def download_mnist() -> None:
    """Download the four files, unless $DLCORE_DATA or the cache folder holds them; see `dlcore.data.mnist`.

    Raises:
        DataUnavailableError: the files are not here and cannot be downloaded; says which to put where.
        FileFormatError: a file is damaged.
    """
    data.mnist()


def init_mnist() -> None:
    """The same: the files are read as they are, so there is no second form of them to make."""
    download_mnist()


def load_mnist(
    normalize: bool = True, flatten: bool = True, one_hot_label: bool = False
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """60,000 digits to learn from, and 10,000 to test on.

    Args:
        normalize: images as float32 from 0 to 1, else as bytes from 0 to 255.
        flatten: images of shape (784,), else (1, 28, 28).
        one_hot_label: labels as rows of ten float64 with a 1 at the class, else as bytes from 0 to 9.

    Returns:
        ((x_train, t_train), (x_test, t_test)): arrays that belong to the caller.

    Raises:
        DataUnavailableError, FileFormatError: as `download_mnist`.
    """
    train, test = (_arrays(part, normalize, flatten, one_hot_label) for part in data.mnist())
    return train, test


def _arrays(part: Dataset, normalize: bool, flatten: bool, one_hot_label: bool) -> tuple[Array, Array]:
    images, classes = part[:]
    if not normalize:
        images = np.rint(images * np.float32(_WHITE)).astype(np.uint8)
    labels = classes.astype(np.uint8)
    return images.reshape(len(part), -1) if flatten else images, np.eye(_CLASSES)[labels] if one_hot_label else labels
