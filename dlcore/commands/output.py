"""What the commands print."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

# Where output is no terminal there is no width to keep to; tables become as wide as they need.
_WIDTH_IN_FILES = 200


def console() -> Console:
    """Standard output as it is now."""
    output = Console(highlight=False, markup=False)
    return output if output.is_terminal else Console(highlight=False, markup=False, width=_WIDTH_IN_FILES)


def say(text: str) -> None:
    """Print a line as it is: no markup, and no breaks but the terminal's own."""
    console().print(text, soft_wrap=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table, without a head if all titles are empty; columns numbered in `right` are aligned to the right."""
    printed = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=any(head))
    for number, title in enumerate(head):
        printed.add_column(title, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        printed.add_row(*row)
    console().print(printed)
