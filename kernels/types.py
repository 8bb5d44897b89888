"""The array type that every signature names."""

from typing import Any, TypeAlias

import numpy.typing as npt

#: A NumPy array, or a CuPy array that quacks like one: kernels take both and return what they were given.
Array: TypeAlias = npt.NDArray[Any]

#: The shape of a 4-D array: (N, C, H, W), or (K, C, R, S) of a weight.
Shape4: TypeAlias = tuple[int, int, int, int]
