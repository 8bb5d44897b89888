"""Pooling and its gradients against naive loops, and PyTorch."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import kernels
from dlcore.backend import Backend, to_numpy
from kernels import reference
from kernels.geometry import pooling_window
from tests.kernels.half import HALVES, half_type
from tests.kernels.strategies import MANY, Pooling, poolings
from tests.tolerances import assert_close


@settings(max_examples=MANY)
@given(case=poolings(dilated=True))
def test_max_pooling_equals_loops(backend: Backend, case: Pooling) -> None:
    (x,) = case.arrays.make(case.input_shape, values=case.values)
    (dy,) = case.arrays.make(case.output_shape)
    options = {**case.options, "dilation": case.dilation}
    y, argmax = reference.max_pool2d(x, case.kernel_size, **options)
    dx = reference.max_pool2d_grad(dy.astype(np.float64), argmax, case.input_shape, case.kernel_size, **options)
    assert y.shape == case.output_shape
    device_x, device_dy = case.arrays.on(backend, x, dy)
    actual, actual_argmax = kernels.max_pool2d(device_x, case.kernel_size, **options)
    np.testing.assert_array_equal(to_numpy(actual), y, err_msg="max_pool2d")
    np.testing.assert_array_equal(to_numpy(actual_argmax), argmax, err_msg="argmax of max_pool2d")
    assert actual_argmax.dtype == np.uint8
    grad = kernels.max_pool2d_grad(device_dy, actual_argmax, case.input_shape, case.kernel_size, **options)
    assert_close(to_numpy(grad), dx, "max_pool2d_grad")
    gathered = kernels.max_pool2d_gather(device_x, actual_argmax, case.kernel_size, **options)
    np.testing.assert_array_equal(to_numpy(gathered), y, err_msg="max_pool2d_gather")


@settings(max_examples=MANY)
@given(case=poolings(dilated=False))
def test_average_pooling_equals_loops(backend: Backend, case: Pooling) -> None:
    x, dy = case.arrays.make(case.input_shape, case.output_shape)
    options = {**case.options, "count_include_pad": case.count_include_pad}
    y = reference.avg_pool2d(x.astype(np.float64), case.kernel_size, **options)
    dx = reference.avg_pool2d_grad(dy.astype(np.float64), case.input_shape, case.kernel_size, **options)
    assert y.shape == case.output_shape
    device_x, device_dy = case.arrays.on(backend, x, dy)
    assert_close(to_numpy(kernels.avg_pool2d(device_x, case.kernel_size, **options)), y, "avg_pool2d")
    grad = kernels.avg_pool2d_grad(device_dy, case.input_shape, case.kernel_size, **options)
    assert_close(to_numpy(grad), dx, "avg_pool2d_grad")


@pytest.mark.parametrize("shape", [(2, 3, 9, 7), (1, 300, 5, 4), (3, 128, 7, 7), (0, 4, 3, 3)], ids=str)
def test_global_average_pooling(backend: Backend, shape: tuple[int, int, int, int]) -> None:
    """One window over all: few results of many cells each. With padding it reaches beyond the image."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y = kernels.avg_pool2d(backend.asarray(x), shape[2:])
    assert_close(to_numpy(y), x.astype(np.float64).mean(axis=(2, 3), keepdims=True), "avg_pool2d")
    kernel = (shape[2] + 1, shape[3] + 1)
    for count_include_pad, cells in ((True, kernel[0] * kernel[1]), (False, shape[2] * shape[3])):
        y = kernels.avg_pool2d(
            backend.asarray(x), kernel, padding=((1, 0), (0, 1)), count_include_pad=count_include_pad
        )
        assert_close(to_numpy(y), x.astype(np.float64).sum(axis=(2, 3), keepdims=True) / cells, "avg_pool2d")


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("channels", [3, 16])
def test_half_precision(backend: Backend, name: str, channels: int) -> None:
    dtype = half_type(backend, name)
    random = np.random.default_rng(0)
    x, dy = random.standard_normal((2, channels, 9, 8)), random.standard_normal((2, channels, 5, 4))
    x, dy = x.astype(dtype), dy.astype(dtype)
    options: dict[str, Any] = {"stride": 2, "padding": ((1, 1), (0, 1))}
    exact_x, exact_dy = x.astype(np.float64), dy.astype(np.float64)
    y, argmax = kernels.max_pool2d(backend.asarray(x), 3, **options)
    expected, expected_argmax = reference.max_pool2d(exact_x, 3, **options)
    np.testing.assert_array_equal(to_numpy(y).astype(np.float64), expected)
    np.testing.assert_array_equal(to_numpy(argmax), expected_argmax)
    found = to_numpy(kernels.max_pool2d_grad(backend.asarray(dy), argmax, x.shape, 3, **options))
    assert_close(found, reference.max_pool2d_grad(exact_dy, expected_argmax, x.shape, 3, **options), "max_pool2d_grad")
    found = to_numpy(kernels.max_pool2d_gather(backend.asarray(x), argmax, 3, **options))
    np.testing.assert_array_equal(found.astype(np.float64), expected)
    found = to_numpy(kernels.avg_pool2d(backend.asarray(x), 3, **options))
    assert_close(found, reference.avg_pool2d(exact_x, 3, **options), "avg_pool2d")
    found = to_numpy(kernels.avg_pool2d_grad(backend.asarray(dy), x.shape, 3, **options))
    assert_close(found, reference.avg_pool2d_grad(exact_dy, x.shape, 3, **options), "avg_pool2d_grad")
    found = to_numpy(kernels.avg_pool2d(backend.asarray(x), x.shape[2:]))
    assert_close(found, exact_x.mean(axis=(2, 3), keepdims=True), "avg_pool2d of all")
    assert found.dtype == y.dtype == dtype


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


