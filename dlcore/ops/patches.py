"""The patches that a window sees, and their sum back: each is the other's gradient."""

from typing import TYPE_CHECKING, Any

import kernels
from dlcore.autograd import Function
from kernels.geometry import convolution_window
from kernels.types import Array, Shape4

if TYPE_CHECKING:
    from dlcore.tensor import Tensor


class Unfold(Function):
    """(N, C, H, W) → (N, C · KH · KW, L): column l holds the patch under the window's place number l."""

    def forward(self, x: Array, *, kernel_size: Any, **options: Any) -> Array:
        self.options = {"kernel_size": kernel_size, **options}
        rows = kernels.im2col(x, kernel_size, **options)
        size = convolution_window("unfold", x.shape[2:], kernel_size, **_window(options)).output_size
        return rows.reshape(x.shape[0], size[0] * size[1], rows.shape[1]).transpose(0, 2, 1)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return Fold.apply(grad_output, input_shape=self.edges[0].shape, **self.options)


class Fold(Function):
    """Patches (N, C · KH · KW, L) added back onto (N, C, H, W), where they overlap."""

    def forward(self, x: Array, *, input_shape: Shape4, kernel_size: Any, **options: Any) -> Array:
        self.options = {"kernel_size": kernel_size, **options}
        rows = x.transpose(0, 2, 1).reshape(-1, x.shape[1])
        return kernels.col2im(rows, input_shape, kernel_size, **options)

    def backward(self, grad_output: "Tensor") -> "Tensor":
        return Unfold.apply(grad_output, **self.options)


def _window(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("stride", "padding", "dilation")}
