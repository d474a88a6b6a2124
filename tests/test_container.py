"""Which files are opened, by what, and which of their streams is looked at."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from mesovid.container import DEMUXERS
from mesovid.errors import InputError
from mesovid.records import Frame
from mesovid.settings import SampleSettings
from mesovid.video import probe, sample

HANG = 10  # seconds


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """What waits for ever fails."""

    def late(*_: object) -> None:
        raise TimeoutError(f"still waiting after {HANG} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANG)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def clip(
    path: Path,
    streams: Sequence[tuple[int, int]] = ((64, 48),),
    *,
    default: int | None = None,
    first: int = 0,
    frames: int = 10,
    codec: str = "mpeg4",
    format: str | None = None,
) -> Path:
    """Streams of these widths and heights at 25 frames a second.

    Each has a grey of its own: 60, 120, 180...
    """
    with av.open(str(path), "w", format=format) as output:
        made = []
        for index, (width, height) in enumerate(streams):
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = Disposition.default if index == default else Disposition(0)
            made.append(stream)
        for index in range(frames):
            for number, stream in enumerate(made):
                grey = np.full((stream.height, stream.width, 3), 60 * (number + 1), np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame.pts, frame.time_base = first + index, Fraction(1, 25)
                output.mux(stream.encode(frame))
        for stream in made:
            output.mux(stream.encode(None))
    return path


def frames_of(path: Path, **settings: int) -> tuple[list[Frame], list[str]]:
    with sample(path, SampleSettings(**settings)) as sampling:
        return list(sampling), sampling.warnings


# --- no other file


def concat(path: Path) -> None:
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")


def concat_of_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe.mp4"))
    path.write_text("ffconcat version 1.0\nfile pipe.mp4\n")


def concat_with_mark(path: Path) -> None:
    path.write_text("\ufeffffconcat version 1.0\nfile other.mp4\n", encoding="utf-8")


def hls(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n")


def hls_without_end(path: Path) -> None:
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path.with_name('other.ts')}\n")


def dash(path: Path) -> None:
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<!-- made by hand -->\n'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>'
        "other.mp4</BaseURL>"
        "</Representation></AdaptationSet></Period></MPD>\n"
    )


def sdp(path: Path) -> None:
    path.write_text(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP "
        "96\na=rtpmap:96 H264/90000\n"
    )


LISTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "concat.mp4": (concat, "a list of parts (ffconcat)"),
    "mark.mp4": (concat_with_mark, "a list of parts (ffconcat)"),
    "waits.mp4": (concat_of_a_pipe, "a list of parts (ffconcat)"),
    "concat.txt": (concat, "a list of parts (ffconcat)"),
    "hls.mp4": (hls, "a playlist (HLS)"),
    "hls.m3u8": (hls, "a playlist (HLS)"),
    "live.m3u8": (hls_without_end, "a playlist (HLS)"),
    "dash.mpd": (dash, "a manifest (DASH)"),
    "sdp.mp4": (sdp, "the description of a stream (SDP)"),
    "pls.mp4": (
        lambda path: path.write_text("[playlist]\nFile1=other.mp4\n") and None,
        "a playlist (PLS)",
    ),
    "asx.mp4": (
        lambda path: path.write_text('<ASX version="3.0"></ASX>') and None,
        "a playlist (ASX)",
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_what_names_other_files_is_refused_in_one_line(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    clip(tmp_path / "other.mp4")
    clip(tmp_path / "other.ts", codec="mpeg2video")
    make, kind = LISTS[name]
    make(tmp_path / name)
    with pytest.raises(InputError) as caught:
        probe(tmp_path / name)
    assert str(caught.value).startswith(
        f"{tmp_path / name}: not a video but {kind}, which names other files"
    )
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    """FFmpeg takes a file x%03d.tga for the numbers x001.tga to x008.tga beside it."""
    for index in range(8):
        (tmp_path / f"x{index + 1:03d}.tga").write_bytes(
            bytes([0, 0, 2, *bytes(9), 8, 0, 8, 0, 24, 0]) + bytes(192)
        )
    (tmp_path / "x%03d.tga").write_bytes(b"anything")
    with pytest.raises(InputError, match="not a video that can be read"):
        probe(tmp_path / "x%03d.tga")
    for index in range(8):
        cv2.imwrite(
            str(tmp_path / f"y{index + 1:03d}.jpg"), np.full((8, 8, 3), 30 * index, np.uint8)
        )
    clip(tmp_path / "y%03d.mp4")
    assert len(frames_of(tmp_path / "y%03d.mp4", frames=100)[0]) == 10


def test_a_track_of_another_file_is_not_fetched(tmp_path: Path) -> None:
    """QuickTime's references: the sample data may lie in a file that an alias names."""
    other = clip(tmp_path / "other.mov", format="mov")
    content = other.read_bytes()
    at = content.index(b"dref") - 4
    size = int.from_bytes(content[at : at + 4], "big")
    assert content[at + 15 : at + 28].endswith(b"\x01") or b"url " in content[at : at + size]
    patched = bytearray(content)
    entry = (
        content.index(b"url ", at)
        if b"url " in content[at : at + size]
        else content.index(b"alis", at)
    )
    patched[entry : entry + 4] = b"alis"
    patched[entry + 4 : entry + 8] = bytes(4)  # not in this file
    (tmp_path / "refers.mov").write_bytes(patched)
    assert len(frames_of(tmp_path / "refers.mov", frames=100)[0]) in (0, 10)


