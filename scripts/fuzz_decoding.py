"""Damage images of every format and mode, and see whether the one decoder, and all commands alike, refuse them.

Usage: python scripts/fuzz_decoding.py [--count 2000] [--commands 200] [--seed 0]

Each of a score of pictures is damaged in every way that files are in life: bits flipped, cut, cut and closed again by
the end of its format, zeroed in a stretch, with wrong lengths and other numbers in its header, with bytes inserted or
missing. What the format's own library calls corrupt or ended early, asked here independently and in its strictest form,
is to be refused: JPEG by simplejpeg, PNG by its checksums and zlib, all others by Pillow's `verify` and `load`. Some
formats have no checksum, so of a flipped bit in them nobody knows.

The table has, for each format: how many were tried; how many of them the library calls corrupt; of these, how many the
decoder accepts; how many it refuses that the library has nothing to say about; and exceptions that are no `BadImage`.
Then some are laid into a folder for each, and `data`, `train`, `predict` and `preview` are asked about every file, by
the functions that they call: on how many they disagree. Those that tell faults should be 0; else it exits with 1.
"""

from __future__ import annotations

import argparse
import binascii
import io
import os
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from PIL import Image

from cnnkit.core.progress import Progress
from cnnkit.data.feeding.loading import load
from cnnkit.data.feeding.preprocessing import Preprocessing
from cnnkit.data.files import decoding
from cnnkit.data.files.decoding import BadImage
from cnnkit.data.section import Cache, Data
from cnnkit.data.sources.folder import Folder
from cnnkit.inspection.doctor import examine

SHAPE = (24, 24, 3)
"""What the network is shown, in the part about commands."""


