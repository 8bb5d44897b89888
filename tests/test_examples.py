"""The examples: each runs with --quick, prints numbers, and leaves figures; the gallery shows them all."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dlcore import backend as backends

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("ch*.py"))
GALLERY = runpy.run_path(str(EXAMPLES / "gallery.py"), run_name="gallery")


@pytest.fixture
def without_display(monkeypatch: pytest.MonkeyPatch) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed (the extra `plot`)")
    pyplot.switch_backend("agg")
    monkeypatch.syspath_prepend(str(EXAMPLES))


def run(script: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.slow
@pytest.mark.usefixtures("without_display")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_runs_and_leaves_figures(
    script: Path,
    backend: backends.Backend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(script, "--quick", "--backend", backend.name, "--figures", str(tmp_path / "new"), monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    figures = [Path(path) for path in re.findall(r"^Figure: (.*)$", printed, flags=re.MULTILINE)]
    assert figures
    assert figures[0] == tmp_path / "new" / f"{script.stem}.png"
    for path in figures:
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert 600 <= image.width <= 1200
            assert 200 <= image.height <= 1200
            assert len(image.convert("RGB").getcolors(1 << 24)) > 16, "next to nothing is drawn"
    numbers = re.findall(r"\d+\.\d+|\d+", printed.partition("Figure: ")[0])
    assert len(numbers) >= 5


@pytest.mark.usefixtures("without_display")
def test_it_runs_from_anywhere_and_again_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, str(EXAMPLES / "ch5_graph.py"), "--quick"]
    first, second = (
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True).stdout
        for _ in range(2)
    )
    assert (tmp_path / "figures" / "ch5_graph.png").exists()
    assert (tmp_path / "figures" / "ch5_graph.svg").exists()
    assert re.search(r"bill +715 +1\n", first)
    assert first == second


@pytest.mark.usefixtures("without_display")
def test_an_unknown_backend_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(SCRIPTS[0], "--backend", "abacus", monkeypatch=monkeypatch)
    assert "abacus" in capsys.readouterr().err.splitlines()[-1]


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "support", raising=False)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with pytest.raises(SystemExit, match="matplotlib, which is not installed: pip install"):
        run(SCRIPTS[0], monkeypatch=monkeypatch)


def test_the_gallery_is_what_its_command_writes() -> None:
    assert (EXAMPLES / "README.md").read_text(encoding="utf-8") == GALLERY["page"]()


def test_the_gallery_puts_every_script_in_its_place() -> None:
    assert sorted(GALLERY["ORDER"]) == [script.stem for script in SCRIPTS]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_gallery_has_its_figure(script: Path) -> None:
    figure = EXAMPLES / "figures" / f"{script.stem}.png"
    assert f"figures/{figure.name}" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    with Image.open(figure) as image:
        image.verify()
    assert figure.stat().st_size < 150_000


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_under_a_page_and_says_its_chapter(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    assert source.count("\n") <= 110
    chapter = re.match(r"ch(\d+)", script.stem)
    assert chapter is not None
    assert f"Chapter {chapter[1]} of *Deep Learning from Scratch*." in source.partition("import")[0]
