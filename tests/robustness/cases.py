"""All cases by number: calls first, then files."""

from pathlib import Path

from tests.robustness.files import judge_file
from tests.robustness.judging import Outcome, judge_call

#: How many calls, and how many files, the whole suite goes through.
CALLS, FILES = 1800, 550


def judge(number: int, folder: Path) -> Outcome:
    """Run a case; files are made below `folder`."""
    return judge_call(number) if number < CALLS else judge_file(number, folder)
