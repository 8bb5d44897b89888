import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image

import dlcore.data as data
from kernels.errors import ArgumentError, DataError, FileFormatError, MissingFileError

RNG = np.random.default_rng(0)


def write(path, shape=(4, 6)):
    """A random picture at this path; its pixels, (C, H, W)."""
    pixels = RNG.integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return np.moveaxis(pixels.reshape(*shape[:2], -1), -1, 0)


def test_classes_and_files_in_the_order_of_their_names(tmp_path):
    expected = [write(tmp_path / name) for name in ("ape/1.png", "ape/2.PNG", "bee/a.png", "Cat/z.png")]
    dataset = data.image_folder(tmp_path)
    assert isinstance(dataset, data.ArrayDataset)
    assert dataset.classes == ["Cat", "ape", "bee"]
    assert dataset.y.tolist() == [0, 1, 1, 2]
    assert dataset.input_shape == (1, 4, 6)
    np.testing.assert_array_equal(dataset.x, np.stack([expected[3], *expected[:3]]) / np.float32(255))
    assert dataset._inputs.dtype == np.uint8


def test_colours(tmp_path):
    colours, grey = write(tmp_path / "a/1.png", (4, 6, 3)), write(tmp_path / "a/2.png")
    dataset = data.image_folder(str(tmp_path))
    np.testing.assert_array_equal(dataset._inputs, np.stack([colours, np.repeat(grey, 3, axis=0)]))
    greys = data.image_folder(tmp_path, channels=1)
    assert greys.input_shape == (1, 4, 6)
    np.testing.assert_array_equal(greys._inputs[1], grey)
    luma = np.asarray(Image.fromarray(np.moveaxis(colours, 0, -1)).convert("L"))
    np.testing.assert_array_equal(greys._inputs[0, 0], luma)


def test_colours_may_come_late(tmp_path):
    """The grey images that were read before the first one in colour keep their places."""
    expected = [np.repeat(write(tmp_path / f"a/{number}.png"), 3, axis=0) for number in range(5)]
    expected += [write(tmp_path / f"a/{number}.png", (4, 6, 3)) for number in (5, 6)]
    expected.append(np.repeat(write(tmp_path / "a/7.png"), 3, axis=0))
    np.testing.assert_array_equal(data.image_folder(tmp_path)._inputs, np.stack(expected))


def test_memory_is_needed_for_the_result_alone(tmp_path):
    for number in range(20):
        write(tmp_path / f"a/{number:02}.png", (200, 300, 3) if number == 10 else (200, 300))
    data.image_folder(tmp_path)  # what Pillow keeps
    tracemalloc.start()
    dataset = data.image_folder(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dataset._inputs.nbytes == 20 * 3 * 200 * 300
    assert peak < 1.35 * dataset._inputs.nbytes


def test_the_first_other_size_ends_the_reading(tmp_path):
    write(tmp_path / "a/1.png", (4, 6))
    write(tmp_path / "a/2.png", (6, 4))
    (tmp_path / "a/3.png").write_bytes(b"never read")
    with pytest.raises(DataError, match=r"2\.png' has 4 × 6 pixels"):
        data.image_folder(tmp_path)


def test_an_image_is_grey_if_its_pixels_are_whatever_its_file_stores(tmp_path):
    grey = np.repeat(RNG.integers(0, 256, (4, 6, 1), np.uint8), 3, axis=2)
    (tmp_path / "a").mkdir()
    Image.fromarray(grey).save(tmp_path / "a/1.png")
    Image.fromarray(grey).save(tmp_path / "a/2.jpeg")
    assert data.image_folder(tmp_path).input_shape == (1, 4, 6)
    assert data.image_folder(tmp_path, channels=3).input_shape == (3, 4, 6)


def test_what_is_passed_over(tmp_path):
    write(tmp_path / "a/1.png")
    for name in ("a/._1.png", "a/notes.txt", "a/deeper/2.png", ".git/3.png", "4.png"):
        write(tmp_path / name) if name.endswith("2.png") else (tmp_path / name).parent.mkdir(exist_ok=True)
        if not name.endswith("2.png"):
            (tmp_path / name).write_bytes(b"no image")
    dataset = data.image_folder(tmp_path)
    assert (len(dataset), dataset.classes) == (1, ["a"])


@pytest.mark.skipif(os.name == "nt", reason="making links needs a privilege on Windows")
def test_links_are_followed(tmp_path):
    expected = write(tmp_path / "store/1.png")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a").symlink_to(tmp_path / "store")
    (tmp_path / "root/b").mkdir()
    (tmp_path / "root/b/x.png").symlink_to(tmp_path / "store/1.png")
    (tmp_path / "root/b/gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "root/b/loop").symlink_to(tmp_path / "root")
    dataset = data.image_folder(tmp_path / "root")
    np.testing.assert_array_equal(dataset._inputs, np.stack([expected] * 2))


def test_images_can_be_scaled_to_one_size(tmp_path):
    write(tmp_path / "a/1.png", (8, 12))
    write(tmp_path / "a/2.png", (4, 4))
    same = write(tmp_path / "b/3.png", (5, 7))
    dataset = data.image_folder(tmp_path, size=(np.int64(5), 7))
    assert dataset.input_shape == (1, 5, 7)
    np.testing.assert_array_equal(dataset._inputs[2], same)


def test_classes_of_another_dataset(tmp_path):
    write(tmp_path / "bee/1.png")
    dataset = data.image_folder(tmp_path, classes=["ape", "bee", "cat"])
    assert dataset.classes == ["ape", "bee", "cat"]
    assert dataset.y.tolist() == [1]
    with pytest.raises(DataError, match=r"'.*bee' is none of the classes ape, cat"):
        data.image_folder(tmp_path, classes=["ape", "cat"])


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"image_folder: there is no folder '.*nowhere'"):
        data.image_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no folders; expected one for each class"):
        data.image_folder(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=r"'.*a' holds no .png, .jpg, .jpeg files"):
        data.image_folder(tmp_path)
    write(tmp_path / "a/1.png", (4, 6))
    write(tmp_path / "a/2.png", (6, 4))
    message = r"'.*2.png' has 4 × 6 pixels, but '.*1.png' 6 × 4; scale them to one size, or pass size=\(height, width\)"
    with pytest.raises(DataError, match=message):
        data.image_folder(tmp_path)
    whole = (tmp_path / "a/2.png").read_bytes()
    (tmp_path / "a/2.png").write_bytes(whole[:50])
    with pytest.raises(FileFormatError, match=r"2\.png' cannot be read"):
        data.image_folder(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, r"channels must be 1 \(grey\) or 3 \(colours\), got 2"),
        ({"channels": True}, "got True"),
        ({"channels": "3"}, "got '3'"),
        ({"size": (True, 8)}, r"got \(True, 8\)"),
        ({"classes": "ape"}, "classes must be a list of different names, got 'ape'"),
        ({"classes": 5}, "list of different names, got 5"),
        ({"classes": [1, 2]}, r"got \[1, 2\]"),
        ({"classes": ["a", "a"]}, r"got \['a', 'a'\]"),
        ({"size": 8}, r"size must be \(height, width\), each from 1 to 16384, got 8"),
        ({"size": (8, 0)}, r"got \(8, 0\)"),
        ({"size": (1 << 20, 1 << 20)}, "size must be"),
    ],
)
def test_options_out_of_range(tmp_path, options, message):
    with pytest.raises(ArgumentError, match=message):
        data.image_folder(tmp_path, **options)
