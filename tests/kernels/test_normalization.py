"""Batch and layer normalization and their gradients against naive loops."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kernels
from dlcore.backend import Backend, to_numpy
from kernels import reference
from kernels.types import Array
from tests.kernels.half import HALVES, half_type
from tests.kernels.strategies import MANY, Arrays, arrays, channel_counts
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("one_thread")

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


def assert_all_close(found: Any, expected: Any, names: str, of: str) -> None:
    """The parts of a result, of any backend, equal what loops made, by the tolerance of the part's type."""
    for name, a, b in zip(names.split(), found, expected, strict=True):
        assert_close(to_numpy(a), b, f"{name} of {of}")


@settings(max_examples=MANY)
@given(shape=shapes, activation=st.sampled_from([None, "relu"]), arrays=arrays)
@example(shape=WIDE, activation="relu", arrays=Arrays("float64", "reversed", 0))
@example(shape=(9, 300, 2, 1), activation=None, arrays=Arrays("float32", "plain", 1))
def test_batch_norm_equals_loops(backend: Backend, shape: tuple[int, ...], activation: Any, arrays: Arrays) -> None:
    x, dy, weight, bias = arrays.make(shape, shape, shape[1:2], shape[1:2])
    options = {"eps": epsilon(arrays.dtype), "activation": activation}
    expected = reference.batch_norm(*wide(x, weight, bias), **options)
    exact = wide(dy, x, weight, bias)
    gradients = reference.batch_norm_grad(*exact, *expected[1:], **options)
    constant = reference.batch_norm_grad(*exact, *expected[1:], **options, constant_statistics=True)

    dy, *given = arrays.on(backend, dy, x, weight, bias)
    mean, var = (backend.asarray(value.astype(x.dtype)) for value in expected[1:])
    assert_all_close(kernels.batch_norm(*given, **options), expected, "y mean var", "batch_norm")
    y = kernels.batch_norm_inference(*given, mean, var, **options)
    assert_close(to_numpy(y), expected[0], "batch_norm_inference")
    parts = "dx dweight dbias"
    found = kernels.batch_norm_grad(dy, *given, mean, var, **options)
    assert_all_close(found, gradients, parts, "batch_norm_grad")
    found = kernels.batch_norm_grad(dy, *given, mean, var, **options, constant_statistics=True)
    assert_all_close(found, constant, parts, "batch_norm_grad with constant statistics")


def batch_norm_of_rows(x: Array, weight: Array, bias: Array, dy: Array) -> tuple[Array, ...]:
    """ReLU of the batch norm of (rows, channels), its statistics and gradients, by the formulas of the paper."""
    mean, var = x.mean(axis=0), x.var(axis=0)
    std = np.sqrt(var + 1e-5)
    unit = (x - mean) / std
    y = unit * weight + bias
    dy = np.where(y > 0, dy, 0)
    grad_weight, grad_bias = (dy * unit).sum(axis=0), dy.sum(axis=0)
    dx = weight / std * (dy - grad_bias / len(x) - unit * (grad_weight / len(x)))
    return np.maximum(y, 0), mean, var, dx, grad_weight, grad_bias


@pytest.mark.parametrize("channels", [1, 3, 16, 100, 256, 300])
def test_batch_norm_of_many_tasks(backend: Backend, channels: int) -> None:
    """More than one task, the last one ragged, against sums in float64."""
    rows = 3 * (1 << 16) // channels + 5
    x = np.random.default_rng(0).standard_normal((rows, channels)).astype(np.float32)
    weight, bias = np.linspace(0.5, 2, channels, dtype=np.float32), np.linspace(-1, 1, channels, dtype=np.float32)
    # At a kink rounding decides whether ReLU passes the gradient: none here.
    dy = np.roll(x, 1, axis=0)
    expected = batch_norm_of_rows(*wide(x, weight, bias, dy))
    near = np.abs((x - expected[1]) / np.sqrt(expected[2] + 1e-5) * weight + bias) < 1e-5
    dy[near] = 0
    expected = batch_norm_of_rows(*wide(x, weight, bias, dy))
    dy, *given = map(backend.asarray, (dy, x, weight, bias))
    found = kernels.batch_norm(*given, activation="relu")
    assert_all_close(found, expected[:3], "y mean var", "batch_norm")
    found = kernels.batch_norm_grad(dy, *given, *found[1:], activation="relu")
    assert_all_close(found, expected[3:], "dx dweight dbias", "batch_norm_grad")


