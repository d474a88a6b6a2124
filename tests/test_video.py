"""Videos and pictures become frames: the right ones, at the right times, past damage."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mesovid.errors import InputError
from mesovid.media import is_picture
from mesovid.records import Frame
from mesovid.settings import SampleSettings
from mesovid.video import prefetch, probe, sample

ALL = SampleSettings(frames=1_000_000)


def frames_of(path: Path, settings: SampleSettings = ALL) -> tuple[list[Frame], list[str]]:
    with sample(path, settings) as sampling:
        return list(sampling), sampling.warnings


def lossless(path: Path, frames: int, fps: float = 25, size: tuple[int, int] = (64, 48)) -> Path:
    """An FFV1 clip whose every pixel is 5 x the frame's index."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), fps, size)
    for index in range(frames):
        writer.write(np.full((size[1], size[0], 3), 5 * index, np.uint8))
    writer.release()
    return path


def texture(index: int, size: int = 96) -> np.ndarray:
    """A picture that moves with the index and that no codec can leave out."""
    noise = np.random.default_rng(7).integers(0, 255, (size, size, 3), np.uint8)
    return np.roll(cv2.GaussianBlur(noise, (9, 9), 0), (index, 2 * index), (0, 1))


def encode(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    params: str = "keyint=12:bframes=3",
    fps: int = 25,
    pts: Sequence[int] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """A clip by PyAV; `pts` in thousandths of a second."""
    options = {"x264-params": f"{params}:log-level=none"} if codec == "libx264" else {}
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index if pts is None else pts[index]
            frame.time_base = Fraction(1, fps) if pts is None else Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def long_gops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 frames with B-frames and a key frame every 12 or less."""
    return encode(tmp_path_factory.mktemp("clips") / "h264.mp4", [texture(i) for i in range(75)])


# --- the right frames at the right times


def test_every_frame_once_when_more_are_asked_for(tmp_path: Path) -> None:
    frames, warnings = frames_of(lossless(tmp_path / "clip.mkv", 20), SampleSettings(frames=32))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([i / 25 for i in range(20)], abs=1e-3)
    assert all(np.all(frame.image == 5 * frame.index) for frame in frames)
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image.dtype == np.uint8
    assert not warnings


@pytest.mark.parametrize(
    ("settings", "indices"),
    [
        (SampleSettings(frames=5), [5, 15, 25, 35, 45]),
        (SampleSettings(frames=1), [25]),
        (SampleSettings(every=20), [0, 20, 40]),
        (SampleSettings(fps=2), [0, 13, 25, 38]),
        (SampleSettings(start=1, end=1.2), [25, 26, 27, 28, 29]),
        (SampleSettings(frames=2, start=1), [31, 43]),
        (SampleSettings(fps=5, start=0.4, end=0.9), [10, 15, 20]),
        (SampleSettings(every=10, start=1.6), [40]),
    ],
    ids=str,
)
def test_the_frames_asked_for(tmp_path: Path, settings: SampleSettings, indices: list[int]) -> None:
    frames, _ = frames_of(lossless(tmp_path / "clip.mkv", 50), settings)
    assert [frame.index for frame in frames] == indices
    assert [int(frame.image[20, 20, 1]) for frame in frames] == [5 * index for index in indices]
    assert [frame.time for frame in frames] == pytest.approx(
        [index / 25 for index in indices], abs=1e-3
    )


def test_a_part_beyond_the_end_is_an_error_that_says_how_long_it_is(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"clip\.mkv: no frame from 9 s on; the video lasts 2\.00 s"
    ):
        frames_of(lossless(tmp_path / "clip.mkv", 50), SampleSettings(start=9))


def test_variable_frame_rate_has_its_own_times(tmp_path: Path) -> None:
    pts = [0, 40, 80, 120, 1000, 1040, 3000, 3500, 3510, 3900]
    path = encode(tmp_path / "vfr.mp4", [texture(i) for i in range(10)], pts=pts)
    frames, _ = frames_of(path)
    assert [frame.time for frame in frames] == pytest.approx([p / 1000 for p in pts], abs=1e-3)
    few, _ = frames_of(path, SampleSettings(frames=4))
    # the middles of four parts of about 3.94 s: 0.49, 1.48, 2.46, 3.45; frame 5 stands from 1.04 to
    # 3 s, so a neighbour fills up
    assert [frame.index for frame in few] == [3, 5, 6, 7]
    assert all(np.array_equal(frame.image, frames[frame.index].image) for frame in few)


@pytest.mark.parametrize(
    "params",
    [
        "keyint=12:bframes=3",
        "keyint=250:bframes=5",
        "keyint=10:open-gop=1:bframes=3",
        "intra-refresh=1:keyint=10",
        "bframes=0",
    ],
    ids=["closed", "one key frame", "open groups", "gradual refresh", "no B-frames"],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_few_frames_are_the_same_pixels_as_all(tmp_path: Path, params: str, suffix: str) -> None:
    path = encode(tmp_path / f"clip.{suffix}", [texture(i) for i in range(60)], params=params)
    every, warnings = frames_of(path)
    assert [frame.index for frame in every] == list(range(60))
    assert not warnings
    for settings in (
        SampleSettings(frames=3),
        SampleSettings(frames=13),
        SampleSettings(start=1.5, frames=2),
    ):
        few, warnings = frames_of(path, settings)
        assert len(few) == settings.frames
        assert not warnings
        for frame in few:
            assert frame.time == every[frame.index].time
            np.testing.assert_array_equal(frame.image, every[frame.index].image)


def test_frames_cut_off_by_an_edit_list_do_not_count(tmp_path: Path, long_gops: Path) -> None:
    """As cutting without encoding leaves it: the file begins at a key frame, the video later."""
    path = tmp_path / "cut.mp4"
    with av.open(str(long_gops)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.pts is not None:
                packet.pts -= int(17 / 25 / packet.time_base)
                packet.dts -= int(17 / 25 / packet.time_base)
                packet.stream = stream
                output.mux(packet)
    whole, _ = frames_of(long_gops)
    cut, warnings = frames_of(path)
    assert [frame.index for frame in cut] == list(range(58))
    assert [frame.time for frame in cut] == pytest.approx([index / 25 for index in range(58)])
    assert not warnings
    for settings in (ALL, SampleSettings(frames=1), SampleSettings(frames=6)):
        for frame in frames_of(path, settings)[0]:
            np.testing.assert_array_equal(frame.image, whole[frame.index + 17].image)


def test_pixels_and_times_are_those_of_opencv(long_gops: Path) -> None:
    capture = cv2.VideoCapture(str(long_gops))
    frames, _ = frames_of(long_gops)
    for frame in frames:
        ok, expected = capture.read()
        assert ok
        assert frame.time == pytest.approx(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        np.testing.assert_array_equal(frame.image, cv2.cvtColor(expected, cv2.COLOR_BGR2RGB))
    assert not capture.read()[0]


def test_a_long_video_is_sampled_by_jumps(tmp_path: Path) -> None:
    """600 s at one frame a second, samples 60 s apart.

    Key frames stand in, and indices stay right.
    """
    pictures = [np.full((32, 32, 3), 40 + index // 3, np.uint8) for index in range(600)]
    path = encode(tmp_path / "long.mp4", pictures, fps=1, params="keyint=9:min-keyint=9:scenecut=0")
    frames, warnings = frames_of(path, SampleSettings(frames=10))
    assert not warnings
    assert [frame.index % 9 for frame in frames] == [0] * 10
    assert [frame.time for frame in frames] == [frame.index for frame in frames]
    assert [frame.time for frame in frames] == pytest.approx(
        [30 + 60 * i for i in range(10)], abs=6
    )
    for frame in frames:
        assert abs(int(frame.image[16, 16, 0]) - (40 + frame.index // 3)) <= 2


def turned(path: Path, degrees: int) -> Path:
    """A copy of an mp4 whose track header asks for a clockwise turn."""
    matrix = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees]
    a, b, c, d = (value * 65536 for value in matrix)
    cells = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    content[start : start + 36] = b"".join(cell.to_bytes(4, "big", signed=True) for cell in cells)
    copy = path.with_name(f"turned{degrees}.mp4")
    copy.write_bytes(content)
    return copy


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_metadata_is_honoured(tmp_path: Path, degrees: int) -> None:
    picture = np.full((48, 96, 3), 60, np.uint8)
    picture[:24, :32] = 220  # the bright corner
    upright = encode(tmp_path / "upright.mp4", [picture] * 5)
    path = turned(upright, degrees)
    (expected, *_), _ = frames_of(upright)
    (frame, *_), _ = frames_of(path)
    np.testing.assert_array_equal(frame.image, np.rot90(expected.image, -degrees // 90))
    info = probe(path)
    assert (info.height, info.width) == frame.image.shape[:2]
    capture = cv2.VideoCapture(str(path))
    np.testing.assert_array_equal(frame.image, cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))


# --- what containers say, and what they do not


def test_probe_tells_what_the_container_says(long_gops: Path) -> None:
    info = probe(long_gops)
    assert info.path == str(long_gops)
    assert (info.width, info.height, info.fps, info.frame_count) == (96, 96, 25.0, 75)
    assert info.duration == pytest.approx(3.0)


def test_unknown_length(tmp_path: Path) -> None:
    path = encode(tmp_path / "live.mkv", [texture(i) for i in range(40)], container={"live": "1"})
    assert probe(path).duration is None
    assert probe(path).frame_count is None
    frames, warnings = frames_of(path, SampleSettings(frames=4))
    assert [frame.index for frame in frames] == [5, 15, 25, 35]
    assert not warnings


@pytest.mark.parametrize("name", ["raw.h264", "b-frames.avi"])
def test_no_timestamps_is_said(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name, [texture(i) for i in range(40)], params="keyint=12:bframes=3")
    frames, warnings = frames_of(path, SampleSettings(frames=4))
    assert [frame.index for frame in frames] == [5, 15, 25, 35]
    assert [frame.time for frame in frames] == pytest.approx([0.2, 0.6, 1.0, 1.4])
    assert warnings == ["the stream has no usable timestamps; times assume a constant frame rate"]
    every, _ = frames_of(path)
    assert len(every) == 40
    assert np.array_equal(frames[1].image, every[15].image)


def test_one_frame_and_one_pixel(tmp_path: Path) -> None:
    frames, warnings = frames_of(lossless(tmp_path / "-one.mkv", 1))
    assert [frame.index for frame in frames] == [0]
    with av.open(str(tmp_path / "pixel.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=1)
        stream.width = stream.height = 1
        stream.pix_fmt = "bgr0"
        output.mux(
            stream.encode(
                av.VideoFrame.from_ndarray(np.full((1, 1, 3), 9, np.uint8), format="rgb24")
            )
        )
        output.mux(stream.encode(None))
    (frame,), warnings = frames_of(tmp_path / "pixel.mkv")
    assert frame.image.tolist() == [[[9, 9, 9]]]
    assert not warnings


# --- damage


def flipped(path: Path, copy: Path, places: Sequence[int]) -> Path:
    """A copy with bits flipped, counted from the beginning of the media data."""
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 1000
    for place in places:
        content[start + place] ^= 0x55
    copy.write_bytes(content)
    return copy


def test_damage_is_read_past_and_said(tmp_path: Path, long_gops: Path) -> None:
    size = long_gops.stat().st_size
    path = flipped(long_gops, tmp_path / "flipped.mp4", range(0, size // 2, 97))
    frames, warnings = frames_of(path)
    assert 30 < len(frames) <= 75
    assert all(frame.image.shape == (96, 96, 3) for frame in frames)
    assert any("damaged" in warning for warning in warnings)
    few, warnings = frames_of(path, SampleSettings(frames=8))
    assert 4 <= len(few) <= 8
    assert any("damaged" in warning for warning in warnings)


def test_frames_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    """Of still pictures one after the other, those without their beginning cannot be decoded."""
    path = encode(tmp_path / "stills.mov", [texture(i) for i in range(20)], codec="png")
    content = bytearray(path.read_bytes())
    starts = [i for i in range(len(content)) if content[i : i + 3] == b"\x89PN"]
    assert len(starts) == 20
    for index in (4, 11):
        content[starts[index] : starts[index] + 8] = bytes(8)
    path.write_bytes(content)
    frames, warnings = frames_of(path)
    assert [frame.index for frame in frames] == [i for i in range(20) if i not in (4, 11)]
    assert warnings == ["18 of 20 frames could be read; the video is damaged"]
    few, warnings = frames_of(path, SampleSettings(frames=2))  # 5 and 15
    assert [frame.index for frame in few] == [5, 15]
    # 11: the next one stands in
    near, warnings = frames_of(path, SampleSettings(every=100, start=0.44))
    assert [frame.index for frame in near] == [12]


def test_a_file_that_was_cut_off_gives_its_beginning(tmp_path: Path) -> None:
    pictures = [texture(i) for i in range(150)]
    whole = encode(tmp_path / "whole.mp4", pictures, container={"movflags": "faststart"})
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames, warnings = frames_of(path, SampleSettings(frames=10))
    assert len(frames) == 10
    assert frames[-1].time < 4
    assert "its file says 6.0 s" in " ".join(warnings)


def audio_only(path: Path) -> None:
    with av.open(str(path), "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.rate = 8000
        output.mux(stream.encode(frame))


def unknown_codec(path: Path) -> None:
    encode(path, [texture(i) for i in range(3)])
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))


def without_index(path: Path) -> None:
    encode(path, [texture(i) for i in range(60)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    encode(path, [texture(i) for i in range(30)], container={"movflags": "faststart"})
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))


def playlist(path: Path) -> None:
    path.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://localhost/x.ts\n#EXT-X-ENDLIST\n"
    )


BAD = {
    "missing.mp4": (lambda _: None, "no such file"),
    "folder.mp4": (
        lambda path: path.mkdir(),
        "this is a folder; a video or picture file is needed",
    ),
    "empty.mp4": (lambda path: path.touch(), "the file is empty"),
    "pipe.mp4": (os.mkfifo, "not a regular file"),
    "text.mp4": (lambda path: path.write_text("hello\n" * 500), "not a video that can be read"),
    "notes.txt": (lambda path: path.write_text("hello\n" * 500), "not a video that can be read"),
    "random.mp4": (
        lambda path: path.write_bytes(np.random.default_rng(1).bytes(50_000)),
        "not a video",
    ),
    "playlist.mp4": (playlist, "not a video"),
    "sound.mp4": (audio_only, "no video in it, only audio"),
    "unknown.mp4": (unknown_codec, "its video codec is not known here"),
    "no moov.mp4": (without_index, "it is damaged, cut off or something else"),
    "zeros.mp4": (zeroed, "no frame of its h264 stream can be decoded"),
    "text.jpg": (lambda path: path.write_text("hello"), "not a picture that can be read"),
    "empty.png": (lambda path: path.touch(), "the file is empty"),
    "-dash.mp4": (lambda path: path.write_text("hello"), "not a video that can be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, message = BAD[name]
    make(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for use in (probe, frames_of):
        with pytest.raises(InputError) as caught:
            use(Path(name))
        assert str(caught.value).startswith(f"{name}: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_permissions(tmp_path: Path) -> None:
    path = lossless(tmp_path / "clip.mkv", 3)
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be opened"):
        probe(path)


def test_damage_says_nothing_on_stderr(
    tmp_path: Path, long_gops: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frames_of(flipped(long_gops, tmp_path / "flipped.mp4", range(0, 2000, 31)))
    frames_of(encode(tmp_path / "raw.h264", [texture(i) for i in range(5)]))
    assert capfd.readouterr() == ("", "")


# --- pictures


@pytest.mark.parametrize(
    ("name", "stored", "expected"),
    [
        ("colour.png", np.full((4, 6, 3), (10, 20, 200), np.uint8), (200, 20, 10)),
        ("gray.png", np.full((4, 6), 77, np.uint8), (77, 77, 77)),
        ("alpha.png", np.full((4, 6, 4), (10, 20, 200, 0), np.uint8), (200, 20, 10)),
        ("deep.png", np.full((4, 6, 3), (10 << 8, 20 << 8, 200 << 8), np.uint16), (200, 20, 10)),
        ("deep gray.tiff", np.full((4, 6), 77 << 8, np.uint16), (77, 77, 77)),
        ("windows.BMP", np.full((4, 6, 3), (10, 20, 200), np.uint8), (200, 20, 10)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_picture_is_a_video_of_one_frame(
    tmp_path: Path, name: str, stored: np.ndarray, expected: tuple[int, ...]
) -> None:
    (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix.lower(), stored)[1].tobytes())
    (frame,), warnings = frames_of(tmp_path / name, SampleSettings(frames=32))
    assert (frame.index, frame.time) == (0, 0.0)
    assert frame.image.dtype == np.uint8
    np.testing.assert_allclose(frame.image, np.broadcast_to(expected, (4, 6, 3)), atol=1)
    assert not warnings
    info = probe(tmp_path / name)
    assert (info.width, info.height, info.fps, info.frame_count, info.duration) == (
        6,
        4,
        None,
        1,
        None,
    )


def test_the_orientation_of_a_photo_is_honoured(tmp_path: Path) -> None:
    picture = np.full((40, 60, 3), 30, np.uint8)
    picture[:20, :20] = 220
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    # EXIF orientation 6: turn a quarter clockwise to see it upright
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    (frame,), _ = frames_of(path)
    assert frame.image.shape == (60, 40, 3)
    assert frame.image[5, 35].min() > 180
    assert frame.image[5, 5].max() < 80
    assert (probe(path).width, probe(path).height) == (40, 60)


def test_a_big_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "big.jpg"), np.full((6000, 9000, 3), 50, np.uint8))
    (frame,), _ = frames_of(tmp_path / "big.jpg")
    assert frame.image.shape == (6000, 9000, 3)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.JPG", True), ("b.png", True), ("c.mp4", False), ("d", False)]
)
def test_is_picture(name: str, expected: bool) -> None:
    assert is_picture(name) is expected


# --- memory, threads, closing


def test_memory_holds_a_few_frames_never_the_clip(tmp_path: Path) -> None:
    path = lossless(tmp_path / "clip.mkv", 50, size=(640, 480))
    frame_size = 640 * 480 * 3
    tracemalloc.start()
    try:
        for _ in sample(path, ALL):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * frame_size


@pytest.mark.parametrize("taken", [0, 1, 75])
def test_a_closed_video_is_freed_at_once(long_gops: Path, taken: int) -> None:
    """Not at some later round of the garbage collector: decoders hold many megabytes."""
    gc.disable()
    try:
        with sample(long_gops, ALL) as sampling:
            frames = prefetch(sampling, 2)
            for _ in range(taken):
                next(frames)
            frames.close()  # type: ignore[attr-defined]
        source = weakref.ref(sampling._source)
        del sampling, frames
        assert source() is None
    finally:
        gc.enable()


def test_a_sampling_may_be_iterated_again(long_gops: Path) -> None:
    with sample(long_gops, SampleSettings(frames=5)) as sampling:
        first, second = list(sampling), list(sampling)
    assert [frame.index for frame in first] == [frame.index for frame in second]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))


def test_closing_ends_an_iteration_in_another_thread(long_gops: Path) -> None:
    sampling = sample(long_gops, ALL)
    items = prefetch(sampling, 2)
    next(items)
    sampling.close()
    assert len(list(items)) <= 3
    with pytest.raises(ValueError, match="closed"):
        next(iter(sampling))


def test_prefetch_keeps_order_and_frames(long_gops: Path) -> None:
    with sample(long_gops, ALL) as sampling:
        assert [frame.index for frame in prefetch(sampling, 3)] == list(range(75))


def test_prefetch_works_ahead_and_no_further() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            made.append(item)
            yield item

    ahead = prefetch(items(), 3)
    assert next(ahead) == 0
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]
    assert list(ahead) == list(range(1, 20))


def test_prefetch_hands_on_exceptions_in_their_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise InputError("the second item is bad")

    ahead = prefetch(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(InputError, match="the second item is bad"):
        next(ahead)


def test_closing_prefetch_stops_its_thread_and_closes_its_source() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    ahead = prefetch(items(), 2)
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert threading.active_count() == before


def test_opencv_that_cannot_be_loaded_names_the_packages() -> None:
    code = "import sys; sys.modules['cv2'] = None; import mesovid.video"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "MesovidError: OpenCV cannot be loaded" in run.stderr
    assert "apt-get install libgl1 libglib2.0-0 libxcb1" in run.stderr


# --- real clips


@pytest.mark.parametrize(
    ("name", "frames", "last_time"),
    [
        ("variable_frame_rate.mp4", 135, 6.067),
        ("no_duration.webm", 74, 4.87),
        ("fire2.mp4", 25, 2.28),
        ("-video-with-dash-.mp4", 5, 4.0),
        ("again.mkv", 77, 2.53),
        ("h264_10bits.mp4", 30, 0.967),
        ("video_with_failing_audio.mp4", 280, 11.16),
    ],
)
def test_real_clips_whole(shared_data: Path, name: str, frames: int, last_time: float) -> None:
    found, warnings = frames_of(shared_data / "clips" / name)
    assert [frame.index for frame in found] == list(range(frames))
    assert found[-1].time == pytest.approx(last_time, abs=0.05)
    assert not warnings
    few, _ = frames_of(shared_data / "clips" / name, SampleSettings(frames=7))
    assert all(np.array_equal(frame.image, found[frame.index].image) for frame in few)
