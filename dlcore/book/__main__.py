"""`python -m dlcore.book SCRIPT [ARGS]`."""

import argparse
import sys
from pathlib import Path

from dlcore.book.runner import run
from kernels.errors import DLCoreError


def main() -> int:
    """Run what the command line asks for; whatever is wrong with it ends in one sentence and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m dlcore.book",
        description="Run a script of the book Deep Learning from Scratch, unchanged, with dlcore's kernels.",
    )
    parser.add_argument("--figures", type=Path, metavar="DIR", help="keep every figure that it shows there, as PNG")
    parser.add_argument("script", metavar="SCRIPT", help="the script; it runs in its own folder")
    parser.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="the script's own arguments")
    options = parser.parse_args()
    try:
        return run(options.script, options.arguments, options.figures)
    except DLCoreError as error:
        print("dlcore:", error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
