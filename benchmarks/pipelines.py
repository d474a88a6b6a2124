"""Runs what `speed.py` times, each in its own process.

That is mesovid, and the pipelines that people write.

    python benchmarks/pipelines.py obvious CLIP
    python benchmarks/pipelines.py batches CLIP [--half]
    python benchmarks/pipelines.py decode CLIP [--with mesovid|opencv]
    python benchmarks/pipelines.py extract CLIP ... --output FOLDER
    python benchmarks/pipelines.py serve

obvious: OpenCV reads all frames; detect_faces and predict look at them one by one. batches:
detect_faces gets batches of 16, at full or half size. decode: 32 frames in RGB, nothing else.
extract: the obvious pipeline, writing crops. serve: warm; it reads requests on stdin and answers on
stdout, in JSON lines.
All look at the same 32 frames: those on display in the middle of 32 equal parts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

FRAMES = 32
BATCH = 16
SIZE = 256  # px, side of a face for the classifier
MODEL = ROOT / "trained_models" / "meso4.keras"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("obvious", "batches", "decode", "extract", "serve"))
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--half", action="store_true", help="detect in frames of half the size")
    parser.add_argument("--with", dest="reader", choices=("mesovid", "opencv"), default="mesovid")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.what == "obvious":
        print(json.dumps(obvious(given.clips[0])))
    elif given.what == "batches":
        print(json.dumps(batches(given.clips[0], half=given.half)))
    elif given.what == "decode":
        print(json.dumps({"frames": decode(given.clips[0], given.reader)}))
    elif given.what == "extract":
        print(json.dumps({"faces": extract(given.clips, given.output)}))
    else:
        serve()


def obvious(clip: Path) -> dict[str, Any]:
    """As most scripts do it: one frame, one face at a time."""
    import keras
    from mtcnn import MTCNN

    detector, model = MTCNN(), keras.models.load_model(MODEL)
    scores = []
    for image in list(opencv_frames(clip)):
        for face in detector.detect_faces(image):
            crop = crop_face(image, face["box"])
            scores.append(float(model.predict(crop[None], verbose=0)[0, 0]))
    return summary(scores)


def batches(clip: Path, *, half: bool) -> dict[str, Any]:
    """The mtcnn package at its best.

    It gets batches of frames of one size and gives arrays; the model takes all faces at once.
    """
    import cv2
    import keras
    import numpy as np
    from mtcnn import MTCNN

    detector, model = MTCNN(), keras.models.load_model(MODEL)
    scores: list[float] = []
    frames = opencv_frames(clip)
    while batch := [image for _, image in zip(range(BATCH), frames, strict=False)]:
        small = [cv2.resize(image, None, fx=0.5, fy=0.5) for image in batch] if half else batch
        found = np.atleast_2d(detector.detect_faces(small, output_type="numpy"))
        crops = [
            crop_face(batch[int(row[0])], [int(value * (2 if half else 1)) for value in row[1:5]])
            for row in found
            if row.size
        ]
        if crops:
            scores += np.asarray(model(np.stack(crops), training=False))[:, 0].tolist()
    return summary(scores)


def extract(clips: Iterable[Path], output: Path) -> int:
    """The obvious pipeline, writing faces: every face of 32 frames of each clip as a PNG file."""
    import cv2
    from mtcnn import MTCNN

    detector, faces = MTCNN(), 0
    output.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        for number, image in enumerate(opencv_frames(clip)):
            for which, face in enumerate(detector.detect_faces(image)):
                crop = cv2.cvtColor(crop_face(image, face["box"]), cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(output / f"{clip.stem}_{number}_{which}.png"), crop)
                faces += 1
    return faces


def decode(clip: Path, reader: str) -> int:
    """Read the 32 frames and nothing else; how many there were."""
    if reader == "opencv":
        return sum(1 for _ in opencv_frames(clip, grab=True))
    from mesovid.settings import SampleSettings
    from mesovid.video import sample

    with sample(clip, SampleSettings(frames=FRAMES)) as sampling:
        return sum(1 for _ in sampling)


def opencv_frames(clip: Path, *, grab: bool = False) -> Iterator[Any]:
    """32 frames, RGB.

    Most scripts read all frames. `grab` decodes all frames but converts only those wanted.
    """
    import cv2

    capture = cv2.VideoCapture(str(clip))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = {int((part + 0.5) * total / FRAMES) for part in range(FRAMES)}
    for index in range(total):
        if grab:
            ok = capture.grab()
            image = capture.retrieve()[1] if ok and index in wanted else None
        else:
            ok, image = capture.read()
        if not ok:
            break
        if index in wanted:
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    capture.release()


def crop_face(image: Any, box: list[int]) -> Any:
    """The square around a box (left, top, width, height), with a margin of 30 %.

    It is uint8 (256, 256, 3).
    """
    import cv2

    left, top, width, height = box
    half = 1.3 * max(width, height) / 2
    x, y = left + width / 2, top + height / 2
    part = image[
        max(int(y - half), 0) : int(y + half) + 1, max(int(x - half), 0) : int(x + half) + 1
    ]
    return cv2.resize(part, (SIZE, SIZE))


def summary(scores: list[float]) -> dict[str, Any]:
    return {"faces": len(scores), "fake_probability": sum(scores) / len(scores) if scores else None}


def serve() -> None:
    """Answer requests {"do": scan|decode|opencv, "clip": PATH} with wall and CPU seconds.

    A scanner stays loaded.
    """
    import mesovid

    scanners: dict[str, mesovid.Scanner] = {}

    def scan(clip: Path, **options: Any) -> dict[str, Any]:
        key = json.dumps(options, sort_keys=True)
        if key not in scanners:
            scanners[key] = mesovid.Scanner(**options)
        found = scanners[key].scan(clip)
        boxes = sorted(
            [score.index, *(round(side) for side in score.face.box)] for score in found.scores
        )
        return {
            "fake_probability": found.verdict.fake_probability,
            "faces": len(found.scores),
            "boxes": boxes,
            "seconds": dict(found.seconds),
        }

    work: dict[str, Callable[..., Any]] = {
        "scan": scan,
        "decode": lambda clip: decode(clip, "mesovid"),
        "opencv": lambda clip: decode(clip, "opencv"),
    }
    for line in sys.stdin:
        request = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            result = work[request.pop("do")](Path(request.pop("clip")), **request)
        except mesovid.MesovidError as error:
            result = {"error": str(error)}
        answer = {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "resident": resident(),
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "result": result,
        }
        print(json.dumps(answer), flush=True)


def resident() -> float | None:
    """MB of memory in use; None where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
