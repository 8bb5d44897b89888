// An optimizer's step over all parameters of one type in one launch.
//
// FORMULA is what formula.py made of the optimizer's Python formula: statements that turn a[0] (the parameter w), a[1]
// (its gradient) and a[2] … (what is kept beside it) into their new values, with numbers n0, n1 … The default is plain
// gradient descent.
//
// `table` has a row for each parameter: its first block, its length, and the addresses of its ARRAYS arrays. A block
// finds its parameter by bisection, then has CHUNK elements to do: 16 for each of its threads, in packs of 16 bytes where
// all arrays are aligned for that. Some 4,000 blocks for 16 million numbers fill every SM; a network of 100,000 numbers
// still has 25. All is memory traffic: each array is read once and, but for the gradient, written once.

#ifndef FORMULA
#define ARRAYS 2
#define NUMBERS , A n0
#define FORMULA a[0] = a[0] - n0 * a[1];
#endif

#define CHUNK 4096

extern "C" __global__ void optimizer_step(
    const long long* __restrict__ table, int parameters, A weight_decay, A shrink NUMBERS
) {
    int low = 0, high = parameters - 1;  // the last parameter whose first block is not behind this one
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (table[(long long)middle * (2 + ARRAYS)] <= blockIdx.x) low = middle;
        else high = middle - 1;
    }
    const long long* row = table + (long long)low * (2 + ARRAYS);
    long long first = (blockIdx.x - row[0]) * CHUNK, end = min(first + CHUNK, row[1]);

    T* arrays[ARRAYS];
    bool is_aligned = true;
#pragma unroll
    for (int k = 0; k < ARRAYS; ++k) {
        arrays[k] = reinterpret_cast<T*>(row[2 + k]);
        is_aligned = is_aligned && row[2 + k] % (long long)sizeof(Pack) == 0;
    }
    auto step = [&](A* a) { FORMULA };

    if (is_aligned) {
        long long packs = (end - first) / VECTOR;
        for (long long i = threadIdx.x; i < packs; i += blockDim.x) {
            Pack pack[ARRAYS];
#pragma unroll
            for (int k = 0; k < ARRAYS; ++k) pack[k] = load_pack(arrays[k], first / VECTOR + i);
#pragma unroll
            for (int lane = 0; lane < VECTOR; ++lane) {
                A a[ARRAYS];
#pragma unroll
                for (int k = 0; k < ARRAYS; ++k) a[k] = load(pack[k].element, lane);
                step(a);
#pragma unroll
                for (int k = 0; k < ARRAYS; ++k) store(pack[k].element, lane, a[k]);
            }
#pragma unroll
            for (int k = 0; k < ARRAYS; ++k) {
                if (k != 1) store_pack(arrays[k], first / VECTOR + i, pack[k]);
            }
        }
        first += packs * VECTOR;
    }
    for (long long i = first + threadIdx.x; i < end; i += blockDim.x) {
        A a[ARRAYS];
#pragma unroll
        for (int k = 0; k < ARRAYS; ++k) a[k] = load(arrays[k], i);
        step(a);
#pragma unroll
        for (int k = 0; k < ARRAYS; ++k) {
            if (k != 1) store(arrays[k], i, a[k]);
        }
    }
}
