"""A folder like the book's repository, and its scripts run as a reader runs them."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]

#: What stands at the head of every script.
HEAD = """\
# coding: utf-8
import sys, os
sys.path.append(os.pardir)  # 親ディレクトリのファイルをインポートするための設定
import numpy as np
"""


@dataclass
class Repository:
    """The reader's folder: `common` and `dataset` are there, too, and would fail at once."""

    folder: Path

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + dedent(text), encoding="utf-8")
        return path

    def run(self, *arguments: object, command: str = "dlcore.book", **environment: str) -> subprocess.CompletedProcess:
        """`python -m dlcore.book …` in the parent of the repository, without a display."""
        given = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        given.pop("MPLBACKEND", None)
        given |= {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment}
        if data := os.environ.get("DLCORE_DATA"):
            given["DLCORE_DATA"] = str(Path(data).resolve())
        return subprocess.run(
            [sys.executable, "-m", *command.split(), *map(str, arguments)],
            cwd=self.folder.parent,
            env=given,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=600,
        )

    def run_well(self, *arguments: object, **options: str) -> str:
        """The same, of a script that does not fail; returns what it printed."""
        process = self.run(*arguments, **options)
        assert process.returncode == 0, process.stderr
        return process.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    book = tmp_path / "book"
    for package, modules in (("common", ("functions", "layers", "optimizer")), ("dataset", ("mnist",))):
        (book / package).mkdir(parents=True)
        (book / package / "__init__.py").write_text("")
        for module in modules:
            (book / package / f"{module}.py").write_text("raise RuntimeError('this is the book\\'s own')\n")
    return Repository(book)
