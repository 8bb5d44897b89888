"""PyTorch as a contender, kernel by kernel: each pass is timed alone.

At its default, with images in NCHW as a user writes it, and with images and weights channels last. Gradients go
through the functions that its autograd calls, asked for the one gradient that is timed.

PyTorch brings an OpenMP of its own. It must be loaded before dlcore's thread pool starts: then each has its own, with
the settings that its makers chose. So this file is imported first where it is imported at all.
"""

import functools
import importlib.util
import warnings
from typing import Any

import numpy as np

from benchmarks.cases import Case, Inputs
from benchmarks.contenders import EPSILON, Call, Contender
from benchmarks.goals import PYTORCH
from kernels.types import Array

CHANNELS_LAST = f"{PYTORCH} channels_last"

if is_installed := importlib.util.find_spec("torch") is not None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

#: Why there is no PyTorch, for people.
MISSING = "PyTorch is not installed (pip install torch)"


def set_num_threads(count: int) -> None:
    """Pin PyTorch's pool."""
    torch.set_num_threads(count)


def contenders(device: str = "cpu") -> list[Contender]:
    """PyTorch in both memory formats, on "cpu" or "cuda"."""

    def of(memory_format: Any) -> Any:
        return lambda case, inputs: _prepare(case, inputs, memory_format, device)

    return [
        Contender(PYTORCH, of(torch.contiguous_format), _result),
        Contender(CHANNELS_LAST, of(torch.channels_last), _result, takes=lambda case: case.kernel != "col2im"),
    ]


def _prepare(case: Case, inputs: Inputs, memory_format: Any, device: str) -> Call:
    def place(array: Array) -> Any:
        tensor = torch.from_numpy(array).to(device)
        return tensor.contiguous(memory_format=memory_format) if array.ndim == 4 else tensor

    call = _CALLS[case.kernel](case, inputs, place)

    def without_graph() -> Any:
        with torch.inference_mode():
            return call()

    return without_graph


def _convolution(case: Case, inputs: Inputs, place: Any) -> Call:
    x, weight, bias = place(inputs.x), place(inputs.weight), place(inputs.bias)
    return lambda: torch.nn.functional.conv2d(x, weight, bias, case.stride, case.padding, 1, case.groups)


def _convolution_backward(case: Case, inputs: Inputs, place: Any, wanted: int) -> Call:
    grad, x, weight = place(inputs.grad_output), place(inputs.x), place(inputs.weight)
    stride, padding, mask = [case.stride] * 2, [case.padding] * 2, [k == wanted for k in range(3)]

    def call() -> Any:
        return torch.ops.aten.convolution_backward(
            grad, x, weight, None, stride, padding, [1, 1], False, [0, 0], case.groups, mask
        )[wanted]

    return call


def _max_pool(case: Case, inputs: Inputs, place: Any) -> Call:
    """With the indices, as in training: without, it would take as long."""
    x, window = place(inputs.x), _window(case)
    return lambda: torch.ops.aten.max_pool2d_with_indices(x, *window)


def _max_pool_backward(case: Case, inputs: Inputs, place: Any) -> Call:
    grad, x, window = place(inputs.grad_output), place(inputs.x), _window(case)
    indices = torch.ops.aten.max_pool2d_with_indices(x, *window)[1]
    return lambda: torch.ops.aten.max_pool2d_with_indices_backward(grad, x, *window, [1, 1], False, indices)


def _average_pool(case: Case, inputs: Inputs, place: Any) -> Call:
    x, window = place(inputs.x), _window(case)
    if case.output_size == 1:
        return lambda: torch.nn.functional.adaptive_avg_pool2d(x, 1)
    return lambda: torch.ops.aten.avg_pool2d(x, *window)


def _average_pool_backward(case: Case, inputs: Inputs, place: Any) -> Call:
    grad, x, window = place(inputs.grad_output), place(inputs.x), _window(case)
    if case.output_size == 1:  # global pooling is a mean there, and this is the mean's gradient
        return lambda: grad.expand(case.input_shape).div(case.size**2)
    return lambda: torch.ops.aten.avg_pool2d_backward(grad, x, *window, False, True, None)


def _batch_norm(case: Case, inputs: Inputs, place: Any) -> Call:
    x, weight, bias = place(inputs.x), place(inputs.weight), place(inputs.bias)
    return lambda: torch.native_batch_norm(x, weight, bias, None, None, True, 0.1, EPSILON)[0].relu_()


def _batch_norm_backward(case: Case, inputs: Inputs, place: Any) -> Call:
    x, weight, bias, grad = place(inputs.x), place(inputs.weight), place(inputs.bias), place(inputs.grad_output)
    y, mean, deviation = torch.native_batch_norm(x, weight, bias, None, None, True, 0.1, EPSILON)
    y = y.relu_()

    def call() -> Any:
        rectified = torch.ops.aten.threshold_backward(grad, y, 0)
        return torch.ops.aten.native_batch_norm_backward(
            rectified, x, weight, None, None, mean, deviation, True, EPSILON, [True, True, True]
        )

    return call


def _unfold(case: Case, inputs: Inputs, place: Any) -> Call:
    x, (window, stride, padding) = place(inputs.x), _window(case)
    return lambda: torch.nn.functional.unfold(x, window, 1, padding, stride)


def _fold(case: Case, inputs: Inputs, place: Any) -> Call:
    """From columns in its own order, (N, C·R·S, OH·OW)."""
    window, stride, padding = _window(case)
    columns = inputs.columns.reshape(case.batch, case.output_size**2, -1).transpose(0, 2, 1)
    tensor = place(np.ascontiguousarray(columns))
    return lambda: torch.nn.functional.fold(tensor, [case.size] * 2, window, 1, padding, stride)


def _window(case: Case) -> tuple[list[int], list[int], list[int]]:
    return [case.window] * 2, [case.stride] * 2, [case.padding] * 2


_CALLS: dict[str, Any] = {
    "im2col": _unfold,
    "col2im": _fold,
    "conv2d": _convolution,
    "conv2d_input_grad": functools.partial(_convolution_backward, wanted=0),
    "conv2d_weight_grad": functools.partial(_convolution_backward, wanted=1),
    "max_pool2d": _max_pool,
    "max_pool2d_grad": _max_pool_backward,
    "avg_pool2d": _average_pool,
    "avg_pool2d_grad": _average_pool_backward,
    "batch_norm": _batch_norm,
    "batch_norm_grad": _batch_norm_backward,
}


def _result(case: Case, result: Any) -> Array:
    array: Array = (result[0] if isinstance(result, tuple) else result).cpu().numpy()
    if case.kernel == "im2col":
        return array.transpose(0, 2, 1).reshape(case.batch * case.output_size**2, -1)
    return array
