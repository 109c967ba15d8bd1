from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from cnnkit.data.files import decoding, jpeg
from cnnkit.data.files.decoding import BadImage, Unreadable

END = b"\xff\xd9"


def encoded(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def smooth(height, width, mode="RGB"):
    """A picture with the small and large structures that JPEG is made for."""
    coarse = np.random.default_rng(height * width).integers(0, 256, (height // 5 + 2, width // 5 + 2, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def by_pillow(content, channels, side):
    image = Image.open(io.BytesIO(content))
    image.draft(None, (side, side))
    return np.asarray(ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")).tolist()


def by_us(content, channels, side, header=None):
    seen = decoding.pixels(content, channels, side, header)
    assert (seen.dtype, seen.ndim, seen.shape[2]) == (np.uint8, 3, channels)
    return (seen[:, :, 0] if channels == 1 else seen).tolist()


def is_bad(content):
    try:
        decoding.decode(content, 3)
    except BadImage:
        return True
    return False


JPEGS = {
    f"{mode} {height}x{width} {options}": encoded(smooth(height, width, mode), **options)
    for mode in ("L", "RGB")
    for height, width in [(1, 1), (16, 16), (33, 47), (131, 97)]
    for options in (
        {"quality": 1},
        {"quality": 75},
        {"quality": 90, "subsampling": "4:2:2"},
        {"quality": 100, "subsampling": "4:4:4"},
        {"progressive": True},
        {"progressive": True, "subsampling": "4:4:4", "optimize": True},
        {"restart_marker_rows": 1},
        {"comment": b"an end \xff\xd9 and a scan \xff\xda in a comment"},
    )
}
JPEGS["keep_rgb"] = encoded(smooth(40, 56), keep_rgb=True)
JPEGS["CMYK"] = encoded(smooth(50, 70).convert("CMYK"), subsampling="4:4:4")
JPEGS["CMYK of which TurboJPEG knows no subsampling"] = encoded(smooth(50, 70).convert("CMYK"), subsampling="4:2:0")


@pytest.mark.parametrize("name", JPEGS)
def test_every_bit_is_as_pillow_gives_it(name):
    header = decoding.header(JPEGS[name])
    for channels in (1, 3):
        for side in (8, 16, 40, 2**30):  # decoded at 1/8, 1/4, 1/2 or in full
            expected = by_pillow(JPEGS[name], channels, side)
            assert by_us(JPEGS[name], channels, side) == expected
            assert by_us(JPEGS[name], channels, side, header) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_turned_one_is_turned_upright(orientation, mode):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(smooth(50, 70, mode), exif=exif)
    for side in (16, 2**30):
        expected = by_pillow(content, 3, side)
        assert by_us(content, 3, side) == by_us(content, 3, side, decoding.header(content)) == expected


THUMBNAIL = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + encoded(smooth(16, 16))  # it has an end marker of its own
WHOLE = {
    "baseline": encoded(smooth(48, 48), quality=90),
    "grey": encoded(smooth(48, 48, "L"), quality=90),
    "progressive": encoded(smooth(48, 48), quality=90, progressive=True),
    "restarts": encoded(smooth(48, 48), restart_marker_blocks=2),
    "thumbnail": encoded(smooth(48, 48), exif=THUMBNAIL),
    "CMYK": encoded(smooth(48, 48).convert("CMYK"), subsampling="4:4:4"),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", WHOLE)
def test_one_that_is_cut_is_bad_though_its_end_is_marked(name):
    content = WHOLE[name]
    assert not is_bad(content)
    for length in {*range(2, len(content) - 2, 41), *range(len(content) - 40, len(content) - 3)}:
        assert is_bad(content[:length]), f"{length} of {len(content)} bytes"
        assert is_bad(content[:length] + END), f"{length} of {len(content)} bytes, and an end"
    assert is_bad(content[:-2])


def said_of(content):
    """What libjpeg itself says; None if nothing."""
    try:
        simplejpeg.decode_jpeg(content, strict=True)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", WHOLE)
def test_one_that_is_zeroed_in_its_midst_is_bad_if_libjpeg_has_anything_to_say(name):
    content = WHOLE[name]
    scan = decoding.jpeg._tidied(content)[1]
    verdicts = []
    for place in range(scan, len(content) - 102, 11):
        zeroed = content[:place] + bytes(100) + content[place + 100 :]
        verdicts.append(is_bad(zeroed))
        said = said_of(zeroed)
        if name != "progressive" or "0xd9" not in (said or ""):
            assert verdicts[-1] == (said is not None), place
    assert any(verdicts)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", WHOLE)
def test_what_libjpeg_calls_damaged_is_bad_and_what_it_has_nothing_to_say_of_is_not(name):
    chance = np.random.default_rng(0)
    scan = WHOLE[name].rfind(b"\xff\xda") + 20
    for attempt in range(60):
        content = bytearray(WHOLE[name])
        content[chance.integers(scan, len(content) - 2)] = chance.integers(256)
        said = said_of(bytes(content))
        if said is None or "extraneous bytes" not in said:
            assert is_bad(bytes(content)) == (said is not None), f"attempt {attempt}: {said}"


def with_extra(content, extra, marker):
    """The file with bytes too many before a marker: the last such one of the picture itself."""
    place = content.rfind(marker)
    return content[:place] + extra + content[place:]


EXTRA = (b"\x01", b"\x12\x34\x56", bytes(range(1, 200)), b"\xff\x00\x7f", bytes(40))


# Before the tables of a later scan there is the data of an earlier one: there libjpeg has lost its place.
PLACES = [
    (name, marker)
    for name, marker in itertools.product(WHOLE, (END, b"\xff\xdb", b"\xff\xc4"))
    if name != "thumbnail" and (name, marker) != ("progressive", b"\xff\xc4")
]


@pytest.mark.parametrize(("name", "marker"), PLACES)
def test_bytes_too_many_before_a_marker_do_not_matter(name, marker):
    whole = decoding.pixels(WHOLE[name], 3)
    for extra in EXTRA:
        seen, remark = decoding.decode(with_extra(WHOLE[name], extra, marker), 3)
        assert np.array_equal(seen, whole)
        assert remark is None or "extraneous bytes before marker" in remark  # zeros may be taken for what fills a byte
        assert remark or extra == bytes(40) or marker == END


def test_other_remarks_do_not_matter_either():
    content = WHOLE["baseline"]
    jfif = content.find(b"JFIF\0") + 5
    scan = content.find(b"\xff\xda")
    parameters = scan + 2 + content[scan + 3] - 3
    for place, value, remark in [
        (jfif, 9, "unknown JFIF revision"),
        (jfif, 0, "unknown JFIF revision"),
        (parameters + 1, 0, "Invalid SOS parameters"),
        (parameters + 2, 0x11, "Invalid SOS parameters"),
    ]:
        odd = bytearray(content)
        odd[place] = value
        seen = decoding.decode(bytes(odd), 3)
        assert np.array_equal(seen.pixels, decoding.pixels(content, 3))
        assert remark in seen.remark


def test_a_remark_hides_no_damage_behind_it():
    content = WHOLE["baseline"]
    for first, second in itertools.product((b"\xff\xdb", b"\xff\xc4"), repeat=2):
        odd = with_extra(with_extra(content, b"\x12\x34", first), b"\x56", second)
        assert not is_bad(with_extra(odd, b"\x78\x9a", END))
        assert is_bad(odd[:-100])
        assert is_bad(odd[:-100] + END)


def test_bytes_too_many_in_the_midst_of_the_data_are_damage():
    content = WHOLE["restarts"]
    for marker in (b"\xff\xd1", b"\xff\xd3"):
        assert is_bad(with_extra(content, b"\x12\x34\x56", marker))
    content = WHOLE["progressive"]
    assert is_bad(with_extra(content, b"\x12\x34\x56", b"\xff\xda"))


def test_that_memory_is_lacking_is_no_fault_of_the_file(monkeypatch):
    def lacking(*words, **more):
        raise MemoryError

    monkeypatch.setattr(simplejpeg, "decode_jpeg", lacking)
    with pytest.raises(Unreadable, match="not enough memory"):
        decoding.decode(WHOLE["baseline"], 3)

    def told(*words, **more):
        raise ValueError("Insufficient memory (case 4)")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", told)
    with pytest.raises(MemoryError):
        jpeg.decode(WHOLE["baseline"], "RGB", (48, 48))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[:-300], "damaged: Premature end of JPEG file"),
        (lambda content: content[:-300] + END, "damaged: premature end of data segment"),
    ],
)
def test_what_is_wrong_is_told_in_the_words_of_libjpeg(spoil, reason):
    with pytest.raises(BadImage, match=f"^{reason}$"):
        decoding.decode(spoil(WHOLE["baseline"]), 3)
