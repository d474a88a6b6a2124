"""Every picture comes out as a player shows it, however it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from mesovid.records import Frame
from mesovid.settings import SampleSettings
from mesovid.video import probe, sample

ALL = SampleSettings(frames=1000)


def shown(path: Path, settings: SampleSettings = ALL) -> tuple[list[Frame], list[str]]:
    with sample(path, settings) as sampling:
        return list(sampling), sampling.warnings


def corners(width: int, height: int) -> np.ndarray:
    """A picture that looks different whichever way it is turned or mirrored."""
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[: height // 2, : width // 2] = 230
    picture[: height // 2, width // 2 :] = 160
    picture[height // 2 :, : width // 2] = 30
    return picture


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A clip of one stream.

    Where the pictures change their size, so does the stream (MPEG-TS, WebM).
    """
    quiet = {"libx264": {"qp": "0"}, "libx265": {"x265-params": "log-level=none:lossless=1"}}
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=quiet.get(codec, {}) | (options or {}))
        context = stream.codec_context
        size = None
        for index, picture in enumerate(pictures):
            if picture.shape != size:
                if size is not None:
                    output.mux(in_stream(stream, context.encode(None)))
                    context = av.CodecContext.create(codec, "w")
                    context.options = quiet.get(codec, {}) | (options or {})
                    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
                size = picture.shape
                context.height, context.width = size[:2]
                context.pix_fmt = pixels
                if aspect is not None:
                    context.sample_aspect_ratio = aspect
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(in_stream(stream, context.encode(frame)))
        output.mux(in_stream(stream, context.encode(None)))
    return path


def in_stream(stream: av.VideoStream, packets: list[av.Packet]) -> list[av.Packet]:
    for packet in packets:
        packet.stream = stream
    return packets


# --- orientation

ORIENTATIONS = {
    # a, b, c, d of the matrix, and what it does to a picture
    "upright": ((1, 0, 0, 1), lambda image: image),
    "clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "upside down": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "anticlockwise": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "flipped": ((1, 0, 0, -1), np.flipud),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    "transposed the other way": (
        (0, -1, -1, 0),
        lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    ),
    "nothing at all": ((0, 0, 0, 0), lambda image: image),
    "askew by 10 degrees": ((0.985, 0.174, -0.174, 0.985), lambda image: image),
    "mirrored, askew by 10 degrees": ((-0.985, 0.174, 0.174, 0.985), np.fliplr),
    "clockwise, askew by 10 degrees": (
        (0.174, 0.985, -0.985, 0.174),
        lambda image: np.rot90(image, -1),
    ),
}


def with_matrix(path: Path, matrix: tuple[float, ...]) -> Path:
    """A copy of an mp4 with another matrix in its track header."""
    a, b, c, d = (round(value * 65536) for value in matrix)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    cells = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    content[start : start + 36] = b"".join(cell.to_bytes(4, "big", signed=True) for cell in cells)
    copy = path.with_name("matrix.mp4")
    copy.write_bytes(content)
    return copy


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_display_matrix_of_the_container(tmp_path: Path, name: str) -> None:
    matrix, change = ORIENTATIONS[name]
    stored = encode(tmp_path / "stored.mp4", [corners(96, 64)] * 3)
    (expected, *_), _ = shown(stored)
    path = with_matrix(stored, matrix)
    frames, warnings = shown(path)
    assert len(frames) == 3
    for frame in frames:
        np.testing.assert_array_equal(frame.image, change(expected.image))
    assert not warnings
    info = probe(path)
    assert (info.height, info.width) == frames[0].image.shape[:2]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("flip=horizontal", "mirrored"),
        ("flip=vertical", "flipped"),
        ("rotate=90", "anticlockwise"),
        ("rotate=180", "upside down"),
        ("rotate=270", "clockwise"),
        ("rotate=90:flip=horizontal", "transposed"),  # the flip comes first
        ("rotate=90:flip=vertical", "transposed the other way"),
    ],
)
def test_the_display_orientation_message_of_h264(tmp_path: Path, message: str, name: str) -> None:
    stored = encode(tmp_path / "stored.mp4", [corners(96, 64)] * 3, options={"g": "1"})
    path = tmp_path / "message.mp4"
    with av.open(str(stored)) as source, av.open(str(path), "w") as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        chosen = BitStreamFilterContext(
            f"h264_metadata=display_orientation=insert:{message}", stream, copy
        )
        for packet in source.demux(stream):
            output.mux(in_stream(copy, chosen.filter(packet if packet.size else None)))
    (expected, *_), _ = shown(stored)
    # the filter puts the message where decoders look for it before the first picture only: it stays
    for frame in shown(path)[0]:
        np.testing.assert_array_equal(frame.image, ORIENTATIONS[name][1](expected.image))


