"""Damaged copies of real small videos.

`mesovid extract` reads them as what they are.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from mesovid.cli import cli
from mesovid.dataset.layouts import gather
from mesovid.dataset.sources import Options
from mesovid.errors import DatasetError
from mesovid.evaluation.degrade import parse
from mesovid.evaluation.degrade_videos import degrade_video, degrade_videos
from mesovid.settings import SampleSettings
from mesovid.video import sample

pytest.importorskip("av")


def write_video(path: Path, frames: int = 6) -> Path:
    """A clip of 63x40 px at 10 frames a second, each frame brighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 100, (40, 63, 3), dtype=np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (63, 40))
    for i in range(frames):
        writer.write(texture + np.uint8(20 * i))
    writer.release()
    return path


def frames_of(path: Path) -> list[tuple[float, np.ndarray]]:
    with sample(path, SampleSettings(every=1)) as frames:
        return [(frame.time, frame.image) for frame in frames]


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    write_video(root / "dev" / "real" / "a.avi")
    write_video(root / "dev" / "fake" / "a_b.avi")
    write_video(root / "train" / "real" / "c.avi")
    return root


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["degrade", *(str(word) for word in words)])


def test_a_copy_keeps_frames_and_times(tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.avi")
    degrade_video(video, tmp_path / "out.mp4", parse("h264:20"))
    before, after = frames_of(video), frames_of(tmp_path / "out.mp4")
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=1e-3)
    for (_, a), (_, b) in zip(before, after, strict=True):
        assert b.shape == (40, 62, 3)  # the codec wants even sides
        assert np.abs(a[:, :62].mean() - b.mean()) < 3
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_damage_is_in_the_frames(tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.avi")
    for damage in ("brightness:0.5", "blur:3"):
        degrade_video(video, tmp_path / f"{damage[:4]}.mp4", parse(damage))
    clean, dark, blurred = (
        frames_of(tmp_path / name)[0][1] for name in ("in.avi", "brig.mp4", "blur.mp4")
    )
    assert dark.mean() == pytest.approx(clean.mean() / 2, rel=0.1)
    assert blurred.std() < clean.std() / 2


def test_damages_follow_one_another(tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.avi")  # 63 x 41
    degrade_video(video, tmp_path / "out.mp4", parse("fit:20,brightness:0.5,h264:20"))
    clean, small = frames_of(video)[0][1], frames_of(tmp_path / "out.mp4")[0][1]
    assert small.shape == (20, 30, 3)
    assert small.mean() == pytest.approx(clean.mean() / 2, rel=0.1)


def test_a_stream_that_changes_its_size_gives_a_copy_of_one(tmp_path: Path) -> None:
    """Nothing is stretched: what has another shape gets black borders."""
    import av

    with av.open(str(tmp_path / "turned.ts"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        for number, (width, height) in enumerate([(64, 48), (48, 64)]):
            context = stream.codec_context if not number else av.CodecContext.create("libx264", "w")
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.framerate, context.time_base = 25, Fraction(1, 25)
            white = av.VideoFrame.from_ndarray(
                np.full((height, width, 3), 255, np.uint8), format="rgb24"
            )
            packets = []
            for i in range(6):
                white.pts, white.time_base = 6 * number + i, Fraction(1, 25)
                packets += context.encode(white)
            for packet in packets + context.encode(None):
                packet.stream = stream
                container.mux(packet)
    degrade_video(tmp_path / "turned.ts", tmp_path / "out.mp4", parse("h264:20"))
    frames = [image for _, image in frames_of(tmp_path / "out.mp4")]
    assert [image.shape for image in frames] == [(48, 64, 3)] * 12
    assert [image[24, 2].min() > 200 for image in frames] == [True] * 6 + [False] * 6
    assert all(image[24, 32].min() > 200 for image in frames)


def test_what_is_small_is_not_enlarged(tmp_path: Path) -> None:
    video = write_video(tmp_path / "in.avi")
    degrade_video(video, tmp_path / "out.mp4", parse("fit:100"))
    assert frames_of(tmp_path / "out.mp4")[0][1].shape == (40, 62, 3)


def test_a_collection_of_copies_is_read_as_what_it_is(collection: Path, tmp_path: Path) -> None:
    out = tmp_path / "copies"
    result = run(collection, "-o", out, "--damage", "h264:40", "--split", "dev", "--workers", 1)
    assert (result.exit_code, result.output) == (0, "")
    before = {source.video: source for source in gather([collection]).sources}
    copies = gather([out]).sources
    assert len(copies) == 2
    for copy in copies:
        original = before[copy.video]
        assert (copy.label, copy.split, copy.original) == (original.label, "dev", original.original)
        assert len(frames_of(copy.files[0])) == 6


def test_a_second_run_goes_on_and_other_damage_is_refused(collection: Path, tmp_path: Path) -> None:
    out = tmp_path / "copies"
    assert run(collection, "-o", out, "--damage", "h264:40", "--workers", 1).exit_code == 0
    copies = sorted(out.rglob("*.mp4"))
    assert len(copies) == 3
    times = [file.stat().st_mtime_ns for file in copies[1:]]
    copies[0].unlink()
    assert run(collection, "-o", out, "--damage", "h264:40", "--workers", 1).exit_code == 0
    assert copies[0].exists()
    assert [file.stat().st_mtime_ns for file in copies[1:]] == times
    assert "holds videos with damage h264:40" in str(
        run(collection, "-o", out, "--damage", "blur:1").exception
    )


def test_a_broken_video_is_named_and_the_others_copied(collection: Path, tmp_path: Path) -> None:
    (collection / "dev" / "real" / "broken.avi").write_bytes(b"no video")
    out = tmp_path / "copies"
    result = run(collection, "-o", out, "--damage", "h264:40", "--workers", 2)
    assert result.exit_code == 1
    assert "dev/real/broken" in result.output
    assert len(list(out.rglob("*.mp4"))) == 3
    assert "broken" not in (out / "manifest.csv").read_text()


def test_a_folder_of_other_things_is_left_alone(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(DatasetError, match="is not empty"):
        degrade_videos(gather([collection]).sources, tmp_path / "mine", parse("blur:1"), 1)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--damage", ""], "takes at least one kind"),
        (["--damage", "h264:35,blur:1"], "h264 must be the last damage of h264:35,blur:1"),
        (["--damage", "fog:1"], "unknown degradation 'fog:1'"),
        (["--damage", "blur:1", "--split", "test"], "no video of split 'test'; it has dev, train"),
    ],
)
def test_wrong_use_is_said_plainly(
    collection: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    assert message in str(run(collection, "-o", tmp_path / "out", *words).exception)
    assert not (tmp_path / "out").exists()


def test_pictures_alone_have_nothing_to_damage(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DatasetError, match="evaluate --degrade"):
        degrade_videos(
            gather([tmp_path], Options(labels={"": "real"})).sources,
            tmp_path / "out",
            parse("blur:1"),
            1,
        )


def test_the_mark_says_what_was_done(collection: Path, tmp_path: Path) -> None:
    degrade_videos(gather([collection]).sources, tmp_path / "out", parse("jpeg:30"), 1)
    assert json.loads((tmp_path / "out" / "damage.json").read_text()) == {"damage": "jpeg:30"}


def test_copies_do_not_lie_among_their_originals(tmp_path: Path) -> None:
    words = ["degrade", str(tmp_path), "-o", str(tmp_path / "out"), "--damage", "h264:35"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "must not lie inside" in result.output
    assert not list(tmp_path.iterdir())
