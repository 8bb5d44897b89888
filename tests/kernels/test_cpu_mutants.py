"""Errors planted in the CPU's kernels, compiled anew: the default suite's comparisons with loops must notice each.

A mutant is a piece of a module's source exchanged for a wrong one that touches no other memory. The module is run again
from the wrong source, under no name that others know, and takes the right one's place wherever that is used.
"""

import ast
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import Phase, settings

import dlcore as dl
from kernels.cpu import jit
from tests.kernels import (
    test_activation,
    test_convolution,
    test_cross_entropy,
    test_dropout,
    test_matmul,
    test_normalization,
    test_optimizers,
    test_pooling,
    test_winograd,
)
from tests.ops.mutation import Mutant

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

Check = Callable[[], None]


@functools.cache
def held(test: Callable[..., None], *arguments: Any, cases: int | None = None) -> Check:
    """A test that holds, as a check: of random cases it stops at the first that fails, and looks for no smaller one.

    With `cases` it runs no more than so many of them.
    """
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("first failure", parent=settings.get_profile("dlcore"), phases=phases)
    own = getattr(test, "_hypothesis_internal_use_settings", None)
    fewer = None if own is None else settings(own, phases=phases, max_examples=cases or own.max_examples)

    def check() -> None:
        before = settings.get_current_profile_name()
        settings.load_profile("first failure")  # for tests that make their settings when they are called
        with ExitStack() as stack:
            stack.callback(settings.load_profile, before)
            stack.callback(dl.set_num_threads, dl.get_num_threads())
            if fewer is not None:
                stack.enter_context(patch.object(test, "_hypothesis_internal_use_settings", fewer))
            test(*arguments)

    check()
    return check


def on_host(test: Callable[..., None], *arguments: Any) -> Check:
    return held(test, dl.backend.current(), *arguments)


def convolutions() -> list[Check]:
    return [held(test_convolution.test_convolution_equals_loops_however_it_is_cut)]


def poolings() -> list[Check]:
    return [
        on_host(test_pooling.test_max_pooling_equals_loops),
        on_host(test_pooling.test_average_pooling_equals_loops),
    ]


#: What must hold with each module's kernels.
CHECKS: dict[str, Callable[[], list[Check]]] = {
    "activation": lambda: [on_host(test_activation.test_equals_loops, (3, 5), "float32", "plain")],
    "average_pooling": lambda: poolings()[1:],
    "batch_norm": lambda: [
        on_host(test_normalization.test_batch_norm_equals_loops),
        on_host(test_normalization.test_batch_norm_of_many_tasks, 3),
    ],
    "convolution": convolutions,
    "cross_entropy": lambda: [on_host(test_cross_entropy.test_equals_loops)],
    "depthwise": convolutions,
    "direct": convolutions,
    "dropout": lambda: [on_host(test_dropout.test_equals_loops)],
    "im2col": lambda: [on_host(test_convolution.test_im2col_and_col2im_equal_loops), *convolutions()],
    "layer_norm": lambda: [on_host(test_normalization.test_layer_norm_equals_loops)],
    "matmul": lambda: [
        held(test_matmul.test_any_shape_and_strides, np.float32),
        held(test_matmul.test_blocks_and_chunks_bitwise_the_same_at_any_thread_count, np.float32, 16, 9000, 144, ""),
    ],
    "max_pooling": lambda: poolings()[:1],
    "optimizers": lambda: [
        held(
            functools.partial(
                test_optimizers.test_equals_loops, dl.backend.current(), "adam", "float32", {"weight_decay": 0.1}
            )
        ),
        on_host(test_optimizers.test_mixed_types_and_long_parameters),
    ],
    "taps": poolings,
    "winograd": lambda: [held(test_winograd.test_winograd_equals_loops, cases=30)],
}


def of(module: str, *lines: tuple[str, str, str]) -> list[Mutant]:
    return [Mutant(f"kernels.cpu.{module}", *line) for line in lines]


