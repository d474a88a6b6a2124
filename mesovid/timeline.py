"""When the frames of a video are shown, and which of them to look at.

Pure: it knows times, no files and no pixels.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mesovid.settings import SampleSettings

Integers = npt.NDArray[np.int64]
Times = npt.NDArray[np.float64]  # seconds

ROUNDING = 1e-6  # seconds; a frame this much before a wanted time still counts as in time
LONG_GAP = 10.0  # seconds between wanted frames, from which a key frame near by will do
NEAR_BY = 0.1  # of the gap
HOLE = 5.0  # seconds without a new frame that may be a hole in a recording...
HOLE_STEPS = 10  # ...where they are as many times the usual step


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the packets of a video stream say without being decoded.

    Timestamps are in ticks of the stream's time base.
    """

    count: int  # frames on display
    timestamps: Integers | None  # (count,) ascending; None when some are missing or come twice
    keys: Integers  # (k,) timestamps of key frames, ascending, with those before the displayed part
    key_positions: Integers  # (k,) packets in the file before each of them
    last_duration: int  # ticks that the last frame stays on display; 0 when unknown

    def key_indices(self) -> Integers:
        """Which frames are key frames, ascending; none when the timestamps are unknown."""
        if self.timestamps is None:
            return np.empty(0, np.int64)
        return np.flatnonzero(np.isin(self.timestamps, self.keys)).astype(np.int64)


class TimelineBuilder:
    """Makes a Timeline of packets, taken one by one in the order of the file."""

    def __init__(self) -> None:
        self.position = 0  # packets taken
        self._timestamps, self._keys, self._key_positions = array("q"), array("q"), array("q")
        self._missing = 0  # frames without timestamp
        self._last: tuple[int, int] | None = None  # timestamp and duration of the frame shown last

    def add(self, timestamp: int | None, duration: int, *, key: bool, shown: bool) -> None:
        """Take one packet. `shown` is False for one that is decoded for the sake of others only."""
        if timestamp is None:
            self._missing += shown
        else:
            if key:
                self._keys.append(timestamp)
                self._key_positions.append(self.position)
            if shown:
                self._timestamps.append(timestamp)
                if self._last is None or timestamp > self._last[0]:
                    self._last = timestamp, duration
        self.position += 1

    def build(self) -> Timeline:
        """The timeline of all packets so far."""
        timestamps = np.sort(np.array(self._timestamps, np.int64))
        sound = not self._missing and bool(np.all(np.diff(timestamps) > 0))
        keys, positions = np.array(self._keys, np.int64), np.array(self._key_positions, np.int64)
        order = np.argsort(keys, kind="stable")
        return Timeline(
            count=len(timestamps) + self._missing,
            timestamps=timestamps if sound else None,
            keys=keys[order],
            key_positions=positions[order],
            last_duration=self._last[1] if self._last else 0,
        )


def choose(times: Times, duration: float, keys: Integers, settings: SampleSettings) -> Integers:
    """Which frames to look at: ascending indices into `times`, each once.

    None when no frame lies in the asked part.

    A key frame takes the place of an evenly spaced frame when these lie `LONG_GAP` or more apart
    and it is `NEAR_BY`: it is decoded alone, any other only after all frames since the key frame
    before it, which are hundreds.

    Args: times: (n,) seconds at which each frame appears, ascending; it stays until the next one
        appears. duration: seconds at which the last one disappears. keys: (k,) indices of the key
        frames, ascending.
    """
    start = settings.start or 0.0
    end = duration if settings.end is None else min(settings.end, duration)
    first = int(np.searchsorted(times, start - ROUNDING))
    stop = int(np.searchsorted(times, end - ROUNDING)) if settings.end is not None else len(times)
    window = times[first:stop]
    if settings.every is not None:
        chosen = np.arange(0, len(window), settings.every)
    elif settings.fps is not None:
        chosen = _first_of_each_interval(window - start, settings.fps)
    else:
        keys = keys[(keys >= first) & (keys < stop)] - first
        if settings.start is None and len(window):
            start = float(window[0])  # what is heard before the first picture takes no samples
        chosen = _on_display(window, start, end, keys, settings.frames)
    return chosen.astype(np.int64) + first


def _first_of_each_interval(times: Times, fps: float) -> npt.NDArray[np.intp]:
    """Indices of the first frame at or after each multiple of 1 / fps."""
    intervals = np.floor((times + ROUNDING) * fps)
    return np.flatnonzero(np.diff(intervals, prepend=-1.0) > 0)


def _on_display(times: Times, start: float, end: float, keys: Integers, count: int) -> Integers:
    """Indices of `count` frames, for `count` equal parts of [start, end).

    Each is on display in the middle of its part.
    """
    available = len(times)
    count = min(count, available)
    if not count:
        return np.empty(0, np.int64)
    times, start, end = _without_holes(times, start, end)
    gap = (end - start) / count
    middles: Times = start + (np.arange(count, dtype=np.float64) + 0.5) * gap
    chosen = np.clip(np.searchsorted(times, middles + ROUNDING, side="right") - 1, 0, available - 1)
    if gap >= LONG_GAP and len(keys):
        nearest = keys[_nearest(times[keys], middles)]
        chosen = np.where(np.abs(times[nearest] - middles) <= NEAR_BY * gap, nearest, chosen)
    # a frame that stays for long may be on display at several of these times; its neighbours then
    # fill up the number
    steps = np.arange(count)
    chosen = np.maximum.accumulate(chosen - steps) + steps
    return np.minimum(chosen, available - count + steps).astype(np.int64)


def _without_holes(times: Times, start: float, end: float) -> tuple[Times, float, float]:
    """Times, start and end on a clock that stops where nothing is shown.

    Nothing is shown in a hole of a recording, and before its first frame.

    Parts with a pause between them then get the frames that their own length asks for. Without a
    hole all stays as it is.
    """
    steps = np.diff(times, append=max(end, float(times[-1])))
    usual = float(np.median(steps))
    longest = max(HOLE, HOLE_STEPS * usual)
    if times[0] - start > longest:
        start = float(times[0])
    if steps.max() <= longest:
        return times, start, end
    ends = times[0] + np.cumsum(np.where(steps > longest, usual, steps))
    return np.concatenate([times[:1], ends[:-1]]), start, float(ends[-1])


def _nearest(values: Times, wanted: Times) -> npt.NDArray[np.intp]:
    """Index of the nearest of the ascending `values` for each one wanted."""
    after = np.clip(np.searchsorted(values, wanted), 0, len(values) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - values[before] <= np.abs(values[after] - wanted), before, after)
