// Random words, and dropout with the words drawn where they are used: the bits of kernels/philox.py.
//
// Philox4x32-10: Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A thread computes
// one block of four words for four neighbouring elements: some 100 integer instructions, for which there is time while
// its elements arrive. With 256 threads a block and fewer than 32 registers, SMs are full.

struct Block {
    unsigned int word[4];
};

// Block number `index` of a stream; see kernels/philox.py, whose names these are.
__device__ inline Block philox(unsigned long long key, unsigned long long stream, unsigned long long index) {
    unsigned int c0 = (unsigned int)index, c1 = (unsigned int)(index >> 32);
    unsigned int c2 = (unsigned int)stream, c3 = (unsigned int)(stream >> 32);
    unsigned int k0 = (unsigned int)key, k1 = (unsigned int)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        unsigned long long product0 = 0xD2511F53ull * c0, product1 = 0xCD9E8D57ull * c2;
        c0 = (unsigned int)(product1 >> 32) ^ c1 ^ k0;
        c1 = (unsigned int)product1;
        c2 = (unsigned int)(product0 >> 32) ^ c3 ^ k1;
        c3 = (unsigned int)product0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

extern "C" __global__ void random_words(
    unsigned int* __restrict__ words, long long count, unsigned long long key, unsigned long long stream,
    unsigned long long start
) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * block >= count) return;
    Block drawn = philox(key, stream, start + block);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        if (4 * block + k < count) words[4 * block + k] = drawn.word[k];
    }
}

// Whether the elements of one pack were kept.
struct alignas(VECTOR) Marks {
    bool kept[VECTOR];
};

// y is x · scale where an element's word is below `threshold` (up to 2^32), else x · 0, so that NaN stays.
extern "C" __global__ void dropout(
    const T* __restrict__ x, T* __restrict__ y, bool* __restrict__ kept, long long count, A scale,
    unsigned long long threshold, unsigned long long key, unsigned long long stream, unsigned long long start
) {
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * block >= count) return;
    Block drawn = philox(key, stream, start + block);
#pragma unroll
    for (int part = 0; part < 4; part += VECTOR) {
        if (4 * block + part >= count) return;  // VECTOR divides the count, so that packs are whole
        long long index = (4 * block + part) / VECTOR;
        Pack values = load_pack(x, index);
        Marks marks;
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            marks.kept[k] = drawn.word[part + k] < threshold;
            store(values.element, k, load(values.element, k) * (marks.kept[k] ? scale : 0));
        }
        store_pack(y, index, values);
        reinterpret_cast<Marks*>(kept)[index] = marks;
    }
}

// dx is dy · scale where the element was kept, else dy · 0. A thread has one pack.
extern "C" __global__ void dropout_grad(
    const T* __restrict__ dy, const bool* __restrict__ kept, T* __restrict__ dx, long long packs, A scale
) {
    long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= packs) return;
    Pack values = load_pack(dy, index);
    Marks marks = reinterpret_cast<const Marks*>(kept)[index];
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        store(values.element, k, load(values.element, k) * (marks.kept[k] ? scale : 0));
    }
    store_pack(dx, index, values);
}
