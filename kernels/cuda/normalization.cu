// Batch and layer normalization and their gradients.
//
// Batch normalization sees a matrix: a row for each pixel of each image, a column for each channel, channels innermost.
// Threads along x take packs of VECTOR neighbouring channels, threads along y every blockDim.y-th row of the block's
// slice of rows (blockDim.x · blockDim.y = THREADS, both powers of two). So a warp reads neighbouring memory whatever the
// number of channels, and a thread loads what belongs to its channels once for many rows. How rows are cut into slices
// is a function of the shape alone, and slices are combined in order: results are the same bits in every run.
//
// Launch shape: up to 1,024 blocks of 256 threads, which fill 132 SMs with 7 or 8 each; see `_cut` in normalization.py.
// VECTOR is 4 at most: with a channel's numbers in registers, wider packs would leave too few threads on an SM.
// Reductions take 2 · VECTOR numbers and a count per thread of shared memory, 9 KiB. Loops over rows are unrolled, so
// that several loads of a thread are under way.
//
// WEIGHT is the type of weight and bias, STATISTIC that of means and variances: T, or A beside half precision.

#ifndef WEIGHT
#define WEIGHT T
#endif
#ifndef STATISTIC
#define STATISTIC A
#endif

#define THREADS 256

// The normalized value before ReLU. Forward and backward must agree on its sign, so its rounding is fixed by fma: left
// to itself the compiler may fuse one and not the other.
__device__ inline A normalized(A x, A mean, A scale, A bias) {
    return fma(x - mean, scale, bias);
}

__device__ inline A inverse_std(A var, A eps) {
    return 1 / sqrt(var + eps);
}

// Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979): the mean
// and the sum of squared deviations of two sets of values from those of each. No deviation is measured from a distant
// point, so a large mean does not hide the variance.
template <typename Number>
__device__ inline void merge(Number& mean, Number& squares, int& count, Number mean2, Number squares2, int count2) {
    if (count2 == 0) return;
    Number distance = mean2 - mean, share = (Number)count2 / (Number)(count + count2);
    mean += distance * share;
    squares += squares2 + distance * distance * share * (Number)count;
    count += count2;
}

// Mean and sum of squared deviations of each channel over each slice: partial is (slices, 2, channels). Values are taken
// relative to the slice's first one, so that a large mean does not cost the digits of small steps.
extern "C" __global__ void batch_statistics(
    const T* __restrict__ x, double* __restrict__ partial, int rows, int slice, int packs
) {
    __shared__ A means[THREADS * VECTOR], squares[THREADS * VECTOR];
    __shared__ int counts[THREADS];
    int pack = blockIdx.x * blockDim.x + threadIdx.x;
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    int end = min(rows - blockIdx.y * slice, slice);
    const T* block = x + (long long)blockIdx.y * slice * packs * VECTOR;

    A origin[VECTOR] = {};
    if (pack < packs && end > 0) {
        Pack values = load_pack(block, pack);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) origin[k] = load(values.element, k);
    }

    // Welford, "Note on a method for calculating corrected sums of squares and products" (1962).
    A mean[VECTOR] = {}, square[VECTOR] = {};
    int count = 0;
#pragma unroll 4
    for (int row = threadIdx.y; row < end && pack < packs; row += blockDim.y) {
        Pack values = load_pack(block, (long long)row * packs + pack);
        A share = 1 / (A)++count;
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            A value = load(values.element, k) - origin[k], distance = value - mean[k];
            mean[k] += distance * share;
            square[k] += distance * (value - mean[k]);
        }
    }
    // Number k of a thread lies THREADS from number k + 1: no two threads of a warp meet in one bank.
    counts[thread] = count;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        means[k * THREADS + thread] = mean[k];
        squares[k * THREADS + thread] = square[k];
    }
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y >= half) continue;
        int other = thread + half * blockDim.x, own_count = count;
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            int own = k * THREADS + thread, its = k * THREADS + other;
            count = own_count;
            merge(means[own], squares[own], count, means[its], squares[its], counts[other]);
        }
        counts[thread] = count;
    }
    if (threadIdx.y > 0 || pack >= packs) return;
    long long channel = (long long)blockIdx.y * 2 * packs * VECTOR + (long long)pack * VECTOR;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        partial[channel + k] = (double)origin[k] + means[k * THREADS + thread];
        partial[channel + packs * VECTOR + k] = squares[k * THREADS + thread];
    }
}

