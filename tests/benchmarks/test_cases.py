"""The list of cases, and that contenders agree on small ones of each kind."""

import numpy as np
import pytest

import kernels
from benchmarks import cases, goals, onnx_runtime
from benchmarks.cases import (
    AVG_POOL,
    BATCH_NORM,
    CASES,
    DEPTHWISE,
    GROUPS,
    LOOP_CASES,
    MAX_POOL,
    MNIST,
    PASSES,
    PATCHES,
    Case,
    Inputs,
)
from benchmarks.contenders import DLCORE, LOOPS, check, expected

SMALL = [
    *(Case(MNIST, kernel, 2, 3, 4, 6, 3, 1, 1) for kernel in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad")),
    Case(MNIST, "conv2d", 2, 3, 4, 7, 3, 2, 1),
    *(
        Case(DEPTHWISE, kernel, 2, 4, 4, 6, 3, 1, 1, groups=4)
        for kernel in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad")
    ),
    *(
        Case(group, f"{name}{suffix}", 2, 3, 3, 6, *window)
        for group, name in ((MAX_POOL, "max_pool2d"), (AVG_POOL, "avg_pool2d"))
        for suffix in ("", "_grad")
        for window in ((2, 2), (6, 6))
    ),
    Case(MAX_POOL, "max_pool2d", 2, 3, 3, 6, 3, 2, 1),
    *(Case(BATCH_NORM, kernel, 2, 3, 3, 6, 1) for kernel in ("batch_norm", "batch_norm_grad")),
    *(Case(PATCHES, kernel, 2, 3, 3, 6, 3, 1, 1) for kernel in ("im2col", "col2im")),
]


def test_every_group_has_cases_and_every_goal_has_a_group():
    assert {case.group for case in CASES} == set(GROUPS)
    assert {(group, action) for group, action, _ in goals.KERNEL_GOALS} <= {(c.group, c.direction) for c in CASES}
    assert len({str(case) for case in CASES}) == len(CASES)
    assert all(hasattr(kernels, case.kernel) for case in CASES)
    assert set(LOOP_CASES) <= set(CASES)


def test_quick_keeps_one_of_each_group_and_kernel():
    chosen = cases.quick(CASES)
    assert len({(case.group, case.kernel) for case in chosen}) == len(chosen)
    assert {(c.group, c.kernel) for c in chosen} == {(c.group, c.kernel) for c in CASES}
    assert {case.direction for case in chosen} == set(PASSES)


def test_sizes_and_work():
    layer = Case(MNIST, "conv2d", 100, 16, 32, 14, 3, 1, 1)
    assert layer.layer == "16->32@14 k3 p1 N=100"
    assert layer.output_shape == (100, 32, 14, 14)
    assert layer.operations == 2 * 100 * 14 * 14 * 16 * 32 * 9
    assert layer.traffic == 4 * (100 * 14 * 14 * (16 + 32) + 16 * 32 * 9)
    depthwise = Case(DEPTHWISE, "conv2d", 8, 64, 64, 112, 3, 2, 1, groups=64)
    assert depthwise.layer == "64@112 dw k3 s2 p1 N=8"
    assert depthwise.weight_shape == (64, 1, 3, 3)
    assert depthwise.operations == 0
    pool = Case(MAX_POOL, "max_pool2d", 1, 1, 1, 4, 2, 2)
    assert pool.traffic == 16 * 4 + 4 * 4 + 4


def test_a_sample_is_small_enough_for_plain_python():
    for case in LOOP_CASES:
        assert case.sample().steps <= 3_000_000


def test_inputs_repeat_and_can_be_rectified():
    case = SMALL[0]
    assert np.array_equal(Inputs(case).x, Inputs(case).x)
    assert not np.array_equal(Inputs(case).x, Inputs(case, seed=1).x)
    rectified = Inputs(case, rectified=True).x
    assert rectified.min() == 0
    assert 0.3 < (rectified == 0).mean() < 0.7


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_dlcore_agrees_with_the_textbook(case):
    inputs = Inputs(case)
    right = expected(case, inputs) if case.groups == 1 else LOOPS[0].result(case, LOOPS[0].prepare(case, inputs)())
    check(case, DLCORE, DLCORE.prepare(case, inputs)(), right)


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_pytorch_agrees_with_dlcore(case, torch):
    from benchmarks import pytorch

    inputs = Inputs(case)
    right = DLCORE.result(case, DLCORE.prepare(case, inputs)())
    for contender in pytorch.contenders():
        if contender.takes(case):
            check(case, contender, contender.prepare(case, inputs)(), right)


@pytest.mark.skipif(not onnx_runtime.is_installed, reason=onnx_runtime.MISSING)
@pytest.mark.parametrize("case", [case for case in SMALL if case.kernel == "conv2d"], ids=str)
def test_onnx_runtime_agrees_with_dlcore(case):
    inputs = Inputs(case)
    (contender,) = onnx_runtime.contenders()
    right = DLCORE.result(case, DLCORE.prepare(case, inputs)())
    check(case, contender, contender.prepare(case, inputs)(), right)


def test_what_differs_is_refused():
    case = SMALL[0]
    right = expected(case, Inputs(case))
    with pytest.raises(AssertionError, match="dlcore: conv2d 3->4@6"):
        check(case, DLCORE, right + 0.1, right)
