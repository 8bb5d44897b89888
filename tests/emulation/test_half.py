"""The header's half-precision conversions are NumPy's and ml_dtypes', bit by bit, over all values."""

from typing import Any

import numpy as np
import pytest

from tests import emulation

pytestmark = pytest.mark.skipif(bool(emulation.why_not()), reason=emulation.why_not())

cp = emulation.stand_in()

CODE = """
#include <cuda_fp16.h>
#include <cuda_bf16.h>
typedef __half float16;
typedef __nv_bfloat16 bfloat16;
extern "C" __global__ void widen(const NAME* x, float* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = WIDEN(x[i]);
}
extern "C" __global__ void narrow(const float* x, NAME* y, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = NARROW(x[i]);
}
"""
FUNCTIONS = {"float16": ("__half2float", "__float2half_rn"), "bfloat16": ("__bfloat162float", "__float2bfloat16_rn")}


def half_type(name: str) -> np.dtype[Any]:
    if name == "float16":
        return np.dtype(name)
    return np.dtype(pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16)


def converted(name: str, which: str, x: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    widen, narrow = FUNCTIONS[name]
    options = (f"-DNAME={name}", f"-DWIDEN={widen}", f"-DNARROW={narrow}")
    y = cp.empty(x.shape, dtype)
    function = cp.RawModule(code=CODE, options=options).get_function(which)
    function((-(-x.size // 256),), (256,), (cp.asarray(x), y, np.int32(x.size)))
    return y.get()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_half_number_widens_exactly(name: str) -> None:
    dtype = half_type(name)
    every = np.arange(2**16, dtype=np.uint16)
    wide = converted(name, "widen", every.view(dtype), np.dtype(np.float32))
    with np.errstate(invalid="ignore"):
        expected = every.view(dtype).astype(np.float32)
    is_number = ~np.isnan(expected)
    np.testing.assert_array_equal(wide.view(np.uint32)[is_number], expected.view(np.uint32)[is_number])
    assert np.isnan(wide[~is_number]).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_are_rounded_to_nearest_even(name: str) -> None:
    dtype = half_type(name)
    # Every half number, its neighbours in float32, and the middles between it and the next: the ties.
    every = np.arange(2**16, dtype=np.uint16).view(dtype).astype(np.float32).view(np.uint32)
    middles = every + np.uint32(1 << (12 if name == "float16" else 15))
    tricky = np.concatenate([part + np.uint32(step) for part in (every, middles) for step in (-1 % 2**32, 0, 1)])
    more = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    x = np.concatenate([tricky, more]).view(np.float32)
    x = x[~np.isnan(x)]
    with np.errstate(all="ignore"):
        expected = x.astype(dtype).view(np.uint16)
    np.testing.assert_array_equal(converted(name, "narrow", x, dtype).view(np.uint16), expected)
