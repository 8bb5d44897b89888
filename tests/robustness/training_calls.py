"""Valid calls of optimisers, schedules, data and training."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcore import data, nn, optim, train
from tests.robustness.calls import Call, array, method, tensor


def parameters() -> list[Any]:
    given = [nn.Parameter(array(3, 2)), nn.Parameter(array(4))]
    for parameter in given:
        (parameter * parameter).sum().backward()
    return given


def optimizer(name: str, **options: Any) -> Call:
    """Made, and one step."""

    def call(parameters: Any, **given: Any) -> float:
        made = getattr(optim, name)(parameters, **given)
        made.step()
        return made.lr

    return Call(f"optim.{name}", call, lambda: {"parameters": parameters(), **options}, changes=("parameters",))


def groups() -> list[dict[str, Any]]:
    first, second = parameters()
    return [{"params": [first], "lr": 0.1}, {"params": [second], "weight_decay": 0.01}]


def sgd() -> Any:
    made = optim.Momentum(groups(), lr=0.1)
    made.step()
    return made


def schedule(name: str, **options: Any) -> Call:
    def call(optimizer: Any, **given: Any) -> list[float]:
        made = getattr(optim, name)(optimizer, **given)
        for _ in range(3):
            made.step()
        return made.get_last_lr()

    return Call(f"optim.{name}", call, lambda: {"optimizer": sgd(), **options}, changes=("optimizer",))


def sequential(optimizer: Any, milestones: Any, further: Any) -> list[float]:
    schedules = [optim.LinearLR(optimizer), *further]
    made = optim.SequentialLR(optimizer, schedules, milestones)
    for _ in range(3):
        made.step()
    return made.get_last_lr()


def sequential_arguments() -> dict[str, Any]:
    made = sgd()
    return {"optimizer": made, "milestones": [2], "further": [optim.ExponentialLR(made, 0.9)]}


def plateau(optimizer: Any, value: Any, **given: Any) -> list[float]:
    made = optim.ReduceLROnPlateau(optimizer, **given)
    for _ in range(3):
        made.step(value)
    return made.get_last_lr()


def loaded(make: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    def arguments() -> dict[str, Any]:
        made = make()
        return {"self": made, "saved": make().state_dict()}

    return arguments


def dataset() -> data.ArrayDataset:
    return data.ArrayDataset(array_on_host(12, 1, 2, 2), np.arange(12) % 3)


def array_on_host(*shape: int) -> Any:
    return np.linspace(-1, 1, int(np.prod(shape))).reshape(shape).astype(np.float32)


def network() -> Any:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def batches(loader: Callable[..., Any]) -> Callable[..., Any]:
    def call(**given: Any) -> int:
        return sum(1 for _ in loader(**given))

    return call


def fit(network: Any, batches: Any, epochs: Any, validation: Any, lr: Any, metrics: Any, loss: Any) -> Any:
    trainer = train.Trainer(network, optim.SGD(network.parameters(), lr), loss, metrics, progress=False)
    if type(epochs) is int:  # to train for ages is no bad input: it only takes them
        epochs = min(epochs, 3)
    return trainer.fit(batches, epochs=epochs, validation=validation)


def made_trainer(network: Any, optimizer: Any, loss: Any, metrics: Any, callbacks: Any) -> Any:
    return train.Trainer(network, optimizer, loss, metrics, callbacks, progress=False)


def trainer_arguments() -> dict[str, Any]:
    made = network()
    return {
        "network": made,
        "optimizer": optim.SGD(made.parameters(), 0.1),
        "loss": nn.CrossEntropyLoss(),
        "metrics": ["accuracy"],
        "callbacks": [train.EarlyStopping("loss")],
    }


CALLS = [
    optimizer("SGD", lr=0.1, weight_decay=0.01),
    Call(
        "optim.SGD",
        lambda groups, lr: optim.SGD(groups, lr).lr,
        lambda: {"groups": groups(), "lr": 0.5},
        changes=("groups",),
    ),
    optimizer("Momentum", lr=0.1, momentum=0.9),
    optimizer("Nesterov", lr=0.1, momentum=0.9),
    optimizer("AdaGrad", lr=0.1, eps=1e-10, weight_decay=0.0),
    optimizer("AdaDelta", lr=1.0, rho=0.9, eps=1e-6),
    optimizer("RMSprop", lr=0.1, alpha=0.99, eps=1e-8),
    optimizer("Adam", lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
    optimizer("AdamW", lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01),
    schedule("StepLR", step_size=2, gamma=0.5),
    schedule("ExponentialLR", gamma=0.9),
    schedule("CosineAnnealingLR", T_max=10, eta_min=0.01),
    schedule("LinearLR", start_factor=0.5, end_factor=1.0, total_iters=5),
    schedule(
        "OneCycleLR",
        max_lr=[0.1, 0.2],
        total_steps=10,
        pct_start=0.3,
        anneal_strategy="cos",
        div_factor=25.0,
        final_div_factor=1e4,
    ),
    Call("optim.SequentialLR", sequential, sequential_arguments, changes=("optimizer", "further")),
    Call(
        "optim.ReduceLROnPlateau",
        plateau,
        lambda: {"optimizer": sgd(), "value": 1.0, "mode": "min", "factor": 0.5, "patience": 1},
        changes=("optimizer",),
    ),
    Call(
        "Optimizer.load_state_dict",
        method("load_state_dict"),
        loaded(sgd),
        changes=("self",),
        fixed=("self",),
    ),
    Call(
        "Schedule.load_state_dict",
        method("load_state_dict"),
        loaded(lambda: optim.StepLR(sgd(), 2)),
        changes=("self",),
        fixed=("self",),
    ),
    # data
    Call(
        "data.ArrayDataset",
        data.ArrayDataset,
        lambda: {"x": array_on_host(4, 1, 2, 2), "y": np.arange(4) % 2, "classes": ["a", "b"]},
    ),
    Call("data.ArrayDataset", data.ArrayDataset, lambda: {"x": array_on_host(4, 2), "y": array_on_host(4, 1)}),
    Call(
        "Dataset[...]",
        lambda dataset, index: dataset[index][0],
        lambda: {"dataset": dataset(), "index": [0, 3]},
        fixed=("dataset",),
        raises=(IndexError,),
    ),
    Call("data.Subset", data.Subset, lambda: {"dataset": dataset(), "indices": [0, 5, 2]}),
    Call("data.random_split", data.random_split, lambda: {"dataset": dataset(), "lengths": [0.5, 0.5], "seed": 1}),
    Call("data.random_split", data.random_split, lambda: {"dataset": dataset(), "lengths": [8, 4], "seed": 1}),
    Call(
        "data.DataLoader",
        batches(data.DataLoader),
        lambda: {
            "dataset": dataset(),
            "batch_size": 5,
            "shuffle": True,
            "drop_last": False,
            "seed": 3,
            "prefetch": 0,
            "backend": "numpy",
        },
    ),
    # training
    Call("train.Trainer", made_trainer, trainer_arguments, changes=("network", "optimizer")),
    Call(
        "Trainer.fit",
        fit,
        lambda: {
            "network": network(),
            "batches": data.DataLoader(dataset(), 4, prefetch=0),
            "epochs": 1,
            "validation": dataset(),
            "lr": 0.1,
            "metrics": ["accuracy"],
            "loss": nn.CrossEntropyLoss(),
        },
        changes=("network", "batches"),
        fixed=("network",),
    ),
    Call(
        "Trainer.fit",
        fit,
        lambda: {
            "network": network(),
            "batches": [(array_on_host(4, 1, 2, 2), np.arange(4) % 3)],
            "epochs": 2,
            "validation": None,
            "lr": 0.1,
            "metrics": ["accuracy"],
            "loss": nn.CrossEntropyLoss(),
        },
        changes=("network",),
        fixed=("network",),
    ),
    Call(
        "train.evaluate",
        train.evaluate,
        lambda: {"network": network(), "source": dataset(), "metrics": ["accuracy"], "batch_size": 5},
    ),
    Call("train.predict", train.predict, lambda: {"network": network(), "x": tensor(3, 1, 2, 2), "batch_size": 2}),
    Call(
        "train.EarlyStopping",
        train.EarlyStopping,
        lambda: {"monitor": "loss", "patience": 3, "min_delta": 0.0, "restore_best": True},
    ),
    # What is no path, Python's own pathlib refuses.
    Call(
        "train.SaveWeights",
        train.SaveWeights,
        lambda: {"path": "weights.safetensors", "monitor": "loss"},
        raises=(TypeError,),
    ),
    Call("train.MetricsFile", train.MetricsFile, lambda: {"path": "metrics.jsonl"}, raises=(TypeError,)),
]
