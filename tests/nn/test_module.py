"""Module: parts found by name, state in and out, modes, places, and how it shows itself."""

import copy
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn


class Block(nn.Module):
    """A network with everything: parameters, a buffer, nested modules, a constant, something without state."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.activation = nn.ReLU()
        self.scale = nn.Parameter(dl.tensor([2.0]))
        self.count = nn.Buffer(dl.zeros(()))
        self.rest = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 2, bias=False))
        self.constant = dl.ones(5)

    def forward(self, x: dl.Tensor) -> dl.Tensor:
        return self.rest(self.activation(self.first(x)) * self.scale)


PARAMETERS = ["scale", "first.weight", "first.bias", "rest.0.weight", "rest.0.bias", "rest.2.weight"]
STATE = [*PARAMETERS[:1], "count", *PARAMETERS[1:5], "rest.0.running_mean", "rest.0.running_var", PARAMETERS[5]]


class Tied(nn.Module):
    """Two layers with one weight, and one layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(3, 3, bias=False)
        self.decode = nn.Linear(3, 3, bias=False)
        self.decode.weight = self.encode.weight
        self.again = self.encode

    def forward(self, x: dl.Tensor) -> dl.Tensor:
        return self.decode(self.again(self.encode(x)))


# ---- names ---------------------------------------------------------------------------------------------------------


def test_names_come_from_attributes(backend: dl.backend.Backend) -> None:
    block = Block()
    assert [name for name, _ in block.named_parameters()] == PARAMETERS
    assert list(block.state_dict()) == STATE
    assert [name for name, _ in block.named_children()] == ["first", "activation", "rest"]
    assert [name for name, _ in block.named_modules()] == [
        *("", "first", "activation", "rest"),
        *("rest.0", "rest.1", "rest.2"),
    ]
    assert [id(parameter) for parameter in block.parameters()] == [id(value) for _, value in block.named_parameters()]
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in block.parameters())


def test_shared_parameters_come_once(backend: dl.backend.Backend) -> None:
    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["encode.weight"]
    assert list(tied.state_dict()) == ["encode.weight", "decode.weight", "again.weight"]
    tied(dl.ones((1, 3))).sum().backward()
    weight = tied.encode.weight
    optimizer = dl.optim.SGD(tied.parameters(), lr=0.5)
    expected = weight.numpy() - 0.5 * weight.grad.numpy()
    optimizer.step()
    np.testing.assert_allclose(tied.decode.weight.numpy(), expected, rtol=1e-6)
    assert tied.summary((3,)).parameters == 9


def test_an_attribute_that_is_replaced_is_forgotten(backend: dl.backend.Backend) -> None:
    block = Block()
    block.rest = nn.Linear(3, 2)
    del block.scale
    assert [name for name, _ in block.named_parameters()] == ["first.weight", "first.bias", "rest.weight", "rest.bias"]


# ---- state ---------------------------------------------------------------------------------------------------------


def test_state_round_trip(backend: dl.backend.Backend) -> None:
    source, target = Block(), Block()
    source(dl.randn(8, 4))
    state = source.state_dict()
    assert state["scale"] is source.scale.data  # the live arrays
    kept = target.first.weight.data
    target.load_state_dict({name: dl.backend.to_numpy(array) for name, array in state.items()})
    assert target.first.weight.data is kept  # written into, so that optimizers and graphs notice
    for name, array in target.state_dict().items():
        np.testing.assert_array_equal(dl.backend.to_numpy(array), dl.backend.to_numpy(state[name]))
    target.load_state_dict(state | {"scale": dl.tensor([3.0], "float64")})
    assert (target.scale.item(), target.scale.dtype) == (3.0, "float32")


def test_a_mismatch_lists_all_and_loads_nothing(backend: dl.backend.Backend) -> None:
    block = Block()
    before = {name: dl.backend.to_numpy(array).copy() for name, array in block.state_dict().items()}
    state: dict[str, Any] = {name: array + 1 for name, array in before.items()}
    del state["scale"], state["rest.0.running_var"]
    state["first.weight"] = np.zeros((3, 5))
    state["head.weight"] = np.zeros((2, 2))
    with pytest.raises(dl.StateDictError) as caught:
        block.load_state_dict(state)
    assert str(caught.value) == (
        "load_state_dict: Block does not match: missing scale (1,); missing rest.0.running_var (3,); "
        "unexpected head.weight (2, 2); first.weight has shape (3, 5) where the network has (3, 4)"
    )
    for name, array in block.state_dict().items():
        np.testing.assert_array_equal(dl.backend.to_numpy(array), before[name])


def test_pytorchs_counts_of_batches_are_passed_over(backend: dl.backend.Backend) -> None:
    layer = nn.Sequential(nn.BatchNorm1d(2))
    layer.load_state_dict({**layer.state_dict(), "0.num_batches_tracked": np.array(7)})
    with pytest.raises(dl.StateDictError, match=r"unexpected 0\.batches \(\)"):
        layer.load_state_dict({**layer.state_dict(), "0.batches": np.array(7)})


def test_copies_are_independent(backend: dl.backend.Backend) -> None:
    block = Block()
    twin = copy.deepcopy(block).eval()
    x = dl.randn(2, 4)
    np.testing.assert_array_equal(twin(x).numpy(), block.eval()(x).numpy())
    nn.init.zeros_(twin.first.weight)
    assert block.first.weight.numpy().any()


# ---- modes and places ----------------------------------------------------------------------------------------------


