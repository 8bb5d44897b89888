"""Differentiable operations, one file per family; an operation is one class: `forward`, and under it `backward`."""

from dlcore.ops.arithmetic import Add, Divide, Multiply, Negative, Power, Subtract
from dlcore.ops.convolution import ChannelSum, Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from dlcore.ops.dropout import Dropout, DropoutGrad
from dlcore.ops.elementwise import Exp, Log, ReLU, ReLUGrad, Sigmoid, Softplus, Sqrt, Tanh, Where
from dlcore.ops.linear import Linear, Matmul
from dlcore.ops.loss import CrossEntropy
from dlcore.ops.normalization import BatchNorm, BatchNormInference, LayerNorm
from dlcore.ops.pooling import AvgPool2d, AvgPool2dSpread, MaxPool2d, MaxPool2dGather, MaxPool2dScatter
from dlcore.ops.reduction import LogSoftmax, Max, Softmax, Sum
from dlcore.ops.shape import (
    AsType,
    BroadcastTo,
    Concat,
    GetItem,
    PermuteDims,
    PutItem,
    Reshape,
    SumTo,
    Transfer,
)

__all__ = [
    "Add",
    "AsType",
    "AvgPool2d",
    "AvgPool2dSpread",
    "BatchNorm",
    "BatchNormInference",
    "BroadcastTo",
    "ChannelSum",
    "Concat",
    "Conv2d",
    "Conv2dInputGrad",
    "Conv2dWeightGrad",
    "CrossEntropy",
    "Divide",
    "Dropout",
    "DropoutGrad",
    "Exp",
    "GetItem",
    "LayerNorm",
    "Linear",
    "Log",
    "LogSoftmax",
    "Matmul",
    "Max",
    "MaxPool2d",
    "MaxPool2dGather",
    "MaxPool2dScatter",
    "Multiply",
    "Negative",
    "PermuteDims",
    "Power",
    "PutItem",
    "ReLU",
    "ReLUGrad",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Subtract",
    "Sum",
    "SumTo",
    "Tanh",
    "Transfer",
    "Where",
]
