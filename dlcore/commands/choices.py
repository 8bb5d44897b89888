"""The models and optimisers that the command line offers, and what it does where nothing was said."""

from dlcore import models, optim
from dlcore.commands import datasets
from dlcore.nn import Module
from dlcore.train import Callback, Scheduled
from kernels.errors import ArgumentError

MODELS = tuple(models.names())

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


#: How the learning rate goes on: see `make_schedule`.
SCHEDULES = ("constant", "cosine", "one-cycle", "plateau")

#: Those that are spread over all epochs, whose number can't change any more once the first has begun.
SCHEDULES_OF_FIXED_LENGTH = ("cosine", "one-cycle")


def check_names(model: str, data: str, optimizer: str, schedule: str = "constant") -> None:
    """Refuse unknown names before anything is downloaded or made; whether a path exists shows when it is read.

    Raises:
        ArgumentError: one of them is unknown; says which there are.
    """
    datasets.check_name(data)
    for option, name, known in (
        ("model", model, MODELS),
        ("optimizer", optimizer, OPTIMIZERS),
        ("schedule", schedule, SCHEDULES),
    ):
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


def make_schedule(name: str, optimizer: optim.Optimizer, epochs: int, steps: int) -> list[Callback]:
    """What changes the learning rate, with so many steps in each epoch: no callback for "constant".

    "cosine" falls from the learning rate to 0, "one-cycle" rises to it and then falls, both step by step over all
    epochs; "plateau" divides it by 10 whenever the validation loss has not improved for 3 epochs.
    """
    if name == "cosine":
        return [Scheduled(optim.CosineAnnealingLR(optimizer, epochs * steps), every="step")]
    if name == "one-cycle":
        # One more than there are updates: a schedule takes a step behind the last one, too.
        return [Scheduled(optim.OneCycleLR(optimizer, optimizer.lr, epochs * steps + 1), every="step")]
    return [Scheduled(optim.ReduceLROnPlateau(optimizer, patience=3))] if name == "plateau" else []
