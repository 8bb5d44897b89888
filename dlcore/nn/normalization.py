"""Normalization layers."""

from collections.abc import Sequence
from typing import Literal

from dlcore import functional as F
from dlcore.creation import ones, zeros
from dlcore.nn.module import Buffer, Module, Parameter
from dlcore.tensor import Tensor, operand
from kernels import options
from kernels.errors import ArgumentError, ShapeError


class _BatchNorm(Module):
    """What batch normalization over any number of axes shares; see `BatchNorm2d`."""

    ndims: tuple[int, ...]
    layout: str

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        name = type(self).__name__
        self.num_features = options.whole(name, "num_features", num_features, least=1)
        self.eps = options.number(name, "eps", eps, least=0.0)
        self.momentum = options.number(name, "momentum", momentum, least=0.0, most=1.0)
        self.weight = Parameter(ones(num_features))
        self.bias = Parameter(zeros(num_features))
        self.running_mean = Buffer(zeros(num_features))
        self.running_var = Buffer(ones(num_features))

    def forward(self, x: Tensor, activation: Literal["relu"] | None = None) -> Tensor:
        """The same shape; with `activation`, relu of that in the same pass."""
        if operand(type(self).__name__, "x", x).ndim not in self.ndims or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: expected {self.layout} with C = {self.num_features}, got shape {x.shape}"
            )
        statistics = (self.running_mean, self.running_var)
        return F.batch_norm(
            *(x, *statistics, self.weight, self.bias),
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
            activation=activation,
        )

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L); see `BatchNorm2d`."""

    ndims = (2, 3)
    layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Batch normalization of images (N, C, H, W): each channel to mean `bias` and standard deviation `weight`.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: how far the running statistics move towards each batch's, from 0 to 1.

    Attributes:
        weight: (C,), ones at first.
        bias: (C,), zeros at first.
        running_mean: (C,), what evaluation uses for the mean.
        running_var: (C,), what evaluation uses for the variance.

    Source: Ioffe and Szegedy, arXiv:1502.03167; chapter 6 of the book.
    """

    ndims = (4,)
    layout = "(N, C, H, W)"


class LayerNorm(Module):
    """Layer normalization: each sample to mean `bias` and standard deviation `weight`, over its trailing axes.

    Args:
        normalized_shape: those axes: an int for the last one, or several lengths.
        eps: added to the variance.
        elementwise_affine: whether there are a weight and a bias.
        bias: whether there is a bias beside the weight.

    Attributes:
        weight: of shape normalized_shape, ones at first; None without `elementwise_affine`.
        bias: of shape normalized_shape, zeros at first; None without `elementwise_affine` or `bias`.

    Source: Ba, Kiros and Hinton, arXiv:1607.06450.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        shape = options.lengths("LayerNorm", normalized_shape)
        if not shape or min(shape) < 1:
            raise ArgumentError(f"LayerNorm: normalized_shape must be positive lengths, got {normalized_shape!r}")
        self.normalized_shape = shape
        self.eps = options.number("LayerNorm", "eps", eps, least=0.0)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(shape)) if elementwise_affine else None
        self.bias = Parameter(zeros(shape)) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Group normalization: each sample's groups of channels to mean 0 and variance 1, then scaled and shifted.

    Args:
        num_groups: divides `num_channels`.
        num_channels: C of the input (N, C, …).
        eps: added to the variance.
        affine: whether there are a weight and a bias for each channel.

    Attributes:
        weight: (C,), ones at first; None without `affine`.
        bias: (C,), zeros at first; None without `affine`.

    Source: Wu and He, arXiv:1803.08494.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        options.whole("GroupNorm", "num_groups", num_groups)
        options.whole("GroupNorm", "num_channels", num_channels)
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise ArgumentError(
                "GroupNorm: num_channels must be a positive multiple of num_groups, "
                f"got num_groups={num_groups}, num_channels={num_channels}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = options.number("GroupNorm", "eps", eps, least=0.0)
        self.affine = affine
        self.weight = Parameter(ones(num_channels)) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, num_channels, …) → the same shape."""
        _check_channels(self, x, self.num_channels)
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class InstanceNorm2d(Module):
    """Instance normalization of images (N, C, H, W): each channel of each image to mean 0 and variance 1.

    It keeps no running statistics: training and evaluation are the same.

    Args:
        num_features: C.
        eps: added to the variance.
        affine: whether there are a weight and a bias for each channel.

    Attributes:
        weight: (C,), ones at first; None without `affine`.
        bias: (C,), zeros at first; None without `affine`.

    Source: Ulyanov, Vedaldi and Lempitsky, arXiv:1607.08022.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, affine: bool = False) -> None:
        super().__init__()
        self.num_features = options.whole("InstanceNorm2d", "num_features", num_features, least=1)
        self.eps = options.number("InstanceNorm2d", "eps", eps, least=0.0)
        self.affine = affine
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        _check_channels(self, x, self.num_features, ndim=4)
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.num_features}, eps={self.eps}, affine={self.affine}"


def _check_channels(layer: Module, x: Tensor, channels: int, ndim: int | None = None) -> None:
    x = operand(type(layer).__name__, "x", x)
    if x.ndim < 2 or x.ndim != (ndim or x.ndim) or x.shape[1] != channels:
        axes = "(N, C, H, W)" if ndim == 4 else "(N, C, …)"
        raise ShapeError(f"{type(layer).__name__}: expected {axes} with C = {channels}, got shape {x.shape}")