@pytest.mark.parametrize("order", ["shuffled", "sorted", "an outlier first"])
@pytest.mark.parametrize("mean", [0.0, 1e3, 1e4])
def test_a_large_mean_does_not_hide_the_variance(backend: Backend, mean: float, order: str) -> None:
    """Deviations are measured from values among them, whatever these are: the digits are kept."""
    values = np.random.default_rng(0).standard_normal((100_000, 2)) + mean
    if order == "sorted":
        values.sort(axis=0)
    elif order == "an outlier first":
        values[0] = 30 * mean
    x = values.astype(np.float32)
    ones, zeros = backend.asarray(np.ones(2, np.float32)), backend.asarray(np.zeros(2, np.float32))
    _, found_mean, found_var = map(to_numpy, kernels.batch_norm(backend.asarray(x), ones, zeros))
    np.testing.assert_allclose(found_mean, x.mean(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found_var, x.astype(np.float64).var(axis=0), rtol=1e-5)


def test_constant_channels_have_no_variance(backend: Backend) -> None:
    x = backend.asarray(np.full((1000, 3), 1234.5, np.float32))
    ones, zeros = backend.asarray(np.ones(3, np.float32)), backend.asarray(np.zeros(3, np.float32))
    y, mean, var = map(to_numpy, kernels.batch_norm(x, ones, zeros))
    assert (mean == 1234.5).all()
    assert (var == 0).all()
    assert (y == 0).all()


def test_nan_passes_through_its_channel_only(backend: Backend) -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 5, 5)).astype(np.float32)
    x[1, 1, 2, 2] = np.nan
    given = map(backend.asarray, (x, np.ones(3, np.float32), np.zeros(3, np.float32)))
    y, mean, _ = map(to_numpy, kernels.batch_norm(*given, activation="relu"))
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, [0, 2]]).all()
    assert np.isnan(mean).tolist() == [False, True, False]


def test_relu_cuts_the_gradient_where_it_cut_the_value(backend: Backend) -> None:
    """Found out again from x: the same rounding in both directions, also where the value is next to 0."""
    x = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
    weight, mean, var = np.full(16, 0.7, np.float32), x.mean(axis=0), x.var(axis=0)
    bias = (mean - x[3]) * (weight / np.sqrt(var + np.float32(1e-5)))  # so that row 3 is 0, but for rounding
    dy, *given = map(backend.asarray, (np.ones_like(x), x, weight, bias, mean, var))
    y = kernels.batch_norm_inference(*given, activation="relu")
    dx, _, _ = kernels.batch_norm_grad(dy, *given, activation="relu", constant_statistics=True)
    np.testing.assert_array_equal(to_numpy(dx) > 0, to_numpy(y) > 0)


def test_an_empty_batch(backend: Backend) -> None:
    x, ones = backend.asarray(np.empty((0, 3, 4, 4), np.float32)), backend.asarray(np.ones(3, np.float32))
    assert kernels.batch_norm_inference(x, ones, ones, ones, ones).shape == x.shape
    dx, grad_weight, grad_bias = kernels.batch_norm_grad(x, x, ones, ones, ones, ones)
    assert dx.shape == x.shape
    assert not to_numpy(grad_weight).any()
    assert not to_numpy(grad_bias).any()
    ones = backend.asarray(np.ones(4, np.float32))
    y, mean, var = kernels.layer_norm(x, ones, ones)
    assert y.shape == x.shape
    dx, grad_weight, grad_bias = kernels.layer_norm_grad(x, x, ones, mean, var)
    assert dx.shape == x.shape
    assert not to_numpy(grad_weight).any()
    assert not to_numpy(grad_bias).any()


