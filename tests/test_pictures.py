"""Pictures of any kind: whole, upright, in sRGB, whatever their names.

Animations have all their frames.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from mesovid.errors import InputError, OutputError
from mesovid.media import is_picture
from mesovid.pictures import (
    decode,
    encode,
    open_picture,
    picture_kind,
    read_crop,
    read_picture,
    resized,
)
from mesovid.settings import SampleSettings
from mesovid.video import frames_at, probe, sample

KINDS = ["jpeg", "png", "gif", "webp", "bmp", "tiff", "jp2", "avif", "heic", "ppm"]


def portrait(width: int = 96, height: int = 64) -> np.ndarray:
    """Four corners: red, green, blue, white; smooth, so that no codec changes them by much."""
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[: height // 2, : width // 2] = 200, 30, 30
    picture[: height // 2, width // 2 :] = 30, 160, 30
    picture[height // 2 :, : width // 2] = 30, 30, 190
    return picture


def corners(image: np.ndarray) -> list[str]:
    """The names of the colours at the corners, by rows."""
    height, width = image.shape[:2]
    names = []
    for y, x in [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)]:
        red, green, blue = (int(value) for value in image[int(y * height), int(x * width)])
        bright = [
            name for name, value in zip("RGB", (red, green, blue), strict=True) if value > 110
        ]
        names.append("W" if len(bright) == 3 else "".join(bright))
    return names


def encoded(kind: str, picture: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(picture)
    if kind == "heic":
        pillow_heif.from_pillow(image).save(file, quality=90, **options)
    else:
        name = {"jp2": "JPEG2000"}.get(kind, kind.upper())
        image.save(file, name, **options)
    return file.getvalue()


def looked_at(path: Path, **settings: int) -> tuple[list[np.ndarray], list[float], list[str], bool]:
    with sample(path, SampleSettings(**settings)) as sampling:
        frames = list(sampling)
        return (
            [frame.image for frame in frames],
            [frame.time for frame in frames],
            sampling.warnings,
            sampling.info.is_picture,
        )


# --- by content


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["photo", "photo.mp4", "photo.jpg"])
def test_what_the_bytes_are_decides(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encoded(kind, portrait()))
    (image,), (time,), warnings, picture = looked_at(path)
    assert picture
    assert image.shape == (64, 96, 3)
    assert image.dtype == np.uint8
    assert corners(image) == ["R", "G", "B", "W"]
    assert (time, warnings) == (0.0, [])
    info = probe(path)
    assert (info.width, info.height, info.frame_count, info.duration) == (96, 64, 1, None)
    np.testing.assert_array_equal(image, read_picture(path))


def test_a_video_called_a_picture_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.jpg"
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(portrait(), format="rgb24")))
        output.mux(stream.encode(None))
    images, _, _, picture = looked_at(path)
    assert len(images) == 5
    assert not picture


@pytest.mark.parametrize(
    "suffix", [".heic", ".HEIF", ".hif", ".avif", ".jfif", ".pjpeg", ".jpg", ".png"]
)
def test_folders_are_searched_for_pictures_of_these_names(suffix: str) -> None:
    assert is_picture(f"photo{suffix}")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"BM, they said", b"\0\0\0\x18ftypisom\0\0\2\0isommp42", b"Pictures of us"],
)
def test_other_content_is_no_picture(content: bytes) -> None:
    assert picture_kind(content) is None


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_an_input_error_or_a_picture(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encoded(kind, np.random.default_rng(1).integers(0, 255, (64, 96, 3), np.uint8))
    path = tmp_path / f"photo.{kind}"
    rng = np.random.default_rng(2)
    for attempt in range(40):
        content = bytearray(whole)
        if attempt % 4 == 0:
            content = content[: rng.integers(12, len(content))]
        for at in rng.integers(0, len(content), 1 + attempt % 8):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            images, *_ = looked_at(path)
            assert all(image.ndim == 3 for image in images)
    assert capfd.readouterr() == ("", "")


# --- whole and upright


@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_a_tiled_picture_is_read_whole(tmp_path: Path, kind: str) -> None:
    """As phones store their photos: tiles of 512 px."""
    path = tmp_path / f"photo.{kind}"
    if kind == "heic":
        content = encoded("heic", portrait(1200, 900), tile_size=512)
        assert b"grid" in content
    else:
        content = encoded("avif", portrait(1200, 900), tile_rows=1, tile_cols=1)
    path.write_bytes(content)
    (image,), _, warnings, _ = looked_at(path)
    assert image.shape == (900, 1200, 3)
    assert corners(image) == ["R", "G", "B", "W"]
    assert not warnings


TURNED = {1: "RGBW", 2: "GRWB", 3: "WBGR", 4: "BWRG", 5: "RBGW", 6: "BRWG", 7: "WGBR", 8: "GWRB"}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["jpeg", "webp", "png", "avif", "heic"])
def test_every_orientation_comes_out_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{kind}"
    path.write_bytes(encoded(kind, portrait(), exif=exif.tobytes()))
    image = read_picture(path)
    assert image.shape == ((64, 96, 3) if orientation < 5 else (96, 64, 3))
    assert "".join(corners(image)) == TURNED[orientation]


# --- colours


COLUMNS = {
    # red, green and blue in XYZ of D50
    "sRGB": ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    "Display P3": (
        (0.51512, 0.24120, -0.00105),
        (0.29198, 0.69225, 0.04189),
        (0.15710, 0.06657, 0.78407),
    ),
    "Adobe RGB": (
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
    ),
}


def profile_of(primaries: str) -> bytes:
    """An ICC profile with these primaries, and the curve of sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(int.from_bytes(profile[128:132])):
        entry = profile[132 + 12 * number : 144 + 12 * number]
        if entry[:4] in (b"rXYZ", b"gXYZ", b"bXYZ"):
            at = int.from_bytes(entry[4:8]) + 8
            for value in COLUMNS[primaries][b"rgb".index(entry[:1])]:
                profile[at : at + 4] = round(value * 65536).to_bytes(4, "big", signed=True)
                at += 4
    return bytes(profile)


