// The weight gradient of direct convolution: products of tiles whose columns are gathered from the image.
//
//     dw[k, q] = Σ_p dy[p, k] · x[p, q]        p an output cell, k an output channel, q a tap and an input channel
//
// The result is small and the sum long, so p is cut into parts, each with its own partial result: as many as the
// shape says, whatever the device. partial_sums.cu adds them in their order, so that results are repeatable.
//
// A block computes OUTPUTS × 32 numbers of a part. A thread holds 4 × 4 of them, for which OUTPUTS · 2 threads are
// enough; with 256 threads, so many slices share the part's cells and are added at the end. In float32 a thread needs 80
// registers at most and a block 17 KiB of shared memory: three blocks fit an SM.

#ifndef OUTPUTS
#define OUTPUTS 64  // output channels k of a block: 4, 16, 32 or 64
#endif

#define THREADS 256
#define COLUMNS 32                                  // values of q of a block
#define CELLS 32                                    // cells p at a time
#define SLICES (THREADS / (OUTPUTS * COLUMNS / 16))
#if DLCORE_FLOAT64
#define BLOCKS 2  // on an SM at once: so many registers a thread may have
#else
#define BLOCKS 3
#endif
#define OUTPUT_PITCH (OUTPUTS + 4)                  // fours of neighbouring cells start in different banks
#define COLUMN_PITCH (COLUMNS + 4)

struct alignas(16) Four {
    A element[4];
};

// Grid: (tiles of k × tiles of q, parts of p, groups): blocks that run together read one part.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) direct_weight_grad(
    const T* __restrict__ x, const T* __restrict__ dy, A* __restrict__ partial,
    int cells, int part_cells, int output_h, int output_w, int outputs,
    int image_h, int image_w, int channels, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    // The tiles of both operands; later the sums of each slice.
    constexpr int tiles = CELLS * (OUTPUT_PITCH + COLUMN_PITCH), sums_of_all = THREADS * 16;
    __shared__ Four memory[(tiles > sums_of_all ? tiles : sums_of_all) / 4];
    __shared__ int corner_h[CELLS], corner_w[CELLS], first_row[CELLS];
    A* dy_tile = memory[0].element;
    A* x_tile = dy_tile + CELLS * OUTPUT_PITCH;

    int thread = threadIdx.x, group = blockIdx.z;
    int length = kernel_h * kernel_w * channels;
    int column_tiles = (length + COLUMNS - 1) / COLUMNS;
    int first_output = blockIdx.x / column_tiles * OUTPUTS, first_column = blockIdx.x % column_tiles * COLUMNS;
    int image_channels = channels * gridDim.z, output_channels = outputs * gridDim.z;

    // Each thread gathers one q for several p.
    int q = first_column + thread % COLUMNS;
    int tap = q / channels, channel = group * channels + q % channels;
    int offset_h = tap / kernel_w * dilation_h, offset_w = tap % kernel_w * dilation_w;

    int own = thread % (THREADS / SLICES), slice = thread / (THREADS / SLICES);
    int my_output = own / (COLUMNS / 4) * 4, my_column = own % (COLUMNS / 4) * 4;
    A sums[4][4] = {};
    int start = blockIdx.y * part_cells, end = min(cells, start + part_cells);
    for (int first = start; first < end; first += CELLS) {
        __syncthreads();
        if (thread < CELLS) {
            int p = first + thread;
            int row = p / output_w, n = row / output_h;
            corner_h[thread] = p < end ? (row - n * output_h) * stride_h - top : image_h;
            corner_w[thread] = (p - row * output_w) * stride_w - left;
            first_row[thread] = n * image_h;
        }
        for (int i = thread; i < CELLS * OUTPUTS; i += THREADS) {
            int p = i / OUTPUTS, k = first_output + i % OUTPUTS;
            bool inside = first + p < end && k < outputs;
            long long place = (long long)(first + p) * output_channels + group * outputs + k;
            dy_tile[p * OUTPUT_PITCH + i % OUTPUTS] = inside ? load(dy, place) : A(0);
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < CELLS * COLUMNS / THREADS; ++i) {
            int p = thread / COLUMNS + i * (THREADS / COLUMNS);
            int h = corner_h[p] + offset_h, w = corner_w[p] + offset_w;
            bool inside = q < length && h >= 0 && h < image_h && w >= 0 && w < image_w;
            long long cell = (long long)(first_row[p] + h) * image_w + w;
            x_tile[p * COLUMN_PITCH + thread % COLUMNS] = inside ? load(x, cell * image_channels + channel) : A(0);
        }
        __syncthreads();
#pragma unroll 4
        for (int p = slice; p < CELLS; p += SLICES) {
            Four gradients = *reinterpret_cast<const Four*>(dy_tile + p * OUTPUT_PITCH + my_output);
            Four values = *reinterpret_cast<const Four*>(x_tile + p * COLUMN_PITCH + my_column);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int j = 0; j < 4; ++j) sums[i][j] += gradients.element[i] * values.element[j];
            }
        }
    }

    __syncthreads();
    A* slices = memory[0].element;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            slices[(slice * OUTPUTS + my_output + i) * COLUMNS + my_column + j] = sums[i][j];
        }
    }
    __syncthreads();
    for (int i = thread; i < OUTPUTS * COLUMNS; i += THREADS) {
        int k = first_output + i / COLUMNS, column = first_column + i % COLUMNS;
        if (k >= outputs || column >= length) continue;
        A sum = 0;
        for (int s = 0; s < SLICES; ++s) sum += slices[s * OUTPUTS * COLUMNS + i];
        long long place = (long long)blockIdx.y * output_channels + group * outputs + k;
        partial[place * length + column] = sum;
    }
}
