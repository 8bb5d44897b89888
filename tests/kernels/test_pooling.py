"""Pooling and its gradients, on the CPU and as the CUDA package's array operations, against naive loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import kernels
from kernels import cpu, cuda, reference
from kernels.geometry import pooling_window
from tests.kernels.strategies import Pooling, poolings
from tests.tolerances import assert_close

IMPLEMENTATIONS = {"cpu": cpu, "cuda on NumPy": cuda}


@settings(max_examples=300)
@given(poolings(dilated=True))
def test_max_pooling_equals_loops(case: Pooling) -> None:
    (x,) = case.arrays.make(case.input_shape, values=case.values)
    (dy,) = case.arrays.make(case.output_shape)
    options = {**case.options, "dilation": case.dilation}
    y, argmax = reference.max_pool2d(x, case.kernel_size, **options)
    dx = reference.max_pool2d_grad(dy.astype(np.float64), argmax, case.input_shape, case.kernel_size, **options)
    assert y.shape == case.output_shape
    for name, package in IMPLEMENTATIONS.items():
        actual, actual_argmax = package.max_pool2d(x, case.kernel_size, **options)
        np.testing.assert_array_equal(actual, y, err_msg=f"max_pool2d, {name}")
        np.testing.assert_array_equal(actual_argmax, argmax, err_msg=f"argmax of max_pool2d, {name}")
        assert actual_argmax.dtype == np.uint8
        grad = package.max_pool2d_grad(dy, argmax, case.input_shape, case.kernel_size, **options)
        assert_close(grad, dx, f"max_pool2d_grad, {name}")
        gathered = package.max_pool2d_gather(x, argmax, case.kernel_size, **options)
        np.testing.assert_array_equal(gathered, y, err_msg=f"max_pool2d_gather, {name}")


@settings(max_examples=300)
@given(poolings(dilated=False))
def test_average_pooling_equals_loops(case: Pooling) -> None:
    x, dy = case.arrays.make(case.input_shape, case.output_shape)
    options = {**case.options, "count_include_pad": case.count_include_pad}
    y = reference.avg_pool2d(x.astype(np.float64), case.kernel_size, **options)
    dx = reference.avg_pool2d_grad(dy.astype(np.float64), case.input_shape, case.kernel_size, **options)
    assert y.shape == case.output_shape
    for name, package in IMPLEMENTATIONS.items():
        assert_close(package.avg_pool2d(x, case.kernel_size, **options), y, f"avg_pool2d, {name}")
        grad = package.avg_pool2d_grad(dy, case.input_shape, case.kernel_size, **options)
        assert_close(grad, dx, f"avg_pool2d_grad, {name}")


@settings(max_examples=50)
@given(poolings(dilated=False))
def test_gradients_are_adjoint_to_the_pooling(case: Pooling) -> None:
    """⟨pool(x), dy⟩ = ⟨x, grad(dy)⟩, for max pooling with its choice of winners held fixed."""
    x, dy = (a.astype(np.float64) for a in case.arrays.make(case.input_shape, case.output_shape))
    average = {**case.options, "count_include_pad": case.count_include_pad}
    forward = kernels.avg_pool2d(x, case.kernel_size, **average)
    backward = kernels.avg_pool2d_grad(dy, case.input_shape, case.kernel_size, **average)
    np.testing.assert_allclose(np.vdot(forward, dy), np.vdot(x, backward), rtol=1e-10, atol=1e-10)

    y, argmax = kernels.max_pool2d(x, case.kernel_size, **case.options)
    backward = kernels.max_pool2d_grad(dy, argmax, case.input_shape, case.kernel_size, **case.options)
    np.testing.assert_allclose(np.vdot(y, dy), np.vdot(x, backward), rtol=1e-10, atol=1e-10)


def pytorch_can(case: Pooling) -> bool:
    """PyTorch pads both sides alike, by at most half a window, and takes no empty batch."""
    window = pooling_window("pool", case.input_shape[2:], case.kernel_size, dilation=case.dilation, **case.options)
    sides = zip(window.padding, case.kernel_size, strict=True)
    return case.input_shape[0] > 0 and all(before == after <= taps // 2 for (before, after), taps in sides)


@settings(max_examples=100)
@given(case=poolings(dilated=True).filter(pytorch_can))
def test_max_pooling_equals_pytorch(torch: Any, case: Pooling) -> None:
    # Of several NaNs PyTorch takes the last one's place, we the first one's: so finite values here.
    values = case.values if case.values != "not finite" else "normal"
    (x,) = case.arrays.make(case.input_shape, values=values)
    (dy,) = case.arrays.make(case.output_shape)
    window = pooling_window("pool", x.shape[2:], case.kernel_size, dilation=case.dilation, **case.options)
    x_torch = torch.from_numpy(x.astype(np.float64, order="C")).requires_grad_()
    y_torch = torch.nn.functional.max_pool2d(
        x_torch,
        case.kernel_size,
        window.stride,
        (window.top, window.left),
        window.dilation,
        case.options["ceil_mode"],
    )
    y_torch.backward(torch.from_numpy(dy.astype(np.float64, order="C")))
    options = {**case.options, "dilation": case.dilation}
    y, argmax = kernels.max_pool2d(x, case.kernel_size, **options)
    np.testing.assert_array_equal(y, y_torch.detach().numpy())
    dx = kernels.max_pool2d_grad(dy, argmax, case.input_shape, case.kernel_size, **options)
    assert_close(dx, x_torch.grad.numpy(), "max_pool2d_grad")


@settings(max_examples=100)
@given(case=poolings(dilated=False).filter(pytorch_can))
def test_average_pooling_equals_pytorch(torch: Any, case: Pooling) -> None:
    x, dy = case.arrays.make(case.input_shape, case.output_shape)
    window = pooling_window("pool", x.shape[2:], case.kernel_size, dilation=1, **case.options)
    x_torch = torch.from_numpy(x.astype(np.float64, order="C")).requires_grad_()
    y_torch = torch.nn.functional.avg_pool2d(
        x_torch,
        case.kernel_size,
        window.stride,
        (window.top, window.left),
        case.options["ceil_mode"],
        case.count_include_pad,
    )
    y_torch.backward(torch.from_numpy(dy.astype(np.float64, order="C")))
    options = {**case.options, "count_include_pad": case.count_include_pad}
    assert_close(kernels.avg_pool2d(x, case.kernel_size, **options), y_torch.detach().numpy(), "avg_pool2d")
    dx = kernels.avg_pool2d_grad(dy, case.input_shape, case.kernel_size, **options)
    assert_close(dx, x_torch.grad.numpy(), "avg_pool2d_grad")


@pytest.mark.parametrize("package", [reference, *IMPLEMENTATIONS.values()], ids=["reference", *IMPLEMENTATIONS])
def test_first_of_equals_wins_and_nan_beats_all(package: Any) -> None:
    infinity = np.inf
    windows = np.array(
        [[1, 3, 3, 2], [-infinity] * 4, [5, np.nan, np.nan, infinity], [infinity, 7, infinity, 8]], np.float32
    )
    y, argmax = package.max_pool2d(windows.reshape(1, 4, 2, 2), 2)
    np.testing.assert_array_equal(y.ravel(), [3, -infinity, np.nan, infinity])
    np.testing.assert_array_equal(argmax.ravel(), [1, 0, 1, 0])


@pytest.mark.parametrize("package", [reference, *IMPLEMENTATIONS.values()], ids=["reference", *IMPLEMENTATIONS])
def test_padding_never_wins(package: Any) -> None:
    x = np.full((1, 1, 2, 2), -np.inf, np.float32)
    y, argmax = package.max_pool2d(x, 2, stride=1, padding=1)
    np.testing.assert_array_equal(y, np.full((1, 1, 3, 3), -np.inf))
    np.testing.assert_array_equal(argmax[0, 0], [[3, 2, 2], [1, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("package", [reference, *IMPLEMENTATIONS.values()], ids=["reference", *IMPLEMENTATIONS])
def test_large_windows_have_a_wider_argmax(package: Any) -> None:
    x = np.zeros((1, 2, 16, 17), np.float32)
    x[0, 1, 15, 16] = 1
    y, argmax = package.max_pool2d(x, (16, 17))
    assert argmax.dtype == np.uint16
    np.testing.assert_array_equal(argmax.ravel(), [0, 16 * 17 - 1])
    dx = package.max_pool2d_grad(y, argmax, x.shape, (16, 17))
    np.testing.assert_array_equal(dx, x)


@pytest.mark.parametrize("package", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
def test_gather_reads_no_memory_outside_the_input(package: Any) -> None:
    x = np.ones((1, 1, 2, 2), np.float32)
    outside = np.zeros((1, 1, 3, 3), np.uint8)  # cell 0 of every window, but here that is padding for some
    y = package.max_pool2d_gather(x, outside, 2, stride=1, padding=1)
    np.testing.assert_array_equal(y[0, 0], [[0, 0, 0], [0, 1, 1], [0, 1, 1]])
