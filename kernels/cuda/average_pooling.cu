// Average pooling of channels-last images and its gradient.
//
// As in max_pooling.cu a thread owns VECTOR neighbouring channels of one cell of the result, threadIdx.x runs along a
// row of the result and threadIdx.y over rows. One window over all (global pooling) has a kernel of its own: a result
// of one cell per image has too few threads to read the image.
//
// [first_h, end_h) and [first_w, end_w) hold the cells that count: the input, or the input with its padding.

#define THREADS 256

// How many cells [start, start + length) has in common with [first, end).
__device__ inline int counted(int start, int length, int first, int end) {
    return min(start + length, end) - max(start, first);
}

extern "C" __global__ void avg_pool2d(
    const T* __restrict__ x, T* __restrict__ y, int rows, int packs, int H, int W, int OH, int OW,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int top, int left,
    int first_h, int end_h, int first_w, int end_w
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int place = blockIdx.y * blockDim.x + threadIdx.x;
    if (row >= rows || place >= OW * packs) return;
    int start_h = row % OH * stride_h - top, start_w = place / packs * stride_w - left;
    long long image = (long long)(row / OH) * H * W * packs + place % packs;

    A total[VECTOR] = {};
    for (int h = max(start_h, 0); h < min(start_h + kernel_h, H); ++h) {
        for (int w = max(start_w, 0); w < min(start_w + kernel_w, W); ++w) {
            Pack cell = load_pack(x, image + ((long long)h * W + w) * packs);
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) total[k] += load(cell.element, k);
        }
    }
    A count = counted(start_h, kernel_h, first_h, end_h) * counted(start_w, kernel_w, first_w, end_w);
    Pack result;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) store(result.element, k, total[k] / count);
    store_pack(y, (long long)row * OW * packs + place, result);
}

// One window per image. A block has an image and up to 32 packs of channels, along x; its threads along y take every
// blockDim.y-th cell of the window, and their sums are added pairwise. blockDim.x · blockDim.y = THREADS, powers of two.
extern "C" __global__ void avg_pool2d_of_all(
    const T* __restrict__ x, T* __restrict__ y, int packs, int H, int W, int kernel_h, int kernel_w, int top, int left,
    int first_h, int end_h, int first_w, int end_w
) {
    __shared__ A sums[THREADS * VECTOR];
    int pack = blockIdx.y * blockDim.x + threadIdx.x;
    long long image = (long long)blockIdx.x * H * W * packs + pack;
    int height = min(kernel_h - top, H), width = min(kernel_w - left, W);

    A total[VECTOR] = {};
    if (pack < packs) {
        for (int cell = threadIdx.y; cell < height * width; cell += blockDim.y) {
            Pack value = load_pack(x, image + ((long long)(cell / width) * W + cell % width) * packs);
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) total[k] += load(value.element, k);
        }
    }
    // A number's neighbours in `sums` belong to neighbouring threads: no two threads of a warp meet in one bank.
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) sums[k * THREADS + thread] = total[k];
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half) {
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) sums[k * THREADS + thread] += sums[k * THREADS + thread + half * blockDim.x];
        }
    }
    if (threadIdx.y > 0 || pack >= packs) return;
    A count = counted(-top, kernel_h, first_h, end_h) * counted(-left, kernel_w, first_w, end_w);
    Pack result;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) store(result.element, k, sums[k * THREADS + thread] / count);
    store_pack(y, (long long)blockIdx.x * packs + pack, result);
}

// dx from dy: a cell of the input takes its share from each window that covers it.
extern "C" __global__ void avg_pool2d_grad(
    const T* __restrict__ dy, T* __restrict__ dx, int rows, int packs, int H, int W, int OH, int OW,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int top, int left,
    int first_h, int end_h, int first_w, int end_w
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int place = blockIdx.y * blockDim.x + threadIdx.x;
    if (row >= rows || place >= W * packs) return;
    int h = row % H + top, w = place / packs + left;  // counted from the first cell of padding
    long long image = (long long)(row / H) * OH * OW * packs + place % packs;

    int first_oh = h >= kernel_h ? (h - kernel_h) / stride_h + 1 : 0;
    int first_ow = w >= kernel_w ? (w - kernel_w) / stride_w + 1 : 0;
    A total[VECTOR] = {};
    for (int oh = first_oh; oh < OH && oh * stride_h <= h; ++oh) {
        int count_h = counted(oh * stride_h - top, kernel_h, first_h, end_h);
        for (int ow = first_ow; ow < OW && ow * stride_w <= w; ++ow) {
            A count = count_h * counted(ow * stride_w - left, kernel_w, first_w, end_w);
            Pack gradient = load_pack(dy, image + ((long long)oh * OW + ow) * packs);
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) total[k] += load(gradient.element, k) / count;
        }
    }
    Pack result;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) store(result.element, k, total[k]);
    store_pack(dx, (long long)row * W * packs + place, result);
}