def in_srgb(colour: tuple[int, int, int], primaries: str) -> np.ndarray:
    """By the matrices of both, and the curve of IEC 61966-2-1."""
    signal = np.array(colour) / 255
    light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    light = np.linalg.solve(np.array(COLUMNS["sRGB"]).T, np.array(COLUMNS[primaries]).T @ light)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
@pytest.mark.parametrize("primaries", ["Display P3", "Adobe RGB"])
def test_wide_colours_become_srgb(tmp_path: Path, kind: str, primaries: str) -> None:
    path = tmp_path / f"photo.{kind}"
    plain = np.full((64, 96, 3), (200, 80, 60), np.uint8)
    expected = in_srgb((200, 80, 60), primaries)
    assert expected[0] - 200 > 15
    lossless = {
        "jpeg": {"quality": 100, "subsampling": 0},
        "webp": {"lossless": True},
        "avif": {"quality": 100},
    }
    path.write_bytes(
        encoded(kind, plain, icc_profile=profile_of(primaries), **lossless.get(kind, {}))
    )
    np.testing.assert_allclose(read_picture(path)[30, 40], expected, atol=4)
    path.write_bytes(encoded(kind, plain, **lossless.get(kind, {})))
    np.testing.assert_allclose(read_picture(path)[30, 40], (200, 80, 60), atol=4)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_ordinary_pictures_have_the_pixels_that_opencv_reads(tmp_path: Path, kind: str) -> None:
    """Recorded figures depend on them; with the profile of sRGB or a useless one, too."""
    picture = np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8)
    path = tmp_path / "photo"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for options in ({}, {"icc_profile": srgb}, {"icc_profile": b"no profile" * 20}):
        path.write_bytes(encoded(kind, picture, **options))
        expected = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(read_picture(path), expected)


# --- damage is said


