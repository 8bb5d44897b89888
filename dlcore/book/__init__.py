"""The book's own scripts, unchanged: `python -m dlcore.book SCRIPT [ARGS]`, or `dlcore book SCRIPT [ARGS]`.

*Deep Learning from Scratch* (Koki Saito) comes with scripts that import two packages of its own, `common` and
`dataset`. `dlcore.book.common` and `dlcore.book.dataset` hold the same names and give the same numbers; the work in
them is done by `kernels`. `dlcore.book.runner` runs a script with these in the place of the book's, and
`dlcore.book.figures` keeps what it shows.
"""

from dlcore.book.runner import run

__all__ = ["run"]
