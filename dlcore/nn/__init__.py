"""Layers and networks, under PyTorch's names, argument order and defaults."""

from dlcore.nn import init
from dlcore.nn.activations import Dropout, Identity, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from dlcore.nn.containers import Sequential
from dlcore.nn.convolution import Conv2d
from dlcore.nn.linear import Flatten, Linear
from dlcore.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from dlcore.nn.module import Buffer, Module, Parameter
from dlcore.nn.normalization import BatchNorm1d, BatchNorm2d, LayerNorm
from dlcore.nn.pooling import AvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d, MaxPool2d
from dlcore.nn.summary import Summary

__all__ = [
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "Identity",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Summary",
    "Tanh",
    "init",
]
