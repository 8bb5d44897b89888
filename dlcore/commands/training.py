"""`dlcore train` and `dlcore evaluate`."""

import datetime
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import dlcore
from dlcore import backend, models, nn
from dlcore.commands import choices, datasets
from dlcore.commands.datasets import Splits
from dlcore.commands.output import say, table
from dlcore.data import DataLoader
from dlcore.io import load
from dlcore.nn import Module
from dlcore.optim import Optimizer
from dlcore.train import Checkpoints, MetricsFile, SaveWeights, Trainer
from dlcore.train import evaluate as measure
from dlcore.train.report import can_draw, write_figures
from dlcore.train.run import RunConfig, RunFolder, write_json
from kernels.errors import ArgumentError, CheckpointError, DLCoreError, StateDictError

#: What the epoch is chosen by whose weights are kept.
MONITOR = "validation_loss"


class TrainingInterruptedError(DLCoreError):
    """Training was broken off with Ctrl-C; the message says what was saved."""


@dataclass(frozen=True)
class TrainOptions:
    """The options of `dlcore train`; None stands for what suits the data or the machine."""

    model: str
    data: str
    epochs: int | None
    batch_size: int | None
    optimizer: str
    learning_rate: float | None
    weight_decay: float | None
    schedule: str
    accumulate: int
    seed: int
    run: Path | None
    checkpoint_every: int | None
    keep_checkpoints: int


def train(options: TrainOptions) -> None:
    """Train a network, choose the best epoch on validation data, measure that on test data, and leave a run folder.

    Raises:
        DLCoreError: an option or a file does not fit, or training failed; the message says which.
        TrainingInterruptedError: Ctrl-C was pressed.
    """
    choices.check_names(options.model, options.data, options.optimizer, options.schedule)
    path = options.run or unused_path(options.model, datasets.label(options.data), datetime.datetime.now())
    RunFolder(path).check_unused()
    splits = datasets.load(options.data)
    backend.seed(options.seed)
    network = models.create(options.model, splits.train.input_shape, splits.train.num_classes)
    optimizer = choices.make_optimizer(options.optimizer, network, options.learning_rate, options.weight_decay)
    config = RunConfig(
        dlcore=dlcore.__version__,
        model=options.model,
        data=datasets.lasting(options.data),
        input_shape=splits.train.input_shape,
        classes=tuple(splits.train.classes),
        epochs=options.epochs or datasets.default_epochs(options.data, splits.train),
        batch_size=options.batch_size or datasets.default_batch_size(options.data, splits.train),
        optimizer=options.optimizer,
        learning_rate=optimizer.lr,
        weight_decay=optimizer.weight_decay,
        seed=options.seed,
        backend=network.backend.name,
        threads=dlcore.get_num_threads(),
        schedule=options.schedule,
        accumulate=options.accumulate,
        checkpoint_every=options.checkpoint_every or 0,
        keep_checkpoints=options.keep_checkpoints,
    )
    _run(RunFolder.create(path, config), config, network, optimizer, splits)


def resume(path: Path, epochs: int | None, backend_name: str | None) -> None:
    """Go on with a run that was broken off, from its newest checkpoint; without one, begin it again.

    Args:
        path: the run folder.
        epochs: how many the run shall have in all, if that has changed.
        backend_name: where to go on; by default where it began.

    Raises:
        DLCoreError: the folder holds no run, its files are damaged, or its data have other images or classes now.
        TrainingInterruptedError: Ctrl-C was pressed.
    """
    folder = RunFolder.resume(path)
    config = folder.read_config()
    choices.check_names(config.model, config.data, config.optimizer, config.schedule)
    backend.use(config.backend if backend_name is None else backend_name)
    if epochs is not None and epochs != config.epochs:
        if config.schedule in choices.SCHEDULES_OF_FIXED_LENGTH:
            raise ArgumentError(
                f"epochs: the learning rates of this run follow {config.schedule!r} over {config.epochs} epochs, so "
                f"there can't be {epochs}; leave --epochs out"
            )
        config = replace(config, epochs=epochs)
    splits = datasets.load_for(config)
    backend.seed(config.seed)
    network = models.create(config.model, config.input_shape, len(config.classes))
    optimizer = choices.make_optimizer(config.optimizer, network, config.learning_rate, config.weight_decay)
    _run(folder, config, network, optimizer, splits)


