"""The register tile against loops: every shape, masked or not, free strides, epilogues, and every vector width."""

import os
import subprocess
import sys

import numpy as np
import pytest
from llvmlite import binding, ir

from kernels.cpu import host, microkernel
from kernels.cpu.jit import jit
from kernels.cpu.microkernel import OPERANDS, TileEmitter, panel_address, run_panel, tile_columns
from kernels.cpu.tasks import address_of
from kernels.errors import ArgumentError

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]
TOLERANCE = {4: 2e-5, 8: 1e-13}


@jit
def call_panel(address, operands):
    run_panel(address, operands)


def run(dtype, a, b, c, start=0, *, rows, columns, counts, a_strides, b_strides, c_row, start_row=0, relu=0):
    """One panel on flat arrays; `a_strides` are (i, j, l, row), `b_strides` (i, j, l)."""
    addresses = (address_of(a), address_of(b), address_of(c), start)
    operands = (*addresses, rows, columns, *counts, *a_strides, *b_strides, c_row, start_row, relu)
    call_panel(panel_address(dtype), operands)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_count_of_rows_and_columns(dtype):
    rng = np.random.default_rng(0)
    width, steps = tile_columns(dtype.itemsize), 5
    for rows in range(2 * microkernel.TALL_ROWS + 2):
        for columns in range(1, width + 1):
            a = rng.standard_normal((rows + 1, steps)).astype(dtype)
            b = rng.standard_normal((steps, columns)).astype(dtype)
            c = np.full((rows + 1, columns + 1), 7, dtype)
            run(
                dtype, a, b, c, rows=rows, columns=columns, counts=(1, 1, steps),
                a_strides=(0, 0, 1, steps), b_strides=(0, 0, columns), c_row=columns + 1,
            )  # fmt: skip
            expected = a[:rows].astype(np.float64) @ b.astype(np.float64)
            np.testing.assert_allclose(
                c[:rows, :columns], expected, rtol=TOLERANCE[dtype.itemsize], atol=TOLERANCE[dtype.itemsize]
            )
            assert (c[rows:] == 7).all(), (rows, columns)
            assert (c[:, columns:] == 7).all(), (rows, columns)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("counts", [(3, 2, 4), (1, 5, 1), (2, 0, 3), (0, 1, 1)])
def test_three_loops_with_free_strides(dtype, counts):
    rng = np.random.default_rng(1)
    rows, columns = 9, tile_columns(dtype.itemsize) - 1
    a_strides, b_strides = (50, -7, 3, 11), (200, 60, -17)
    a, b = rng.standard_normal(2000).astype(dtype), rng.standard_normal(2000).astype(dtype)
    expected = np.zeros((rows, columns))
    for i, j, k in np.ndindex(*counts):
        at_b = 500 + i * b_strides[0] + j * b_strides[1] + k * b_strides[2]
        for p in range(rows):
            at_a = 500 + i * a_strides[0] + j * a_strides[1] + k * a_strides[2] + p * a_strides[3]
            expected[p] += float(a[at_a]) * b[at_b : at_b + columns].astype(np.float64)
    c = np.empty((rows, columns), dtype)
    run(
        dtype, a[500:], b[500:], c, rows=rows, columns=columns, counts=counts,
        a_strides=a_strides, b_strides=b_strides, c_row=columns,
    )  # fmt: skip
    np.testing.assert_allclose(c, expected, rtol=0, atol=40 * TOLERANCE[dtype.itemsize])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("short", [0, 1])
