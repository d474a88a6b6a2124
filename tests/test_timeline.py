"""Which frames are looked at: laws of the time grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesovid.settings import SampleSettings
from mesovid.timeline import LONG_GAP, NEAR_BY, TimelineBuilder, choose

NO_KEYS = np.empty(0, np.int64)

steps = st.lists(st.floats(0.001, 5), min_size=1, max_size=200)


def times_of(frame_steps: list[float]) -> tuple[np.ndarray, float]:
    """Times at which frames appear, from their times on display; and the end."""
    ends = np.cumsum(frame_steps)
    return np.concatenate([[0.0], ends[:-1]]), float(ends[-1])


@given(steps, st.integers(1, 300))
def test_as_many_frames_as_asked_each_once(frame_steps: list[float], count: int) -> None:
    times, duration = times_of(frame_steps)
    chosen = choose(times, duration, NO_KEYS, SampleSettings(frames=count))
    assert len(chosen) == min(count, len(times))
    assert np.all(np.diff(chosen) > 0)
    assert chosen[0] >= 0
    assert chosen[-1] < len(times)


@given(
    st.integers(1, 500),
    st.integers(1, 60),
    st.sampled_from([10.0, 24000 / 1001, 25.0, 29.97, 60.0]),
)
def test_a_constant_rate_gives_the_frames_on_display_at_even_times(
    frames: int, count: int, fps: float
) -> None:
    times, duration = np.arange(frames) / fps, frames / fps
    chosen = choose(times, duration, NO_KEYS, SampleSettings(frames=count))
    count = min(count, frames)
    wanted = (np.arange(count) + 0.5) * duration / count
    assert np.all(times[chosen] <= wanted + 1e-5)
    assert np.all(wanted < times[chosen] + 1 / fps + 1e-5)


@given(steps, st.floats(0.05, 100))
def test_by_rate_takes_the_first_frame_of_each_interval(
    frame_steps: list[float], fps: float
) -> None:
    times, duration = times_of(frame_steps)
    chosen = choose(times, duration, NO_KEYS, SampleSettings(fps=fps))
    intervals = np.floor((times + 1e-6) * fps)
    assert chosen.tolist() == [int(np.argmax(intervals == i)) for i in np.unique(intervals)]


@given(steps, st.integers(1, 50), st.floats(0, 100), st.floats(0.01, 100))
def test_only_frames_of_the_asked_part(
    frame_steps: list[float], every: int, start: float, length: float
) -> None:
    times, duration = times_of(frame_steps)
    settings = SampleSettings(every=every, start=start, end=start + length)
    inside = np.flatnonzero((times >= start - 1e-6) & (times < start + length - 1e-6))
    assert choose(times, duration, NO_KEYS, settings).tolist() == inside[::every].tolist()


@given(st.integers(1, 40), st.integers(2, 12), st.integers(600, 4000))
def test_far_apart_a_key_frame_near_by_is_taken(count: int, key_gap: int, seconds: int) -> None:
    times = np.arange(seconds, dtype=np.float64)
    keys = np.arange(0, seconds, key_gap)
    chosen = choose(times, float(seconds), keys, SampleSettings(frames=count))
    gap = seconds / count
    middles = (np.arange(count) + 0.5) * gap
    distance = np.abs(times[chosen] - middles)
    if gap < LONG_GAP:
        assert np.all(distance <= 1)
    else:
        key_near_by = np.abs(keys[:, None] - middles).min(axis=0) <= NEAR_BY * gap
        assert np.all(np.isin(chosen[key_near_by], keys))
        assert np.all(distance <= max(NEAR_BY * gap, 1) + 1e-6)


def test_a_frame_that_stays_long_does_not_cost_samples() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.3, 9.0, 9.1])  # a slide stands for 8.7 s
    assert choose(times, 9.2, NO_KEYS, SampleSettings(frames=4)).tolist() == [0, 2, 3, 5]


@given(
    st.lists(st.integers(20, 200), min_size=2, max_size=4),
    st.lists(st.floats(5.1, 5000), min_size=4, max_size=4),
    st.integers(4, 12),
)
def test_parts_get_frames_by_their_length_whatever_lies_between(
    lengths: list[int], holes: list[float], each: int
) -> None:
    steps = np.concatenate(
        [[*[0.04] * (length - 1), hole] for length, hole in zip(lengths, holes, strict=False)]
    )
    times, _ = times_of(steps.tolist())
    settings = SampleSettings(frames=each * len(lengths))
    chosen = choose(times, float(times[-1]) + 0.04, NO_KEYS, settings)
    parts = np.searchsorted(np.cumsum(lengths), chosen, side="right")
    expected = np.array(lengths) / sum(lengths) * len(chosen)
    assert np.all(np.abs(np.bincount(parts, minlength=len(lengths)) - expected) <= 1)


@given(st.integers(2, 300), st.integers(1, 40), st.floats(0.1, 5000))
def test_time_before_the_first_frame_takes_no_samples(frames: int, count: int, late: float) -> None:
    times = np.arange(frames) / 25
    settings = SampleSettings(frames=count)
    chosen = choose(times + late, late + frames / 25, NO_KEYS, settings)
    # rounding may take a neighbour
    assert np.all(np.abs(chosen - choose(times, frames / 25, NO_KEYS, settings)) <= 1)


def test_a_slow_recording_has_no_holes() -> None:
    """A frame each half minute is a time lapse; the one hole in it still is one."""
    times = np.concatenate([np.arange(60) * 30.0, 60 * 30.0 + 100_000 + np.arange(60) * 30.0])
    chosen = choose(times, float(times[-1]) + 30, NO_KEYS, SampleSettings(frames=12))
    assert np.count_nonzero(chosen < 60) in (6, 7)


@pytest.mark.parametrize(
    "settings", [SampleSettings(start=5), SampleSettings(start=0.42, end=0.44)]
)
def test_a_part_without_frames_gives_none(settings: SampleSettings) -> None:
    assert len(choose(np.arange(10) / 10, 1.0, NO_KEYS, settings)) == 0


def test_packets_in_order_of_decoding_become_times_of_display() -> None:
    builder = TimelineBuilder()
    for timestamp, key in [(0, True), (30, False), (10, False), (20, False), (40, True)]:
        builder.add(timestamp, 10, key=key, shown=True)
    timeline = builder.build()
    assert timeline.timestamps is not None
    assert timeline.timestamps.tolist() == [0, 10, 20, 30, 40]
    assert timeline.keys.tolist() == [0, 40]
    assert timeline.key_positions.tolist() == [0, 4]
    assert timeline.key_indices().tolist() == [0, 4]
    assert timeline.last_duration == 10


@pytest.mark.parametrize("timestamps", [(0, None, 2), (0, 1, 1), (None, None, None)], ids=str)
def test_timestamps_that_miss_or_repeat_are_not_used(timestamps: tuple[int | None, ...]) -> None:
    builder = TimelineBuilder()
    for timestamp in timestamps:
        builder.add(timestamp, 1, key=True, shown=True)
    timeline = builder.build()
    assert timeline.count == 3
    assert timeline.timestamps is None
    assert timeline.key_indices().tolist() == []


def test_packets_cut_off_by_the_container_are_no_frames() -> None:
    builder = TimelineBuilder()
    for timestamp in (-2, -1, 0, 1):
        builder.add(timestamp, 1, key=timestamp == -2, shown=timestamp >= 0)
    timeline = builder.build()
    assert timeline.count == 2
    assert timeline.keys.tolist() == [-2]
    assert timeline.key_indices().tolist() == []
