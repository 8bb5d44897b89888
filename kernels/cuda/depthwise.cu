// Depthwise convolution: each group has one input channel c and `multiplier` output channels, c · multiplier + m.
//
// Little is computed for each number that is read, so everything is about reading: a thread owns VECTOR neighbouring
// channels of STRIP neighbouring cells of the result; threadIdx.x runs along channels, so that a warp reads and writes
// whole lines, and threadIdx.y over strips. Weights of the block's channels, a few taps at a time, stand in shared
// memory and are read once for a strip. Cells of the image come from memory once and from the caches for other taps.
//
// VECTOR is 1 unless the multiplier is 1. In float32 with VECTOR 4 a thread holds 16 sums and needs 48 registers: with
// blocks of 256 threads and 8 KiB of shared memory an SM holds five, and forty warps can wait for memory at a time.

#ifndef TRANSPOSED
#define TRANSPOSED 0
#endif

#define STRIP 4
#define TAPS (VECTOR < 8 ? 16 : 8)  // taps whose weights are in shared memory together
#define MOST_ALONG 32               // threads along x at most

// As in direct.cu: the image's cell that a tap sees along one axis, or -1.
__device__ inline int seen(int corner, int offset, int stride, int size) {
#if TRANSPOSED
    int distance = corner - offset;
    if (distance < 0) return -1;
    if (stride > 1) {
        int cell = distance / stride;
        if (cell * stride != distance) return -1;
        distance = cell;
    }
    return distance < size ? distance : -1;
#else
    int cell = corner + offset;
    return cell < size ? max(cell, -1) : -1;
#endif
}

// The convolution, or with TRANSPOSED its input gradient. Grid: (blocks of strips, blocks of channels of the result).
extern "C" __global__ void depthwise(
    const T* __restrict__ image, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ result,
    int relu, int strips, int result_h, int result_w, int result_channels,
    int image_h, int image_w, int multiplier, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    __shared__ A weights[TAPS][MOST_ALONG * VECTOR];
    int taps = kernel_h * kernel_w;
    int first_channel = blockIdx.y * blockDim.x * VECTOR;
    int channel = first_channel + threadIdx.x * VECTOR;
    int strip = blockIdx.x * blockDim.y + threadIdx.y;
    bool works = strip < strips && channel < result_channels;

    int row_strips = (result_w + STRIP - 1) / STRIP;
    int row = strip / row_strips, first_w = strip % row_strips * STRIP;
    int n = row / result_h, h = row % result_h;
#if TRANSPOSED
    int corner_h = h + top, corner_w = first_w + left, step_w = 1, sources = multiplier;
    int image_channels = result_channels * multiplier;
#else
    int corner_h = h * stride_h - top, corner_w = first_w * stride_w - left, step_w = stride_w, sources = 1;
    int image_channels = result_channels / multiplier;
#endif

    A sums[STRIP][VECTOR] = {};
    for (int m = 0; m < sources; ++m) {
        // The image's channel, and the weight's for each channel of the block.
#if TRANSPOSED
        int source = channel * multiplier + m;
#else
        int source = channel / multiplier;
#endif
        for (int first_tap = 0; first_tap < taps; first_tap += TAPS) {
            __syncthreads();
            int width = blockDim.x * VECTOR;
            for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < TAPS * width; i += blockDim.x * blockDim.y) {
                int tap = first_tap + i / width, c = first_channel + i % width;
                if (tap >= taps || c >= result_channels) continue;
                long long k = TRANSPOSED ? (long long)c * multiplier + m : c;
                weights[i / width][i % width] = load(weight, k * taps + tap);
            }
            __syncthreads();
            if (!works) continue;
            int r = first_tap / kernel_w, s = first_tap % kernel_w;
            for (int tap = 0; tap < min(TAPS, taps - first_tap); ++tap) {
                int source_h = seen(corner_h, r * dilation_h, stride_h, image_h);
                if (source_h >= 0) {
                    A own[VECTOR];
#pragma unroll
                    for (int k = 0; k < VECTOR; ++k) own[k] = weights[tap][threadIdx.x * VECTOR + k];
                    long long cells = (long long)(n * image_h + source_h) * image_w;
#pragma unroll
                    for (int i = 0; i < STRIP; ++i) {
                        int source_w = seen(corner_w + i * step_w, s * dilation_w, stride_w, image_w);
                        if (source_w < 0) continue;
                        Pack cell = load_pack(image, ((cells + source_w) * image_channels + source) / VECTOR);
#pragma unroll
                        for (int k = 0; k < VECTOR; ++k) sums[i][k] += load(cell.element, k) * own[k];
                    }
                }
                if (++s == kernel_w) {
                    s = 0;
                    ++r;
                }
            }
        }
    }
    if (!works) return;
#pragma unroll
    for (int i = 0; i < STRIP; ++i) {
        if (first_w + i >= result_w) return;
        Pack pack;
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            A value = sums[i][k];
            if (bias) value += load(bias, channel + k);
            if (relu && value < 0) value = 0;
            store(pack.element, k, value);
        }
        long long place = (long long)row * result_w + first_w + i;
        store_pack(result, (place * result_channels + channel) / VECTOR, pack);
    }
}

// The weight gradient of a part of the output's rows, for partial_sums.cu to add. A warp reads neighbouring channels;
// threads along y share the cells of a row. Taps go four at a time, so that dy is read once for four of them; what is
// read again comes from the caches, as a part's channels are few. Grid: (parts, blocks of channels).
extern "C" __global__ void depthwise_weight_grad(
    const T* __restrict__ x, const T* __restrict__ dy, A* __restrict__ partial,
    int rows, int part_rows, int output_h, int output_w, int outputs,
    int image_h, int image_w, int multiplier, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    __shared__ A slices[256];
    int taps = kernel_h * kernel_w, channels = outputs / multiplier;
    int k = blockIdx.y * blockDim.x + threadIdx.x;
    int channel = k / multiplier;
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    int start = blockIdx.x * part_rows, end = k < outputs ? min(rows, start + part_rows) : start;
    for (int first_tap = 0; first_tap < taps; first_tap += 4) {
        int offset_h[4], offset_w[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            int tap = min(first_tap + j, taps - 1);  // a tap too many is computed, and not stored
            offset_h[j] = tap / kernel_w * dilation_h - top;
            offset_w[j] = tap % kernel_w * dilation_w - left;
        }
        A sums[4] = {};
        for (int row = start; row < end; ++row) {
            int n = row / output_h, oh = row % output_h;
            for (int ow = threadIdx.y; ow < output_w; ow += blockDim.y) {
                A gradient = load(dy, ((long long)row * output_w + ow) * outputs + k);
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    int h = oh * stride_h + offset_h[j], w = ow * stride_w + offset_w[j];
                    if (h < 0 || h >= image_h || w < 0 || w >= image_w) continue;
                    long long cell = (long long)(n * image_h + h) * image_w + w;
                    sums[j] += gradient * load(x, cell * channels + channel);
                }
            }
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            __syncthreads();
            slices[thread] = sums[j];
            __syncthreads();
            if (threadIdx.y > 0 || k >= outputs || first_tap + j >= taps) continue;
            A sum = 0;
            for (int y = 0; y < blockDim.y; ++y) sum += slices[y * blockDim.x + threadIdx.x];
            partial[((long long)blockIdx.x * outputs + k) * taps + first_tap + j] = sum;
        }
    }
}
