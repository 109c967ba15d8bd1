from __future__ import annotations

import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnkit.data.files import decoding, file_facts
from cnnkit.data.files.decoding import BadImage, Unreadable
from cnnkit.data.files.fitting import fit_to

SIDE = 8  # of a quadrant: a block of JPEG, so that flat quadrants stay flat


def quadrants(*values, dtype=np.uint8):
    """Four flat squares, left to right and top to bottom."""
    corners = np.array(values, dtype).reshape(2, 2, -1)
    return corners.repeat(SIDE, 0).repeat(SIDE, 1)


def image_of(mode, *values, palette=None):
    if mode == "1":
        return image_of("L", *values).convert("1", dither=Image.Dither.NONE)
    pixels = quadrants(*values, dtype="<u2" if mode == "I;16" else np.uint8)
    image = Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())
    if palette:
        image.putpalette(np.ravel(palette).tolist())
    return image


def encoded(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def decoded(content, size=(2 * SIDE, 2 * SIDE), channels=3, fit="stretch"):
    return fit_to(decoding.pixels(content, channels, 2 * max(size)), size, fit)


def png(width, height, depth, colour_type, rows, chunks=()):
    """A PNG byte by byte, for what Pillow doesn't write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def gif_bomb():
    screen = struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x01\x2c\0;"


GREYS = (0, 85, 170, 255)
GREY_RGB = tuple((grey, grey, grey) for grey in GREYS)
COLOURS = ((200, 30, 40), (10, 220, 60), (20, 50, 240), (250, 240, 230))
PAPER = (255, 255, 255)
BLEND = (227, 142, 147)  # the first colour, half of it over white: 255 - (255 - c) * 128 / 255
HALF = (*COLOURS[0], 128), (*COLOURS[1], 255), (*COLOURS[2], 0), (*COLOURS[3], 255)
HALF_RGB = BLEND, COLOURS[1], PAPER, COLOURS[3]
INKS = ((0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 255))
INKS_RGB = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0))
RGB = image_of("RGB", *COLOURS)
GREY = image_of("L", *GREYS)
BLACK_WHITE = image_of("1", 0, 255, 255, 0)
BW_RGB = ((0, 0, 0), PAPER, PAPER, (0, 0, 0))
INDEXED = image_of("P", 0, 1, 2, 3, palette=COLOURS)
LOSSLESS = {"lossless": True, "exact": True}
FULL = {"quality": 95, "subsampling": 0}


@pytest.mark.parametrize(
    ("image", "format", "options", "colours", "tolerance"),
    [
        pytest.param(RGB, "JPEG", FULL, COLOURS, 4, id="JPEG RGB"),
        pytest.param(RGB, "JPEG", FULL | {"progressive": True}, COLOURS, 4, id="JPEG progressive"),
        pytest.param(GREY, "JPEG", FULL, GREY_RGB, 4, id="JPEG L"),
        pytest.param(image_of("CMYK", *INKS), "JPEG", FULL, INKS_RGB, 6, id="JPEG CMYK"),
        pytest.param(BLACK_WHITE, "PNG", {}, BW_RGB, 0, id="PNG 1"),
        pytest.param(BLACK_WHITE, "PNG", {"transparency": 1}, BW_RGB, 0, id="PNG 1 transparent"),
        pytest.param(GREY, "PNG", {}, GREY_RGB, 0, id="PNG L"),
        pytest.param(GREY, "PNG", {"transparency": 85}, (GREY_RGB[0], PAPER, *GREY_RGB[2:]), 0, id="PNG L transparent"),
        pytest.param(
            image_of("LA", (0, 128), (85, 255), (170, 0), (255, 255)),
            "PNG",
            {},
            ((127,) * 3, GREY_RGB[1], PAPER, PAPER),
            1,
            id="PNG LA",
        ),
        pytest.param(INDEXED, "PNG", {}, COLOURS, 0, id="PNG P"),
        pytest.param(INDEXED, "PNG", {"transparency": 2}, (*COLOURS[:2], PAPER, COLOURS[3]), 0, id="PNG P one clear"),
        pytest.param(INDEXED, "PNG", {"transparency": bytes([128, 255, 0, 255])}, HALF_RGB, 1, id="PNG P with alphas"),
        pytest.param(RGB, "PNG", {}, COLOURS, 0, id="PNG RGB"),
        pytest.param(
            RGB, "PNG", {"transparency": COLOURS[1]}, (COLOURS[0], PAPER, *COLOURS[2:]), 0, id="PNG RGB clear"
        ),
        pytest.param(image_of("RGBA", *HALF), "PNG", {}, HALF_RGB, 1, id="PNG RGBA"),
        pytest.param(image_of("I;16", *(257 * g for g in GREYS)), "PNG", {}, GREY_RGB, 0, id="PNG 16-bit grey"),
        pytest.param(BLACK_WHITE, "BMP", {}, BW_RGB, 0, id="BMP 1"),
        pytest.param(GREY, "BMP", {}, GREY_RGB, 0, id="BMP L"),
        pytest.param(INDEXED, "BMP", {}, COLOURS, 0, id="BMP P"),
        pytest.param(RGB, "BMP", {}, COLOURS, 0, id="BMP RGB"),
        pytest.param(GREY, "GIF", {}, GREY_RGB, 0, id="GIF L"),
        pytest.param(INDEXED, "GIF", {}, COLOURS, 0, id="GIF P"),
        pytest.param(INDEXED, "GIF", {"transparency": 2}, (*COLOURS[:2], PAPER, COLOURS[3]), 0, id="GIF P one clear"),
        pytest.param(RGB, "WEBP", LOSSLESS, COLOURS, 0, id="WebP RGB"),
        pytest.param(RGB, "WEBP", {"quality": 100}, COLOURS, 12, id="WebP lossy"),
        pytest.param(image_of("RGBA", *HALF), "WEBP", LOSSLESS, HALF_RGB, 1, id="WebP RGBA"),
    ],
)
def test_every_format_and_mode_is_seen_as_on_white_paper(image, format, options, colours, tolerance):
    content = encoded(image, format, **options)
    expected = quadrants(*colours).astype(int)
    inner = np.arange(2 * SIDE) % SIDE  # lossy formats blur across the borders of the quadrants
    inner = (inner > 1) & (inner < SIDE - 2)
    inside = np.ix_(inner, inner)

    seen = decoded(content)
    assert seen.dtype == np.uint8
    assert np.abs(seen - expected)[inside].max() <= tolerance

    luma = expected @ (0.299, 0.587, 0.114)  # ITU-R BT.601
    grey = decoded(content, channels=1)
    assert grey.shape == (2 * SIDE, 2 * SIDE, 1)
    assert np.abs(grey[..., 0] - luma)[inside].max() <= tolerance + 1


def test_sixteen_bits_a_colour_are_scaled_not_clipped():
    levels = np.array([[0, 257 * 100, 65535], [257 * 7, 257 * 128, 257 * 250]], ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    content = png(1, 2, 16, 2, zlib.compress(rows))
    assert decoded(content, (2, 1)).tolist() == [[[0, 100, 255]], [[7, 128, 250]]]


def test_sixteen_bit_grey_keeps_its_middle_levels():
    assert decoded(encoded(image_of("I;16", 300, 30000, 40000, 65000), "PNG"), channels=1)[
        ::SIDE, ::SIDE, 0
    ].tolist() == [
        [round(300 / 257), round(30000 / 257)],
        [round(40000 / 257), round(65000 / 257)],
    ]


@pytest.mark.parametrize(("format", "options"), [("GIF", {}), ("WEBP", LOSSLESS), ("PNG", {})])
def test_of_an_animation_the_first_frame_is_seen(format, options):
    content = encoded(INDEXED if format == "GIF" else RGB, format, save_all=True, append_images=[GREY], **options)
    assert np.array_equal(decoded(content), quadrants(*COLOURS))


def test_of_a_phones_mpo_the_first_picture_is_seen(tmp_path):
    file = tmp_path / "phone.jpg"
    file.write_bytes(encoded(RGB, "MPO", save_all=True, append_images=[GREY.convert("RGB")], **FULL))
    seen = decoding.pixels(decoding.read_bytes(file), 3)
    assert np.abs(seen - quadrants(*COLOURS).astype(int))[4::SIDE, 4::SIDE].max() <= 4


UPRIGHT = {  # EXIF 2.3, tag 0x0112: how the stored rows and columns are shown
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(("format", "options"), [("JPEG", FULL), ("PNG", {}), ("WEBP", LOSSLESS)])
def test_pictures_are_turned_upright(orientation, format, options):
    stored = np.concatenate([quadrants(*COLOURS), quadrants(*COLOURS[::-1])[:SIDE]])  # 24 x 16: no symmetry
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(stored), format, exif=exif, **options)
    expected = UPRIGHT[orientation](stored)
    seen = decoded(content, expected.shape[:2])
    centres = slice(SIDE // 2, None, SIDE)
    assert np.abs(seen - expected.astype(int))[centres, centres].max() <= (4 if format == "JPEG" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"", b"garbage", b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0"])
def test_broken_metadata_does_not_spoil_a_whole_picture(exif):
    whole = decoded(encoded(RGB, "JPEG", **FULL))
    assert np.array_equal(decoded(encoded(RGB, "JPEG", exif=exif, **FULL)), whole)


def thirds(height, width):
    """Red, green and blue thirds, along the longer side."""
    strip = np.eye(3, dtype=np.uint8) * 255
    long = strip.repeat(max(height, width) // 3, 0)
    across = np.repeat(long[None], min(height, width), 0)
    return Image.fromarray(across if width > height else across.transpose(1, 0, 2))


@pytest.mark.parametrize(("height", "width"), [(10, 30), (30, 10)])
def test_crop_keeps_the_middle(height, width):
    seen = decoded(encoded(thirds(height, width), "PNG"), (10, 10), fit="crop")
    assert np.array_equal(seen, np.broadcast_to([0, 255, 0], (10, 10, 3)).astype(np.uint8))


@pytest.mark.parametrize(("height", "width"), [(10, 30), (30, 10)])
def test_pad_keeps_everything_and_fills_with_black(height, width):
    image = thirds(height, width)
    expected = np.zeros((30, 30, 3), np.uint8)
    rows = slice((30 - height) // 2, (30 + height) // 2)
    columns = slice((30 - width) // 2, (30 + width) // 2)
    expected[rows, columns] = np.asarray(image)
    assert np.array_equal(decoded(encoded(image, "PNG"), (30, 30), fit="pad"), expected)


@pytest.mark.parametrize(("height", "width"), [(10, 30), (30, 10)])
def test_stretch_shows_everything_everywhere(height, width):
    seen = decoded(encoded(thirds(height, width), "PNG"), (30, 30), fit="stretch")
    along = seen[15] if width > height else seen[:, 15]
    assert along[[5, 15, 25]].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert np.array_equal(seen[0], seen[-1]) == (width > height)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_of_the_right_size_is_left_alone(fit):
    assert np.array_equal(decoded(encoded(RGB, "PNG"), fit=fit), quadrants(*COLOURS))


def test_making_smaller_averages():
    checkers = np.indices((64, 64)).sum(0) % 2 * 255
    seen = decoded(encoded(Image.fromarray(checkers.astype(np.uint8)), "PNG"), (8, 8), channels=1)
    assert np.abs(seen - 127.5).max() < 5


def test_a_large_jpeg_is_seen_as_if_decoded_in_full():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 3)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
    content = encoded(Image.fromarray(pixels), "JPEG", quality=95)
    in_full = Image.open(io.BytesIO(content)).resize((32, 16), Image.Resampling.BILINEAR)
    assert np.abs(decoded(content, (16, 32)) - np.asarray(in_full, int)).mean() < 4


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2000)])
def test_pictures_of_any_proportion_are_seen(size, format, fit):
    grey = Image.new("L", size, 200)
    seen = decoded(encoded(grey, format), (32, 32), fit=fit)
    assert seen.shape == (32, 32, 3)
    assert seen.max() == 200  # not all of it is padding
    assert fit == "pad" or seen.min() == 200


ROUGH = Image.fromarray(
    np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
)
WHOLE = {
    "JPEG": encoded(ROUGH, "JPEG"),
    "progressive JPEG": encoded(ROUGH, "JPEG", progressive=True),
    "PNG": encoded(ROUGH, "PNG"),
    "BMP": encoded(ROUGH, "BMP"),
    "GIF": encoded(ROUGH.convert("P"), "GIF"),
    "WebP": encoded(ROUGH, "WEBP"),
    "lossless WebP": encoded(ROUGH, "WEBP", lossless=True),
}


@pytest.mark.parametrize("format", WHOLE)
def test_a_cut_file_is_bad_unless_no_pixel_is_missing(format):
    content = WHOLE[format]
    whole = decoded(content)
    for length in sorted({*range(1, len(content), len(content) // 50), *range(len(content) - 30, len(content))}):
        try:
            seen = decoded(content[:length])
        except BadImage:
            continue
        assert np.array_equal(seen, whole), f"{length} of {len(content)} bytes pass for a picture"


@pytest.mark.parametrize("format", WHOLE)
def test_a_picture_of_which_half_is_missing_is_bad(format):
    with pytest.raises(BadImage):
        decoded(WHOLE[format][: len(WHOLE[format]) // 2])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(WHOLE["PNG"][: len(WHOLE["PNG"]) // 2] + WHOLE["PNG"][-12:], id="PNG chunk"),
        pytest.param(WHOLE["progressive JPEG"][: len(WHOLE["JPEG"]) // 2] + b"\xff\xd9", id="progressive JPEG"),
        pytest.param(WHOLE["GIF"][: len(WHOLE["GIF"]) // 2] + b"\0;", id="GIF"),
    ],
)
def test_half_a_picture_is_bad_though_its_end_is_marked(content):
    with pytest.raises(BadImage):
        decoded(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"not a picture, whatever its name says\n", "not a JPEG"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (png(20_000, 20_000, 8, 2, b""), "178,956,970 pixels"),
        (gif_bomb(), "178,956,970 pixels"),
    ],
    ids=["empty", "text", "no header", "PNG bomb", "GIF bomb"],
)
def test_what_is_no_picture_is_bad_and_says_why(content, reason, tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(content)
    with pytest.raises(BadImage, match=reason):
        decoding.pixels(decoding.read_bytes(file), 3)


@pytest.mark.parametrize(("name", "format"), [("a.jpg", "PNG"), ("a.png", "JPEG"), ("a.gif", "BMP"), ("a", "WEBP")])
def test_the_content_decides_not_the_name(name, format, tmp_path):
    file = tmp_path / name
    file.write_bytes(encoded(RGB, format))
    assert np.array_equal(decoding.pixels(decoding.read_bytes(file), 3), decoded(encoded(RGB, format)))


def test_a_file_larger_than_any_one_picture_is_not_read_and_what_to_do_is_told(tmp_path):
    with (tmp_path / "pages.tif").open("wb") as file:
        file.truncate(decoding.MAX_BYTES + 1)
    with pytest.raises(decoding.Unreadable, match=r"more than 2,147,483,648 bytes, .*; .* save the first alone$"):
        decoding.read_bytes(tmp_path / "pages.tif")


def test_a_file_that_comes_in_parts_is_read_whole(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(content := bytes(range(256)) * 10)
    read = os.read
    monkeypatch.setattr(os, "read", lambda file, count: read(file, min(count, 100)))
    assert decoding.read_bytes(tmp_path / "a.png") == content


def test_what_cannot_be_read_is_bad_and_says_why(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(Unreadable, match="a link that leads nowhere"):
        decoding.read_bytes(tmp_path / "gone.png")
    for name, reason in [("folder.png", "directory"), ("missing.png", "No such file"), ("loop.png", "symbolic links")]:
        with pytest.raises(BadImage, match=f"can't be read: .*{reason}"):
            decoding.read_bytes(tmp_path / name)


def test_a_file_without_permission_is_bad(tmp_path: Path, monkeypatch):
    file = tmp_path / "secret.png"
    RGB.save(file)
    file.chmod(0)
    if os.access(file, os.R_OK):  # root may read all

        def refuse(path, *_, **__):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BadImage, match="can't be read: Permission denied"):
        decoding.read_bytes(file)


def test_that_memory_or_the_file_is_lacking_is_no_fault_of_the_content(tmp_path, monkeypatch):
    with pytest.raises(Unreadable, match="can't be read: No such file"):
        decoding.read_bytes(tmp_path / "none.png")
    with pytest.raises(BadImage) as damaged:
        decoding.header(b"words")
    assert not isinstance(damaged.value, Unreadable)
    content = encoded(image_of("RGB", *[(1, 2, 3)] * 4), "PNG")

    def lacking(*words):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lacking)
    with pytest.raises(Unreadable, match="there is not enough memory to decode it"):
        decoded(content)


def test_what_is_decoded_in_turn_is_the_same(monkeypatch):
    content = encoded(image_of("RGB", (1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12)), "PNG")
    before = decoded(content)
    monkeypatch.setattr(decoding, "LARGE", 1)
    for _ in range(2):  # the turn is given back
        np.testing.assert_array_equal(decoded(content), before)


def chunks_of(content):
    """Where each chunk of a PNG begins, its length, and its kind."""
    place = 8
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        yield place, length, kind
        place += 12 + length


def with_notes(image, **options):
    """A PNG with chunks before and behind its pixels, as an editor writes them, in many parts."""
    content = encoded(image, "PNG", dpi=(72, 72), **options)
    note = b"tEXtSoftware\0an editor"
    note = struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note))
    end = content.rindex(b"IEND") - 4
    return content[:33] + note + content[33:end] + note + content[end:]


PNGS = {
    "colour": with_notes(ROUGH),
    "grey": with_notes(ROUGH.convert("L")),
    "palette": with_notes(ROUGH.convert("P")),
    "transparent": with_notes(ROUGH.convert("RGBA")),
    "two colours": with_notes(ROUGH.convert("1")),
}


@pytest.mark.parametrize("name", PNGS)
def test_any_wrong_byte_of_a_png_shows_whoever_asks(name):
    content = PNGS[name]
    assert not file_facts.facts_of(content).bad
    chance = np.random.default_rng(3)
    places = {place + offset for place, *_ in chunks_of(content) for offset in (0, 4, 8)}
    for place in {*places, *chance.integers(8, len(content), 60).tolist()} - {len(content)}:
        wrong = bytearray(content)
        wrong[place] ^= 1 << int(chance.integers(8))
        reason = file_facts.facts_of(bytes(wrong)).bad
        assert reason
        assert reason.startswith("damaged: ")
        for asked in (decoding.header, lambda c: decoding.pixels(c, 3), decoding.as_stored, decoding.image_of):
            with pytest.raises(BadImage, match=re.escape(reason)):
                asked(bytes(wrong))


@pytest.mark.parametrize("name", PNGS)
def test_a_png_that_is_cut_anywhere_is_bad(name):
    for length in range(1, len(PNGS[name]), 13):
        assert file_facts.facts_of(PNGS[name][:length]).bad
        with pytest.raises(BadImage):
            decoding.pixels(PNGS[name][:length], 3)


@pytest.mark.parametrize("colour_type", [0, 2, 4, 6])
def test_a_png_whose_pixels_end_early_is_bad_though_its_checksums_hold(colour_type):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    noise = np.random.default_rng(4).bytes(20 * channels)
    rows = b"".join(b"\0" + noise for _ in range(20))
    whole = png(20, 20, 8, colour_type, zlib.compress(rows))
    assert not file_facts.facts_of(whole).bad
    for cut in (zlib.compress(rows, 0)[:-30], zlib.compress(rows[: len(rows) // 2]), b""):
        content = png(20, 20, 8, colour_type, cut)
        assert file_facts.facts_of(content).bad
        for asked in (decoding.header, lambda c: decoding.pixels(c, 3), decoding.as_stored):
            with pytest.raises(BadImage):
                asked(content)


def test_what_stands_behind_the_pixels_of_a_png_is_read_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(quadrants(*COLOURS)[:SIDE]), "PNG", exif=exif)
    chunks = [content[place : place + 12 + length] for place, length, _ in chunks_of(content)]
    behind = sorted(chunks, key=lambda chunk: (b"IHDR", b"IDAT", b"eXIf", b"IEND").index(chunk[4:8]))
    moved = content[:8] + b"".join(behind)
    assert moved != content
    assert decoding.header(moved) == decoding.header(content)
    assert np.array_equal(decoding.pixels(moved, 3), decoding.pixels(content, 3))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_of_a_damaged_tiff_nothing_is_written_past_whoever_asks(compression, capfd):
    stream = io.BytesIO()
    Image.effect_noise((40, 40), 90).convert("RGB").save(stream, "TIFF", compression=compression)
    content = bytearray(stream.getvalue())
    content[8:40] = bytes(32)
    with pytest.raises(BadImage, match="its pixels can't be decoded"):
        decoding.pixels(bytes(content), 3)
    assert capfd.readouterr() == ("", "")
