// Direct convolution: products of tiles whose rows are gathered from the image, so that no columns exist in memory.
//
//     y[p, t] = Σ_q image[p, q] · weight[t, q]        p a cell of the result, t its channel, q a tap and a channel
//
// is a matrix product, of which a block computes a tile. For each few values of q it collects the cells that its p
// look at, and the weights, in shared memory; a thread multiplies a small tile in registers. Channels of one group.
//
// As a convolution (TRANSPOSED 0) the image is x and t an output channel. As the input gradient (TRANSPOSED 1) the
// image is dy and t an input channel; then a tap is seen only by those cells that the stride leads to.
//
// A block has 256 threads, TARGETS / 4 along t. A thread holds up to 32 sums. In float32 it needs 80 registers at most
// and a block 7 to 17 KiB of shared memory: three blocks fit an SM, and while one waits for its cells, others multiply.

#ifndef TRANSPOSED
#define TRANSPOSED 0
#endif
#ifndef TARGETS
#define TARGETS 64  // channels t of a block: 4, 16, 32 or 64
#endif

#define THREADS 256
#define STEPS (TARGETS == 4 ? 4 : 8)                // values of q at a time
#define CELLS (TARGETS < 32 ? 4 : 8)                // cells p of a thread
#define ALONG (TARGETS / 4)                         // threads along t, each with 4 channels
#define TILE (THREADS / ALONG * CELLS)              // cells p of a block
#define QUADS (TILE * STEPS / 4 / THREADS)          // times that a thread fetches 4 values of q for one p
#define OWNED (TILE < THREADS ? 1 : TILE / THREADS) // different p among them
#if DLCORE_FLOAT64
#define BLOCKS 2  // on an SM at once: so many registers a thread may have
#else
#define BLOCKS 3
#endif
#define PITCH (TARGETS + 4)                         // rows of weights lie apart so that storing meets no bank twice

struct alignas(16) Four {
    A element[4];
};

struct alignas(4 * sizeof(T)) FourStored {
    T element[4];
};

// What one q stands for; channel is -1 beyond the last.
struct Step {
    int row, column;  // of the tap: cells from the window's corner
    int tap, channel;
};

__device__ inline Step step_of(int q, int length, int channels, int kernel_w, int dilation_h, int dilation_w) {
    int tap = q / channels;
    int row = tap / kernel_w;
    return {row * dilation_h, (tap - row * kernel_w) * dilation_w, tap, q < length ? q - tap * channels : -1};
}

// Along one axis: the image's cell that a tap sees, or -1 for none. `corner` is the window's first cell; in the
// transposed convolution the cell of the result counted from the padding's first.
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

// Grid: (tiles of p, tiles of t, groups).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) direct(
    const T* __restrict__ image, const T* __restrict__ weight, const T* __restrict__ bias, T* __restrict__ result,
    int relu, int cells, int result_h, int result_w, int targets,
    int image_h, int image_w, int channels, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    __shared__ Four image_tile[STEPS][TILE / 4];
    __shared__ Four weight_tile[STEPS][PITCH / 4];
    __shared__ Step steps[2][STEPS];
    int thread = threadIdx.x;
    int group = blockIdx.z, first_target = blockIdx.y * TARGETS;
    int first_cell = blockIdx.x * TILE;
    int taps = kernel_h * kernel_w, length = taps * channels;
    int image_channels = channels * gridDim.z, result_channels = targets * gridDim.z;

    // Where the windows of the cells lie whose values this thread fetches.
    int corner_h[OWNED], corner_w[OWNED], first_row[OWNED];
