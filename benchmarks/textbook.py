"""Convolution, pooling and batch norm as *Deep Learning from Scratch* (Koki Saito; chapters 6, 7) has them in NumPy.

Patches become rows by one slice per cell of the window (im2col), a layer is then one matrix product or one
reduction over those rows, and gradients go back through the opposite slices (col2im). Here in our own words,
as a yardstick: float32, NCHW arrays, one stride and one padding for both axes, no dilation, no groups.

What a layer's forward pass keeps for its backward pass (the rows of patches, the arg-max) is an argument here.
"""

import numpy as np

from kernels.types import Array

Shape = tuple[int, ...]


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Positions that a window takes along an axis of `size` cells."""
    return (size + 2 * padding - kernel) // stride + 1


def im2col(x: Array, kernel: int, stride: int = 1, padding: int = 0, fill: float = 0.0) -> Array:
    """Patches of x (N, C, H, W) as rows: (N·OH·OW, C·K·K). Cells outside the image hold `fill`."""
    n, c, h, w = x.shape
    rows, columns = output_size(h, kernel, stride, padding), output_size(w, kernel, stride, padding)
    edges = (padding, padding)
    x = np.pad(x, [(0, 0), (0, 0), edges, edges], constant_values=fill)
    patches = np.empty((n, c, kernel, kernel, rows, columns), dtype=x.dtype)
    for i in range(kernel):
        for j in range(kernel):
            patches[:, :, i, j] = x[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
    return patches.transpose(0, 4, 5, 1, 2, 3).reshape(n * rows * columns, -1)


def col2im(patches: Array, input_shape: Shape, kernel: int, stride: int = 1, padding: int = 0) -> Array:
    """Add rows of patches (N·OH·OW, C·K·K) back where they came from: (N, C, H, W), the adjoint of im2col."""
    n, c, h, w = input_shape
    rows, columns = output_size(h, kernel, stride, padding), output_size(w, kernel, stride, padding)
    cells = patches.reshape(n, rows, columns, c, kernel, kernel).transpose(0, 3, 4, 5, 1, 2)
    x = np.zeros((n, c, h + 2 * padding + stride - 1, w + 2 * padding + stride - 1), dtype=patches.dtype)
    for i in range(kernel):
        for j in range(kernel):
            x[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride] += cells[:, :, i, j]
    return x[:, :, padding : padding + h, padding : padding + w]


def conv2d(x: Array, weight: Array, bias: Array, stride: int = 1, padding: int = 0) -> Array:
    """Convolution: (N, C, H, W), (F, C, K, K), (F,) → (N, F, OH, OW)."""
    filters, _, kernel, _ = weight.shape
    product = im2col(x, kernel, stride, padding) @ weight.reshape(filters, -1).T + bias
    rows = output_size(x.shape[2], kernel, stride, padding)
    return product.reshape(x.shape[0], rows, -1, filters).transpose(0, 3, 1, 2)


def conv2d_input_grad(
    grad_output: Array, weight: Array, input_shape: Shape, stride: int = 1, padding: int = 0
) -> Array:
    """Gradient of the input: (N, F, OH, OW), (F, C, K, K) → (N, C, H, W)."""
    filters, _, kernel, _ = weight.shape
    grad_rows = grad_output.transpose(0, 2, 3, 1).reshape(-1, filters)
    return col2im(grad_rows @ weight.reshape(filters, -1), input_shape, kernel, stride, padding)


def conv2d_weight_grad(patches: Array, grad_output: Array, weight_shape: Shape) -> Array:
    """Gradient of the weight, from the patches that the forward pass kept: (F, C, K, K)."""
    grad_rows = grad_output.transpose(0, 2, 3, 1).reshape(-1, weight_shape[0])
    return (patches.T @ grad_rows).T.reshape(weight_shape)


def max_pool2d(x: Array, kernel: int, stride: int, padding: int = 0) -> tuple[Array, Array]:
    """Largest value of each window, and the cell it stood in: both (N, C, OH, OW)."""
    n, c, h, _ = x.shape
    patches = im2col(x, kernel, stride, padding, fill=-np.inf).reshape(-1, kernel * kernel)
    shape = (n, output_size(h, kernel, stride, padding), -1, c)
    argmax = patches.argmax(axis=1)
    return patches.max(axis=1).reshape(shape).transpose(0, 3, 1, 2), argmax.reshape(shape).transpose(0, 3, 1, 2)


def max_pool2d_grad(
    grad_output: Array, argmax: Array, input_shape: Shape, kernel: int, stride: int, padding: int = 0
) -> Array:
    """Gradient of the input, each value sent to the cell that won its window: (N, C, H, W)."""
    grad_rows = grad_output.transpose(0, 2, 3, 1)
    cells = np.zeros((grad_rows.size, kernel * kernel), dtype=grad_output.dtype)
    cells[np.arange(grad_rows.size), argmax.transpose(0, 2, 3, 1).ravel()] = grad_rows.ravel()
    patches = cells.reshape(-1, grad_rows.shape[3] * kernel * kernel)
    return col2im(patches, input_shape, kernel, stride, padding)


def avg_pool2d(x: Array, kernel: int, stride: int, padding: int = 0) -> Array:
    """Mean of each window, padding counted as zeros: (N, C, OH, OW)."""
    n, c, h, _ = x.shape
    means = im2col(x, kernel, stride, padding).reshape(-1, kernel * kernel).mean(axis=1)
    return means.reshape(n, output_size(h, kernel, stride, padding), -1, c).transpose(0, 3, 1, 2)


def avg_pool2d_grad(grad_output: Array, input_shape: Shape, kernel: int, stride: int, padding: int = 0) -> Array:
    """Gradient of the input, each value shared evenly by the cells of its window: (N, C, H, W)."""
    shares = grad_output.transpose(0, 2, 3, 1).reshape(-1, 1) / np.float32(kernel * kernel)
    patches = np.repeat(shares, kernel * kernel, axis=1).reshape(-1, input_shape[1] * kernel * kernel)
    return col2im(patches, input_shape, kernel, stride, padding)


def batch_norm(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    """Each channel of x (N, C, H, W) with mean 0 and variance 1, then scaled, shifted and rectified."""
    centred = x - x.mean(axis=(0, 2, 3), keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=(0, 2, 3), keepdims=True) + np.float32(epsilon))
    return np.maximum(_per_channel(gamma) * (centred / deviation) + _per_channel(beta), 0)


def batch_norm_grad(grad_output: Array, x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    """Gradient of the input of `batch_norm`, step by step back through it: (N, C, H, W)."""
    axes, count = (0, 2, 3), x[:, 0].size
    centred = x - x.mean(axis=axes, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=axes, keepdims=True) + np.float32(epsilon))
    normed = centred / deviation
    grad_normed = _per_channel(gamma) * grad_output * (_per_channel(gamma) * normed + _per_channel(beta) > 0)
    grad_deviation = -(grad_normed * centred).sum(axis=axes, keepdims=True) / deviation**2
    grad_centred = grad_normed / deviation + centred * grad_deviation / (deviation * np.float32(count))
    return grad_centred - grad_centred.mean(axis=axes, keepdims=True)


def _per_channel(values: Array) -> Array:
    return values[:, None, None]
