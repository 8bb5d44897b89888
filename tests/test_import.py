"""What `import dlcore` brings along, and whose `kernels` it takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dlcore as dl

ROOT = Path(__file__).parents[1]


def python(script: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a Python of its own, which looks for modules in these folders and then in the project."""
    search = os.pathsep.join(map(str, (*path, ROOT)))
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": search},
        cwd=ROOT.parent,
        check=False,
        capture_output=True,
        text=True,
    )


def test_slow_packages_wait_for_their_first_use() -> None:
    script = """
import sys
import dlcore as dl
slow = ("numba", "llvmlite", "cupy", "rich", "typer", "matplotlib", "torch", "PIL")
print([name for name in slow if name in sys.modules])
dl.Trainer
print("rich" in sys.modules)
"""
    found = python(script)
    assert found.stdout.splitlines() == ["[]", "True"], found.stderr


def test_public_names_exist() -> None:
    assert [name for name in dl.__all__ if not hasattr(dl, name)] == []
    with pytest.raises(AttributeError, match="module 'dlcore' has no attribute 'Variable'"):
        dl.Variable  # noqa: B018


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("exp", r"it is a method of tensors: x\.exp\(…\)$"),
        ("relu", "it is a method of tensors"),
        ("conv2d", "it is in dlcore.functional$"),
        ("Linear", "it is in dlcore.nn$"),
        ("Adam", "it is in dlcore.optim$"),
        ("DataLoader", "it is in dlcore.data$"),
        ("ResNet18", "it is in dlcore.models$"),
        ("_exp", "'_exp'$"),
    ],
)
def test_names_that_stand_elsewhere(name: str, place: str) -> None:
    with pytest.raises(AttributeError, match=place):
        getattr(dl, name)


@pytest.mark.parametrize("content", ["", "OWNER = 'somebody'"], ids=["without owner", "with another owner"])
def test_another_package_called_kernels(tmp_path: Path, content: str) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text(content)
    found = python("import dlcore", tmp_path)
    assert found.returncode == 1
    expected = f"ImportError: dlcore needs its own package 'kernels', but Python found another one at {tmp_path}"
    assert expected in found.stderr
    assert "uninstall that distribution, or rename the local file or folder that shadows it" in found.stderr
