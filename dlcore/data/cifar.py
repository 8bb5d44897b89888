"""CIFAR-10: 60,000 small colour images."""

import numpy as np
import numpy.typing as npt

from dlcore.data.cache import find_or_download
from dlcore.data.dataset import ArrayDataset
from dlcore.data.remote import RemoteArchive, RemoteFile

_MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
)
_IMAGE_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32  # bytes: a label, then the red, the green and the blue pixels, row by row
# The binary version: the Python version holds pickles, and to read these is to run what they say.
_ARCHIVE = RemoteArchive(
    "cifar-10-binary.tar.gz",
    tuple(
        RemoteFile(name, 10_000 * _RECORD, digest)
        for name, digest in (
            ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
            ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
            ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
            ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
            ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
            ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
        )
    ),
)
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10() -> tuple[ArrayDataset, ArrayDataset]:
    """Colour photographs of animals and vehicles, 32 × 32 pixels.

    The archive `cifar-10-binary.tar.gz` is looked for in $DLCORE_DATA/cifar10, $DLCORE_DATA and the cache folder,
    and otherwise downloaded into the cache folder (170 MB). A damaged one is passed over. It stays packed.

    Returns:
        Training and test data: 50,000 and 10,000 images, float32 of shape (3, 32, 32) in [0, 1] (red, green, blue),
        with 10 classes from "airplane" to "truck". In memory they are bytes: 154 MB for training.

    Raises:
        DataUnavailableError: the archive is not on this machine and cannot be downloaded; says where to put it, and
            what is wrong with one that was found.

    Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, University of Toronto (2009).
    """
    ((_, (*training, test)),) = find_or_download("cifar10", [_ARCHIVE], _MIRRORS)
    return _dataset(training), _dataset([test])


def _dataset(batches: list[bytes]) -> ArrayDataset:
    records = [np.frombuffer(batch, np.uint8).reshape(-1, _RECORD) for batch in batches]
    images: npt.NDArray[np.uint8] = np.concatenate([record[:, 1:] for record in records])
    labels = np.concatenate([record[:, 0] for record in records])
    return ArrayDataset(images.reshape(-1, *_IMAGE_SHAPE), labels, _CLASSES)
