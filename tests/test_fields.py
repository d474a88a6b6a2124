"""Interlaced video is judged without its combs, and loses no detail where nothing moves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mesovid.fields import Separator, woven
from mesovid.settings import SampleSettings
from mesovid.video import sample


def scene(step: int, height: int = 128, width: int = 192) -> np.ndarray:
    """A texture that keeps still on the left, and one that moves to the right."""
    noise = np.random.default_rng(3).integers(0, 255, (height, 2 * width, 3), np.uint8)
    soft = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 20, 235, cv2.NORM_MINMAX)
    moving = np.roll(soft, 6 * step, axis=1)
    return np.concatenate([soft[:, : width // 2], moving[:, width : width + width // 2]], axis=1)


def clip(path: Path, pictures: list[np.ndarray], flag: str | None, codec: str = "libx264") -> Path:
    params = "log-level=none:qp=0" + (f":{flag}=1" if flag else "")
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options={"x264-params": params})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv444p"  # so that the fields' colours do not mix on the way to the codec
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def interlaced(count: int) -> list[np.ndarray]:
    pictures = []
    for index in range(count):
        picture = scene(2 * index)
        picture[1::2] = scene(2 * index + 1)[1::2]
        pictures.append(picture)
    return pictures


def shown(path: Path) -> tuple[list[np.ndarray], list[str]]:
    with sample(path, SampleSettings(frames=100)) as sampling:
        return [frame.image for frame in sampling], sampling.warnings


@pytest.mark.parametrize("flag", ["tff", "bff"])
def test_interlaced_video_is_shown_without_combs(tmp_path: Path, flag: str) -> None:
    images, warnings = shown(clip(tmp_path / "clip.mp4", interlaced(4), flag))
    assert warnings == [
        "4 frames are interlaced: what moves in them is shown by one of their two fields"
    ]
    for index, image in enumerate(images):
        expected = scene(2 * index).astype(int)
        error = np.abs(image - expected)
        combs = np.abs(interlaced(4)[index].astype(int) - expected)
        assert error[:, :80].mean() < 2  # what keeps still: the rounding of the codec's colours
        assert error[:, 112:].mean() < combs[:, 112:].mean() / 4


def test_progressive_video_that_calls_itself_interlaced_is_left_alone(tmp_path: Path) -> None:
    pictures = [scene(index) for index in range(4)]
    images, warnings = shown(clip(tmp_path / "flagged.mp4", pictures, "tff"))
    plain, _ = shown(clip(tmp_path / "plain.mp4", pictures, None))
    assert not warnings
    for image, expected in zip(images, plain, strict=True):
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le", "nv12", "rgb24", "yuv420p10le"])
def test_fields_are_every_other_row_with_its_colour(pixels: str) -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[0::2], picture[1::2] = (200, 40, 40), (40, 40, 200)
    frame = av.VideoFrame(32, 32, pixels)
    separator = Separator()
    halves = [
        av.VideoFrame.from_ndarray(np.ascontiguousarray(half), format="rgb24").reformat(
            format=pixels
        )
        for half in (picture[0::2], picture[1::2])
    ]
    for target, *sources in zip(frame.planes, *(half.planes for half in halves), strict=True):
        rows = np.zeros((target.height, target.line_size), np.uint8)
        for parity, source in enumerate(sources):
            values = np.frombuffer(source, np.uint8).reshape(source.height, source.line_size)
            rows[parity::2] = (
                values[:, : target.line_size]
                if values.shape[1] >= target.line_size
                else np.pad(values, ((0, 0), (0, target.line_size - values.shape[1])))
            )
        target.update(rows.tobytes())
    for field, colour in zip(separator(frame), ((200, 40, 40), (40, 40, 200)), strict=True):
        image = field.to_ndarray(format="rgb24")
        assert image.shape == (16, 32, 3)
        np.testing.assert_allclose(image, np.broadcast_to(colour, image.shape), atol=4)


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 31])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_still_picture_of_any_height_is_woven_as_it_was(height: int, kind: type) -> None:
    rows = np.linspace(0, np.iinfo(kind).max, height).astype(kind)
    picture = np.broadcast_to(rows[:, None, None], (height, 40, 3))
    image, combed = woven(picture[0::2], picture[1::2])
    assert image.dtype == kind
    assert not combed
    np.testing.assert_array_equal(image, picture)


def test_combs_of_deep_colours_are_seen_alike() -> None:
    picture = interlaced(1)[0]
    shallow, combed = woven(picture[0::2], picture[1::2])
    deep, deeply = woven(
        picture[0::2].astype(np.uint16) * 257, picture[1::2].astype(np.uint16) * 257
    )
    assert combed
    assert deeply
    assert np.abs(deep / 257 - shallow).max() <= 1
