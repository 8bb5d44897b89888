"""Right kernels run, and wrong ones are found: what the emulation's proofs rest on."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from tests import emulation
from tests.emulation import memory
from tests.emulation.running import cp, kernel, run

pytestmark = pytest.mark.skipif(bool(emulation.why_not()), reason=emulation.why_not())

ORDERS = ["forward", "reverse", "shuffled"]


@pytest.fixture(params=ORDERS)
def order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DLCORE_EMULATION_ORDER", request.param)
    return request.param


SUM = """
extern "C" __global__ void __launch_bounds__(256) block_sums(const T* __restrict__ x, T* y, long long n) {
    extern __shared__ char memory[];
    __shared__ T partial[8];
    T* tile = reinterpret_cast<T*>(memory);
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x] = i < n ? x[i] : (T)0;
    __syncthreads();
    T sum = tile[blockDim.x - 1 - threadIdx.x];
    for (int distance = 16; distance; distance /= 2) sum += __shfl_down_sync(0xffffffff, sum, distance);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int warp = 1; warp < blockDim.x / 32; ++warp) sum += partial[warp];
        y[blockIdx.x] = sum;
    }
}
"""


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_barriers_shuffles_and_shared_memory(order: str, name: str) -> None:
    x = np.random.default_rng(0).standard_normal(1000).astype(name)
    y = cp.empty(4, name)
    block_sums = kernel(SUM, "block_sums", "T=float" if name == "float32" else "T=double")
    block_sums((4,), (256,), (cp.asarray(x), y, np.int64(x.size)), shared_mem=256 * x.itemsize)
    expected = [x[start : start + 256].sum() for start in range(0, 1000, 256)]
    np.testing.assert_allclose(y.get(), expected, rtol=1e-5)


def test_indices_cover_the_launch(order: str) -> None:
    y = cp.zeros((2, 3, 4, 2, 3, 5), np.int32)
    block_first = "((blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x)"
    body = f"""
        int i = ({block_first} * blockDim.z + threadIdx.z) * blockDim.y + threadIdx.y;
        y[i * blockDim.x + threadIdx.x] += 1;
    """
    run(body, y, parameters="int* y", grid=(4, 3, 2), block=(5, 3, 2))
    assert (y.get() == 1).all()


def test_warp_functions() -> None:
    y = cp.empty((7, 32), np.int32)
    body = """
        const unsigned all = 0xffffffff;
        const int lane = threadIdx.x;
        y[lane] = __shfl_xor_sync(all, lane, 3);
        y[32 + lane] = __shfl_down_sync(all, lane, 5);
        y[64 + lane] = __shfl_up_sync(all, lane, 5, 16);
        y[96 + lane] = __shfl_sync(all, lane, 9, 8);
        y[128 + lane] = __ballot_sync(all, lane % 2);
        y[160 + lane] = __any_sync(all, lane == 7);
        y[192 + lane] = __all_sync(all, lane != 7);
    """
    run(body, y, parameters="int* y", grid=(1,), block=(32,))
    lane = np.arange(32)
    expected = [
        lane ^ 3,
        np.where(lane < 27, lane + 5, lane),
        np.where(lane % 16 < 5, lane, lane - 5),
        lane // 8 * 8 + 1,
        np.full(32, np.uint32(0xAAAAAAAA).view(np.int32)),
        np.ones(32),
        np.zeros(32),
    ]
    np.testing.assert_array_equal(y.get(), expected)


def test_vectors_are_loaded_whole() -> None:
    x, y = cp.arange(12, dtype=np.float32), cp.empty(3, np.float32)
    body = """
        if (threadIdx.x >= 3) return;
        const float4 v = reinterpret_cast<const float4*>(x)[threadIdx.x];
        y[threadIdx.x] = v.x + v.y * 10 + v.z * 100 + v.w * 1000;
    """
    run(body, x, y, parameters="const float* x, float* y", grid=(1,))
    np.testing.assert_array_equal(y.get(), [3210, 7654, 12098])


# ------------------------------------------------------------------------------------------- what is refused, and how

#: What is wrong → the kernel's body, the words of the error. Each is launched with 2 blocks of 64 threads on an array
#: of n = 128 numbers.
WRONG = {
    "write behind the end": ("y[n + threadIdx.x] = 1;", r"write outside of .* y \(float32, shape \(128,\)"),
    "read behind the end": ("y[0] = y[n * 4];", r"read outside of .* y \(float32"),
    "write far before the start": ("y[-4096] = 1;", "write outside"),
    "write just before the start": ("if (threadIdx.x == 0) y[-1] = 1;", r"write outside of y .* before its start"),
    "read of a null pointer": ("y[0] = *(const float*)0;", "read outside"),
    "static shared memory overrun": (
        "__shared__ float s[64]; s[threadIdx.x + n / 128] = 1;",
        "index outside of an array",
    ),
    "dynamic shared memory overrun": ("extern __shared__ float s[]; s[threadIdx.x] = 1;", "behind the dynamic shared"),
    "exit before a barrier": (
        "if (threadIdx.x == 5) return;\n__syncthreads();\ny[threadIdx.x] = 1;",
        "1 of 64 threads ended before the barrier at line 3",
    ),
    "two barriers": (
        "if (threadIdx.x == 5)\n__syncthreads();\nelse\n__syncthreads();\n",
        "wait at different barriers, lines [35] and [35]",
    ),
    "lanes that do not come": (
        "if (threadIdx.x < 8) y[0] = __shfl_down_sync(0xffffffff, 1.0f, 4);\nelse __syncthreads();",
        "waits at line 2 for lanes",
    ),
    "mask without the lane": ("y[0] = __shfl_sync(1u << 31, 1.0f, 31);", "does not name the lane itself"),
    "different masks": (
        "y[0] = __shfl_sync(threadIdx.x % 2 ? 0xffffffff : 0x55555555, 1.0f, 0);",
        "different exchanges",
    ),
    "misaligned vector": ("y[0] = reinterpret_cast<float4*>(y + 1)->x;", "not aligned"),
    "integer overflow": ("int i = 1 << 30; y[0] = i * n;", "overflow of a signed integer"),
    "division by zero": ("y[0] = n / (n - 128);", "zero"),
    "endless recursion": ("y[0] = endless(n);", "outside of all arrays"),
}

ENDLESS = "__device__ int endless(int i) { volatile int a[64] = {i}; return endless(a[0]) + a[1]; }"


@pytest.fixture(scope="module")
def wrong_kernels() -> Any:
    """All of them in one module, each with its own line numbers."""
    sources = (
        f'#line 1 "{number}.cu"\nextern "C" __global__ void wrong_{number}(float* y, int n) {{\n{body}\n}}\n'
        for number, (body, _) in enumerate(WRONG.values())
    )
    return cp.RawModule(code=ENDLESS + "\n" + "".join(sources))


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_kernels_are_found(order: str, wrong_kernels: Any, wrong: str) -> None:
    launched = wrong_kernels.get_function(f"wrong_{list(WRONG).index(wrong)}")
    y = cp.zeros(128, np.float32)
    with pytest.raises(emulation.EmulationError, match=WRONG[wrong][1]):
        launched((2,), (64,), (y, np.int32(128)), shared_mem=64)
    # The next launch knows nothing of it.
    run("y[blockIdx.x * blockDim.x + threadIdx.x] = n;", y, np.int32(3))
    assert (y.get() == 3).all()


def test_writes_are_found_without_guards_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may have so many guards and no more; behind that, the memory beside an array is looked at."""
    monkeypatch.setattr(memory, "_MOST_GUARDED", 0)
    monkeypatch.setattr(memory, "_kept", defaultdict(list))
    y = cp.zeros(3, np.float32)
    run("y[n] = 1;", y, np.int32(2))
    with pytest.raises(emulation.EmulationError, match=r"write outside of y .*: 0 bytes behind its end"):
        run("y[n] = 1;", y, np.int32(3))


