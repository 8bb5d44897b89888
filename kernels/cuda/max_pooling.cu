// Max pooling of channels-last images, its gradient, and the gathering of winners.
//
// A thread owns VECTOR neighbouring channels of one cell of the result: neighbouring threads read neighbouring memory,
// each result is written once, and no two threads write the same cell, so nothing is atomic and sums have one order.
//
// Launch shape: threadIdx.x runs along a row of the result (its cells, and the packs of channels within each),
// threadIdx.y over rows (image and height). The bounds of the loops over a window are arguments, not constants: a
// kernel for each window would have to be compiled for each, and with 2048 threads on an SM, which some 30 registers
// allow, one load of 16 bytes under way per thread is enough to keep memory busy.

#ifndef INDEX
#define INDEX unsigned char  // of a winner inside its window; wider for windows of more than 255 cells
#endif

struct alignas(VECTOR * sizeof(INDEX)) Winners {
    INDEX element[VECTOR];
};

// y and argmax from x. Of equal cells the first wins; a NaN beats every number; padding never wins.
extern "C" __global__ void max_pool2d(
    const T* __restrict__ x, T* __restrict__ y, INDEX* __restrict__ argmax,
    int rows, int packs, int H, int W, int OH, int OW,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int place = blockIdx.y * blockDim.x + threadIdx.x;
    if (row >= rows || place >= OW * packs) return;
    int oh = row % OH, ow = place / packs;
    long long image = (long long)(row / OH) * H * W * packs + place % packs;

    A best[VECTOR];
    Winners winners;
    bool found = false;
    for (int i = 0; i < kernel_h; ++i) {
        int h = oh * stride_h + i * dilation_h - top;
        if (h < 0 || h >= H) continue;
        for (int j = 0; j < kernel_w; ++j) {
            int w = ow * stride_w + j * dilation_w - left;
            if (w < 0 || w >= W) continue;
            Pack cell = load_pack(x, image + ((long long)h * W + w) * packs);
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) {
                A value = load(cell.element, k);
                bool is_first_nan = value != value && best[k] == best[k];
                if (!found || value > best[k] || is_first_nan) {
                    best[k] = value;
                    winners.element[k] = i * kernel_w + j;
                }
            }
            found = true;
        }
    }
    Pack result;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) store(result.element, k, best[k]);
    long long index = (long long)row * OW * packs + place;
    store_pack(y, index, result);
    reinterpret_cast<Winners*>(argmax)[index] = winners;
}

// dx from dy: a cell of the input looks at the windows that cover it, and takes the gradient of those that it won.
extern "C" __global__ void max_pool2d_grad(
    const T* __restrict__ dy, const INDEX* __restrict__ argmax, T* __restrict__ dx,
    int rows, int packs, int H, int W, int OH, int OW,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int place = blockIdx.y * blockDim.x + threadIdx.x;
    if (row >= rows || place >= W * packs) return;
    int h = row % H + top, w = place / packs + left;  // counted from the first cell of padding
    long long image = (long long)(row / H) * OH * OW * packs + place % packs;

    // Outputs from whose last tap the cell can be reached, to those whose first tap it is.
    int reach_h = h - (kernel_h - 1) * dilation_h, reach_w = w - (kernel_w - 1) * dilation_w;
    int first_oh = reach_h > 0 ? (reach_h + stride_h - 1) / stride_h : 0;
    int first_ow = reach_w > 0 ? (reach_w + stride_w - 1) / stride_w : 0;
    A total[VECTOR] = {};
    for (int oh = first_oh; oh < OH && oh * stride_h <= h; ++oh) {
        int i = (h - oh * stride_h) / dilation_h;
        if (i * dilation_h != h - oh * stride_h) continue;  // between two taps
        for (int ow = first_ow; ow < OW && ow * stride_w <= w; ++ow) {
            int j = (w - ow * stride_w) / dilation_w;
            if (j * dilation_w != w - ow * stride_w) continue;
            long long index = image + ((long long)oh * OW + ow) * packs;
            Winners winners = reinterpret_cast<const Winners*>(argmax)[index];
            Pack gradient = load_pack(dy, index);
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) {
                if (winners.element[k] == i * kernel_w + j) total[k] += load(gradient.element, k);
            }
        }
    }
    Pack result;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) store(result.element, k, total[k]);
    store_pack(dx, (long long)row * W * packs + place, result);
}

// y from x and argmax. Neighbouring channels may have won at different cells, so x is read one number at a time.
extern "C" __global__ void max_pool2d_gather(
    const T* __restrict__ x, const INDEX* __restrict__ argmax, T* __restrict__ y,
    int rows, int packs, int H, int W, int OH, int OW,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int place = blockIdx.y * blockDim.x + threadIdx.x;
    if (row >= rows || place >= OW * packs) return;
    int oh = row % OH, ow = place / packs;
    long long index = (long long)row * OW * packs + place;
    Winners winners = reinterpret_cast<const Winners*>(argmax)[index];
    Pack result;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        int cell = winners.element[k];
        int h = oh * stride_h + cell / kernel_w * dilation_h - top;
        int w = ow * stride_w + cell % kernel_w * dilation_w - left;
        bool is_inside = h >= 0 && h < H && w >= 0 && w < W;  // a foreign argmax must not read foreign memory
        long long offset = ((((long long)(row / OH) * H + h) * W + w) * packs + place % packs) * VECTOR + k;
        store(result.element, k, is_inside ? load(x, offset) : 0);
    }
    store_pack(y, index, result);
}
