"""The data sets and optimisers that the command line offers, and what it does where nothing was said."""

from dataclasses import dataclass

from dlcore import data, models, optim
from dlcore.data import Dataset
from dlcore.nn import Module
from kernels.errors import ArgumentError

MODELS = tuple(models.names())


@dataclass(frozen=True)
class Splits:
    """A data set in three parts: to learn from, to choose an epoch by, and to report on."""

    train: Dataset
    validation: Dataset
    test: Dataset


@dataclass(frozen=True)
class DataChoice:
    """A data set on the command line.

    Attributes:
        description: what is in it, and how it is split.
        epochs, batch_size: the defaults.
        margin: pixels between a digit and the edge of its image, which `predict` keeps, too.
    """

    description: str
    epochs: int
    batch_size: int
    margin: int


#: Of MNIST's 60,000 training images, those held out for validation. The test images only ever measure the result.
HELD_OUT = 5_000

DATA = {
    "digits": DataChoice(
        "1,197 training, 300 validation and 300 test images of 8 × 8 pixels, which come with dlcore",
        epochs=30,
        batch_size=32,
        margin=0,
    ),
    "mnist": DataChoice(
        f"60,000 training images of 28 × 28 pixels, {HELD_OUT:,} of them held out for validation, and 10,000 test "
        "images; found in $DLCORE_DATA or downloaded once (11 MB)",
        epochs=5,
        batch_size=100,
        margin=4,
    ),
}

OPTIMIZERS: dict[str, type[optim.Optimizer]] = {
    "sgd": optim.SGD,
    "momentum": optim.Momentum,
    "nesterov": optim.Nesterov,
    "adagrad": optim.AdaGrad,
    "adadelta": optim.AdaDelta,
    "rmsprop": optim.RMSprop,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
}

#: The learning rates that suit the models here, at the default batch sizes.
LEARNING_RATES = {
    "sgd": 0.1,
    "momentum": 0.01,
    "nesterov": 0.01,
    "adagrad": 0.01,
    "adadelta": 1.0,
    "rmsprop": 0.001,
    "adam": 0.001,
    "adamw": 0.001,
}


def load_data(name: str) -> Splits:
    """The data set of that name, downloaded if need be.

    Raises:
        DataUnavailableError, FileFormatError: its files are missing or damaged.
    """
    if name == "digits":
        return Splits(*data.digits())
    both, test = data.mnist()
    # The same split for every seed, so that runs of different seeds can be compared.
    train, validation = data.random_split(both, [len(both) - HELD_OUT, HELD_OUT], seed=0)
    return Splits(train, validation, test)


def check_names(model: str, data: str, optimizer: str) -> None:
    """Refuse unknown names before anything is downloaded or made.

    Raises:
        ArgumentError: one of them is unknown; says which there are.
    """
    for option, name, known in (("model", model, MODELS), ("data", data, DATA), ("optimizer", optimizer, OPTIMIZERS)):
        if name not in known:
            raise ArgumentError(f"{option}: expected one of {', '.join(known)}, got {name!r}")


def make_optimizer(
    name: str, network: Module, learning_rate: float | None, weight_decay: float | None
) -> optim.Optimizer:
    """The optimiser of that name for the network's parameters; None stands for its usual value.

    Raises:
        ArgumentError: a number is out of its range.
    """
    options = {"lr": LEARNING_RATES[name] if learning_rate is None else learning_rate}
    if weight_decay is not None:
        options["weight_decay"] = weight_decay
    return OPTIMIZERS[name](network.parameters(), **options)
