"""What the times say: a table for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.cases import Case
from benchmarks.contenders import DLCORE, PEERS
from benchmarks.timing import Timing

_NOTES = (
    "Times: milliseconds, the fastest call of many, contenders in turns. × : how many times dlcore is faster.",
    "Python loops: timed on a part of the case (fewer images, smaller ones for the largest layers) and scaled by",
    "the number of their innermost steps. Numba loops: the same functions under numba.njit, which runs them on",
    "one thread. dlcore gets arrays in its own memory order, channels last, the others in NCHW. Textbook NumPy: its",
    "weight gradient is given the patches that its forward pass kept.",
)


class Row(NamedTuple):
    """One line of the table: a case, and each contender's timing by title."""

    case: Case
    timings: Mapping[str, Timing]

    def ratio(self, title: str) -> float:
        """How many times faster dlcore is than the contender of that title, from the fastest calls."""
        return self.timings[title].minimum / self.timings[DLCORE.title].minimum


def show(rows: Sequence[Row], machine: Mapping[str, str | int]) -> None:
    """Print the machine and the table. The table is Markdown, so that it can be pasted as it is."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), soft_wrap=True)
    console.print()

    table = Table(box=box.MARKDOWN)
    table.add_column("kernel", no_wrap=True)
    table.add_column("layer", no_wrap=True)
    table.add_column(f"{DLCORE.title}, ms", justify="right")
    for peer in PEERS:
        table.add_column(f"{peer.title}, ms", justify="right")
        table.add_column("×", justify="right")
    for row in rows:
        cells = [_three_digits(row.timings[DLCORE.title].minimum * 1e3)]
        for peer in PEERS:
            cells += [_three_digits(row.timings[peer.title].minimum * 1e3), _three_digits(row.ratio(peer.title))]
        table.add_row(row.case.kernel, row.case.layer, *cells)
    console.print(table)
    console.print()
    for note in _NOTES:
        console.print(note)


def as_json(rows: Sequence[Row], machine: Mapping[str, str | int]) -> dict[str, Any]:
    """Everything that `show` prints, with medians and the number of calls, for `json.dumps`."""
    return {
        "machine": dict(machine),
        "rows": [
            {
                "kernel": row.case.kernel,
                "layer": row.case.layer,
                "contenders": {
                    title: {
                        "minimum_ms": timing.minimum * 1e3,
                        "median_ms": timing.median * 1e3,
                        "calls": len(timing.samples),
                        "scaled_by": timing.scale,
                    }
                    for title, timing in row.timings.items()
                },
            }
            for row in rows
        ],
    }


def _three_digits(value: float) -> str:
    """Three significant digits, without an exponent: 0.0123, 1.23, 1,230."""
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:#.3g}".rstrip(".")
