"""Decodes the chosen frames of a video, and no more of it than they need.

A video is read in two passes. The first reads its packets without decoding them (10 microseconds
each) and so learns when every frame is shown and which ones are key frames; what containers say of
their length is often wrong. The second decodes: from the key frame before a wanted frame up to that
frame, without frames that no other one refers to, and jumps over what lies between. Only wanted
frames become RGB. No pass holds more than a few frames.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mesovid.container import (
    MOST_PIXELS,
    beginning,
    describe,
    open_container,
    video_info,
    video_stream,
    video_streams,
)
from mesovid.cropping import container_crop
from mesovid.display import Colours, Display
from mesovid.errors import InputError
from mesovid.pictures import check_length
from mesovid.records import Frame, Pixels, VideoInfo
from mesovid.settings import SampleSettings
from mesovid.timeline import Integers, Timeline, TimelineBuilder, Times, choose

THREADS = min(4, os.cpu_count() or 1)  # of a decoder; each holds a frame or two
FIRST_PACKETS = 1000  # without one picture among them, a stream counts as unreadable
READ_FAILURES = 100  # of a container, before it counts as ended
SEEK_GAP = 64  # packets; fewer are read and dropped rather than jumped over
# groups of pictures decoded before the wanted one; more where fewer do not do
GROUPS_BEFORE = (0, 1, 4, 16)
RUN_GAP = 4  # frames; wanted frames this near to each other are decoded in one go
# codecs whose marked frames are referred to by no other frame at all; HEVC's may be, by higher
# temporal layers
SKIPPABLE = frozenset(["h264", "mpeg1video", "mpeg2video", "mpeg4"])


class Video:
    """One opened video file.

    Packets are counted from the beginning of the file, whatever was jumped over.
    """

    _packets: Iterator[Packet[VideoStream]]

    def __init__(self, path: Path, stream: int | None = None) -> None:
        self._path = path
        self._wanted = stream  # its number in the file; None for the one a player shows
        self._timeline: Timeline | None = None
        self._builder = TimelineBuilder()
        self._errors = 0  # packets that could not be decoded
        self.planned: int | None = None
        self._threads = THREADS
        self._groups_before = GROUPS_BEFORE[0]
        self._open()
        try:
            first = self._first_picture()
        except InputError:
            self.close()
            raise
        crop = container_crop(path, self._container.format.name, self._stream)
        self._display = Display(first, self._container_colours, crop)
        size = self._display.size(first, self._pixel_aspect())
        self.info = video_info(path, self._container, self._stream, size)
        self.tags: Mapping[str, str] = dict(self._container.metadata)

    def close(self) -> None:
        self._container.close()
        # this generator refers back to self: without it the decoder and its frames are freed now,
        # not at some later round of the garbage collector, which hardly runs in a program of few
        # and large objects
        self._packets = iter(())

    @property
    def unreliable(self) -> str | None:
        """Why the frames given so far do not look as they should; None when they do."""
        return self._display.unreliable

    def frames(self, settings: SampleSettings, warnings: list[str]) -> Iterator[Frame]:
        """The chosen frames; notes in `warnings` what could not be read."""
        warnings += self._other_streams()
        timeline = self._read_timeline()
        times, duration = self._times(timeline)
        chosen = choose(times, duration, timeline.key_indices(), settings)
        self.planned = len(chosen)
        if not len(chosen):
            raise InputError(
                f"{self._path}: no frame {_part(settings)}; the video lasts {duration:.2f} s"
            )
        if timeline.timestamps is None:
            warnings.append(
                "the stream has no usable timestamps; times assume a constant frame rate"
            )
        pictures = self._pictures(timeline, chosen)
        self._display.forget()
        given = repaired = self._errors = 0
        for index, picture in pictures:
            given += 1
            repaired += picture.is_corrupt
            yield Frame(index, float(times[index]), self._image(picture))
        if not given:
            raise InputError(
                f"{self._path}: none of the {len(chosen)} frames asked for can be decoded; the "
                "file is damaged"
            )
        warnings += self._display.warnings()
        warnings += _shortcomings(self.info, duration, given, len(chosen), self._errors, repaired)

    def frames_at(self, indices: Sequence[int]) -> Iterator[Frame]:
        """The frames with these numbers, in ascending order.

        Frames that are not there or cannot be decoded are left out.
        """
        timeline = self._read_timeline()
        times, _ = self._times(timeline)
        wanted = sorted({index for index in indices if 0 <= index < len(times)})
        for index, picture in self._pictures(timeline, np.array(wanted, np.int64)):
            if index in wanted:  # in place of a damaged one its next comes
                yield Frame(index, float(times[index]), self._image(picture))

    def _pictures(self, timeline: Timeline, chosen: Integers) -> Iterator[tuple[int, VideoFrame]]:
        if timeline.timestamps is None:
            return self._in_order(chosen)
        return self._by_time(timeline, timeline.timestamps, chosen)

    def _image(self, picture: VideoFrame) -> Pixels:
        try:
            return self._display.image(picture, self._pixel_aspect())
        except InputError as error:
            raise InputError(f"{self._path}: {error}") from error

    def _pixel_aspect(self) -> Fraction | None:
        """The width of a pixel over its height, of the picture decoded last.

        What the container says wins.
        """
        return self._container_aspect or self._context.sample_aspect_ratio

    def _open(self) -> None:
        self._container = open_container(self._path)
        self._stream = video_stream(self._path, self._container, self._wanted)
        self._context = self._stream.codec_context
        context = self._context
        self._container_colours = Colours(
            context.color_trc, context.color_primaries, context.colorspace
        )
        # PyAV gives the container's, and where that is unknown what the stream said when it was
        # opened
        guess = self._stream.sample_aspect_ratio
        self._container_aspect = guess if guess != context.sample_aspect_ratio else None
        self._context.options = {"max_pixels": str(MOST_PIXELS)}
        self._context.thread_type = "AUTO"
        self._context.thread_count = self._threads
        self._packets = self._demux()
        self._position = 0  # packets of the file before the next one of self._packets

    def _other_streams(self) -> Iterator[str]:
        others = [
            describe(stream)
            for stream in video_streams(self._container)
            if stream.index != self._stream.index
        ]
        if others and self._wanted is None:
            yield (
                f"of {len(others) + 1} video streams {describe(self._stream)} is looked at, not"
                f" {' or '.join(others)}; --stream picks another"
            )

    def _demux(self) -> Iterator[Packet[VideoStream]]:
        """The packets from here on, past errors of the container."""
        for _ in range(READ_FAILURES):
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:  # the last one is empty
                        yield packet
            except av.FFmpegError:
                continue
            except IndexError:
                # PyAV's, at the end, where damage has brought up streams that were not there at the
                # beginning
                pass
            return

    def _read(self) -> Iterator[Packet[VideoStream]]:
        for packet in self._packets:
            self._position += 1
            yield packet

    def _decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """The pictures that are ready after this packet; None asks for those still held back."""
        try:
            return self._context.decode(packet)
        except av.FFmpegError:
            self._errors += 1
            return []

    def _first_picture(self) -> VideoFrame:
        """The first picture that can be decoded.

        It tells the rotation, and that the stream can be decoded at all.
        """
        picture = self._first_decoded()
        if self._errors and self._threads > 1:
            # a decoder with threads that has failed must not be flushed: VP9's then crashes on its
            # next packet
            self._threads = 1
            self._builder = TimelineBuilder()
            self._rewind()
            picture = self._first_decoded()
        if picture is not None:
            return picture
        what = "can be decoded" if self._position else "is there"
        raise InputError(
            f"{self._path}: no frame of its {self._context.name} stream {what}; the file is "
            "damaged or cut off"
        )

    def _first_decoded(self) -> VideoFrame | None:
        """The first picture from the beginning of the file on.

        A decoder with threads gives up at its first error.
        """
        for packet in self._read():
            self._add(packet)
            pictures = self._decode(packet)
            if (
                self._threads > 1
                and self._position == 1
                and packet.is_keyframe
                and not packet.is_discard
            ):
                pictures = pictures or self._decode(None)  # mostly the first packet is enough
                if not self._errors:
                    self._context.flush_buffers()
            if pictures:
                return pictures[0]
            if (self._errors and self._threads > 1) or self._position == FIRST_PACKETS:
                break
        pictures = self._decode(None)
        return pictures[0] if pictures else None

    def _add(self, packet: Packet[VideoStream]) -> None:
        # an AVI file says when to decode, not when to show, which B-frames make another order
        timed = self._container.format.name != "avi" or self._context.name not in ("h264", "hevc")
        timestamp = packet.pts if timed else None
        self._builder.add(
            timestamp, packet.duration or 0, key=packet.is_keyframe, shown=not packet.is_discard
        )

    def _read_timeline(self) -> Timeline:
        """The first pass, from where `_first_picture` left off."""
        if self._timeline is None:
            is_picture = self._container.format.name == "gif"
            for packet in self._read():
                self._add(packet)
                if is_picture:
                    check_length(self._path, self._position)
            self._timeline = self._builder.build()
        return self._timeline

    def _times(self, timeline: Timeline) -> tuple[Times, float]:
        """When each frame appears, in seconds from the beginning of the file.

        The last value says when the last frame disappears.
        """
        rate = self._stream.guessed_rate or self._stream.average_rate or Fraction(25)
        if timeline.timestamps is None:
            return np.arange(timeline.count) / float(rate), timeline.count / float(rate)
        tick = float(self._stream.time_base or 1)
        first = round(beginning(self._container) / tick)
        if len(timeline.timestamps):
            first = min(first, int(timeline.timestamps[0]))
        times: Times = np.multiply(timeline.timestamps - first, tick, dtype=np.float64)
        last = float(times[-1]) if len(times) else 0.0
        return times, last + (timeline.last_duration * tick or 1 / float(rate))

    def _by_time(
        self, timeline: Timeline, timestamps: Integers, chosen: Integers
    ) -> Iterator[tuple[int, VideoFrame]]:
        """The chosen frames, decoded from the key frame before each.

        For one that cannot be decoded the next that can.
        """
        # groups of pictures: group g starts with key frame g - 1, group 0 comes before the first
        # key frame
        groups = np.searchsorted(timeline.keys, timestamps, side="right")
        left = chosen.tolist()[::-1]
        while left:
            run = [left.pop()]
            while left and (groups[left[-1]] == groups[run[-1]] or left[-1] - run[-1] <= RUN_GAP):
                run.append(left.pop())
            index = -1
            for picture in self._run(timeline, int(groups[run[0]]), timestamps[run]):
                index = min(int(np.searchsorted(timestamps, picture.pts or 0)), len(timestamps) - 1)
                yield index, picture
            if self._errors and self._threads > 1:
                # threads report an error late and take sound pictures with them: go on with one,
                # from the last one given
                self._threads = 1
                self._rewind()
                left += [wanted for wanted in run[::-1] if wanted > index]
                continue
            following = int(np.searchsorted(groups, groups[run[-1]], side="right"))
            if index < run[-1] and following < (left[-1] if left else len(timestamps)):
                left.append(following)

    def _run(self, timeline: Timeline, group: int, wanted: Integers) -> Iterator[VideoFrame]:
        """For each timestamp in `wanted` the first picture at or after it.

        Decoding starts at `group`.
        """
        while True:
            start = max(group - self._groups_before, 0)
            pictures = self._run_from(timeline, start, wanted)
            first = next(pictures, None)
            if first is not None and first.pts == wanted[0]:
                break
            # some key frames are no clean start (gradual refresh): start earlier, from now on
            if not start or self._groups_before == GROUPS_BEFORE[-1] or self._errors:
                break
            self._groups_before = GROUPS_BEFORE[GROUPS_BEFORE.index(self._groups_before) + 1]
        if first is not None:
            yield first
            yield from pictures

    def _run_from(self, timeline: Timeline, group: int, wanted: Integers) -> Iterator[VideoFrame]:
        missing = wanted.tolist()[::-1]
        unsent = set(missing)
        for packet in self._packets_from(timeline, group):
            needed = packet.pts in unsent or self._context.name not in SKIPPABLE
            self._context.skip_frame = "DEFAULT" if needed else "NONREF"
            pictures = self._decode(packet)
            unsent.discard(packet.pts or 0)
            if not unsent:
                pictures += self._drain()
            if self._errors and self._threads > 1:
                return
            yield from _first_at(pictures, missing)
            if not unsent:
                return
        yield from _first_at(self._drain(), missing)

    def _drain(self) -> list[VideoFrame]:
        """The pictures still held back; the decoder then starts afresh."""
        pictures = self._decode(None)
        self._context.flush_buffers()
        return pictures

    def _in_order(self, chosen: Integers) -> Iterator[tuple[int, VideoFrame]]:
        """The chosen frames, counted as they come out of the decoder."""
        self._threads = 1  # see _by_time
        self._rewind()
        left = chosen.tolist()[::-1]
        index = -1
        for packet in itertools.chain(self._read(), [None]):
            for picture in self._decode(packet):
                index += 1
                if left and index == left[-1]:
                    left.pop()
                    yield index, picture
            if not left:
                return

    def _packets_from(self, timeline: Timeline, group: int) -> Iterator[Packet[VideoStream]]:
        """The packets from the key frame of a group on."""
        position = int(timeline.key_positions[group - 1]) if group else 0
        if not 0 <= position - self._position <= SEEK_GAP and not (
            group and self._seek(int(timeline.keys[group - 1]), position)
        ):
            self._rewind()
        for packet in self._read():
            if self._position > position:
                yield packet

    def _seek(self, timestamp: int, position: int) -> bool:
        """Go to the key frame with this timestamp; False when the container cannot."""
        try:
            self._container.seek(timestamp, stream=self._stream)
        except av.FFmpegError:
            return False
        packets = self._demux()
        for packet in packets:
            if packet.is_keyframe and packet.pts is not None and packet.pts >= timestamp:
                self._packets = itertools.chain([packet], packets)
                self._position = position
                return packet.pts == timestamp
        return False

    def _rewind(self) -> None:
        self._container.close()
        self._open()


def _first_at(pictures: Iterable[VideoFrame], missing: list[int]) -> Iterator[VideoFrame]:
    """The pictures that are the first at or after a missing timestamp.

    Such timestamps (in descending order) are removed from the list.
    """
    for picture in pictures:
        if missing and picture.pts is not None and picture.pts >= missing[-1]:
            while missing and picture.pts >= missing[-1]:
                missing.pop()
            yield picture


def _part(settings: SampleSettings) -> str:
    if settings.end is None:
        return f"from {settings.start or 0:g} s on"
    return f"between {settings.start or 0:g} s and {settings.end:g} s"


def _shortcomings(
    info: VideoInfo, duration: float, given: int, asked: int, errors: int, repaired: int
) -> Iterator[str]:
    """What could not be read of a video, a sentence each."""
    if given < asked:
        yield f"{given} of {asked} frames could be read; the video is damaged"
    elif errors:
        yield (
            f"the video is damaged: {errors} pieces could not be decoded, and frames near them "
            "may show it"
        )
    if repaired:
        yield f"{repaired} of {given} frames are damaged; the decoder filled in what was missing"
    if info.duration is not None and duration < 0.9 * info.duration - 1:
        yield f"the video ends after {duration:.1f} s; its file says {info.duration:.1f} s"
