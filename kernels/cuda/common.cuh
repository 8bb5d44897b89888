// What all sources share. T is how memory holds a number, A is how it is computed with: see launch.py.

#if DLCORE_FLOAT16
#include <cuda_fp16.h>
#define T __half
#define A float
#elif DLCORE_BFLOAT16
#include <cuda_bf16.h>
#define T __nv_bfloat16
#define A float
#elif DLCORE_FLOAT64
#define T double
#define A double
#else
#define T float
#define A float
#endif

// Number `index` of an array. Indices into arrays are 64-bit: on an 80 GB device an array can pass 2^31 elements.
__device__ inline A load(const T* array, long long index) {
#if DLCORE_FLOAT16
    return __half2float(array[index]);
#elif DLCORE_BFLOAT16
    return __bfloat162float(array[index]);
#else
    return array[index];
#endif
}

__device__ inline void store(T* array, long long index, A value) {
#if DLCORE_FLOAT16
    array[index] = __float2half_rn(value);
#elif DLCORE_BFLOAT16
    array[index] = __float2bfloat16_rn(value);
#else
    array[index] = value;
#endif
}

// Numbers that are kept in A beside half ones, such as means and variances.
#if DLCORE_FLOAT16 || DLCORE_BFLOAT16
__device__ inline A load(const A* array, long long index) { return array[index]; }
__device__ inline void store(A* array, long long index, A value) { array[index] = value; }
#endif

// A pack is VECTOR neighbours that one instruction moves: 16 bytes where length and alignment allow (`arrays.vector`).
#ifndef VECTOR
#define VECTOR 1
#endif
struct alignas(VECTOR * sizeof(T)) Pack {
    T element[VECTOR];
};

// Pack number `index` of an array.
__device__ inline Pack load_pack(const T* array, long long index) {
    return reinterpret_cast<const Pack*>(array)[index];
}

__device__ inline void store_pack(T* array, long long index, Pack value) {
    reinterpret_cast<Pack*>(array)[index] = value;
}

// The sum of `value` over the threads of one threadIdx.y, whose number is a power of two from 32 to 1024. Every thread
// of the block calls it and every one gets the sum, formed in one order. `sums` is shared: a number for each warp.
__device__ inline A row_sum(A value, A* sums) {
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffff, value, distance);
    if (blockDim.x == 32) return value;
    int warps = blockDim.x / 32;
    A* own = sums + threadIdx.y * warps;
    if (threadIdx.x % 32 == 0) own[threadIdx.x / 32] = value;
    __syncthreads();
    value = own[0];
    for (int warp = 1; warp < warps; ++warp) value += own[warp];
    __syncthreads();  // before `sums` is used again
    return value;
}
