"""Annotated clips: what is drawn where, and that they play as the original does.

They are there whole or not at all.
"""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_pages import clip
from test_report import scan

from mesovid.boxes import overlap
from mesovid.cli import cli
from mesovid.errors import InputError, OutputError, SettingsError
from mesovid.evidence.annotate import H264, VP9, annotate, check_target, choose
from mesovid.evidence.canvas import Canvas, stored, tile
from mesovid.evidence.course import Course, box_from, box_of
from mesovid.records import Face, Moment, Scan
from mesovid.settings import SampleSettings
from mesovid.video import sample

GREY = 120


def movie(
    path: Path,
    size: tuple[int, int] = (320, 240),
    times: list[int] | None = None,
    *,
    codec: str = "libx264",
    sound: str | None = None,
) -> Path:
    """A grey clip. `times` are timestamps in hundredths of a second."""
    times = times or list(range(0, 100, 4))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        track = container.add_stream(sound, rate=48000) if sound else None
        for number, time in enumerate(times):
            image = np.full((size[1], size[0], 3), GREY, np.uint8)
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(picture))
            if track is not None:
                samples = np.zeros((1, 1920), np.float32)
                piece = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = (
                    48000,
                    number * 1920,
                    Fraction(1, 48000),
                )
                container.mux(track.encode(piece))
        container.mux(stream.encode(None))
        if track is not None:
            container.mux(track.encode(None))
    return path


def found(path: Path, size: tuple[int, int] = (320, 240), *people: list[float]) -> Scan:
    """A scan of a second of video in which each frame in five was looked at.

    Each person's face stands still.
    """
    made = scan(str(path), *(people or ([0.9] * 5,)), frames=5)
    times = {index * 15: 0.2 * index for index in range(5)}
    return replace(
        made,
        video=replace(
            made.video, width=size[0], height=size[1], fps=25.0, duration=1.0, frame_count=25
        ),
        sampled=tuple(Moment(moment.index, times[moment.index]) for moment in made.sampled),
        scores=tuple(replace(score, time=times[score.index]) for score in made.scores),
    )


