import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dlcore.commands.images import as_digit, as_picture, check_takes_images, read_grey
from dlcore.data import images
from kernels.errors import ArgumentError, FileFormatError, MissingFileError


def drawing(size=(120, 90), box=(40, 20, 60, 70), ground=255, stroke=0):
    """A filled rectangle, like a thick 1."""
    image = Image.new("L", size, ground)
    ImageDraw.Draw(image).rectangle(box, fill=stroke)
    return image


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_grey_values(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    drawing().save(path)
    grey = read_grey(path)
    assert grey.shape == (90, 120)
    assert grey.dtype == np.float32
    assert grey[0, 0] == pytest.approx(1, abs=0.02)
    assert grey[40, 50] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA", "LA", "I;16"])
def test_every_kind_of_pixel(tmp_path, mode):
    """The same picture, whatever the file stores for a pixel."""
    picture = drawing()
    wide = np.asarray(picture).astype(np.uint16) * 257
    picture = Image.fromarray(wide) if mode == "I;16" else picture.convert(mode)
    picture.save(tmp_path / "image.png")
    np.testing.assert_allclose(read_grey(tmp_path / "image.png"), np.asarray(drawing()) / 255, atol=1e-6)


def test_what_is_transparent_is_white(tmp_path):
    picture = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    picture.putpixel((5, 5), (0, 0, 0, 255))
    picture.save(tmp_path / "image.png")
    grey = read_grey(tmp_path / "image.png")
    assert grey[5, 5] == 0
    assert grey.sum() == 99


def test_a_photo_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    drawing().save(tmp_path / "image.jpg", exif=exif)
    assert read_grey(tmp_path / "image.jpg").shape == (120, 90)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MissingFileError, match=r"no file '.*nothing.png'"):
        read_grey(tmp_path / "nothing.png")
    with pytest.raises(MissingFileError):
        read_grey(tmp_path)
    path = tmp_path / "image.png"
    drawing().save(path, format="GIF")
    with pytest.raises(FileFormatError, match="neither a PNG nor a JPEG"):
        read_grey(path)
    drawing().save(path)
    whole = path.read_bytes()
    for length in (0, 10, 40, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match=r"image\.png"):
            read_grey(path)


def test_an_image_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_MOST_PIXELS", 1000)
    drawing().save(tmp_path / "image.png")
    with pytest.raises(FileFormatError, match="120 × 90 pixels, more than the 1,000"):
        read_grey(tmp_path / "image.png")


@pytest.mark.parametrize(("ground", "stroke"), [(255, 0), (0, 255), (200, 60), (80, 180)])
def test_a_digit_is_light_on_black_in_the_middle(ground, stroke):
    """Cut out of any place, scaled to the frame inside the margins: 51 × 21 pixels become 20 × 8."""
    grey = np.asarray(drawing(ground=ground, stroke=stroke), dtype=np.float32) / 255
    image = as_digit("it", grey, (1, 28, 28), margin=4)
    assert image.shape == (1, 28, 28)
    assert image.dtype == np.float32
    rows, columns = np.nonzero(image[0] > 0.5)
    assert (rows.min(), rows.max()) == (4, 23)
    assert (columns.min(), columns.max()) == (10, 17)
    assert image.min() == 0
    assert image.max() == 1


def test_the_centre_of_mass_is_in_the_middle():
    """An L: its mass is below and left of the middle of its box."""
    grey = np.zeros((100, 100), dtype=np.float32)
    grey[20:80, 30:36] = 1
    grey[74:80, 30:70] = 1
    image = as_digit("it", grey, (1, 28, 28), margin=4)[0]
    for axis in (0, 1):
        mass = image.sum(axis=1 - axis)
        assert (mass * (np.arange(28) + 0.5)).sum() / mass.sum() == pytest.approx(14, abs=0.51)


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 28, 28)])
def test_an_image_of_the_networks_size_is_taken_as_it_is(shape):
    grey = np.zeros((28, 28), dtype=np.float32)
    grey[2:9, 3:20] = 0.7
    for given in (grey, 1 - grey):
        image = as_digit("it", given, shape, margin=4)
        assert image.shape == shape
        np.testing.assert_allclose(image, np.broadcast_to(grey, shape), atol=1e-6)


def test_nothing_to_see():
    with pytest.raises(ArgumentError, match="'it' shows nothing"):
        as_digit("it", np.full((50, 50), 0.6, dtype=np.float32), (1, 8, 8), margin=0)


@pytest.mark.parametrize("shape", [(64,), (8, 8), (4, 8, 8)])
def test_a_network_that_takes_no_images(shape):
    check_takes_images((3, 8, 8))
    with pytest.raises(ArgumentError, match=f"takes inputs of shape {re.escape(str(shape))}, not images"):
        check_takes_images(shape)


@pytest.mark.parametrize("shape", [(1, 9, 12), (3, 9, 12), (3, 45, 30)])
def test_a_picture_is_scaled_and_keeps_its_colours(shape):
    """Red left, white right, whatever the size: not cut, not inverted, not centred."""
    picture = Image.new("RGB", (60, 45), (255, 255, 255))
    picture.paste((255, 0, 0), (0, 0, 30, 45))
    image = as_picture(picture, shape)
    assert (image.shape, image.dtype) == (shape, np.float32)
    left = [76 / 255] if shape[0] == 1 else [1, 0, 0]
    np.testing.assert_allclose(
        image[:, :, : shape[2] // 2 - 1],
        np.reshape(left, (-1, 1, 1)) * np.ones((1, *shape[1:]))[:, :, : shape[2] // 2 - 1],
        atol=1e-6,
    )
    np.testing.assert_allclose(image[:, :, shape[2] // 2 + 1 :], 1)


def test_a_picture_of_the_networks_size_is_taken_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    np.testing.assert_array_equal(
        as_picture(Image.fromarray(pixels), (3, 6, 5)), pixels.transpose(2, 0, 1) / np.float32(255)
    )


def test_a_single_pixel_and_a_long_line():
    for box in ((50, 50, 50, 50), (0, 40, 119, 40)):
        grey = np.asarray(drawing(box=box), dtype=np.float32) / 255
        image = as_digit("it", grey, (1, 8, 8), margin=0)
        assert np.isfinite(image).all()
        assert image.max() == 1
