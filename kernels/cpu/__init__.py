"""The kernels on the CPU: NumPy arrays, compiled by Numba.

Names, signatures and results are those of `kernels`, which validates; here every argument is trusted. Kernels
take any strides and work on the channels-last block inside. Importing this package loads Numba.
"""

from kernels.cpu.activation import relu, relu_grad
from kernels.cpu.average_pooling import avg_pool2d, avg_pool2d_grad
from kernels.cpu.convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
from kernels.cpu.im2col import col2im, im2col
from kernels.cpu.matmul import matmul
from kernels.cpu.max_pooling import max_pool2d, max_pool2d_gather, max_pool2d_grad

__all__ = [
    "avg_pool2d",
    "avg_pool2d_grad",
    "col2im",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "im2col",
    "matmul",
    "max_pool2d",
    "max_pool2d_gather",
    "max_pool2d_grad",
    "relu",
    "relu_grad",
]
