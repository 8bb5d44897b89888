"""Tables for people. They are Markdown, so that they can be pasted as they are."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.goals import PYTORCH_BEST
from benchmarks.results import OURS, Mean, Row

_WIDTH_IN_FILES = 200


def console() -> Console:
    """Standard output as it is now; where it is no terminal, wide enough for every table."""
    output = Console(highlight=False, markup=False)
    return output if output.is_terminal else Console(highlight=False, markup=False, width=_WIDTH_IN_FILES)


def show_facts(facts: Mapping[str, object]) -> None:
    """Print names and values in one line."""
    console().print(", ".join(f"{name} {value}" for name, value in facts.items()), soft_wrap=True)


def show_notes(*notes: str) -> None:
    """Print lines as they are, with an empty one before; nothing without lines."""
    output = console()
    if notes:
        output.print()
    for note in notes:
        output.print(note, soft_wrap=True)


def show_rows(rows: Sequence[Row]) -> None:
    """Print each row: dlcore's time, its share of the ceiling, and each peer's time and ratio."""
    peers = list(dict.fromkeys(peer for row in rows for peer in row.peers()))
    optional = {"rate": any(row.rate for row in rows), "of ceiling": any(row.share is not None for row in rows)}
    table = _table(["", "what", "pass", f"{OURS}, ms"], right=1)
    for title, is_shown in optional.items():
        if is_shown:
            table.add_column(title, justify="right")
    for peer in peers:
        table.add_column(f"{peer}, ms", justify="right")
        table.add_column("×", justify="right")
        if peer == PYTORCH_BEST:
            table.add_column("× (median)", justify="right")
    for row in rows:
        cells = ["<" if row.is_behind else "", f"{row.kernel} {row.layer}", row.action]
        cells.append(three_digits(row.timings[OURS].minimum * 1e3))
        facts = {"rate": row.rate, "of ceiling": "" if row.share is None else f"{row.share:.0%}"}
        cells += [facts[title] for title, is_shown in optional.items() if is_shown]
        times = row.peers()
        for peer in peers:
            ratio, median_ratio = row.ratio(peer), row.median_ratio(peer)
            cells += [three_digits(times[peer][0] * 1e3), three_digits(ratio)] if ratio is not None else ["", ""]
            if peer == PYTORCH_BEST:
                cells.append("" if median_ratio is None else three_digits(median_ratio))
        table.add_row(*cells)
    console().print(table)


def show_means(means: Sequence[Mean]) -> None:
    """Print each geometric mean beside its goal."""
    table = _table(["group", "pass", "against", "rows", "×", "× (median)", "least ×", "goal", "reached"], right=5)
    for mean in means:
        goal = "" if mean.goal is None else f"≥ {mean.goal:,.3g}"
        reached = {None: "", True: "yes", False: "NO"}[mean.is_reached]
        figures = [three_digits(figure) for figure in (mean.ratio, mean.median_ratio, mean.least)]
        table.add_row(mean.group, mean.action, mean.peer, str(mean.rows), *figures, goal, reached)
    console().print(table)


def show_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: int) -> None:
    """Print any table; its last `right` columns are aligned to the right."""
    table = _table(head, right=right)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _table(head: Sequence[str], *, right: int) -> Table:
    table = Table(box=box.MARKDOWN)
    for number, title in enumerate(head):
        table.add_column(title, justify="right" if number >= len(head) - right else "left", no_wrap=True)
    return table


def three_digits(value: float) -> str:
    """Three significant digits, without an exponent: 0.0123, 1.23, 1,230."""
    if value >= 1000:
        digits = len(str(int(value))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:#.3g}".rstrip(".")