def test_train_and_eval_reach_everything(backend: dl.backend.Backend) -> None:
    block = Block()
    assert block.training
    assert block.eval() is block
    assert not any(module.training for module in block.modules())
    x = dl.randn(3, 4)
    np.testing.assert_array_equal(block(x).numpy(), block(x).numpy())
    assert block.train() is block
    assert all(module.training for module in block.modules())
    assert (block(x).numpy() != block(x).numpy()).any()


def test_zero_grad(backend: dl.backend.Backend) -> None:
    block = Block()
    block(dl.randn(3, 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
    block.zero_grad()
    assert all(parameter.grad is None for parameter in block.parameters())


def test_astype_converts_state_and_gradients(backend: dl.backend.Backend) -> None:
    block = Block()
    block(dl.randn(3, 4)).sum().backward()
    weight = block.first.weight
    assert block.astype("float64") is block
    assert block.first.weight is weight
    assert {array.dtype for array in block.state_dict().values()} == {np.dtype("float64")}
    assert {parameter.grad.dtype for parameter in block.parameters()} == {np.dtype("float64")}
    assert block(dl.randn(3, 4, dtype="float64")).dtype == "float64"


def test_to_moves_state_and_gradients(backend: dl.backend.Backend) -> None:
    block = Block()
    block(dl.randn(3, 4)).sum().backward()
    assert block.backend is backend
    assert block.to("numpy") is block
    assert block.backend.name == "numpy"
    assert {parameter.grad.backend.name for parameter in block.parameters()} == {"numpy"}
    assert block.to(backend)(dl.randn(3, 4)).backend is backend
    assert nn.ReLU().backend is backend


# ---- display -------------------------------------------------------------------------------------------------------


def test_summary_is_a_table(backend: dl.backend.Backend) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 10))
    summary = network.summary((1, 28, 28))
    assert str(summary) == (
        "name  layer                                        output shape    parameters\n"
        "-----------------------------------------------------------------------------\n"
        "      input                                        (N, 1, 28, 28)\n"
        "0     Conv2d(1, 4, kernel_size=(3, 3), padding=1)  (N, 4, 28, 28)          40\n"
        "1     ReLU()                                       (N, 4, 28, 28)           0\n"
        "2     MaxPool2d(2)                                 (N, 4, 14, 14)           0\n"
        "3     Flatten()                                    (N, 784)                 0\n"
        "4     Linear(784, 10)                              (N, 10)              7,850\n"
        "-----------------------------------------------------------------------------\n"
        "      Sequential                                                        7,890"
    )
    assert summary.rows[4] == ("4", "Linear(784, 10)", ("N", 10), 7850)


def test_summary_leaves_no_trace(backend: dl.backend.Backend) -> None:
    block = Block()
    block.rest.eval()
    before = {name: dl.backend.to_numpy(array).copy() for name, array in block.state_dict().items()}
    names = [row.name for row in block.astype("float64").summary((4,)).rows]
    assert names == ["first", "activation", "rest.0", "rest.1", "rest.2"]
    assert (block.training, block.rest.training, block.rest[0].training) == (True, False, False)
    for name, array in block.state_dict().items():
        np.testing.assert_array_equal(dl.backend.to_numpy(array), before[name])
    with pytest.raises(dl.ShapeError, match="linear: x has 5 features but weight expects 4"):
        block.summary((5,))
    assert block.training


def test_repr(backend: dl.backend.Backend) -> None:
    assert repr(Block()) == (
        "Block(\n"
        "  (first): Linear(4, 3)\n"
        "  (activation): ReLU()\n"
        "  (rest): Sequential(\n"
        "    (0): BatchNorm1d(3, eps=1e-05, momentum=0.1)\n"
        "    (1): Dropout(0.5)\n"
        "    (2): Linear(3, 2, bias=False)\n"
        "  )\n"
        ")"
    )


def test_a_module_without_forward(backend: dl.backend.Backend) -> None:
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(dl.ones(1))


# ---- Sequential ----------------------------------------------------------------------------------------------------


def test_sequential_is_a_sequence(backend: dl.backend.Backend) -> None:
    layers = [nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)]
    network = nn.Sequential(*layers)
    assert list(network) == layers
    assert (len(network), network[0], network[-1]) == (3, layers[0], layers[2])
    x = dl.randn(4, 3)
    np.testing.assert_array_equal(network[1:](network[0](x)).numpy(), network(x).numpy())
    empty = nn.Sequential()
    assert empty(x) is x
    assert (len(empty), repr(empty)) == (0, "Sequential()")


def test_sequential_takes_names(backend: dl.backend.Backend) -> None:
    network = nn.Sequential({"hidden": nn.Linear(3, 3), "output": nn.Linear(3, 2)})
    assert list(network.state_dict()) == ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]


@pytest.mark.parametrize("name", ["forward", "training", "a.b", "", "backend"])
def test_sequential_refuses_names_that_are_taken(backend: dl.backend.Backend, name: str) -> None:
    with pytest.raises(dl.ArgumentError, match=f"Sequential: no layer can be called '{name}'"):
        nn.Sequential({name: nn.ReLU()})


def test_sequential_refuses_functions(backend: dl.backend.Backend) -> None:
    with pytest.raises(dl.ArgumentError, match="Sequential: layer 1 must be a Module, got function"):
        nn.Sequential(nn.ReLU(), lambda x: x)


@pytest.mark.parametrize("kind", [list, tuple, lambda layers: dict(enumerate(layers))], ids=["list", "tuple", "dict"])
def test_layers_in_a_list_are_refused(backend: dl.backend.Backend, kind: Any) -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = kind([nn.Linear(2, 2), nn.ReLU()])

    with pytest.raises(dl.ArgumentError, match=r"Stack\.layers: parts in a \w+ are not found .* use nn\.Sequential"):
        Stack()
