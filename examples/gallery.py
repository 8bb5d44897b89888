"""Runs the examples, and writes the page that shows them: `python examples/gallery.py [--quick] [NAME …]`.

Each script (all, or those named) runs with its figures in `examples/figures`, where what it prints is kept, too. Then
`examples/README.md` is made of the scripts' docstrings, the figures and what was printed.
"""

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
FIGURES = FOLDER / "figures"

# The order in which they are best read.
ORDER = [
    "ch2_perceptrons",
    "ch3_activations",
    "ch3_three_layers",
    "ch3_digits_inference",
    "ch3_problem_types",
    "ch4_gradients",
    "ch4_descent",
    "ch4_two_layers",
    "ch5_graph",
    "ch5_gradient_check",
    "ch6_optimizer_paths",
    "ch6_optimizers_mnist",
    "ch6_initial_values",
    "ch6_batch_norm",
    "ch6_weight_decay",
    "ch6_dropout",
    "ch6_search",
    "ch7_convnet",
    "ch7_filters",
    "ch8_deep_convnet",
    "ch8_half_precision",
    "ch8_augmentation",
]

HEAD = """\
# The book in pictures

One short script per system that *Deep Learning from Scratch* (Koki Saito) builds, in the order of its chapters. Each
draws a figure and prints the numbers behind it:

```bash
.venv/bin/python examples/ch2_perceptrons.py            # figures/ch2_perceptrons.png, in the current folder
.venv/bin/python examples/ch2_perceptrons.py --help     # --backend, --seed, --quick, --figures
.venv/bin/python examples/gallery.py                    # runs all of them and writes this page
```

They need matplotlib (the extra `plot`). Those that train on MNIST find it in the folder that `DLCORE_DATA` names, or
download it once.
"""


def scripts() -> list[Path]:
    """All examples, in the order in which they are best read; what has no place there comes last."""
    found = {path.stem: path for path in sorted(FOLDER.glob("ch*.py"))}
    return [found.pop(name) for name in ORDER if name in found] + list(found.values())


def run(script: Path, quick: bool) -> None:
    """Run a script, show what it prints, and keep that beside its figures."""
    command = ["python", f"examples/{script.name}", *(["--quick"] if quick else [])]
    print(f"\n=== {' '.join(command)}", flush=True)
    arguments = [sys.executable, *command[1:], "--figures", "examples/figures"]
    result = subprocess.run(arguments, cwd=FOLDER.parent, capture_output=True, text=True, encoding="utf-8")
    print(result.stdout, result.stderr, sep="", flush=True)
    if result.returncode:
        sys.exit(f"{script.name} failed")
    printed = re.sub(r"\n*Figure: .*", "", result.stdout).strip("\n")
    (FIGURES / f"{script.stem}.txt").write_text(f"$ {' '.join(command)}\n\n{printed}\n", encoding="utf-8")


def section(script: Path) -> str:
    """A script's part of the page: its docstring, its figures, what it printed."""
    title, _, rest = (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").partition("\n")
    paragraph = rest.strip().split("\n\n")[0]
    pictures = sorted(FIGURES.glob(f"{script.stem}.png")) + sorted(FIGURES.glob(f"{script.stem}-*.png"))
    parts = [f"### {title.rstrip('.')}", paragraph, f"[`{script.name}`]({script.name})"]
    parts += [f"![{title}](figures/{picture.name})" for picture in pictures]
    printed = FIGURES / f"{script.stem}.txt"
    if printed.exists():
        text = printed.read_text(encoding="utf-8")
        parts.append(f"<details><summary>What it prints</summary>\n\n```text\n{text}```\n\n</details>")
    return "\n\n".join(parts)


def page() -> str:
    """The whole page, by chapter."""
    parts, last = [HEAD.rstrip()], ""
    for script in scripts():
        chapter = re.match(r"ch(\d+)", script.stem)[1]
        if chapter != last:
            parts.append(f"## Chapter {chapter}")
        last = chapter
        parts.append(section(script))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="without .py; default: all")
    parser.add_argument("--quick", action="store_true", help="run each with --quick")
    parser.add_argument("--page", action="store_true", help="run nothing, only write the page")
    given = parser.parse_args()
    FIGURES.mkdir(exist_ok=True)
    if unknown := set(given.names) - {script.stem for script in scripts()}:
        parser.error(f"no such example: {', '.join(sorted(unknown))}")
    for script in [] if given.page else scripts():
        if not given.names or script.stem in given.names:
            run(script, given.quick)
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
