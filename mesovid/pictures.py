"""Reads and encodes still pictures, RGB on this side. What the bytes are decides, not the name.

`open_picture` reads what people have: any kind, as a viewer shows it, with what is odd about it.
`read_crop` reads what this package wrote, thousands of files in threads: the pixels and no more.

OpenCV reads what it reads well, Pillow AVIF and GIF, libheif HEIC; these two are imported when the
first such file is met.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from mesovid.errors import InputError, OutputError
from mesovid.opencv import MOST_PIXELS, cv2
from mesovid.records import Pixels

Result = TypeVar("Result")
Format = Literal["png", "jpg", "webp"]  # that pictures are encoded in

Growth = Literal["linear", "cubic", "lanczos"]  # how pictures are interpolated
_GROWTHS: dict[Growth, int] = {
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}

UNREADABLE = "not a picture that can be read; it is damaged or something else by that name"
QUALITY = 95  # of lossy formats, 0 to 100
_QUALITIES = {"jpg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}
_QUICK_PNG = (
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
)

STARTS = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
)
# bytes, by which one tells a bitmap from a text that begins with BM
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
HEIF_BRANDS = frozenset(
    [b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"]
)
LONGEST_BRANDS = 1024  # bytes of the box that lists them
AVIF_BRANDS = frozenset([b"avif", b"avis"])
SPEAKS = frozenset(["jpeg", "png"])  # whose decoders tell stderr of damage
DAMAGE = (b"Corrupt JPEG", b"Premature end", b"libpng error")
LARGEST_FILE = 2**29  # bytes
LONGEST_ANIMATION = 100_000  # frames: an hour and more
LONGEST_PROFILE = 1 << 23  # bytes
SAME_COLOUR = 3  # of 255; profiles of sRGB differ by as much through rounding
HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics of H.273
# what Pillow and its plugins raise over damaged files
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    RuntimeError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A still picture as a viewer shows it."""

    pixels: Pixels  # (height, width, 3) RGB
    warnings: tuple[str, ...] = ()  # what was odd about it, a sentence each
    unreliable: str | None = None  # why no verdict can rest on it


def read_picture(path: Path) -> Pixels:
    """The pixels of a still picture, see `open_picture`. InputError when it cannot be read."""
    return open_picture(path).pixels


def open_picture(path: Path) -> Picture:
    """A still picture, upright as its metadata says, in sRGB, 8 bits a colour, without its alpha.

    InputError when it cannot be read.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    kind = picture_kind(content)
    if kind in ("avif", "heif", "gif"):
        return _by_pillow(path, content, kind)
    size, profile = header(content, kind)
    if size is not None:
        check_size(path, *size)
    try:
        image, said = _heard(lambda: decode(content)) if kind in SPEAKS else (decode(content), b"")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    line = next((line for line in said.splitlines() if any(word in line for word in DAMAGE)), None)
    warnings = (
        ()
        if line is None
        else (f"the picture is damaged ({line.decode(errors='replace').strip()})",)
    )
    return Picture(to_srgb(image, profile), warnings)


def read_crop(path: Path, size: int | None = None) -> Pixels:
    """The pixels of a face's file, `size` px a side where that is given. Safe for threads.

    InputError when it cannot be read or has another size.
    """
    try:
        pixels = decode(read_file(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    height, width = pixels.shape[:2]
    if size is not None and (height, width) != (size, size):
        raise InputError(f"{path}: a face of {width}x{height} px, not of {size}x{size}")
    return pixels


def decode(content: bytes) -> Pixels:
    """The pixels of a picture's bytes, of the kinds that OpenCV knows, upright.

    InputError, which has no name to tell, when they are none or too many.
    """
    if not content:
        raise InputError("the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # more pixels than OpenCV agrees to read, among others
        raise InputError(UNREADABLE) from error
    if image is None:
        raise InputError(UNREADABLE)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def encode(
    pixels: Pixels, kind: Format = "png", quality: int = QUALITY, *, quick: bool = False
) -> bytes:
    """Pixels as a file's content; `quality` is that of a lossy format.

    `quick` packs a PNG by run lengths only: on faces of 256 px cut from c23 video as small as level
    6 of the default (71 kB), in 4 instead of 20 ms. OutputError for what the format cannot hold.
    """
    options = (_QUALITIES[kind], quality) if kind in _QUALITIES else _QUICK_PNG if quick else ()
    try:
        done, content = cv2.imencode(f".{kind}", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        raise OutputError(_unfit(pixels, kind)) from error
    if not done:
        raise OutputError(_unfit(pixels, kind))
    return bytes(content)


def _unfit(pixels: Pixels, kind: Format) -> str:
    size = "x".join(map(str, pixels.shape[1::-1]))
    return f"a picture of {size} px cannot be encoded as {kind}"


def resized(pixels: Pixels, size: int) -> Pixels:
    """A face as a square of `size` px."""
    return scaled(pixels, size, size)


def scaled(pixels: Pixels, width: int, height: int, growth: Growth = "linear") -> Pixels:
    """A picture at another size: averaged where it shrinks, interpolated where it grows.

    One that has that size is returned as it is.
    """
    high, wide = pixels.shape[:2]
    if (high, wide) == (height, width):
        return pixels
    how = cv2.INTER_AREA if width <= wide and height <= high else _GROWTHS[growth]
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)


def read_file(path: Path) -> bytes:
    """The content of a picture's file. InputError for one larger than any picture."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_FILE:
            raise InputError(
                f"{path}: a picture of {size >> 20:,} MiB is too large; {LARGEST_FILE >> 20} MiB "
                "is the most"
            )
        return file.read(size)