#pragma unroll
    for (int i = 0; i < OWNED; ++i) {
        int p = first_cell + (thread + i * THREADS) % TILE;
        int row = p / result_w, w = p - row * result_w;
        int n = row / result_h, h = row - n * result_h;
#if TRANSPOSED
        corner_h[i] = p < cells ? h + top : -1;
        corner_w[i] = w + left;
#else
        corner_h[i] = p < cells ? h * stride_h - top : image_h;
        corner_w[i] = w * stride_w - left;
#endif
        first_row[i] = n * image_h;
    }
    if (thread < STEPS) steps[0][thread] = step_of(thread, length, channels, kernel_w, dilation_h, dilation_w);

    A sums[CELLS][4] = {};
    int my_cell = thread / ALONG * CELLS, my_target = thread % ALONG * 4;
    for (int first = 0, turn = 0; first < length; first += STEPS, turn ^= 1) {
        __syncthreads();  // the tiles have been used, and this turn's steps are there
        if (thread < STEPS) {
            int q = first + STEPS + thread;
            steps[turn ^ 1][thread] = step_of(q, length, channels, kernel_w, dilation_h, dilation_w);
        }
        // Unrolled only where other cells come, and the weights not at all: more addresses would not fit the registers.
#pragma unroll (OWNED)
        for (int i = 0; i < QUADS; ++i) {
            int place = (thread + i * THREADS) % TILE, quad = (thread + i * THREADS) / TILE;
            int own = i % OWNED;
#pragma unroll
            for (int j = 0; j < 4; j += VECTOR) {
                Step step = steps[turn][quad * 4 + j];
                int h = seen(corner_h[own], step.row, stride_h, image_h);
                int w = seen(corner_w[own], step.column, stride_w, image_w);
                A values[VECTOR] = {};
                if (step.channel >= 0 && h >= 0 && w >= 0) {
                    long long cell = (long long)(first_row[own] + h) * image_w + w;
                    Pack pack = load_pack(image, (cell * image_channels + group * channels + step.channel) / VECTOR);
#pragma unroll
                    for (int k = 0; k < VECTOR; ++k) values[k] = load(pack.element, k);
                }
#pragma unroll
                for (int k = 0; k < VECTOR; ++k) image_tile[quad * 4 + j + k][place / 4].element[place % 4] = values[k];
            }
        }
#pragma unroll 1
        for (int i = thread; i < STEPS * TARGETS; i += THREADS) {
            // Neighbouring threads read neighbours in memory, which holds weights as K, R, S, C.
#if TRANSPOSED
            int q = i / TARGETS, t = i % TARGETS;
            Step step = steps[turn][q];
            long long row = (long long)(group * channels + step.channel) * taps + step.tap;
            long long place = row * targets + first_target + t;
#else
            int q = i % STEPS, t = i / STEPS;
            Step step = steps[turn][q];
            long long place = (long long)(group * targets + first_target + t) * length + first + q;
#endif
            bool inside = step.channel >= 0 && first_target + t < targets;
            weight_tile[q][t / 4].element[t % 4] = inside ? load(weight, place) : A(0);
        }
        __syncthreads();
#pragma unroll
        for (int q = 0; q < STEPS; ++q) {
            Four weights = weight_tile[q][my_target / 4];
#pragma unroll
            for (int i = 0; i < CELLS; i += 4) {
                Four values = image_tile[q][(my_cell + i) / 4];
#pragma unroll
                for (int k = 0; k < 4; ++k) {
#pragma unroll
                    for (int j = 0; j < 4; ++j) sums[i + k][j] += values.element[k] * weights.element[j];
                }
            }
        }
    }

    int t = first_target + my_target;
    if (t >= targets) return;
    bool whole = targets % 4 == 0;
#pragma unroll
    for (int i = 0; i < CELLS; ++i) {
        int p = first_cell + my_cell + i;
        if (p >= cells) return;
        long long place = (long long)p * result_channels + group * targets + t;
        FourStored stored;
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            if (!whole && t + j >= targets) break;
            A value = sums[i][j];
            if (bias) value += load(bias, group * targets + t + j);
            if (relu && value < 0) value = 0;
            store(stored.element, j, value);
        }
        if (whole) {
            reinterpret_cast<FourStored*>(result)[place / 4] = stored;
        } else {
            for (int j = 0; j < 4 && t + j < targets; ++j) result[place + j] = stored.element[j];
        }
    }
}
