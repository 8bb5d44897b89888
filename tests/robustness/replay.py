"""Run cases again by their numbers, and say how they end: python -m tests.robustness.replay 1234 [NUMBER ...].

`--backend cupy-emulated` runs them on the emulated GPU.
"""

import argparse

from tests.robustness.runner import judged


def main() -> None:
    """Print an outcome for each number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="+", type=int)
    parser.add_argument("--backend", default="numpy")
    arguments = parser.parse_args()
    for outcome in judged(arguments.numbers, arguments.backend):
        print(f"{outcome.number}: {outcome.title}\n    {outcome.ended}: {outcome.detail}")


if __name__ == "__main__":
    main()
