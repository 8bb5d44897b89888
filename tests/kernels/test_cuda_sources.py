"""Every CUDA C source compiles to a cubin, and no kernel spills registers; that needs NVIDIA's compiler, but no GPU."""

import importlib.util
import io
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcore import optim
from kernels.cuda import formula, launch

SOURCES = sorted(path.stem for path in Path(launch.__file__).parent.glob("*.cu"))
ARCHITECTURES = ["sm_80", "sm_90", "sm_100"]
ITEMSIZES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}

#: What macros may be, besides what a source says itself. A new macro needs a line here.
VALUES = {
    "ARRAYS": [],  # goes with the formula
    "FORMULA": [],
    "INDEX": ["unsigned char", "unsigned short", "unsigned int"],
    "LABEL": ["int", "long long", "unsigned char"],
    "OUTPUTS": ["4", "16", "32", "64"],
    "STATISTIC": ["A", "T"],
    "TARGETS": ["4", "16", "32", "64"],
    "TRANSPOSED": ["0", "1"],
    "WEIGHT": ["T", "A"],
}

#: Numbers in a pack at most, where it is not as many as 16 bytes hold.
MOST_IN_A_PACK = {"direct": 4, "dropout": 4}

Compile = Callable[[str, str, tuple[str, ...], str], str]


@pytest.fixture(scope="session")
def compile_to_cubin() -> Compile:
    """Compiles a source for an element type, with macros, for an architecture; returns what the compiler says."""
    for module in ("cuda.core", "cuda.pathfinder"):
        if not _is_installed(module):
            pytest.skip("NVIDIA's compiler is not installed (pip install dlcore[test-cuda])")
    from cuda.core import Program, ProgramOptions
    from cuda.pathfinder import find_nvidia_header_directory

    headers = find_nvidia_header_directory("cudart")

    def compile_source(source: str, dtype: str, defines: tuple[str, ...], architecture: str) -> str:
        options = ProgramOptions(
            arch=architecture,
            std="c++17",
            ftz=True,  # as CuPy compiles
            device_as_default_execution_space=True,
            include_path=headers,
            define_macro=[option.removeprefix("-D") for option in launch.compile_options(dtype, defines)[1:]],
            ptxas_options=["-v"],
        )
        log = io.StringIO()
        cubin = Program(launch.source_text(source), "c++", options).compile("cubin", logs=log)
        assert len(cubin.code) > 0
        return log.getvalue()

    return compile_source


def _is_installed(module: str) -> bool:
    package = module.partition(".")[0]
    return importlib.util.find_spec(package) is not None and importlib.util.find_spec(module) is not None


def variants(source: str, dtype: str) -> Iterator[tuple[str, ...]]:
    """Each way in which a source is compiled for an element type, the plainest first."""
    text = (Path(launch.__file__).parent / f"{source}.cu").read_text()
    choices = {name: VALUES[name] for name in re.findall(r"#ifndef (\w+)\n#define", text)}
    if "VECTOR" in text:
        most = min(16 // ITEMSIZES[dtype], MOST_IN_A_PACK.get(source, 16))
        choices["VECTOR"] = ["1", str(most)]
    macros = [[f"{name}={value}" for value in values] for name, values in choices.items() if values]
    return itertools.product(*macros)


def assert_no_spills(log: str) -> None:
    spilled = re.findall(r"(\d+) bytes spill stores", log)
    assert spilled, f"the compiler reports no kernel: {log}"
    assert set(spilled) == {"0"}, f"registers are spilled to memory:\n{log}"


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_compiles(source: str, compile_to_cubin: Compile) -> None:
    assert_no_spills(compile_to_cubin(source, "float32", (), "sm_90"))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", launch.ELEMENTS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", SOURCES)
def test_a_source_compiles_for_every_type_and_architecture(
    source: str, architecture: str, dtype: str, compile_to_cubin: Compile
) -> None:
    first = next(variants(source, dtype))
    compile_to_cubin(source, dtype, first, architecture)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("source", SOURCES)
def test_every_variant_compiles_without_spills(source: str, dtype: str, compile_to_cubin: Compile) -> None:
    for defines in variants(source, dtype):
        assert_no_spills(compile_to_cubin(source, dtype, defines, "sm_90"))


def test_element_types_are_what_numpy_calls_them() -> None:
    assert set(ITEMSIZES) == set(launch.ELEMENTS)
    assert all(np.dtype(name).itemsize == size for name, size in ITEMSIZES.items() if name != "bfloat16")


#: Each optimizer's formula, with how many arrays and numbers it takes.
FORMULAS = [
    (optim.SGD.plain_formula, 2, 1),
    (optim.SGD.momentum_formula, 3, 3),
    (optim.SGD.nesterov_formula, 3, 3),
    (optim.AdaGrad.formula, 3, 2),
    (optim.AdaDelta.formula, 4, 3),
    (optim.RMSprop.formula, 3, 3),
    (optim.Adam.formula, 4, 6),
]


@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize(
    ("function", "arrays", "numbers"), FORMULAS, ids=lambda value: getattr(value, "__qualname__", "")
)
def test_formulas_compile(function: Any, arrays: int, numbers: int, changes: bool, compile_to_cubin: Compile) -> None:
    macros = formula.trace(function, arrays, numbers, decays=changes, shrinks=changes)
    assert_no_spills(compile_to_cubin("optimizers", "float32", (*macros, "VECTOR=4"), "sm_90"))