def test_every_demuxer_that_is_allowed_is_known_to_ffmpeg() -> None:
    known = {part for name in av.formats_available for part in name.split(",")}
    assert set(DEMUXERS) <= known
    opens_others = {
        "concat",
        "hls",
        "dash",
        "sdp",
        "rtsp",
        "image2",
        "imf",
        "mlv",
        "vobsub",
        "webm_dash_manifest",
    }
    assert not opens_others & set(DEMUXERS)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/random", "/proc/kmsg"])
def test_devices_are_refused(path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"no {path} here")
    with pytest.raises(InputError, match=r"not a regular file|cannot be opened|the file is empty"):
        probe(path)


def test_a_file_of_the_kernel_is_not_read() -> None:
    if not os.path.exists("/proc/version"):
        pytest.skip("no /proc here")
    with pytest.raises(InputError, match="the file is empty"):  # its size says so
        probe("/proc/version")


def test_a_link_to_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "clip.mp4").symlink_to("pipe")
    with pytest.raises(InputError, match="not a regular file"):
        probe(tmp_path / "clip.mp4")


def test_links_to_files_and_names_like_urls_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "clip.mp4")
    for name in (
        "http:clip.mp4",
        "concat:clip.mp4|other.mp4",
        "subfile,,start,0,end,9,,:clip.mp4",
        "pipe:0",
    ):
        Path(name).symlink_to("clip.mp4")
        assert len(frames_of(Path(name))[0]) == 10


# --- which stream


@pytest.mark.parametrize(
    ("suffix", "default", "shown"),
    [
        ("mkv", None, 1),
        ("mkv", 0, 0),
        ("mkv", 2, 2),
        ("mp4", 0, 0),
        ("mp4", 1, 1),
        ("avi", None, 1),
        ("ts", None, 1),
    ],
)
def test_the_stream_that_a_player_shows(
    tmp_path: Path, suffix: str, default: int | None, shown: int
) -> None:
    """The one marked as default, and without such a mark the largest."""
    sizes = [(32, 24), (96, 64), (64, 48)]
    codec = "mpeg2video" if suffix == "ts" else "mpeg4"
    path = clip(tmp_path / f"clip.{suffix}", sizes, default=default, codec=codec)
    frames, warnings = frames_of(path)
    assert frames[0].image.shape == (sizes[shown][1], sizes[shown][0], 3)
    assert abs(float(frames[0].image.mean()) - 60 * (shown + 1)) < 4
    assert (probe(path).width, probe(path).height) == sizes[shown]
    (warning,) = warnings
    others = [
        f"{index} ({codec}, {sizes[index][0]}x{sizes[index][1]})"
        for index in range(3)
        if index != shown
    ]
    assert all(other in warning for other in others)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_another_stream_can_be_picked(tmp_path: Path, number: int) -> None:
    path = clip(tmp_path / "clip.mkv", [(32, 24), (96, 64), (64, 48)])
    frames, warnings = frames_of(path, stream=number)
    assert len(frames) == 10
    assert abs(float(frames[0].image.mean()) - 60 * (number + 1)) < 4
    assert not warnings