def test_the_roll_of_matroska(tmp_path: Path) -> None:
    path = tmp_path / "roll.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "bgr0"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV writes no rotation")
        stream.set_display_rotation(90)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(corners(96, 64), format="rgb24")))
        output.mux(stream.encode(None))
    (frame,), _ = shown(path)
    np.testing.assert_array_equal(frame.image, np.rot90(corners(96, 64), 1))


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, "upright"),
        (2, "mirrored"),
        (3, "upside down"),
        (4, "flipped"),
        (5, "transposed"),
        (6, "clockwise"),
    ],
)
def test_the_exif_block_of_motion_jpeg(tmp_path: Path, number: int, name: str) -> None:
    plain = encode(tmp_path / "plain.mov", [corners(96, 64)] * 3, codec="mjpeg", pixels="yuvj420p")
    exif = (
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"
        + bytes([number])
        + b"\0\0\0\0\0\0"
    )
    with av.open(str(plain)) as source, av.open(str(tmp_path / "exif.mov"), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                jpeg = bytes(packet)
                block = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
                marked = av.Packet(jpeg[:2] + block + jpeg[2:])
                marked.pts, marked.dts, marked.time_base = packet.pts, packet.dts, packet.time_base
                marked.duration, marked.is_keyframe = packet.duration, True
                output.mux(in_stream(stream, [marked]))
    (expected, *_), _ = shown(plain)
    frames, _ = shown(tmp_path / "exif.mov")
    assert len(frames) == 3
    for frame in frames:
        np.testing.assert_array_equal(frame.image, ORIENTATIONS[name][1](expected.image))


# --- size


@pytest.mark.parametrize(
    ("name", "codec"),
    [("clip.ts", "libx264"), ("clip.webm", "libvpx"), ("clip.webm", "libvpx-vp9")],
)
def test_each_picture_has_its_own_size(tmp_path: Path, name: str, codec: str) -> None:
    """As a call ramps up, then as the phone is turned."""
    sizes = [(64, 48)] * 5 + [(128, 96)] * 5 + [(96, 128)] * 5
    path = encode(tmp_path / name, [corners(*size) for size in sizes], codec=codec)
    for settings in (ALL, SampleSettings(frames=3)):
        frames, warnings = shown(path, settings)
        assert [frame.image.shape[1::-1] for frame in frames] == [
            sizes[frame.index] for frame in frames
        ]
        for frame in frames:
            assert np.abs(frame.image.astype(int) - corners(*sizes[frame.index])).mean() < 6
        assert warnings == ["the video changes its size: 64x48, 128x96, 96x128"]
    assert (probe(path).width, probe(path).height) == (64, 48)


# --- pixels that are not square


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(4, 3), (128, 64)),
        (Fraction(16, 11), (140, 64)),
        (Fraction(2), (192, 64)),
        (Fraction(1, 2), (48, 64)),
        (Fraction(10, 11), (87, 64)),
        (Fraction(1), (96, 64)),
        (Fraction(404, 405), (96, 64)),  # resampling would harm more than it would mend
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_pixels_come_out_square(
    tmp_path: Path, name: str, aspect: Fraction, size: tuple[int, int]
) -> None:
    path = encode(tmp_path / name, [corners(96, 64)] * 12, aspect=aspect)
    frames, warnings = shown(path)
    assert len(frames) == 12
    for frame in frames:
        assert frame.image.shape == (size[1], size[0], 3)
        assert np.abs(frame.image.astype(int) - corners(*size)).mean() < 4
    assert not warnings
    assert (probe(path).width, probe(path).height) == size


def with_pasp(path: Path, across: int, down: int) -> Path:
    """A copy of an mp4 with another pixel aspect in its container.

    The stream goes on to say its own.
    """
    content = bytearray(path.read_bytes())
    start = content.index(b"pasp") + 4
    content[start : start + 8] = across.to_bytes(4, "big") + down.to_bytes(4, "big")
    copy = path.with_name("pasp.mp4")
    copy.write_bytes(content)
    return copy


def test_the_container_says_more_than_the_stream(tmp_path: Path) -> None:
    path = with_pasp(
        encode(tmp_path / "clip.mp4", [corners(96, 64)] * 3, aspect=Fraction(4, 3)), 2, 1
    )
    frames, _ = shown(path)
    assert [frame.image.shape for frame in frames] == [(64, 192, 3)] * 3
    assert probe(path).width == 192


