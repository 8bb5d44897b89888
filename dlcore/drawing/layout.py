"""Where everything in the picture of a graph goes.

Boxes stand in layers, each one layer before the first that uses it, counted from the output. Small graphs run to the
right, as one writes; networks run down, as one reads. So this file speaks of *along* the flow and *across* it. An
arrow over several layers passes through bends, which take part in the arrangement like boxes.
"""

import itertools
from dataclasses import dataclass, field

from dlcore.drawing.graph import Arrow, Box, Graph

#: Pixels. A letter is the mean of a usual sans serif's; the renderers draw text at FONT pixels.
FONT, LETTER, LINE = 14, 8.2, 18
_MARGIN, _CURVE, _BETWEEN = 14, 44, 16

Point = tuple[float, float]


@dataclass
class PlacedBox:
    """A box's middle and size, in pixels; y points down."""

    box: Box
    x: float
    y: float
    width: float
    height: float


@dataclass
class PlacedArrow:
    """An arrow's way, in pixels.

    Attributes:
        points: the start, then three points for each cubic Bézier curve; straight runs are curves, too.
        label: where its texts belong, the middle of the run that leaves the box; None for all but the first of the
            arrows that leave one box: they carry the same texts on the same run.
    """

    arrow: Arrow
    points: list[Point]
    label: Point | None


@dataclass
class Layout:
    """Everything placed, in a picture of width × height pixels.

    Attributes:
        runs_down: the direction; texts stand to the right of an arrow that runs down, else above and below it.
    """

    width: float
    height: float
    boxes: list[PlacedBox]
    arrows: list[PlacedArrow]
    runs_down: bool


@dataclass(eq=False)
class _Spot:
    """A box, or a bend of an arrow (no box), with its size along the flow and the room that it needs across."""

    box: Box | None
    layer: int
    along: float
    across: float
    before: "list[_Spot]" = field(default_factory=list)
    after: "list[_Spot]" = field(default_factory=list)
    middle: float = 0.0  # across


def arrange(graph: Graph) -> Layout:
    """Place the boxes and arrows of a graph."""
    runs_down = not graph.is_small
    spots, ways = _spots(graph, runs_down)
    rows = _rows(spots[graph.boxes[-1]])
    _spread_rows(rows)
    starts, ends, runs = _columns(rows, graph, {box: spot.layer for box, spot in spots.items()}, runs_down)
    middles = [(start + end) / 2 for start, end in zip(starts, ends, strict=True)]

    def point(along: float, across: float) -> Point:
        return (across, along) if runs_down else (along, across)

    placed = []
    for box, spot in spots.items():
        x, y = point(middles[spot.layer], spot.middle)
        placed.append(PlacedBox(box, x, y, *_size(box)))
    arrows = []
    labelled: set[Box] = set()
    for arrow, way in ways.items():
        first, last = way[0], way[-1]
        leaves, enters = middles[first.layer] + first.along / 2, middles[last.layer] - last.along / 2
        corners = [(leaves, first.middle), (ends[first.layer] + runs[first.layer], first.middle)]
        for bend in way[1:-1]:
            corners += [(starts[bend.layer], bend.middle), (ends[bend.layer] + runs[bend.layer], bend.middle)]
        corners += [(starts[last.layer], last.middle), (enters, last.middle)]
        points = [point(*corners[0])]
        for (a, here), (b, there) in itertools.pairwise(corners):
            if abs(a - b) < 1:
                continue  # the widest box of its layer begins where the layer does
            points += [point((a + b) / 2, here), point((a + b) / 2, there), point(b, there)]
        label = None if arrow.source in labelled else point((leaves + corners[1][0]) / 2, first.middle)
        labelled.add(arrow.source)
        arrows.append(PlacedArrow(arrow, points, label))
    across = max(spot.middle + spot.across / 2 for row in rows for spot in row) + _MARGIN
    width, height = point(ends[0] + _MARGIN, across)
    return Layout(width, height, placed, arrows, runs_down)


def text_width(text: str) -> float:
    """Pixels that a text takes, about."""
    return LETTER * len(text)


def _size(box: Box) -> tuple[float, float]:
    """Width and height of a box, in pixels."""
    height = LINE * len(box.lines) + 12.0
    return max(max(map(text_width, box.lines)) + 18, height), height