def test_a_stream_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mkv", [(32, 24), (96, 64)])
    with pytest.raises(
        InputError, match=r"no video stream 7; its .*: 0 \(mpeg4, 32x24\), 1 \(mpeg4, 96x64\)"
    ):
        frames_of(path, stream=7)


def test_one_stream_is_nothing_to_speak_of(tmp_path: Path) -> None:
    assert frames_of(clip(tmp_path / "clip.mkv"))[1] == []


def test_frames_too_large_to_hold_are_refused(tmp_path: Path) -> None:
    """A header of a few bytes may ask for gigabytes."""
    path = clip(tmp_path / "clip.y4m", codec="rawvideo", format="yuv4mpegpipe")
    content = path.read_bytes().replace(b"W64 H48", b"W12000 H12000")
    path.write_bytes(content)
    with pytest.raises(InputError, match="frames of 12000x12000 px are too large"):
        probe(path)


# --- when


def with_sound(path: Path, late: float, *, codec: str, sound: str) -> Path:
    """80 frames at 25 a second that begin `late` seconds after 5 s of sound."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        track = output.add_stream(sound, rate=48000)
        for index in range(80):
            frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), 3 * index, np.uint8), format="rgb24"
            )
            frame.pts, frame.time_base = index + round(25 * late), Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        for index in range(240):
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            silence.rate, silence.pts = 48000, 1024 * index
            output.mux(track.encode(silence))
        output.mux(track.encode(None))
    return path


KINDS = {
    "mp4": ("mpeg4", "aac"),
    "mkv": ("mpeg4", "aac"),
    "webm": ("libvpx", "libopus"),
    "ts": ("mpeg2video", "mp2"),
}


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("late", [0, 5])
def test_times_are_those_of_players(tmp_path: Path, suffix: str, late: int) -> None:
    """A picture that comes after its sound is first seen then, not at 0:00."""
    codec, sound = KINDS[suffix]
    path = with_sound(tmp_path / f"clip.{suffix}", late, codec=codec, sound=sound)
    frames, warnings = frames_of(path, frames=1000)
    assert [frame.time for frame in frames] == pytest.approx(
        [late + index / 25 for index in range(80)], abs=0.03
    )
    assert probe(path).duration == pytest.approx(late + 3.2, abs=0.06)
    assert not warnings
    with sample(path, SampleSettings(start=late + 1.0, frames=1000)) as sampling:
        assert [frame.index for frame in sampling] == pytest.approx(list(range(25, 80)), abs=1)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("webm", "libvpx"), ("mkv", "mpeg4"), ("mp4", "mpeg4"), ("ts", "mpeg2video")],
)
def test_what_starts_late_as_a_whole_starts_at_0(tmp_path: Path, suffix: str, codec: str) -> None:
    """As a browser's recording from which the beginning was cut leaves it."""
    path = clip(tmp_path / f"clip.{suffix}", first=60 * 25, frames=80, codec=codec)
    frames, warnings = frames_of(path, frames=1000)
    assert [frame.time for frame in frames] == pytest.approx(
        [index / 25 for index in range(80)], abs=0.002
    )
    assert probe(path).duration == pytest.approx(3.2, abs=0.01)
    assert not warnings


def test_joined_parts_of_a_recording_are_all_looked_at(tmp_path: Path) -> None:
    parts = [
        clip(tmp_path / f"{first}.ts", first=first * 25, frames=80, codec="mpeg2video")
        for first in (0, 600)
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, _ = frames_of(path, frames=32)
    assert len(frames) == 32
    assert 12 <= sum(frame.time < 300 for frame in frames) <= 20


def test_a_hole_in_a_file_takes_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "hole.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in [*range(80), *range(80 + 600 * 25, 160 + 600 * 25)]:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    frames, _ = frames_of(path, frames=32)
    assert len(frames) == 32
    assert 12 <= sum(frame.time < 300 for frame in frames) <= 20


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path: Path) -> None:
    whole, cut = clip(tmp_path / "whole.mp4", frames=30), tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.pts is not None:
                packet.pts -= int(7 / 25 / packet.time_base)
                packet.dts -= int(7 / 25 / packet.time_base)
                packet.stream = stream
                output.mux(packet)
    assert probe(whole).frame_count == len(frames_of(whole, frames=100)[0]) == 30
    assert probe(cut).frame_count == len(frames_of(cut, frames=100)[0]) == 23


