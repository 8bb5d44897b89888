"""The pages of docs/: their Python runs, block after block in one namespace, and prints what they say it prints."""

import re
from pathlib import Path
from typing import Any

import pytest

from dlcore.backend import Backend

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(backend: Backend, page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(page), "exec"), namespace)
        expected = re.findall(r"^ *print\(.*\)  # (.*)$", block[1], flags=re.MULTILINE)
        assert len(expected) == block[1].count("print("), f"line {line}: a print whose output is not stated"
        assert capsys.readouterr().out.splitlines() == expected


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