def picture_kind(beginning: bytes) -> str | None:
    """What kind of picture begins like this; None for anything else, videos too."""
    for start, kind in STARTS:
        if beginning.startswith(start):
            return kind
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "webp"
    if beginning[:2] == b"BM" and int.from_bytes(beginning[14:18], "little") in BMP_HEADERS:
        return "bmp"
    if (
        beginning[:1] == b"P"
        and beginning[1:2] in b"1234567"
        and beginning[2:3] in b" \t\r\n"
        and len(beginning) > 3
    ):
        return "pnm"
    if beginning[4:8] == b"jP  ":
        return None if beginning[20:24] == b"mjp2" else "jpeg2000"
    if beginning[4:8] == b"ftyp":
        end = min(int.from_bytes(beginning[:4]), len(beginning), LONGEST_BRANDS)
        brands = {beginning[at : at + 4] for at in range(16, end, 4)}
        if beginning[8:12] in AVIF_BRANDS | HEIF_BRANDS:
            return "avif" if AVIF_BRANDS & {beginning[8:12], *brands} else "heif"
    return None


_hearing = threading.Lock()


def _heard(work: Callable[[], Result]) -> tuple[Result, bytes]:
    """The result of `work`, and what libraries in C said on stderr meanwhile.

    It is kept from stderr.

    It is the only way in which OpenCV's decoders of JPEG and PNG tell of damage. What other threads
    say is passed on.
    """
    with _hearing, tempfile.TemporaryFile(buffering=0) as ear:
        try:
            stderr = os.dup(2)
        except OSError:  # there is no stderr
            return work(), b""
        os.dup2(ear.fileno(), 2)
        try:
            result = work()
        finally:
            os.dup2(stderr, 2)
            ear.seek(0)
            said = ear.read()
            lines = said.splitlines(keepends=True)
            foreign = b"".join(line for line in lines if not _of_decoders(line))
            if foreign:
                os.write(stderr, foreign)
            os.close(stderr)
    return result, said


def _of_decoders(line: bytes) -> bool:
    return line.startswith(b"libpng ") or any(
        word in line for word in (*DAMAGE, b"JPEG", b"Warning: ")
    )


def check_size(path: Path, width: int, height: int, most: int = MOST_PIXELS) -> None:
    if width * height > most:
        raise InputError(
            f"{path}: a picture of {width}x{height} px is too large; {most} px is the most"
        )


def check_length(path: Path, frames: int) -> None:
    """InputError for an animated picture of so many frames that nobody means it."""
    if frames > LONGEST_ANIMATION:
        raise InputError(
            f"{path}: an animated picture of more than {LONGEST_ANIMATION:,} frames; give a video"
        )