def test_first_of_equals_wins_and_nan_beats_all(backend: Backend) -> None:
    infinity = np.inf
    windows = np.array(
        [[1, 3, 3, 2], [-infinity] * 4, [5, np.nan, np.nan, infinity], [infinity, 7, infinity, 8]], np.float32
    ).reshape(1, 4, 2, 2)
    for y, argmax in (reference.max_pool2d(windows, 2), kernels.max_pool2d(backend.asarray(windows), 2)):
        np.testing.assert_array_equal(to_numpy(y).ravel(), [3, -infinity, np.nan, infinity])
        np.testing.assert_array_equal(to_numpy(argmax).ravel(), [1, 0, 1, 0])


def test_padding_never_wins(backend: Backend) -> None:
    x = np.full((1, 1, 2, 2), -np.inf, np.float32)
    options: dict[str, Any] = {"stride": 1, "padding": 1}
    for y, argmax in (reference.max_pool2d(x, 2, **options), kernels.max_pool2d(backend.asarray(x), 2, **options)):
        np.testing.assert_array_equal(to_numpy(y), np.full((1, 1, 3, 3), -np.inf))
        np.testing.assert_array_equal(to_numpy(argmax)[0, 0], [[3, 2, 2], [1, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("channels", [2, 4])
def test_large_windows_have_a_wider_argmax(backend: Backend, channels: int) -> None:
    x = np.zeros((1, channels, 16, 17), np.float32)
    x[0, 1, 15, 16] = 1
    expected, _ = reference.max_pool2d(x, (16, 17))
    y, argmax = kernels.max_pool2d(backend.asarray(x), (16, 17))
    assert argmax.dtype == np.uint16
    np.testing.assert_array_equal(to_numpy(argmax).ravel(), [0, 16 * 17 - 1, 0, 0][:channels])
    np.testing.assert_array_equal(to_numpy(y), expected)
    dx = kernels.max_pool2d_grad(y, argmax, x.shape, (16, 17))
    np.testing.assert_array_equal(to_numpy(dx), x)


def test_gather_reads_no_memory_outside_the_input(backend: Backend) -> None:
    x = backend.asarray(np.ones((1, 1, 2, 2), np.float32))
    # Cell 0 of every window, but here that is padding for some.
    outside = backend.asarray(np.zeros((1, 1, 3, 3), np.uint8))
    y = kernels.max_pool2d_gather(x, outside, 2, stride=1, padding=1)
    np.testing.assert_array_equal(to_numpy(y)[0, 0], [[0, 0, 0], [0, 1, 1], [0, 1, 1]])