MUTANTS = [
    *of(
        "activation",
        ("_relu_grad", "gradient[i] if value[i] > zero", "gradient[i] if value[i] >= zero"),
        ("_relu_grad", "gradient[i] if value[i] > zero else zero", "zero if value[i] > zero else gradient[i]"),
    ),
    *of(
        "cross_entropy",
        (
            "_softmax_cross_entropy_grad",
            "(row[label] - dx.dtype.type(1)) * grad",
            "(row[label] + dx.dtype.type(1)) * grad",
        ),
        ("_softmax_cross_entropy_grad", "out[i] = row[i] * grad\n", "out[i] = row[i]\n"),
    ),
    *of(
        "dropout",
        (
            "_dropout_grad",
            "gradient[i] * (factor if marks[i] else zero)",
            "gradient[i] * (zero if marks[i] else factor)",
        ),
        ("_dropout_grad", "gradient[i] * (factor if", "gradient[i] * (zero + 1 if"),
    ),
    *of(
        "layer_norm",
        (
            "_layer_norm_grad",
            "- mean_grad - (row[i] - mean) * mean_product",
            "+ mean_grad - (row[i] - mean) * mean_product",
        ),
        ("_layer_norm_grad", "mean_product *= inv_std * inv_std / length", "mean_product *= inv_std / length"),
        ("_layer_norm_grad", "grad_bias[i] += grad[i]", "grad_bias[i] = grad[i]"),
        ("_layer_norm_grad", "grad[i] * ((row[i] - mean) * inv_std)", "grad[i] * (row[i] * inv_std)"),
    ),
    *of(
        "batch_norm",
        ("_input_gradient", "- a * slope[lane]", "+ a * slope[lane]"),
        ("_input_gradient", "g - mean_grad[lane] - a", "g - a"),
        ("_gradient_sums", "products[lane] += g * a", "products[lane] += g"),
        ("batch_norm_grad", "sum_product * inv_std**2 * share", "sum_product * inv_std * share"),
        ("_gradient_sums", "total[lane] += g\n", "total[lane] = g\n"),
        ("batch_norm_grad", "0.0 if constant_statistics else", "0.0 if not constant_statistics else"),
    ),
    *of(
        "max_pooling",
        ("_sum_won", "cell += column_cells", "cell -= column_cells"),
        ("_sum_won", "row_cell += row_cells", "pass"),
        ("_sum_won", "total += select(won,", "total = select(won,"),
        ("_fill_patch", "broadcast(zero, i * KW + first_j)", "broadcast(zero, i * KH + first_j)"),
        ("_max_pool2d_gather", "won = winner == broadcast(x, i * KW + j)", "won = winner == broadcast(x, j * KH + i)"),
    ),
    *of(
        "average_pooling",
        ("_sum_shares", "share_h[oh - i * back_i] * share_w", "share_h[oh] * share_w"),
        ("_sum_shares", "share_w[ow - j * back_j]", "share_w[ow]"),
        ("_shares", "window.counted(count_include_pad),", "window.counted(True),"),
    ),
    *of(
        "depthwise",
        ("input_grad", "[:, :, ::-1, ::-1]", "[:, :, ::-1]"),
        ("input_grad", "(*dx.shape[:3], C, K // C), axis=4)", "(*dx.shape[:3], K // C, C), axis=3)"),
        ("_sum_row", "at += stride\n        at_dy += C", "at += stride"),
        ("weight_grad", "total = sums[0] if parts == 1", "total = sums[0] if parts >= 1"),
    ),
    *of(
        "direct",
        ("input_grad", "[:, :, :, ::-1, ::-1]", "[:, :, :, :, ::-1]"),
        ("_weight_task", "target if unit > first_unit else 0", "0"),
        ("_collect", "value += flat[first + chunk * plane + place]", "value = flat[first + chunk * plane + place]"),
        ("phases", "- (count - 1) * steps", "- count * steps"),
    ),
    *of(
        "winograd",
        ("input_grad", "(2 - window.top, 2 - window.left)", "(window.top, window.left)"),
        ("input_grad", "transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]", "transpose(1, 0, 2, 3)"),
        ("_sum_products", "target if number > first_block else 0", "0"),
        ("_transform_sums", "value += load(flat, ((chunk", "value = load(flat, ((chunk"),
    ),
    *of(
        "im2col",
        ("_fold", "] += cols[at + pieces[k, 0] + j]", "] = cols[at + pieces[k, 0] + j]"),
        ("_fold_packed", "x[n, h, w, group, c] += cols", "x[n, h, w, group, c] = cols"),
        ("_fold_packed", "divmod(h + top - i * DH, SH)", "divmod(h + top + i * DH, SH)"),
    ),
    *of(
        "convolution",
        ("conv2d_weight_grad", "dw[channels] += matmul(part.T, cols)", "dw[channels] = matmul(part.T, cols)"),
        ("conv2d_input_grad", "fold_rows(cols, grouped_dx, group,", "fold_rows(cols, grouped_dx, 0,"),
        ("conv2d_input_grad", "flat_weight[channels], out=cols", "flat_weight[: K // groups], out=cols"),
    ),
    *of(
        "matmul",
        ("_multiply", "np.add.reduce(products, axis=0, out=c)", "np.add.reduce(products[1:], axis=0, out=c)"),
        ("_multiply_task", "if k == first_k:", "if k >= first_k:"),
    ),
    *of(
        "optimizers",
        ("_block", "g += weight_decay * w", "g -= weight_decay * w"),
        ("_block", "table[parameter + 1, 0] <= block", "table[parameter + 1, 0] < block"),
    ),
    *of(
        "taps",
        ("_meeting_taps", "+ before - dilation * np.arange(kernel)", "- before - dilation * np.arange(kernel)"),
        ("_meeting_taps", "stride // math.gcd(stride, dilation), dilation //", "stride, dilation //"),
    ),
]


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """A block in which the wrong function runs, and what is remembered of right ones is forgotten.

    What is compiled there is not kept on disk, where it has the right name.
    """
    module = importlib.import_module(mutant.module)
    forget = [value.cache_clear for value in vars(module).values() if isinstance(value, functools._lru_cache_wrapper)]
    with patch.object(jit, "cache_folder", lambda: None), ExitStack() as stack:
        for clear in forget:
            clear()
            stack.callback(clear)
        is_python = isinstance(getattr(module, mutant.function), (FunctionType, functools._lru_cache_wrapper))
        compiled = not is_python or _is_task(mutant.function)
        stack.enter_context(_planted_in_compiled(mutant, module) if compiled else mutant.planted())
        yield