@settings(max_examples=MANY)
@given(
    lengths=st.lists(st.integers(1, 5), max_size=2).map(tuple),
    normalized=st.lists(st.integers(1, 9), min_size=1, max_size=2).map(tuple).filter(lambda s: math.prod(s) > 1),
    arrays=arrays,
)
@example(lengths=(70,), normalized=(1100,), arrays=Arrays("float64", "plain", 0))
@example(lengths=(3,), normalized=(2051,), arrays=Arrays("float32", "plain", 0))
def test_layer_norm_equals_loops(
    backend: Backend, lengths: tuple[int, ...], normalized: tuple[int, ...], arrays: Arrays
) -> None:
    x, dy, weight, bias = arrays.make(*[lengths + normalized] * 2, *[normalized] * 2)
    eps = epsilon(arrays.dtype)
    expected = reference.layer_norm(*wide(x, weight, bias), eps=eps)
    gradients = reference.layer_norm_grad(*wide(dy, x, weight), *expected[1:], eps=eps)
    dy, x, weight, bias = arrays.on(backend, dy, x, weight, bias)
    statistics = [backend.asarray(value.astype(x.dtype)) for value in expected[1:]]
    assert_all_close(kernels.layer_norm(x, weight, bias, eps=eps), expected, "y mean var", "layer_norm")
    found = kernels.layer_norm_grad(dy, x, weight, *statistics, eps=eps)
    assert_all_close(found, gradients, "dx dweight dbias", "layer_norm_grad")


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("beside", ["float32", "half"])
@pytest.mark.parametrize("channels", [3, 16])
def test_half_precision(backend: Backend, name: str, beside: str, channels: int) -> None:
    """Statistics come out in float32; weights, biases and given statistics may be of either type."""
    dtype = half_type(backend, name)
    own = dtype if beside == "half" else np.dtype(np.float32)
    random = np.random.default_rng(0)
    x, dy = (random.standard_normal((4, channels, 3, 2)).astype(dtype) for _ in range(2))
    weight, bias = (random.standard_normal(channels).astype(own) for _ in range(2))
    options: Any = {"eps": 0.1, "activation": "relu"}
    expected = reference.batch_norm(*wide(x, weight, bias), **options)
    dy_, *given = map(backend.asarray, (dy, x, weight, bias))
    y, mean, var = kernels.batch_norm(*given, **options)
    assert_all_close((y, mean, var), expected, "y mean var", "batch_norm")
    assert (y.dtype, mean.dtype, var.dtype) == (dtype, np.float32, np.float32)
    gradients = reference.batch_norm_grad(*wide(dy, x, weight, bias), *expected[1:], **options)
    found = kernels.batch_norm_grad(dy_, *given, mean, var, **options)
    assert_all_close(found, gradients, "dx dweight dbias", "batch_norm_grad")
    assert [part.dtype for part in found] == [dtype, own, own]
    running = [backend.asarray(value.astype(own)) for value in expected[1:]]
    y = kernels.batch_norm_inference(*given, *running, **options)
    assert_close(to_numpy(y), expected[0], "batch_norm_inference")

    rows, grad = (random.standard_normal((7, channels)).astype(dtype) for _ in range(2))
    expected = reference.layer_norm(*wide(rows, weight, bias), eps=0.1)
    y, mean, var = kernels.layer_norm(backend.asarray(rows), *given[1:], eps=0.1)
    assert_all_close((y, mean, var), expected, "y mean var", "layer_norm")
    assert (y.dtype, mean.dtype, var.dtype) == (dtype, np.float32, np.float32)
    gradients = reference.layer_norm_grad(*wide(grad, rows, weight), *expected[1:], eps=0.1)
    found = kernels.layer_norm_grad(backend.asarray(grad), backend.asarray(rows), given[1], mean, var, eps=0.1)
    assert_all_close(found, gradients, "dx dweight dbias", "layer_norm_grad")
    assert [part.dtype for part in found] == [dtype, own, own]