def _by_pillow(path: Path, content: bytes, kind: str) -> Picture:
    from PIL import Image, ImageOps

    warnings = []
    try:
        # not by Image.open, whose limit of size is one for the whole process
        with _pillow_opener(kind)(io.BytesIO(content)) as image:
            check_size(path, *image.size)
            if kind == "heif" and image.n_frames > 1:
                warnings.append(
                    f"the file holds {image.n_frames} pictures; only the main one is looked at"
                )
            profile = image.info.get("icc_profile")
            pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except (*DAMAGED, Image.DecompressionBombError) as error:  # the latter of a GIF's frame alone
        raise InputError(f"{path}: {UNREADABLE}") from error
    unreliable = None
    if kind != "gif" and (name := HDR.get(_transfer(content))):
        unreliable = f"the picture is HDR ({name}); its tones are not mapped to those of a display"
        warnings.append(unreliable)
    return Picture(to_srgb(pixels, profile), tuple(warnings), unreliable)


def _pillow_opener(kind: str) -> Callable[[io.BytesIO], Any]:
    if kind == "avif":
        from PIL.AvifImagePlugin import AvifImageFile

        return AvifImageFile
    if kind == "gif":
        from PIL.GifImagePlugin import GifImageFile

        return GifImageFile
    from pi_heif import HeifImageFile

    return HeifImageFile  # type: ignore[no-any-return]


# --- colour


def to_srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """Pixels in the colours of an ICC profile as sRGB.

    They stay as they are without one, or with one that cannot be used.
    """
    if not profile or profile[16:20] != b"RGB ":
        return pixels
    from PIL import Image, ImageCms

    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return pixels

    def applied(image: Image.Image) -> Pixels:
        return np.array(ImageCms.applyTransform(image, transform), np.uint8)

    levels = np.linspace(0, 255, 6).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(6, 36, 3)
    moved = np.abs(applied(Image.fromarray(cube)).astype(int) - cube)
    return pixels if moved.max() <= SAME_COLOUR else applied(Image.fromarray(pixels))


def _transfer(content: bytes) -> int:
    """The transfer characteristics that an AVIF or HEIC file says; 2 for unknown."""
    at = content.find(b"colrnclx")
    return int.from_bytes(content[at + 10 : at + 12]) if at >= 0 else 2


# --- what files say of themselves before they are decoded


def header(content: bytes, kind: str | None) -> tuple[tuple[int, int] | None, bytes | None]:
    """Width and height where they are easily told, and the ICC profile if there is one."""
    if kind == "jpeg":
        return _jpeg_header(content)
    if kind == "png":
        return _png_header(content)
    if kind == "webp":
        chunks = dict(riff_chunks(content))
        return _canvas(chunks.get(b"VP8X", b"")), chunks.get(b"ICCP")
    if kind == "tiff":
        return None, _tiff_profile(content)
    return None, None


def _canvas(extended: bytes) -> tuple[int, int] | None:
    """The size in a WebP picture's extended header, which simple pictures lack."""
    if len(extended) < 10:
        return None
    return (
        int.from_bytes(extended[4:7], "little") + 1,
        int.from_bytes(extended[7:10], "little") + 1,
    )


def _jpeg_header(content: bytes) -> tuple[tuple[int, int] | None, bytes | None]:
    size, parts, at = None, {}, 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker == 0xDA or length < 2:  # the picture itself
            break
        body = content[at + 4 : at + 2 + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(body) >= 5:
            size = int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            parts[body[12]] = body[14:]
        at += 2 + length
    return size, b"".join(parts[number] for number in sorted(parts)) or None


def _png_header(content: bytes) -> tuple[tuple[int, int] | None, bytes | None]:
    size = profile = None
    for kind, body in png_chunks(content):
        if kind == b"IHDR" and len(body) >= 8:
            size = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
        elif kind == b"iCCP":
            packed = bytes(body).partition(b"\0")[2][1:]
            try:
                profile = zlib.decompressobj().decompress(packed, LONGEST_PROFILE)
            except zlib.error:
                profile = None
        elif kind == b"IDAT":
            break
    return size, profile


def png_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, at = memoryview(content), 8
    while at + 12 <= len(content):
        length = int.from_bytes(view[at : at + 4])
        yield bytes(view[at + 4 : at + 8]), view[at + 8 : at + 8 + length]
        at += 12 + length


def riff_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(content):
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        yield content[at : at + 4], content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _tiff_profile(content: bytes) -> bytes | None:
    """The value of tag 34675 in the first directory."""
    order = "<" if content[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", content, 4)
        (entries,) = struct.unpack_from(f"{order}H", content, at)
        for number in range(entries):
            tag, _, count, value = struct.unpack_from(f"{order}HHII", content, at + 2 + 12 * number)
            if tag == 34675:
                return content[value : value + count]
    except struct.error:
        pass
    return None
