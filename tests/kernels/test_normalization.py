"""Batch and layer normalization and their gradients, on the CPU and as array operations, against naive loops."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kernels
from kernels import cpu, cuda, reference
from tests.kernels.strategies import Arrays, arrays, channel_counts
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("one_thread")

IMPLEMENTATIONS = {"cpu": cpu, "cuda on NumPy": cuda}

#: N, C and further axes.
shapes = st.one_of(
    st.tuples(st.integers(2, 40), channel_counts),
    st.tuples(st.integers(1, 3), channel_counts, st.integers(2, 9)),
    st.tuples(st.integers(1, 3), channel_counts, st.integers(2, 5), st.integers(1, 5)),
)
WIDE = (3, 300)  # more channels than a stretch of them on the stack


def epsilon(dtype: str) -> float:
    """In float32 so large that a channel of next to no variance does not magnify rounding errors."""
    return 1e-5 if dtype == "float64" else 0.1


def wide(*values: Any) -> list[Any]:
    return [value.astype(np.float64) for value in values]


@settings(max_examples=300)
@given(shape=shapes, activation=st.sampled_from([None, "relu"]), arrays=arrays)
@example(shape=WIDE, activation="relu", arrays=Arrays("float64", "reversed", 0))
@example(shape=(9, 300, 2, 1), activation=None, arrays=Arrays("float32", "plain", 1))
def test_batch_norm_equals_loops(shape: tuple[int, ...], activation: Any, arrays: Arrays) -> None:
    x, dy, weight, bias = arrays.make(shape, shape, shape[1:2], shape[1:2])
    options = {"eps": epsilon(arrays.dtype), "activation": activation}
    expected = reference.batch_norm(*wide(x, weight, bias), **options)
    gradients = reference.batch_norm_grad(*wide(dy, x, weight, bias), *expected[1:], **options)
    statistics = [value.astype(x.dtype) for value in expected[1:]]
    for name, package in IMPLEMENTATIONS.items():
        found = package.batch_norm(x, weight, bias, **options)
        for part, a, b in zip(("y", "mean", "var"), found, expected, strict=True):
            assert_close(a, b, f"{part} of batch_norm, {name}")
        y = package.batch_norm_inference(x, weight, bias, *statistics, **options)
        assert_close(y, expected[0], f"batch_norm_inference, {name}")
        found = package.batch_norm_grad(dy, x, weight, bias, *statistics, **options)
        for part, a, b in zip(("dx", "dweight", "dbias"), found, gradients, strict=True):
            assert_close(a, b, f"{part} of batch_norm_grad, {name}")
    constant = reference.batch_norm_grad(*wide(dy, x, weight, bias), *expected[1:], **options, constant_statistics=True)
    for name, package in IMPLEMENTATIONS.items():
        found = package.batch_norm_grad(dy, x, weight, bias, *statistics, **options, constant_statistics=True)
        for a, b in zip(found, constant, strict=True):
            assert_close(a, b, f"batch_norm_grad with constant statistics, {name}")


@pytest.mark.parametrize("channels", [1, 3, 16, 100, 256, 300])
def test_batch_norm_of_many_tasks(channels: int) -> None:
    """More than one task, the last one ragged, against sums in float64."""
    rows = 3 * (1 << 16) // channels + 5
    x = np.random.default_rng(0).standard_normal((rows, channels)).astype(np.float32)
    weight, bias = np.linspace(0.5, 2, channels, dtype=np.float32), np.linspace(-1, 1, channels, dtype=np.float32)
    y, mean, var = cpu.batch_norm(x, weight, bias, activation="relu")
    (exact,) = wide(x)
    assert_close(mean, exact.mean(axis=0), "mean")
    assert_close(var, exact.var(axis=0), "var")
    expected = cuda.batch_norm(*wide(x, weight, bias), activation="relu")[0]
    assert_close(y, expected, "y")
    dy = np.roll(x, 1, axis=0)
    found = cpu.batch_norm_grad(dy, x, weight, bias, mean, var, activation="relu")
    gradients = cuda.batch_norm_grad(*wide(dy, x, weight, bias, mean, var), activation="relu")
    for part, a, b in zip(("dx", "dweight", "dbias"), found, gradients, strict=True):
        assert_close(a, b, part)


@pytest.mark.parametrize("order", ["shuffled", "sorted", "an outlier first"])
@pytest.mark.parametrize("mean", [0.0, 1e3, 1e4])
def test_a_large_mean_does_not_hide_the_variance(mean: float, order: str) -> None:
    """Deviations are measured from the first values of a stretch: whatever these are, the digits are kept."""
    values = np.random.default_rng(0).standard_normal((100_000, 2)) + mean
    if order == "sorted":
        values.sort(axis=0)
    elif order == "an outlier first":
        values[0] = 30 * mean
    x = values.astype(np.float32)
    _, found_mean, found_var = cpu.batch_norm(x, np.ones(2, np.float32), np.zeros(2, np.float32))
    np.testing.assert_allclose(found_mean, x.mean(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found_var, x.astype(np.float64).var(axis=0), rtol=1e-5)


def test_constant_channels_have_no_variance() -> None:
    x = np.full((1000, 3), 1234.5, np.float32)
    y, mean, var = cpu.batch_norm(x, np.ones(3, np.float32), np.zeros(3, np.float32))
    assert (mean == 1234.5).all()
    assert (var == 0).all()
    assert (y == 0).all()


@pytest.mark.parametrize("package", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
def test_nan_passes_through_its_channel_only(package: Any) -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 5, 5)).astype(np.float32)
    x[1, 1, 2, 2] = np.nan
    y, mean, _ = package.batch_norm(x, np.ones(3, np.float32), np.zeros(3, np.float32), activation="relu")
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, [0, 2]]).all()
    assert np.isnan(mean).tolist() == [False, True, False]


@pytest.mark.parametrize("package", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
def test_relu_cuts_the_gradient_where_it_cut_the_value(package: Any) -> None:
    """Found out again from x: the same rounding in both directions, also where the value is next to 0."""
    x = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
    weight, mean, var = np.full(16, 0.7, np.float32), x.mean(axis=0), x.var(axis=0)
    bias = (mean - x[3]) * (weight / np.sqrt(var + np.float32(1e-5)))  # so that row 3 is 0, but for rounding
    y = package.batch_norm_inference(x, weight, bias, mean, var, activation="relu")
    dx, _, _ = package.batch_norm_grad(
        np.ones_like(x), x, weight, bias, mean, var, activation="relu", constant_statistics=True
    )
    np.testing.assert_array_equal(dx > 0, y > 0)


def test_an_empty_batch() -> None:
    x, ones = np.empty((0, 3, 4, 4), np.float32), np.ones(3, np.float32)
    assert kernels.batch_norm_inference(x, ones, ones, ones, ones).shape == x.shape
    dx, grad_weight, grad_bias = kernels.batch_norm_grad(x, x, ones, ones, ones, ones)
    assert dx.shape == x.shape
    assert not grad_weight.any()
    assert not grad_bias.any()
    assert kernels.layer_norm(x, np.ones(4, np.float32), np.ones(4, np.float32))[0].shape == x.shape


@settings(max_examples=300)
@given(
    lengths=st.lists(st.integers(1, 5), max_size=2).map(tuple),
    normalized=st.lists(st.integers(1, 9), min_size=1, max_size=2).map(tuple).filter(lambda s: math.prod(s) > 1),
    arrays=arrays,
)
@example(lengths=(70,), normalized=(1100,), arrays=Arrays("float64", "plain", 0))
def test_layer_norm_equals_loops(lengths: tuple[int, ...], normalized: tuple[int, ...], arrays: Arrays) -> None:
    x, dy, weight, bias = arrays.make(*[lengths + normalized] * 2, *[normalized] * 2)
    eps = epsilon(arrays.dtype)
    expected = reference.layer_norm(*wide(x, weight, bias), eps=eps)
    gradients = reference.layer_norm_grad(*wide(dy, x, weight), *expected[1:], eps=eps)
    statistics = [value.astype(x.dtype) for value in expected[1:]]
    for name, package in IMPLEMENTATIONS.items():
        found = package.layer_norm(x, weight, bias, eps=eps)
        for part, a, b in zip(("y", "mean", "var"), found, expected, strict=True):
            assert_close(a, b, f"{part} of layer_norm, {name}")
        found = package.layer_norm_grad(dy, x, weight, *statistics, eps=eps)
        for part, a, b in zip(("dx", "dweight", "dbias"), found, gradients, strict=True):
            assert_close(a, b, f"{part} of layer_norm_grad, {name}")
