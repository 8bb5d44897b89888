import hashlib
import importlib
import io
import tarfile

import numpy as np
import pytest

import dlcore.data as data
from dlcore.data import cache
from dlcore.data.remote import RemoteArchive, RemoteFile
from kernels.errors import DataUnavailableError

cifar = importlib.import_module("dlcore.data.cifar")


@pytest.fixture
def small(monkeypatch, mirror, tmp_path):
    """Six batches of four images each, served by a mirror; the pixels that they hold."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 4, 3, 32, 32), np.uint8)
    labels = rng.integers(0, 10, (6, 4), np.uint8)
    files, content = [], io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for number, file in enumerate(cifar._ARCHIVE.files):
            batch = np.concatenate([labels[number, :, None], pixels[number].reshape(4, -1)], axis=1).tobytes()
            files.append(RemoteFile(file.name, len(batch), hashlib.sha256(batch).hexdigest()))
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{file.name}")
            info.size = len(batch)
            archive.addfile(info, io.BytesIO(batch))
    mirror.files = {"cifar-10-binary.tar.gz": content.getvalue()}
    monkeypatch.setattr(cifar, "_ARCHIVE", RemoteArchive("cifar-10-binary.tar.gz", tuple(files)))
    monkeypatch.setattr(cifar, "_MIRRORS", (mirror.url,))
    monkeypatch.setattr("dlcore.data.download._PAUSES", (0.0,))
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DLCORE_DATA", raising=False)
    return mirror, pixels, labels


def test_downloaded_once_then_found(small, tmp_path):
    mirror, pixels, labels = small
    train, test = data.cifar10()
    assert [(len(part), part.input_shape, part.num_classes) for part in (train, test)] == [
        (20, (3, 32, 32), 10),
        (4, (3, 32, 32), 10),
    ]
    np.testing.assert_array_equal(train._inputs, pixels[:5].reshape(20, 3, 32, 32))
    np.testing.assert_array_equal(test.y, labels[5])
    np.testing.assert_array_equal(test.x, pixels[5] / np.float32(255))
    assert train.classes[test.y[0]] == cifar._CLASSES[labels[5, 0]]
    assert [path.name for path in (tmp_path / "cache/data/cifar10").iterdir()] == ["cifar-10-binary.tar.gz"]
    mirror.requests.clear()
    data.cifar10()
    assert mirror.requests == []


def test_offline_says_where_to_put_it(small, monkeypatch, tmp_path):
    small[0].files.clear()
    monkeypatch.setenv("DLCORE_DATA", str(tmp_path / "own"))
    with pytest.raises(DataUnavailableError, match=r"Put cifar-10-binary\.tar\.gz into .*own/cifar10, or"):
        data.cifar10()


def test_the_real_cifar10():
    if not cache.candidates(cifar._ARCHIVE, cache.data_folders("cifar10")):
        pytest.skip(
            "CIFAR-10 is not on this machine: set DLCORE_DATA to a folder that holds it, or call cifar10() once"
        )
    train, test = data.cifar10()
    assert (len(train), len(test)) == (50_000, 10_000)
    assert np.bincount(train.y).tolist() == [5000] * 10
    assert np.bincount(test.y).tolist() == [1000] * 10
