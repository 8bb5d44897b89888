"""The table that `Module.summary` returns."""

from typing import NamedTuple


class Row(NamedTuple):
    """One layer, in the order of execution."""

    name: str
    layer: str
    output_shape: tuple[int | str, ...]
    parameters: int


class Summary(NamedTuple):
    """Layers with output shapes and parameter counts; `print` shows it as a table.

    `parameters` counts each shared parameter once, so it can be less than the rows' sum.
    """

    network: str
    input_shape: tuple[int | str, ...]
    rows: tuple[Row, ...]
    parameters: int

    def __str__(self) -> str:
        head = ("name", "layer", "output shape", "parameters")
        cells = [("", "input", _shape(self.input_shape), "")]
        cells += [(row.name, row.layer, _shape(row.output_shape), f"{row.parameters:,}") for row in self.rows]
        total = ("", self.network, "", f"{self.parameters:,}")
        widths = [max(len(line[column]) for line in (head, *cells, total)) for column in range(4)]
        rule = "-" * (sum(widths) + 6)

        def line(values: tuple[str, ...]) -> str:
            left = "  ".join(value.ljust(width) for value, width in zip(values[:3], widths, strict=False))
            return f"{left}  {values[3].rjust(widths[3])}".rstrip()

        return "\n".join([line(head), rule, *map(line, cells), rule, line(total)])


def _shape(lengths: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(map(str, lengths)) + ("," if len(lengths) == 1 else "") + ")"
