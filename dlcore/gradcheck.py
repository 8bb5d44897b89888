"""Derivatives compared with finite differences: the test of every operation, ours and yours.

dl.gradcheck(lambda x: (x * x).sum(), [dl.tensor([1.0, 2.0], dtype="float64", requires_grad=True)])
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dlcore import backend
from dlcore.autograd import grad
from dlcore.tensor import Tensor
from kernels import options
from kernels.errors import ArgumentError, DTypeError, GradientCheckError, GraphError


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    *,
    step: float = 1e-6,
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> bool:
    """Check the gradient of `function` at `inputs` against central differences.

    The output is weighted with fixed random numbers and summed, and the derivative of that sum with respect to every
    element of every input that requires a gradient is compared.

    Args:
        function: takes the inputs, returns one Tensor; the same every time (no randomness).
        inputs: float64 tensors; those with requires_grad are checked.
        step: of the differences: their error is about step² plus 1e-16 / step.
        rtol: allowed difference relative to the numerical value.
        atol: allowed absolute difference.

    Returns:
        True.

    Raises:
        GradientCheckError: a derivative differs; the message gives input, position and both numbers.
        DTypeError: an input that requires a gradient is not float64.
        GraphError: no input requires a gradient.
    """
    checked = _positions_to_check(function, inputs)
    step, rtol, atol = (
        options.number("gradcheck", name, value, least=0.0, most=1e300, above=name == "step")
        for name, value in (("step", step), ("rtol", rtol), ("atol", atol))
    )
    output = function(*inputs)
    weights = np.random.default_rng(0).uniform(0.5, 1.5, output.shape)
    seed = Tensor(output.backend.asarray(weights))
    found = grad(output, [inputs[number] for number in checked], seed, allow_unused=True)
    for number, gradient in zip(checked, found, strict=True):
        analytic = np.zeros(inputs[number].shape) if gradient is None else backend.to_numpy(gradient.data)
        numerical = _central_differences(function, inputs, number, weights, step)
        _compare(number, analytic, numerical, rtol, atol)
    return True


def gradgradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    *,
    step: float = 1e-6,
    rtol: float = 1e-4,
    atol: float = 1e-5,
) -> bool:
    """Check the second derivatives of `function`: `gradcheck` of its gradient, weighted at random.

    Arguments and errors are those of `gradcheck`; the weights of the output are differentiated too.
    """
    with_gradient = [inputs[number] for number in _positions_to_check(function, inputs)]
    shape = function(*inputs).shape
    rng = np.random.default_rng(1)
    seed = Tensor(inputs[0].backend.asarray(rng.uniform(0.5, 1.5, shape)), requires_grad=True)
    directions = [Tensor(x.backend.asarray(rng.uniform(0.5, 1.5, x.shape))) for x in with_gradient]

    def directional_derivative(*arguments: Tensor) -> Tensor:
        *points, weights = arguments
        targets = [point for point in points if point.requires_grad]
        gradients = grad(function(*points), targets, weights, create_graph=True, allow_unused=True)
        terms = [(g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None]
        return sum(terms[1:], terms[0]) if terms else (weights * 0.0).sum()

    return gradcheck(directional_derivative, [*inputs, seed], step=step, rtol=rtol, atol=atol)


def _positions_to_check(function: object, inputs: Sequence[Tensor]) -> list[int]:
    if not callable(function):
        raise ArgumentError(f"gradcheck: expected a function first, got {options.short(function)}")
    for number, tensor in enumerate(options.items("gradcheck", "inputs", inputs, "Tensors")):
        if not isinstance(tensor, Tensor):
            raise DTypeError(f"gradcheck: input {number} must be a Tensor, got {options.short(tensor)}")
    checked = [number for number, tensor in enumerate(inputs) if tensor.requires_grad]
    if not checked:
        raise GraphError("gradcheck: none of the inputs has requires_grad=True")
    for number in checked:
        if inputs[number].dtype != np.float64:
            raise DTypeError(
                f"gradcheck: input {number} is {inputs[number].dtype}; finite differences need float64, "
                'for example dl.tensor(…, dtype="float64", requires_grad=True)'
            )
    return checked


def _central_differences(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    number: int,
    weights: npt.NDArray[np.float64],
    step: float,
) -> npt.NDArray[np.float64]:
    """D Σ weights · function / d inputs[number], element by element."""
    tensor = inputs[number]
    values = tensor.numpy()
    gradient = np.zeros(values.shape)

    def weighted_sum(position: tuple[int, ...], shift: float) -> float:
        moved = values.copy()
        moved[position] += shift
        point = Tensor(tensor.backend.asarray(moved), requires_grad=True)
        output = function(*inputs[:number], point, *inputs[number + 1 :])
        return float((backend.to_numpy(output.data) * weights).sum())

    for position in np.ndindex(values.shape):
        gradient[position] = (weighted_sum(position, step) - weighted_sum(position, -step)) / (2 * step)
    return gradient


def _compare(
    number: int,
    analytic: npt.NDArray[np.float64],
    numerical: npt.NDArray[np.float64],
    rtol: float,
    atol: float,
) -> None:
    wrong = ~np.isclose(analytic, numerical, rtol=rtol, atol=atol)
    if not wrong.any():
        return
    excess = np.where(wrong, np.abs(np.nan_to_num(analytic - numerical, nan=np.inf)), -1.0)
    worst = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), wrong.shape))
    raise GradientCheckError(
        f"gradcheck: input {number} at {worst}: the gradient is {analytic[worst]:.10g} but finite differences give "
        f"{numerical[worst]:.10g} ({int(wrong.sum())} of {wrong.size} elements differ, rtol={rtol}, atol={atol})"
    )