def test_an_error_names_kernel_block_and_thread() -> None:
    y = cp.zeros(128, np.float32)
    words = r"^kernel kernel: write .* block \(1, 0, 0\), thread \(63, 0, 0\)"
    with pytest.raises(emulation.EmulationError, match=words):
        run("y[blockIdx.x * blockDim.x + threadIdx.x + (n == 128)] = 0;", y, np.int32(128))


def test_constant_arrays_cannot_be_written() -> None:
    with pytest.raises(emulation.CompileException, match="read-only"):
        run("x[0] = 1;", cp.zeros(4), parameters="const double* x")


@pytest.mark.parametrize("source", ["#include <cstdint>", "#include <algorithm>", "int f() { return g(); }"])
def test_what_does_not_compile(source: str) -> None:
    with pytest.raises(emulation.CompileException):
        kernel(f'{source}\nextern "C" __global__ void kernel() {{}}')


def test_uninitialised_memory_is_not_zero() -> None:
    y = cp.empty(128, np.float32)
    assert np.isnan(y.get()).all()
    run("__shared__ float s[64]; y[threadIdx.x] = s[threadIdx.x];", cp.zeros(128, np.float32), np.int32(0))
    for body in ("__shared__ float s[64];", "extern __shared__ float s[];"):
        y = cp.zeros(128, np.float32)
        # What the first block left there is not found by the second, either.
        body += "y[blockIdx.x * 64 + threadIdx.x] = s[threadIdx.x]; s[threadIdx.x] = 0;"
        run(body, y, np.int32(0), shared=256)
        assert np.isnan(y.get()).all()


def test_a_missing_barrier_shows_in_one_of_the_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "__shared__ float s[64]; s[threadIdx.x] = threadIdx.x; {}"
        "y[blockIdx.x * 64 + threadIdx.x] = s[63 - threadIdx.x];"
    )
    expected = np.tile(np.arange(64.0)[::-1], 2)
    for barrier, is_right in (("__syncthreads();", True), ("", False)):
        found = []
        for order in ORDERS:
            monkeypatch.setenv("DLCORE_EMULATION_ORDER", order)
            y = cp.zeros(128, np.float32)
            run(body.format(barrier), y, np.int32(0))
            found.append(np.array_equal(y.get(), expected))
        assert all(found) is is_right


def test_device_functions_may_have_shared_memory() -> None:
    code = """
        template <int size> __device__ float last(float own) {
            __shared__ float all[size];
            all[threadIdx.x % size] = own;
            __syncthreads();
            return all[size - 1];
        }
        extern "C" __global__ void kernel(float* y) {
            y[threadIdx.x] = last<32>(threadIdx.x) + last<16>(threadIdx.x % 16);
        }
    """
    y = cp.zeros(32, np.float32)
    kernel(code)((1,), (32,), (y,))
    assert (y.get() == 46).all()
