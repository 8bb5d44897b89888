"""The `dlcore` command: its options and their help; `dlcore.commands` does the work.

Whatever is wrong with options or files ends in one line on standard error and exit code 2, Ctrl-C in one line and 130.
"""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import dlcore
from dlcore import backend as backends
from dlcore import book as books
from dlcore.commands import information, prediction, training, warmup
from dlcore.commands.choices import LEARNING_RATES, MODELS, SCHEDULES
from dlcore.commands.datasets import NAMED, PATHS
from kernels.errors import ArgumentError, DLCoreError

INTERRUPTED = 130

app = typer.Typer(
    name="dlcore",
    help="Train small networks on digits, measure them, and let them read images.",
    epilog="Start with: dlcore train",
    add_completion=False,
    rich_markup_mode=None,
)

RunFolderArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder that dlcore train made.", show_default=False)
]
DataOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|PATH", help=f"The images: {', '.join(NAMED)}, or the path of a folder of images or an .npz file."
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where to compute: numpy, cupy, cupy:1 (the second GPU) or auto. Default: $DLCORE_BACKEND, else numpy.",
        show_default=False,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="CPU threads; results do not depend on it. Default: $DLCORE_NUM_THREADS, else all cores.",
        show_default=False,
    ),
]


def _per_data(attribute: str) -> str:
    named = ", ".join(f"{getattr(choice, attribute)} for {name}" for name, choice in NAMED.items())
    return f"{named}; for a path, what suits the number of images"


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    """Train small networks on digits, measure them, and let them read images."""
    if version:
        typer.echo(f"dlcore {dlcore.__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
    else:
        return
    raise typer.Exit


@app.command(epilog="  ".join([*(f"{name}: {choice.description}." for name, choice in NAMED.items()), PATHS]))
def train(
    context: typer.Context,
    model: Annotated[
        str, typer.Option(metavar="NAME", help=f"The network: {', '.join(MODELS)} (see: dlcore models).")
    ] = "simple-convnet",
    data: DataOption = "digits",
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"How often to go through the training images. Default: {_per_data('epochs')}.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help=f"Images per step. Default: {_per_data('batch_size')}.", show_default=False
        ),
    ] = None,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help=f"One of {', '.join(LEARNING_RATES)}.")] = "adam",
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr",
            "--learning-rate",
            metavar="X",
            help="Learning rate. Default: " + ", ".join(f"{rate:g} ({name})" for name, rate in LEARNING_RATES.items()),
            show_default=False,
        ),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(metavar="X", help="Pulls weights towards 0. Default: 0.01 for adamw, else 0.", show_default=False),
    ] = None,
    schedule: Annotated[
        str, typer.Option(metavar="NAME", help=f"How the learning rate goes on: {', '.join(SCHEDULES)}.")
    ] = "constant",
    accumulate: Annotated[
        int, typer.Option(min=1, metavar="N", help="Batches per update, whose gradients add up.")
    ] = 1,
    seed: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="The same seed on the same machine gives the same weights, bit for bit."),
    ] = 0,
    backend: BackendOption = None,
    threads: ThreadsOption = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where to leave configuration, figures of each epoch, weights and pictures. It must be new or empty. "
            "Default: runs/MODEL-DATA-TIME.",
            show_default=False,
        ),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="STEPS",
            help="Write a checkpoint every so many steps, besides those after each epoch.",
            show_default=False,
        ),
    ] = None,
    keep_checkpoints: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many of the newest checkpoints stay.")
    ] = 2,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a run that was broken off, from its newest checkpoint. All else is as it was; --epochs "
            "may be another number.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a network, and keep all that comes of it in a folder.

    The weights kept are those of the epoch with the lowest loss on validation images. The test images are used once,
    at the end: the accuracy on them is what the run ends with.
    """
    if resume is not None:
        sources = {name: context.get_parameter_source(name) for name in context.params}
        given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
        if other := [name for name in given if name not in ("resume", "epochs", "backend", "threads")]:
            option = "--" + other[0].replace("_", "-")
            raise ArgumentError(f"{option}: a run that is resumed goes on as it began; leave {option} out")
        _choose(None, threads)
        training.resume(resume, epochs, backend)
        return
    _choose(backend, threads)
    training.train(
        training.TrainOptions(
            model,
            data,
            epochs,
            batch_size,
            optimizer,
            lr,
            weight_decay,
            schedule,
            accumulate,
            seed,
            run,
            checkpoint_every,
            keep_checkpoints,
        )
    )


@app.command()
def evaluate(run: RunFolderArgument, backend: BackendOption = None, threads: ThreadsOption = None) -> None:
    """Measure the network of a run on its test images.

    Prints accuracy, loss, and how often it takes which class for which.
    """
    _choose(backend, threads)
    training.evaluate(run)


@app.command()
def predict(
    run: RunFolderArgument,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="PNG or JPEG files, one object each.", show_default=False)
    ],
    backend: BackendOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Say which class each image shows, and how probable each is.

    Images may have any size. Digits, for a network that learned them from digits or mnist, may be dark on light ground
    or light on dark: they are cut out, scaled and centred. Other images are scaled as a whole.
    """
    _choose(backend, threads)
    prediction.predict(run, images)


@app.command(name="warmup")
def warm_up(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=f"The network: {', '.join(MODELS)}.", show_default=False)
    ],
    data: DataOption = "digits",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help=f"Images per step. Default: {_per_data('batch_size')}.", show_default=False
        ),
    ] = None,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help=f"One of {', '.join(LEARNING_RATES)}.")] = "adam",
    backend: BackendOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Compile what a network needs, before it is needed.

    Trains and evaluates it for a moment on random images. What was compiled is kept on disk, so that later processes
    start at once.
    """
    _choose(backend, threads)
    warmup.warm_up(model, data, batch_size, optimizer)


@app.command(context_settings={"allow_interspersed_args": False})
def book(
    script: Annotated[
        Path, typer.Argument(metavar="SCRIPT", help="The script; it runs in its own folder.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="The script's own arguments.", show_default=False)
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep every figure that it shows there, as PNG.", show_default=False),
    ] = None,
) -> None:
    """Run a script of the book "Deep Learning from Scratch", unchanged, with dlcore's kernels.

    Its `common` and `dataset` are dlcore's. Without a display, and without --figures, what it shows is let go.
    """
    raise typer.Exit(books.run(script, arguments or (), figures))


@app.command()
def info() -> None:
    """Show versions, backends, threads and folders.

    For a backend that cannot be used here it says why, and what to install.
    """
    information.info()


@app.command()
def models() -> None:
    """List the networks, with their numbers of parameters."""
    information.list_models()


def _choose(backend: str | None, threads: int | None) -> None:
    if backend is not None:
        backends.use(backend)
    if threads is not None:
        dlcore.set_num_threads(threads)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: by default those of the process.

    Returns:
        The exit code: 0, 2 (options or files don't fit, or training failed) or 130 (Ctrl-C).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no "×" shows "?", and nothing fails
    try:
        code = app(args=arguments, prog_name="dlcore", standalone_mode=False)
    except training.TrainingInterruptedError as error:
        return _fail(str(error), INTERRUPTED)
    except DLCoreError as error:
        return _fail(str(error))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}")
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _fail(f"{error.format_message()} (see: dlcore --help)")  # typer's own, about options
    if code == INTERRUPTED:
        return _fail("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int = 2) -> int:
    print("dlcore:", " ".join(message.split()), file=sys.stderr)
    return code
