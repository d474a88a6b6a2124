"""Compares the face finder with `mtcnn.MTCNN().detect_faces`: the faces found and the time taken.

    python benchmarks/detection.py                      # videos of DATA/ffpp-c23 and DATA/clips
    python benchmarks/detection.py FOLDER|FILE ...      # your own

The first table asks: of the package's faces of at least 40 px (longer side of the box) with a
confidence of at least 0.95, how many are found at an intersection over union (IoU) of 0.7 or
better; how far are the eyes, in widths of the package's box; and how many faces are given that the
package has not at all (IoU below 0.5 with each of its faces, of any size and confidence). The
second table times both on frames of 1280 x 720. Needs mtcnn and tensorflow.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mesovid.backend import import_tensorflow  # noqa: E402
from mesovid.errors import InputError  # noqa: E402
from mesovid.faces import FaceFinder  # noqa: E402
from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES  # noqa: E402
from mesovid.opencv import cv2  # noqa: E402
from mesovid.records import Face, Frame, Pixels  # noqa: E402
from mesovid.settings import FaceSettings, RuntimeSettings, SampleSettings  # noqa: E402
from mesovid.video import sample  # noqa: E402

Boxes = npt.NDArray[np.float32]

SIZE, CONFIDENCE = 40, 0.95  # px and confidence of the package's faces that have to be found
SAME, NEW = 0.7, 0.5  # IoU from which a face is the same, and below which it is another
FRAMES = {"ffpp-c23": 4, "clips": 16}  # frames of a video, by folder; 4 elsewhere


@dataclass(slots=True)
class Tally:
    """What came out over some frames."""

    frames: int = 0
    expected: int = 0
    found: int = 0
    given: int = 0
    extra: int = 0
    eyes: list[float] = field(default_factory=list)  # distance over the width of the box

    def add(self, theirs: Boxes, faces: Sequence[Face]) -> None:
        """Count one frame: the package's rows and our faces.

        A row holds image, box, confidence, five x and five y.
        """
        ours = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
        shared = overlaps(theirs[:, 1:5], ours)
        self.frames += 1
        self.given += len(ours)
        self.extra += int((shared.max(axis=0, initial=0) < NEW).sum())
        for row, own in zip(theirs, shared, strict=True):
            width, height = row[3] - row[1], row[4] - row[2]
            if row[5] < CONFIDENCE or max(width, height) < SIZE:
                continue
            self.expected += 1
            if own.max(initial=0) >= SAME:
                self.found += 1
                eyes = faces[int(own.argmax())].landmarks[:2] - row[[6, 11, 7, 12]].reshape(2, 2)
                self.eyes.append(float(np.linalg.norm(eyes, axis=1).mean() / width))

    def __str__(self) -> str:
        if not self.expected or not self.given:
            return f"{self.frames:6} {self.expected:6}"
        return (
            f"{self.frames:6} {self.expected:6} {self.found / self.expected:8.2%} "
            f"{statistics.mean(self.eyes):8.2%} {self.given:6} {self.extra / self.given:8.2%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, help="videos, pictures or folders of them")
    parser.add_argument(
        "--frames", type=int, help="frames of each video (default: 4, or 16 of DATA/clips)"
    )
    parser.add_argument(
        "--repeat", type=int, default=7, help="timed runs of each way; the median is shown"
    )
    parser.add_argument("--only", choices=("faces", "speed"), help="one of the two tables")
    options = parser.parse_args()
    data = Path(os.environ.get("MESOVID_DATA", ROOT.parent / "shared" / "data"))
    paths = options.paths or [data / "ffpp-c23", data / "clips"]
    if not any(videos(path) for path in paths):
        sys.exit(
            f"no videos in {', '.join(map(str, paths))}; name files or folders, or set MESOVID_DATA"
        )
    detector = original_detector()
    if options.only != "speed":
        compare_faces(paths, options.frames, detector)
    if options.only != "faces":
        compare_speed(paths, options.repeat, detector)


def original_detector() -> Any:
    import_tensorflow()
    from mtcnn import MTCNN

    return MTCNN()


def compare_faces(paths: Sequence[Path], frames: int | None, detector: Any) -> None:
    finder = FaceFinder(FaceSettings(), RuntimeSettings(device="cpu"))
    tallies: dict[tuple[str, str], Tally] = {}
    for folder in paths:
        for path in videos(folder):
            sampled = read(path, frames or FRAMES.get(folder.name, 4))
            images = [frame.image for frame in sampled]
            theirs = [detect(detector, image) for image in images]
            ours = {
                "find": finder.find(images),
                "follow": [each.faces for each in finder.follow(sampled, 16)],
            }
            for way, found in ours.items():
                for group in (folder.name, "all"):
                    tally = tallies.setdefault((way, group), Tally())
                    for rows, faces in zip(theirs, found, strict=True):
                        tally.add(rows, faces)
    print(f"\n{'':7} {'':12} frames  faces    found     eyes  given    extra")
    for (way, group), tally in sorted(tallies.items()):
        print(f"{way:7} {group:12} {tally}")


def compare_speed(paths: Sequence[Path], repeat: int, detector: Any) -> None:
    finder = FaceFinder(FaceSettings(), RuntimeSettings(device="cpu"))
    print(f"\nframes of 1280 x 720, {os.cpu_count()} processors, medians of {repeat}")
    for name, frames in scenes(paths):
        images = [frame.image for frame in frames]
        few = images[:: len(images) // 4][:4]
        halves = [
            cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for image in few
        ]
        # min_face_size=20 is the package's default; what makes the trick faster is the half scale
        ways: list[tuple[str, Callable[[], object], int]] = [
            ("mtcnn detect_faces", lambda few=few: [detect(detector, image) for image in few], 4),
            (
                "  the same, half scale",
                lambda halves=halves: [detect(detector, image) for image in halves],
                4,
            ),
            (
                "  the same, 16 at once",
                lambda images=images: detector.detect_faces(images[:16]),
                16,
            ),
            (
                "mesovid find, one by one",
                lambda few=few: [finder.find([image]) for image in few],
                4,
            ),
            ("mesovid find, 16 at once", lambda images=images: finder.find(images[:16]), 16),
            (
                f"mesovid follow, {len(frames)}",
                lambda frames=frames: list(finder.follow(frames, 16)),
                len(frames),
            ),
        ]
        print(f"\n{name:28} wall ms  processor ms  times faster")
        wall, processor = times([way for _, way, _ in ways], repeat)
        first = wall[0] / ways[0][2]
        for (way, _, count), seconds, own in zip(ways, wall, processor, strict=True):
            each = seconds / count
            print(f"{way:28} {each * 1e3:7.1f} {own / count * 1e3:13.1f} {first / each:13.1f}")


def times(ways: Sequence[Callable[[], object]], repeat: int) -> tuple[list[float], list[float]]:
    """Median seconds of each way, by the clock and of the processor.

    The ways take turns, so that all see the same machine.
    """
    wall: list[list[float]] = [[] for _ in ways]
    processor: list[list[float]] = [[] for _ in ways]
    for round_ in range(repeat + 1):
        for i, way in enumerate(ways):
            start, own = time.perf_counter(), time.process_time()
            way()
            if round_:  # the first warms up
                wall[i].append(time.perf_counter() - start)
                processor[i].append(time.process_time() - own)
    return [statistics.median(each) for each in wall], [
        statistics.median(each) for each in processor
    ]


def scenes(paths: Sequence[Path]) -> Iterator[tuple[str, list[Frame]]]:
    """32 frames of 720p each: the widest video of one person, and the scene with the most faces."""
    finder = FaceFinder(FaceSettings(), RuntimeSettings(device="cpu"))
    best: dict[str, tuple[float, Path]] = {}
    for path in (path for folder in paths for path in videos(folder)):
        frames = read(path, 1)
        if not frames or path.suffix.lower() in PICTURE_SUFFIXES or frames[0].image.shape[0] < 720:
            continue
        faces = len(finder.find([frames[0].image])[0])
        width = frames[0].image.shape[1] / 1e4
        for kind, score in (("one person", width if faces == 1 else -1.0), ("crowd", float(faces))):
            if score > best.get(kind, (0.0, path))[0]:
                best[kind] = (score, path)
    for kind, (_, path) in best.items():
        frames = [
            Frame(
                frame.index,
                frame.time,
                cv2.resize(frame.image, (1280, 720), interpolation=cv2.INTER_AREA),
            )
            for frame in read(path, 32)
        ]
        yield f"{kind} ({path.stem})", frames


def videos(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    suffixes = VIDEO_SUFFIXES | PICTURE_SUFFIXES
    return sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes)


def read(path: Path, frames: int) -> list[Frame]:
    """Sampled frames; none where the video cannot be read."""
    try:
        with sample(path, SampleSettings(frames=frames)) as sampling:
            return list(sampling)
    except InputError:
        return []


def detect(detector: Any, image: Pixels) -> Boxes:
    """The package's faces, a row each.

    A row holds image, left, top, right, bottom, confidence, five x and five y.
    """
    rows = detector.detect_faces(image, box_format="xyxy", output_type="numpy")
    return np.asarray(rows, np.float32).reshape(-1, 16)


def overlaps(theirs: Boxes, ours: Boxes) -> Boxes:
    """IoU of each with each, (their number, our number)."""
    low = np.maximum(theirs[:, None, :2], ours[None, :, :2])
    high = np.minimum(theirs[:, None, 2:], ours[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (theirs, ours)]
    return np.asarray(shared / (areas[0][:, None] + areas[1] - shared), np.float32)


if __name__ == "__main__":
    main()