// The mean and the variance of each channel from those of its slices. There is little to do, but it must not take
// long: 8 threads along x have a channel each (32 bytes, the least that memory moves), 32 along y every 32nd slice. In double: it costs nothing here.
extern "C" __global__ void combine_statistics(
    const double* __restrict__ partial, A* __restrict__ mean, A* __restrict__ var, int rows, int slice, int slices,
    int channels
) {
    __shared__ double means[THREADS], squares[THREADS];
    __shared__ int counts[THREADS];
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    int thread = threadIdx.y * blockDim.x + threadIdx.x;

    double own_mean = 0, own_squares = 0;
    int count = 0;
#pragma unroll 4
    for (int number = threadIdx.y; number < slices && channel < channels; number += blockDim.y) {
        const double* values = partial + (long long)number * 2 * channels + channel;
        int its_count = min(rows - number * slice, slice);
        merge(own_mean, own_squares, count, values[0], values[channels], its_count);
    }
    means[thread] = own_mean;
    squares[thread] = own_squares;
    counts[thread] = count;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y >= half) continue;
        int other = thread + half * blockDim.x;
        merge(means[thread], squares[thread], counts[thread], means[other], squares[other], counts[other]);
    }
    if (threadIdx.y > 0 || channel >= channels) return;
    mean[channel] = counts[thread] ? means[thread] : nan("");
    var[channel] = squares[thread] / counts[thread];  // of no values: 0 / 0
}

// y from x, with the statistics of the batch or given ones.
extern "C" __global__ void batch_normalize(
    const T* __restrict__ x, const WEIGHT* __restrict__ weight, const WEIGHT* __restrict__ bias, const STATISTIC* __restrict__ mean,
    const STATISTIC* __restrict__ var, A eps, T* __restrict__ y, int rows, int slice, int packs, int relu
) {
    int pack = blockIdx.x * blockDim.x + threadIdx.x;
    if (pack >= packs) return;
    A means[VECTOR], scale[VECTOR], shift[VECTOR];
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        int channel = pack * VECTOR + k;
        means[k] = load(mean, channel);
        scale[k] = load(weight, channel) * inverse_std(load(var, channel), eps);
        shift[k] = load(bias, channel);
    }
    int end = min(rows - blockIdx.y * slice, slice);
    long long first = (long long)blockIdx.y * slice * packs + pack;
#pragma unroll 4
    for (int row = threadIdx.y; row < end; row += blockDim.y) {
        long long index = first + (long long)row * packs;
        Pack values = load_pack(x, index);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            A value = normalized(load(values.element, k), means[k], scale[k], shift[k]);
            store(values.element, k, relu && value < 0 ? 0 : value);  // NaN stays: it is not less
        }
        store_pack(y, index, values);
    }
}

// Adds up two numbers for each of VECTOR columns over the threads along y, and writes them into partial, which is
// (slices, 2, columns): the slice is blockIdx.y.
__device__ inline void write_sums(const A* first, const A* second, A* partial, int pack, int packs) {
    __shared__ A sums[2 * THREADS * VECTOR];
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        sums[2 * k * THREADS + thread] = first[k];
        sums[(2 * k + 1) * THREADS + thread] = second[k];
    }
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y >= half) continue;
#pragma unroll
        for (int k = 0; k < 2 * VECTOR; ++k) {
            sums[k * THREADS + thread] += sums[k * THREADS + thread + half * blockDim.x];
        }
    }
    if (threadIdx.y > 0 || pack >= packs) return;
    long long column = (long long)blockIdx.y * 2 * packs * VECTOR + (long long)pack * VECTOR;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        partial[column + k] = sums[2 * k * THREADS + thread];
        partial[column + packs * VECTOR + k] = sums[(2 * k + 1) * THREADS + thread];
    }
}

// Σ dy and Σ dy · (x − mean) of each channel over each slice, where ReLU let the value through. That is found out again
// from x: cheaper than to read a mask.
extern "C" __global__ void batch_gradient_sums(
    const T* __restrict__ dy, const T* __restrict__ x, const WEIGHT* __restrict__ weight, const WEIGHT* __restrict__ bias,
    const STATISTIC* __restrict__ mean, const STATISTIC* __restrict__ var, A eps, A* __restrict__ partial, int rows, int slice, int packs,
    int relu
) {
    int pack = blockIdx.x * blockDim.x + threadIdx.x;
    A total[VECTOR] = {}, products[VECTOR] = {};
    if (pack < packs) {
        A means[VECTOR], scale[VECTOR], shift[VECTOR];
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            int channel = pack * VECTOR + k;
            means[k] = load(mean, channel);
            scale[k] = load(weight, channel) * inverse_std(load(var, channel), eps);
            shift[k] = load(bias, channel);
        }
        int end = min(rows - blockIdx.y * slice, slice);
        long long first = (long long)blockIdx.y * slice * packs + pack;
#pragma unroll 4
        for (int row = threadIdx.y; row < end; row += blockDim.y) {
            Pack gradients = load_pack(dy, first + (long long)row * packs);
            Pack values = load_pack(x, first + (long long)row * packs);
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) {
                A value = load(values.element, k), gradient = load(gradients.element, k);
                if (relu && !(normalized(value, means[k], scale[k], shift[k]) > 0)) gradient = 0;
                total[k] += gradient;
                products[k] += gradient * (value - means[k]);
            }
        }
    }
    write_sums(total, products, partial, pack, packs);
}