def picture(mode: str = "RGB", side: int = 40) -> Any:
    """One with large and small structures, and some noise."""
    chance = np.random.default_rng(7)
    coarse = chance.integers(0, 256, (side // 5, side // 4, 4), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse, "RGBA").resize((side + 9, side), Image.Resampling.BICUBIC), np.int16)
    image = Image.fromarray(np.clip(smooth + chance.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8), "RGBA")
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def encoded(format: str, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture(mode).save(stream, format, **options)
    return stream.getvalue()


def interlaced() -> bytes:
    """A PNG in seven passes, which Pillow reads and does not write."""
    pixels = np.asarray(picture())
    passes = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
    rows = b"".join(
        b"\0" + row.tobytes() for left, across, top, down in passes for row in pixels[top::down, left::across]
    )
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 1)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return PNG + b"".join(chunk(*part) for part in parts)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", binascii.crc32(kind + data))


PNG = b"\x89PNG\r\n\x1a\n"


def samples() -> dict[str, bytes]:
    """The whole pictures, by what they are called in the table."""
    return {
        "JPEG": encoded("JPEG", quality=85),
        "JPEG progressive": encoded("JPEG", quality=85, progressive=True),
        "JPEG grey": encoded("JPEG", "L", quality=85),
        "JPEG CMYK": encoded("JPEG", "CMYK", quality=85, subsampling=0),
        "JPEG with restarts": encoded("JPEG", quality=85, restart_marker_blocks=2),
        "PNG": encoded("PNG"),
        "PNG grey": encoded("PNG", "L"),
        "PNG of 16 bits": encoded("PNG", "I;16"),
        "PNG palette": encoded("PNG", "P"),
        "PNG alpha": encoded("PNG", "RGBA"),
        "PNG interlaced": interlaced(),
        "GIF": encoded("GIF", "P"),
        "BMP": encoded("BMP"),
        "WebP": encoded("WEBP", quality=85),
        "WebP lossless": encoded("WEBP", "RGBA", lossless=True),
        "TIFF": encoded("TIFF"),
        "TIFF LZW": encoded("TIFF", compression="tiff_lzw"),
        "TIFF deflate": encoded("TIFF", "RGBA", compression="tiff_adobe_deflate"),
        "TIFF packbits": encoded("TIFF", "L", compression="packbits"),
        "TIFF JPEG": encoded("TIFF", compression="jpeg"),
        "TIFF of 16 bits": encoded("TIFF", "I;16", compression="tiff_lzw"),
        "PPM": encoded("PPM"),
        "PGM of 16 bits": encoded("PPM", "I;16"),
        "AVIF": encoded("AVIF", quality=60),
        "JPEG 2000": encoded("JPEG2000"),
    }


def flipped(content: bytearray, chance: Any) -> bytes:
    for place in chance.integers(len(content), size=chance.integers(1, 5)):
        content[place] ^= 1 << int(chance.integers(8))
    return bytes(content)


def cut(content: bytearray, chance: Any) -> bytes:
    return bytes(content[: chance.integers(1, len(content))])


def closed(content: bytearray, chance: Any) -> bytes:
    """Cut, and its end put behind, as long as the end of a PNG or that of a JPEG."""
    return cut(content, chance) + bytes(content[-int(chance.choice([2, 12])) :])


def zeroed(content: bytearray, chance: Any) -> bytes:
    length = int(chance.integers(4, max(5, min(512, len(content) // 2))))
    place = int(chance.integers(len(content) - length))
    content[place : place + length] = bytes(length)
    return bytes(content)


def mislaid(content: bytearray, chance: Any) -> bytes:
    """Another number of two or four bytes in its first third, where lengths, sizes and places of data stand."""
    place = int(chance.integers(2, max(3, len(content) // 3)))
    length = int(chance.choice([2, 4]))
    value = int(chance.choice([0, 1, 255, 65535, chance.integers(2**16)]))
    content[place : place + length] = value.to_bytes(length, str(chance.choice(["big", "little"])))  # type: ignore[arg-type]
    return bytes(content)


def longer(content: bytearray, chance: Any) -> bytes:
    place = int(chance.integers(len(content)))
    more: bytes = chance.bytes(int(chance.integers(1, 40)))
    return bytes(content[:place]) + more + bytes(content[place:])


def shorter(content: bytearray, chance: Any) -> bytes:
    place = int(chance.integers(len(content)))
    return bytes(content[:place] + content[place + int(chance.integers(1, 40)) :])


WAYS: tuple[Callable[[bytearray, Any], bytes], ...] = (flipped, cut, closed, zeroed, mislaid, longer, shorter)


def damaged(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """So many damaged files of a whole one, in all ways in turn; always the same ones."""
    chance = np.random.default_rng(seed)
    for i in range(count):
        yield WAYS[i % len(WAYS)](bytearray(content), chance)


def library(content: bytes) -> bool | None:
    """Whether the format's library calls it corrupt or ended early; None if it only has a remark on it."""
    if not content:
        return True
    if content.startswith(b"\xff\xd8"):
        return by_libjpeg(content)
    if content.startswith(PNG) and not png_holds(content):
        return True
    return by_pillow(content)


def by_pillow(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.verify()
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception:
        return True
    return False


def by_libjpeg(content: bytes) -> bool | None:
    try:
        header = simplejpeg.decode_jpeg_header(content)
        simplejpeg.decode_jpeg(content, "CMYK" if header[2] in ("CMYK", "YCCK") else "RGB", strict=True)
    except ValueError as error:
        if "subsampling level" in str(error):  # or there is no picture at all
            return by_pillow(content)
        remarks = ("extraneous bytes", "unknown JFIF", "Invalid SOS parameters")
        return None if any(remark in str(error) for remark in remarks) else True
    return by_pillow(content)


def png_holds(content: bytes) -> bool:
    """Whether every checksum holds up to the end, and there are as many pixels as there should be."""
    place, data = 8, b""
    while True:
        head = content[place : place + 8]
        if len(head) < 8:
            return False
        length, kind = struct.unpack(">I4s", head)
        body, checksum = content[place + 8 : place + 8 + length], content[place + 8 + length : place + 12 + length]
        if len(checksum) < 4 or binascii.crc32(kind + body) != struct.unpack(">I", checksum)[0]:
            return False
        data += body if kind == b"IDAT" else b""
        place += 12 + length
        if kind == b"IEND":
            break
    try:
        zlib.decompress(data)
    except zlib.error:
        return False
    return True


@dataclass
class Row:
    """What came of one format."""

    tried: int = 0
    corrupt: int = 0
    accepted: int = 0
    refused: int = 0
    raised: int = 0
    asked: int = 0
    disagreed: int = 0

    @property
    def good(self) -> bool:
        return not (self.accepted or self.refused or self.raised or self.disagreed)


def refuses(content: bytes) -> bool:
    """The verdict of the decoder, with what is known beforehand and without."""
    try:
        decoding.decode(content, 3)
    except BadImage:
        return True
    return False


def try_decoder(row: Row, content: bytes) -> None:
    row.tried += 1
    corrupt = library(content)
    try:
        refused = refuses(content)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        row.raised += 1
        return
    row.corrupt += corrupt is True
    row.accepted += corrupt is True and not refused
    row.refused += corrupt is False and refused


def refused_by_each(folder: Path) -> dict[str, set[str]]:
    """From each command to the files of a folder of classes that it refuses, by what it calls itself."""
    data = Data(source=Folder(path=str(folder), on_bad="skip"))
    index = data.source.open(Progress()).index(Progress())
    preprocessing = Preprocessing(SHAPE, "crop")
    found = examine.examine(data, Progress())
    refused = {"data": {name for each in found.findings if each.kind == "undecodable" for name in each.files}}
    kept = load(index, preprocessing, Cache(memory_gib=0.01, disk_gib=0), Progress(), skip_bad=True).index
    refused["train"] = set(index.names) - set(kept.names)

    def told(work: Callable[[int], Any]) -> set[str]:
        names = set()
        for i in range(len(index)):
            try:
                work(i)
            except BadImage:
                names.add(index.names[i])
        return names

    refused["predict"] = told(lambda i: preprocessing.of_file(folder / index.names[i]))
    refused["preview"] = told(lambda i: preprocessing.first(index, i))
    refused["preview, as it is"] = told(index.open)
    return refused


def try_commands(row: Row, name: str, content: bytes, count: int, seed: int) -> None:
    ending = {"WebP": ".webp", "AVIF": ".avif", "PPM": ".ppm", "PGM": ".pgm", "TIFF": ".tif"}.get(
        name.split()[0], ".png"
    )
    with tempfile.TemporaryDirectory() as place:
        os.environ["CNNKIT_CACHE"] = f"{place}/cache"
        folder = Path(place) / "images"
        for label in "ab":
            (folder / label).mkdir(parents=True)
            for i in range(6):  # whole ones, so that there is something to train on
                (folder / label / f"whole{i}.png").write_bytes(encoded_plain(ord(label) + 2 * i))
        for i, spoilt in enumerate(damaged(content, count, seed)):
            (folder / "ab"[i % 2] / f"{i}{ending}").write_bytes(spoilt)
        verdicts = refused_by_each(folder)
        asked = set.union(*verdicts.values())
        row.asked += count
        row.disagreed += sum(any(name not in refused for refused in verdicts.values()) for name in asked)


def encoded_plain(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((30, 30), shade % 100 + 1).save(stream, "PNG")
    return stream.getvalue()


def absurd() -> dict[str, bytes]:
    """What is no picture, or would fill the memory: each is to be refused."""
    huge = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    wide = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    jpeg = encoded("JPEG")
    frame = jpeg.index(b"\xff\xc0") + 5
    tiff, bmp, gif = encoded("TIFF"), encoded("BMP"), encoded("GIF", "P")
    width = tiff.index(struct.pack("<HHI", 256, 4, 1)) + 8
    return {
        "nothing": b"",
        "PNG of 2^62 pixels": PNG
        + chunk(b"IHDR", huge)
        + chunk(b"IDAT", zlib.compress(bytes(9)))
        + chunk(b"IEND", b""),
        "PNG of 3.6 billion": PNG
        + chunk(b"IHDR", wide)
        + chunk(b"IDAT", zlib.compress(bytes(9)))
        + chunk(b"IEND", b""),
        "PNG of 0 x 0": PNG + chunk(b"IHDR", bytes(8) + b"\x08\2\0\0\0") + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
        "JPEG of 65,500 a side": jpeg[:frame] + struct.pack(">HH", 65500, 65500) + jpeg[frame + 4 :],
        "JPEG of 0 x 0": jpeg[:frame] + bytes(4) + jpeg[frame + 4 :],
        "TIFF of 2^32": tiff[:width] + b"\xff\xff\xff\xff" + tiff[width + 4 :],
        "TIFF of 0": tiff[:width] + bytes(4) + tiff[width + 4 :],
        "BMP of 2^31": bmp[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + bmp[26:],
        "BMP of 0": bmp[:18] + bytes(8) + bmp[26:],
        "GIF of 65,535 a side": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "PPM of 10^10": b"P6 100000 100000 255\n" + bytes(100),
        "PPM of 0": b"P6 0 0 255\n",
        "PPM of text": b"P3 4 4 255\n1 2 x",
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Without what libtiff prints of its own."""
    keep = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(keep, 2)
            os.close(keep)


def fuzz(count: int, commands: int, seed: int) -> dict[str, Row]:
    """What came of each format."""
    rows: dict[str, Row] = {}
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (name, content) in enumerate(samples().items()):
            row = rows[name] = Row()
            if refuses(content):
                row.refused += 1
            for spoilt in damaged(content, count, seed + number):
                try_decoder(row, spoilt)
            if commands:
                try_commands(row, name, content, commands, seed + 1000 + number)
        row = rows["absurd"] = Row()
        for content in absurd().values():
            row.tried += 1
            row.accepted += not refuses(content)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="damaged files of each format through the decoder")
    parser.add_argument("--commands", type=int, default=200, help="of each format through the commands; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = fuzz(options.count, options.commands, options.seed)
    columns = ("tried", "corrupt", "accepted", "refused", "raised", "asked", "disagreed")
    print(f"{'':20}" + "".join(f"{column:>10}" for column in columns))
    for name, row in rows.items():
        print(f"{name:20}" + "".join(f"{getattr(row, column):10,}" for column in columns))
    print(f"{'all':20}" + "".join(f"{sum(getattr(row, column) for row in rows.values()):10,}" for column in columns))
    return 0 if all(row.good for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
