"""Writes a copy of a scanned clip with boxes, people and running scores drawn into it.

Any player and browser shows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mesovid import __version__, tones
from mesovid.boxes import overlap
from mesovid.container import beginning, open_container, video_stream
from mesovid.display import AS_STORED, UNSPECIFIED, Colours, Display, orientation
from mesovid.errors import InputError, OutputError, SettingsError
from mesovid.evidence.canvas import FORMAT, Canvas, label, score_bar
from mesovid.evidence.course import Course, Sight
from mesovid.files import check_output, whole
from mesovid.media import is_picture
from mesovid.names import shown
from mesovid.records import Box, Scan
from mesovid.report.look import FAKE, PEOPLE, REAL
from mesovid.report.page import zone

# encoders by the name under which FFmpeg knows them, and what they are called
H264, VP9 = "libx264", "libvpx-vp9"
NAMES = {H264: "H.264", VP9: "VP9"}
SUFFIXES = {
    ".mp4": (H264, VP9),
    ".m4v": (H264, VP9),
    ".mov": (H264,),
    ".mkv": (H264, VP9),
    ".webm": (VP9,),
}
FAST_START = (".mp4", ".m4v", ".mov")  # can begin to play before they are loaded
OPTIONS = {
    H264: {"preset": "veryfast", "crf": "20"},
    VP9: {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "crf": "30", "b": "0"},
}
SOUND = {
    ".webm": ("opus", "vorbis"),
    ".mov": ("aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s16be"),
}
SOUND_IN_MP4 = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac", "mp2")
COMMENT = f"annotated by mesovid {__version__}"
CLOCK = Fraction(1, 90_000)  # seconds a tick, where the stream has no time base that can be kept
BT709 = 1
NARROW, FULL = 1, 2  # range of Y'CbCr
_WORDS = {"fake": "fake", "real": "real", "uncertain": "unclear"}


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the clip."""

    codec: str  # H.264 or VP9
    why: str  # why not H.264, where it is not
    sound: str  # copied, none, or why it was left out
    frames: int

    def __str__(self) -> str:
        codec = f"{self.codec} ({self.why})" if self.why else self.codec
        return f"{codec}, {self.frames} frames, sound {self.sound}"


def check_target(path: str | Path, inputs: Iterable[str | Path]) -> None:
    """Refuse a name that cannot be an annotated clip, or whose writing would destroy something.

    Writes nothing.
    """
    place, name = Path(path), shown(str(path))
    if place.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"the annotated clip {name} must end in {', '.join(SUFFIXES)}")
    check_output(path, inputs, kind="video")
    if place.is_file() and place.stat().st_size and not _is_ours(place):
        raise SettingsError(
            f"{name} is there already and was not annotated by mesovid; give the clip another name"
        )


def annotate(
    scan: Scan,
    target: str | Path,
    *,
    band: tuple[float, float] | None = None,
    smallest_face: float | None = None,
) -> Written:
    """Write the clip of a scan again, with what was found drawn into it.

    Same size as on display, upright, same timestamps; sound is copied where the container takes it.
    A box is solid in a frame that was looked at and dashed between two. `band` and `smallest_face`
    are the model's. The file is there whole or not at all. InputError when the clip cannot be read,
    OutputError when the copy cannot be written.
    """
    if is_picture(scan.video.path):
        raise InputError(f"{shown(scan.video.path)}: a picture; only videos can be annotated")
    path = Path(scan.video.path)
    painter = _Painter(scan, band, smallest_face)
    try:
        with (
            open_container(path) as source,
            whole(target) as partial,
            closing(_Copy(source, path, scan, partial, Path(target))) as copy,
        ):
            written = copy.write(painter)
            copy.close()
            _check(partial, written, target)
    except OSError as error:
        raise OutputError(
            f"cannot write {shown(str(target))}: {error.strerror or error}"
        ) from error
    return written