def _run(folder: RunFolder, config: RunConfig, network: Module, optimizer: Optimizer, splits: Splits) -> None:
    """Train from where the folder's checkpoints stand, if there are any, and finish the run."""
    loader = DataLoader(splits.train, config.batch_size, shuffle=True, seed=config.seed)
    steps = -(-len(loader) // config.accumulate)
    checkpoints = Checkpoints(folder.checkpoints, config.checkpoint_every or None, config.keep_checkpoints, report=say)
    callbacks = [
        MetricsFile(folder.metrics),
        SaveWeights(folder.weights, monitor=MONITOR),
        *choices.make_schedule(config.schedule, optimizer, config.epochs, steps),
        checkpoints,
    ]
    trainer = Trainer(network, optimizer, callbacks=callbacks, accumulate=config.accumulate)
    go_on = f"go on with: dlcore train --resume {shlex.quote(str(folder.path))}"
    try:
        with folder.alone():
            _train_and_finish(folder, config, trainer, loader, splits, checkpoints)
    except KeyboardInterrupt:
        raise TrainingInterruptedError(f"{_where_it_stopped(trainer, checkpoints)}; {go_on}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{error}; once that is mended, {go_on}") from error
    except OSError as error:
        if isinstance(error, DLCoreError) or not error.strerror:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise CheckpointError(f"{where}{error.strerror}; once that is mended, {go_on}") from error


def _train_and_finish(
    folder: RunFolder,
    config: RunConfig,
    trainer: Trainer,
    loader: DataLoader,
    splits: Splits,
    checkpoints: Checkpoints,
) -> None:
    before = folder.read_config()
    if config != before:
        folder.results.unlink(missing_ok=True)  # which were those of fewer epochs
        folder.write_config(config)
    _announce(config, trainer.network, splits, checkpoints.paths())
    try:
        trainer.fit(loader, epochs=config.epochs, validation=splits.validation, resume=True)
    except ArgumentError:  # fewer epochs than are done
        folder.write_config(before)
        raise
    _finish(folder, trainer, splits)


def evaluate(path: Path) -> None:
    """Measure the network of a run on its test data, and show which classes it takes for which.

    Raises:
        DLCoreError: the folder holds no finished run, or its files are damaged.
    """
    config, network = open_run(path)
    test = datasets.load_for(config).test
    results = measure(network, test, metrics=["accuracy", "confusion_matrix"])
    say(
        f"{config.model} on the {len(test):,} test images of {config.data}: "
        f"accuracy {results['accuracy']:.4f}, loss {results['loss']:.4f}"
    )
    say("")
    matrix = results["confusion_matrix"]
    rows = [
        [name, *(str(count) if count else "·" for count in counts), f"{counts[label] / max(counts.sum(), 1):.3f}"]
        for label, (name, counts) in enumerate(zip(config.classes, matrix, strict=True))
    ]
    head = ["true \\ predicted", *config.classes, "right"]
    table(head, rows, right=range(1, len(head)))


def open_run(path: Path) -> tuple[RunConfig, Module]:
    """The configuration and the trained network of a run, on the active backend.

    Raises:
        DLCoreError: the folder holds no run with weights, or its files are damaged.
    """
    folder = RunFolder.open(path)
    config = folder.read_config()
    choices.check_names(config.model, config.data, config.optimizer)
    with nn.init.skipped():
        network = models.create(config.model, config.input_shape, len(config.classes))
    try:
        load(network, folder.weights)
    except StateDictError as error:
        raise StateDictError(f"{folder.weights}: {error}") from error
    return config, network


def _announce(config: RunConfig, network: Module, splits: Splits, checkpoints: list[Path]) -> None:
    count = sum(parameter.size for parameter in network.parameters())
    threads = dlcore.get_num_threads()
    say(
        f"{config.model} ({count:,} parameters) on {config.data}: {len(splits.train):,} training, "
        f"{len(splits.validation):,} validation, {len(splits.test):,} test images"
    )
    say(
        f"{config.optimizer}, learning rate {config.learning_rate:g}, batches of {config.batch_size}, "
        f"seed {config.seed}; {network.backend.name}, {threads} thread{'s' * (threads != 1)}"
    )
    if network.backend.is_host and _kernel_cache_is_empty():
        say("first run: kernels are compiled and kept, which takes a while once")
    if checkpoints:
        say(f"going on from {checkpoints[-1].name}")
    say("")


def _finish(folder: RunFolder, trainer: Trainer, splits: Splits) -> None:
    """Go back to the best epoch's weights, measure them on the test data, write and print what came out."""
    load(trainer.network, folder.weights)
    chosen = trainer.history.best(MONITOR)
    epoch = int(chosen["epoch"])
    results = trainer.evaluate(splits.test)
    write_json(
        folder.results,
        {"epoch": epoch, MONITOR: chosen[MONITOR]}
        | {f"test_{name}": value for name, value in results.items()}
        | {"seconds": round(trainer.elapsed, 1)},
    )
    say("")
    say(f"test accuracy {results['accuracy']:.4f}, loss {results['loss']:.4f}")
    say(
        f"  with the weights of epoch {epoch}, which had the lowest validation loss; trained in {trainer.elapsed:.1f} s"
    )
    if can_draw():
        write_figures(folder, trainer, splits.test, epoch, results)
    say(f"saved in {folder.path}:")
    for name in folder.files():
        say(f"  {name}")
    if not can_draw():
        say("figures need matplotlib: pip install 'dlcore[plot]'")


def _where_it_stopped(trainer: Trainer, checkpoints: Checkpoints) -> str:
    where = f"interrupted in epoch {trainer.epoch} of {trainer.epochs}" if trainer.epoch else "interrupted"
    saved = checkpoints.paths()
    return f"{where}; all is saved up to {saved[-1].name}" if saved else f"{where}, before there was a checkpoint"


def unused_path(model: str, data: str, moment: datetime.datetime) -> Path:
    """runs/MODEL-DATA-TIME, with a number behind it if that exists."""
    path = first = Path("runs") / f"{model}-{data}-{moment:%Y%m%d-%H%M%S}"
    number = 2
    while path.exists():
        path = first.with_name(f"{first.name}-{number}")
        number += 1
    return path


def _kernel_cache_is_empty() -> bool:
    from kernels.cpu.jit import cache_folder  # slow: loads Numba

    folder = cache_folder()
    return folder is None or not any(folder.rglob("*.nbc"))  # Numba's name for compiled code
