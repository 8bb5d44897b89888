"""`dataset.mnist`, on digits made here; the real ones in `test_real_digits`."""

import os

import numpy as np
import pytest

from dlcore import data
from dlcore.book.dataset import mnist


@pytest.fixture
def digits(monkeypatch):
    """Stand for MNIST: a few images of every byte, and labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 1, 28, 28)).astype(np.uint8)
    images[0].reshape(-1)[:256] = np.arange(256)
    labels = np.arange(20) % 10
    parts = data.ArrayDataset(images[:15], labels[:15]), data.ArrayDataset(images[15:], labels[15:] - 0, range(10))
    monkeypatch.setattr(data, "mnist", lambda: parts)
    return images, labels


def test_as_floats_in_rows(digits):
    images, labels = digits
    (x_train, t_train), (x_test, t_test) = mnist.load_mnist()
    assert x_train.shape == (15, 784)
    assert x_test.shape == (5, 784)
    expected = images.reshape(20, 784).astype(np.float32)
    expected /= 255.0
    assert x_train.dtype == np.float32
    assert (x_train == expected[:15]).all()
    assert (x_test == expected[15:]).all()
    assert t_train.dtype == np.uint8
    assert (t_train == labels[:15]).all()
    assert (t_test == labels[15:]).all()


def test_as_bytes_in_images(digits):
    images, _ = digits
    (x_train, _), (x_test, _) = mnist.load_mnist(flatten=False, normalize=False)
    assert x_train.dtype == np.uint8
    assert (np.concatenate([x_train, x_test]) == images).all()


def test_one_hot(digits):
    _, labels = digits
    (_, t_train), (_, t_test) = mnist.load_mnist(one_hot_label=True)
    assert t_train.dtype == np.float64
    assert t_test.shape == (5, 10)
    assert (np.concatenate([t_train, t_test]) == (labels[:, None] == np.arange(10))).all()


def test_arrays_are_the_callers(digits):
    (x_train, t_train), _ = mnist.load_mnist()
    x_train += 1
    t_train[:] = 0
    (again, labels), _ = mnist.load_mnist()
    assert again.max() <= 1
    assert labels.any()


def test_downloading_is_the_data_packages(monkeypatch):
    asked = []
    monkeypatch.setattr(data, "mnist", lambda: asked.append(True))
    mnist.download_mnist()
    mnist.init_mnist()
    assert len(asked) == 2


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("DLCORE_DATA"), reason="needs MNIST: set DLCORE_DATA to the folder that holds it"
)
def test_real_digits():
    (x_train, t_train), (x_test, t_test) = mnist.load_mnist(normalize=False)
    assert (x_train.shape, x_test.shape) == ((60000, 784), (10000, 784))
    assert t_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert t_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert x_train.max() == 255
    normal, _ = mnist.load_mnist()
    assert np.array_equal(normal[0], x_train.astype(np.float32) / np.float32(255))