@pytest.mark.parametrize(("across", "down"), [(1000, 1), (1, 1000), (9, 2)])
def test_an_absurd_pixel_aspect_is_not_believed(tmp_path: Path, across: int, down: int) -> None:
    stored = encode(tmp_path / "clip.mp4", [corners(96, 64)] * 3, aspect=Fraction(4, 3))
    path = with_pasp(stored, across, down)
    frames, warnings = shown(path)
    assert [frame.image.shape for frame in frames] == [(64, 96, 3)] * 3
    assert warnings == [
        f"the video says that its pixels are {across}:{down} wide; they are taken for square ones"
    ]
    assert (probe(path).width, probe(path).height) == (96, 64)


def test_pixels_of_a_picture_that_lies_on_its_side(tmp_path: Path) -> None:
    """Their aspect is that of the picture as stored."""
    stored = encode(tmp_path / "clip.mp4", [corners(96, 64)] * 3, aspect=Fraction(4, 3))
    path = with_matrix(stored, ORIENTATIONS["clockwise"][0])
    frame, *_ = shown(path)[0]
    assert frame.image.shape == (128, 64, 3)
    np.testing.assert_array_equal(frame.image, np.rot90(shown(stored)[0][0].image, -1))
    assert (probe(path).width, probe(path).height) == (64, 128)


def test_each_picture_has_its_own_pixel_aspect(tmp_path: Path) -> None:
    """Two programmes of a broadcast, one after the other."""
    parts = [
        encode(tmp_path / f"{i}.ts", [corners(96, 64)] * 5, aspect=aspect)
        for i, aspect in enumerate((Fraction(4, 3), Fraction(2)))
    ]
    path = tmp_path / "clip.ts"
    with av.open(str(path), "w") as output, av.open(str(parts[0])) as template:
        stream = output.add_stream_from_template(template.streams.video[0])
        for number, part in enumerate(parts):
            with av.open(str(part)) as source:
                packets = [packet for packet in source.demux(video=0) if packet.size]
                for packet in packets:
                    shift = int(number * 5 / 25 / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                output.mux(in_stream(stream, packets))
    frames, warnings = shown(path)
    assert [frame.image.shape[1] for frame in frames] == [128] * 5 + [192] * 5
    assert warnings == ["the video changes its size: 128x64, 192x64"]


# --- colours


def of_matrix(path: Path, planes: np.ndarray, matrix: int, value_range: int) -> Path:
    """A clip of one picture, whose Y', Cb and Cr are given as they are (height, width, 3)."""
    with av.open(str(path), "w") as output:
        options = {"x264-params": "qp=0:log-level=none"}
        stream = output.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *planes.shape[:2], "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, value_range
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(planes.transpose(2, 0, 1)), format="yuv444p"
        )
        frame.colorspace, frame.color_range = matrix, value_range
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("value_range", [1, 2], ids=["limited", "full"])
def test_the_colours_of_screen_recorders(tmp_path: Path, value_range: int) -> None:
    """YCgCo, by the formulas of H.273, which swscale does not know."""
    rgb = np.array([[200, 150, 120], [30, 90, 40], [255, 255, 255], [60, 60, 160]], float).repeat(
        16, 0
    )[None]
    red, green, blue = np.moveaxis(rgb.repeat(64, 0), 2, 0) / 255
    luma, cg, co = green / 2 + (red + blue) / 4, green / 2 - (red + blue) / 4, (red - blue) / 2
    planes = [16 + 219 * luma, 128 + 224 * cg, 128 + 224 * co]
    if value_range == 2:
        planes = [255 * luma, 128 + 255 * cg, 128 + 255 * co]
    values = np.rint(np.stack(planes, axis=2)).clip(0, 255).astype(np.uint8)
    (frame,), warnings = shown(of_matrix(tmp_path / "clip.mp4", values, 8, value_range))
    assert not warnings
    np.testing.assert_allclose(frame.image[0], rgb[0], atol=3)


def test_colours_that_cannot_be_converted_make_frames_unreliable(tmp_path: Path) -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    found = {}
    for matrix in (1, 3, 10, 14):
        with sample(of_matrix(tmp_path / "clip.mp4", grey, matrix, 1), ALL) as sampling:
            (frame,) = sampling
        assert np.abs(frame.image.astype(int) - 130).max() < 3
        found[matrix] = sampling.unreliable
        assert sampling.warnings == ([sampling.unreliable] if sampling.unreliable else [])
    assert [matrix for matrix, unreliable in found.items() if unreliable] == [10, 14]