# --- what the container hides


def four_greys(path: Path, codec: str) -> bytes:
    """Pictures of 96x64 px whose quarters are 40, 100, 160 and 220."""
    picture = np.full((64, 96, 3), 40, np.uint8)
    picture[:32, 48:], picture[32:, :48], picture[32:, 48:] = 100, 160, 220
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(5):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path.read_bytes()


def mkv_with_crop(path: Path, first: tuple[bytes, int], second: tuple[bytes, int]) -> Path:
    """Two sides take the places of two names.

    They are the unit of the size on display and the element behind the track's pictures.
    """
    content = bytearray(four_greys(path, "ffv1"))
    unit, behind = b"\x54\xb2\x81\x04", b"\x55\xee\x81\x00"
    at = content.index(unit + behind)
    pictures = content.rindex(b"\xe0\x8a", 0, at)
    content[pictures + 1] += len(behind)
    content[at : at + 8] = b"".join(side + bytes([0x81, value]) for side, value in (first, second))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("sides", "size", "shown"),
    [
        (((b"\x54\xcc", 48), (b"\x54\xbb", 32)), (48, 32), [220]),
        (((b"\x54\xdd", 48), (b"\x54\xaa", 32)), (48, 32), [40]),
        (((b"\x54\xcc", 50), (b"\x54\xdd", 6)), (40, 64), [100, 220]),
    ],
    ids=["left top", "right bottom", "sides"],
)
def test_what_matroska_hides_is_not_seen(
    tmp_path: Path,
    sides: tuple[tuple[bytes, int], tuple[bytes, int]],
    size: tuple[int, int],
    shown: list[int],
) -> None:
    path = mkv_with_crop(tmp_path / "clip.mkv", *sides)
    (frame, *_), _ = frames_of(path)
    assert (frame.image.shape[1], frame.image.shape[0]) == size
    assert (probe(path).width, probe(path).height) == size
    assert sorted({int(value) for value in frame.image[..., 0].ravel()}) == pytest.approx(
        shown, abs=2
    )


def test_the_clean_aperture_of_quicktime_is_what_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "clip.mov"
    content = bytearray(four_greys(path, "mpeg4"))
    # 40x20 px, whose centre lies 26 px to the right of the picture's and 20 px below it
    fractions = (40, 1, 20, 1, 26, 1, 20, 1)
    aperture = (
        (40).to_bytes(4, "big")
        + b"clap"
        + b"".join(value.to_bytes(4, "big") for value in fractions)
    )
    start = content.index(b"stsd") + 12
    entry = int.from_bytes(content[start : start + 4], "big")
    content[start + entry : start + entry] = aperture
    sizes = [
        start,
        *(
            content.index(name) - 4
            for name in (b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov")
        ),
    ]
    for at in sizes:
        content[at : at + 4] = (int.from_bytes(content[at : at + 4], "big") + 40).to_bytes(4, "big")
    path.write_bytes(content)
    (frame, *_), _ = frames_of(path)
    assert frame.image.shape == (20, 40, 3)
    assert abs(float(frame.image.mean()) - 220) < 4


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4", "mov"])
def test_damage_hides_nothing(tmp_path: Path, suffix: str) -> None:
    """Whatever the bytes say, reading the crop ends in one."""
    from mesovid.cropping import container_crop

    whole = clip(
        tmp_path / f"clip.{suffix}", codec="libvpx" if suffix == "webm" else "mpeg4"
    ).read_bytes()
    rng = np.random.default_rng(5)
    with av.open(str(tmp_path / f"clip.{suffix}")) as container:
        stream = container.streams.video[0]
        for _ in range(100):
            content = bytearray(whole)
            for at in rng.integers(0, len(content), 60):
                content[at] = rng.integers(256)
            (tmp_path / "damaged").write_bytes(content)
            crop = container_crop(tmp_path / "damaged", container.format.name, stream)
            assert min(crop) >= 0
