"""How closely two computations of one value must agree: one table, by element type."""

from typing import Any, NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    """|actual − expected| ≤ absolute · scale + relative · |expected|, with scale the largest |expected|, or 1."""

    relative: float
    absolute: float


#: For sums of some hundreds of products of numbers of unit scale, formed in another order.
TOLERANCES: dict[str, Tolerance] = {
    "float32": Tolerance(relative=1e-5, absolute=2e-6),
    "float64": Tolerance(relative=1e-13, absolute=1e-14),
    # Computed in float32 from values of that type; what is returned is rounded once, and statistics may have been.
    "float16": Tolerance(relative=2e-3, absolute=1e-3),
    "bfloat16": Tolerance(relative=1.6e-2, absolute=8e-3),
}


def assert_close(actual: Any, expected: Any, what: str) -> None:
    """`actual` has the shape of `expected`, and its values up to the tolerance of its own element type."""
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    relative, absolute = TOLERANCES[str(actual.dtype)]
    actual = actual.astype(np.float64)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=relative, atol=absolute * scale, err_msg=what)
