// What follows a matrix product of the vendor's library, which takes and gives whole C-contiguous matrices only.

// result[row, first + column] = activation(product[row, column] + bias[first + column]); the bias may be null. The
// product's columns may be those of one group in a wider result; product and result may be one array. Threads along x
// have columns, along y rows: each number is read and written once, in packs, and nothing else costs.
extern "C" __global__ void finish(
    const T* product, const T* __restrict__ bias, T* result,
    int relu, int rows, int packs, int first_pack, int result_packs
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int pack = blockIdx.y * blockDim.x + threadIdx.x;
    if (row >= rows || pack >= packs) return;
    Pack values = load_pack(product, (long long)row * packs + pack);
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        A value = load(values.element, k);
        if (bias) value += load(bias, (long long)(first_pack + pack) * VECTOR + k);
        if (relu && value < 0) value = 0;
        store(values.element, k, value);
    }
    store_pack(result, (long long)row * result_packs + first_pack + pack, values);
}

// A product summed over pieces of its inner dimension: total (+)= product. `total` is in A, since a sum of sums in half
// precision would lose what each keeps; `result` follows it in T. A thread for each number: these are weights, and few.
extern "C" __global__ void accumulate(
    const T* __restrict__ product, A* __restrict__ total, T* __restrict__ result, int is_first, int count
) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    A sum = load(product, i);
    if (!is_first) sum += total[i];
    total[i] = sum;
    store(result, i, sum);
}
