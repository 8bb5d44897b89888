"""Dropout against naive loops: the same bits, whatever the implementation, the shape and the layout."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import cpu, cuda, reference
from kernels.cpu.dropout import _TASK, _WORDS
from kernels.philox import philox4x32
from tests.kernels.strategies import Arrays, arrays

IMPLEMENTATIONS = {"cpu": cpu, "cuda on NumPy": cuda}


@pytest.mark.usefixtures("one_thread")
@settings(max_examples=300)
@given(
    shape=st.lists(st.integers(0, 6), max_size=4).map(tuple),
    p=st.sampled_from([0.0, 1e-12, 0.1, 0.5, 0.9, 1.0]),
    draw=st.fixed_dictionaries({name: st.integers(0, 2**bits - 1) for name, bits in
                                (("key", 64), ("stream", 64), ("start", 60))}),
    arrays=arrays,
)  # fmt: skip
def test_equals_loops(shape: tuple[int, ...], p: float, draw: dict[str, int], arrays: Arrays) -> None:
    if not shape:
        arrays = Arrays(arrays.dtype, "plain", arrays.seed)  # which a number cannot be but
    x, grad = arrays.make(shape, shape)
    y, kept = reference.dropout(x, p, **draw)
    dx = reference.dropout_grad(grad, kept, p)
    for name, package in IMPLEMENTATIONS.items():
        found, found_kept = package.dropout(x, p, **draw)
        np.testing.assert_array_equal(found, y, err_msg=name)
        np.testing.assert_array_equal(found_kept, kept, err_msg=name)
        found_dx = package.dropout_grad(grad, kept, p)
        np.testing.assert_array_equal(found_dx, dx, err_msg=name)
        assert (found.dtype, found_kept.dtype, found_dx.dtype) == (x.dtype, np.bool_, x.dtype)


def test_many_chunks_draw_the_words_of_one_stream() -> None:
    size = 2 * _TASK + _WORDS + 5
    y, kept = cpu.dropout(np.ones(size, np.float32), 0.25, key=7, stream=2**64 - 1, start=3)
    words = philox4x32(np, size, key=7, stream=2**64 - 1, start=3)
    np.testing.assert_array_equal(kept, words < 0.75 * 2**32)
    np.testing.assert_array_equal(y, kept / np.float32(0.75))


@pytest.mark.parametrize("package", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS)
def test_nan_stays_where_it_is_dropped(package: Any) -> None:
    y, kept = package.dropout(np.full(100, np.nan), 0.5, key=1)
    assert np.isnan(y).all()
    assert 0 < kept.sum() < 100
