"""Valid calls of transforms, metrics and callbacks, and of what saves, loads and lists."""

import contextlib
from typing import Any

import numpy as np

import dlcore as dl
from dlcore import backend, data, models, optim, train
from dlcore.random import Generator
from tests.robustness.calls import Call, array
from tests.robustness.training_calls import dataset, network, sgd


def transform(name: str, **options: Any) -> Call:
    """Made with these options, and applied to a batch of images."""

    def call(x: Any, generator: Any, **given: Any) -> Any:
        return getattr(data, name)(**given)(x, generator)

    return Call(
        f"data.{name}",
        call,
        lambda: (
            {"x": np.linspace(0, 1, 2 * 3 * 64, dtype=np.float32).reshape(2, 3, 8, 8), **options}
            | {"generator": Generator(1)}
        ),
        fixed=("x", "generator"),
    )


def metric(name: str, **options: Any) -> Call:
    """Made with these options, and measured on a network."""

    def call(**given: Any) -> Any:
        return train.evaluate(network(), dataset(), metrics=[getattr(train, name)(**given)])

    return Call(f"train.{name}", call, lambda: dict(options))


def unfound(function: Any) -> Any:
    """A call for which nothing is there to read or write: so none of them writes where it should not."""

    def call(**given: Any) -> Any:
        with contextlib.suppress(dl.MissingFileError):
            function(**given)

    return call


CALLS = [
    transform("Normalize", mean=[0.1, 0.2, 0.3], std=1.5),
    transform("RandomCrop", size=(4, 5), padding=1),
    transform("RandomFlip", p=0.5, axis="vertical"),
    transform("RandomRotation", degrees=10.0),
    transform("RandomShift", pixels=2),
    transform("Compose", transforms=(data.RandomFlip(), data.RandomShift(1))),
    Call("data.npz", unfound(data.npz), lambda: {"path": "no-such-file.npz"}, raises=(TypeError, ValueError, OSError)),
    Call(
        "data.image_folder",
        unfound(data.image_folder),
        lambda: {"root": "no-such-folder", "size": (4, 4), "channels": 1, "classes": ["a", "b"]},
        raises=(TypeError, ValueError, OSError),
    ),
    metric("Accuracy", ignore_index=None),
    metric("TopK", k=2, ignore_index=None),
    *[metric(name, average="macro", ignore_index=1) for name in ("F1", "Precision", "Recall")],
    metric("ConfusionMatrix", ignore_index=0),
    Call(
        "train.Checkpoints",
        train.Checkpoints,
        lambda: {"folder": "checkpoints", "every": 5, "keep": 2, "report": print},
        raises=(TypeError,),
    ),
    Call(
        "train.Scheduled",
        train.Scheduled,
        lambda: {"schedule": optim.StepLR(sgd(), 2), "every": "epoch", "monitor": "loss"},
    ),
    Call("backend.from_dlpack", backend.from_dlpack, lambda: {"x": array(2, 3)}),
    Call("backend.is_foreign", backend.is_foreign, lambda: {"x": array(2, 3)}),
    Call(
        "dl.save",
        unfound(dl.save),
        lambda: {"source": network(), "path": "no-such-folder/file"},
        raises=(TypeError, ValueError, OSError),
    ),
    Call(
        "dl.load",
        unfound(dl.load),
        lambda: {"network": network(), "path": "no-such-file"},
        raises=(TypeError, ValueError, OSError),
    ),
    Call("models.LeNet5", models.LeNet5, lambda: {"input_shape": (1, 16, 16), "num_classes": 3}),
]
