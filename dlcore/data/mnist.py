"""MNIST: 70,000 handwritten digits."""

import numpy as np

from dlcore.data.cache import find_or_download
from dlcore.data.dataset import ArrayDataset
from dlcore.data.download import RemoteFile
from dlcore.data.idx import parse_idx

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_FILES = (
    RemoteFile(
        name="train-images-idx3-ubyte.gz",
        size=47_040_016,
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    RemoteFile(
        name="train-labels-idx1-ubyte.gz",
        size=60_008,
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    RemoteFile(
        name="t10k-images-idx3-ubyte.gz",
        size=7_840_016,
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    RemoteFile(
        name="t10k-labels-idx1-ubyte.gz",
        size=10_008,
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def mnist() -> tuple[ArrayDataset, ArrayDataset]:
    """Handwritten digits, 28 × 28 pixels, of about 250 (training) and 250 other (test) writers.

    The four files are looked for in $DLCORE_DATA/mnist, $DLCORE_DATA and the cache folder, and otherwise
    downloaded into the cache folder (11 MB).

    Returns:
        Training and test data: 60,000 and 10,000 images, float32 of shape (1, 28, 28) in [0, 1], labels 0
        to 9. The images stay in memory as bytes and become float32 batch by batch: 47 MB for training instead
        of 188 MB.

    Raises:
        DataUnavailableError: files are not on this machine and cannot be downloaded; says which to put where.
        FileFormatError: a file that was found is damaged or not MNIST's; says which.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, *Gradient-based learning applied to document
    recognition*, Proceedings of the IEEE 86 (1998).
    """
    paths = find_or_download("mnist", _FILES, _MIRRORS)
    arrays = [parse_idx(file.read(path), path) for file, path in zip(_FILES, paths, strict=True)]
    classes = [str(digit) for digit in range(10)]
    train, test = (
        ArrayDataset(images[:, np.newaxis], labels, classes)
        for images, labels in zip(arrays[::2], arrays[1::2], strict=True)
    )
    return train, test
