"""Every operation: its derivatives against finite differences and PyTorch, in both precisions and any layout."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import ops
from tests.ops.cases import CASES as OPERATION_CASES
from tests.ops.cases import Case
from tests.ops.functional_cases import FUNCTIONAL_CASES
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("one_thread")

CASES = [*OPERATION_CASES, *FUNCTIONAL_CASES]

every_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="module", autouse=True)
def counted(closing_line: Callable[[str], None]) -> None:
    """Say, at the end of the run, how much was looked at."""
    operations = [one for one in vars(ops).values() if isinstance(one, type) and issubclass(one, dl.Function)]
    closing_line(
        f"derivatives: {len(operations)} operations, {len(OPERATION_CASES)} cases of them and {len(FUNCTIONAL_CASES)} "
        "of functions, losses and layers"
    )


def derivatives(case: Case, inputs: list[dl.Tensor]) -> list[np.ndarray]:
    """The value, and the first and second derivatives by each input of a weighted sum of the values."""
    value = case.function(*inputs)
    first = dl.grad(value, inputs, dl.tensor(weights_like(value), value.dtype), create_graph=True)
    slope = sum((g * dl.tensor(weights_like(x), x.dtype)).sum() for g, x in zip(first, inputs, strict=True))
    second = dl.grad(slope, inputs, allow_unused=True) if slope.requires_grad else [None] * len(inputs)
    return [value.numpy(), *(as_array(g, x) for g, x in zip([*first, *second], inputs * 2, strict=True))]


def torch_derivatives(torch: ModuleType, case: Case, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The same from PyTorch."""
    inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    value = case.on_torch(torch, *inputs)
    first = torch.autograd.grad(value, inputs, torch.tensor(weights_like(value)), create_graph=True)
    slope = sum((g * torch.tensor(weights_like(x))).sum() for g, x in zip(first, inputs, strict=True))
    linear = not slope.requires_grad
    second = [None] * len(inputs) if linear else torch.autograd.grad(slope, inputs, allow_unused=True)
    gradients = [None if g is None else g.detach() for g in (*first, *second)]
    return [value.detach().numpy(), *(as_array(g, x) for g, x in zip(gradients, arrays * 2, strict=True))]


def leaves(arrays: list[np.ndarray], dtype: str = "float64") -> list[dl.Tensor]:
    return [dl.tensor(array, dtype, requires_grad=True) for array in arrays]


def weights_like(x: Any) -> np.ndarray:
    return np.random.default_rng(7).uniform(0.5, 1.5, tuple(x.shape))


def as_array(gradient: Any, like: Any) -> np.ndarray:
    """A gradient as a NumPy array; none is zeros."""
    return np.zeros(like.shape, like.dtype) if gradient is None else gradient.numpy()


def agree(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for number, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert_close(a, b, f"number {number} of value, first and second derivatives")


def test_the_table_names_every_operation() -> None:
    operations = {
        op for name in ops.__all__ if isinstance(op := getattr(ops, name), type) and issubclass(op, dl.Function)
    }
    assert {case.op for case in CASES} == operations
    assert len({case.name for case in CASES}) == len(CASES)


@every_case
def test_the_case_uses_its_operation(backend: dl.backend.Backend, case: Case) -> None:
    nodes, waiting = set(), [case.function(*leaves(case.arrays())).grad_fn]
    while waiting:
        node = waiting.pop()
        nodes.add(type(node))
        waiting += [edge.source for edge in node.edges if isinstance(edge.source, dl.Function)]
    assert case.op in nodes


@every_case
def test_against_finite_differences(backend: dl.backend.Backend, case: Case) -> None:
    assert dl.gradcheck(case.function, leaves(case.arrays()))
    assert dl.gradgradcheck(case.function, leaves(case.arrays()))


@pytest.mark.parametrize("case", [case for case in CASES if case.peer is not None], ids=str)
def test_against_torch(backend: dl.backend.Backend, torch: ModuleType, case: Case) -> None:
    found = derivatives(case, leaves(case.arrays()))
    agree(found, torch_derivatives(torch, case, case.arrays()))


@every_case
def test_float32_against_float64(backend: dl.backend.Backend, case: Case) -> None:
    narrow = derivatives(case, leaves(case.arrays(), "float32"))
    assert {array.dtype for array in narrow} == {np.dtype(np.float32)}
    agree(narrow, derivatives(case, leaves(case.arrays())))


def every_other(array: np.ndarray) -> dl.Tensor:
    """A tensor with gaps between its elements in memory."""
    spread = dl.zeros([2 * length for length in array.shape], array.dtype).data[(slice(None, None, 2),) * array.ndim]
    return dl.Tensor(spread, requires_grad=True).copy_(array)


def axes_reversed(array: np.ndarray) -> dl.Tensor:
    """A tensor whose first axis is the innermost in memory."""
    return dl.Tensor(dl.tensor(array.T).data.T, requires_grad=True)


@pytest.mark.parametrize("layout", [every_other, axes_reversed])
@every_case
def test_any_memory_layout(backend: dl.backend.Backend, case: Case, layout: Callable[[np.ndarray], dl.Tensor]) -> None:
    found = derivatives(case, [layout(array) for array in case.arrays()])
    agree(found, derivatives(case, leaves(case.arrays())))


@pytest.mark.parametrize("case", [case for case in CASES if len(case.shapes) > 1], ids=str)
def test_each_input_alone(backend: dl.backend.Backend, case: Case) -> None:
    """A gradient is the same when nobody asks for the others, and when they are constants."""
    together = leaves(case.arrays())
    value = case.function(*together)
    weights = dl.tensor(weights_like(value))
    for number, expected in enumerate(dl.grad(value, together, weights, retain_graph=True)):
        (asked_alone,) = dl.grad(value, together[number], weights, retain_graph=True)
        inputs = [x if i == number else x.detach() for i, x in enumerate(together)]
        (alone,) = dl.grad(case.function(*inputs), together[number], weights)
        agree([asked_alone.numpy(), alone.numpy()], [expected.numpy()] * 2)


@pytest.mark.parametrize("case", [case for case in OPERATION_CASES if issubclass(case.op, dl.Fused)], ids=str)
def test_fused_is_its_composite(backend: dl.backend.Backend, case: Case) -> None:
    inputs = leaves(case.arrays())
    fused = case.function(*inputs)
    assert isinstance(fused.grad_fn, dl.Fused)
    composite = fused.grad_fn.composite(*inputs)
    weights = dl.tensor(weights_like(fused))
    routes = [[value, *dl.grad(value, inputs, weights)] for value in (composite, fused)]
    agree(*([x.numpy() for x in route] for route in routes))
