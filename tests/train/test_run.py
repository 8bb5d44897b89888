import json
from dataclasses import asdict, replace

import pytest

from dlcore import files
from dlcore.train.run import RunConfig, RunFolder, write_json
from kernels.errors import ArgumentError, FileFormatError, MissingFileError

CONFIG = RunConfig(
    dlcore="1.2",
    model="mlp",
    data="digits",
    input_shape=(1, 8, 8),
    classes=("0", "eins"),
    epochs=3,
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    seed=2**63,
    backend="numpy",
    threads=2,
)


@pytest.mark.parametrize("name", ["", "new/folder"], ids=["there, and empty", "missing"])
def test_a_new_folder(tmp_path, name):
    folder = RunFolder.create(tmp_path / name, CONFIG)
    assert folder.read_config() == CONFIG
    assert folder.files() == ["config.json"]


def test_nothing_in_a_used_folder_is_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="is not empty; name another run folder"):
        RunFolder.create(tmp_path, CONFIG)
    with pytest.raises(ArgumentError, match=r"thesis.txt is a file; name another run folder"):
        RunFolder.create(tmp_path / "thesis.txt", CONFIG)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("thesis.txt", "mine")]


def test_open(tmp_path):
    with pytest.raises(MissingFileError, match="there is no folder"):
        RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match=r"is no run folder: it has no config\.json"):
        RunFolder.open(tmp_path)
    RunFolder.create(tmp_path, CONFIG)
    with pytest.raises(ArgumentError, match=r"no model\.safetensors: that run ended before its first epoch did"):
        RunFolder.open(tmp_path)
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "curves.png").touch()
    (tmp_path / ".hidden").touch()
    assert RunFolder.open(tmp_path).files() == ["config.json", "model.safetensors", "curves.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": None}, "'epochs' is no int"),
        ({"epochs": True}, "'epochs' is no int"),
        ({"learning_rate": "1"}, "'learning_rate' is no float"),
        ({"model": 3}, "'model' is no str"),
        ({"classes": "01"}, "'classes' is no list of names"),
        ({"classes": []}, "'classes' is no list of names"),
        ({"classes": ["a", 2]}, "'classes' is no list of names"),
        ({"input_shape": [1, 8.0, 8]}, "'input_shape' is no list of one to three lengths"),
        ({"input_shape": [1, 1, 8, 8]}, "'input_shape' is no list"),
        ({"input_shape": [10**9]}, "'input_shape' is no list"),
        ({"input_shape": [0]}, "'input_shape' is no list"),
        ({"extra": 1}, "'extra' is unknown"),
    ],
)
def test_a_config_that_is_not_ours(tmp_path, change, message):
    folder = RunFolder.create(tmp_path, CONFIG)
    write_json(folder.config, asdict(CONFIG) | change)
    with pytest.raises(FileFormatError, match=rf"config.json: not the configuration of a run: {message}"):
        folder.read_config()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null", b'{"model": "mlp"}'])
def test_a_damaged_config(tmp_path, content):
    folder = RunFolder.create(tmp_path, CONFIG)
    folder.config.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"config.json: not the configuration of a run"):
        folder.read_config()


def test_json_has_a_field_per_line(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": [1, 2], "b": "é"})
    assert json.loads(path.read_text()) == {"a": [1, 2], "b": "é"}
    assert len(path.read_text().splitlines()) == 4


def test_two_runs_that_begin_at_once_do_not_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(RunFolder, "check_unused", lambda self: None)  # both looked before either made it
    RunFolder.create(tmp_path / "run", CONFIG)
    with pytest.raises(ArgumentError, match="was taken by another run just now; name another run folder"):
        RunFolder.create(tmp_path / "run", replace(CONFIG, epochs=4))
    assert RunFolder(tmp_path / "run").read_config() == CONFIG
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError("Operation not supported")

    monkeypatch.setattr(files.os, "link", refuse)
    assert RunFolder.create(tmp_path / "run", CONFIG).read_config() == CONFIG
    monkeypatch.setattr(RunFolder, "check_unused", lambda self: None)
    with pytest.raises(ArgumentError, match="was taken by another run"):
        RunFolder.create(tmp_path / "run", CONFIG)


def test_what_a_killed_run_left_behind_does_not_take_a_folder(tmp_path):
    (tmp_path / ".config.json.writing-abc_1.json").touch()
    folder = RunFolder.create(tmp_path, CONFIG)
    with folder.alone():
        assert folder.files() == ["config.json"]
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "config.json"]


def test_a_config_of_an_older_version(tmp_path):
    folder = RunFolder.create(tmp_path, CONFIG)
    values = asdict(CONFIG)
    for name in ("schedule", "accumulate", "checkpoint_every", "keep_checkpoints"):
        del values[name]
    write_json(folder.config, values)
    assert folder.read_config() == CONFIG