class _Painter:
    """Draws what a scan found into pictures in 4:2:0."""

    def __init__(
        self, scan: Scan, band: tuple[float, float] | None, smallest_face: float | None
    ) -> None:
        self._course = Course(scan, smallest_face, len(PEOPLE))
        self._threshold, self._band = scan.model.threshold, band
        self._near = 0.5 / (scan.video.fps or 25)
        self._any = bool(scan.scores)

    def __call__(self, picture: VideoFrame, time: float) -> None:
        canvas = Canvas(picture)
        sights = self._course.at(time, self._near)
        thickness = max(2, round(canvas.height / 480) * 2)
        height = max(12, canvas.height // 34 // 2 * 2)
        for sight in sights:
            canvas.frame(
                sight.box, _rgb(PEOPLE[sight.colour]), thickness, dashed=not sight.looked_at
            )
        taken: list[Box] = []
        for sight in sights:
            self._name(canvas, sight, height, taken)
        strip = max(14, canvas.height // 24 // 2 * 2)
        if canvas.height >= 4 * strip and canvas.width >= 4 * strip:
            width = canvas.width // 2 * 2
            canvas.paste(
                self._bar(time, (width, strip)),
                0,
                canvas.height // 2 * 2 - strip + canvas.height % 2,
            )

    def _name(self, canvas: Canvas, sight: Sight, height: int, taken: list[Box]) -> None:
        """Who it is, and the score until now: above the box, or where else no other name stands."""
        text = (
            f"person {sight.person}  {sight.running:.2f} {self._word(sight.running, sight.silent)}"
        )
        piece = label(text, _rgb(PEOPLE[sight.colour]), height)
        left, top, _, bottom = sight.box
        wide = piece[0].shape[1]
        x = min(max(round(left), 0), max(canvas.width - wide, 0))
        above, below = round(top) - height - 4, round(bottom) + 4
        for y in (above, below, above - height, below + height, above - 2 * height):
            place = (x, y, x + wide, y + height)
            if y >= 0 and not any(overlap(place, other) for other in taken):
                taken.append(place)
                canvas.paste(piece, x, y)
                return

    def _word(self, probability: float, silent: str = "") -> str:
        return (
            silent.removesuffix(" to have a say")
            or _WORDS[zone(probability, self._threshold, self._band) or "uncertain"]
        )

    def _bar(self, time: float, size: tuple[int, int]) -> Any:
        found = self._course.verdict(time + self._near)
        zones = _rgb(REAL), _rgb(FAKE)
        if found is None:
            text = "no face so far" if self._any else "no face found"
            return score_bar(None, text, self._threshold, self._band, zones, size)
        person, probability = found[0], round(found[1], 2)
        text = f"P(fake) so far {probability:.2f} {self._word(probability)}, person {person}"
        return score_bar(probability, text, self._threshold, self._band, zones, size)


class _Copy:
    """One clip on its way from its container to another."""

    def __init__(
        self, source: InputContainer, path: Path, scan: Scan, partial: Path, target: Path
    ) -> None:
        self._source, self._path, self._target = source, path, target
        suffix = target.suffix.lower()
        options = {"movflags": "+faststart"} if suffix in FAST_START else {}
        self._stream = video_stream(path, source, scan.settings.get("stream"))
        self._stream.thread_type = "AUTO"
        context = self._stream.codec_context
        self._colours = Colours(context.color_trc, context.color_primaries, context.colorspace)
        self._start = Fraction(beginning(source)).limit_denominator(1_000_000)
        self._out: OutputContainer = av.open(str(partial), "w", options=options)
        self._out.metadata["comment"] = COMMENT
        self._suffix = suffix
        self._encoder: VideoStream | None = None
        self._sound, self.sound = self._find_sound()
        self._display: Display | None = None
        self._turned = AS_STORED
        self._last: int | None = None  # timestamp of the frame before
        self._count = 0
        self._closed = False
        self._held: list[Packet[Any]] = []  # sound that comes before the first picture
        self.codec = self.why = ""

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with _writing(self._target):
                self._out.close()

    def write(self, painter: _Painter) -> Written:
        streams = [self._stream] if self._sound is None else [self._stream, self._sound]
        for packet in self._packets(streams):
            if packet.stream is self._stream:
                for picture in self._decoded(packet):
                    self._add(picture, painter)
            elif self._sound is not None:
                self._held.append(packet)
                self._pass_sound_on()
        if self._encoder is None:
            raise InputError(f"{shown(str(self._path))}: no frame of it can be decoded")
        with _writing(self._target):
            self._out.mux(self._encoder.encode(None))
        return Written(NAMES[self.codec], self.why, self.sound, self._count)

    def _packets(self, streams: list[Any]) -> Iterator[Packet[Any]]:
        """All packets, past damage.

        The last ones are empty and ask for the pictures still held back.
        """
        for _ in range(100):
            try:
                yield from self._source.demux(*streams)
            except av.FFmpegError:
                continue
            # PyAV's, at the end, where damage has brought up streams that were not there at first
            except IndexError:
                pass
            return

    def _decoded(self, packet: Packet[Any]) -> list[VideoFrame]:
        try:
            return list(packet.decode())
        except av.FFmpegError:
            return []

    def _add(self, picture: VideoFrame, painter: _Painter) -> None:
        tick = self._tick()
        if picture.pts is not None and self._stream.time_base is not None:
            timestamp = round((picture.pts * self._stream.time_base - self._start) / tick)
        else:
            timestamp = round(Fraction(self._count) / self._rate() / tick)
        if self._last is not None and timestamp <= self._last:
            return
        self._last = timestamp
        ready = self._prepared(picture)
        ready.pts, ready.time_base = timestamp, tick
        painter(ready, float(timestamp * tick))
        if self._encoder is None:
            self._encoder = self._open(ready, picture)
        with _writing(self._target):
            self._out.mux(self._encoder.encode(ready))
        self._count += 1
        self._pass_sound_on()

    def _prepared(self, picture: VideoFrame) -> VideoFrame:
        """The picture as it is shown, in 4:2:0 and free to be drawn on."""
        aspect = self._stream.sample_aspect_ratio
        if self._display is None:
            self._display = Display(picture, self._colours)
            self._turned = orientation(picture) or AS_STORED
        size = self._size(picture, aspect)
        if self._is_plain(picture, aspect, size):
            if picture.format.name != FORMAT:
                full = picture.color_range == FULL or picture.format.name.startswith("yuvj")
                return picture.reformat(
                    format=FORMAT, src_color_range=FULL if full else NARROW, dst_color_range=NARROW
                )
            picture.make_writable()
            return picture
        image = self._display.image(picture, aspect)
        if (image.shape[1], image.shape[0]) != size:
            return VideoFrame.from_ndarray(image, format="rgb24").reformat(*size, format=FORMAT)
        made = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        return made.reformat(format=FORMAT, dst_colorspace=BT709)

    def _is_plain(
        self, picture: VideoFrame, aspect: Fraction | None, size: tuple[int, int]
    ) -> bool:
        """Whether a picture is shown as it is stored, so that it need not pass through RGB."""
        assert self._display is not None
        return (
            size == (picture.width, picture.height) == self._display.size(picture, aspect)
            and (orientation(picture) or self._turned) == AS_STORED
            and not picture.interlaced_frame
            and not tones.wanted(picture.color_trc, picture.color_primaries)
        )

    def _size(self, picture: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
        if self._encoder is not None:
            return self._encoder.width, self._encoder.height
        assert self._display is not None
        return self._display.size(picture, aspect)

    def _open(self, ready: VideoFrame, picture: VideoFrame) -> VideoStream:
        self.codec, self.why = choose(self._suffix, ready.width, ready.height, self._target)
        stream: VideoStream = self._out.add_stream(
            self.codec, rate=self._rate(), options=OPTIONS[self.codec]
        )  # type: ignore[assignment]
        stream.width, stream.height, stream.pix_fmt = ready.width, ready.height, FORMAT
        stream.time_base = stream.codec_context.time_base = self._tick()
        stream.codec_context.thread_count = os.cpu_count() or 1
        if self.codec == VP9:
            stream.codec_context.bit_rate = 0  # the quality decides
        context = stream.codec_context
        kept = self._is_plain(
            picture, self._stream.sample_aspect_ratio, (ready.width, ready.height)
        )
        context.color_range = (
            picture.color_range if kept and picture.format.name == FORMAT else NARROW
        )
        for name, told in self._colours._asdict().items():
            own = getattr(picture, name)
            setattr(context, name, (told if own == UNSPECIFIED else own) if kept else BT709)
        if self._sound is not None:
            self._copied = self._out.add_stream_from_template(self._sound)
        return stream

    def _pass_sound_on(self) -> None:
        """Sound waits for the first picture, with which the copy begins."""
        if self._encoder is None:
            return
        for packet in self._held:
            if packet.dts is None or packet.time_base is None or not packet.size:
                continue
            shift = round(self._start / packet.time_base)
            packet.dts -= shift
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.stream = self._copied
            with _writing(self._target):
                self._out.mux(packet)
        self._held.clear()

    def _find_sound(self) -> tuple[AudioStream | None, str]:
        streams = [
            stream for stream in self._source.streams.audio if stream.codec_context is not None
        ]
        if not streams:
            return None, "none"
        name = streams[0].codec_context.name
        if self._suffix != ".mkv" and name not in SOUND.get(self._suffix, SOUND_IN_MP4):
            return None, f"left out ({name} does not go into {self._suffix}; .mkv takes it)"
        more = f", the first of {len(streams)} tracks" if len(streams) > 1 else ""
        return streams[0], f"copied{more}"

    def _rate(self) -> Fraction:
        rate = self._stream.average_rate or self._stream.guessed_rate
        return rate if rate and 0 < rate <= 1000 else Fraction(25)

    def _tick(self) -> Fraction:
        """Seconds of a tick.

        Some players refuse files whose time base is finer than any frame needs.
        """
        base = self._stream.time_base
        return (
            base
            if base is not None and Fraction(1, 1_000_000) <= base <= Fraction(1, 500)
            else CLOCK
        )


def choose(suffix: str, width: int, height: int, target: Path) -> tuple[str, str]:
    """The encoder for a size, and why it is not H.264. OutputError where there is none."""
    wanted = SUFFIXES[suffix]
    whys = {H264: ""}
    if width % 2 or height % 2:
        whys[VP9] = f"H.264 cannot have {width} x {height} px"
        wanted = tuple(codec for codec in wanted if codec != H264)
    elif H264 not in wanted:
        whys[VP9] = f"{suffix} takes no H.264"
    for codec in wanted:
        if has_encoder(codec):
            return codec, whys.get(codec, "there is no encoder for H.264 here")
    missing = (
        " nor ".join(f"{NAMES[codec]} ({codec})" for codec in wanted) or f"{width} x {height} px"
    )
    raise OutputError(f"cannot write {shown(str(target))}: no encoder here for {missing}")


def has_encoder(name: str) -> bool:
    """Whether this FFmpeg can write a codec."""
    try:
        av.Codec(name, "w")
    except (ValueError, av.FFmpegError):
        return False
    return True


def _rgb(text: str) -> tuple[int, int, int]:
    red, green, blue = (int(text[place : place + 2], 16) for place in (1, 3, 5))
    return red, green, blue


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Turns what FFmpeg says of the file being written into an OutputError."""
    try:
        yield
    except av.FFmpegError as error:
        raise OutputError(
            f"cannot write {shown(str(target))}: {error.strerror or error}"
        ) from error


def _check(partial: Path, written: Written, target: str | Path) -> None:
    """A disk that fills up cuts a file off without a word: look whether all of it is there."""
    try:
        with av.open(str(partial)) as container:
            stream = container.streams.video[0]
            there = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, IndexError):
        there = 0
    if there < written.frames:
        raise OutputError(
            f"cannot write {shown(str(target))}: only {there} of {written.frames} frames arrived "
            "on the disk; is it full?"
        )


def _is_ours(path: Path) -> bool:
    try:
        with av.open(str(path)) as container:
            return container.metadata.get(
                "comment", container.metadata.get("COMMENT", "")
            ).startswith("annotated by mesovid")
    except (av.FFmpegError, UnicodeError):
        return False
