"""Reports of hand-made scans, compared with golden files.

MESOVID_GOLDEN=write makes them anew: then read the difference.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mesovid.records import Face, FaceScore, Failure, ModelRef, Moment, Scan, VideoInfo
from mesovid.report import WRITERS
from mesovid.report.text import clock
from mesovid.verdict import Rule, judge

GOLDEN = Path(__file__).with_name("golden")
RULE = Rule(threshold=0.5, band=(0.4, 0.6))


def face(left: float) -> Face:
    points = np.array([[10, 20], [30, 20], [20, 30], [12, 40], [28, 40]], np.float32)
    points[:, 0] += left
    return Face((left, 5.25, left + 40, 55.5), 0.9987654, points)


def scan(path: str, *people: list[float], frames: int = 6, warnings: tuple[str, ...] = ()) -> Scan:
    """A clip of half a second a frame.

    Each of `people` shows in each frame with the given scores.
    """
    scores = [
        FaceScore(index * 15, index / 2, face(100.0 * person), person, value)
        for person, values in enumerate(people)
        for index, value in enumerate(values)
    ]
    judgement = judge(scores, RULE)
    return Scan(
        video=VideoInfo(path, 640, 360, 30000 / 1001, 90, 3.003),
        model=ModelRef("meso4", "0123456789abcdef" * 4, 0.5),
        settings={"frames": 6, "model": "meso4"},
        sampled=tuple(Moment(index * 15, index / 2) for index in range(frames)),
        scores=tuple(scores),
        people=judgement.people,
        segments=judgement.segments,
        verdict=judgement.verdict,
        seconds={
            "decode": 0.25,
            "wait": 0.01,
            "detect": 0.5,
            "align": 0.1,
            "classify": 0.125,
            "total": 1.0,
        },
        warnings=warnings,
    )


RESULTS = [
    scan("fake.mp4", [0.2, 0.9, 0.95, 0.9, 0.9, 0.9]),
    scan("two people.mp4", [0.1] * 6, [0.2, 0.9, 0.9, 0.9, 0.9, 0.2]),
    scan("unclear.mp4", [0.5] * 6),
    scan("empty street.mp4", warnings=("75 of 77 frames could be read; the file is damaged.",)),
    scan("glimpse.mp4", [0.9]),
    Failure("notes.mp4", "notes.mp4 is no video that can be decoded"),
]


def written(format_: str, results: list[Scan | Failure], **options: bool) -> str:
    stream = io.StringIO()
    writer = WRITERS[format_](stream, **options)
    for result in results:
        writer.write(result)
    writer.close()
    return stream.getvalue()


@pytest.mark.parametrize("format_", WRITERS)
def test_report_is_as_before(format_: str) -> None:
    path = GOLDEN / f"report.{format_}"
    text = written(format_, RESULTS, detail=True)
    if os.environ.get("MESOVID_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


KEYS = [
    "schema",
    "path",
    "status",
    "verdict",
    "fake_probability",
    "threshold",
    "reason",
    "cleared",
    "video",
    "sampled_frames",
    "scored_faces",
    "people",
    "frames",
    "segments",
    "model",
    "settings",
    "seconds",
    "warnings",
    "declared",
    "error",
]


@pytest.mark.parametrize(
    "result",
    RESULTS,
    ids=lambda result: getattr(
        result, "path", result.video.path if isinstance(result, Scan) else ""
    ),
)
def test_every_result_has_the_same_keys(result: Scan | Failure) -> None:
    value = json.loads(written("json", [result]))
    assert sorted(value) == sorted(KEYS)


@pytest.mark.parametrize(("count", "kind"), [(0, list), (1, dict), (2, list)])
def test_json_is_an_object_for_one_video_and_an_array_for_several(count: int, kind: type) -> None:
    value = json.loads(written("json", RESULTS[:count]))
    assert isinstance(value, kind)
    assert kind is dict or len(value) == count


def test_only_ok_carries_a_number() -> None:
    for line in written("jsonl", RESULTS).splitlines():
        value = json.loads(line)
        assert (
            (value["status"] == "ok")
            == (value["fake_probability"] is not None)
            == (value["verdict"] is not None)
        )


def test_every_sampled_frame_is_listed() -> None:
    value = json.loads(written("json", [RESULTS[3]]))
    assert [frame["faces"] for frame in value["frames"]] == [[]] * 6


def test_colour_only_when_asked() -> None:
    assert "\x1b[" not in written("text", RESULTS)
    assert "\x1b[31m" in written("text", RESULTS[:1], color=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.0"),
        (59.96, "1:00.0"),
        (754.2, "12:34.2"),
        (3723.4, "1:02:03.4"),
        (-0.04, "0:00.0"),
    ],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_what_there_is_no_sign_of_is_said() -> None:
    unclear = RESULTS[2]
    assert isinstance(unclear, Scan)
    cleared = replace(unclear, verdict=replace(unclear.verdict, cleared=("swaps", "avatars")))
    assert "P(fake) 0.50  no sign of swaps or avatars\n" in written("text", [cleared])
    assert (
        written("table", [cleared]).rstrip().endswith("unclear.mp4  (no sign of swaps or avatars)")
    )
    assert "swaps | avatars" in written("csv", [cleared])
    for format_ in ("text", "table", "csv"):
        assert "swaps" not in written(format_, [unclear])
    # a verdict says enough
    real = replace(cleared, verdict=replace(cleared.verdict, label="real"))
    assert "swaps" not in written("text", [real]) + written("table", [real])
