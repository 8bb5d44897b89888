"""Half precision in tests, compared with loops in float64; bfloat16 on the GPU's arrays only."""

from typing import Any

import numpy as np
import pytest

from dlcore.backend import Backend

HALVES = ["float16", "bfloat16"]


def half_type(backend: Backend, name: str) -> np.dtype[Any]:
    """The element type of that name; the test is skipped where there are no such arrays."""
    if name == "bfloat16":
        if backend.is_host:
            pytest.skip("bfloat16 is computed by the GPU only; on NumPy it is refused (test_face.py)")
        return np.dtype(pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16)
    return np.dtype(name)
