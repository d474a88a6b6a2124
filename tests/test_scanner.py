"""Scanning real small clips end to end, with the shipped model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import mesovid
from mesovid.errors import InputError, ModelError, SettingsError
from mesovid.records import Crop, FaceScore
from mesovid.scanner import batched
from mesovid.verdict import LEAST_DETAIL


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """Two seconds of the astronaut, who moves a little, at 10 frames a second."""
    path = tmp_path_factory.mktemp("clips") / "astronaut.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (400, 360))
    for step in range(20):
        writer.write(
            cv2.cvtColor(
                np.ascontiguousarray(astronaut[:360, step : step + 400]), cv2.COLOR_RGB2BGR
            )
        )
    writer.release()
    return path


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with nobody in it."""
    path = tmp_path_factory.mktemp("clips") / "street.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (320, 240))
    for step in range(10):
        writer.write(np.full((240, 320, 3), 5 * step, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def scanner() -> mesovid.Scanner:
    return mesovid.Scanner(frames=8)


def test_a_clip_gets_a_verdict_that_its_scores_explain(
    scanner: mesovid.Scanner, clip: Path
) -> None:
    scan = scanner.scan(clip)
    assert scan.verdict.status == "ok"
    assert len(scan.sampled) == len(scan.scores) == 8
    assert [person.faces for person in scan.people] == [8]
    mean = np.mean([score.fake_probability for score in scan.scores])
    assert scan.verdict.fake_probability == pytest.approx(mean)
    assert (scan.model.name, len(scan.model.sha256)) == ("panel", 64)
    assert "meso4" in scan.model.members
    assert scan.settings["frames"] == 8
    assert set(scan.seconds) == {"decode", "wait", "detect", "align", "classify", "total"}


def test_a_clip_without_a_face_is_no_face(scanner: mesovid.Scanner, street: Path) -> None:
    scan = scanner.scan(street)
    assert scan.verdict.status == "no_face"
    assert scan.verdict.fake_probability is None
    assert len(scan.sampled) == 8


def portrait_before(people: np.ndarray, astronaut: np.ndarray) -> np.ndarray:
    """A sharp portrait of 180 px in front of a scene."""
    scene = people.copy()
    scene[40:760, 30:750] = cv2.resize(
        astronaut[:450, :450], (720, 720), interpolation=cv2.INTER_CUBIC
    )
    return scene


def test_blurred_people_behind_a_portrait_do_not_change_its_verdict(
    scanner: mesovid.Scanner, astronaut: np.ndarray, tmp_path: Path
) -> None:
    empty = np.full((800, 1300, 3), 120, np.uint8)
    people = empty.copy()
    for top in (60, 420):
        people[top : top + 260, 900:1160] = astronaut[:260, 90:350]
    scenes = {"alone": empty, "behind": cv2.GaussianBlur(people, (0, 0), 4), "beside": people}
    scans = {}
    for name, scene in scenes.items():
        image = portrait_before(scene, astronaut)
        cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        scans[name] = scanner.scan(tmp_path / f"{name}.png")
    assert [len(scan.people) for scan in scans.values()] == [1, 3, 3]
    alone, behind = scans["alone"].verdict, scans["behind"].verdict
    assert behind.label == alone.label
    assert behind.fake_probability == pytest.approx(alone.fake_probability, abs=0.01)
    details = {
        name: sorted(score.detail for score in scan.scores if score.face.box[0] > 750)
        for name, scan in scans.items()
    }
    assert max(details["behind"]) < LEAST_DETAIL < min(details["beside"])


def test_a_picture_needs_one_face(
    scanner: mesovid.Scanner, astronaut: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "portrait.png"
    cv2.imwrite(str(path), cv2.cvtColor(astronaut, cv2.COLOR_RGB2BGR))
    scan = scanner.scan(path)
    assert scan.verdict.status == "ok"
    assert len(scan.scores) == 1


def test_a_clip_of_two_frames_has_too_few_faces(clip: Path) -> None:
    scan = mesovid.scan(clip, frames=2)
    assert scan.verdict.status == "too_few_faces"
    assert len(scan.scores) == 2


def test_a_threshold_of_ones_own_has_no_band(scanner: mesovid.Scanner, clip: Path) -> None:
    score = scanner.scan(clip).verdict.fake_probability
    assert score is not None
    for threshold, label in ((score - 1e-6, "fake"), (score + 1e-6, "real")):
        scan = mesovid.scan(clip, frames=8, threshold=threshold)
        assert (scan.verdict.label, scan.model.threshold) == (label, threshold)


def test_every_face_can_be_seen(scanner: mesovid.Scanner, clip: Path) -> None:
    seen: list[tuple[str, Crop, FaceScore]] = []
    scan = scanner.scan(
        clip,
        lambda path, crops, scores: seen.extend(
            (path, *pair) for pair in zip(crops, scores, strict=True)
        ),
    )
    assert [path for path, _, _ in seen] == [str(clip)] * 8
    assert [score for _, _, score in seen] == list(scan.scores)
    assert all(crop.pixels.shape == (256, 256, 3) for _, crop, _ in seen)


def test_the_same_clip_gives_the_same_scan_again(scanner: mesovid.Scanner, clip: Path) -> None:
    first, second = (scanner.scan(clip) for _ in range(2))
    assert [score.fake_probability for score in first.scores] == [
        score.fake_probability for score in second.scores
    ]


def test_both_runtimes_agree(scanner: mesovid.Scanner, clip: Path) -> None:
    reference = mesovid.scan(clip, frames=8, runtime="tensorflow", redetect=1)
    scan = scanner.scan(clip)
    assert len(reference.scores) == len(scan.scores)
    assert scan.verdict.fake_probability == pytest.approx(
        reference.verdict.fake_probability, abs=0.02
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [({"model": "nobody"}, ModelError), ({"frames": 0}, SettingsError), ({"framse": 3}, TypeError)],
)
def test_wrong_options_are_refused_before_any_video(
    options: dict[str, object], error: type
) -> None:
    with pytest.raises(error):
        mesovid.Scanner(**options)


def test_a_broken_file_is_an_input_error(scanner: mesovid.Scanner, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("no video")
    with pytest.raises(InputError, match=r"notes\.mp4"):
        scanner.scan(path)


def test_batched_keeps_order_and_loses_nothing() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
