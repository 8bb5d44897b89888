// Cross-entropy of softmax over rows of logits, and its gradient.
//
// Forward, the threads of one threadIdx.y share a row: one warp for up to some hundred classes, more for longer rows, up to
// the whole block of 256. The row is read three times (largest, sum, probabilities), the last two from the cache.
// Labels are never looked at on the host: a label outside the classes gives NaN, here.

#ifndef LABEL
#define LABEL long long
#endif

#define THREADS 256

// The largest of `value` over the threads of one threadIdx.y: see row_sum, whose twin this is. NaNs may get lost.
__device__ inline A row_max(A value, A* largest) {
    for (int distance = 16; distance > 0; distance /= 2) {
        A other = __shfl_xor_sync(0xffffffff, value, distance);
        if (other > value) value = other;
    }
    if (blockDim.x == 32) return value;
    int warps = blockDim.x / 32;
    A* own = largest + threadIdx.y * warps;
    if (threadIdx.x % 32 == 0) own[threadIdx.x / 32] = value;
    __syncthreads();
    value = own[0];
    for (int warp = 1; warp < warps; ++warp) {
        if (own[warp] > value) value = own[warp];
    }
    __syncthreads();  // before the memory is used again
    return value;
}

// Strides are in elements: labels need not be contiguous, and may be of any integer type.
extern "C" __global__ void softmax_cross_entropy(
    const T* __restrict__ x, const LABEL* __restrict__ labels, long long label_stride, T* __restrict__ losses,
    T* __restrict__ probability, int rows, int classes
) {
    __shared__ A shared[THREADS / 32];
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int own_classes = row < rows ? classes : 0;  // every thread takes part in the sums
    const T* logits = x + (long long)row * classes;

    // A row with a NaN has a NaN for its sum, whatever its largest number is taken for.
    A largest = own_classes ? load(logits, 0) : 0;
    for (int i = threadIdx.x; i < own_classes; i += blockDim.x) {
        A value = load(logits, i);
        if (value > largest) largest = value;
    }
    largest = row_max(largest, shared);

    A total = 0;
    for (int i = threadIdx.x; i < own_classes; i += blockDim.x) total += exp(load(logits, i) - largest);
    total = row_sum(total, shared);

    for (int i = threadIdx.x; i < own_classes; i += blockDim.x) {
        store(probability, (long long)row * classes + i, exp(load(logits, i) - largest) / total);
    }
    if (own_classes && threadIdx.x == 0) {
        long long label = labels[row * label_stride];
        bool is_class = 0 <= label && label < classes;
        store(losses, row, is_class ? log(total) - (load(logits, label) - largest) : (A)nan(""));
    }
}

// dx = (probability − one_hot(label)) · dloss. A thread has one number; those along y take different rows. The stride
// of dlosses is 0 where one number stands for all rows, as in the mean's gradient.
extern "C" __global__ void softmax_cross_entropy_grad(
    const T* __restrict__ dlosses, long long dloss_stride, const T* __restrict__ probability,
    const LABEL* __restrict__ labels, long long label_stride, T* __restrict__ dx, int rows, int classes
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (row >= rows || i >= classes) return;
    long long index = (long long)row * classes + i;
    A one_hot = (long long)labels[row * label_stride] == i;
    store(dx, index, (load(probability, index) - one_hot) * load(dlosses, row * dloss_stride));
}
