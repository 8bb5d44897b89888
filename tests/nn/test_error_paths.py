"""What a layer raises names it by its path in the network that was called."""

import pickle
import traceback
from typing import Any

import pytest

import dlcore as dl
from dlcore import nn
from dlcore.backend import Backend


class Broken(nn.Module):
    """A layer whose forward raises what it is given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: dl.Tensor) -> dl.Tensor:
        raise self.error


def raised(network: nn.Module, *inputs: Any) -> dl.DLCoreError:
    with pytest.raises(dl.DLCoreError) as caught:
        network(*inputs)
    return caught.value


CONV = "Conv2d(16, 32, kernel_size=(3, 3))"
MESSAGE = "conv2d: x has 3 channels but weight expects 16"


def test_the_path_of_the_innermost_layer(backend: Backend) -> None:
    features = nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), nn.Conv2d(16, 32, 3)))
    network = nn.Sequential({"features": features, "last": nn.ReLU()})
    x = dl.zeros((2, 3, 8, 8))
    error = raised(network, x)
    assert type(error) is dl.ShapeError
    assert str(error).startswith(f"features.1.1, {CONV}: {MESSAGE} (")
    assert error.where == f"features.1.1, {CONV}"
    assert str(error).count(MESSAGE) == 1
    assert str(raised(features, x)).startswith(f"1.1, {CONV}: {MESSAGE}")  # from the module that was called


def test_a_layer_on_its_own_has_no_path(backend: Backend) -> None:
    error = raised(nn.Conv2d(16, 32, 3), dl.zeros((2, 3, 8, 8)))
    assert str(error).startswith(MESSAGE)
    assert error.where == ""


@pytest.mark.parametrize("following", [[nn.ReLU], [lambda: nn.MaxPool2d(2)], [nn.ReLU, lambda: nn.MaxPool2d(2)], []])
def test_neighbours_that_are_computed_together(backend: Backend, following: list[Any]) -> None:
    network = nn.Sequential(nn.Identity(), nn.Conv2d(16, 32, 3), *[make() for make in following])
    assert raised(network, dl.zeros((2, 3, 8, 8))).where == f"1, {CONV}"


def test_a_pool_behind_relu(backend: Backend) -> None:
    """They change places; each still has its own name."""
    network = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.MaxPool2d(2))
    assert raised(network, dl.zeros((2, 3, 8, 8))).where == "2, MaxPool2d(2)"


def test_a_single_value_per_channel(backend: Backend) -> None:
    """A batch of one under batch norm."""
    network = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()))
    error = raised(network, dl.zeros((1, 4)))
    assert str(error) == (
        "1.0, BatchNorm1d(3, eps=1e-05, momentum=0.1): batch_norm: in training, a channel needs more than one value to "
        "have a variance, got x.shape=(1, 3); use larger batches (drop_last=True leaves out a last batch of one) or "
        "eval()"
    )
    assert network.eval()(dl.zeros((1, 4))).shape == (1, 3)


def test_parts_of_all_kinds(backend: Backend) -> None:
    """Lists and residual blocks; a layer with hooks; one that is used in two blocks."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shared = nn.Linear(3, 3)
            self.blocks = nn.ModuleList([nn.Residual(shared), nn.Residual(nn.Sequential(nn.Identity(), shared))])
            self.hooked = nn.Linear(3, 5)
            self.hooked.register_forward_hook(lambda module, inputs, output: None)
            self.number = 0

        def forward(self, x: dl.Tensor) -> dl.Tensor:
            return self.hooked(x) if self.number == 2 else self.blocks[self.number](x)

    network = Network()
    for network.number, where in enumerate(["blocks.0.function", "blocks.1.function.1", "hooked"]):
        shape = "(3, 5)" if where == "hooked" else "(3, 3)"
        assert raised(network, dl.zeros((2, 4))).where == f"{where}, Linear{shape}"


def test_a_network_that_raises_itself(backend: Backend) -> None:
    """It has no path; inside another it has one, and its parts don't fill the message."""
    block = nn.Residual(nn.Linear(3, 2))
    assert "Residual" not in str(raised(block, dl.zeros((2, 3))))
    assert raised(nn.Sequential(nn.Identity(), block), dl.zeros((2, 3))).where == "1, Residual"


def test_a_layer_that_is_no_part(backend: Backend) -> None:
    layer = nn.Sequential(nn.Linear(3, 3))

    class Calls(nn.Module):
        def forward(self, x: dl.Tensor) -> dl.Tensor:
            return layer(x)

    assert raised(nn.Sequential(Calls()), dl.zeros((2, 4))).where == "0, Linear(3, 3)"


def test_every_type_of_error_keeps_its_type_and_can_be_pickled(backend: Backend) -> None:
    for kind in (dl.ArgumentError, dl.MissingFileError, dl.DeviceMemoryError, dl.TrainingError):
        error = raised(nn.Sequential(nn.Sequential(Broken(kind("too bad")))), dl.zeros(1))
        assert type(error) is kind
        assert str(error) == "0.0, Broken(): too bad"
        assert error.args == ("too bad",)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (kind, str(error))


def test_other_exceptions_pass_with_a_note(backend: Backend) -> None:
    given = KeyError("x")
    given.add_note("mine")
    network = nn.Sequential({"head": nn.Sequential(nn.Identity(), Broken(given))})
    with pytest.raises(KeyError) as caught:
        network(dl.zeros(1))
    assert caught.value is given
    assert given.args == ("x",)
    assert given.__notes__ == ["mine", "in head.1, Broken()"]
    assert "in head.1, Broken()" in "".join(traceback.format_exception(given))
    alone = ValueError("too bad")
    with pytest.raises(ValueError, match="too bad"):
        Broken(alone)(dl.zeros(1))
    assert not hasattr(alone, "__notes__")


def test_forward_takes_options(backend: Backend) -> None:
    class Scaled(nn.Module):
        def forward(self, x: dl.Tensor, by: float = 1.0) -> dl.Tensor:
            return x * by

    layer = Scaled()
    assert layer(dl.ones(1), by=3.0).item() == 3.0
    with layer.register_forward_hook(lambda module, inputs, output: output + 1):
        assert layer(dl.ones(1), by=3.0).item() == 4.0
