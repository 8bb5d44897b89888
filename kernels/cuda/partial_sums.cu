// The second pass of a sum that was cut into parts: total[i] = Σ_part partials[part, i], always in the same order.
//
// A block has 32 threads along i, which read 128 bytes at once, and 8 along the parts, so that a short result with many
// parts does not wait for one load after the other.

#define ROWS 8

extern "C" __global__ void add_parts(const A* __restrict__ partials, T* __restrict__ total, int parts, int count) {
    __shared__ A sums[ROWS][32];
    int i = blockIdx.x * 32 + threadIdx.x;
    A sum = 0;
    if (i < count) {
        for (int part = threadIdx.y; part < parts; part += ROWS) sum += partials[(long long)part * count + i];
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || i >= count) return;
    for (int row = 1; row < ROWS; ++row) sum += sums[row][threadIdx.x];
    store(total, i, sum);
}
