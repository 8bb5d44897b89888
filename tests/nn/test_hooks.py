"""Hooks: what they see, what they may change, and that they end."""

import copy
import gc
import weakref
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn
from tests.tolerances import assert_close


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def test_forward_hooks_see_inputs_and_outputs_until_they_are_removed(backend: dl.backend.Backend) -> None:
    net, seen = network(), []
    before = net[1].register_forward_pre_hook(lambda module, inputs: seen.append(("before", module, inputs)))
    after = net[1].register_forward_hook(lambda module, inputs, output: seen.append(("after", module, inputs, output)))
    x = dl.randn(5, 3)
    y = net(x)
    assert [entry[0] for entry in seen] == ["before", "after"]
    assert all(entry[1] is net[1] for entry in seen)
    hidden = net[0](x)
    np.testing.assert_array_equal(seen[0][2][0].numpy(), hidden.numpy())
    np.testing.assert_array_equal(seen[1][3].numpy(), hidden.relu().numpy())
    before.remove()
    after.remove()
    after.remove()
    np.testing.assert_array_equal(net(x).numpy(), y.numpy())
    assert len(seen) == 2


def test_forward_hooks_may_change_inputs_and_outputs(backend: dl.backend.Backend) -> None:
    layer, x = nn.Identity(), dl.tensor([1.0, -2.0])
    with layer.register_forward_pre_hook(lambda module, inputs: inputs[0] * 3):
        assert layer(x).numpy().tolist() == [3.0, -6.0]
        with layer.register_forward_hook(lambda module, inputs, output: (inputs[0] + output).abs()):
            assert layer(x).numpy().tolist() == [6.0, 12.0]
    with layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,)):
        assert layer(x).numpy().tolist() == [2.0, -1.0]
    assert layer(x) is x
    assert not layer.has_hooks


def test_hooks_run_in_the_order_of_their_registration(backend: dl.backend.Backend) -> None:
    layer = nn.Identity()
    layer.register_forward_hook(lambda module, inputs, output: output + 1)
    layer.register_forward_hook(lambda module, inputs, output: output * 10)
    assert layer(dl.tensor([1.0])).item() == 20.0


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # PyTorch's, where the input does not learn
@pytest.mark.parametrize("input_learns", [True, False])
def test_backward_hooks_see_the_gradients_that_pytorchs_see(
    backend: dl.backend.Backend, torch: ModuleType, input_learns: bool
) -> None:
    net = network()
    peer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    peer.load_state_dict({name: torch.tensor(dl.backend.to_numpy(array)) for name, array in net.state_dict().items()})
    ours: list[Any] = []
    theirs: list[Any] = []
    for index in (0, 1, 2):
        net[index].register_full_backward_hook(lambda module, *gradients: ours.append(gradients))
        peer[index].register_full_backward_hook(lambda module, *gradients: theirs.append(gradients))
    x = dl.randn(5, 3, requires_grad=input_learns)
    (net(x) ** 2).sum().backward()
    (peer(torch.tensor(x.numpy(), requires_grad=input_learns)) ** 2).sum().backward()
    assert len(ours) == len(theirs) == 3
    for (found_in, found_out), (grad_in, grad_out) in zip(ours, theirs, strict=True):
        assert_close(found_out[0].numpy(), grad_out[0].numpy(), "grad_output")
        assert (found_in[0] is None) == (grad_in[0] is None)
        if grad_in[0] is not None:
            assert_close(found_in[0].numpy(), grad_in[0].numpy(), "grad_input")
    assert (ours[2][0][0] is None) != input_learns


def test_backward_hooks_may_change_what_goes_on(backend: dl.backend.Backend) -> None:
    layer, x = nn.Tanh(), dl.tensor([0.5], requires_grad=True)
    layer(x).sum().backward()
    expected = x.grad.numpy()
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: grad_input[0] * 2)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] + 1,))
    x.grad = None
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * expected + 1, rtol=1e-6)


def test_derivatives_pass_through_hooks_of_every_order(backend: dl.backend.Backend) -> None:
    layer, seen = nn.Tanh(), []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input))
    x = dl.randn(4, dtype="float64", requires_grad=True)
    assert dl.gradgradcheck(lambda x: layer(x), [x])
    assert seen


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_hooks_held_is_freed_at_once(backend: dl.backend.Backend, create_graph: bool) -> None:
    layer, x = nn.Tanh(), dl.randn(4, requires_grad=True)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: None)
    gc.collect()
    gc.disable()
    try:
        output = layer(x)
        y = (output * output).sum()  # so that the gradient that comes in leads back, too
        node = weakref.ref(output.grad_fn)
        (gradient,) = dl.grad(y, [x], create_graph=create_graph)
        del output, y, gradient
        assert node() is None
    finally:
        gc.enable()


def test_copies_have_hooks_of_their_own(backend: dl.backend.Backend) -> None:
    layer, seen = nn.ReLU(), []
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(module))
    twin = copy.deepcopy(layer)
    handle.remove()
    twin(layer(dl.ones(1)))
    assert seen == [twin]


def test_without_a_graph_backward_hooks_wait(backend: dl.backend.Backend) -> None:
    layer = nn.ReLU()
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: pytest.fail("nothing to go back through"))
    with dl.no_grad():
        layer(dl.ones(2, requires_grad=True))
    layer(dl.ones(2))


class TwoInputs(nn.Module):
    def forward(self, a: dl.Tensor, b: dl.Tensor) -> Any:
        return a * b


class TwoOutputs(nn.Module):
    def forward(self, x: dl.Tensor) -> Any:
        return x, x


def test_what_backward_hooks_cannot_do_is_said(backend: dl.backend.Backend) -> None:
    x = dl.ones(2, requires_grad=True)
    product, several, layer = TwoInputs(), TwoOutputs(), nn.ReLU()
    seen: list[Any] = []
    for module in (product, several):
        module.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input))
    product(dl.ones(2), x).sum().backward()
    assert seen[0][0] is None
    assert seen[0][1].numpy().tolist() == [1.0, 1.0]
    with pytest.raises(dl.ArgumentError, match=r"TwoInputs: a backward hook is for modules of one input .* but 2 do"):
        product(x, x)
    with pytest.raises(dl.ArgumentError, match="TwoOutputs: a backward hook needs a module that returns one Tensor"):
        several(x)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: ())
    with pytest.raises(dl.GraphError, match="ReLU: a backward hook must return None or a tuple like its grad_input"):
        layer(x).sum().backward()
    with pytest.raises(dl.ArgumentError, match="a hook must be a function, got int"):
        layer.register_forward_hook(3)
