"""Pictures of graphs: what they say, where they put it, and what they refuse."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import dlcore as dl
from dlcore import backend as backends
from dlcore import functional as F
from dlcore import nn
from dlcore.drawing.graph import Graph, read
from dlcore.drawing.layout import arrange

SVG = "{http://www.w3.org/2000/svg}"


def leaf(value: object) -> dl.Tensor:
    return dl.tensor(value, "float64", requires_grad=True)


def bill() -> tuple[dl.Tensor, dict[str, dl.Tensor]]:
    names = {"apple": leaf(100.0), "apples": leaf(2.0), "orange": leaf(150.0), "oranges": leaf(3.0), "tax": leaf(1.1)}
    apple, apples, orange, oranges, tax = names.values()
    total = (apple * apples + orange * oranges) * tax
    return total, {**names, "bill": total}


def flows(graph: Graph) -> dict[str, tuple[str, str]]:
    """Value and gradient on the arrow from each named box."""
    return {arrow.source.lines[0]: (arrow.value, arrow.gradient) for arrow in graph.arrows}


def residual() -> dl.Tensor:
    first, second = nn.Linear(20, 20), nn.Linear(20, 20)
    x = first(dl.randn(4, 20))
    return (second(x.relu()) + x).sum()


# ---- what it says ---------------------------------------------------------------------------------------------------


def test_the_bill_has_the_values_and_gradients_of_the_book(backend: backends.Backend) -> None:
    graph = read(*bill())
    assert [box.lines for box in graph.boxes if box.kind == "operation"] == [["×"], ["×"], ["+"], ["×"]]
    found = flows(graph)
    assert found["apple"] == ("100", "2.2")
    assert found["apples"] == ("2", "110")
    assert found["orange"] == ("150", "3.3")
    assert found["oranges"] == ("3", "165")
    assert found["tax"] == ("1.1", "650")
    assert found["+"] == ("650", "1.1")
    last = graph.boxes[-1]
    assert (last.kind, last.lines) == ("output", ["bill"])
    assert [(arrow.value, arrow.gradient) for arrow in last.inputs] == [("715", "1")]


def test_drawing_changes_no_gradient_and_frees_nothing(backend: backends.Backend) -> None:
    total, names = bill()
    dl.draw_graph(total, names)
    assert names["apple"].grad is None
    total.backward()
    assert names["apple"].grad.item() == pytest.approx(2.2)


def test_vectors_constants_and_repeated_use(backend: backends.Backend) -> None:
    x = leaf([1.0, -2.0])
    y = (x * x * 0.5).sum()
    graph = read(y, {"x": x})
    assert flows(graph)["x"] == ("[1 −2]", "[1 −2]")
    assert [box.kind for box in graph.boxes].count("leaf") == 1
    constants = [(arrow.source.lines, arrow.value) for arrow in graph.arrows if arrow.source.kind == "constant"]
    assert constants == [(["0.5"], "")]


def test_a_result_of_several_elements_has_no_gradients(backend: backends.Backend) -> None:
    graph = read(leaf([1.0, 2.0]).exp(), {})
    assert [arrow.gradient for arrow in graph.arrows] == ["", ""]
    assert [arrow.value for arrow in graph.arrows] == ["[1 2]", "[2.718 7.389]"]


def test_named_results_and_views(backend: backends.Backend) -> None:
    x = leaf([[1.0, 2.0, 3.0]])
    middle = x.reshape(3)
    graph = read(middle[1] * 4, {"row": middle})
    assert ["Reshape", "row"] in [box.lines for box in graph.boxes]
    assert flows(graph)["GetItem"] == ("2", "4")


def test_a_network_shows_operations_and_shapes(backend: backends.Backend) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)
    )
    images = dl.randn(2, 1, 8, 8)
    loss = F.cross_entropy(network(images), dl.tensor([3, 7]))
    graph = read(loss, {**dict(network.named_parameters()), "images": images})
    lines = [box.lines for box in graph.boxes]
    assert lines[0] == ["images"]
    assert ["Conv2d, relu", "0.weight (4, 1, 3, 3)", "0.bias (4,)"] in lines
    assert ["BatchNorm, relu", "2.weight (4,)", "2.bias (4,)"] in lines
    assert ["Linear", "5.weight (10, 144)", "5.bias (10,)"] in lines
    found = flows(graph)
    assert found["images"] == ("(2, 1, 8, 8)", "")
    assert found["CrossEntropy"][0] == f"{loss.item():.4g}"


# ---- where it puts it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [lambda: bill()[0], residual, lambda: leaf(2.0).exp()], ids=["bill", "residual", "one"]
)
def test_boxes_lie_inside_and_apart_and_arrows_go_forward(make: object, backend: backends.Backend) -> None:
    layout = arrange(read(make(), {}))  # type: ignore[operator]
    for box in layout.boxes:
        assert box.width / 2 < box.x < layout.width - box.width / 2
        assert box.height / 2 < box.y < layout.height - box.height / 2
    for number, a in enumerate(layout.boxes):
        for b in layout.boxes[:number]:
            assert abs(a.x - b.x) >= (a.width + b.width) / 2 or abs(a.y - b.y) >= (a.height + b.height) / 2
    places = {placed.box: placed for placed in layout.boxes}
    for arrow in layout.arrows:
        way = np.array(arrow.points)[:, 1 if layout.runs_down else 0]
        assert (np.diff(way) >= 0).all()
        target = places[arrow.arrow.target]
        end = target.y - target.height / 2 if layout.runs_down else target.x - target.width / 2
        assert way[-1] == pytest.approx(end, abs=1)


def test_labels_do_not_meet_boxes() -> None:
    layout = arrange(read(residual(), {}))
    for arrow in layout.arrows:
        if arrow.label is not None:
            x, y = arrow.label
            assert not any(abs(x - box.x) < box.width / 2 and abs(y - box.y) < box.height / 2 for box in layout.boxes)


# ---- as what it comes -----------------------------------------------------------------------------------------------


def test_svg_is_a_document_with_every_text() -> None:
    total, names = bill()
    picture = dl.draw_graph(total, {**names, "tax & <more>": names["tax"]})
    root = ET.fromstring(picture.svg)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"apple", "oranges", "tax & <more>", "bill", "715", "165", "×", "+"} <= set(texts)
    assert len(list(root.iter(f"{SVG}rect"))) == 1 + 10
    assert float(root.get("width", "0")) == pytest.approx(picture.width, abs=1)
    assert picture._repr_svg_() == picture.svg


def test_dot_names_every_box_and_arrow() -> None:
    total, names = bill()
    text = dl.draw_graph(total, {**names, 'say "tax"': names["tax"]}).dot
    assert text.startswith("digraph {\n  rankdir=LR\n")
    assert len(re.findall(r"^  n\d+ \[label=", text, flags=re.MULTILINE)) == 10
    assert len(re.findall(r"^  n\d+ -> n\d+ \[label=", text, flags=re.MULTILINE)) == 9
    assert r'label="say \"tax\""' in text
    assert r'label="715\n∂ 1"' in text


def test_save_goes_by_the_ending(tmp_path: Path) -> None:
    picture = dl.draw_graph(leaf(2.0).exp())
    for name, text in (("a.svg", picture.svg), ("a.dot", picture.dot), ("a.gv", picture.dot)):
        picture.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == text
    with pytest.raises(dl.ArgumentError, match=r"ends in \.svg, \.dot or \.gv, got .*a\.png"):
        picture.save(tmp_path / "a.png")


def test_plot_draws_every_text_on_the_axes() -> None:
    figure_module = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed (the extra `plot`)")
    picture = dl.draw_graph(*bill())
    axes = figure_module.Figure(figsize=(7, 3)).subplots()
    picture.plot(axes)
    assert {text.get_text() for text in axes.texts} >= {"apple", "bill", "715", "1", "×"}
    assert len(axes.patches) == 10 + 9


# ---- what it refuses ------------------------------------------------------------------------------------------------


def test_without_a_graph_it_says_so(backend: backends.Backend) -> None:
    with pytest.raises(dl.GraphError, match=r"draw_graph: .* nothing was recorded"):
        dl.draw_graph(dl.tensor(1.0) * 2)
    y = leaf(1.0).exp().exp()
    y.backward()
    with pytest.raises(dl.GraphError, match=r"draw_graph: the graph through Exp was freed .*retain_graph=True"):
        dl.draw_graph(y)


def test_a_deep_graph_needs_no_recursion(backend: backends.Backend) -> None:
    x = leaf(1.0)
    y = x
    for _ in range(2000):
        y = y + 0.001
    assert flows(read(y, {"x": x}))["x"] == ("1", "1")
    assert dl.draw_graph(y).width > 2000
