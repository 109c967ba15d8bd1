from __future__ import annotations

import io
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from cnnkit.data.files import decoding, formats
from cnnkit.data.files.decoding import BadImage, Unreadable
from cnnkit.data.files.walking import why_not

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
PICTURE = Image.fromarray(PIXELS)
SECOND = Image.fromarray(255 - PIXELS)


def saved(format, image=PICTURE, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def heic(image=PICTURE):
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, quality=-1)
    return stream.getvalue()


FULL = {"quality": 95, "subsampling": 0}
SAVED = {
    ".tif": saved("TIFF"),
    ".tiff": saved("TIFF", compression="tiff_lzw"),
    ".TIF": saved("TIFF", compression="tiff_adobe_deflate"),
    ".TIFF": saved("TIFF", compression="jpeg", quality=95),
    ".ppm": saved("PPM"),
    ".pgm": saved("PPM", PICTURE.convert("L")),
    ".pbm": saved("PPM", PICTURE.convert("1")),
    ".pnm": saved("PPM"),
    ".avif": saved("AVIF", quality=95, subsampling="4:4:4"),
    ".mpo": saved("MPO", save_all=True, append_images=[SECOND], **FULL),
    ".jp2": saved("JPEG2000"),
    ".j2k": saved("JPEG2000", no_jp2=True),
    ".jfif": saved("JPEG", **FULL),
    ".apng": saved("PNG", save_all=True, append_images=[SECOND]),
}


@pytest.mark.parametrize("ending", SAVED)
def test_a_file_is_found_by_its_ending_and_read(ending, tmp_path):
    file = tmp_path / f"a{ending}"
    file.write_bytes(SAVED[ending])
    assert why_not(str(file)) is None
    expected = PICTURE.convert("1" if ending == ".pbm" else "L" if ending == ".pgm" else "RGB").convert("RGB")
    assert np.abs(decoding.pixels(SAVED[ending], 3).astype(int) - np.asarray(expected)).mean() < 6
    assert decoding.header(SAVED[ending]).format in formats.ENDINGS[ending.lower()]
    assert formats.format_of(SAVED[ending][: formats.BEGINNING]) in formats.ENDINGS[ending.lower()]


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA"])
def test_of_a_tiff_the_first_page_is_seen_in_any_compression(mode, compression):
    pages = [each.convert(mode) for each in (PICTURE, SECOND, SECOND)]
    content = saved("TIFF", pages[0], save_all=True, append_images=pages[1:], compression=compression)
    assert decoding.header(content).frames == 3
    assert np.array_equal(decoding.pixels(content, 3), np.asarray(pages[0].convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_is_turned_once(orientation):
    content = saved("TIFF", tiffinfo={274: orientation})
    image = Image.open(io.BytesIO(content))
    image.load()  # Pillow turns these by itself
    assert np.array_equal(decoding.pixels(content, 3), np.asarray(image))
    header = decoding.header(content)
    assert (header.height, header.width, header.orientation) == (*PIXELS.shape[:2], orientation)
    assert np.array_equal(decoding.pixels(content, 3, header=header), np.asarray(image))


def test_heic_is_read_by_the_extra():
    content = heic()
    assert decoding.header(content)[:4] == ("HEIF", "RGB", 64, 48)
    assert np.abs(decoding.pixels(content, 3).astype(int) - PIXELS).mean() < 6
    with pytest.raises(BadImage, match="damaged"):
        decoding.pixels(content[: len(content) // 2], 3)


def test_without_the_extra_heic_is_told_by_name_with_the_way_on(monkeypatch):
    content = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(100)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for asked in (decoding.header, lambda content: decoding.pixels(content, 3)):
        with pytest.raises(Unreadable, match=r"^HEIC, .*pip install '\.\[heic\]'; or convert"):
            asked(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html>\n<html><body>404", "an HTML page"),
        (b"\n <HTML><head>", "an HTML page"),
        (b"%PDF-1.7\n", "a PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x">', "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"8BPS\0\1", "Photoshop"),
        (b"PK\3\4" + bytes(60), "an archive"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (bytes(128) + b"DICM" + bytes(9), "DICOM"),
        (b"\0\0\0\x20ftypisom" + bytes(20), "a video"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "damaged"),
        (b"II*\0" + bytes(20), "damaged"),
        (b"words", "not a JPEG, PNG, BMP, GIF, WebP, TIFF, PPM, AVIF, JPEG 2000 or HEIC image"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(content, said):
    for asked in (decoding.header, lambda content: decoding.pixels(content, 3)):
        with pytest.raises(BadImage) as raised:
            asked(content)
        assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.glasses", saved("GIF"), "GIF by its content, but not by its ending; give it the ending .gif"),
        ("a", saved("PNG"), "PNG by its content, but not by its ending; give it the ending .png"),
        ("a.image", saved("TIFF"), "give it the ending .tif"),
        ("a.1", saved("JPEG"), "give it the ending .jpg"),
        ("a.psd", b"8BPS", "Photoshop's format is not read; convert it to PNG"),
        ("a.NEF", b"MM\0*", "a camera's raw data is not read; convert it to PNG"),
        ("a.zip", b"PK", "an archive in the folder; unpack it"),
        ("a.tar.gz", b"\x1f\x8b", "an archive in the folder; unpack it"),
        ("a.txt", b"words", "not an image by its ending"),
        ("a.json", b"", "not an image by its ending"),
    ],
)
def test_what_is_left_out_of_a_folder_is_told_with_the_way_on(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert said in why_not(str(tmp_path / name))
