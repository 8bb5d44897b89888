"""An optimizer's step in one launch over all parameters.

The formula, a Python function, becomes a kernel: see `kernels.cuda.formula`. Half-precision parameters are computed in
float32; those beside which float32 is kept are copied to float32 for the launch, and back.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kernels.cuda.formula import trace
from kernels.cuda.launch import THREADS, launch
from kernels.layout import array_module, is_dense, same_order
from kernels.types import Array

#: Elements per block: see optimizers.cu.
_CHUNK = 4096
#: Bytes that a thread moves with one instruction.
_PACK = 16


def optimizer_step(
    formula: Callable[..., tuple[Any, ...]],
    parameters: Sequence[Sequence[Array]],
    numbers: Sequence[Sequence[float]],
    *,
    weight_decay: float = 0.0,
    shrink: float = 1.0,
) -> None:
    """Move every parameter by the formula, in place. Reads each array once, writes each but the gradients once.

    One launch for all parameters of one type with the same numbers: as a rule, for all.
    """
    step = _Step(formula, float(weight_decay), float(shrink))
    for arrays, own in zip(parameters, numbers, strict=True):
        step.add(arrays, tuple(map(float, own)))
    step.launch()


class _Step:
    """Parameters that are moved together, in groups by their type and their numbers."""

    def __init__(self, formula: Callable[..., tuple[Any, ...]], weight_decay: float, shrink: float) -> None:
        self._formula = formula
        self._options = (weight_decay, shrink)
        self._groups: dict[tuple[Any, ...], list[tuple[Array, ...]]] = {}
        self._seen: set[int] = set()
        self._copies: list[tuple[Array, Array]] = []

    def add(self, arrays: Sequence[Array], numbers: tuple[float, ...]) -> None:
        w = arrays[0]
        if not w.size:
            return
        if _address(w) in self._seen:  # the same parameter twice moves twice
            self.launch()
        self._seen.add(_address(w))
        together = self._in_one_order(arrays)
        self._groups.setdefault((together[0].dtype, len(arrays), numbers), []).append(together)

    def launch(self) -> None:
        """Move what was added so far."""
        for (dtype, count, numbers), members in self._groups.items():
            rows, blocks = [], 0
            for arrays in members:
                rows.append((blocks, arrays[0].size, *map(_address, arrays)))
                blocks += -(-arrays[0].size // _CHUNK)
            weight_decay, shrink = self._options
            macros = trace(self._formula, count, len(numbers), weight_decay != 0, shrink != 1)
            table = _table(_place(), tuple(rows))
            arguments = (table, len(rows), weight_decay, shrink, *numbers)
            defines = (f"VECTOR={_PACK // dtype.itemsize}", *macros)
            launch("optimizers", "optimizer_step", (blocks,), (THREADS,), arguments, dtype, defines=defines)
        for original, copy in self._copies:
            original[...] = copy
        self._groups, self._seen, self._copies = {}, set(), []

    def _in_one_order(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """The arrays, one after the other in memory all in the same order, and of one type: copies where they are not.

        The type is the parameter's, or float32 where that is kept beside half precision. Copies of what is moved are
        copied back after the launch.
        """
        xp, w = array_module(arrays[0]), arrays[0]
        is_stored_narrow = w.dtype.itemsize == 2 and any(array.dtype == np.float32 for array in arrays[2:])
        dtype = np.dtype(np.float32) if is_stored_narrow else w.dtype
        like = w if w.dtype == dtype else xp.empty_like(w, dtype=dtype)
        if not is_dense(w):
            like = xp.empty(w.shape, dtype)
        result = []
        for number, array in enumerate(arrays):
            if array.dtype == like.dtype and same_order(array, like):
                result.append(array)
                continue
            copy = xp.empty_like(like)
            copy[...] = array
            result.append(copy)
            if number != 1:
                self._copies.append((array, copy))
        return tuple(result)


def _address(x: Array) -> int:
    return int(x.data.ptr)  # type: ignore[attr-defined]


def _place() -> tuple[int, int]:
    """The current device and stream: another stream could read a table before it has arrived."""
    import cupy

    return cupy.cuda.Device().id, cupy.cuda.get_current_stream().ptr


# Parameters and what is kept beside them stay where they are, and memory pools give gradients the same places again: in
# the steady state nothing is sent to the device.
@functools.lru_cache(maxsize=64)
def _table(place: tuple[int, int], rows: tuple[tuple[int, ...], ...]) -> Any:
    """The table of optimizers.cu for a `_place`."""
    import cupy

    return cupy.asarray(np.array(rows, np.int64))