def _is_task(function: str) -> bool:
    """Whether Numba gets a function that bears no decorator."""
    return function.endswith("_task") or function == "_block"


@contextmanager
def _planted_in_compiled(mutant: Mutant, right: ModuleType) -> Iterator[None]:
    """Run the wrong definition, and all that use it, in a copy of the module that takes the right one's place."""
    text = inspect.getsource(right)
    source = mutant.source()
    assert text.count(source) == 1
    tree = ast.parse(text.replace(source, mutant.wrong_source()))
    definitions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    # What is not compiled comes along, so that all of it reads one module's numbers, which tests change.
    affected = {node.name for node in definitions if not node.decorator_list and not _is_task(node.name)}
    affected.add(mutant.function)
    while more := {
        node.name
        for node in definitions
        if node.name not in affected and any(isinstance(n, ast.Name) and n.id in affected for n in ast.walk(node))
    }:
        affected |= more
    tree.body = [node for node in definitions if node.name in affected]
    wrong = ModuleType(right.__name__)
    vars(wrong).update(vars(right))
    exec(compile(tree, f"<mutant of {right.__name__}>", "exec"), vars(wrong))
    own = {id(vars(right)[name]): name for name in affected}
    with ExitStack() as stack:
        for holder in _holders():
            for name, value in list(vars(holder).items()):
                if holder is not right and value is right:
                    stack.enter_context(patch.object(holder, name, wrong))
                elif holder is not right and id(value) in own:
                    stack.enter_context(patch.object(holder, name, getattr(wrong, own[id(value)])))
        yield


def _holders() -> list[ModuleType]:
    """Whoever may have a kernel, or its module, by a name of its own."""
    return [module for name, module in list(sys.modules.items()) if name.startswith(("kernels.cpu", "tests.kernels"))]


@pytest.fixture(scope="module")
def tally(closing_line: Callable[[str], None]) -> Iterator[dict[str, list[bool]]]:
    """Whether each was caught, by module: printed in the end."""
    counts: dict[str, list[bool]] = {}
    yield counts
    each = ", ".join(f"{name} {sum(caught)} of {len(caught)}" for name, caught in counts.items())
    total = [caught for own in counts.values() for caught in own]
    if total:
        closing_line(f"CPU kernel mutants: {len(total)} planted, {sum(total)} caught ({each})")


@pytest.mark.parametrize("module", CHECKS)
def test_every_planted_error_is_caught(module: str, tally: dict[str, list[bool]]) -> None:
    checks = CHECKS[module]()
    survivors = []
    for mutant in MUTANTS:
        if mutant.module == f"kernels.cpu.{module}":
            with planted(mutant):
                caught = any(map(_fails, checks))
            tally.setdefault(module, []).append(caught)
            survivors += [] if caught else [mutant]
    assert not survivors, "survivors:\n" + "\n".join(map(str, survivors))


def _fails(check: Check) -> bool:
    try:
        check()
    except Exception:
        return True
    return False
