"""The kernels on CUDA devices: CuPy arrays.

Names, signatures and results are those of `kernels`, which validates; here every argument is trusted. Kernels
take any strides and work on the channels-last block inside. Importing this package does not load CuPy: the
array module is that of the arrays that come in.
"""

from kernels.cuda.activation import erf, relu, relu_grad
from kernels.cuda.average_pooling import avg_pool2d, avg_pool2d_grad
from kernels.cuda.convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
from kernels.cuda.cross_entropy import softmax_cross_entropy, softmax_cross_entropy_grad
from kernels.cuda.dropout import dropout, dropout_grad
from kernels.cuda.im2col import col2im, im2col
from kernels.cuda.matmul import matmul
from kernels.cuda.max_pooling import max_pool2d, max_pool2d_gather, max_pool2d_grad
from kernels.cuda.normalization import batch_norm, batch_norm_grad, batch_norm_inference, layer_norm, layer_norm_grad
from kernels.cuda.optimizers import optimizer_step

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