@pytest.mark.parametrize("relu", [0, 1])
def test_bias_accumulation_and_relu(dtype, short, relu):
    rng = np.random.default_rng(2)
    rows, columns, steps = 8, tile_columns(dtype.itemsize) - short, 6
    a, b = rng.standard_normal((rows, steps)).astype(dtype), rng.standard_normal((steps, columns)).astype(dtype)
    bias, before = rng.standard_normal(columns).astype(dtype), rng.standard_normal((rows, columns)).astype(dtype)
    shape = {
        "rows": rows, "columns": columns, "counts": (1, 1, steps),
        "a_strides": (0, 0, 1, steps), "b_strides": (0, 0, columns), "c_row": columns,
    }  # fmt: skip
    floor = 0 if relu else -np.inf
    tolerance = 10 * TOLERANCE[dtype.itemsize]

    c = np.empty((rows, columns), dtype)
    run(dtype, a, b, c, address_of(bias), start_row=0, relu=relu, **shape)
    np.testing.assert_allclose(c, np.maximum(a @ b + bias, floor), rtol=0, atol=tolerance)

    c = before.copy()
    run(dtype, a, b, c, address_of(c), start_row=columns, relu=relu, **shape)
    np.testing.assert_allclose(c, np.maximum(before + a @ b, floor), rtol=0, atol=tolerance)


def test_relu_keeps_nan():
    a, b, c = np.full((6, 1), np.nan, np.float32), np.ones((1, 3), np.float32), np.zeros((6, 3), np.float32)
    run(
        DTYPES[0], a, b, c, rows=6, columns=3, counts=(1, 1, 1),
        a_strides=(0, 0, 1, 1), b_strides=(0, 0, 3), c_row=3, relu=1,
    )  # fmt: skip
    assert np.isnan(c).all()


@pytest.mark.parametrize("vectors", [1, 2])
def test_every_panel_is_covered_by_tiles_that_exist(vectors):
    counts = microkernel.row_counts(vectors)
    for left in range(1, 2 * counts[-1]):
        assert microkernel.next_rows(left, vectors) in counts
        assert microkernel.next_rows(left, vectors) <= left


@pytest.mark.skipif(
    not binding.get_process_triple().startswith("x86_64"), reason="the code is generated for another processor"
)
@pytest.mark.parametrize(
    ("cpu", "bits", "rows", "register"),
    [("skylake-avx512", 512, 14, "zmm"), ("haswell", 256, 6, "ymm"), ("haswell", 128, 6, "xmm")],
)
def test_sums_stay_in_registers_on_machines_that_are_not_here(cpu, bits, rows, register):
    word = ir.IntType(64)
    module = ir.Module()
    module.triple = binding.get_process_triple()
    names = [*OPERANDS, "first"]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word] * len(names)), "tile")
    builder = ir.IRBuilder(function.append_basic_block())
    operands = dict(zip(names, function.args, strict=True))
    TileEmitter(builder, ir.FloatType(), bits, operands).emit_tile(rows, 2, masked=False)
    builder.ret_void()

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_triple(module.triple).create_target_machine(cpu=cpu, opt=3)
    code = binding.parse_assembly(str(module))
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(code, passes)
    lines = machine.emit_assembly(code).splitlines()
    vectors = [line for line in lines if f"%{register}" in line]
    assert not [line for line in vectors if "(%rsp" in line], "a vector was spilled to the stack"
    assert sum("fmadd" in line for line in vectors) == 2 * rows


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_each_narrower_width_that_the_host_has(bits):
    if bits not in host.supported_vector_bits():
        pytest.skip(f"this processor has no {bits}-bit vectors")
    if bits == host.vector_bits():
        pytest.skip("the other tests of this file run at this width")
    files = [__file__, os.path.join(os.path.dirname(__file__), "test_matmul.py")]
    chosen = "every_count or three_loops or bias or blocks_and_chunks or memory_around"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, *files]
    environment = {**os.environ, "DLCORE_VECTOR_BITS": str(bits)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("wanted", ["100", "wide", "-256"])
def test_an_unknown_width_is_an_error(monkeypatch, wanted):
    monkeypatch.setenv("DLCORE_VECTOR_BITS", wanted)
    with pytest.raises(ArgumentError, match="DLCORE_VECTOR_BITS"):
        host.vector_bits.__wrapped__()
