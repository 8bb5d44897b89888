"""Row kernels: any mix of arguments reaches the compiled function as it was given."""

import numpy as np
import pytest

from kernels.cpu.rows import row_kernel
from kernels.types import Array


@row_kernel
def _sum_up(x: Array, weights: Array, shift: int, factors: tuple[int, int], y: Array, row: int) -> None:
    total = x.dtype.type(shift)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            total += x[row, i, j] * factors[j % 2] * weights[i]
    y[row] = total


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arguments_arrive_as_they_were_given(dtype: str) -> None:
    random = np.random.default_rng(0)
    x, weights = random.integers(-9, 9, (50, 3, 4)).astype(dtype), random.integers(0, 5, 3).astype(np.uint8)
    y = np.empty(50, dtype)
    _sum_up(50, x, weights, -7, (2, 3), y)
    np.testing.assert_array_equal(y, -7 + (x * [2, 3, 2, 3] * weights[:, None]).sum(axis=(1, 2)))


def test_no_row_runs_where_there_are_none() -> None:
    x, y = np.empty((0, 3, 4), np.float32), np.empty(0, np.float32)
    _sum_up(0, x, np.zeros(3, np.uint8), 0, (1, 1), y)


def test_arrays_that_are_not_contiguous_are_refused() -> None:
    x = np.zeros((2, 4, 3), np.float32).transpose(0, 2, 1)
    with pytest.raises(AssertionError, match="strides"):
        _sum_up(2, x, np.zeros(3, np.uint8), 0, (1, 1), np.zeros(2, np.float32))
