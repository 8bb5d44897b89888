"""Clipping of gradients, against PyTorch and by hand."""

import math
from types import ModuleType

import numpy as np
import pytest

import dlcore as dl
from dlcore import nn
from tests.tolerances import assert_close

SHAPES = [(3, 4), (), (2, 3, 2, 2)]


def with_gradients(dtype: str = "float32") -> list[nn.Parameter]:
    parameters = [nn.Parameter(dl.randn(*shape, dtype=dtype)) for shape in SHAPES]
    for parameter in parameters:
        parameter.grad = dl.randn(*parameter.shape, dtype=dtype)
    return [*parameters, nn.Parameter(dl.ones(2))]  # the last has none


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e6])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_like_torch(
    backend: dl.backend.Backend, torch: ModuleType, norm_type: float, max_norm: float, dtype: str
) -> None:
    ours = with_gradients(dtype)
    theirs = [torch.tensor(parameter.numpy(), requires_grad=True) for parameter in ours]
    for parameter, peer in zip(ours, theirs, strict=True):
        peer.grad = None if parameter.grad is None else torch.tensor(parameter.grad.numpy())
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    norm = nn.utils.clip_grad_norm_(ours, max_norm, norm_type)
    assert (norm.shape, norm.dtype, norm.backend) == ((), dtype, backend)
    assert_close(norm.numpy(), expected.numpy(), "norm")
    for parameter, peer in zip(ours[:-1], theirs, strict=False):
        assert_close(parameter.grad.numpy(), peer.grad.numpy(), "gradient")


def test_values_are_held_in_place(backend: dl.backend.Backend) -> None:
    parameters = with_gradients()
    before = [parameter.grad.numpy() for parameter in parameters[:-1]]
    arrays = [parameter.grad.data for parameter in parameters[:-1]]
    nn.utils.clip_grad_value_(parameters, 0.4)
    for parameter, values, array in zip(parameters, before, arrays, strict=False):
        assert parameter.grad.data is array
        np.testing.assert_array_equal(parameter.grad.numpy(), np.clip(values, np.float32(-0.4), np.float32(0.4)))
    nn.utils.clip_grad_value_(parameters[0], 0.0)
    assert not parameters[0].grad.numpy().any()


def test_one_parameter_and_none(backend: dl.backend.Backend) -> None:
    parameter = nn.Parameter(dl.zeros(2))
    assert nn.utils.clip_grad_norm_(parameter, 1.0).item() == 0.0
    parameter.grad = dl.tensor([3.0, 4.0])
    assert nn.utils.clip_grad_norm_(parameter, 1.0).item() == 5.0
    np.testing.assert_allclose(parameter.grad.numpy(), [0.6, 0.8], rtol=1e-6)


def test_nothing_is_read_from_the_device(backend: dl.backend.Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = with_gradients()
    for name in ("item", "__float__", "__bool__"):
        monkeypatch.setattr(dl.Tensor, name, lambda self: pytest.fail("a value was read"))
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)
    assert norm.backend is backend


def test_errors(backend: dl.backend.Backend) -> None:
    with pytest.raises(dl.ArgumentError, match=r"clip_grad_norm_: max_norm must be a number of at least 0\.0, got -1"):
        nn.utils.clip_grad_norm_([], -1)
    with pytest.raises(dl.ArgumentError, match=r"clip_grad_norm_: norm_type must be a number above 0\.0, got 0"):
        nn.utils.clip_grad_norm_([], 1.0, 0)
    with pytest.raises(dl.ArgumentError, match=r"clip_value must be a number of at least 0\.0, got nan"):
        nn.utils.clip_grad_value_([], math.nan)