def _spots(graph: Graph, runs_down: bool) -> tuple[dict[Box, _Spot], dict[Arrow, list[_Spot]]]:
    """A spot for each box, and the way of each arrow through spots, its bends among them."""
    layers = {graph.boxes[-1]: 0}
    for box in reversed(graph.boxes):
        for arrow in box.inputs:
            layers[arrow.source] = max(layers.get(arrow.source, 0), layers[box] + 1)
    # Beside an arrow that runs down there is room for its label, on both sides, so that the box stays in the middle.
    labels = {arrow.source: 2 * text_width(arrow.value) + 24 for arrow in graph.arrows if runs_down}
    spots: dict[Box, _Spot] = {}
    for box in graph.boxes:
        width, height = _size(box)
        along, across = (height, max(width, labels.get(box, 0.0))) if runs_down else (width, height)
        spots[box] = _Spot(box, layers[box], along, across)
    ways: dict[Arrow, list[_Spot]] = {}
    for arrow in graph.arrows:
        start, end = spots[arrow.source], spots[arrow.target]
        bends = [_Spot(None, layer, 0.0, 8.0) for layer in range(start.layer - 1, end.layer, -1)]
        ways[arrow] = way = [start, *bends, end]
        for spot, following in itertools.pairwise(way):
            spot.after.append(following)
            following.before.append(spot)
    return spots, ways


def _rows(last: _Spot) -> list[list[_Spot]]:
    """The spots of each layer, ordered so that trees do not cross themselves: inputs in turn, depth first."""
    rows: dict[int, list[_Spot]] = {}
    seen: set[_Spot] = set()
    stack = [last]
    while stack:
        spot = stack.pop()
        if spot not in seen:
            seen.add(spot)
            rows.setdefault(spot.layer, []).append(spot)
            stack.extend(reversed(spot.before))
    return [rows[layer] for layer in range(len(rows))]


def _spread_rows(rows: list[list[_Spot]], sweeps: int = 8) -> None:
    """Move each spot towards the middle of its neighbours, from the output to the inputs and back, and so on."""
    for row in rows:
        _place(row, [0.0] * len(row))
    for _ in range(sweeps):
        for row in rows[1:]:
            _place(row, [_mean(spot.after, spot) for spot in row])
        for row in reversed(rows):
            _place(row, [_mean(spot.before, spot) for spot in row])
    top = min(spot.middle - spot.across / 2 for row in rows for spot in row)
    for row in rows:
        for spot in row:
            spot.middle += _MARGIN - top


def _mean(neighbours: list[_Spot], spot: _Spot) -> float:
    return sum(other.middle for other in neighbours) / len(neighbours) if neighbours else spot.middle


def _place(row: list[_Spot], wanted: list[float]) -> None:
    """The places nearest to the wanted ones, by least squares, that keep order and distance.

    Less the distances that must lie before each, the places shall only not decrease; so wherever they would, a block of
    neighbours goes to its mean: pool adjacent violators (Ayer et al., 1955).
    """
    offsets = [0.0]
    for spot, following in itertools.pairwise(row):
        offsets.append(offsets[-1] + (spot.across + following.across) / 2 + _BETWEEN)
    blocks: list[tuple[float, int]] = []  # sum and number
    for place, offset in zip(wanted, offsets, strict=True):
        total, count = place - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            before, number = blocks.pop()
            total, count = total + before, count + number
        blocks.append((total, count))
    places = [total / count for total, count in blocks for _ in range(count)]
    for spot, place, offset in zip(row, places, offsets, strict=True):
        spot.middle = place + offset


def _columns(
    rows: list[list[_Spot]], graph: Graph, layers: dict[Box, int], runs_down: bool
) -> tuple[list[float], list[float], list[float]]:
    """Along the flow, for each layer: where it starts and ends, and the straight run of the arrows that leave it."""
    runs = [0.0] * len(rows)
    for arrow in graph.arrows:
        text = max(text_width(arrow.value), text_width(arrow.gradient))
        layer = layers[arrow.source]
        runs[layer] = max(runs[layer], LINE if runs_down else text + 12)
    starts, ends = [0.0] * len(rows), [0.0] * len(rows)
    along = float(_MARGIN)
    for layer in reversed(range(len(rows))):
        starts[layer] = along
        ends[layer] = along + max(spot.along for spot in rows[layer])
        along = ends[layer] + runs[layer] + (_CURVE / 2 if runs_down else _CURVE)
    return starts, ends, runs
