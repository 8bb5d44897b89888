"""Dropout against naive loops: the same bits, whatever the implementation, the shape and the layout."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from dlcore.backend import Backend, to_numpy
from kernels import cpu, reference
from kernels.cpu.dropout import _TASK, _WORDS
from kernels.philox import philox4x32
from tests.kernels.half import HALVES, half_type
from tests.kernels.strategies import MANY, Arrays, arrays


@pytest.mark.usefixtures("one_thread")
@settings(max_examples=MANY)
@given(
    shape=st.lists(st.integers(0, 6), max_size=4).map(tuple),
    p=st.sampled_from([0.0, 1e-12, 0.1, 0.5, 0.9, 1.0]),
    draw=st.fixed_dictionaries({name: st.integers(0, 2**bits - 1) for name, bits in
                                (("key", 64), ("stream", 64), ("start", 60))}),
    arrays=arrays,
)  # fmt: skip
def test_equals_loops(backend: Backend, shape: tuple[int, ...], p: float, draw: dict[str, int], arrays: Arrays) -> None:
    if not shape:
        arrays = Arrays(arrays.dtype, "plain", arrays.seed)  # which a number cannot be but
    x, grad = arrays.make(shape, shape)
    y, kept = reference.dropout(x, p, **draw)
    dx = reference.dropout_grad(grad, kept, p)
    device_x, device_grad = arrays.on(backend, x, grad)
    found, found_kept = kernels.dropout(device_x, p, **draw)
    np.testing.assert_array_equal(to_numpy(found), y)
    np.testing.assert_array_equal(to_numpy(found_kept), kept)
    found_dx = kernels.dropout_grad(device_grad, found_kept, p)
    np.testing.assert_array_equal(to_numpy(found_dx), dx)
    assert (found.dtype, found_kept.dtype, found_dx.dtype) == (x.dtype, np.bool_, x.dtype)


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("size", [37, 64])
def test_half_precision(backend: Backend, name: str, size: int) -> None:
    """The same words, the product rounded once."""
    x = np.random.default_rng(0).standard_normal(size).astype(half_type(backend, name))
    y, kept = kernels.dropout(backend.asarray(x), 0.3, key=5)
    expected, expected_kept = reference.dropout(x.astype(np.float32), 0.3, key=5)
    np.testing.assert_array_equal(to_numpy(kept), expected_kept)
    np.testing.assert_array_equal(to_numpy(y), expected.astype(x.dtype))
    np.testing.assert_array_equal(to_numpy(kernels.dropout_grad(backend.asarray(x), kept, 0.3)), to_numpy(y))
    assert y.dtype == x.dtype


def test_many_chunks_draw_the_words_of_one_stream() -> None:
    size = 2 * _TASK + _WORDS + 5
    y, kept = cpu.dropout(np.ones(size, np.float32), 0.25, key=7, stream=2**64 - 1, start=3)
    words = philox4x32(np, size, key=7, stream=2**64 - 1, start=3)
    np.testing.assert_array_equal(kept, words < 0.75 * 2**32)
    np.testing.assert_array_equal(y, kept / np.float32(0.75))


def test_nan_stays_where_it_is_dropped(backend: Backend) -> None:
    y, kept = map(to_numpy, kernels.dropout(backend.asarray(np.full(100, np.nan)), 0.5, key=1))
    assert np.isnan(y).all()
    assert 0 < kept.sum() < 100


@pytest.mark.parametrize("count", [0, 1, 4, 1027])
def test_words_are_the_same_on_every_backend(backend: Backend, count: int) -> None:
    draw = {"key": 2**64 - 3, "stream": 2**63 + 1, "start": 2**32 - 2}
    words = philox4x32(backend.xp, count, **draw)
    np.testing.assert_array_equal(to_numpy(words), philox4x32(np, count, **draw))
    assert words.dtype == np.uint32