def test_a_jpeg_with_damaged_data_is_said_to_be(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(
        encoded("jpeg", np.random.default_rng(4).integers(0, 255, (256, 256, 3), np.uint8))
    )
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(range(1, 201))
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    picture = open_picture(path)
    assert picture.pixels.shape == (256, 256, 3)
    (warning,) = picture.warnings
    assert warning.startswith("the picture is damaged (Corrupt JPEG data")
    assert looked_at(path)[2] == [warning]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "tiff", "webp", "gif", "ppm"])
def test_a_picture_too_large_to_hold_is_refused(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """100,000 x 100,000 px would be 30 GB; the file has some hundred bytes."""
    content = bytearray(encoded(kind, portrait()))
    size = 60_000 if kind in ("jpeg", "gif") else 100_000
    if kind == "png":
        content[16:24] = size.to_bytes(4, "big") * 2
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    elif kind == "jpeg":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = size.to_bytes(2, "big") * 2
    elif kind == "bmp":
        content[18:26] = size.to_bytes(4, "little") * 2
    elif kind == "gif":
        content[6:10] = size.to_bytes(2, "little") * 2
    elif kind == "ppm":
        content = bytearray(content.replace(b"96 64", b"100000 100000"))
    elif kind == "tiff":
        at = int.from_bytes(content[4:8], "little") + 2
        for entry in (0, 1):
            content[at + 12 * entry + 2 : at + 12 * entry + 12] = b"\4\0\1\0\0\0" + size.to_bytes(
                4, "little"
            )
    else:
        content[26:30] = (16383).to_bytes(2, "little") * 2
        content = content[:60]
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"too large|not a picture that can be read"):
        probe(path)
    assert capfd.readouterr() == ("", "")


# --- animations


def animation(path: Path, count: int = 8, duration: int = 100) -> Path:
    images = [
        Image.fromarray(np.full((48, 64, 3), 20 * index + 10, np.uint8)) for index in range(count)
    ]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    name = path.suffix[1:].upper().removeprefix("A") if path.suffix == ".apng" else None
    images[0].save(
        path, name, save_all=True, append_images=images[1:], duration=duration, **options
    )
    return path


