"""dlcore: a deep-learning core that you can read and still train with.

import dlcore as dl
from dlcore import backend, nn, optim, data, models, functional as F
"""

from typing import TYPE_CHECKING, Any

import kernels

if getattr(kernels, "OWNER", None) != "dlcore":
    raise ImportError(
        f"dlcore needs its own package 'kernels', but Python found another one at {getattr(kernels, '__file__', '?')}; "
        "uninstall that distribution, or rename the local file or folder that shadows it, and reinstall dlcore"
    )

from dlcore import backend, data, functional, models, nn, optim
from dlcore.array_functions import (
    concat,
    einsum,
    flip,
    gather,
    maximum,
    minimum,
    pad,
    roll,
    split,
    stack,
    take,
    where,
)
from dlcore.autograd import Function, Fused, enable_grad, grad, is_grad_enabled, no_grad
from dlcore.creation import arange, from_dlpack, full, ones, rand, randn, tensor, zeros
from dlcore.drawing import draw_graph
from dlcore.gradcheck import gradcheck, gradgradcheck
from dlcore.io import load, save
from dlcore.tensor import Tensor, asarray, matmul
from dlcore.threads import get_num_threads, set_num_threads
from kernels.errors import (
    ArgumentError,
    BackendMismatchError,
    BackendUnavailableError,
    CheckpointError,
    DataError,
    DataUnavailableError,
    DeviceMemoryError,
    DLCoreError,
    DTypeError,
    FileFormatError,
    GradientCheckError,
    GraphError,
    IndexingError,
    MissingFileError,
    ShapeError,
    StateDictError,
    TrainingError,
    UnsizedError,
)

if TYPE_CHECKING:
    from dlcore.train import Trainer

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BackendMismatchError",
    "BackendUnavailableError",
    "CheckpointError",
    "DLCoreError",
    "DTypeError",
    "DataError",
    "DataUnavailableError",
    "DeviceMemoryError",
    "FileFormatError",
    "Function",
    "Fused",
    "GradientCheckError",
    "GraphError",
    "IndexingError",
    "MissingFileError",
    "ShapeError",
    "StateDictError",
    "Tensor",
    "Trainer",
    "TrainingError",
    "UnsizedError",
    "arange",
    "asarray",
    "backend",
    "concat",
    "data",
    "draw_graph",
    "einsum",
    "enable_grad",
    "flip",
    "from_dlpack",
    "full",
    "functional",
    "gather",
    "get_num_threads",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "load",
    "matmul",
    "maximum",
    "minimum",
    "models",
    "nn",
    "no_grad",
    "ones",
    "optim",
    "pad",
    "rand",
    "randn",
    "roll",
    "save",
    "set_num_threads",
    "split",
    "stack",
    "take",
    "tensor",
    "where",
    "zeros",
]


def __getattr__(name: str) -> Any:
    if name == "Trainer":  # brings rich along, which `import dlcore` should not wait for
        from dlcore.train import Trainer

        return Trainer
    raise AttributeError(f"module 'dlcore' has no attribute {name!r}{_where_it_is(name)}")


def _where_it_is(name: str) -> str:
    """A hint for hands that know other libraries, where this is a function of the package's."""
    if not name.startswith("_"):
        if callable(getattr(Tensor, name, None)):
            return f"; it is a method of tensors: x.{name}(…)"
        for module in (functional, nn, optim, data, models):
            if name in module.__all__:
                return f"; it is in {module.__name__}"
    return ""
