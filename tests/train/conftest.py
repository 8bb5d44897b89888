"""A task that a small network learns in a moment."""

import numpy as np
import pytest

from dlcore import nn, optim
from dlcore.data import ArrayDataset, DataLoader
from dlcore.train import Trainer


@pytest.fixture(scope="session")
def blobs():
    """Three clouds of points in four dimensions, far apart: 50 points, which batches of 16 don't divide."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 50)
    points = 3 * np.eye(3, 4)[labels] + rng.normal(scale=0.5, size=(50, 4))
    return ArrayDataset(points.astype(np.float32), labels)


@pytest.fixture
def loader(blobs):
    return DataLoader(blobs, 16, shuffle=True, seed=0)


@pytest.fixture
def make_trainer():
    """Trainers of a small network, on the active backend."""

    def make(lr=0.01, network=None, **options):
        network = network or nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
        return Trainer(network, optim.Adam(network.parameters(), lr=lr), **{"progress": False} | options)

    return make
