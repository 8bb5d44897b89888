"""`python -m benchmarks chart`: an SVG of how many times faster than PyTorch dlcore is, from files that --json kept.

A panel for each file: the kernels' geometric means per group and pass, or whole networks. It is drawn without a
background, in colours that can be read on a light page and on a dark one, and the same file gives the same bytes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.goals import PYTORCH, PYTORCH_BEST
from kernels.errors import ArgumentError

#: Grey that has some contrast with both white and black.
_INK = "#768390"
_COLOURS = ("#3b82f6", "#10b981", "#f59e0b")
_WIDTH, _ROW_HEIGHT, _HEAD_HEIGHT = 8.5, 0.22, 1.1
_TITLES = {
    "kernels": "Kernels (geometric means)",
    "steps": "Whole networks, images of 28×28",
}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "dlcore",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def draw(paths: Sequence[Path], output: Path) -> None:
    """Draw the results in these files as one SVG file.

    Raises:
        ArgumentError: a file holds no comparison with PyTorch, or matplotlib is not installed.
        OSError: a file cannot be read or written.
    """
    try:
        import matplotlib  # optional, and slow
        from matplotlib.figure import Figure
    except ImportError:
        raise ArgumentError("chart: matplotlib is not installed; pip install 'dlcore[plot]'") from None
    panels = [_read(path) for path in paths]
    heights = [_HEAD_HEIGHT + _ROW_HEIGHT * sum(len(bars) + 1 for bars in bars_of(panel).values()) for panel in panels]
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
        rows = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)
        for axes, panel, height in zip(rows, panels, heights, strict=True):
            _draw_panel(axes[0], panel, height)
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, format="svg", transparent=True, metadata={"Date": None})


def bars_of(measured: dict[str, Any]) -> dict[str, list[tuple[str, float, float | None]]]:
    """For each group its bars: the pass, the ratio to PyTorch at its best, and to its default."""
    ratios = {(mean["group"], mean["action"], mean["peer"]): mean["ratio"] for mean in measured["means"]}
    bars: dict[str, list[tuple[str, float, float | None]]] = {}
    for (group, action, peer), ratio in ratios.items():
        if peer == PYTORCH_BEST:
            bars.setdefault(group, []).append((action, ratio, ratios.get((group, action, PYTORCH))))
    return bars


def _read(path: Path) -> dict[str, Any]:
    measured = json.loads(path.read_text(encoding="utf-8"))
    if not bars_of(measured) if isinstance(measured, dict) and "means" in measured else True:
        raise ArgumentError(f"chart: {str(path)!r} holds no comparison with PyTorch; measure with --against torch")
    return dict(measured)


def _draw_panel(axes: Any, measured: dict[str, Any], height: float) -> None:
    groups = bars_of(measured)
    actions = list(dict.fromkeys(action for bars in groups.values() for action, _, _ in bars))
    colours = dict(zip(actions, _COLOURS, strict=False))
    position, places = 0.0, {}
    seen: set[str] = set()
    for group, bars in groups.items():
        places[group] = position + (len(bars) - 1) / 2
        for action, best, default in bars:
            label = None if action in seen else action
            seen.add(action)
            axes.barh(position, best - 1, left=1, height=0.8, color=colours[action], label=label)
            axes.text(1.01, position, f"{best:.2f} ×", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
            if default is not None:
                axes.plot(default, position, marker="|", markersize=7, markeredgewidth=1.5, color=_INK, linestyle="")
            position += 1
        position += 1
    axes.plot(
        [], [], marker="|", markersize=7, markeredgewidth=1.5, color=_INK, linestyle="", label="against its defaults"
    )
    axes.axvline(1, color=_INK, linewidth=1)
    axes.set_xscale("log", base=2)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.9), high * 1.35)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} ×")
    axes.set_yticks(list(places.values()), list(places))
    axes.invert_yaxis()
    axes.tick_params(length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color=_INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    machine = measured["machine"]
    title = _TITLES.get(measured["command"], measured["command"])
    about = f"{machine['threads']} threads, {machine['processor']} ({machine['target']}), PyTorch {machine['torch']}"
    axes.set_title(f"{title}: times faster than PyTorch at its best\n{about}", loc="left", fontsize=10)
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, -0.2 / height), ncols=4, frameon=False, fontsize=8)