def heic_sequence(path: Path) -> Path:
    """A track of HEVC pictures under the brands of a sequence."""
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(8):
            grey = np.full((48, 64, 3), 20 * index + 10, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        output.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    content[8:12], content[16:20] = b"msf1", b"hevc"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", ["apng", "png", "webp", "gif", "avif", "heic"])
@pytest.mark.parametrize("named", [True, False])
def test_all_frames_of_an_animation_are_looked_at(tmp_path: Path, suffix: str, named: bool) -> None:
    path = tmp_path / f"clip.{suffix}"
    path = heic_sequence(path) if suffix == "heic" else animation(path)
    if not named:
        path = path.rename(tmp_path / "clip")
    images, times, warnings, picture = looked_at(path)
    assert not picture
    assert times == pytest.approx([index / 10 for index in range(8)])
    np.testing.assert_allclose(
        [image.mean() for image in images], [20 * i + 10 for i in range(8)], atol=3
    )
    assert not warnings
    images, times, *_ = looked_at(path, frames=2)
    assert times == pytest.approx([0.2, 0.6])
    np.testing.assert_allclose([image.mean() for image in images], [50, 130], atol=3)
    picked = [round(float(frame.image.mean())) for frame in frames_at(path, [1, 5, 99])]
    assert picked == pytest.approx([30, 110], abs=3)
    info = probe(path)
    assert (info.width, info.height) == (64, 48)
    assert info.duration is None or info.duration == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("suffix", ["png", "webp", "gif", "avif"])
def test_an_animation_of_one_frame_is_a_picture(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"clip.{suffix}", count=1)
    assert looked_at(path)[3]


def test_frames_that_cover_a_part_lie_on_those_before(tmp_path: Path) -> None:
    """A PNG's or WebP's frame holds what has changed only."""
    images = []
    for index in range(6):
        picture = portrait()
        picture[20:30, 10 * index : 10 * index + 8] = 0
        images.append(Image.fromarray(picture))
    for suffix, options in (("png", {}), ("webp", {"lossless": True})):
        path = tmp_path / f"clip.{suffix}"
        images[0].save(
            path,
            save_all=True,
            append_images=images[1:],
            duration=[50, 100, 150, 200, 250, 300],
            **options,
        )
        shown, times, *_ = looked_at(path)
        assert times == pytest.approx([0, 0.05, 0.15, 0.3, 0.5, 0.75])
        for one, image in zip(shown, images, strict=True):
            np.testing.assert_array_equal(one, np.asarray(image))


def test_other_pictures_in_a_file_are_named(tmp_path: Path) -> None:
    heif = pillow_heif.from_pillow(Image.fromarray(portrait()))
    heif.add_from_pillow(Image.fromarray(portrait(32, 32)))
    heif.save(tmp_path / "burst.heic")
    (image,), _, (warning,), picture = looked_at(tmp_path / "burst.heic")
    assert picture
    assert image.shape == (64, 96, 3)
    assert "holds 2 pictures" in warning


def test_a_picture_has_no_streams(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded("png", portrait()))
    with pytest.raises(InputError, match="no video stream 2; it is a picture"):
        looked_at(tmp_path / "photo.png", stream=2)


def test_a_gif_whose_frame_claims_billions_of_pixels_costs_nothing(tmp_path: Path) -> None:
    """Found by mutation: the frame's own size counts, not the picture's."""
    path = tmp_path / "bomb.gif"
    Image.new("P", (16, 16)).save(path)
    content = bytearray(path.read_bytes())
    at = content.index(b",\0\0\0\0\x10\0\x10\0")  # the frame's descriptor: left, top, width, height
    content[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    with contextlib.suppress(InputError), sample(path, SampleSettings()) as sampling:
        assert all(frame.image.shape == (16, 16, 3) for frame in sampling)


# --- faces in files of our own


@pytest.mark.parametrize("quick", [False, True])
def test_png_keeps_every_pixel(quick: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    np.testing.assert_array_equal(decode(encode(pixels, quick=quick)), pixels)


@pytest.mark.parametrize("kind", ["jpg", "webp"])
def test_lossy_formats_keep_the_colours_and_obey_their_quality(
    kind: Literal["jpg", "webp"],
) -> None:
    picture = portrait()
    good, poor = encode(picture, kind), encode(picture, kind, 20)
    assert picture_kind(good) == {"jpg": "jpeg"}.get(kind, kind)
    assert corners(decode(good)) == corners(picture)
    assert len(poor) < len(good)


@pytest.mark.parametrize(
    ("shape", "kind", "size"),
    [((0, 0, 3), "png", "0x0"), ((2, 16384, 3), "webp", "16384x2")],
    ids=["empty", "wider than WebP can be"],
)
def test_what_cannot_be_encoded_is_an_error(
    shape: tuple[int, ...], kind: Literal["png", "webp"], size: str
) -> None:
    with pytest.raises(OutputError, match=rf"picture of {size} px cannot be encoded as {kind}"):
        encode(np.zeros(shape, np.uint8), kind)


def vast(content: bytes) -> bytes:
    """A PNG whose header claims ten billion pixels."""
    header = b"IHDR" + 2 * (100_000).to_bytes(4) + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4) + content[33:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"no picture", "not a picture that can be read"),
        (encode(portrait())[:60], "not a picture that can be read"),
        (vast(encode(portrait())), "not a picture that can be read"),
        (encode(portrait()), "a face of 96x64 px, not of 64x64"),
        (None, r"cannot be opened \(No such file or directory\)"),
    ],
    ids=["empty", "text", "cut off", "vast", "of another size", "missing"],
)
def test_a_crop_that_cannot_be_used_is_an_error(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "face.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{path}: {message}"):
        read_crop(path, 64)


def test_faces_are_averaged_to_shrink_and_kept_at_their_size() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert resized(stripes, 64) is stripes
    assert (resized(stripes, 32) == 100).all()
    assert resized(stripes, 96).shape == (96, 96, 3)
