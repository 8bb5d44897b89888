// Unfolding windows into rows, and folding rows back.
//
// A row has the cells under the window of one output. There are two orders of them:
//
//     by channel, C · KH · KW   what the public functions take and give
//     by tap, KH · KW · C       what convolution uses inside: channels stay together as they are in an image, and so a
//                               pack of VECTOR channels moves at once
//
// Channels are those of one group: `channels` of the `image_channels` that lie in a cell, from `first_channel` on.
//
// im2col and columns_by_tap: threads along x share a row, threads along y have rows of their own; a thread's writes
// go to memory side by side with its neighbours'. Nothing but addresses is in registers: an SM is full of warps, as
// copying wants.

// The cell under a tap along one axis, or -1 for padding.
__device__ inline int under(int output, int stride, int tap, int dilation, int before, int size) {
    int cell = output * stride + tap * dilation - before;
    return cell < size ? max(cell, -1) : -1;
}

extern "C" __global__ void im2col(
    const T* __restrict__ x, T* __restrict__ cols, int rows, int channels,
    int image_h, int image_w, int output_h, int output_w, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    int n = row / output_w / output_h, oh = row / output_w % output_h, ow = row % output_w;
    int taps = kernel_h * kernel_w, length = taps * channels;
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
        int channel = i / taps, tap = i % taps;
        int h = under(oh, stride_h, tap / kernel_w, dilation_h, top, image_h);
        int w = under(ow, stride_w, tap % kernel_w, dilation_w, left, image_w);
        long long cell = (long long)(n * image_h + h) * image_w + w;
        T value;
        if (h >= 0 && w >= 0) value = x[cell * channels + channel];
        else store(&value, 0, A(0));
        cols[(long long)row * length + i] = value;
    }
}

// Rows first_row … first_row + rows of the outputs, counted over all images. `packs` are channels / VECTOR.
extern "C" __global__ void columns_by_tap(
    const T* __restrict__ x, T* __restrict__ cols, int first_row, int rows,
    int packs, int first_pack, int image_packs,
    int image_h, int image_w, int output_h, int output_w, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    int own = blockIdx.x * blockDim.y + threadIdx.y;
    if (own >= rows) return;
    int row = first_row + own;
    int n = row / output_w / output_h, oh = row / output_w % output_h, ow = row % output_w;
    int length = kernel_h * kernel_w * packs;
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
        int tap = i / packs, pack = i - tap * packs;
        int h = under(oh, stride_h, tap / kernel_w, dilation_h, top, image_h);
        int w = under(ow, stride_w, tap % kernel_w, dilation_w, left, image_w);
        Pack values;
        if (h >= 0 && w >= 0) {
            long long cell = (long long)(n * image_h + h) * image_w + w;
            values = load_pack(x, cell * image_packs + first_pack + pack);
        } else {
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) store(values.element, k, A(0));
        }
        store_pack(cols, (long long)own * length + i, values);
    }
}

// The adjoint, for both orders: each cell of the image adds up the columns that looked at it, in their order, so no two
// threads write one cell. threadIdx.x runs along packs of channels and threadIdx.y over cells. `tap_step` and
// `pack_step` are the packs from a tap and from a pack of channels to the next.
extern "C" __global__ void col2im(
    const T* __restrict__ cols, T* __restrict__ x, int cells, int packs, int first_pack, int image_packs,
    int tap_step, int pack_step,
    int image_h, int image_w, int output_h, int output_w, int kernel_h, int kernel_w,
    int stride_h, int stride_w, int top, int left, int dilation_h, int dilation_w
) {
    int cell = blockIdx.x * blockDim.y + threadIdx.y;
    int pack = blockIdx.y * blockDim.x + threadIdx.x;
    if (cell >= cells || pack >= packs) return;
    int row = cell / image_w, n = row / image_h;
    int from_top = row - n * image_h + top, from_left = cell - row * image_w + left;  // counted from the padding's edge
    long long length = (long long)kernel_h * kernel_w * packs;

    A sums[VECTOR] = {};
    for (int r = 0; r < kernel_h; ++r) {
        int distance_h = from_top - r * dilation_h;
        int oh = distance_h / stride_h;
        if (distance_h < 0 || oh * stride_h != distance_h || oh >= output_h) continue;
        for (int s = 0; s < kernel_w; ++s) {
            int distance_w = from_left - s * dilation_w;
            int ow = distance_w / stride_w;
            if (distance_w < 0 || ow * stride_w != distance_w || ow >= output_w) continue;
            long long output = (long long)(n * output_h + oh) * output_w + ow;
            long long place = output * length + (long long)(r * kernel_w + s) * tap_step + (long long)pack * pack_step;
            Pack values = load_pack(cols, place);
#pragma unroll
            for (int k = 0; k < VECTOR; ++k) sums[k] += load(values.element, k);
        }
    }
    Pack result;
#pragma unroll
    for (int k = 0; k < VECTOR; ++k) store(result.element, k, sums[k]);
    store_pack(x, (long long)cell * image_packs + first_pack + pack, result);
}
