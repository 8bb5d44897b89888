"""The matrix product against NumPy's in float64, within the rounding error that its sums may have.

The public function runs on each backend; the rest is about `kernels.cpu.matmul`, whose products are its own.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from dlcore.backend import Backend, to_numpy
from kernels import reference
from kernels.cpu import threads
from kernels.cpu.matmul import matmul
from kernels.types import Array
from tests.kernels.strategies import arrange
from tests.tolerances import assert_close

DTYPES = [np.float32, np.float64]
LAYOUTS = ["rows", "columns", "spread", "reversed", "unaligned"]


@pytest.fixture(autouse=True)
def _restore_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def lay_out(x: Array, layout: str) -> Array:
    """The same matrix with other strides."""
    if layout == "columns":
        return np.asfortranarray(x)
    if layout == "spread":
        return np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3]
    if layout == "reversed":
        return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    if layout == "unaligned":
        memory = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
        memory[...] = x
        return memory
    return np.ascontiguousarray(x)


def operands(M: int, K: int, N: int, dtype: npt.DTypeLike, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((M, K)).astype(dtype), rng.standard_normal((K, N)).astype(dtype)


def assert_product(result: Array, a: Array, b: Array) -> None:
    """Each sum of K products may be off by K roundings of the sum of their magnitudes, and no more."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    bound = (a.shape[1] + 1) * np.finfo(a.dtype).eps * (np.abs(wide_a) @ np.abs(wide_b))
    assert result.dtype == a.dtype
    assert result.shape == (a.shape[0], b.shape[1])
    assert (np.abs(result - wide_a @ wide_b) <= bound).all()


@settings(max_examples=100, deadline=None)
@given(
    M=st.integers(1, 70),
    K=st.one_of(st.integers(0, 90), st.integers(300, 700), st.integers(2600, 2700)),
    N=st.integers(1, 40),
    layout=st.sampled_from(LAYOUTS),
    activation=st.sampled_from([None, "relu"]),
    count=st.integers(1, 3),
)
def test_bias_and_activation_on_the_way_out(M, K, N, layout, activation, count):
    threads.set_num_threads(count)
    a, b = operands(M, K, N, np.float64)
    bias = np.random.default_rng(1).standard_normal(2 * N)[::2]
    out = lay_out(np.full((M, N), np.nan), layout)
    matmul(a, b, bias, activation=activation, out=out)
    expected = matmul(a, b) + bias
    np.testing.assert_allclose(out, np.maximum(expected, 0) if activation else expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=120, deadline=None)
@given(
    M=st.integers(1, 70),
    K=st.one_of(st.integers(1, 90), st.integers(300, 700)),
    N=st.integers(1, 70),
    layouts=st.tuples(*[st.sampled_from(LAYOUTS)] * 3),
    seed=st.integers(0, 999),
)
def test_any_shape_and_strides(dtype, M, K, N, layouts, seed):
    a, b = operands(M, K, N, dtype, seed)
    out = lay_out(np.full((M, N), np.nan, dtype), layouts[2])
    returned = matmul(lay_out(a, layouts[0]), lay_out(b, layouts[1]), out=out)
    assert returned is out
    assert_product(out, a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("M", "K", "N"),
    [
        (100, 784, 50),  # a linear layer
        (2000, 144, 16),  # convolution as a product: tall
        (16, 9000, 144),  # a weight gradient: K is cut into chunks
        (300, 650, 1100),  # several blocks of K and rows, more than one group of panels
        (1, 3000, 1),
        (1, 900, 300),
        (300, 900, 1),
    ],
)
@pytest.mark.parametrize("transposed", ["", "a", "b"])
def test_blocks_and_chunks_bitwise_the_same_at_any_thread_count(dtype, M, K, N, transposed):
    a, b = operands(M, K, N, dtype)
    given_a = lay_out(a, "columns" if transposed == "a" else "rows")
    given_b = lay_out(b, "columns" if transposed == "b" else "rows")
    results = []
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        results.append(matmul(given_a, given_b))
    assert_product(results[0], a, b)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_around_the_result_is_left_alone(dtype):
    a, b = operands(61, 40, 37, dtype)
    frame = np.full((63, 41), 7, dtype)
    matmul(a, b, out=frame[1:62, 2:39])
    assert_product(frame[1:62, 2:39], a, b)
    frame[1:62, 2:39] = 7
    assert (frame == 7).all()


@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty_dimensions(shape):
    M, K, N = shape
    result = matmul(np.ones((M, K), np.float32), np.ones((K, N), np.float32))
    assert result.shape == (M, N)
    assert (result == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_passes_through_and_stays_in_its_row(value):
    a, b = operands(70, 400, 45, np.float32)
    a[33, 200] = value
    result = matmul(a, np.abs(b) + 1)
    assert np.array_equal(result[33], np.full(45, value, np.float32), equal_nan=True)
    assert np.isfinite(np.delete(result, 33, axis=0)).all()


def test_read_only_and_broadcast_operands():
    a = np.broadcast_to(np.arange(300, dtype=np.float32), (90, 300))
    b = operands(1, 300, 20, np.float32)[1]
    b.flags.writeable = False
    assert_product(matmul(a, b), a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("arrangement", ["plain", "reversed", "every other", "field of a record"])
@pytest.mark.parametrize(("M", "K", "N"), [(7, 9, 12), (300, 5, 8), (3, 70, 40), (1, 90, 1), (0, 3, 4), (3, 0, 4)])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_bias_and_activation_on_each_backend(
    backend: Backend, dtype: str, arrangement: str, M: int, K: int, N: int, activation: Literal["relu"] | None
) -> None:
    a, b = operands(M, K, N, dtype)
    bias = np.random.default_rng(1).standard_normal(N).astype(dtype)
    wide = [array.astype(np.float64) for array in (a, b, bias)]
    moved = [arrange(backend.asarray(array), arrangement) for array in (a, b, bias)]
    for given_bias, wide_bias in ((moved[2], wide[2]), (None, None)):
        c = kernels.matmul(moved[0], moved[1], given_bias, activation=activation)
        assert c.flags.c_contiguous
        assert str(c.dtype) == dtype
        assert_close(to_numpy(c), reference.matmul(wide[0], wide[1], wide_bias, activation=activation), "matmul")


def test_a_transposed_operand_on_each_backend(backend: Backend) -> None:
    a, b = operands(5, 6, 7, np.float32)
    c = kernels.matmul(backend.asarray(a.T.copy()).T, backend.asarray(b.T.copy()).T)
    assert_close(to_numpy(c), a.astype(np.float64) @ b, "matmul")
