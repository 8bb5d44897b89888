"""Convolution and its gradients, on the CPU and as the CUDA package's array operations, against naive loops."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kernels
from kernels import cpu, cuda, reference
from kernels.cpu import convolution, direct
from tests.kernels.strategies import Arrays, Convolution, Unfolding, convolutions, unfoldings
from tests.tolerances import assert_close

IMPLEMENTATIONS = {"cpu": cpu, "cuda on NumPy": cuda}

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


@settings(max_examples=300)
@given(case=convolutions(), block_bytes=st.sampled_from([1, 1000, 1 << 22]), cut=CUTS)
@example(case=LONG_DEPTHWISE, block_bytes=1 << 22, cut={"_CHUNKS": 1})
def test_convolution_equals_loops(case: Convolution, block_bytes: int, cut: dict[str, int]) -> None:
    x, weight, grad_output, bias = case.arrays.make(
        case.input_shape, case.weight_shape, case.output_shape, case.weight_shape[:1]
    )
    bias = bias if case.has_bias else None
    x64, weight64, grad64, bias64 = in_float64(x, weight, grad_output, bias)
    forward = reference.conv2d(x64, weight64, bias64, **case.options, activation=case.activation)
    input_grad = reference.conv2d_input_grad(grad64, weight64, case.input_shape, **case.options)
    weight_grad = reference.conv2d_weight_grad(x64, grad64, case.weight_shape, **case.options)
    assert forward.shape == case.output_shape

    options = {**case.options, "algorithm": case.algorithm}
    with patch.object(convolution, "_BLOCK_BYTES", block_bytes), patch.multiple(direct, **cut):
        for name, package in IMPLEMENTATIONS.items():
            y = package.conv2d(x, weight, bias, **options, activation=case.activation)
            assert_close(y, forward, f"conv2d, {name}")
            dx = package.conv2d_input_grad(grad_output, weight, case.input_shape, **options)
            assert_close(dx, input_grad, f"conv2d_input_grad, {name}")
            dw = package.conv2d_weight_grad(x, grad_output, case.weight_shape, **options)
            assert_close(dw, weight_grad, f"conv2d_weight_grad, {name}")


@settings(max_examples=100)
@given(unfoldings())
def test_im2col_and_col2im_equal_loops(case: Unfolding) -> None:
    x, cols = case.arrays.make(case.input_shape, case.cols_shape)
    unfolded = reference.im2col(x, case.kernel_size, **case.options)
    assert unfolded.shape == case.cols_shape
    folded = reference.col2im(cols.astype(np.float64), case.input_shape, case.kernel_size, **case.options)
    for name, package in IMPLEMENTATIONS.items():
        actual = package.im2col(x, case.kernel_size, **case.options)
        np.testing.assert_array_equal(actual, unfolded, err_msg=f"im2col, {name}")
        assert actual.flags.c_contiguous
        actual = package.col2im(cols, case.input_shape, case.kernel_size, **case.options)
        assert_close(actual, folded, f"col2im, {name}")


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


@pytest.mark.parametrize("package", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
def test_nan_and_infinity_pass_through_convolution_and_relu(package: Any) -> None:
    x = np.array([[[[np.nan, -1.0, np.inf, -np.inf]]]], np.float32)
    y = package.conv2d(x, np.ones((1, 1, 1, 1), np.float32), activation="relu")
    np.testing.assert_array_equal(y.ravel(), [np.nan, 0.0, np.inf, 0.0])


def test_a_broadcast_gradient_is_taken() -> None:
    x, weight = Arrays("float32", "plain", 0).make((2, 3, 6, 5), (4, 3, 3, 3))
    ones = np.broadcast_to(np.float32(1), (2, 4, 4, 3))
    np.testing.assert_array_equal(
        kernels.conv2d_weight_grad(x, ones, weight.shape), kernels.conv2d_weight_grad(x, ones.copy(), weight.shape)
    )
    np.testing.assert_array_equal(
        kernels.conv2d_input_grad(ones, weight, x.shape), kernels.conv2d_input_grad(ones.copy(), weight, x.shape)
    )
