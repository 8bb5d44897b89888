"""`python -m benchmarks`: kernels, whole training steps and cold starts, against loops and other frameworks."""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.options import KernelOptions, Options
from kernels.errors import DLCoreError

COMMANDS = ("kernels", "steps", "cold", "algorithms", "device", "book", "chart")
_AGAINST = ("loops", "torch")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for.

    Args:
        arguments: by default those of the process. Where they name no command, it is `kernels`.

    Returns:
        The exit code: 0; 1 if a contender failed or computed something else than the others; 2 where something
        asked for is not to be had.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0] not in COMMANDS and given[0] not in ("-h", "--help")):
        given.insert(0, "kernels")
    parser = _parser()
    options = parser.parse_args(given)
    try:
        measured = options.run(options)
    except DLCoreError as error:
        parser.error(str(error))
    if measured is not None and options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 1 if measured and measured.get("failed") else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast dlcore is, and against what. Without a command: kernels, against naive loops.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    kernels = commands.add_parser("kernels", help="single kernels, against naive loops or against PyTorch")
    kernels.set_defaults(run=_kernels)
    _add_common(kernels)
    kernels.add_argument(
        "--against",
        choices=_AGAINST,
        default="loops",
        help="loops (default): naive loops in Python and under Numba, and the textbook's NumPy, on a few layers; "
        "torch: PyTorch and ONNX Runtime, on the whole list",
    )
    kernels.add_argument("--only", metavar="REGEX", help="only cases whose group, kernel, layer or pass matches")
    kernels.add_argument("--backend", default="numpy", help='where dlcore computes: "numpy" (default) or "cupy"')
    kernels.add_argument("--rotate", action="store_true", help="inputs rotated past the caches, instead of hot ones")
    kernels.add_argument("--relu-inputs", action="store_true", help="inputs as after a ReLU: half of them zeros")

    steps = commands.add_parser("steps", help="whole training steps and inference, with a profile")
    steps.set_defaults(run=_steps)
    _add_common(steps)
    steps.add_argument(
        "--against", choices=_AGAINST, help="loops: the textbook's NumPy; torch: PyTorch, ONNX Runtime; default: all"
    )

    cold = commands.add_parser("cold", help="importing, and the first step from an empty and a warm kernel cache")
    cold.set_defaults(run=_cold)
    _add_common(cold)
    cold.add_argument("--against", choices=("torch",), help="torch: PyTorch's import and first step too; default")

    algorithms = commands.add_parser(
        "algorithms", help="the ways of a 3×3 convolution: times, errors, and whether the right one is chosen"
    )
    algorithms.set_defaults(run=_algorithms)
    _add_common(algorithms)
    algorithms.add_argument("--against", choices=("torch",), help="torch: PyTorch's errors too; default")

    device = commands.add_parser("device", help="kernels and steps on a CUDA device, beside PyTorch and the CPU")
    device.set_defaults(run=_device)
    _add_common(device)
    device.add_argument("--only", metavar="REGEX", help="only cases whose group, kernel, layer or pass matches")
    device.add_argument("--backend", default="cupy", help='the device: "cupy" (default), "cupy:1", …')
    device.add_argument("--precision", choices=("highest", "tf32"), default="highest", help="of float32 products")

    book = commands.add_parser("book", help="a training step of the book's own script, against the textbook's NumPy")
    book.set_defaults(run=_book, against=None)
    _add_common(book)

    chart = commands.add_parser("chart", help="an SVG chart of results that --json kept")
    chart.set_defaults(run=_chart, json=None)
    chart.add_argument("results", type=Path, nargs="+", metavar="RESULTS.json", help="of kernels and of steps")
    chart.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.svg", help="where it is drawn")
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="a part of the cases, a moment each")
    parser.add_argument(
        "--threads", type=int, default=machine.cores(), metavar="N", help="of every thread pool (default: all cores)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep times, ratios and the machine's description")


def _kernels(options: argparse.Namespace) -> Any:
    if options.against == "torch":
        from benchmarks import pytorch  # noqa: F401  (before dlcore's thread pool starts: see there)
    from benchmarks import kernel_rows

    return kernel_rows.run(
        KernelOptions(
            threads=options.threads,
            quick=options.quick,
            against=options.against,
            backend=options.backend,
            only=options.only,
            rotate=options.rotate,
            relu_inputs=options.relu_inputs,
        )
    )


def _steps(options: argparse.Namespace) -> Any:
    from benchmarks import steps

    return steps.run(Options(options.threads, options.quick, options.against))


def _cold(options: argparse.Namespace) -> Any:
    from benchmarks import cold

    return cold.run(Options(options.threads, options.quick, options.against))


def _algorithms(options: argparse.Namespace) -> Any:
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401  (before dlcore's thread pool starts: see `benchmarks.pytorch`)
    from benchmarks import algorithms

    return algorithms.run(Options(options.threads, options.quick, options.against))


def _device(options: argparse.Namespace) -> Any:
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401  (before dlcore's thread pool starts: see `benchmarks.pytorch`)
    from benchmarks import device

    return device.run(
        device.DeviceOptions(
            threads=options.threads,
            quick=options.quick,
            backend=options.backend,
            only=options.only,
            precision=options.precision,
        )
    )


def _book(options: argparse.Namespace) -> Any:
    from benchmarks import book

    return book.run(Options(options.threads, options.quick, options.against))


def _chart(options: argparse.Namespace) -> None:
    from benchmarks import chart

    chart.draw(options.results, options.output)


if __name__ == "__main__":
    raise SystemExit(main())