// The sums over all slices, as combine_statistics does it, in double.
__device__ inline void combine(const A* partial, int slices, int columns, int column, double& first, double& second) {
    __shared__ double sums[2 * THREADS];
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    first = second = 0;
#pragma unroll 4
    for (int number = threadIdx.y; number < slices && column < columns; number += blockDim.y) {
        first += partial[(long long)number * 2 * columns + column];
        second += partial[((long long)number * 2 + 1) * columns + column];
    }
    sums[thread] = first;
    sums[THREADS + thread] = second;
    for (int half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y >= half) continue;
        sums[thread] += sums[thread + half * blockDim.x];
        sums[THREADS + thread] += sums[THREADS + thread + half * blockDim.x];
    }
    first = sums[thread];
    second = sums[THREADS + thread];
}

// The gradients of weight and bias, and slopes, (2, channels): what batch_input_gradient subtracts. With constant
// statistics that is nothing: share, else 1 / (number of values), is 0.
extern "C" __global__ void combine_batch_gradient(
    const A* __restrict__ partial, const STATISTIC* __restrict__ var, A eps, A share, WEIGHT* __restrict__ dweight,
    WEIGHT* __restrict__ dbias, A* __restrict__ slopes, int slices, int channels
) {
    int channel = blockIdx.x * blockDim.x + threadIdx.x;
    double total, products;
    combine(partial, slices, channels, channel, total, products);
    if (threadIdx.y > 0 || channel >= channels) return;
    double inv_std = inverse_std(load(var, channel), eps);
    store(dweight, channel, products * inv_std);
    store(dbias, channel, total);
    slopes[channel] = share == 0 ? 0 : total * share;  // not 0 · infinity
    slopes[channels + channel] = share == 0 ? 0 : products * inv_std * inv_std * share;
}

// dx = scale · (dy − mean(dy) − (x − mean) · slope), dy where ReLU let the value through.
extern "C" __global__ void batch_input_gradient(
    const T* __restrict__ dy, const T* __restrict__ x, const WEIGHT* __restrict__ weight, const WEIGHT* __restrict__ bias,
    const STATISTIC* __restrict__ mean, const STATISTIC* __restrict__ var, A eps, const A* __restrict__ slopes, T* __restrict__ dx,
    int rows, int slice, int packs, int relu
) {
    int pack = blockIdx.x * blockDim.x + threadIdx.x;
    if (pack >= packs) return;
    A means[VECTOR], scale[VECTOR], shift[VECTOR], mean_gradient[VECTOR], slope[VECTOR];
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) {
        int channel = pack * VECTOR + k;
        means[k] = load(mean, channel);
        scale[k] = load(weight, channel) * inverse_std(load(var, channel), eps);
        shift[k] = load(bias, channel);
        mean_gradient[k] = slopes[channel];
        slope[k] = slopes[packs * VECTOR + channel];
    }
    int end = min(rows - blockIdx.y * slice, slice);
    long long first = (long long)blockIdx.y * slice * packs + pack;
#pragma unroll 4
    for (int row = threadIdx.y; row < end; row += blockDim.y) {
        long long index = first + (long long)row * packs;
        Pack gradients = load_pack(dy, index), values = load_pack(x, index);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            A value = load(values.element, k), gradient = load(gradients.element, k);
            if (relu && !(normalized(value, means[k], scale[k], shift[k]) > 0)) gradient = 0;
            gradient = scale[k] * (gradient - mean_gradient[k] - (value - means[k]) * slope[k]);
            store(values.element, k, gradient);
        }
        store_pack(dx, index, values);
    }
}

// Layer normalization: a row of `packs` packs is a sample. The threads of one threadIdx.y share a row: one warp where
// rows are short, up to the whole block where they are long, so that each thread has a few packs. Mean and variance
// take two passes, which is the sound way; after the first pass the row lies in the cache.

#define ROW_WARPS (THREADS / 32)