def facts(path: Path) -> tuple[tuple[int, int], list[float], str, list[str]]:
    """Size, times of frames, codec and codecs of sound."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        size, codec = (stream.width, stream.height), stream.codec_context.name
        sound = [each.codec_context.name for each in container.streams.audio]
        times = [float(frame.time or 0) for frame in container.decode(stream)]
    return size, times, codec, sound


# --- what is drawn --------------------------------------------------------------------------------


def test_a_box_is_solid_where_it_was_looked_at_and_a_guess_between() -> None:
    course = Course(found(Path("x.mp4")))
    (seen,) = course.at(0.2, 0.02)
    assert seen.looked_at
    (guess,) = course.at(0.3, 0.02)
    assert not guess.looked_at
    assert course.at(0.95, 0.02) == []  # behind the last one nothing is known


def test_boxes_move_evenly_between_two_frames() -> None:
    made = found(Path("x.mp4"), (320, 240), [0.1] * 5)
    moved = tuple(
        replace(
            score,
            face=Face(
                (10.0 * number, 0.0, 10.0 * number + 40, 60.0),
                0.9,
                score.face.landmarks * 0 + 20 + 10 * number,
            ),
        )
        for number, score in enumerate(made.scores)
    )
    (guess,) = Course(replace(made, scores=moved)).at(0.25, 0.02)
    assert guess.box == pytest.approx((12.5, 0, 52.5, 60))


def test_no_guess_over_a_frame_without_the_person() -> None:
    made = found(Path("x.mp4"))
    gone = replace(made, scores=tuple(score for score in made.scores if score.index != 30))
    assert Course(gone).at(0.4, 0.02) == []
    assert Course(gone).at(0.5, 0.02) == []
    assert Course(gone).at(0.7, 0.02)


def test_the_running_score_is_the_mean_so_far_and_ends_at_the_verdict() -> None:
    made = found(Path("x.mp4"), (320, 240), [0.0, 1.0, 0.5, 0.9, 0.1], [0.3] * 5)
    course = Course(made)
    running = [course.verdict(0.2 * number + 0.01) for number in range(5)]
    assert [round(probability, 4) for _, probability in filter(None, running)] == [
        0.3,
        0.5,
        0.5,
        0.6,
        0.5,
    ]
    assert running[0] is not None
    assert running[0][0] == 1
    assert running[-1] is not None
    assert running[-1][1] == pytest.approx(made.verdict.fake_probability)
    assert course.verdict(-1) is None


def test_people_in_view_together_have_colours_of_their_own() -> None:
    course = Course(found(Path("x.mp4"), (320, 240), *([0.1] * 5 for _ in range(8))), colours=8)
    early, late = course.at(0.0, 0.02), course.at(0.8, 0.02)
    assert len({sight.colour for sight in early}) == 8
    assert {sight.person: sight.colour for sight in early} == {
        sight.person: sight.colour for sight in late
    }


def test_a_box_that_has_drifted_off_its_landmarks_is_made_from_them() -> None:
    points = np.array([[110, 120], [150, 120], [130, 145], [114, 165], [146, 165]], np.float32)
    sound = Face((90.0, 80.0, 170.0, 186.0), 0.9, points)
    assert box_of(sound) == sound.box
    assert overlap(box_from(sound), sound.box) > 0.75
    drifted = Face((125.0, 130.0, 205.0, 236.0), 0.9, points)
    assert overlap(box_of(drifted), sound.box) > 0.75 > overlap(drifted.box, sound.box)


@pytest.mark.parametrize(
    "place", [(-30, -30, 20, 20), (300, 220, 400, 300), (5, 7, 311, 233), (900, 900, 950, 950)]
)
def test_drawing_stays_in_the_picture(place: tuple[int, int, int, int]) -> None:
    picture = av.VideoFrame(321, 241, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    canvas = Canvas(picture)
    canvas.frame(place, (255, 0, 0), 2)
    canvas.frame(place, (255, 0, 0), 4, dashed=True)
    canvas.paste(tile(np.full((20, 60, 3), 255, np.uint8)), place[0], place[1])


def test_a_line_has_its_colour_and_half_of_it_where_dashed() -> None:
    planes = []
    for dashed in (False, True):
        picture = av.VideoFrame.from_ndarray(np.full((240, 320, 3), GREY, np.uint8), format="rgb24")
        picture = picture.reformat(format="yuv420p")
        Canvas(picture).frame((40, 40, 240, 200), (230, 159, 0), 2, dashed=dashed)
        planes.append(picture.to_ndarray()[:240])
    luma = stored((230, 159, 0))[0]
    assert (planes[0][40:42, 44:236] == luma).all()
    assert (planes[0][100, 40:42] == luma).all()
    assert (planes[1][40:42, 40:240] == luma).mean() == pytest.approx(0.5, abs=0.1)


# --- the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "name", "codec"),
    [
        ((320, 240), "out.mp4", "h264"),
        ((161, 121), "out.mp4", "vp9"),
        ((320, 240), "out.webm", "vp9"),
    ],
    ids=["even", "odd", "webm"],
)
def test_size_times_and_sound_stay(
    tmp_path: Path, size: tuple[int, int], name: str, codec: str
) -> None:
    times = [0, 4, 8, 16, 17, 30, 60, 61, 90, 99]  # no constant rate
    encoder = "libx264" if size[0] % 2 == 0 else "libvpx-vp9"
    source = movie(tmp_path / "in.mkv", size, times, codec=encoder, sound="libopus")
    written = annotate(found(source, size), tmp_path / name)
    before, after = facts(source), facts(tmp_path / name)
    assert after[0] == size
    assert after[1] == pytest.approx(before[1], abs=0.0011)
    assert after[2] == codec
    assert after[3] == ["opus"]
    assert written.codec == {"h264": "H.264", "vp9": "VP9"}[codec]
    assert written.sound == "copied"
    assert written.frames == len(times)
    assert bool(written.why) == (codec == "vp9")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_something_is_drawn_and_the_rest_stays(tmp_path: Path) -> None:
    source = movie(tmp_path / "in.mp4")
    made = found(source)
    annotate(made, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    left, top, right, _ = (round(value) for value in made.scores[0].face.box)
    assert abs(first[60:200, 120:] - GREY).max() < 12
    assert abs(first[top : top + 4, left + 8 : right - 8] - GREY).max() > 60
    assert first[230:].std() > 30  # the bar


def test_sound_that_the_container_does_not_take_is_left_out_and_said(tmp_path: Path) -> None:
    source = movie(tmp_path / "in.mkv", sound="pcm_s16le")
    written = annotate(found(source), tmp_path / "out.mp4")
    assert facts(tmp_path / "out.mp4")[3] == []
    assert "pcm_s16le does not go into .mp4" in written.sound
    assert annotate(found(source), tmp_path / "out.mkv").sound == "copied"


def test_a_clip_that_starts_late_starts_at_zero(tmp_path: Path) -> None:
    source = movie(tmp_path / "in.ts", times=[100_000 + 4 * number for number in range(25)])
    annotate(found(source), tmp_path / "out.mp4")
    times = facts(tmp_path / "out.mp4")[1]
    assert times == pytest.approx([0.04 * number for number in range(25)], abs=0.002)


def test_a_clip_without_faces_is_written_too(tmp_path: Path) -> None:
    source = movie(tmp_path / "in.mp4")
    written = annotate(replace(found(source), scores=(), people=()), tmp_path / "out.mp4")
    assert written.frames == 25


@pytest.mark.parametrize(
    ("suffix", "size", "codec"),
    [(".mp4", (320, 240), H264), (".mkv", (321, 240), VP9), (".webm", (320, 240), VP9)],
)
def test_the_codec_is_one_that_browsers_play(
    suffix: str, size: tuple[int, int], codec: str
) -> None:
    assert choose(suffix, *size, Path("x"))[0] == codec


def test_no_encoder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesovid.evidence.annotate.has_encoder", lambda name: name == VP9)
    assert choose(".mp4", 320, 240, Path("x.mp4")) == (VP9, "there is no encoder for H.264 here")
    monkeypatch.setattr("mesovid.evidence.annotate.has_encoder", lambda _: False)
    with pytest.raises(
        OutputError, match=r"cannot write x.mp4: no encoder here for H.264 .* nor VP9"
    ):
        choose(".mp4", 320, 240, Path("x.mp4"))


def test_what_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(b"no video at all" * 90)
    with pytest.raises(InputError, match="not a video"):
        annotate(found(tmp_path / "in.mp4"), tmp_path / "out.mp4")
    with pytest.raises(InputError, match="only videos"):
        annotate(found(tmp_path / "in.jpg"), tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    source = movie(tmp_path / "in.mp4")
    (tmp_path / "out.mp4").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="cannot write"):
        annotate(found(source), tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_nothing_but_an_own_clip_is_written_over(tmp_path: Path) -> None:
    source, other = movie(tmp_path / "in.mp4"), movie(tmp_path / "other.mp4")
    with pytest.raises(SettingsError, match="is the input"):
        check_target(source, [source])
    with pytest.raises(SettingsError, match="not annotated by mesovid"):
        check_target(other, [source])
    with pytest.raises(SettingsError, match=r"must end in \.mp4"):
        check_target(tmp_path / "out.avi", [source])
    for name in ("out.mp4", "out.mkv", "out.webm"):
        annotate(found(source), tmp_path / name)
        check_target(tmp_path / name, [source])


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["scan", "--frames", "3", *map(str, words)])


def test_a_scan_writes_its_clip(tmp_path: Path, astronaut: np.ndarray) -> None:
    source = clip(tmp_path / "in.avi", astronaut, 8)
    result = run(source, "--annotate", tmp_path / "out.mp4")
    assert result.exit_code == 0, result.output
    assert "H.264, 8 frames, sound none" in result.stderr
    assert facts(tmp_path / "out.mp4")[0] == (300, 300)
    again = run(source, source.with_suffix(".mkv"), "--annotate", tmp_path / "out.mp4")
    assert again.exit_code == 2
    assert "of one video; 2 were named" in again.stderr


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le", "bgr0"])
def test_colours_stay(tmp_path: Path, pixels: str) -> None:
    codec = "ffv1" if pixels != "yuvj420p" else "mjpeg"
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, pixels
        for _ in range(3):
            image = np.full((240, 320, 3), (200, 90, 40), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    made = replace(found(source), scores=(), people=())
    annotate(made, tmp_path / "out.mp4")
    colours = []
    for path in (source, tmp_path / "out.mp4"):
        with sample(path, SampleSettings()) as frames:
            colours.append(next(iter(frames)).image[100, 100].astype(int))
    assert abs(colours[1] - colours[0]).max() <= 6, colours


def test_a_clip_on_its_side_is_written_upright(tmp_path: Path) -> None:
    source = movie(tmp_path / "in.mp4")
    turned = tmp_path / "turned.mp4"
    matrix = b"".join(
        value.to_bytes(4, "big", signed=True)
        for value in (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    )
    content = source.read_bytes()
    plain = b"".join(
        value.to_bytes(4, "big") for value in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    )
    place = content.index(plain, content.index(b"tkhd"))
    turned.write_bytes(content[:place] + matrix + content[place + 36 :])
    written = annotate(found(turned, (240, 320)), tmp_path / "out.mp4")
    assert facts(tmp_path / "out.mp4")[0] == (240, 320)
    assert written.frames == 25
