"""`--data`: what can be named, how it is split, and the commands on data of one's own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dlcore
from dlcore import backend as backends
from dlcore import data
from dlcore.cli import main
from dlcore.commands import datasets, training
from kernels.errors import ArgumentError, DataError, MissingFileError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each command starts in an empty folder, without figures, and leaves threads and backend as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "can_draw", lambda: False)
    threads = dlcore.get_num_threads()
    with backends.using(backends.current().name):
        yield tmp_path
    dlcore.set_num_threads(threads)


def pictures(root, count, classes=("grass", "sea", "soil"), shape=(8, 10, 3)):
    """So many pictures per class, each of the class's colour, in folders of the classes' names."""
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            pixels = RNG.integers(0, 128, shape)
            pixels[..., number % 3] += 127
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{index}.png")


def saved(path, count=50, **arrays):
    y = np.arange(count) % 5
    x = RNG.integers(0, 256, (count, 1, 6, 6), np.uint8)
    np.savez(path, **{"x": x, "y": y, **arrays})


def sizes(splits):
    return len(splits.train), len(splits.validation), len(splits.test)


def test_a_folder_of_classes_is_split(here):
    pictures(here / "own", 20)
    splits = datasets.load("own")
    assert sizes(splits) == (48, 6, 6)
    assert splits.test.classes == ["grass", "sea", "soil"]
    assert splits.train.input_shape == (3, 8, 10)
    again = datasets.load(str(here / "own"))
    np.testing.assert_array_equal(splits.test.x, again.test.x)
    parts = np.concatenate([part.x for part in (splits.train, splits.validation, splits.test)])
    assert len(np.unique(parts.reshape(60, -1), axis=0)) == 60


@pytest.mark.parametrize("has_validation", [True, False])
def test_a_folder_of_splits_is_taken_as_it_is(here, has_validation):
    pictures(here / "own/train", 10)
    pictures(here / "own/test", 2, classes=("sea", "soil"))
    if has_validation:
        pictures(here / "own/validation", 3)
    splits = datasets.load("own")
    assert sizes(splits) == ((30, 9, 4) if has_validation else (27, 3, 4))
    assert splits.test.y.tolist() == [1, 1, 2, 2]
    assert splits.test.classes == splits.validation.classes == ["grass", "sea", "soil"]


@pytest.mark.parametrize("name", ["validation", "val", "valid", None])
def test_what_a_folder_of_splits_lacks_is_held_out_from_training(here, name):
    pictures(here / "own/train", 10)
    if name:
        pictures(here / "own" / name, 3)
    splits = datasets.load("own")
    assert sizes(splits) == ((27, 9, 3) if name else (24, 3, 3))
    assert splits.test.classes == ["grass", "sea", "soil"]
    pictures(here / "own/test", 2)
    assert sizes(datasets.load("own")) == ((30, 9, 6) if name else (27, 3, 6))


def test_folders_of_splits_that_are_unclear(here):
    pictures(here / "own/train", 10)
    for name in ("val", "valid"):
        pictures(here / "own" / name, 1)
    with pytest.raises(DataError, match="own' holds both val/ and valid/; keep one of them"):
        datasets.load("own")
    shutil.rmtree(here / "own/train")
    pictures(here / "own/test", 1)
    with pytest.raises(DataError, match="own' holds test/, but no images for training in train/CLASS/"):
        datasets.load("own")


def test_pictures_of_trains(here):
    pictures(here / "own", 10, classes=("car", "train"))
    assert datasets.load("own").train.classes == ["car", "train"]


def test_an_archive_of_arrays_is_split_unless_it_holds_test_data(here):
    saved("own.npz")
    assert sizes(datasets.load("own.npz")) == (40, 5, 5)
    saved("own.npz", x_test=np.zeros((3, 1, 6, 6), np.uint8), y_test=[0, 1, 6])
    splits = datasets.load("own.npz")
    assert sizes(splits) == (45, 5, 3)
    assert splits.train.num_classes == 7


def test_the_named_ones_are_what_they_are_said_to_be():
    train, *_ = data.digits()
    assert (train.input_shape, train.num_classes) == (
        datasets.NAMED["digits"].input_shape,
        datasets.NAMED["digits"].num_classes,
    )
    assert [choice.margin for choice in datasets.NAMED.values()] == [0, 4, None, None]


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_validation_data_are_held_out(monkeypatch, name):
    def load():
        parts = (np.zeros((count, 1, 1, 1), np.uint8) for count in (5010, 20))
        return tuple(data.ArrayDataset(x, np.arange(len(x)) % 10) for x in parts)

    monkeypatch.setattr(data, name.replace("-", "_"), load)
    splits = datasets.load(name)
    assert sizes(splits) == (10, 5000, 20)
    order = data.random_split(load()[0], [10, 5000], seed=0)[0].indices
    np.testing.assert_array_equal(splits.train.indices, order)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", "digits"),
        ("./digits", "digits"),
        ("/some/My pictures (2024).npz", "My-pictures-2024"),
        ("/some/birds.v2/", "birds.v2"),
        ("/", "data"),
        ("/a/--", "data"),
        ("/a/" + "b" * 200, "b" * 60),
    ],
)
def test_a_short_name_for_files(name, expected):
    assert datasets.label(name) == expected


def test_a_path_means_the_same_from_everywhere(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    assert datasets.lasting("mnist") == "mnist"
    assert datasets.lasting("own/../a.npz") == str(here / "a.npz")
    assert datasets.lasting("~/a.npz") == str(here / "home/a.npz")


def test_how_often_and_how_many_at_once():
    def parts(count):
        return data.ArrayDataset(np.zeros((count, 1)), np.zeros(count, int))

    assert [datasets.default_epochs("a.npz", parts(count)) for count in (10, 10_000, 10**6)] == [30, 20, 5]
    assert [datasets.default_batch_size("a.npz", parts(count)) for count in (10, 10_000)] == [32, 100]
    assert (datasets.default_epochs("mnist", parts(1)), datasets.default_batch_size("mnist", parts(1))) == (5, 100)


def test_what_is_neither_a_name_nor_a_path(here):
    for name in ("digits", "a.npz", "some/where", str(here)):
        datasets.check_name(name)
    with pytest.raises(ArgumentError, match="data: expected one of digits, mnist, fashion-mnist, cifar10, a folder"):
        datasets.check_name("imagenet")
    (here / "imagenet").mkdir()
    datasets.check_name("imagenet")


def test_data_that_do_not_make_a_data_set(here):
    with pytest.raises(MissingFileError, match=r"data: there is no folder or \.npz file 'some/where'; was it moved"):
        datasets.load("some/where")
    with pytest.raises(MissingFileError, match=r"there is no folder or|cannot be read: File name too long"):
        datasets.load("a" * 5000)
    saved("a.npz", x=np.zeros((50, 7)))
    with pytest.raises(DataError, match=r"holds inputs x of shape \(50, 7\); expected images, \(N, C, H, W\)"):
        datasets.load("a.npz")
    saved("a.npz", y=np.zeros(50))
    with pytest.raises(DataError, match=r"'a\.npz' has 0 classes; expected labels of two or more"):
        datasets.load("a.npz")
    saved("a.npz", count=9)
    with pytest.raises(DataError, match="there are 9 images to split; expected at least 10"):
        datasets.load("a.npz")
    pictures(here / "own/train", 10)
    pictures(here / "own/test", 1, shape=(10, 8, 3))
    with pytest.raises(DataError, match="own/test' have 8 × 10 pixels, but those for training 10 × 8"):
        datasets.load("own")


def test_train_evaluate_and_predict_on_a_folder_of_colour_images(backend, here, capsys, monkeypatch):
    pictures(here / "own pictures", 20)
    options = ["--epochs", "8", "--batch-size", "8", "--backend", backend.name]
    assert main(["train", "--data", "own pictures", "--model", "mlp", *options]) == 0
    (run,) = (here / "runs").iterdir()
    assert run.name.startswith("mlp-own-pictures-")
    config = json.loads((run / "config.json").read_text())
    assert config["data"] == str(here / "own pictures")
    assert (config["input_shape"], config["classes"]) == ([3, 8, 10], ["grass", "sea", "soil"])
    accuracy = json.loads((run / "results.json").read_text())["test_accuracy"]
    assert accuracy > 0.8
    Image.new("RGB", (90, 70), (30, 40, 200)).save("water.jpg")
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    capsys.readouterr()
    assert main(["evaluate", str(run), "--backend", backend.name]) == 0
    assert f"mlp on the 6 test images of {here / 'own pictures'}: accuracy {accuracy:.4f}" in capsys.readouterr().out
    shutil.rmtree(here / "own pictures")
    assert main(["predict", str(run), "../water.jpg", "--backend", backend.name]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["../water.jpg", "soil"]
    assert main(["evaluate", str(run)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"dlcore: data: there is no folder or .npz file '{here}/own pictures'; was it moved or deleted?\n"


def test_train_on_an_archive_of_arrays(here, capsys):
    train, _, test = data.digits()
    arrays = {"x": train.x, "y": train.y, "x_test": test.x, "y_test": test.y}
    np.savez_compressed("own.npz", classes=[f"digit {label}" for label in range(10)], **arrays)
    assert main(["train", "--data", "own.npz", "--model", "mlp", "--epochs", "3", "--lr", "0.01", "--run", "run"]) == 0
    assert json.loads(Path("run/results.json").read_text())["test_accuracy"] > 0.85
    assert "1,078 training, 119 validation, 300 test images" in " ".join(capsys.readouterr().out.split())
    picture = Image.fromarray(np.rint(test.x[0, 0] * 255).astype(np.uint8))
    picture.save("same.png")
    picture.resize((80, 80), Image.Resampling.NEAREST).save("larger.png")
    assert main(["predict", "run", "same.png", "larger.png"]) == 0
    same, larger = (line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert same[1:3] == larger[1:3] == ["digit", str(test.y[0])]


@pytest.mark.parametrize("change", ["class", "shape"])
def test_data_that_changed_since(here, capsys, change):
    pictures(here / "own", 10)
    assert main(["train", "--data", "own", "--model", "perceptron", "--epochs", "1", "--run", "run"]) == 0
    if change == "class":
        pictures(here / "own", 1, classes=("sky",))
    else:
        shutil.rmtree("own")
        pictures(here / "own", 10, shape=(9, 10, 3))
    capsys.readouterr()
    assert main(["evaluate", "run"]) == 2
    err = capsys.readouterr().err
    if change == "class":
        assert "has the classes grass, sea, sky, soil now, but the run was made for grass, sea, soil" in err
    else:
        assert "has images of shape (3, 9, 10) now, but the run was made for (3, 8, 10)" in err


def test_a_network_that_the_images_do_not_fit(here, capsys):
    pictures(here / "own", 10)
    assert main(["train", "--data", "own", "--model", "lenet-5", "--run", "run"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "LeNet5: input_shape must be (channels, height, width) with images of at least 12×12, got (3, 8, 10)" in err
    assert not (here / "run").exists()


def test_networks_of_other_channels_take_no_image_files(here, capsys):
    saved("own.npz", x=RNG.integers(0, 256, (50, 2, 6, 6), np.uint8))
    assert main(["train", "--data", "own.npz", "--model", "mlp", "--epochs", "1", "--run", "run"]) == 0
    Image.new("L", (6, 6)).save("a.png")
    capsys.readouterr()
    assert main(["predict", "run", "a.png"]) == 2
    assert "takes inputs of shape (2, 6, 6), not images: expected (1, H, W) or (3, H, W)" in capsys.readouterr().err
