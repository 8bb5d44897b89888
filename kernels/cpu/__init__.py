"""The kernels on the CPU: NumPy arrays, compiled by Numba.

Names, signatures and results are those of `kernels`, which validates; here every argument is trusted. Kernels
take any strides and work on the channels-last block inside. Importing this package loads Numba.
"""

from kernels.cpu.activation import erf, relu, relu_grad
from kernels.cpu.average_pooling import avg_pool2d, avg_pool2d_grad
from kernels.cpu.batch_norm import batch_norm, batch_norm_grad, batch_norm_inference
from kernels.cpu.convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
from kernels.cpu.cross_entropy import softmax_cross_entropy, softmax_cross_entropy_grad
from kernels.cpu.dropout import dropout, dropout_grad
from kernels.cpu.im2col import col2im, im2col
from kernels.cpu.layer_norm import layer_norm, layer_norm_grad
from kernels.cpu.matmul import matmul
from kernels.cpu.max_pooling import max_pool2d, max_pool2d_gather, max_pool2d_grad
from kernels.cpu.optimizers import optimizer_step

__all__ = [
    "avg_pool2d",
    "avg_pool2d_grad",
    "batch_norm",
    "batch_norm_grad",
    "batch_norm_inference",
    "col2im",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "dropout",
    "dropout_grad",
    "erf",
    "im2col",
    "layer_norm",
    "layer_norm_grad",
    "matmul",
    "max_pool2d",
    "max_pool2d_gather",
    "max_pool2d_grad",
    "optimizer_step",
    "relu",
    "relu_grad",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
]
