"""Convolution and its gradients on each backend, against naive loops."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kernels
from dlcore import backend as backends
from dlcore.backend import Backend, to_numpy
from kernels import reference
from kernels.cpu import convolution, direct
from kernels.cuda import convolution as cuda_convolution
from kernels.cuda import depthwise, unfolded
from kernels.cuda import direct as cuda_direct
from kernels.geometry import convolution_window
from tests.kernels.strategies import (
    Arrays,
    Convolution,
    Unfolding,
    convolutions,
    unfoldings,
)
from tests.tolerances import assert_close

#: More output rows than one partial sum of the depthwise weight gradient takes.
LONG_DEPTHWISE = Convolution(
    input_shape=(3, 8, 32, 4),
    weight_shape=(16, 1, 3, 2),
    output_shape=(3, 16, 30, 3),
    has_bias=True,
    activation=None,
    options={"stride": 1, "padding": 0, "dilation": 1, "groups": 8},
    algorithm="auto",
    arrays=Arrays("float32", "plain", 0),
)


def in_torch(torch: Any, array: Any) -> Any:
    return torch.from_numpy(array.astype(np.float64, order="C"))


def in_float64(*given: Any) -> list[Any]:
    return [array if array is None else array.astype(np.float64) for array in given]


def on_each_backend(numpy: int, cupy: int, **strategies: Any) -> Callable[..., Any]:
    """A test of a backend and of so many cases. Emulated kernels are slow, so they may get fewer."""

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        def test(backend: Backend) -> None:
            def run(**case: Any) -> None:
                check(backend, **case)

            run.__name__ = run.__qualname__ = check.__name__
            examples = numpy if backend.is_host else cupy
            settings(max_examples=examples)(given(**strategies)(run))()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate


def of_type(case: Any, dtype: str) -> Any:
    """The case with arrays of that type."""
    return replace(case, arrays=replace(case.arrays, dtype=dtype))


#: How direct convolution cuts its work: as for these small images, or as large ones would make it.
CUTS = st.fixed_dictionaries(
    {
        "BLOCK_STEPS": st.sampled_from([1, 20, direct.BLOCK_STEPS]),
        "_BAND_BYTES": st.sampled_from([1, 500, direct._BAND_BYTES]),
        "_CHUNKS": st.sampled_from([1, 2, direct._CHUNKS]),
        "_CHUNK_BYTES": st.sampled_from([0, direct._CHUNK_BYTES]),
        "_LEAST_TASKS": st.sampled_from([1, direct._LEAST_TASKS]),
    }
)


def check_convolution(backend: Backend, case: Convolution) -> None:
    """The three kernels against their loops in float64."""
    x, weight, grad_output, bias = case.arrays.make(
        case.input_shape, case.weight_shape, case.output_shape, case.weight_shape[:1]
    )
    given_bias = bias if case.has_bias else None
    x64, weight64, grad64, bias64 = in_float64(x, weight, grad_output, given_bias)
    forward = reference.conv2d(x64, weight64, bias64, **case.options, activation=case.activation)
    input_grad = reference.conv2d_input_grad(grad64, weight64, case.input_shape, **case.options)
    weight_grad = reference.conv2d_weight_grad(x64, grad64, case.weight_shape, **case.options)
    assert forward.shape == case.output_shape

    options = {**case.options, "algorithm": case.algorithm}
    x, weight, grad_output, bias = case.arrays.on(backend, x, weight, grad_output, bias)
    y = kernels.conv2d(x, weight, bias if case.has_bias else None, **options, activation=case.activation)
    assert_close(to_numpy(y), forward, "conv2d")
    dx = kernels.conv2d_input_grad(grad_output, weight, case.input_shape, **options)
    assert_close(to_numpy(dx), input_grad, "conv2d_input_grad")
    dw = kernels.conv2d_weight_grad(x, grad_output, case.weight_shape, **options)
    assert_close(to_numpy(dw), weight_grad, "conv2d_weight_grad")


@settings(max_examples=300)
@given(case=convolutions(), block_bytes=st.sampled_from([1, 1000, 1 << 22]), cut=CUTS)
@example(case=LONG_DEPTHWISE, block_bytes=1 << 22, cut={"_CHUNKS": 1})
def test_convolution_equals_loops_however_it_is_cut(case: Convolution, block_bytes: int, cut: dict[str, int]) -> None:
    with patch.object(convolution, "_BLOCK_BYTES", block_bytes), patch.multiple(direct, **cut):
        check_convolution(backends.current(), case)


@on_each_backend(
    numpy=20,
    cupy=150,
    case=convolutions(),
    dtype=st.sampled_from(["float32", "float32", "float16", "float64"]),
    column_bytes=st.sampled_from([1, 1000, 1 << 27]),
    part_cells=st.sampled_from([1, 5, 256]),
)
def test_convolution_equals_loops(
    backend: Backend, case: Convolution, dtype: str, column_bytes: int, part_cells: int
) -> None:
    """On the GPU with work cut as for these small images, or as large ones would make it."""
    with (
        patch.object(unfolded, "_COLUMN_BYTES", column_bytes),
        patch.object(cuda_direct, "_LEAST_CELLS", part_cells),
        patch.object(depthwise, "_LEAST_CELLS", part_cells),
    ):
        check_convolution(backend, of_type(case, dtype))


def convolution_of(
    input_shape: tuple[int, int, int, int], weight_shape: tuple[int, int, int, int], algorithm: str, **options: Any
) -> Convolution:
    """A convolution with a bias and ReLU."""
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **options}
    steps = options["stride"], options["padding"], options["dilation"]
    window = convolution_window("conv2d", input_shape[2:], weight_shape[2:], *steps)
    output_shape = (input_shape[0], weight_shape[0], *window.output_size)
    arrays = Arrays("float32", "channels-last", 0)
    return Convolution(input_shape, weight_shape, output_shape, True, "relu", options, algorithm, arrays)


#: What fills more than one block of threads along every axis, for each of the GPU's ways and tiles.
WIDE = {
    "direct, 4 channels": convolution_of((1, 6, 36, 31), (3, 6, 3, 3), "direct", padding=1),
    "direct, 16 channels": convolution_of((1, 3, 34, 33), (9, 3, 5, 3), "direct", stride=2, padding=((2, 2), (0, 1))),
    "direct, 32 channels": convolution_of((1, 40, 6, 6), (48, 20, 2, 2), "direct", groups=2),
    "direct, 64 channels": convolution_of((1, 3, 13, 12), (70, 3, 2, 2), "direct"),
    "depthwise": convolution_of((1, 160, 5, 6), (160, 1, 5, 5), "auto", padding=2, groups=160),
    "depthwise, two outputs each": convolution_of((1, 40, 9, 6), (80, 1, 3, 3), "auto", stride=2, padding=1, groups=40),
    "gemm": convolution_of((1, 12, 6, 5), (20, 12, 3, 3), "auto", padding=1),
}


@pytest.mark.parametrize("case", WIDE.values(), ids=WIDE)
def test_convolution_equals_loops_over_many_blocks(backend: Backend, case: Convolution) -> None:
    check_convolution(backend, case)


def test_shapes_choose_the_way_on_the_gpu() -> None:
    def way(weight_shape: tuple[int, ...], size: int = 3, stride: int = 1, groups: int = 1, **options: Any) -> str:
        window = convolution_window("conv2d", (32, 32), size, stride, 0, 1)
        module = cuda_convolution._way("auto", weight_shape, window, groups, **{"itemsize": 4, **options})
        return module.__name__.rpartition(".")[2]

    assert way((64, 3, 3, 3)) == "direct"
    assert way((64, 64, 3, 3)) == "unfolded"
    assert way((32, 64, 3, 3)) == "direct"
    assert way((32, 64, 3, 3), itemsize=2) == "unfolded"
    assert way((16, 64, 3, 3), itemsize=2) == "direct"
    assert way((64, 3, 1, 1), size=1) == "unfolded"  # a product, with nothing to unfold
    assert way((64, 3, 3, 3), stride=2) == "direct"
    assert way((64, 3, 3, 3), stride=2, is_input_grad=True) == "unfolded"
    assert way((64, 1, 3, 3), groups=64) == "depthwise"
    assert way((64, 16, 3, 3), groups=4) == "direct"


def test_a_kept_weight_is_used_again(backend: Backend) -> None:
    x, weight = (backend.asarray(a) for a in Arrays("float32", "plain", 0).make((1, 3, 6, 5), (4, 3, 3, 3)))
    packed: dict[str, Any] = {}
    first = kernels.conv2d(x, weight, padding=1, packed=packed)
    again = kernels.conv2d(x, weight, padding=1, packed=packed)
    np.testing.assert_array_equal(to_numpy(again), to_numpy(first))


@on_each_backend(
    numpy=100, cupy=100, case=unfoldings(), dtype=st.sampled_from(["float32", "float32", "float16", "float64"])
)
def test_im2col_and_col2im_equal_loops(backend: Backend, case: Unfolding, dtype: str) -> None:
    case = of_type(case, dtype)
    x, cols = case.arrays.make(case.input_shape, case.cols_shape)
    unfolded = reference.im2col(x, case.kernel_size, **case.options)
    assert unfolded.shape == case.cols_shape
    folded = reference.col2im(cols.astype(np.float64), case.input_shape, case.kernel_size, **case.options)
    x, cols = case.arrays.on(backend, x, cols)
    actual = kernels.im2col(x, case.kernel_size, **case.options)
    np.testing.assert_array_equal(to_numpy(actual), unfolded)
    assert actual.flags.c_contiguous
    actual = kernels.col2im(cols, case.input_shape, case.kernel_size, **case.options)
    assert_close(to_numpy(actual), folded, "col2im")


@settings(max_examples=50)
@given(convolutions())
def test_gradients_are_adjoint_to_the_convolution(case: Convolution) -> None:
    """⟨conv2d(x, w), dy⟩ = ⟨x, input_grad(dy, w)⟩ = ⟨w, weight_grad(x, dy)⟩."""
    arrays = Arrays("float64", case.arrays.arrangement, case.arrays.seed)
    x, weight, dy = arrays.make(case.input_shape, case.weight_shape, case.output_shape)
    product = np.vdot(kernels.conv2d(x, weight, **case.options), dy)
    dx = kernels.conv2d_input_grad(dy, weight, case.input_shape, **case.options)
    dw = kernels.conv2d_weight_grad(x, dy, case.weight_shape, **case.options)
    np.testing.assert_allclose([np.vdot(dx, x), np.vdot(dw, weight)], product, rtol=1e-10, atol=1e-10)


@settings(max_examples=100)
@given(case=convolutions())
def test_convolution_equals_pytorch(torch: Any, case: Convolution) -> None:
    x, weight, dy, bias = case.arrays.make(
        case.input_shape, case.weight_shape, case.output_shape, case.weight_shape[:1]
    )
    bias = bias if case.has_bias else None
    window = convolution.convolution_window(
        "conv2d",
        x.shape[2:],
        weight.shape[2:],
        case.options["stride"],
        case.options["padding"],
        case.options["dilation"],
    )
    (top, bottom), (left, right) = window.padding
    x_torch, weight_torch = (in_torch(torch, a).requires_grad_() for a in (x, weight))
    y_torch = torch.nn.functional.conv2d(
        torch.nn.functional.pad(x_torch, (left, right, top, bottom)),
        weight_torch,
        None if bias is None else in_torch(torch, bias),
        window.stride,
        0,
        window.dilation,
        case.options["groups"],
    )
    y_torch.backward(in_torch(torch, dy))

    assert_close(kernels.conv2d(x, weight, bias, **case.options), y_torch.detach().numpy(), "conv2d")
    dx = kernels.conv2d_input_grad(dy, weight, case.input_shape, **case.options)
    assert_close(dx, x_torch.grad.numpy(), "conv2d_input_grad")
    dw = kernels.conv2d_weight_grad(x, dy, case.weight_shape, **case.options)
    assert_close(dw, weight_torch.grad.numpy(), "conv2d_weight_grad")


@settings(max_examples=50)
@given(case=unfoldings())
def test_im2col_equals_pytorchs_unfold(torch: Any, case: Unfolding) -> None:
    (x,) = case.arrays.make(case.input_shape)
    (top, bottom), (left, right) = convolution.convolution_window(
        "im2col", x.shape[2:], case.kernel_size, **case.options
    ).padding
    if x.shape[0] == 0:
        return  # PyTorch's unfold takes no empty batch
    padded = torch.nn.functional.pad(in_torch(torch, x), (left, right, top, bottom))
    unfolded = torch.nn.functional.unfold(
        padded, case.kernel_size, case.options["dilation"], 0, case.options["stride"]
    )  # (N, C·KH·KW, OH·OW)
    expected = unfolded.permute(0, 2, 1).reshape(case.cols_shape).numpy().astype(x.dtype)
    np.testing.assert_array_equal(kernels.im2col(x, case.kernel_size, **case.options), expected)


@pytest.mark.parametrize("algorithm", ["direct", "gemm"])
def test_nan_and_infinity_pass_through_convolution_and_relu(backend: Backend, algorithm: str) -> None:
    x = backend.asarray(np.array([[[[np.nan, -1.0, np.inf, -np.inf]]]], np.float32))
    weight = backend.asarray(np.ones((1, 1, 1, 1), np.float32))
    y = kernels.conv2d(x, weight, activation="relu", algorithm=algorithm)
    np.testing.assert_array_equal(to_numpy(y).ravel(), [np.nan, 0.0, np.inf, 0.0])


def test_a_broadcast_gradient_is_taken(backend: Backend) -> None:
    x, weight = (backend.asarray(a) for a in Arrays("float32", "plain", 0).make((2, 3, 6, 5), (4, 3, 3, 3)))
    ones = backend.xp.broadcast_to(backend.asarray(np.ones(1, np.float32)), (2, 4, 4, 3))
    np.testing.assert_array_equal(
        to_numpy(kernels.conv2d_weight_grad(x, ones, weight.shape)),
        to_numpy(kernels.conv2d_weight_grad(x, ones.copy(), weight.shape)),
    )
    np.testing.assert_array_equal(
        to_numpy(kernels.conv2d_input_grad(ones, weight, x.shape)),
        to_numpy(kernels.conv2d_input_grad(ones.copy(), weight, x.shape)),
    )