extern "C" __global__ void layer_norm(
    const T* __restrict__ x, const WEIGHT* __restrict__ weight, const WEIGHT* __restrict__ bias, A eps, T* __restrict__ y,
    A* __restrict__ mean, A* __restrict__ var, int rows, int packs
) {
    __shared__ A sums[ROW_WARPS];
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int own_packs = row < rows ? packs : 0;  // every thread takes part in the sums
    long long first = (long long)row * packs;
    A length = packs * VECTOR;

    A total = 0;
    for (int pack = threadIdx.x; pack < own_packs; pack += blockDim.x) {
        Pack values = load_pack(x, first + pack);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) total += load(values.element, k);
    }
    A row_mean = row_sum(total, sums) / length;

    A squares = 0;
    for (int pack = threadIdx.x; pack < own_packs; pack += blockDim.x) {
        Pack values = load_pack(x, first + pack);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            A distance = load(values.element, k) - row_mean;
            squares += distance * distance;
        }
    }
    A row_var = row_sum(squares, sums) / length;

    A inv_std = inverse_std(row_var, eps);
    for (int pack = threadIdx.x; pack < own_packs; pack += blockDim.x) {
        Pack values = load_pack(x, first + pack);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            int column = pack * VECTOR + k;
            A unit = (load(values.element, k) - row_mean) * inv_std;
            store(values.element, k, unit * load(weight, column) + load(bias, column));
        }
        store_pack(y, first + pack, values);
    }
    if (own_packs && threadIdx.x == 0) {
        mean[row] = row_mean;
        var[row] = row_var;
    }
}

// dx = (g − mean(g) − x̂ · mean(g · x̂)) / std with g = dy · weight.
extern "C" __global__ void layer_input_gradient(
    const T* __restrict__ dy, const T* __restrict__ x, const WEIGHT* __restrict__ weight, const STATISTIC* __restrict__ mean,
    const STATISTIC* __restrict__ var, A eps, T* __restrict__ dx, int rows, int packs
) {
    __shared__ A sums[ROW_WARPS];
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    int own_packs = row < rows ? packs : 0;
    long long first = (long long)row * packs;
    A length = packs * VECTOR;
    A row_mean = own_packs ? load(mean, row) : 0, inv_std = own_packs ? inverse_std(load(var, row), eps) : 0;

    A total = 0, products = 0;
    for (int pack = threadIdx.x; pack < own_packs; pack += blockDim.x) {
        Pack gradients = load_pack(dy, first + pack), values = load_pack(x, first + pack);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            A g = load(gradients.element, k) * load(weight, pack * VECTOR + k);
            total += g;
            products += g * ((load(values.element, k) - row_mean) * inv_std);
        }
    }
    A mean_gradient = row_sum(total, sums) / length, mean_product = row_sum(products, sums) / length;

    for (int pack = threadIdx.x; pack < own_packs; pack += blockDim.x) {
        Pack gradients = load_pack(dy, first + pack), values = load_pack(x, first + pack);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            A g = load(gradients.element, k) * load(weight, pack * VECTOR + k);
            A unit = (load(values.element, k) - row_mean) * inv_std;
            store(values.element, k, inv_std * (g - mean_gradient - unit * mean_product));
        }
        store_pack(dx, first + pack, values);
    }
}

// Σ dy and Σ dy · x̂ of each column over each slice of rows, cut as for batch normalization.
extern "C" __global__ void layer_gradient_sums(
    const T* __restrict__ dy, const T* __restrict__ x, const STATISTIC* __restrict__ mean, const STATISTIC* __restrict__ var, A eps,
    A* __restrict__ partial, int rows, int slice, int packs
) {
    int pack = blockIdx.x * blockDim.x + threadIdx.x;
    A total[VECTOR] = {}, products[VECTOR] = {};
    int first = blockIdx.y * slice, end = min(rows - first, slice);
#pragma unroll 4
    for (int row = first + threadIdx.y; row < first + end && pack < packs; row += blockDim.y) {
        A row_mean = load(mean, row), inv_std = inverse_std(load(var, row), eps);
        Pack gradients = load_pack(dy, (long long)row * packs + pack), values = load_pack(x, (long long)row * packs + pack);
#pragma unroll
        for (int k = 0; k < VECTOR; ++k) {
            A gradient = load(gradients.element, k);
            total[k] += gradient;
            products[k] += gradient * ((load(values.element, k) - row_mean) * inv_std);
        }
    }
    write_sums(total, products, partial, pack, packs);
}

extern "C" __global__ void combine_layer_gradient(
    const A* __restrict__ partial, WEIGHT* __restrict__ dweight, WEIGHT* __restrict__ dbias, int slices, int columns
) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    double total, products;
    combine(partial, slices, columns, column, total, products);
    if (threadIdx.y > 0 || column >= columns) return;
    store(dweight, column, products);
    store(dbias, column, total);
}
