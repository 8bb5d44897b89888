"""What holds on a device as a whole: training, moving, sharing memory, running out of it. On every backend there is."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import data, models, nn, optim
from dlcore import functional as F
from tests import emulation


def training_step(network: nn.Module, optimizer: optim.Optimizer, x: Any, labels: Any) -> dl.Tensor:
    loss = F.cross_entropy(network(x), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def batch(shape: tuple[int, ...], classes: int = 10, seed: int = 0) -> tuple[dl.Tensor, Any]:
    """Images and labels on the active backend."""
    rng = np.random.default_rng(seed)
    images = dl.tensor(rng.standard_normal(shape, dtype=np.float32))
    return images, dl.backend.asarray(rng.integers(0, classes, shape[0]))


@pytest.fixture
def emulated(backend: dl.backend.Backend) -> None:
    if not emulation.is_installed():
        pytest.skip("counts what CuPy was asked for, which only the emulation does (--backend cupy-emulated)")


NETWORKS = {
    "SimpleConvNet": lambda: models.SimpleConvNet((1, 12, 12), 10),
    "DeepConvNet": lambda: models.DeepConvNet((1, 12, 12), 10),
    "batch norm": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.AvgPool2d(2),
        nn.Tanh(),
        nn.Conv2d(8, 16, 1),
        nn.Dropout(0.2),
        nn.Sigmoid(),
        nn.MaxPool2d(3, 2, 1),
        nn.Flatten(),
        nn.Linear(16 * 3 * 3, 10),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_reads_nothing_back_and_keeps_channels_last(emulated: None, name: str) -> None:
    network = NETWORKS[name]()
    optimizer = optim.Adam(network.parameters())
    x, labels = batch((4, 1, 12, 12))  # of one channel: its memory is both NCHW and NHWC
    training_step(network, optimizer, x, labels)  # makes what is made once
    with emulation.counting() as counts:
        training_step(network, optimizer, x, labels)
    assert not counts.gets
    assert not counts.synchronizations
    assert counts.sets <= 1  # the optimizer's table of addresses, where they changed
    # Flatten gives the order of logical shapes, and its gradient goes back through it.
    assert counts.layout_copies.total() <= 2
    assert counts.launches.total() > 0


def test_training_agrees_with_numpy(backend: dl.backend.Backend) -> None:
    def train(choice: str | dl.backend.Backend) -> tuple[list[float], dict[str, np.ndarray]]:
        with dl.backend.using(choice):
            dl.backend.seed(3)
            network = models.SimpleConvNet((1, 12, 12), 10)
            optimizer = optim.Adam(network.parameters())
            losses = [training_step(network, optimizer, *batch((8, 1, 12, 12), seed=step)).item() for step in range(20)]
            return losses, {name: dl.backend.to_numpy(array) for name, array in network.state_dict().items()}

    losses, weights = train(backend)
    expected_losses, expected_weights = train("numpy")
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4, atol=1e-4)
    for name, expected in expected_weights.items():
        np.testing.assert_allclose(weights[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_files_move_between_backends(backend: dl.backend.Backend, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 3))
    dl.save(network, tmp_path / "weights.safetensors")
    with dl.backend.using("numpy"):
        twin = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 3))
        dl.load(twin, tmp_path / "weights.safetensors")
        dl.save(twin, tmp_path / "back.safetensors")
    assert (tmp_path / "weights.safetensors").read_bytes() == (tmp_path / "back.safetensors").read_bytes()
    dl.load(network, tmp_path / "back.safetensors")
    assert network.backend is backend


def test_a_network_moves_with_its_optimizer(backend: dl.backend.Backend) -> None:
    """Trained half on the CPU and half on the backend, it learns what it learns in one place."""

    def train(places: list[str | dl.backend.Backend]) -> list[np.ndarray]:
        with dl.backend.using("numpy"):
            dl.backend.seed(5)
            network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
            optimizer = optim.Momentum(network.parameters(), lr=0.05)
        for step, place in enumerate(places):
            network.to(place)
            with dl.backend.using(place):
                training_step(network, optimizer, *batch((6, 1, 8, 8), seed=step))
        return [dl.backend.to_numpy(array) for array in network.state_dict().values()]

    moved = train(["numpy", backend, "numpy", backend])
    for actual, expected in zip(moved, train(["numpy"] * 4), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_a_second_device(emulated: None) -> None:
    dl.backend.seed(1)
    here = models.SimpleConvNet((1, 12, 12), 10)
    there = models.SimpleConvNet((1, 12, 12), 10)
    there.load_state_dict({name: dl.backend.to_numpy(array) for name, array in here.state_dict().items()})
    there.to("cupy:1")
    assert there.backend.name == "cupy:1"
    x, labels = batch((4, 1, 12, 12))
    # The active backend stays "cupy": operations, gradients and the optimizer follow their arrays.
    loss = training_step(there, optim.Adam(there.parameters()), x.to("cupy:1"), dl.asarray(labels).to("cupy:1"))
    expected = training_step(here, optim.Adam(here.parameters()), x, labels)
    assert loss.backend.name == "cupy:1"
    assert loss.item() == expected.item()
    for one, two in zip(here.parameters(), there.parameters(), strict=True):
        assert two.backend.name == "cupy:1"
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    images = dl.Tensor(dl.randn(2, 3, 4, 5).data.transpose(0, 3, 1, 2))  # channels-last, and so it stays
    moved = images.to("cupy:1")
    np.testing.assert_array_equal(moved.numpy(), images.numpy())
    assert moved.data.strides == images.data.strides
    with dl.backend.using("cupy:1"):
        assert dl.randn(3).backend.name == dl.zeros(3).backend.name == nn.Linear(2, 2).backend.name == "cupy:1"
    with pytest.raises(dl.BackendMismatchError, match=r'Add: a is on cupy, b is on cupy:1; .*\.to\("cupy"\)'):
        x + x.to("cupy:1")


def test_a_device_out_of_memory_says_so(emulated: None) -> None:
    pool: Any = dl.backend.xp.get_default_memory_pool()
    x = dl.zeros((256, 1024))
    pool.set_limit(pool.used_bytes() + (1 << 21))
    try:
        with pytest.raises(dl.DeviceMemoryError, match=r"cupy: 32\.00 MiB asked for, but .* free .*smaller batch"):
            x @ dl.zeros((1024, 8192))
    finally:
        pool.set_limit(0)


def test_dlpack_in_and_out_shares_memory(backend: dl.backend.Backend) -> None:
    x = dl.arange(6.0)
    array = x.backend.xp.from_dlpack(x)
    array[2] = 50.0
    assert x.numpy()[2] == 50.0
    y = dl.from_dlpack(x)
    y.copy_(np.zeros(6, np.float32))
    assert not x.numpy().any()
    assert y.backend is backend
    x.requires_grad = True
    with pytest.raises(dl.GraphError, match="detach"):
        x.__dlpack__()
    with pytest.raises(dl.DTypeError, match="__dlpack__"):
        dl.from_dlpack([1.0])


def test_the_cuda_array_interface_is_there_on_devices_only(backend: dl.backend.Backend) -> None:
    x = dl.arange(6.0)
    assert hasattr(x, "__cuda_array_interface__") == (not backend.is_host)
    if not backend.is_host:
        assert x.__cuda_array_interface__["shape"] == (6,)
        assert x.__cuda_array_interface__["data"][0] == x.data.data.ptr


def test_torch_tensors_are_taken_without_a_copy(torch: ModuleType) -> None:
    theirs = torch.arange(4.0)
    ours = dl.asarray(theirs)
    theirs[1] = 7.0
    assert ours.numpy().tolist() == [0.0, 7.0, 2.0, 3.0]
    back = torch.from_dlpack(ours)
    back[0] = 9.0
    assert ours.numpy()[0] == theirs[0] == 9.0


def test_precision_is_one_switch(backend: dl.backend.Backend) -> None:
    assert dl.backend.precision() == "highest"
    try:
        assert dl.backend.precision("tf32") == "tf32"
        if not backend.is_host:
            from cupy import _core

            assert _core.get_compute_type(np.float32) == _core._routines_linalg.COMPUTE_TYPE_TF32
        a, b = dl.rand(8, 8), dl.rand(8, 8)
        np.testing.assert_allclose((a @ b).numpy(), a.numpy() @ b.numpy(), rtol=2e-3)
    finally:
        dl.backend.precision("highest")
    with pytest.raises(dl.ArgumentError, match=r'"highest" or "tf32", got "fast"|got \'fast\''):
        dl.backend.precision("fast")


def test_the_trainer_and_the_loader_bring_batches_to_the_network(backend: dl.backend.Backend) -> None:
    with dl.backend.using("numpy"):
        rng = np.random.default_rng(0)
        images, labels = rng.random((40, 1, 8, 8), dtype=np.float32), rng.integers(0, 3, 40)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    with dl.backend.using("numpy"):
        trainer = dl.Trainer(network, optim.Adam(network.parameters()), loss=F.cross_entropy, metrics=["accuracy"])
        trainer.fit(data.DataLoader(data.ArrayDataset(images, labels), batch_size=10), epochs=1)
        assert 0.0 <= trainer.evaluate(data.ArrayDataset(images, labels))["accuracy"] <= 1.0
    assert network.backend is backend


def test_training_evaluation_and_prediction_on_a_second_device(emulated: None) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.random((40, 1, 8, 8), dtype=np.float32), rng.integers(0, 3, 40)
    with dl.backend.using("cupy:1"):
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    trainer = dl.Trainer(network, optim.Adam(network.parameters()), metrics=["accuracy"])
    trainer.fit(data.DataLoader(data.ArrayDataset(images, labels), batch_size=10), epochs=1)
    found = trainer.evaluate(data.ArrayDataset(images, labels), metrics=["accuracy", "confusion_matrix"])
    assert found["confusion_matrix"].sum() == 40
    assert trainer.predict(images).shape == (40, 3)
    assert network.backend.name == "cupy:1"
