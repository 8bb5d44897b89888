// Rectification, its gradient, and the error function over a flat block of memory. A thread takes VECTOR neighbours; where they do not fill
// 16 bytes it takes one, so there is no ragged end.
//
// All only move memory. With 256 threads a block and some ten registers, 8 blocks fill an SM: 2048 loads of 16 bytes
// are under way, which is what it takes to hide the latency of memory.

extern "C" __global__ void relu(const T* __restrict__ x, T* __restrict__ y, long long packs) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= packs) return;
    Pack pack = load_pack(x, i);
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        if (load(pack.element, k) < 0) store(pack.element, k, 0);  // NaN stays: it is not less
    }
    store_pack(y, i, pack);
}

extern "C" __global__ void relu_grad(
    const T* __restrict__ dy, const T* __restrict__ y, T* __restrict__ dx, long long packs
) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= packs) return;
    Pack gradient = load_pack(dy, i), value = load_pack(y, i);
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        if (!(load(value.element, k) > 0)) store(gradient.element, k, 0);
    }
    store_pack(dx, i, gradient);
}

// Not called erf, which is the name of the function that computes it.
extern "C" __global__ void error_function(const T* __restrict__ x, T* __restrict__ y, long long packs) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= packs) return;
    Pack pack = load_pack(x, i);
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) store(pack.element, k, erf(load(pack.element, k)));
    store_pack(y, i, pack);
}
