"""What is done to the gradients of a network between `backward` and the optimizer's step: clipping."""

import math
from collections.abc import Iterable

from dlcore import backend
from dlcore.autograd import without_gradient
from dlcore.ops.half import is_half, widened
from dlcore.tensor import Tensor
from kernels import options
from kernels.errors import DTypeError
from kernels.types import Array


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Scale all gradients down together, in place, so that their norm as one long vector is at most `max_norm`.

    They are multiplied by min(1, max_norm / (norm + 10⁻⁶)), as in PyTorch. The norm stays on the device: nothing waits.

    Args:
        parameters: a network's `parameters()`; those without a gradient are passed over.
        max_norm: the greatest norm that is left alone.
        norm_type: p of the norm (Σ |g|ᵖ)^(1/p); `math.inf` for the largest |g|.

    Returns:
        The norm before, a scalar Tensor without a graph, in float32 for gradients of half precision.

    Raises:
        ArgumentError: `max_norm` is negative, or `norm_type` not positive.
        BackendMismatchError: the gradients lie on different backends.

    Source: Pascanu, Mikolov and Bengio, arXiv:1211.5063.
    """
    max_norm = options.number("clip_grad_norm_", "max_norm", max_norm, least=0.0)
    norm_type = options.number("clip_grad_norm_", "norm_type", norm_type, least=0.0, above=True)
    clipped = _with_gradients(parameters)
    owner = backend.common("clip_grad_norm_", {f"gradient {i}": g for i, (_, g) in enumerate(clipped)})
    if not clipped:
        return without_gradient(owner.asarray(0.0, "float32"))
    xp, dtype = owner.xp, clipped[0][1].dtype
    with owner.active_device():
        parts = xp.stack([_power_sum(gradient, norm_type, owner) for _, gradient in clipped])
        norm = parts.max() if norm_type == math.inf else parts.sum() ** (1.0 / norm_type)
        scale = xp.minimum(max_norm / (norm + 1e-6), 1.0)
        for tensor, gradient in clipped:
            wide = widened(gradient)  # the scale of a large norm is no number of half precision
            gradient[...] = wide * scale.astype(wide.dtype)
            tensor.version.changed()
        return without_gradient(norm.astype("float32" if is_half(dtype) else dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring each number of the gradients into [-clip_value, clip_value], in place.

    Args:
        parameters: a network's `parameters()`; those without a gradient are passed over.
        clip_value: the largest that is left alone.

    Raises:
        ArgumentError: `clip_value` is negative.
    """
    clip_value = options.number("clip_grad_value_", "clip_value", clip_value, least=0.0)
    for tensor, gradient in _with_gradients(parameters):
        owner = backend.of(gradient)
        with owner.active_device():
            owner.xp.clip(gradient, -clip_value, clip_value, out=gradient)
        tensor.version.changed()


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Array]]:
    """The gradients, as Tensors and arrays."""
    several = (
        [parameters] if isinstance(parameters, Tensor) else options.items("clip", "parameters", parameters, "Tensors")
    )
    for parameter in several:
        if not isinstance(parameter, Tensor):
            raise DTypeError(f"clip: parameters must be Tensors, got {options.short(parameter)}")
    return [(parameter.grad, parameter.grad.data) for parameter in several if parameter.grad is not None]


def _power_sum(gradient: Array, norm_type: float, owner: backend.Backend) -> Array:
    """Σ |g|ᵖ, or the largest |g|, as float64: float32 would lose digits over many parameters."""
    xp, gradient = owner.xp, widened(gradient)
    if norm_type == math.inf:
        return xp.abs(gradient).max().astype("float64")
    powers = gradient * gradient if norm_type == 2.0 else xp.abs(gradient) ** norm_type
    return powers.sum(dtype="float64")
