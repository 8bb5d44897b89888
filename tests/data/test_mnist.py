import gzip
import hashlib
import importlib

import numpy as np
import pytest

import dlcore.data as data
from dlcore.data import cache
from dlcore.data.remote import RemoteFile
from kernels.errors import DataUnavailableError

mnist_module = importlib.import_module("dlcore.data.mnist")  # the package's name `mnist` is the function


def idx(array):
    shape = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


@pytest.fixture
def small(monkeypatch, mirror, tmp_path):
    """A small MNIST, served by a mirror and not on this machine."""
    rng = np.random.default_rng(0)
    contents = []
    for count in (20, 10):
        contents.append(idx(rng.integers(0, 256, (count, 28, 28), np.uint8)))
        contents.append(idx((np.arange(count) % 10).astype(np.uint8)))
    files = tuple(
        RemoteFile(file.name, len(content), hashlib.sha256(content).hexdigest())
        for file, content in zip(mnist_module._MNIST_FILES, contents, strict=True)
    )
    mirror.files = {file.name: gzip.compress(content) for file, content in zip(files, contents, strict=True)}
    monkeypatch.setattr(mnist_module, "_MNIST_FILES", files)
    monkeypatch.setattr(mnist_module, "_MNIST_MIRRORS", (mirror.url,))
    monkeypatch.setattr("dlcore.data.download._PAUSES", (0.0,))
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DLCORE_DATA", raising=False)
    return mirror


def test_downloaded_once_then_found(small, tmp_path):
    train, test = data.mnist()
    assert [(len(part), part.input_shape, part.num_classes) for part in (train, test)] == [
        (20, (1, 28, 28), 10),
        (10, (1, 28, 28), 10),
    ]
    assert train.y.tolist() == [*range(10)] * 2
    assert sorted(path.name for path in (tmp_path / "cache/data/mnist").iterdir()) == sorted(small.files)
    small.requests.clear()
    again, _ = data.mnist()
    np.testing.assert_array_equal(again.x, train.x)
    assert small.requests == []


@pytest.mark.parametrize("folder", ["", "mnist"])
@pytest.mark.parametrize("is_compressed", [True, False])
def test_found_where_dlcore_data_points(small, monkeypatch, tmp_path, folder, is_compressed):
    own = tmp_path / "own" / folder
    own.mkdir(parents=True)
    for name, content in small.files.items():
        path = own / name if is_compressed else own / name.removesuffix(".gz")
        path.write_bytes(content if is_compressed else gzip.decompress(content))
    monkeypatch.setenv("DLCORE_DATA", str(tmp_path / "own"))
    assert len(data.mnist()[0]) == 20
    assert small.requests == []


def test_offline_says_which_files_to_put_where(small, monkeypatch, tmp_path):
    small.files.popitem()
    monkeypatch.setenv("DLCORE_DATA", str(tmp_path / "own"))
    with pytest.raises(DataUnavailableError) as caught:
        data.mnist()
    message = str(caught.value)
    assert message.startswith("mnist: t10k-labels-idx1-ubyte.gz is not on this machine and could not be downloaded")
    assert f". Put t10k-labels-idx1-ubyte.gz into {tmp_path / 'own' / 'mnist'}, or" in message
    assert isinstance(caught.value, FileNotFoundError)


def test_offline_with_nothing_names_all_files(small):
    small.files.clear()
    with pytest.raises(DataUnavailableError) as caught:
        data.mnist()
    assert all(file.name in str(caught.value) for file in mnist_module._MNIST_FILES)


def test_another_dataset_under_the_same_names_is_passed_over(small, monkeypatch, tmp_path):
    """Its folder is not the last one in which they are looked for; and what is nowhere else is downloaded."""
    name = "t10k-labels-idx1-ubyte.gz"
    (tmp_path / name).write_bytes(gzip.compress(idx(np.zeros(10, np.uint8))))
    monkeypatch.setenv("DLCORE_DATA", str(tmp_path))
    content = small.files.pop(name)
    with pytest.raises(DataUnavailableError) as caught:
        data.mnist()
    assert f"Passed over: {tmp_path / name}: damaged, or not the {name} that was expected" in str(caught.value)
    small.files[name] = content
    assert data.mnist()[1].y.tolist() == list(range(10))
    small.requests.clear()
    assert data.mnist()[1].y.tolist() == list(range(10))
    assert small.requests == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(small, tmp_path):
    data.mnist()
    path = tmp_path / "cache/data/mnist/t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    assert len(data.mnist()[1]) == 10
    assert path.read_bytes() == small.files[path.name]


def test_the_real_mnist():
    folders = cache.data_folders("mnist")
    if not all(cache.candidates(file, folders) for file in mnist_module._MNIST_FILES):
        pytest.skip("MNIST is not on this machine: set DLCORE_DATA to a folder that holds it, or call mnist() once")
    train, test = data.mnist()
    assert (len(train), len(test)) == (60_000, 10_000)
    assert np.bincount(train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert test.x.dtype == np.float32
    assert (test.x.min(), test.x.max()) == (0.0, 1.0)
    assert test.x.mean() == pytest.approx(0.1325, abs=1e-4)
    assert train._inputs.nbytes == 47_040_000


def test_fashion_mnist_is_told_from_mnist_by_its_content(small, monkeypatch, tmp_path):
    """It has the same files in a folder of its own, and MNIST's are not taken for it."""
    files = [
        RemoteFile(file.name, len(content), hashlib.md5(content).hexdigest(), "md5")
        for file, content in ((file, gzip.decompress(small.files[file.name])) for file in mnist_module._FASHION_FILES)
    ]
    monkeypatch.setattr(mnist_module, "_FASHION_FILES", files)
    monkeypatch.setattr(mnist_module, "_FASHION_MIRRORS", (small.url,))
    train, test = data.fashion_mnist()
    assert (len(train), len(test), train.input_shape) == (20, 10, (1, 28, 28))
    assert train.classes[:2] == ["T-shirt/top", "Trouser"]
    assert train.classes[-1] == "Ankle boot"
    assert len(list((tmp_path / "cache/data/fashion-mnist").iterdir())) == 4
    other = tmp_path / "own"
    other.mkdir()
    (other / files[1].name).write_bytes(gzip.compress(idx(np.zeros(20, np.uint8))))
    monkeypatch.setenv("DLCORE_DATA", str(other))
    np.testing.assert_array_equal(data.fashion_mnist()[0].y, train.y)
    (tmp_path / "cache/data/fashion-mnist" / files[1].name).unlink()
    small.files.clear()
    with pytest.raises(
        DataUnavailableError, match=r"Passed over: .*train-labels-idx1-ubyte\.gz: damaged, or not .* MD5"
    ):
        data.fashion_mnist()


def test_the_real_fashion_mnist():
    folders = cache.data_folders("fashion-mnist")
    if not all(cache.candidates(file, folders) for file in mnist_module._FASHION_FILES):
        pytest.skip("Fashion-MNIST is not on this machine: set DLCORE_DATA, or call fashion_mnist() once")
    train, test = data.fashion_mnist()
    assert np.bincount(train.y).tolist() == [6000] * 10
    assert np.bincount(test.y).tolist() == [1000] * 10
