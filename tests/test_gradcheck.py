"""The checks themselves: they pass what is right, and show both numbers of what is wrong."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from kernels.types import Array


def leaf(values: Any, dtype: str = "float64") -> dl.Tensor:
    return dl.tensor(values, dtype, requires_grad=True)


class Cube(dl.Function):
    """x³ with a first derivative off by a factor in element 1, if asked, or wrong in the second derivative only."""

    def forward(self, x: Array, *, wrong: str = "") -> Array:
        self.wrong = wrong
        self.save(x)
        return x**3

    def backward(self, grad_output: dl.Tensor) -> dl.Tensor:
        (x,) = self.saved
        if self.wrong == "first":
            return grad_output * 3 * x**2 * dl.tensor([1.0, 2.0], "float64")
        if self.wrong == "second":
            return grad_output * 3 * x.detach() * x
        return grad_output * 3 * x**2


def test_right_derivatives_pass(backend: dl.backend.Backend) -> None:
    assert dl.gradcheck(Cube.apply, [leaf([1.0, 2.0])])
    assert dl.gradgradcheck(Cube.apply, [leaf([1.0, 2.0])])


def test_the_message_shows_both_numbers(backend: dl.backend.Backend) -> None:
    with pytest.raises(dl.GradientCheckError) as caught:
        dl.gradcheck(lambda constant, x: Cube.apply(x, wrong="first"), [dl.ones(1), leaf([1.0, 2.0])])
    pattern = (
        r"gradcheck: input 1 at \(1,\): the gradient is (\S+) but finite differences give (\S+) "
        r"\(1 of 2 elements differ, rtol=0.0001, atol=1e-06\)"
    )
    analytic, numerical = map(float, re.fullmatch(pattern, str(caught.value)).groups())
    assert analytic == pytest.approx(2 * numerical, rel=1e-6)
    assert isinstance(caught.value, AssertionError)


def test_a_wrong_second_derivative_is_found(backend: dl.backend.Backend) -> None:
    def wrong(x: dl.Tensor) -> dl.Tensor:
        return Cube.apply(x, wrong="second")

    assert dl.gradcheck(wrong, [leaf([1.0, 2.0])])
    with pytest.raises(dl.GradientCheckError, match=r"input 0 at \(1,\): the gradient is"):
        dl.gradgradcheck(wrong, [leaf([1.0, 2.0])])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: dl.Tensor(x.data * 2.0) + x * 0.0,  # cut off from the graph
        lambda x: x * float("nan"),
    ],
    ids=["cut", "nan"],
)
def test_missing_and_undefined_gradients_are_found(backend: dl.backend.Backend, function: Callable[..., Any]) -> None:
    with pytest.raises(dl.GradientCheckError, match=r"the gradient is (0|nan) but"):
        dl.gradcheck(function, [leaf([1.0, 2.0])])


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)], ids=str)
def test_any_shape_and_several_inputs(backend: dl.backend.Backend, shape: tuple[int, ...]) -> None:
    x, factor = leaf(np.linspace(1, 2, int(np.prod(shape))).reshape(shape)), leaf(3.0)
    for check in (dl.gradcheck, dl.gradgradcheck):
        assert check(lambda x, factor, constant: (x * factor).exp() + constant, [x, factor, dl.ones(())])


def test_inputs_without_influence_pass(backend: dl.backend.Backend) -> None:
    for check in (dl.gradcheck, dl.gradgradcheck):
        assert check(lambda x, unused: x * 2, [leaf([1.0]), leaf([2.0])])


def test_the_inputs_stay_as_they_were(backend: dl.backend.Backend) -> None:
    x = leaf([1.0, 2.0])
    dl.gradgradcheck(lambda x: x.exp(), [x])
    assert x.numpy().tolist() == [1.0, 2.0]
    assert x.grad is None


@pytest.mark.parametrize("check", [dl.gradcheck, dl.gradgradcheck])
@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (lambda: [dl.ones(2)], dl.GraphError, "none of the inputs has requires_grad=True"),
        (lambda: [leaf([1.0], "float32")], dl.DTypeError, "input 0 is float32; finite differences need float64"),
    ],
    ids=["constant", "float32"],
)
def test_errors(
    backend: dl.backend.Backend, check: Callable[..., bool], inputs: Callable[[], Any], error: Any, message: str
) -> None:
    with pytest.raises(error, match=f"gradcheck: {message}"):
        check(lambda x: x * 2, inputs())
