"""MNIST and Fashion-MNIST: 70,000 small grey images each, in four files of the same names and sizes."""

from collections.abc import Sequence

import numpy as np

from dlcore.data.cache import find_or_download
from dlcore.data.dataset import ArrayDataset
from dlcore.data.idx import parse_idx
from dlcore.data.remote import RemoteFile

_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_MNIST_FILES = (
    RemoteFile(
        name="train-images-idx3-ubyte.gz",
        size=47_040_016,
        digest="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    RemoteFile(
        name="train-labels-idx1-ubyte.gz",
        size=60_008,
        digest="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    RemoteFile(
        name="t10k-images-idx3-ubyte.gz",
        size=7_840_016,
        digest="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    RemoteFile(
        name="t10k-labels-idx1-ubyte.gz",
        size=10_008,
        digest="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)

_FASHION_MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
_FASHION_FILES = tuple(
    RemoteFile(name, size, digest, "md5")
    for name, size, digest in (
        ("train-images-idx3-ubyte.gz", 47_040_016, "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
        ("train-labels-idx1-ubyte.gz", 60_008, "9018921c3c673c538a1fc5bad174d6f9"),
        ("t10k-images-idx3-ubyte.gz", 7_840_016, "8181f5470baa50b63fa0f6fddb340f0a"),
        ("t10k-labels-idx1-ubyte.gz", 10_008, "15d484375f8d13e6eb1aabb0c3f46965"),
    )
)
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def mnist() -> tuple[ArrayDataset, ArrayDataset]:
    """Handwritten digits, 28 × 28 pixels, of about 250 (training) and 250 other (test) writers.

    The four files are looked for in $DLCORE_DATA/mnist, $DLCORE_DATA and the cache folder, and otherwise
    downloaded into the cache folder (11 MB). They are known by their content: damaged ones, and those of the same
    names that are not MNIST's, are passed over.

    Returns:
        Training and test data: 60,000 and 10,000 images, float32 of shape (1, 28, 28) in [0, 1], labels 0
        to 9. The images stay in memory as bytes and become float32 batch by batch: 47 MB for training instead
        of 188 MB.

    Raises:
        DataUnavailableError: files are not on this machine and cannot be downloaded; says which to put where, and
            what is wrong with those that were found.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, *Gradient-based learning applied to document
    recognition*, Proceedings of the IEEE 86 (1998).
    """
    return _load("mnist", _MNIST_FILES, _MNIST_MIRRORS, [str(digit) for digit in range(10)])


def fashion_mnist() -> tuple[ArrayDataset, ArrayDataset]:
    """Pictures of clothes, shoes and bags, 28 × 28 pixels, white on black: of MNIST's form, and harder.

    The four files are looked for in $DLCORE_DATA/fashion-mnist, $DLCORE_DATA and the cache folder, and otherwise
    downloaded into the cache folder (31 MB). They have the same names as MNIST's, and are told from them by their
    content: those of MNIST, and damaged ones, are passed over.

    Returns:
        Training and test data: 60,000 and 10,000 images, float32 of shape (1, 28, 28) in [0, 1], with 10 classes
        from "T-shirt/top" to "Ankle boot". In memory they are bytes, as MNIST's.

    Raises:
        DataUnavailableError: files are not on this machine and cannot be downloaded; says which to put where, and
            what is wrong with those that were found.

    Source: H. Xiao, K. Rasul, R. Vollgraf, *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms*, arXiv:1708.07747 (2017), licence MIT.
    """
    return _load("fashion-mnist", _FASHION_FILES, _FASHION_MIRRORS, _CLOTHES)


def _load(
    name: str, files: Sequence[RemoteFile], mirrors: Sequence[str], classes: Sequence[str]
) -> tuple[ArrayDataset, ArrayDataset]:
    arrays = [parse_idx(content, path) for path, content in find_or_download(name, files, mirrors)]
    train, test = (
        ArrayDataset(images[:, np.newaxis], labels, classes)
        for images, labels in zip(arrays[::2], arrays[1::2], strict=True)
    )
    return train, test
