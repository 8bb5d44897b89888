"""The picture of a graph: as SVG, as DOT for Graphviz, and on matplotlib's axes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from dlcore.drawing.graph import Graph
from dlcore.drawing.layout import FONT, LINE, Layout, PlacedArrow, PlacedBox, Point, arrange
from dlcore.files import replacing
from kernels.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Fill and edge of each kind of box; the lines; the texts on them.
_COLOURS = {
    "operation": ("#dceaf7", "#0072b2"),
    "leaf": ("#ffffff", "#555555"),
    "constant": ("#f0f0f0", "#aaaaaa"),
    "output": ("#e0f3ec", "#009e73"),
}
_LINE, _VALUE, _GRADIENT = "#555555", "#000000", "#c04a00"
_ROUNDED = 8.0  # pixels


class Picture:
    """A graph, ready to be looked at; a notebook shows it by itself.

    Attributes:
        width, height: of the SVG, in pixels.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._layout = arrange(graph)
        self.width = self._layout.width
        self.height = self._layout.height

    @property
    def svg(self) -> str:
        """An SVG document, which any browser shows."""
        return _svg(self._layout)

    @property
    def dot(self) -> str:
        """The same graph in Graphviz's language, for `dot -Tpdf` and the like."""
        return _dot(self._graph)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file that ends in .svg, or in .dot or .gv.

        Raises:
            ArgumentError: the name has another ending.
            MissingFileError: there is no such folder.
        """
        target = Path(path)
        if target.suffix not in (".svg", ".dot", ".gv"):
            raise ArgumentError(f"Picture.save: expected a name that ends in .svg, .dot or .gv, got {str(target)!r}")
        with replacing(target) as temporary:
            temporary.write_text(self.svg if target.suffix == ".svg" else self.dot, encoding="utf-8")

    def plot(self, axes: "Axes") -> None:
        """Draw on matplotlib's axes, which should have the picture's proportions; text is scaled to their size."""
        _plot(self._layout, axes)

    def _repr_svg_(self) -> str:
        return self.svg


def _label_places(arrow: PlacedArrow, runs_down: bool) -> list[tuple[str, Point, str, str]]:
    """Text, its left or middle on the base line, its alignment and its colour, for each text of an arrow."""
    if arrow.label is None:
        return []
    x, y = arrow.label
    texts = arrow.arrow.value, arrow.arrow.gradient
    if runs_down:
        places = [(texts[0], (x + 8, y + 0.9 * FONT), "start", _VALUE)]
    else:
        places = [(texts[0], (x, y - 5), "middle", _VALUE), (texts[1], (x, y + 1.1 * FONT), "middle", _GRADIENT)]
    return [place for place in places if place[0]]


def _line_places(placed: PlacedBox) -> list[tuple[str, Point]]:
    """Each line of a box with the middle of its base line."""
    first = placed.y - (len(placed.box.lines) - 1) * LINE / 2 + 0.35 * FONT
    return [(line, (placed.x, first + number * LINE)) for number, line in enumerate(placed.box.lines)]


def _svg(layout: Layout) -> str:
    width, height = f"{layout.width:.0f}", f"{layout.height:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="{FONT}">',
        "<title>Computational graph</title>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 1 L10 5 L0 9 z" fill="{_LINE}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for arrow in layout.arrows:
        start, *rest = [f"{x:.1f} {y:.1f}" for x, y in arrow.points]
        parts.append(f'<path d="M{start} C{", ".join(rest)}" fill="none" stroke="{_LINE}" marker-end="url(#head)"/>')
        for text, (x, y), anchor, colour in _label_places(arrow, layout.runs_down):
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>')
    for placed in layout.boxes:
        fill, edge = _COLOURS[placed.box.kind]
        left, top = placed.x - placed.width / 2, placed.y - placed.height / 2
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{placed.width:.1f}" height="{placed.height:.1f}" '
            f'rx="{_ROUNDED}" fill="{fill}" stroke="{edge}"/>'
        )
        for text, (x, y) in _line_places(placed):
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _dot(graph: Graph) -> str:
    def quoted(*lines: str) -> str:
        escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
        return '"' + "\\n".join(escaped) + '"'

    names = {box: f"n{number}" for number, box in enumerate(graph.boxes)}
    parts = [
        "digraph {",
        f"  rankdir={'LR' if graph.is_small else 'TB'}",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica"]',
        f'  edge [color="{_LINE}", fontname="Helvetica"]',
    ]
    for box, name in names.items():
        fill, edge = _COLOURS[box.kind]
        parts.append(f'  {name} [label={quoted(*box.lines)}, fillcolor="{fill}", color="{edge}"]')
    for arrow in graph.arrows:
        texts = [text for text in (arrow.value, arrow.gradient and f"∂ {arrow.gradient}") if text]
        parts.append(f"  {names[arrow.source]} -> {names[arrow.target]} [label={quoted(*texts)}]")
    return "\n".join([*parts, "}\n"])


def _plot(layout: Layout, axes: "Axes") -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
    from matplotlib.path import Path as Curve

    axes.set(xlim=(0, layout.width), ylim=(layout.height, 0), aspect="equal")
    axes.set_axis_off()
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # a layout engine gives the axes their size now
    extent = axes.get_window_extent()
    scale = min(extent.width / layout.width, extent.height / layout.height) * 72 / figure.dpi  # points per pixel
    alignments = {"start": "left", "middle": "center"}
    for arrow in layout.arrows:
        curve = Curve(arrow.points, [Curve.MOVETO] + [Curve.CURVE4] * (len(arrow.points) - 1))
        axes.add_patch(
            FancyArrowPatch(
                path=curve, arrowstyle="-|>", mutation_scale=12 * scale, linewidth=scale, color=_LINE, shrinkB=0
            )
        )
        for text, (x, y), anchor, colour in _label_places(arrow, layout.runs_down):
            axes.text(x, y, text, ha=alignments[anchor], va="baseline", color=colour, fontsize=FONT * scale)
    for placed in layout.boxes:
        fill, edge = _COLOURS[placed.box.kind]
        corner = placed.x - placed.width / 2, placed.y - placed.height / 2
        style = f"round,pad=0,rounding_size={_ROUNDED}"
        axes.add_patch(
            FancyBboxPatch(
                corner, placed.width, placed.height, boxstyle=style, facecolor=fill, edgecolor=edge, linewidth=scale
            )
        )
        for text, (x, y) in _line_places(placed):
            axes.text(x, y, text, ha="center", va="baseline", fontsize=FONT * scale)
