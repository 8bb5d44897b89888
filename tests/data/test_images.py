"""Image files in every kind of pixel, and files that are none, damaged, or traps."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dlcore.data import images
from dlcore.data.images import read_image
from kernels.errors import FileFormatError, MissingFileError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 12), np.uint8)
COLOURS = RNG.integers(0, 256, (9, 12, 3), np.uint8)


@pytest.mark.parametrize("mode", ["L", "I;16", "LA", "1"])
def test_grey_images(tmp_path, mode):
    picture = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(GREY).convert(mode)
    picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(
        np.asarray(image.convert("L")), np.asarray(picture.convert("L")) if mode == "1" else GREY
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_colour_images(tmp_path, mode):
    picture = Image.fromarray(COLOURS).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture.save(path, quality=100)
    image = read_image(path)
    assert image.mode == "RGB"
    np.testing.assert_allclose(
        np.asarray(image, int), np.asarray(picture.convert("RGB"), int), atol=60 if mode == "CMYK" else 0
    )


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (3, 2), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert (np.asarray(read_image(tmp_path / "a.png")) == 255).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_half_transparent_is_half_white(tmp_path, mode):
    alpha = np.array([[0, 64, 128, 255]], np.uint8)
    picture = Image.fromarray(np.full((1, 4), 100, np.uint8)).convert("P" if mode == "P" else mode)
    if mode == "P":
        picture.save(tmp_path / "a.png", transparency=100)
        alpha[:] = 0
    else:
        picture.putalpha(Image.fromarray(alpha))
        picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.mode == "RGB"
    expected = 255 - alpha / 255 * (255 - 100)
    np.testing.assert_allclose(np.asarray(image)[..., 0], expected, atol=1)


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), np.rot90(COLOURS, -1))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, content=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header(tmp_path):
    """150 million pixels, and more, in a hundred bytes."""
    (tmp_path / "a.png").write_bytes(png(15_000, 10_000))
    with pytest.raises(FileFormatError, match=r"a\.png' has 15000 × 10000 pixels, more than the 100,000,000"):
        read_image(tmp_path / "a.png")
    for side in (100_000, (1 << 31) - 1, 1 << 31, (1 << 32) - 1):
        (tmp_path / "a.png").write_bytes(png(side, side))
        with pytest.raises(FileFormatError, match=r"a\.png"):
            read_image(tmp_path / "a.png")


def test_text_that_unpacks_to_much_is_refused(tmp_path):
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(20_000_000), 9))
    content = png(2, 2, bytes(14))
    (tmp_path / "a.png").write_bytes(content[:33] + text + content[33:])
    with pytest.raises(FileFormatError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_damaged_files_end_in_one_kind_of_error(tmp_path, suffix):
    """Cut at every length and with bits turned, an image is read or refused, and nothing else happens."""
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOURS).save(path, exif=exif)
    whole = path.read_bytes()
    damaged = [whole[: round(length)] for length in np.linspace(0, len(whole) - 1, 40)]
    for _ in range(150):
        content = bytearray(whole)
        for place in RNG.integers(0, len(whole), 2):
            content[place] ^= 1 << RNG.integers(8)
        damaged.append(bytes(content))
    messages = []
    for content in damaged:
        path.write_bytes(content)
        try:
            assert read_image(path).mode in ("L", "RGB")
        except FileFormatError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert all(path.name in message for message in messages)


def test_what_is_no_image(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(FileFormatError, match=r"'.*a.png' is neither a PNG nor a JPEG image"):
        read_image(tmp_path / "a.png")
    with pytest.raises(MissingFileError, match=r"there is no file '.*b.png'"):
        read_image(tmp_path / "b.png")
    with pytest.raises(MissingFileError):
        read_image(tmp_path)


def test_other_formats_are_not_tried(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png", format="TIFF")
    with pytest.raises(FileFormatError, match="neither a PNG nor a JPEG"):
        read_image(tmp_path / "a.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(MissingFileError):
        read_image(tmp_path / "a.png")


def test_the_limit_is_of_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_MOST_PIXELS", 9 * 12)
    Image.fromarray(GREY).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").size == (12, 9)
    monkeypatch.setattr(images, "_MOST_PIXELS", 9 * 12 - 1)
    with pytest.raises(FileFormatError, match="12 × 9 pixels, more than the 107"):
        read_image(tmp_path / "a.png")
